// Curves, and ends against a setting, by facets that the reader chooses.

import * as Plot from "@observablehq/plot";
import { measured, open, type Results, type Run } from "./data";
import { choose, h, visible } from "./dom";
import { Figure, other, otherDashes, otherMark, percent, short, type Drawn, type Row, type Styles } from "./figure";
import { groups, judge, order, told, type Group, type Rest } from "./groups";
import { interval, mean } from "./stats";
import { shortened } from "./answer";

export type Band = "interval" | "range" | "seeds" | "none";
export interface Choice { x: string; colour: string; column: string; row: string; metric: number; band: Band; rest: Rest }

interface Place { x: number | string; y: number; low: number; high: number; colour: string; column: string; row: string;
  runs: Run[]; line: string; z: string }

/** Panels of a figure at most, lines of a panel at most, points of a line at most. */
const PANELS = 36, LINES = 24, POINTS = 160;

export class Explorer {
  readonly figure: Figure;
  private choice: Choice;
  private results!: Results;
  private runs: Run[] = [];
  private controls = h("div", { class: "choices" });

  constructor(name: string, private styles: () => Styles, private show: (run: Run) => void, start: Partial<Choice>, private kind: "curves" | "ends") {
    this.choice = { x: "step", colour: "rule", column: "attack", row: "", metric: -1, band: "interval", rest: "worst", ...start };
    this.figure = new Figure(name, styles, [this.controls]);
  }

  take(results: Results, runs: Run[], fresh: boolean): void {
    this.results = results;
    this.runs = runs;
    if (fresh) this.settle();
    this.ask();
    this.figure.draw(this.drawn());
  }

  /** Sensible places for what varies, at first. */
  private settle(): void {
    const keys = open(this.results).map(axis => axis.key);
    const own = this.choice;
    if (!keys.includes(own.colour)) own.colour = keys[0] ?? "rule";
    if (!keys.includes(own.column)) own.column = keys.find(key => key !== own.colour) ?? "";
    if (this.kind === "ends") {
      const rest = keys.filter(key => key !== own.colour && key !== own.column);
      const numeric = (key: string) => this.results.axes.find(axis => axis.key === key)!.values.every(value => Number.isFinite(Number(value)));
      own.x = rest.find(numeric) ?? rest[0] ?? keys.find(key => key !== own.colour) ?? "rule";
      if (own.x === own.column) own.column = "";
    }
    const few = (key: string) => this.results.axes.find(axis => axis.key === key)!.values.length <= 6;
    if (!own.row) own.row = keys.filter(key => ![own.colour, own.column, own.x].includes(key)).find(few) ?? "";
  }

  private ask(): void {
    const keys = open(this.results).map(axis => axis.key), own = this.choice;
    const redraw = () => { this.ask(); this.figure.draw(this.drawn()); };
    const pick = (label: string, key: "x" | "colour" | "column" | "row", more: { value: string; label?: string }[]) =>
      choose(label, [...more, ...keys.map(value => ({ value }))], own[key], value => {
        // What has a place already changes places.
        for (const place of ["x", "colour", "column", "row"] as const) {
          if (place !== key && value && own[place] === value) own[place] = place === "colour" || place === "x" ? own[key] : "";
        }
        own[key] = value;
        redraw();
      });
    const none = [{ value: "", label: "–" }];
    const parts = [
      pick("x", "x", this.kind === "curves" ? [{ value: "step" }] : []),
      pick("colour", "colour", []), pick("columns", "column", none), pick("rows", "row", none),
      choose("shows", [{ value: "-1", label: this.results.metric.replace("_", " ") }, ...this.results.metrics.map((one, k) => (
        { value: String(k), label: one.label }))], String(own.metric), value => { own.metric = Number(value); redraw(); }),
      choose("band", [{ value: "interval", label: "95 % interval" }, { value: "range", label: "range of seeds" },
        { value: "seeds", label: "each seed" }, { value: "none", label: "none" }], own.band,
      value => { own.band = value as Band; redraw(); }),
      choose("other settings", [{ value: "worst", label: "the worst of them" }, { value: "mean", label: "their mean" }], own.rest,
        value => { own.rest = value as Rest; redraw(); }),
    ];
    const before = document.activeElement?.closest<HTMLElement>("label")?.textContent;
    const focused = this.controls.contains(document.activeElement);
    this.controls.replaceChildren(...parts);
    // Whoever moves by keyboard stays where he was.
    if (focused) parts.find(part => part.textContent === before)?.querySelector("select")?.focus();
  }

  private get share(): boolean {
    return this.choice.metric < 0 ? this.results.metric === "accuracy" : this.results.metrics[this.choice.metric]?.share === true;
  }

  drawn(): Drawn | null {
    const own = this.choice, dims = [own.colour, own.column, own.row, own.x].filter((key, k, all) => key && key !== "step" && all.indexOf(key) === k);
    const all = groups(this.runs.filter(run => measured(run, own.metric).length), dims);
    const places: Place[] = [], singles: Place[] = [];
    for (const group of all) this.place(group, places, singles);
    if (!places.length && !singles.length) return null;
    return this.plotted(places, singles, dims);
  }

  /** The points of a group: those of its curve, or its end. */
  private place(group: Group, places: Place[], singles: Place[]): void {
    const own = this.choice, results = this.results, at = (key: string) => key ? group.at.get(key) ?? "" : "";
    const spot = { colour: at(own.colour), column: at(own.column), row: at(own.row) };
    const line = [own.colour, own.column, own.row].filter(Boolean).map(key => key === "rule" || key === "attack" ? at(key) : `${key}=${at(key)}`).join(", ");
    const z = JSON.stringify(spot);
    let runs: Run[];
    if (own.rest === "worst") runs = (judge(group, "worst", results.higher)?.combo ?? group.combos[0]).runs;
    else runs = group.combos.flatMap(combo => combo.runs);
    const bySeed = new Map<string, Run[]>();
    for (const run of runs) { const known = bySeed.get(run.seed); if (known) known.push(run); else bySeed.set(run.seed, [run]); }
    if (own.x !== "step") {
      const values = [...bySeed.values()].map(some => mean(some.map(run => this.end(run)))).filter(Number.isFinite);
      if (!values.length) return;
      const x = at(own.x);
      places.push({ ...spot, x: this.numeric ? Number(x) : x, y: mean(values), ...this.band(values), runs, line, z });
      if (own.band === "seeds") values.forEach(y => singles.push({ ...spot, x: this.numeric ? Number(x) : x, y, low: NaN, high: NaN, runs, line, z }));
      return;
    }
    const seeds = [...bySeed.values()].map(some => {
      const curves = some.map(run => measured(run, own.metric)), shortest = Math.min(...curves.map(curve => curve.length));
      return Array.from({ length: shortest }, (_, k): [number, number] => [curves[0][k][0], mean(curves.map(curve => curve[k][1] ?? NaN))]);
    });
    const length = Math.min(...seeds.map(seed => seed.length)), stride = Math.ceil(length / POINTS) || 1;
    for (let k = 0; k < length; k = k + stride < length || k === length - 1 ? k + stride : length - 1) {
      const values = seeds.map(seed => seed[k][1]);
      places.push({ ...spot, x: seeds[0][k][0], y: mean(values), ...this.band(values), runs, line, z });
    }
    if (own.band === "seeds") seeds.forEach((seed, s) => seed.forEach(([x, y], k) => {
      if (k % stride === 0 || k === seed.length - 1) singles.push({ ...spot, x, y, low: NaN, high: NaN, runs, line, z: z + s });
    }));
  }

  private end(run: Run): number {
    if (this.choice.metric < 0) return run.final ? run.final.tail : NaN;
    const curve = measured(run, this.choice.metric).slice(-10).map(point => point[1] ?? NaN);
    return mean(curve);
  }

  private get numeric(): boolean {
    const axis = this.results.axes.find(one => one.key === this.choice.x);
    return !!axis && axis.values.every(value => value !== "" && Number.isFinite(Number(value)));
  }

  private band(values: number[]): { low: number; high: number } {
    if (this.choice.band === "range" && values.length > 1) return { low: Math.min(...values), high: Math.max(...values) };
    const { mean: middle, half } = this.choice.band === "interval" ? interval(values) : { mean: 0, half: NaN };
    // A share lies between 0 and 1, and so does what a reader sees of its interval.
    const bounded = (x: number) => this.share ? Math.max(0, Math.min(1, x)) : x;
    return { low: bounded(middle - half), high: bounded(middle + half) };
  }

  private plotted(places: Place[], singles: Place[], dims: string[]): Drawn {
    const own = this.choice, results = this.results, styles = this.styles();
    const sorted = (key: string, values: Iterable<string>) => {
      const place = order(results, key);
      return [...new Set(values)].sort((a, b) => (place.get(a) ?? 1e9) - (place.get(b) ?? 1e9));
    };
    let columns = sorted(own.column, places.map(place => place.column)), rows = sorted(own.row, places.map(place => place.row));
    const all = columns.length * rows.length;
    columns = columns.slice(0, 12); rows = rows.slice(0, Math.max(1, Math.floor(PANELS / columns.length)));
    const every = sorted(own.colour, places.map(place => place.colour)), colours = every.slice(0, LINES);
    const kept = (one: Place) => columns.includes(one.column) && rows.includes(one.row) && colours.includes(one.colour);
    places = places.filter(kept);
    singles = singles.filter(kept);
    const paint = (value: string) => own.colour === "rule" ? styles.colour(value) : other(every.indexOf(value));
    const dash = (value: string) => own.colour === "rule" ? styles.dashes(value) : otherDashes(every.indexOf(value));
    const mark = (value: string) => own.colour === "rule" ? styles.mark(value) : otherMark(every.indexOf(value));
    const finite = places.filter(place => Number.isFinite(place.y)), values = finite.map(place => place.y);
    const positive = values.filter(value => value > 0);
    const log = !this.share && positive.length > 0 && Math.max(...spread(positive)) > 100 * Math.min(...spread(positive));
    const wide = Math.max(280, Math.min(1200, document.getElementById("page")?.clientWidth ?? 900) - 24);
    const fit = Math.max(1, Math.min(columns.length, Math.floor(wide / 165)));
    // A narrow screen shows panels below one another, as pairs of a column and a row.
    const wrap = fit < columns.length;
    const at = (one: Place) => {
      if (!wrap) return { fx: one.column, fy: one.row };
      const k = rows.indexOf(one.row) * columns.length + columns.indexOf(one.column);
      return { fx: k % fit, fy: Math.floor(k / fit) };
    };
    const facets = wrap ? Math.ceil(rows.length * columns.length / fit) : rows.length;
    const place = wrap || columns.length > 1 || own.column ? { fx: (d: Place) => at(d).fx } : {};
    const across = wrap || rows.length > 1 || own.row ? { fy: (d: Place) => at(d).fy } : {};
    const where = { ...place, ...across } as Record<string, (d: Place) => string | number>;
    const marks: Plot.Markish[] = [Plot.gridY({ strokeOpacity: 0.12 })];
    const label = (one: Place) => `${visible(one.line)}\n${own.x === "step" ? "step" : own.x} ${visible(String(one.x))}: ${this.said(one.y)}`
      + (Number.isFinite(one.low) ? `\nfrom ${this.said(one.low)} to ${this.said(one.high)}` : "")
      + `\n${new Set(one.runs.map(run => run.seed)).size} seeds${own.rest === "worst" && this.hidden(dims).length ? "; " + visible(told(one.runs[0], this.hidden(dims))) : ""}`;
    const numeric = own.x === "step" || this.numeric;
    for (const value of colours) {
      const mine = places.filter(one => one.colour === value), line = { stroke: paint(value), strokeWidth: 1.8, strokeDasharray: dash(value) || undefined };
      if (own.band === "seeds") marks.push(Plot.line(singles.filter(one => one.colour === value), { x: "x", y: "y", z: "z", ...where, ...line, strokeWidth: 0.8, strokeOpacity: 0.6, ...(own.x === "step" ? {} : { stroke: "none" }) }));
      if (own.band === "seeds" && own.x !== "step") marks.push(Plot.dot(singles.filter(one => one.colour === value), { x: "x", y: "y", ...where, r: 2, fill: paint(value), fillOpacity: 0.6 }));
      const banded = mine.filter(one => Number.isFinite(one.low));
      if (banded.length && own.x === "step") marks.push(Plot.areaY(banded, { x: "x", y1: "low", y2: "high", z: "z", ...where, fill: paint(value), fillOpacity: 0.14 }));
      if (banded.length && own.x !== "step") marks.push(Plot.link(banded, { x1: "x", x2: "x", y1: "low", y2: "high", ...where, stroke: paint(value), strokeOpacity: 0.7 }));
      if (own.band !== "seeds" || own.x !== "step") marks.push(Plot.line(mine, { x: "x", y: "y", z: "z", ...where, ...line, sort: own.x === "step" ? undefined : "x" }));
      const stride = Math.max(1, Math.ceil(mine.length / Math.max(1, new Set(mine.map(one => one.z)).size) / 6));
      marks.push(Plot.dot(mine.filter((_, k) => own.x !== "step" || k % stride === every.indexOf(value) % stride),
        { x: "x", y: "y", ...where, symbol: mark(value) as Plot.SymbolType, r: 3, fill: paint(value), stroke: paint(value) }));
      const left = mine.filter((one, k) => !Number.isFinite(one.y) && (k === 0 || mine[k - 1].z !== one.z || Number.isFinite(mine[k - 1].y)));
      if (left.length) marks.push(Plot.text(left, { x: "x", text: () => "✕", frameAnchor: "top", dy: 4, ...where, fill: paint(value) }));
    }
    if (wrap) {
      const letters = Math.floor((wide - 60) / fit / 6.8);
      const heads = rows.flatMap(row => columns.map(column => ({ column, row } as Place)));
      marks.push(Plot.text(heads, { ...where, text: (d: Place) => [d.column, d.row && (d.row.length + own.row.length + 1 > letters ? d.row : `${own.row}=${d.row}`)].filter(Boolean).map(one => shortened(visible(one), letters)).join("\n"), lineAnchor: "top", frameAnchor: "top-left", dy: own.column && own.row ? -30 : -16 }));
    }
    marks.push(Plot.tip(finite.filter(kept), Plot.pointer({ x: "x", y: "y", ...where, title: label, format: { fx: false, fy: false } } as Plot.TipOptions)));
    const rowName = (d: string) => own.row === "attack" || own.row === "rule" ? visible(d) : `${own.row}\n${visible(d)}`;
    const side = Math.min(150, 14 + 6.8 * rows.reduce((most, row) => Math.max(most, ...rowName(row).split("\n").map(part => part.length)), 3));
    const high = wrap ? 150 : Math.max(120, Math.min(240, 520 / rows.length));
    const options: Plot.PlotOptions = {
      width: wide, height: 60 + facets * (high + (wrap ? 40 : 0)), marginLeft: 48, marginRight: wrap || !own.row ? 12 : side, marginTop: wrap ? 40 : 34, marginBottom: 34, insetTop: 6,
      x: { label: own.x, ...(numeric ? { ticks: 4, tickFormat: "~s" } : { type: "point", domain: sorted(own.x, places.map(one => String(one.x))), tickFormat: (d: string) => visible(d), tickRotate: -20 }) },
      y: { label: null, type: log ? "log" : "linear", ...(this.share ? { domain: [0, 1], tickFormat: "%" } : {}), ticks: 5 },
      fx: { label: null, padding: 0.08, ...(wrap ? { axis: null } : { domain: columns, tickFormat: (d: string) => shortened(visible(d), Math.floor((wide - 60) / columns.length / 6.8)) }) },
      fy: { label: null, padding: wrap ? 0.28 : 0.12, ...(wrap ? { axis: null } : { domain: rows, tickFormat: (d: string) => rowName(d).split("\n").map(part => shortened(part, Math.floor((side - 10) / 6.8))).join("\n") }) },
      marks,
    };
    if (!numeric) options.marginBottom = 70;
    const name = own.metric < 0 ? results.metric.replace("_", " ") : results.metrics[own.metric]?.label ?? "";
    const legend = colours.map(value => ({ line: own.colour === "rule" || own.colour === "attack" ? value : `${own.colour}=${value}`, rule: value }));
    const data: Row[] = places.map(one => {
      const row: Row = {};
      if (own.colour) row[own.colour] = one.colour;
      if (own.column) row[own.column] = one.column;
      if (own.row) row[own.row] = one.row;
      row[own.x] = one.x; row["value"] = one.y;
      if (Number.isFinite(one.low)) { row["low"] = one.low; row["high"] = one.high; }
      return row;
    });
    return { options, rows: data, legend: own.colour === "rule" ? legend : undefined, caption: this.caption(name, dims, places, all - columns.length * rows.length, every.length - colours.length, legend, log),
      pick: datum => this.pick(datum as Place) };
  }

  private hidden(dims: string[]) { return open(this.results).filter(axis => !dims.includes(axis.key)); }

  private said = (x: number): string => this.share ? percent(x) : short(x);

  /** What the lines are, what they pool, what is not shown: no picture pools settings unsaid. */
  private caption(name: string, dims: string[], places: Place[], panels: number, lines: number, legend: { line: string }[], log: boolean): string {
    const own = this.choice, pooled = this.hidden(dims).filter(axis => new Set(this.runs.map(run => run.at.get(axis.key))).size > 1).map(axis => axis.key);
    const seeds = new Set(places.flatMap(one => one.runs.map(run => run.seed))).size;
    const parts = [own.x === "step" ? `${name} by step, mean over ${seeds === 1 ? "1 seed" : seeds + " seeds"}` : `${name}, mean of the last 10, over ${seeds} seeds, by ${own.x}`];
    if (log) parts.push("log scale");
    if (pooled.length) parts.push(own.rest === "worst" ? `of ${pooled.join(", ")} each line shows the worst value (by the mean of the last 10)` : `each line is a mean over ${pooled.join(", ")}`);
    if (own.band === "interval") parts.push(places.some(one => Number.isFinite(one.low)) ? "bands: Student's 95 % interval over seeds" : "no bands: an interval needs three seeds");
    if (own.band === "range") parts.push("bands: from the least to the most seed");
    if (own.colour !== "rule") parts.push("colours: " + legend.map((one, k) => `${one.line} (${["blue", "orange", "green", "pink", "light blue", "yellow", "black"][k % 7]})`).join(", "));
    if (places.some(one => !Number.isFinite(one.y))) parts.push("✕: not finite from there on");
    if (panels > 0) parts.push(`${panels} more panels are not shown: filter to see them`);
    if (lines > 0) parts.push(`${lines} more lines are not shown: filter to see them`);
    return visible(parts.join("; ")) + ".";
  }

  private pick(one: Place): Node | null {
    if (!one?.runs) return null;
    const links = one.runs.slice(0, 12).map(run => h("button", { type: "button", class: "link", click: () => this.show(run) }, `seed ${visible(run.seed)}`));
    return h("span", {}, `${visible(one.line)}, ${this.choice.x} ${visible(String(one.x))}: ${this.said(one.y)}. Runs: `, ...links.flatMap(link => [link, " "]));
  }
}

/** The ends of a list, however long it is. */
function spread(values: number[]): number[] {
  return [values.reduce((a, b) => Math.min(a, b), Infinity), values.reduce((a, b) => Math.max(a, b), -Infinity)];
}
