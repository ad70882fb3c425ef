// The leaderboard of the benchmark's entries: pipelines by settings, and behind each number how the
// accuracy went under its worst attack.

import * as Plot from "@observablehq/plot";
import type { Leaderboard, Place, Results, Standing } from "./data";
import { fresh, h, visible } from "./dom";
import { bare } from "./live";
import { Grid, type Cell } from "./tables";

const percent = (share: number): string => Number.isFinite(share) ? (100 * share).toFixed(1) : "-";

export class Board {
  private grid = new Grid("Leaderboard of the worst case", [], 100);
  private told = h("p", { class: "told" });
  private behind = h("div", { "aria-live": "polite" });
  private peek = h("figure", { class: "peek", role: "tooltip", id: fresh("peek"), hidden: true });
  readonly node = h("div", {}, this.told, this.grid.node, this.behind, this.peek);
  private now: HTMLElement | null = null;
  private leaving = 0;
  private seen = "";

  constructor() {
    // Whoever reads it may move onto it, and send it away without moving at all.
    this.peek.addEventListener("mouseenter", () => clearTimeout(this.leaving));
    this.peek.addEventListener("mouseleave", () => this.leave());
    document.addEventListener("keydown", event => { if (event.key === "Escape") this.hide(); });
    document.addEventListener("scroll", () => this.hide(), { capture: true, passive: true });
  }

  take(results: Results): void {
    const board = results.leaderboard, text = JSON.stringify(board);
    // What a reader has opened or looks at stays where nothing is new.
    if (!board || text === this.seen) return;
    this.seen = text;
    this.hide();
    this.behind.replaceChildren();
    const part = board.only ? `; of the protocol only ${board.only}` : "";
    this.told.textContent = visible(`Accuracy in %, the mean of each run's last ten evaluations. Worst case: the mean over settings under each setting's worst attack; usual five: had sign flips, flipped labels, ALIE, inner products and mimicry been all. Backdoor: of images with a hidden patch those taken for what the hostile workers want, beside how many are by chance. A number of a setting shows, under the pointer or with the focus, how the accuracy went; a pipeline's name every attack. Version ${board.version} of the ${board.tier} tier, protocol ${board.protocol}${part}.`);
    const settings = [...new Set(board.standings.flatMap(one => one.cells.map(cell => cell.setting)))];
    const number = (text: string) => ({ text, numeric: true }), word = (text: string) => ({ text, numeric: false });
    this.grid.fill([word("pipeline"), number("place"), number("worst case"), number("±"), number("usual five"), number("overstated"),
      ...settings.map(number), number("no attack"), number("f = 0"), word("worst by"), number("collapsed in %"), number("backdoor"), number("by chance"), word("κ proven / found"), number("time in means")],
    board.standings.map((one, k) => this.row(board, one, k, settings)));
  }

  private row(board: Leaderboard, one: Standing, k: number, settings: string[]): Cell[] {
    const share = (x: number, more: Partial<Cell> = {}): Cell => ({ text: percent(x), sort: Number.isFinite(x) ? 100 * x : NaN, ...more });
    const name = h("button", { type: "button", class: "link", click: () => this.open(board, one) }, visible(one.line));
    const cells = settings.map(setting => {
      const place = one.cells.find(cell => cell.setting === setting);
      return place ? share(place.worst, { node: this.cell(one, place), class: place.refused ? "broke" : "" }) : { text: "", sort: NaN };
    });
    const fallen = one.attacked ? one.collapsed / one.attacked : NaN;
    return [{ text: one.line, sort: one.line, node: name }, { text: String(k + 1), sort: k + 1 }, share(one.score, { class: "worst" }), share(one.half),
      share(one.usual), share(one.usual - one.score), ...cells, share(one.clean), share(one.calm), { text: one.by, sort: one.by },
      { text: percent(fallen), sort: 100 * fallen }, share(one.backdoor), share(one.chance), { text: one.kappa, sort: one.kappa }, { text: Number.isFinite(one.means) ? one.means.toFixed(1) : "-", sort: one.means }];
  }

  /** A number that shows its curves under the pointer and with the focus. */
  private cell(one: Standing, place: Place): HTMLElement {
    const show = () => { clearTimeout(this.leaving); this.show(button, one, place); };
    const button = h("button", { type: "button", class: "link", focus: show, mouseenter: show, mouseleave: () => this.leave(), blur: () => this.hide(), click: show },
      place.refused ? "refused" : percent(place.worst));
    return button;
  }

  private show(at: HTMLElement, one: Standing, place: Place): void {
    this.now?.removeAttribute("aria-describedby");
    this.now = at;
    at.setAttribute("aria-describedby", this.peek.id);
    const { curves } = place, head = h("figcaption", {}, h("b", {}, visible(one.line)), " ", h("small", {}, visible(place.setting)));
    const said = place.refused ? `The rule's bound leaves this setting out: a guess is worth ${percent(place.worst)} %.`
      : `Worst attack: ${place.by}, ${percent(place.worst)} %. No attack: ${percent(place.clean)} %. The usual five: ${percent(place.usual)} %.`;
    this.peek.replaceChildren(head, ...(curves ? [chart(one, place), h("p", { class: "note" }, "Solid: the worst attack; dashed: no attack.")] : []),
      h("p", {}, visible(said)), ...(curves || place.refused ? [] : [h("p", { class: "note" }, "No curve kept.")]));
    this.peek.hidden = false;
    const from = at.getBoundingClientRect(), own = this.peek.getBoundingClientRect();
    const below = from.bottom + own.height + 6 <= window.innerHeight;
    this.peek.style.left = `${Math.max(4, Math.min(from.left, window.innerWidth - own.width - 4))}px`;
    this.peek.style.top = `${below ? from.bottom + 4 : Math.max(4, from.top - own.height - 4)}px`;
  }

  private leave(): void {
    clearTimeout(this.leaving);
    this.leaving = window.setTimeout(() => { if (document.activeElement !== this.now) this.hide(); }, 150);
  }

  private hide(): void {
    this.now?.removeAttribute("aria-describedby");
    this.now = null;
    this.peek.hidden = true;
  }

  /** Every attack in every setting. */
  private open(board: Leaderboard, one: Standing): void {
    const attacks = [...new Set(one.cells.flatMap(cell => cell.attacks.map(under => under.attack)))];
    const rows: [string, (place: Place) => [number, number, boolean] | null][] = attacks.length
      ? attacks.map(attack => [attack, place => { const under = place.attacks.find(each => each.attack === attack); return under ? [under.accuracy, under.half, place.by === attack] : null; }])
      : [["the worst attack", place => place.refused ? null : [place.worst, NaN, true]], ["the worst of the usual five", place => place.refused ? null : [place.usual, NaN, false]], ["no attack", place => place.refused ? null : [place.clean, NaN, false]]];
    const line = ([name, of]: typeof rows[number]) => h("tr", {}, h("th", { scope: "row" }, visible(name)), ...one.cells.map(place => {
      const found = of(place);
      return h("td", { class: found?.[2] ? "n worst" : "n" }, found ? percent(found[0]) + (Number.isFinite(found[1]) ? ` ± ${percent(found[1])}` : "") : "-");
    }));
    this.behind.replaceChildren(h("h3", {}, visible(`${one.line}: every attack`)),
      h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": visible(`${one.line}: every attack`) }, h("table", {},
        h("caption", { class: "unseen" }, visible(`${one.line}: accuracy in %`)),
        h("thead", {}, h("tr", {}, ...["attack", ...one.cells.map(place => place.setting)].map(text => h("th", { scope: "col" }, visible(text))))),
        h("tbody", {}, ...rows.map(line)))),
      h("p", { class: "note" }, `Accuracy in %, ${board.tier} tier; the worst of each setting stands out, a dash is where the rule's bound leaves it out.`));
    this.behind.scrollIntoView({ block: "nearest" });
  }
}

function chart(one: Standing, place: Place): Element {
  const { steps, worst, clean } = place.curves!, points = (values: number[]) => steps.map((x, k) => ({ x, y: values[k] }));
  return bare({ width: 300, height: 140, marginLeft: 40, marginBottom: 24, marginTop: 10, x: { label: null, ticks: 4 },
    y: { label: null, grid: true, ticks: 4, domain: [0, 1], tickFormat: "%" },
    marks: [Plot.line(points(clean), { x: "x", y: "y", stroke: "var(--soft)", strokeDasharray: "4 3", strokeWidth: 1.5 }),
      Plot.line(points(worst), { x: "x", y: "y", stroke: "var(--accent)", strokeWidth: 2 })] },
  visible(`accuracy by step of ${one.rule}, ${place.setting}: under ${place.by} ${percent(worst[worst.length - 1])} % at the end, without an attack ${percent(clean[clean.length - 1])} %`));
}
