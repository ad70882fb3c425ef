// The page: one for a report, for a folder that is watched, and for whatever else serves the JSON.

import { Answer } from "./answer";
import { Board } from "./board";
import { open, read, type Results, type Run } from "./data";
import { choose, h, save, visible } from "./dom";
import { Compare, Effects } from "./effects";
import { Explorer } from "./explorer";
import { shown, sample, Styles } from "./figure";
import { follow, going } from "./live";
import { Boxes, HeatMap } from "./maps";
import { broken, costs, everyRun, Folded, Grid, refusals } from "./tables";

const began = performance.now();
const root = document.getElementById("page")!;
const live = document.body.dataset.live === "yes";
let all: Results[] = [], styles = new Styles([]);
const chosen = new Map<string, string>();
const current = (): Styles => styles;

const header = h("header"), name = h("h1"), status = h("p", { class: "status", role: "status" }), progress = h("progress", { "aria-label": "runs that are over" });
const missing = h("p", { class: "partial", hidden: true }), trouble = h("p", { class: "partial", hidden: true }), filters = h("div", { class: "filters", role: "group", "aria-label": "Show only" });
const folder = h("span", { hidden: true }), toAnswer = h("a", { href: "#answer" }, "Answer"), skip = h("a", { href: "#answer", class: "skip" }, "To the answer");
const now = h("section", { id: "now", hidden: true }), cards = h("div", { class: "cards" });

const answer = new Answer(current, openRun);
const curves = new Explorer("Learning curves", current, openRun, { x: "step" }, "curves");
const ends = new Explorer("Ends by a setting", current, openRun, { x: "" }, "ends");
const map = new HeatMap("Rules by attacks", current, openRun, false), hetero = new HeatMap("Hostile workers by heterogeneity", current, openRun, true);
const board = new Board(), boxes = new Boxes(current), folded = new Folded(current), effects = new Effects(current), compare = new Compare(current);
const runsTable = new Grid("Every run"), brokenTable = new Grid("What broke", [], 30), refusedTable = new Grid("What was refused", [], 30), costTable = new Grid("What it cost", [], 30);
const brokenSaid = h("p", { class: "told", "aria-live": "polite" }), settings = h("div"), words = h("dl", { class: "words" }), dialog = h("dialog", { "aria-label": "A run" });

interface Part { id: string; title: string; nodes: Node[]; draw: (results: Results, runs: Run[], fresh: boolean) => void; section?: HTMLElement; link?: HTMLElement; has?: (results: Results) => boolean }
const parts: Part[] = [
  { id: "leaderboard", title: "Leaderboard", nodes: [board.node], draw: results => board.take(results), has: results => results.leaderboard !== null },
  { id: "curves", title: "Curves", nodes: [curves.figure.node], draw: (results, runs, fresh) => curves.take(results, runs, fresh) },
  { id: "table", title: "Table", nodes: [folded.grid.node], draw: (results, runs, fresh) => folded.take(results, runs, fresh) },
  { id: "maps", title: "Maps", nodes: [map.figure.node], draw: (results, runs, fresh) => map.take(results, runs, fresh) },
  { id: "effects", title: "Does a setting help?", nodes: [effects.node], draw: (results, runs, fresh) => effects.take(results, runs, fresh), has: results => open(results).some(axis => axis.key !== "rule") },
  { id: "ends", title: "By a setting", nodes: [ends.figure.node, hetero.figure.node], draw: (results, runs, fresh) => { ends.take(results, runs, fresh); hetero.take(results, runs, fresh); }, has: results => open(results).some(axis => axis.key !== "rule" && axis.key !== "attack") },
  { id: "broke", title: "What broke", nodes: [brokenSaid, brokenTable.node], draw: (results, runs) => {
    const found = broken(brokenTable, results, runs, styles);
    brokenSaid.textContent = found.total ? `Something broke in ${found.total} of ${found.of} combinations of rule, attack and settings: ${found.told}.` : `Nothing broke in ${found.of} combinations of rule, attack and settings.`;
  } },
  { id: "spread", title: "Spread", nodes: [boxes.figure.node], draw: (results, runs) => boxes.take(results, runs) },
  { id: "compare", title: "Folders compared", nodes: [compare.node], draw: (_, runs) => compare.take(all, runs), has: () => all.length > 1 },
  { id: "refused", title: "Refusals", nodes: [refusedTable.node], draw: (_, runs) => { refusals(refusedTable, runs, styles); }, has: results => results.runs.some(run => run.refusals.length) },
  { id: "cost", title: "Cost", nodes: [costTable.node], draw: (results, runs) => costs(costTable, results, runs, styles) },
  { id: "runs", title: "Runs", nodes: [runsTable.node], draw: (results, runs) => everyRun(runsTable, results, runs, openRun) },
  { id: "setup", title: "Configuration", nodes: [settings, h("h3", {}, "Words and signs"), words], draw: results => configuration(results) },
];

function filtered(results: Results): Run[] {
  const wanted = [...chosen].filter(([, value]) => value !== "\u0000");
  return wanted.length ? results.runs.filter(run => wanted.every(([key, value]) => run.at.get(key) === value)) : results.runs;
}

function ask(results: Results): void {
  const axes = open(results).slice(0, 14), focused = filters.contains(document.activeElement) ? (document.activeElement as HTMLElement).dataset.choice : undefined;
  for (const key of [...chosen.keys()]) if (!axes.some(axis => axis.key === key && axis.values.includes(chosen.get(key)!))) chosen.delete(key);
  filters.replaceChildren(...[h("span", { class: "label" }, "Show only"), ...axes.map(axis => {
    const label = choose(axis.key, [{ value: "\u0000", label: "all" }, ...axis.values.map(value => ({ value }))], chosen.get(axis.key) ?? "\u0000", value => {
      if (value === "\u0000") chosen.delete(axis.key); else chosen.set(axis.key, value);
      ask(all[0]); draw(false);
    });
    label.title = visible(axis.meaning);
    return label;
  }), chosen.size ? h("button", { type: "button", click: () => { chosen.clear(); ask(all[0]); draw(false); } }, "all again") : ""]);
  if (focused) [...filters.querySelectorAll<HTMLElement>("select")].find(one => one.dataset.choice === focused)?.focus();
}

let turn = 0, waiting: Part[] = [];
/** Whether there is a leaderboard, and nothing else to show. */
const alone = (results: Results): boolean => results.leaderboard !== null && !results.planned && !results.over && !results.running.length;

/** Draws everything anew: what is on the screen first, the rest while nothing else is to do. */
function draw(fresh: boolean): void {
  const [results] = all, runs = filtered(results), own = ++turn, bare = alone(results);
  answer.take(results, runs, [...chosen].map(([key, value]) => key === "rule" || key === "attack" ? value : `${key}=${value}`).join(", "));
  for (const part of parts) {
    const there = (results.over > 0 || part.id === "leaderboard") && (part.has ? part.has(results) : true);
    part.section!.hidden = !there && (part.id !== "setup" || bare);
    part.link!.hidden = part.section!.hidden;
  }
  answer.node.hidden = bare || !results.over && results.running.length > 0;
  toAnswer.hidden = skip.hidden = answer.node.hidden;
  const near = (part: Part) => Math.abs(part.section!.getBoundingClientRect().top);
  waiting = parts.filter(part => !part.section!.hidden).sort((a, b) => near(a) - near(b));
  document.body.dataset.drawn = "no";
  const next = (idle?: IdleDeadline) => {
    if (own !== turn) return;
    do {
      const part = waiting.shift();
      if (!part) {
        document.body.dataset.drawn = "yes";
        document.body.dataset.took ??= String(Math.round(performance.now() - began));
        return;
      }
      part.draw(results, runs, fresh);
    } while (idle && idle.timeRemaining() > 30);
    soon(next);
  };
  soon(next);
}
const soon = (take: (idle?: IdleDeadline) => void): void => { if ("requestIdleCallback" in window) requestIdleCallback(take, { timeout: 200 }); else setTimeout(take, 0); };
/** Whatever is still to be drawn, at once: for paper. */
function rush(): void {
  const [results] = all;
  for (const part of waiting.splice(0)) part.draw(results, filtered(results), false);
}

function said(results: Results): void {
  document.title = alone(results) ? visible(results.name) : `${results.over}/${results.planned} ${visible(results.name)}`;
  name.textContent = visible(results.name);
  const running = results.running.length ? `${results.silent ? ", silent: " : ", going on: "}${results.running.length}` : "";
  status.hidden = filters.hidden = alone(results);
  status.textContent = `${results.over} of ${results.planned} runs over${results.failed ? `, ${results.failed} failed` : ""}${running}`;
  progress.max = Math.max(1, results.planned);
  progress.value = results.over;
  progress.hidden = results.over >= results.planned && !results.running.length;
  missing.hidden = !results.missing; missing.textContent = visible(results.missing);
  trouble.hidden = !results.trouble; trouble.textContent = visible(results.trouble);
  now.hidden = !results.running.length;
  // What a reader has opened stays open, and scrolled, when the next second draws it anew.
  const before = [...cards.querySelectorAll("details")].map(one => ({ open: one.open, top: one.querySelector(".wide")?.scrollTop ?? 0 }));
  const focused = [...cards.querySelectorAll("summary")].findIndex(one => one === document.activeElement);
  cards.replaceChildren(...going(results, styles));
  [...cards.querySelectorAll("details")].forEach((one, k) => {
    one.open = before[k]?.open ?? false;
    const wide = one.querySelector(".wide");
    if (wide) wide.scrollTop = before[k]?.top ?? 0;
    if (k === focused) one.querySelector("summary")?.focus();
  });
}

function configuration(results: Results): void {
  const copy = h("button", { type: "button", click: () => void navigator.clipboard?.writeText(results.methods).then(() => { copy.textContent = "Copied"; }) }, "Copy");
  const file = h("button", { type: "button", click: () => save("experiment.toml", [results.configuration], "text/plain") }, "Save as a file");
  settings.replaceChildren(
    h("h3", {}, "Methods"), h("p", { class: "methods" }, visible(results.methods)), h("p", {}, copy),
    ...(results.notes.length ? [h("h3", {}, "Notes"), h("ul", {}, ...results.notes.map(note => h("li", {}, visible(note))))] : []),
    ...(results.measured.length ? [h("h3", {}, "How unlike the workers' data are"), h("ul", {}, ...results.measured.map(one => h("li", {}, visible(one))))] : []),
    ...(results.tuning ? [h("h3", {}, "Hyperparameters"), h("pre", { tabindex: "0" }, results.tuning)] : []),
    ...(results.sampled ? [h("p", { class: "note" }, visible(results.sampled))] : []),
    h("details", {}, h("summary", {}, "What all runs share"), h("div", { class: "wide" }, h("table", {}, h("tbody", {}, ...results.common.map(([key, value]) => h("tr", {}, h("th", { scope: "row" }, visible(key)), h("td", {}, visible(value)))))))),
    h("details", {}, h("summary", {}, "experiment.toml"), h("pre", { tabindex: "0" }, results.configuration.slice(0, 200_000)), file),
    h("p", { class: "note" }, `Computed with varangian ${visible(results.program)}.`));
  words.replaceChildren(...results.definitions.flatMap(one => [h("dt", {}, visible(one.term)), h("dd", {}, visible(one.meaning))]),
    ...results.meanings.flatMap(one => [h("dt", {}, `!${visible(one.mark)} ${visible(one.word)}`), h("dd", {}, visible(one.meaning))]));
}

/** All of a run. */
function openRun(run: Run): void {
  const [results] = all, rows: [string, string][] = [...open(results).map((axis): [string, string] => [axis.key, run.at.get(axis.key) ?? ""]), ["seed", run.seed], ["state", run.state]];
  if (run.error) rows.push(["why it failed", run.error]);
  if (run.final) rows.push(["last", shown(results, run.final.last)], [`mean of the last ${run.final.counted}`, shown(results, run.final.tail)], ["best", shown(results, run.final.best)]);
  rows.push(["what broke", run.fate.told || "nothing"], ["refused rows", run.refusals.length ? run.refusals.map(one => `${one.reason}: worker ${one.worker}, ${one.rows}`).join("; ") : String(run.refused)], ["seconds", run.seconds === null ? "" : run.seconds.toFixed(1)]);
  const close = h("button", { type: "button", click: () => dialog.close() }, "Close");
  const key = /^r?[0-9a-f]{6,64}$/.test(run.key) ? run.key : "";
  const files = key && location.protocol === "file:" ? h("p", {}, "Its files: ", h("a", { href: `runs/${key}.json` }, `runs/${key}.json`), ", ", h("a", { href: `runs/${key}.csv` }, `runs/${key}.csv`)) : h("p", {}, visible(`Its files: runs/${run.key}.json and .csv; one step of it: varangian replay DIR --run ${run.key} --step 1`));
  const list = [{ label: results.metric.replace("_", " "), curve: run.curve }, ...run.series.map(one => ({ label: results.metrics[one.metric]?.label ?? "", curve: one.curve }))];
  dialog.replaceChildren(h("h2", {}, sample(styles, run.rule), visible(`${run.line} × ${run.attack}`)), h("div", { class: "wide" }, h("table", {}, h("tbody", {}, ...rows.map(([head, value]) => h("tr", {}, h("th", { scope: "row" }, visible(head)), h("td", {}, visible(value))))))),
    h("details", {}, h("summary", {}, "What was measured"), h("div", { class: "wide" }, h("table", {}, h("thead", {}, h("tr", {}, ...["what", "step", "value"].map(text => h("th", { scope: "col" }, text)))), h("tbody", {}, ...list.flatMap(one => one.curve.slice(-5).map(([step, value]) => h("tr", {}, h("td", {}, visible(one.label)), h("td", { class: "n" }, String(step)), h("td", { class: "n" }, value === null ? "not finite" : String(Number(value.toPrecision(6)))))))))), h("p", { class: "note" }, "The last five values of each.")),
    files, close);
  dialog.showModal();
}

function theme(): HTMLElement {
  return choose("light or dark", [{ value: "", label: "as the system" }, { value: "light" }, { value: "dark" }], "", value => {
    if (value) document.documentElement.dataset.theme = value; else delete document.documentElement.dataset.theme;
  });
}

/** Takes in another folder's report or JSON, from a file of the reader's: nothing leaves the page. */
function more(): HTMLElement {
  const said = h("span", { role: "status", class: "note" }), input = h("input", { type: "file", multiple: true, accept: ".html,.json" });
  input.addEventListener("change", async () => {
    for (const file of input.files ?? []) {
      try {
        const text = await file.text();
        const page = text.trimStart().startsWith("{") ? null : new DOMParser().parseFromString(text, "text/html");
        all.push(read(page ? page.getElementById("varangian-results")?.textContent ?? "" : text));
        said.textContent = "";
      } catch (error) { said.textContent = `${file.name}: ${error instanceof Error ? error.message : "cannot be read"}`; }
    }
    styles = new Styles(all);
    folders();
    draw(false);
    if (all.length > 1) document.getElementById("compare")?.scrollIntoView();
  });
  return h("label", { class: "choice" }, h("span", {}, "compare with report.html of"), input, said);
}

function build(): void {
  header.append(h("div", { class: "top" }, name, h("div", { class: "controls" }, folder, more(), theme())), status, progress, missing, trouble);
  const links: HTMLElement[] = [];
  for (const part of parts) {
    part.section = h("section", { id: part.id, "aria-labelledby": part.id + "-head" }, h("h2", { id: part.id + "-head" }, part.title), ...part.nodes);
    part.link = h("a", { href: "#" + part.id }, part.title);
    links.push(part.link);
  }
  now.append(h("h2", {}, "Going on"), cards);
  root.append(skip, header, h("div", { class: "sticky" }, h("nav", { "aria-label": "Parts of the page" }, toAnswer, ...links), filters), h("main", {}, now, answer.node, ...parts.map(part => part.section!)), dialog);
  window.addEventListener("beforeprint", rush);
  let width = window.innerWidth, timer = 0;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    clearTimeout(timer);
    timer = window.setTimeout(() => draw(false), 200);
  });
}

const axesOf = (results: Results): string => JSON.stringify(results.axes.map(axis => axis.key));

function take(results: Results, whole: boolean): void {
  const place = all.findIndex(one => one.folder === results.folder), had = all[place], fresh = axesOf(had) !== axesOf(results) || had.over === 0;
  all[place] = results;
  styles = new Styles(all);
  folders();
  if (place > 0) { if (whole) draw(false); return; }
  said(results);
  if (whole) { ask(results); draw(fresh); }
}

/** Which of several folders is read. */
function folders(): void {
  const names = new Map<string, number>(), order = [...all].map((one, k) => ({ one, k })).sort((a, b) => (a.one.folder < 0 ? 1e9 : a.one.folder) - (b.one.folder < 0 ? 1e9 : b.one.folder));
  const choices = order.map(({ one, k }) => {
    // Folders of one name are told apart by a number.
    const count = (names.get(one.name) ?? 0) + 1;
    names.set(one.name, count);
    return { value: String(k), label: `${visible(one.name)}${count > 1 ? ` (${count})` : ""}, ${one.over} of ${one.planned} runs` };
  });
  const focused = folder.contains(document.activeElement);
  folder.hidden = all.length < 2;
  folder.replaceChildren(choose("folder", choices, "0", value => {
    const [picked] = all.splice(Number(value), 1), before = all[0];
    all.unshift(picked);
    if (axesOf(before) !== axesOf(picked)) chosen.clear();
    folders(); said(picked); ask(picked); draw(true);
  }));
  if (focused) folder.querySelector("select")?.focus();
}

function start(): void {
  build();
  try {
    const elements = [...document.querySelectorAll("script[type='application/json']")].filter(one => one.id.startsWith("varangian-results"));
    const found = elements.map((one, k) => read(one.textContent ?? "", k));
    if (!found.length) throw new Error("there are no results in this page");
    all = found;
    const first = found[0];
    styles = new Styles(all);
    folders(); said(first); ask(first); draw(true);
    if (live) {
      const lost = h("b", { hidden: true });
      status.after(lost);
      follow(place => all.find(one => one.folder === place), take, text => { lost.textContent = text; lost.hidden = !text; });
    }
  } catch (error) {
    status.textContent = `The results cannot be shown: ${error instanceof Error ? error.message : String(error)}`;
  }
}
start();
