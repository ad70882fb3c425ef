// The first screen: what was asked, which rule holds, by how much, how sure that is, and a picture.

import * as Plot from "@observablehq/plot";
import { open, type Results, type Run } from "./data";
import { h, meaning, visible } from "./dom";
import { Figure, sample, short, shown, withHalf, type Drawn, type Styles } from "./figure";
import { badness, groups, judge, marks, told, valueOf, type Judged } from "./groups";
import { interval, mean, studentTails } from "./stats";

interface Standing { line: string; rule: string; worst: Judged; all: Judged[]; wins: number }

/** Each rule by its worst case, the best first. */
export function standings(results: Results, runs: Run[]): Standing[] {
  const keys = ["rule", ...results.axes.filter(axis => axis.tied).map(axis => axis.key)];
  const wins = new Map<string, number>(), out: Standing[] = [];
  const rest = open(results).map(axis => axis.key).filter(key => !keys.includes(key));
  for (const setting of groups(runs, rest)) {
    // Of one setting each combination is a rule.
    const all = setting.combos.map(combo => judge({ at: new Map(), combos: [combo] }, "worst", results.higher)).filter(one => one !== null);
    if (all.length < 2) continue;
    const best = all.reduce((a, b) => badness(b.mean, results.higher) > badness(a.mean, results.higher) ? b : a);
    const line = best.runs[0].line;
    wins.set(line, (wins.get(line) ?? 0) + 1);
  }
  for (const group of groups(runs, keys)) {
    const worst = judge(group, "worst", results.higher);
    if (!worst) continue;
    const all = group.combos.map(combo => judge({ at: group.at, combos: [combo] }, "worst", results.higher)).filter(one => one !== null);
    const { line, rule } = worst.runs[0];
    out.push({ line, rule, worst, all, wins: wins.get(line) ?? 0 });
  }
  return out.sort((a, b) => badness(b.worst.mean, results.higher) - badness(a.worst.mean, results.higher));
}

export class Answer {
  readonly node = h("section", { id: "answer", "aria-labelledby": "answer-head" });
  private figure: Figure;
  private text = h("div", { class: "answer", "aria-live": "polite" });
  private asked = h("p", { class: "asked" });

  constructor(private styles: () => Styles, private show: (run: Run) => void) {
    this.figure = new Figure("Worst cases", styles);
    this.node.append(h("h2", { id: "answer-head" }, "The answer"), this.asked, this.text, this.figure.node);
  }

  take(results: Results, runs: Run[], filtered: string): void {
    this.asked.textContent = visible(results.asked);
    const all = standings(results, runs);
    this.text.replaceChildren(...this.said(results, all, runs, filtered));
    this.figure.draw(this.drawn(results, all));
  }

  private said(results: Results, all: Standing[], runs: Run[], filtered: string): Node[] {
    if (!all.length) return [h("p", {}, runs.length ? "No run of this choice measured anything." : "No run of this choice is over yet.")];
    const [first, second] = all, axes = open(results).filter(axis => axis.key !== "rule" && !axis.tied);
    const define = (term: string) => {
      const known = results.definitions.find(one => one.term === term);
      return known ? meaning(term, known.meaning) : null;
    };
    const where = told(first.worst.runs[0], axes.filter(axis => new Set(runs.map(run => run.at.get(axis.key))).size > 1));
    const settings = new Set(runs.map(run => JSON.stringify(axes.map(axis => run.at.get(axis.key))))).size;
    const number = h("b", { class: "number" }, withHalf(results, first.worst.mean, first.worst.half));
    const sure = second ? difference(first, second, results) : null, clear = !!sure && Number.isFinite(sure.half) && Math.abs(sure.mean) > sure.half;
    const head: (Node | string)[] = second && !clear ? ["No rule is clearly best in its worst case: ", sample(this.styles(), first.rule), h("b", {}, visible(first.line)), " is ahead with "]
      : [sample(this.styles(), first.rule), h("b", {}, visible(first.line)), second ? " holds best: " : ": "];
    const broke = marks(first.worst.runs) ? `Even there something broke: ${visible(first.worst.runs.map(run => run.fate.told).find(Boolean) ?? "")}. ` : "";
    const out: Node[] = [h("p", { class: "verdict" }, ...head, number, " in its worst case", define("worst case"), where ? `, ${visible(where)}` : "", filtered ? `, of what is chosen (${visible(filtered)})` : "", `. ${broke}`)];
    if (second && sure) {
      const by = results.metric === "accuracy" ? `${(100 * Math.abs(sure.mean)).toFixed(1)} points` : short(Math.abs(sure.mean));
      const most = all.reduce((a, b) => b.wins > a.wins ? b : a);
      out.push(h("p", {}, "Next is ", sample(this.styles(), second.rule), h("b", {}, visible(second.line)), ` with ${withHalf(results, second.worst.mean, second.worst.half)}, ${by} ${results.higher ? "less" : "more"}. `,
        ...(settings > 1 && most.wins > 0 ? ["Setting by setting, ", h("b", {}, visible(most.line)), ` is the best rule most often: in ${most.wins} of ${settings}.`] : [])));
      out.push(this.sure(results, first, second, sure));
    }
    return out;
  }

  /** How sure the first place is, behind a button. */
  private sure(results: Results, first: Standing, second: Standing, sure: Sure): Node {
    const points = (x: number) => results.metric === "accuracy" ? (100 * x).toFixed(1) + " points" : short(x);
    const holds = Number.isFinite(sure.half);
    const clear = holds && Math.abs(sure.mean) > sure.half;
    const word = !holds ? "too few seeds to say" : clear ? "beyond what seeds explain" : "not told apart by these seeds";
    const lines = [
      sure.seeds < 2 ? "Of one seed nothing follows: another may turn it around." : `Both rules ran with ${sure.seeds} same seeds. Seed by seed the first is ahead by ${sure.differences.map(x => points(x)).join(", ")}.`,
      holds ? `The mean difference is ${points(sure.mean)}, Student's 95 % interval from ${points(sure.mean - sure.half)} to ${points(sure.mean + sure.half)} (p = ${sure.p < 0.001 ? "below 0.001" : sure.p.toFixed(3)}, paired over seeds).` : "An interval needs three seeds.",
      `The rules and their worst cases were picked after seeing the results, out of ${results.axes.find(axis => axis.key === "rule")?.values.length ?? 1} rules: take p as a measure of distance, not as a test that was planned.`,
    ];
    const details = h("details", { id: "sure" }, h("summary", {}, `How sure? ${word[0].toUpperCase() + word.slice(1)}.`), ...lines.map(line => h("p", {}, line)),
      h("p", {}, "Runs behind it: ", ...[...first.worst.runs, ...second.worst.runs].slice(0, 24).flatMap(run => [h("button", { type: "button", class: "link", click: () => this.show(run) }, `${visible(run.line)} seed ${visible(run.seed)}`), " "])));
    return details;
  }

  private drawn(results: Results, all: Standing[]): Drawn | null {
    if (!all.length) return null;
    const styles = this.styles(), share = results.metric === "accuracy", lines = all.slice(0, 40).map(one => one.line);
    const axes = open(results).filter(axis => axis.key !== "rule" && !axis.tied);
    const kept = all.slice(0, 40);
    const dots = kept.flatMap(one => one.all.filter(own => Number.isFinite(own.mean)).map(own => ({ line: one.line, rule: one.rule, x: own.mean, judged: own })));
    const ends = kept.map(one => ({ line: one.line, rule: one.rule, x: one.worst.mean, low: clamp(one.worst.mean - one.worst.half, share), high: clamp(one.worst.mean + one.worst.half, share), judged: one.worst }));
    const finite = ends.filter(one => Number.isFinite(one.x));
    const size = Math.max(280, Math.min(1200, document.getElementById("page")?.clientWidth ?? 900) - 24);
    const names = Math.min(size < 500 ? 130 : 260, 20 + 7.2 * lines.reduce((most, line) => Math.max(most, line.length), 4));
    const values = dots.map(one => one.x).filter(x => x > 0);
    const log = !share && values.length > 0 && values.reduce((a, b) => Math.max(a, b), 0) > 100 * values.reduce((a, b) => Math.min(a, b), Infinity);
    return {
      options: {
        width: size, height: 50 + 34 * lines.length, marginLeft: names, marginRight: 20,
        x: { label: share ? null : "test loss", ...(share ? { domain: [0, 1], tickFormat: "%" } : { type: log ? "log" : "linear" }), grid: true, ticks: size < 500 ? 4 : 8 },
        y: { label: null, domain: lines, tickFormat: (line: string) => shortened(visible(line), Math.floor((names - 16) / 7)) },
        marks: [
          Plot.dot(dots, { x: "x", y: "line", r: 3, fill: (d: { rule: string }) => styles.colour(d.rule), fillOpacity: 0.3 }),
          ...kept.flatMap(one => {
            const own = ends.filter(end => end.line === one.line && Number.isFinite(end.x)), colour = styles.colour(one.rule);
            return [Plot.link(own.filter(end => Number.isFinite(end.low)), { x1: "low", x2: "high", y1: "line", y2: "line", stroke: colour, strokeWidth: 2 }),
              Plot.dot(own, { x: "x", y: "line", r: 6, symbol: styles.mark(one.rule) as Plot.SymbolType, fill: colour, stroke: colour })];
          }),
          Plot.tip([...finite, ...dots], Plot.pointer({ x: "x", y: "line", title: (d: { line: string; x: number; judged: Judged }) => `${visible(d.line)}: ${withHalf(results, d.x, d.judged.half)}\n${visible(told(d.judged.runs[0], axes))}\n${d.judged.runs.length} seeds` } as Plot.TipOptions)),
        ],
      },
      caption: `${share ? "Accuracy" : "Test loss"}, mean of the last 10. Large marks: each rule's worst case over attacks and all other settings${ends.some(one => Number.isFinite(one.low)) ? ", with Student's 95 % interval over seeds" : ""}; small ones: each setting and attack.${all.length > 40 ? ` ${all.length - 40} more rules are not shown.` : ""}`,
      rows: kept.map(one => ({ rule: one.line, worst: one.worst.mean, half: one.worst.half, seeds: one.worst.values.length, "worst case": told(one.worst.runs[0], axes) })),
      pick: datum => {
        const one = datum as { line: string; x: number; judged: Judged };
        return h("span", {}, `${visible(one.line)}: ${shown(results, one.x)}, ${visible(told(one.judged.runs[0], axes))}. Runs: `, ...one.judged.runs.slice(0, 12).flatMap(run => [h("button", { type: "button", class: "link", click: () => this.show(run) }, `seed ${visible(run.seed)}`), " "]));
      },
    };
  }
}

const clamp = (x: number, share: boolean): number => share ? Math.max(0, Math.min(1, x)) : x;
export const shortened = (text: string, most: number): string => text.length > most ? text.slice(0, Math.max(1, most - 1)) + "…" : text;

export interface Sure { mean: number; half: number; p: number; seeds: number; differences: number[] }
/** The first's worst case minus the second's, seed by seed; positive: the first is ahead. */
function difference(first: Standing, second: Standing, results: Results): Sure {
  const others = new Map(second.worst.runs.map(run => [run.seed, valueOf(run, "tail")])), sign = results.higher ? 1 : -1;
  const differences = first.worst.runs.flatMap(run => {
    const other = others.get(run.seed);
    const x = other === undefined ? NaN : sign * (valueOf(run, "tail") - other);
    return Number.isFinite(x) ? [x] : [];
  });
  if (!differences.length) return { mean: sign * (first.worst.mean - second.worst.mean), half: NaN, p: NaN, seeds: 0, differences };
  const { mean: middle, half } = interval(differences), freedom = differences.length - 1;
  const error = half / (half ? 1 : NaN);
  let p = NaN;
  if (Number.isFinite(error) && freedom > 0) {
    const deviation = Math.sqrt(differences.reduce((sum, x) => sum + (x - middle) ** 2, 0) / freedom / differences.length);
    p = deviation > 0 ? studentTails(middle / deviation, freedom) : middle === 0 ? 1 : 0;
  }
  return { mean: mean(differences), half, p, seeds: differences.length, differences };
}


