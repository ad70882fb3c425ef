// A picture with its caption, its files to take away, and its numbers as a table.

import * as Plot from "@observablehq/plot";
import type { Results, Style } from "./data";
import { csv, fresh, h, save, visible } from "./dom";
import { pdf } from "./pdf";

export type Row = Record<string, string | number>;
/** What is drawn: nothing where there is nothing to draw. */
export interface Drawn {
  options: Plot.PlotOptions;
  caption: string;
  rows: Row[];
  /** What a picked datum says, with a way to its runs. */
  pick?: (datum: unknown) => Node | null;
  legend?: { line: string; rule: string }[];
}

export const percent = (x: number): string => Number.isFinite(x) ? (100 * x).toFixed(1) + " %" : "not finite";
export function short(x: number): string {
  if (!Number.isFinite(x)) return "not finite";
  if (x === 0) return "0";
  const size = Math.abs(x);
  return size >= 1e-3 && size < 1e5 ? String(Number(x.toPrecision(3))) : x.toExponential(1).replace(".0e", "e").replace("+", "");
}
export const shown = (results: Results, x: number): string => results.metric === "accuracy" ? percent(x) : short(x);
/** "93.1 ± 0.4": a mean with half of its interval, where there is one. */
export function withHalf(results: Results, mean: number, half: number): string {
  if (results.metric !== "accuracy") return short(mean) + (Number.isFinite(half) ? " ± " + short(half) : "");
  if (!Number.isFinite(mean)) return "not finite";
  return (100 * mean).toFixed(1) + (Number.isFinite(half) ? " ± " + (100 * half).toFixed(1) : "") + " %";
}

/** How a rule is drawn everywhere: black follows the letters, so that it is seen on dark ground. */
export class Styles {
  private known = new Map<string, Style>();
  constructor(results: Results[]) {
    for (const one of results) for (const style of one.rules) if (!this.known.has(style.rule)) this.known.set(style.rule, style);
  }
  colour = (rule: string): string => {
    const colour = this.known.get(rule)?.colour ?? "#000000";
    return colour === "#000000" ? "currentColor" : colour;
  };
  dashes = (rule: string): string => this.known.get(rule)?.dashes ?? "";
  mark = (rule: string): string => MARKS[this.known.get(rule)?.mark ?? ""] ?? "circle";
}
const MARKS: Record<string, string> = { circle: "circle", square: "square", triangle: "triangle", diamond: "diamond",
  "triangle-down": "triangle2", cross: "times" };

/** Colours of what is no rule, for values without an order: Okabe and Ito's, as for rules. */
const OTHERS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "currentColor"];
export const other = (k: number): string => OTHERS[k % OTHERS.length];
const DASHES = ["", "7 3", "2 3", "9 3 2 3", "4 2 1 2 1 2"];
export const otherDashes = (k: number): string => DASHES[k % DASHES.length];
const SYMBOLS = ["circle", "square", "triangle", "diamond", "triangle2", "times"];
export const otherMark = (k: number): string => SYMBOLS[k % SYMBOLS.length];

function svgOf(name: string): string { return name.replace(/[^A-Za-z0-9._-]+/g, "-").slice(0, 80) || "figure"; }

/** The drawing in the letters of the page and on white, as its own file. */
function alone(plot: Element): { svg: SVGSVGElement; done: () => void } {
  const box = h("div", { class: "export", "data-theme": "light" });
  const svg = (plot.tagName === "svg" ? plot : plot.querySelector("svg[viewBox]") ?? plot.querySelector("svg"))!
    .cloneNode(true) as SVGSVGElement;
  svg.querySelectorAll("[aria-label=tip], [data-mark=tip]").forEach(tip => tip.remove());
  box.append(svg);
  document.body.append(box);
  return { svg, done: () => box.remove() };
}

/** An SVG's text: what a stylesheet said stands in attributes. */
function text(plot: Element): string {
  const { svg, done } = alone(plot);
  for (const node of [svg, ...svg.querySelectorAll<SVGElement>("*")]) {
    const style = getComputedStyle(node);
    for (const name of ["fill", "stroke", "color", "font-family", "font-size", "font-weight"]) {
      if (node.getAttribute(name) === "currentColor" || name.startsWith("font") && (node.tagName === "text" || node === svg))
        node.setAttribute(name, style.getPropertyValue(name === "color" ? "color" : name));
    }
    node.removeAttribute("style");
    node.removeAttribute("class");
  }
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of [["width", "100%"], ["height", "100%"], ["fill", "#ffffff"]]) ground.setAttribute(name, value);
  svg.prepend(ground);
  const out = new XMLSerializer().serializeToString(svg);
  done();
  return out;
}

async function png(plot: Element): Promise<Blob> {
  const source = text(plot), image = new Image();
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(source);
  await image.decode();
  const canvas = h("canvas", { width: 3 * image.width, height: 3 * image.height });
  canvas.getContext("2d")!.drawImage(image, 0, 0, canvas.width, canvas.height);
  return await new Promise((take, fail) => canvas.toBlob(blob => blob ? take(blob) : fail(new Error("no picture")), "image/png"));
}

/** What Plot says of each mark is no name that a reader of screens may meet there: the whole has one. */
export function quiet(plot: Element): void {
  // Plot brings a style element of its own; the page's has the same, which its policy lets pass.
  plot.querySelectorAll("style").forEach(style => style.remove());
  for (const mark of plot.querySelectorAll("g[aria-label], g[aria-description], g[aria-roledescription]")) {
    mark.setAttribute("data-mark", mark.getAttribute("aria-label") ?? "");
    for (const name of ["aria-label", "aria-description", "aria-roledescription"]) mark.removeAttribute(name);
  }
}

/** A figure that draws itself anew when told so. */
export class Figure {
  readonly node: HTMLElement;
  private place = h("div", { class: "plot" });
  private caption = h("figcaption");
  private picked = h("p", { class: "picked", "aria-live": "polite" });
  private legend = h("p", { class: "legend" });
  private table = h("div", { class: "wide data", hidden: true, tabindex: "0", role: "region", "aria-label": "Numbers of the figure" });
  private rows: Row[] = [];
  private plot: Element | null = null;

  constructor(private name: string, private styles: () => Styles, controls: Node[] = []) {
    const id = fresh("data");
    this.table.id = id;
    const button = (label: string, title: string, take: () => void) =>
      h("button", { type: "button", title, "aria-label": title, click: take }, label);
    const data = button("Numbers", `The numbers of this figure as a table: ${name}`, () => {
      this.table.hidden = !this.table.hidden;
      data.setAttribute("aria-expanded", String(!this.table.hidden));
      if (!this.table.hidden) this.fill();
    });
    data.setAttribute("aria-expanded", "false");
    data.setAttribute("aria-controls", id);
    const tools = h("div", { class: "tools", role: "group", "aria-label": `Take away: ${name}` },
      button("SVG", `Export this figure as SVG: ${name}`, () => this.plot && save(svgOf(this.name) + ".svg", [text(this.plot)], "image/svg+xml")),
      button("PDF", `Export this figure as PDF: ${name}`, () => this.asPdf()),
      button("PNG", `Export this figure as PNG: ${name}`, async () => this.plot && save(svgOf(this.name) + ".png", [await png(this.plot)], "image/png")),
      button("CSV", `Export the numbers of this figure as CSV: ${name}`, () => save(svgOf(this.name) + ".csv", [csv(this.cells())], "text/csv")),
      data);
    this.node = h("figure", { class: "figure", "data-figure": name }, h("div", { class: "bar" }, h("div", { class: "controls" }, ...controls), tools),
      this.legend, this.place, this.picked, this.caption, this.table);
  }

  /** The PDF's bytes, for the file and for who wants to look at them. */
  bytes(): Uint8Array<ArrayBuffer> | null {
    if (!this.plot) return null;
    const { svg, done } = alone(this.plot);
    const bytes = pdf(svg);
    done();
    return bytes;
  }
  private asPdf(): void {
    const bytes = this.bytes();
    if (bytes) save(svgOf(this.name) + ".pdf", [bytes], "application/pdf");
  }

  private cells(): (string | number)[][] {
    const head = Object.keys(this.rows[0] ?? {});
    return [head, ...this.rows.map(row => head.map(name => row[name] ?? ""))];
  }

  private fill(): void {
    const [head, ...rows] = this.cells();
    const most = 200;
    this.table.replaceChildren(h("table", {},
      h("thead", {}, h("tr", {}, ...head.map(name => h("th", { scope: "col" }, visible(String(name)))))),
      h("tbody", {}, ...rows.slice(0, most).map(row => h("tr", {}, ...row.map(cell =>
        h("td", typeof cell === "number" ? { class: "n" } : {}, typeof cell === "number" ? short(cell) : visible(cell))))))),
      rows.length > most ? `and ${rows.length - most} more rows: CSV has all` : "");
  }

  draw(drawn: Drawn | null): void {
    this.picked.textContent = "";
    this.rows = drawn?.rows ?? [];
    this.legend.replaceChildren();
    if (!drawn) {
      this.plot = null;
      this.place.replaceChildren(h("p", { class: "note" }, "Nothing to show for this choice."));
      this.caption.textContent = "";
      return;
    }
    const plot = Plot.plot({ ...drawn.options, className: "vp", style: { fontSize: "12px" } }) as unknown as Element;
    quiet(plot);
    const svg = plot.tagName === "svg" ? plot : plot.querySelector("svg");
    svg?.setAttribute("role", "img");
    svg?.setAttribute("aria-label", `${visible(this.name)}. ${visible(drawn.caption)}`);
    if (drawn.pick) plot.addEventListener("input", () => {
      const datum = (plot as unknown as { value: unknown }).value;
      if (datum !== null && datum !== undefined) this.picked.replaceChildren(drawn.pick!(datum) ?? "");
    });
    this.plot = plot;
    this.place.replaceChildren(plot);
    const styles = this.styles();
    for (const { line, rule } of drawn.legend ?? []) this.legend.append(sample(styles, rule), visible(line));
    this.caption.textContent = visible(drawn.caption);
    if (!this.table.hidden) this.fill();
  }
}

/** A rule as it is drawn: its colour, dashes and mark. */
export function sample(styles: Styles, rule: string): SVGElement {
  const svg = Plot.plot({ width: 34, height: 14, margin: 2, axis: null, x: { domain: [0, 2] }, y: { domain: [-1, 1] }, className: "vp",
    marks: [
      Plot.line([[0, 0], [2, 0]], { stroke: styles.colour(rule), strokeWidth: 2, strokeDasharray: styles.dashes(rule) || undefined }),
      Plot.dot([[1, 0]], { symbol: styles.mark(rule) as Plot.SymbolType, r: 4, fill: styles.colour(rule), stroke: styles.colour(rule) }),
    ] }) as unknown as SVGElement;
  quiet(svg);
  svg.setAttribute("aria-hidden", "true");
  return svg;
}
