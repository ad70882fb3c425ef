// Tables: folded over a setting, of every run, of what broke, of what was refused, of cost.

import { open, type Results, type Run } from "./data";
import { choose, csv, h, meaning, save, visible } from "./dom";
import { sample, short, shown, withHalf, type Styles } from "./figure";
import { groups, judge, marks, order, type Rest } from "./groups";
import { mean } from "./stats";

export interface Cell { text: string; sort: number | string; class?: string; node?: Node; title?: string }
const cell = (text: string, sort: number | string = text, more: Partial<Cell> = {}): Cell => ({ text, sort, ...more });

/** A table that sorts by its heads, finds words, and shows a part at a time. */
export class Grid {
  readonly node: HTMLElement;
  private table = h("table");
  private below = h("p", { class: "note" });
  private head: { text: string; numeric: boolean; note?: Node | null }[] = [];
  private rows: Cell[][] = [];
  private sorted: { column: number; down: boolean } | null = null;
  private word = "";
  private shown: number;

  constructor(private name: string, controls: Node[] = [], private page = 60) {
    this.shown = page;
    const find = h("input", { type: "search", placeholder: "find", "aria-label": `Find in the table: ${name}` });
    find.addEventListener("input", () => { this.word = find.value.toLowerCase(); this.shown = this.page; this.draw(); });
    const take = h("button", { type: "button", "aria-label": `Export the table as CSV: ${name}`, click: () => save(name.replace(/\W+/g, "-") + ".csv", [csv([this.head.map(one => one.text), ...this.kept().map(row => row.map(one => typeof one.sort === "number" && Number.isFinite(one.sort) ? one.sort : one.text))])], "text/csv") }, "CSV");
    this.node = h("div", { class: "grid" }, h("div", { class: "bar" }, h("div", { class: "controls" }, ...controls, find), h("div", { class: "tools" }, take)),
      h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": name }, this.table), this.below);
  }

  fill(head: { text: string; numeric: boolean; note?: Node | null }[], rows: Cell[][]): void {
    const same = head.length === this.head.length && head.every((one, k) => one.text === this.head[k].text);
    if (!same) this.sorted = null;
    this.head = head; this.rows = rows;
    this.draw();
  }

  private kept(): Cell[][] {
    const rows = this.word ? this.rows.filter(row => row.some(one => one.text.toLowerCase().includes(this.word))) : [...this.rows];
    if (this.sorted) {
      const { column, down } = this.sorted, sign = down ? -1 : 1;
      rows.sort((a, b) => {
        const [x, y] = [a[column]?.sort ?? "", b[column]?.sort ?? ""];
        if (typeof x === "number" && typeof y === "number") return Number.isNaN(x) ? 1 : Number.isNaN(y) ? -1 : sign * (x - y);
        return sign * String(x).localeCompare(String(y), undefined, { numeric: true });
      });
    }
    return rows;
  }

  private draw(): void {
    const rows = this.kept(), heads = this.head.map(({ text, numeric, note }, k) => {
      const way = this.sorted?.column === k ? (this.sorted.down ? "descending" : "ascending") : "none";
      const sort = h("button", { type: "button", class: "sort", click: () => {
        this.sorted = this.sorted?.column === k ? (this.sorted.down === numeric ? { column: k, down: !numeric } : null) : { column: k, down: numeric };
        this.draw();
        this.table.querySelectorAll<HTMLElement>("th .sort")[k]?.focus();
      } }, visible(text), h("span", { "aria-hidden": "true" }, way === "ascending" ? " ▲" : way === "descending" ? " ▼" : ""));
      return h("th", { scope: "col", "aria-sort": way, ...(numeric ? { class: "n" } : {}) }, sort, note);
    });
    this.table.replaceChildren(h("caption", { class: "unseen" }, this.name), h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows.slice(0, this.shown).map(row => h("tr", {}, ...row.map((one, k) => {
      const attributes: Record<string, string> = {};
      const style = [this.head[k]?.numeric ? "n" : "", one.class ?? ""].filter(Boolean).join(" ");
      if (style) attributes.class = style;
      if (one.title) attributes.title = visible(one.title);
      return k === 0 ? h("th", { scope: "row", ...attributes }, one.node ?? visible(one.text)) : h("td", attributes, one.node ?? visible(one.text));
    })))));
    const rest = rows.length - this.shown;
    this.below.replaceChildren(`${Math.min(this.shown, rows.length)} of ${rows.length} rows. `);
    if (rest > 0) this.below.append(h("button", { type: "button", click: () => { this.shown += 5 * this.page; this.draw(); } }, `Show ${Math.min(rest, 5 * this.page)} more`));
  }
}

/** A line's name as it is drawn. */
const named = (styles: Styles, line: string, rule: string): Node => h("span", { class: "named" }, sample(styles, rule), visible(line));

/** Means by rule and whatever is chosen, with one setting folded into columns. */
export class Folded {
  private controls = h("div", { class: "choices" });
  readonly grid = new Grid("Means of the last 10", [this.controls]);
  private fold = "attack"; private rows: string[] = []; private rest: Rest = "worst";
  private results!: Results; private runs: Run[] = [];

  constructor(private styles: () => Styles) {}

  take(results: Results, runs: Run[], fresh: boolean): void {
    this.results = results; this.runs = runs;
    const keys = open(results).map(axis => axis.key);
    if (fresh) {
      this.fold = keys.includes("attack") ? "attack" : keys.find(key => key !== "rule") ?? "attack";
      this.rows = keys.filter(key => key !== "rule" && key !== this.fold).slice(0, 3);
    }
    this.ask(keys);
    this.fill();
  }

  private ask(keys: string[]): void {
    const redraw = () => { this.ask(keys); this.fill(); };
    const rest = keys.filter(key => key !== "rule" && key !== this.fold);
    const boxes = rest.map(key => {
      const box = h("input", { type: "checkbox" });
      box.checked = this.rows.includes(key);
      box.addEventListener("change", () => { this.rows = box.checked ? [...this.rows, key] : this.rows.filter(one => one !== key); redraw(); });
      return h("label", { class: "choice check" }, box, h("span", {}, key));
    });
    this.controls.replaceChildren(
      choose("columns", keys.filter(key => key !== "rule").map(value => ({ value })), this.fold, value => {
        this.rows = this.rows.filter(key => key !== value).concat(this.rows.includes(value) ? [this.fold] : []);
        this.fold = value; redraw();
      }),
      ...(rest.length ? [h("fieldset", { class: "choice" }, h("legend", {}, "rows for each"), ...boxes)] : []),
      choose("other settings", [{ value: "worst", label: "the worst of them" }, { value: "mean", label: "their mean" }], this.rest, value => { this.rest = value as Rest; redraw(); }));
  }

  private fill(): void {
    const { results, fold, rows, rest } = this, styles = this.styles(), place = order(results, fold);
    const lines = groups(this.runs, ["rule", ...results.axes.filter(axis => axis.tied).map(axis => axis.key), ...rows]);
    const columns = [...new Set(this.runs.map(run => run.at.get(fold) ?? ""))].sort((a, b) => (place.get(a) ?? 1e9) - (place.get(b) ?? 1e9)).slice(0, 24);
    const tail = results.definitions.find(one => one.term === "mean of the last 10");
    const head = [{ text: "rule", numeric: false }, ...rows.map(text => ({ text, numeric: false })),
      ...columns.map(text => ({ text: fold === "attack" ? text : `${fold}=${text}`, numeric: true })),
      { text: "worst", numeric: true, note: tail ? meaning("the figures", `${tail.meaning}. ${results.definitions.find(one => one.term === "±")?.meaning ?? ""}`) : null }];
    const table = lines.map(group => {
      const runs = group.combos.flatMap(combo => combo.runs), first = runs[0];
      const cells = [cell(first.line, first.line, { node: named(styles, first.line, first.rule) }), ...rows.map(key => cell(group.at.get(key) ?? "", Number.isFinite(Number(group.at.get(key))) ? Number(group.at.get(key)) : group.at.get(key) ?? ""))];
      const parts = groups(runs, [fold]);
      let worst: number | null = null;
      for (const column of columns) {
        const own = parts.find(part => part.at.get(fold) === column), judged = own && judge(own, rest, results.higher);
        if (!judged) {
          const failed = own?.combos.some(combo => combo.runs.some(run => run.state === "failed"));
          cells.push(cell(failed ? "failed" : "", NaN)); continue;
        }
        const mark = marks(judged.runs);
        cells.push(cell(`${withHalf(results, judged.mean, judged.half).replace(" %", "")}${mark && " " + mark}`, judged.mean, { class: mark ? "broke" : "", title: judged.runs.map(run => run.fate.told).find(Boolean) }));
        if (worst === null || !Number.isFinite(judged.mean) || (results.higher ? judged.mean < worst : judged.mean > worst)) worst = judged.mean;
      }
      cells.push(cell(worst === null ? "" : shown(results, worst).replace(" %", ""), worst ?? NaN, { class: "worst" }));
      return cells;
    });
    this.grid.fill(head, table);
  }
}

/** Every run. */
export function everyRun(grid: Grid, results: Results, runs: Run[], show: (run: Run) => void): void {
  const axes = open(results).filter(axis => axis.key !== "rule");
  const head = [{ text: "rule", numeric: false }, ...axes.map(axis => ({ text: axis.key, numeric: false })),
    ...["seed", "last", "mean of last 10", "best"].map(text => ({ text, numeric: true })), { text: "what broke", numeric: false }, { text: "refused", numeric: true }, { text: "seconds", numeric: true }];
  // What is not finite must not read as "not measured".
  const value = (run: Run, of: "last" | "tail" | "best") => run.final ? cell(shown(results, run.final[of]), run.final[of]) : cell("", NaN);
  grid.fill(head, runs.map(run => [
    cell(run.rule, run.rule, { node: h("button", { type: "button", class: "link", click: () => show(run) }, visible(run.rule)) }),
    ...axes.map(axis => { const text = run.at.get(axis.key) ?? ""; return cell(text, text !== "" && Number.isFinite(Number(text)) ? Number(text) : text); }),
    cell(run.seed, Number(run.seed)), value(run, "last"), value(run, "tail"), value(run, "best"),
    cell(run.error ? `failed: ${run.error}` : run.fate.told, run.fate.told, { class: "broke" }), cell(String(run.refused), run.refused), cell(run.seconds === null ? "" : run.seconds.toFixed(1), run.seconds ?? NaN)]));
}

/** Where something broke: a row for each rule and setting, with the number of seeds. */
export function broken(grid: Grid, results: Results, runs: Run[], styles: Styles): { total: number; of: number; told: string } {
  const axes = open(results).filter(axis => axis.key !== "rule");
  const all = groups(runs, ["rule", ...axes.map(axis => axis.key)]);
  const words: [string, (run: Run) => boolean][] = [["collapsed", run => run.fate.collapsed], ["diverged", run => run.fate.diverged], ["never learnt", run => run.fate.neverLearnt], ["skipped steps", run => run.fate.skipped > 0], ["failed", run => run.state === "failed"]];
  const rows: Cell[][] = [], counts = new Map<string, number>();
  for (const group of all) {
    const own = group.combos.flatMap(combo => combo.runs), told = words.map(([word, of]): [string, number] => [word, own.filter(of).length]).filter(([, count]) => count);
    if (!told.length) continue;
    for (const [word] of told) counts.set(word, (counts.get(word) ?? 0) + 1);
    rows.push([cell(own[0].line, own[0].line, { node: named(styles, own[0].line, own[0].rule) }), ...axes.map(axis => cell(group.at.get(axis.key) ?? "")),
      cell(told.map(([word, count]) => `${count} of ${own.length} ${word}`).join(", "), -told[0][1], { class: "broke" }),
      cell(withMean(results, own, "best"), mean(own.flatMap(run => run.final ? [run.final.best] : []))), cell(withMean(results, own, "last"), mean(own.flatMap(run => run.final ? [run.final.last] : [])))]);
  }
  grid.fill([{ text: "rule", numeric: false }, ...axes.map(axis => ({ text: axis.key, numeric: false })), { text: "what broke", numeric: false }, { text: "best", numeric: true }, { text: "last", numeric: true }], rows);
  const told = [...counts].map(([word, count]) => `${word} in ${count}`).join(", ");
  return { total: rows.length, of: all.length, told };
}
const withMean = (results: Results, runs: Run[], of: "best" | "last"): string => {
  const values = runs.flatMap(run => run.final ? [run.final[of]] : []);
  return values.length ? shown(results, mean(values)) : "";
};

/** Rows that the server refused, by rule, attack and reason. */
export function refusals(grid: Grid, runs: Run[], styles: Styles): number {
  const all = new Map<string, { run: Run; reason: string; rows: number; runs: number; workers: Set<string> }>();
  for (const run of runs) {
    const seen = new Set<string>();
    for (const one of run.refusals) {
      const key = JSON.stringify([run.line, run.attack, one.reason]), known = all.get(key) ?? { run, reason: one.reason, rows: 0, runs: 0, workers: new Set<string>() };
      known.rows += one.rows; known.workers.add(one.worker);
      if (!seen.has(key)) known.runs++;
      seen.add(key); all.set(key, known);
    }
  }
  grid.fill([{ text: "rule", numeric: false }, { text: "attack", numeric: false }, { text: "reason", numeric: false }, { text: "rows", numeric: true }, { text: "runs", numeric: true }, { text: "workers", numeric: false }],
    [...all.values()].map(one => [cell(one.run.line, one.run.line, { node: named(styles, one.run.line, one.run.rule) }), cell(one.run.attack), cell(one.reason), cell(String(one.rows), one.rows), cell(String(one.runs), one.runs), cell([...one.workers].sort().slice(0, 20).join(" "))]));
  return all.size;
}

/** What runs cost: seconds, bytes, by rule. */
export function costs(grid: Grid, results: Results, runs: Run[], styles: Styles): void {
  const beside = results.metrics.map((metric, k) => ({ metric, k })).filter(one => one.metric.name.startsWith("bytes/"));
  const all = groups(runs, ["rule", ...results.axes.filter(axis => axis.tied).map(axis => axis.key)]);
  grid.fill([{ text: "rule", numeric: false }, { text: "runs", numeric: true }, { text: "seconds a run", numeric: true }, { text: "milliseconds a step", numeric: true }, { text: "seconds in all", numeric: true }, ...beside.map(one => ({ text: one.metric.label, numeric: true }))],
    all.map(group => {
      const own = group.combos.flatMap(combo => combo.runs), seconds = own.flatMap(run => run.seconds === null ? [] : [run.seconds]), sum = seconds.reduce((a, b) => a + b, 0);
      const steps = own.reduce((total, run) => total + run.fate.steps, 0);
      return [cell(own[0].line, own[0].line, { node: named(styles, own[0].line, own[0].rule) }), cell(String(own.length), own.length), cell(seconds.length ? short(mean(seconds)) : "", mean(seconds)), cell(steps ? short(1000 * sum / steps) : "", 1000 * sum / steps), cell(short(sum), sum),
        ...beside.map(({ k }) => { const values = own.flatMap(run => run.series.find(one => one.metric === k)?.curve.map(point => point[1] ?? NaN) ?? []); return cell(values.length ? short(mean(values)) : "", mean(values)); })];
    }));
}
