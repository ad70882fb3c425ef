// Whether a setting helps, and how folders differ: differences of runs that are alike but for one thing.

import * as Plot from "@observablehq/plot";
import { open, type Results, type Run } from "./data";
import { choose, h, meaning, visible } from "./dom";
import { Figure, short, type Drawn, type Styles } from "./figure";
import { paired, type Paired } from "./groups";
import { shortened } from "./answer";

interface Effect { line: string; rule: string; paired: Paired }

const points = (results: Results, x: number, sign = true): string => {
  const text = results.metric === "accuracy" ? (100 * x).toFixed(1) : short(x);
  return sign && x > 0 ? "+" + text : text;
};
const unit = (results: Results): string => results.metric === "accuracy" ? " points" : "";

/** "median: +3.1 points (95 %: 1.0 to 5.2, 3 seeds), better in 12 of 18 settings". */
function sentence(results: Results, one: Effect): string {
  const { mean, half, seeds, better, settings } = one.paired;
  const sure = Number.isFinite(half) ? `95 %: ${points(results, mean - half)} to ${points(results, mean + half)}, ${seeds} seeds` : `${seeds} ${seeds === 1 ? "seed" : "seeds"}: no interval`;
  const clear = Number.isFinite(half) && Math.abs(mean) > half;
  const good = results.higher ? mean > 0 : mean < 0;
  const verdict = !Number.isFinite(half) ? "too few seeds to say" : !clear ? "not told apart from nothing" : good ? "helps" : "harms";
  return `${visible(one.line)}: ${verdict}, ${points(results, mean)}${unit(results)} on average (${sure}); better in ${better} of ${settings} settings`;
}

function picture(results: Results, all: Effect[], styles: Styles, caption: string): Drawn | null {
  if (!all.length) return null;
  const wide = Math.max(280, Math.min(900, document.getElementById("page")?.clientWidth ?? 900) - 24), lines = all.map(one => one.line).slice(0, 40);
  const left = Math.min(wide < 500 ? 130 : 260, 20 + 7.2 * lines.reduce((most, line) => Math.max(most, line.length), 3));
  const scale = results.metric === "accuracy" ? 100 : 1;
  const data = all.slice(0, 40).map(one => ({ ...one, x: scale * one.paired.mean, low: scale * (one.paired.mean - one.paired.half), high: scale * (one.paired.mean + one.paired.half) }));
  return {
    options: { width: wide, height: 60 + 30 * lines.length, marginLeft: left, marginRight: 20, x: { label: `difference${results.metric === "accuracy" ? " in points of accuracy" : " in test loss"}`, grid: true, ticks: 6, inset: 10 },
      y: { label: null, domain: lines, tickFormat: (line: string) => shortened(visible(line), Math.floor((left - 14) / 7)) },
      marks: [Plot.ruleX([0]), Plot.link(data.filter(one => Number.isFinite(one.low)), { x1: "low", x2: "high", y1: "line", y2: "line", stroke: (one: Effect) => styles.colour(one.rule), strokeWidth: 2 }),
        ...data.map(one => Plot.dot([one], { x: "x", y: "line", r: 6, symbol: styles.mark(one.rule) as Plot.SymbolType, fill: styles.colour(one.rule), stroke: styles.colour(one.rule) })),
        Plot.tip(data, Plot.pointer({ x: "x", y: "line", title: (one: Effect) => sentence(results, one) } as Plot.TipOptions))] },
    caption,
    rows: data.map(one => ({ rule: one.line, difference: one.paired.mean, half: one.paired.half, seeds: one.paired.seeds, pairs: one.paired.pairs, "better in": one.paired.better, settings: one.paired.settings })),
  };
}

/** The runs of each rule, in the order in which they come. */
function byLine(runs: Run[]): Map<string, Run[]> {
  const out = new Map<string, Run[]>();
  for (const run of runs) { const known = out.get(run.line); if (known) known.push(run); else out.set(run.line, [run]); }
  return out;
}

const MULTIPLE = "Several rules are looked at at once: of twenty intervals one misses by chance";

export class Effects {
  readonly node: HTMLElement;
  private controls = h("div", { class: "choices" });
  private text = h("ul", { class: "effects", "aria-live": "polite" });
  private figure: Figure;
  private key = ""; private from = ""; private to = "";
  private results!: Results; private runs: Run[] = [];

  constructor(private styles: () => Styles) {
    this.figure = new Figure("What a setting changes", styles);
    this.node = h("div", {}, this.controls, this.text, this.figure.node);
  }

  take(results: Results, runs: Run[], fresh: boolean): void {
    this.results = results; this.runs = runs;
    const keys = open(results).filter(axis => axis.key !== "rule").map(axis => axis.key);
    if (fresh || !keys.includes(this.key)) this.settle(keys.find(key => key !== "attack") ?? keys[0] ?? "");
    this.ask(keys);
    this.show();
  }

  private settle(key: string): void {
    this.key = key;
    const values = this.results.axes.find(axis => axis.key === key)?.values ?? [];
    [this.from, this.to] = [values[0] ?? "", values[values.length - 1] ?? ""];
  }

  private ask(keys: string[]): void {
    const again = () => { this.ask(keys); this.show(); }, values = (this.results.axes.find(axis => axis.key === this.key)?.values ?? []).map(value => ({ value }));
    const focused = this.controls.contains(document.activeElement) ? (document.activeElement as HTMLElement).dataset.choice : undefined;
    this.controls.replaceChildren(choose("setting", keys.map(value => ({ value })), this.key, value => { this.settle(value); again(); }),
      choose("from", values, this.from, value => { this.from = value; again(); }), choose("to", values, this.to, value => { this.to = value; again(); }));
    if (focused) this.controls.querySelector<HTMLElement>(`[data-choice="${focused}"]`)?.focus();
  }

  private show(): void {
    const { results, key, from, to } = this, rest = results.axes.map(axis => axis.key).filter(one => one !== "seed" && one !== key && one !== "rule");
    const alike = (run: Run) => JSON.stringify(rest.map(one => run.at.get(one)));
    const all: Effect[] = [];
    for (const [line, runs] of byLine(this.runs)) {
      const of = (value: string) => runs.filter(run => run.at.get(key) === value), one = from === to ? null : paired(of(from), of(to), alike, results.higher);
      if (one) all.push({ line, rule: runs[0].rule, paired: one });
    }
    this.text.replaceChildren(...(all.length ? all.map(one => h("li", {}, sentence(results, one))) : [h("li", {}, key ? "No two runs differ in this alone." : "Nothing but the seed varies.")]));
    this.figure.draw(picture(results, all, this.styles(), visible(`Mean of the last 10 at ${key}=${to} minus that at ${key}=${from}, over pairs of runs that are alike otherwise, seed included; ends: Student's 95 % interval over seeds, each seed a mean over settings. ${MULTIPLE}.`)));
  }
}

/** Several folders, matched by their settings. */
export class Compare {
  readonly node: HTMLElement;
  private text = h("div", { "aria-live": "polite" });
  private figure: Figure;
  private controls = h("div", { class: "choices" });
  private which = 1;
  private all: Results[] = []; private runs: Run[] = [];

  constructor(private styles: () => Styles) {
    this.figure = new Figure("Folders compared", styles);
    this.node = h("div", {}, this.controls, this.text, this.figure.node);
  }

  take(all: Results[], runs: Run[]): void {
    this.all = all; this.runs = runs;
    this.which = Math.min(this.which, all.length - 1) || 1;
    this.show();
  }

  private show(): void {
    const [first] = this.all, other = this.all[this.which];
    if (!other) return;
    this.controls.replaceChildren(choose("compare with", this.all.slice(1).map((one, k) => ({ value: String(k + 1), label: one.name })), String(this.which), value => { this.which = Number(value); this.show(); }));
    const own = new Map<Results, Map<string, string>>(this.all.map(one => [one, new Map(one.common)]));
    const keys = [...new Set([...first.axes, ...other.axes].map(axis => axis.key))].filter(key => key !== "seed");
    const of = (results: Results, run: Run, key: string) => run.at.get(key) ?? own.get(results)?.get(key) ?? "";
    // A setting that one folder has one value of, and the other another one, is what is compared.
    const fixed = [...new Set([...(own.get(first)?.keys() ?? []), ...(own.get(other)?.keys() ?? [])])];
    const differs = fixed.filter(key => own.get(first)?.has(key) && own.get(other)?.has(key) && own.get(first)?.get(key) !== own.get(other)?.get(key));
    const owners = new Map<Run, Results>([...this.runs.map((run): [Run, Results] => [run, first]), ...other.runs.map((run): [Run, Results] => [run, other])]);
    const alike = (run: Run) => JSON.stringify(keys.map(key => of(owners.get(run)!, run, key)));
    const effects: Effect[] = [], theirs = byLine(other.runs);
    for (const [line, runs] of byLine(this.runs)) {
      const one = paired(runs, theirs.get(line) ?? [], alike, first.higher);
      if (one) effects.push({ line, rule: runs[0].rule, paired: one });
    }
    const matched = effects.reduce((sum, one) => sum + one.paired.pairs, 0);
    this.text.replaceChildren(h("p", {}, `${visible(other.name)} minus ${visible(first.name)}: ${matched} of ${this.runs.length} and ${other.runs.length} runs have a partner of the same settings and seed.`,
      meaning("matched", "two runs are partners where every setting that varies in either folder, and the seed, are the same; settings that each folder has one value of may differ: they are what is compared")),
    differs.length ? h("p", {}, "What differs between the folders: ", visible(differs.map(key => `${key} ${own.get(first)!.get(key)} → ${own.get(other)!.get(key)}`).join(", ")), ".") : h("p", {}, "No setting differs between the folders."),
    h("ul", {}, ...effects.map(one => h("li", {}, sentence(first, one)))),
    h("p", { class: "note" }, `varangian compare says the same with Wilcoxon's test, mean ranks and a correction for looking at many. ${MULTIPLE}.`));
    this.figure.draw(picture(first, effects, this.styles(), visible(`Mean of the last 10 in ${other.name} minus that in ${first.name}, over partners; ends: Student's 95 % interval over seeds.`)));
  }
}
