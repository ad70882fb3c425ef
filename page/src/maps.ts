// Heat maps of any two things that vary, and boxes over everything else.

import * as Plot from "@observablehq/plot";
import { open, type Results, type Run } from "./data";
import { choose, h, visible } from "./dom";
import { Figure, short, shown, withHalf, type Drawn, type Styles } from "./figure";
import { groups, judge, marks, order, told, type Judged, type Rest } from "./groups";
import { shortened } from "./answer";


export class HeatMap {
  readonly figure: Figure;
  private controls = h("div", { class: "choices" });
  private rows = "rule"; private columns = "attack"; private by = ""; private rest: Rest = "worst";
  private results!: Results; private runs: Run[] = [];

  constructor(name: string, styles: () => Styles, private show: (run: Run) => void, private hetero: boolean) {
    this.figure = new Figure(name, styles, [this.controls]);
  }

  take(results: Results, runs: Run[], fresh: boolean): void {
    this.results = results; this.runs = runs;
    const keys = open(results).map(axis => axis.key);
    if (fresh) {
      if (this.hetero) {
        // How many attack, against how unlike the data are: whichever of them varies.
        const f = ["f_real", "f", "n"].find(key => keys.includes(key)), data = ["partition", "data_seed", "sampling", "batch", "learning_rate"].find(key => keys.includes(key));
        const rest = keys.filter(key => key !== "rule" && key !== "attack");
        this.rows = data ?? rest.find(key => key !== f) ?? "rule"; this.columns = f ?? rest.find(key => key !== this.rows) ?? "attack"; this.by = keys.includes("rule") && this.rows !== "rule" ? "rule" : "";
      } else {
        this.rows = keys.includes("rule") ? "rule" : keys[0] ?? "rule"; this.columns = keys.includes("attack") ? "attack" : keys.find(key => key !== this.rows) ?? "attack"; this.by = "";
      }
    }
    this.ask(keys);
    this.figure.draw(this.drawn());
  }

  private ask(keys: string[]): void {
    const redraw = () => { this.ask(keys); this.figure.draw(this.drawn()); };
    const all = keys.map(value => ({ value }));
    const focused = this.controls.contains(document.activeElement) ? (document.activeElement as HTMLElement).dataset.choice : undefined;
    this.controls.replaceChildren(
      choose("rows", all, this.rows, value => { if (value === this.columns) this.columns = this.rows; if (value === this.by) this.by = ""; this.rows = value; redraw(); }),
      choose("columns", all, this.columns, value => { if (value === this.rows) this.rows = this.columns; if (value === this.by) this.by = ""; this.columns = value; redraw(); }),
      choose("a map for each", [{ value: "", label: "–" }, ...all.filter(one => one.value !== this.rows && one.value !== this.columns)], this.by, value => { this.by = value; redraw(); }),
      choose("other settings", [{ value: "worst", label: "the worst of them" }, { value: "mean", label: "their mean" }], this.rest, value => { this.rest = value as Rest; redraw(); }));
    if (focused) this.controls.querySelector<HTMLElement>(`[data-choice="${focused}"]`)?.focus();
  }

  private drawn(): Drawn | null {
    const { results, rows, columns, by, rest } = this, share = results.metric === "accuracy";
    const dims = [rows, columns, by].filter((key, k, all) => key && all.indexOf(key) === k);
    const cells = groups(this.runs, dims).flatMap(group => {
      const judged = judge(group, rest, results.higher);
      return judged ? [{ row: group.at.get(rows) ?? "", column: group.at.get(columns) ?? "", by: by ? group.at.get(by) ?? "" : "", value: judged.mean, judged }] : [];
    });
    if (!cells.length) return null;
    type Cell = typeof cells[number];
    const sorted = (key: string, of: (cell: Cell) => string) => {
      const place = order(results, key);
      return [...new Set(cells.map(of))].sort((a, b) => (place.get(a) ?? 1e9) - (place.get(b) ?? 1e9));
    };
    const most = 60, down = sorted(rows, cell => cell.row).slice(0, most), across = sorted(columns, cell => cell.column).slice(0, most);
    const wide = Math.max(280, Math.min(1200, document.getElementById("page")?.clientWidth ?? 900) - 24);
    const name = (key: string, value: string) => visible(key === "rule" || key === "attack" ? value : `${key}=${value}`);
    const left = Math.min(wide < 500 ? 125 : 280, 20 + 7.2 * down.reduce((most, value) => Math.max(most, name(rows, value).length), 3));
    const each = by ? sorted(by, cell => cell.by).slice(0, 12) : [""];
    const fit = Math.max(1, Math.min(each.length, Math.floor((wide - left) / Math.max(150, 46 * across.length))));
    const lines = Math.ceil(each.length / fit), where = by ? { fx: (cell: Cell) => each.indexOf(cell.by) % fit, fy: (cell: Cell) => Math.floor(each.indexOf(cell.by) / fit) } : {};
    const kept = cells.filter(cell => down.includes(cell.row) && across.includes(cell.column) && each.includes(cell.by));
    const finite = kept.map(cell => cell.value).filter(Number.isFinite), positive = finite.filter(x => x > 0);
    const low = finite.reduce((a, b) => Math.min(a, b), Infinity), high = finite.reduce((a, b) => Math.max(a, b), -Infinity);
    const log = !share && positive.length === finite.length && positive.length > 0 && high > 100 * low;
    const part = (x: number) => share ? x : log ? (Math.log(x) - Math.log(low)) / (Math.log(high) - Math.log(low) || 1) : (x - low) / (high - low || 1);
    // Cividis runs from dark blue to light yellow: letters are white on the dark part.
    const ink = (cell: Cell) => !Number.isFinite(cell.value) ? "#111" : part(cell.value) > 0.5 ? "#111" : "#fff";
    const room = (wide - left - 12) / fit / across.length;
    const figures = (cell: Cell) => (share ? (Number.isFinite(cell.value) ? (100 * cell.value).toFixed(room < 44 ? 0 : 1) : "✕") : Number.isFinite(cell.value) ? short(cell.value) : "✕") + (room > 64 && marks(cell.judged.runs) ? " " + marks(cell.judged.runs) : "");
    const heads = each.map(value => ({ by: value }) as Cell);
    const axes = open(results).filter(axis => !dims.includes(axis.key));
    const pooled = axes.filter(axis => new Set(this.runs.map(run => run.at.get(axis.key))).size > 1).map(axis => axis.key);
    return {
      options: {
        width: wide, height: 76 + lines * (30 * down.length + (by ? 40 : 0)), marginLeft: left, marginTop: by ? 30 : 16, marginBottom: 54, padding: 0.04,
        x: { label: null, domain: across, type: "band", tickFormat: (value: string) => shortened(name(columns, value), Math.max(4, Math.floor(room / 6.2 * (room < 70 ? 1.8 : 1)))), tickRotate: room < 70 ? -30 : 0, tickSize: 0 },
        y: { label: null, domain: down, type: "band", tickFormat: (value: string) => shortened(name(rows, value), Math.floor((left - 14) / 7)), tickSize: 0 },
        ...(by ? { fx: { axis: null, padding: 0.05 }, fy: { axis: null, padding: 0.22 } } : {}),
        color: { type: log ? "log" : "linear", scheme: "cividis", ...(share ? { domain: [0, 1] } : {}), unknown: "#bbb" },
        marks: [
          Plot.cell(kept, { x: "column", y: "row", fill: (cell: Cell) => Number.isFinite(cell.value) ? cell.value : NaN, ...where, inset: 0.5 }),
          Plot.text(kept, { x: "column", y: "row", text: figures, fill: ink, ...where, fontSize: room < 44 ? 10 : 12 }),
          ...(by ? [Plot.text(heads, { ...where, text: (cell: Cell) => name(by, cell.by), frameAnchor: "top-left", dy: -16, fontWeight: 600 })] : []),
          Plot.tip(kept, Plot.pointer({ x: "column", y: "row", ...where, title: (cell: Cell) => `${name(rows, cell.row)} × ${name(columns, cell.column)}\n${withHalf(results, cell.value, cell.judged.half)}\n${cell.judged.combo ? visible(told(cell.judged.runs[0], axes)) : ""}${broke(cell.judged)}`, format: { fx: false, fy: false } } as Plot.TipOptions)),
        ],
      },
      caption: visible(`${share ? "Accuracy, %" : "Test loss"}, mean of the last 10${pooled.length ? (rest === "worst" ? `; the worst over ${pooled.join(", ")}` : `; the mean over ${pooled.join(", ")}`) : ""}. A letter after ! says what broke in some of the runs; ✕ is not finite; no cell: not run.`),
      rows: kept.map(cell => ({ [rows]: cell.row, [columns]: cell.column, ...(by ? { [by]: cell.by } : {}), value: cell.value, half: cell.judged.half, seeds: cell.judged.values.length, broke: marks(cell.judged.runs) })),
      pick: datum => {
        const cell = datum as Cell;
        return h("span", {}, `${name(rows, cell.row)} × ${name(columns, cell.column)}: ${shown(results, cell.value)}. Runs: `, ...cell.judged.runs.slice(0, 12).flatMap(run => [h("button", { type: "button", class: "link", click: () => this.show(run) }, `seed ${visible(run.seed)}`), " "]));
      },
    };
  }
}

const broke = (judged: Judged): string => {
  const told = [...new Set(judged.runs.map(run => run.fate.told).filter(Boolean))];
  return told.length ? `\n${visible(told.join("; "))}` : "";
};

export class Boxes {
  readonly figure: Figure;
  private controls = h("div", { class: "choices" });
  private of: "tail" | "last" | "best" = "tail"; private by = "attack";
  private results!: Results; private runs: Run[] = [];

  constructor(private styles: () => Styles) { this.figure = new Figure("Spread over settings and seeds", styles, [this.controls]); }

  take(results: Results, runs: Run[]): void {
    this.results = results; this.runs = runs;
    this.ask();
    this.figure.draw(this.drawn());
  }

  private ask(): void {
    const redraw = () => { this.ask(); this.figure.draw(this.drawn()); };
    const focused = this.controls.contains(document.activeElement) ? (document.activeElement as HTMLElement).dataset.choice : undefined;
    this.controls.replaceChildren(
      choose("value", [{ value: "tail", label: "mean of the last 10" }, { value: "last", label: "last" }, { value: "best", label: "best" }], this.of, value => { this.of = value as "tail"; redraw(); }),
      choose("columns", [{ value: "", label: "–" }, ...open(this.results).map(axis => ({ value: axis.key })).filter(one => one.value !== "rule")], this.by, value => { this.by = value; redraw(); }));
    if (focused) this.controls.querySelector<HTMLElement>(`[data-choice="${focused}"]`)?.focus();
  }

  private drawn(): Drawn | null {
    const { results, of, by } = this, share = results.metric === "accuracy", styles = this.styles();
    const data = this.runs.filter(run => run.final && Number.isFinite(run.final[of])).map(run => ({ run, line: run.line, rule: run.rule, value: run.final![of], by: run.at.get(by) ?? "" }));
    if (!data.length) return null;
    const place = order(results, by), lines = [...new Set(data.map(one => one.line))].slice(0, 40);
    const columns = [...new Set(data.map(one => one.by))].sort((a, b) => (place.get(a) ?? 1e9) - (place.get(b) ?? 1e9)).slice(0, 12);
    const kept = data.filter(one => lines.includes(one.line) && columns.includes(one.by));
    const wide = Math.max(280, Math.min(1200, document.getElementById("page")?.clientWidth ?? 900) - 24);
    const left = Math.min(wide < 500 ? 125 : 240, 20 + 7.2 * lines.reduce((most, line) => Math.max(most, line.length), 3));
    const fit = Math.max(1, Math.min(columns.length, Math.floor((wide - left) / 150))), rows = Math.ceil(columns.length / fit);
    const k = (one: { by: string }) => columns.indexOf(one.by);
    const where = { fx: (one: { by: string }) => k(one) % fit, fy: (one: { by: string }) => Math.floor(k(one) / fit) };
    const values = kept.map(one => one.value).filter(x => x > 0);
    const log = !share && values.length > 0 && values.reduce((a, b) => Math.max(a, b), 0) > 100 * values.reduce((a, b) => Math.min(a, b), Infinity);
    return {
      options: {
        width: wide, height: 50 + rows * (26 * lines.length + 34), marginLeft: left, marginTop: 26, marginBottom: 30,
        x: { label: null, ...(share ? { domain: [0, 1], tickFormat: "%" } : { type: log ? "log" : "linear" }), ticks: 3, grid: true },
        y: { label: null, domain: lines, type: "band", tickFormat: (line: string) => shortened(visible(line), Math.floor((left - 14) / 7)) },
        fx: { axis: null, padding: 0.1 }, fy: { axis: null, padding: 0.2 },
        marks: [
          ...lines.map(line => {
            const own = kept.filter(one => one.line === line), colour = styles.colour(own[0]?.rule ?? "");
            return Plot.boxX(own, { x: "value", y: "line", ...where, stroke: colour, fill: colour, fillOpacity: 0.25, r: 2 });
          }),
          Plot.text(columns.map(value => ({ by: value })), { ...where, text: (one: { by: string }) => by ? visible(by === "attack" ? one.by : `${by}=${one.by}`) : "", frameAnchor: "top-left", dy: -14, fontWeight: 600 }),
        ],
      },
      caption: visible(`${results.metric.replace("_", " ")}, ${of === "tail" ? "mean of the last 10" : of}: a box a rule over all runs of the choice, seeds and settings together; line: median, box: quartiles, whiskers: to the furthest run within one and a half boxes.`),
      rows: kept.map(one => ({ rule: one.line, [by || "all"]: one.by, seed: one.run.seed, value: one.value })),
    };
  }
}

