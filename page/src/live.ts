// Runs that go on, and how a live page hears of them.

import * as Plot from "@observablehq/plot";
import { changing, read, type Live, type Results } from "./data";
import { h, visible } from "./dom";
import { attendance } from "./served";
import { percent, quiet, sample, short, type Styles } from "./figure";

/** Runs that are shown in full; of more it says how many there are. */
const MOST = 6;
/** Workers whose bars are told apart; of more a bar is of several. */
const BARS = 120;

/** What runs do right now. */
export function going(results: Results, styles: Styles): Node[] {
  const out: Node[] = results.running.slice(0, MOST).map(run => card(run, styles));
  if (results.running.length > MOST) out.push(h("p", {}, `and ${results.running.length - MOST} more`));
  return out;
}

function card(run: Live, styles: Styles): HTMLElement {
  const last = run.curve.length ? run.curve[run.curve.length - 1][1] : undefined;
  const value = last === undefined ? "" : last === null ? ", not finite" : ", " + (run.classifies ? percent(last) : short(last));
  const node = h("figure", { class: run.served ? "card served" : "card" }, h("figcaption", {}, sample(styles, run.rule), h("b", {}, visible(`${run.rule} × ${run.attack}`)), " ",
    h("small", {}, visible(`${run.setting ? run.setting + ", " : ""}seed ${run.seed}, step ${run.step} of ${run.steps}${value}`))));
  const bar = h("progress", { max: Math.max(1, run.steps), value: run.step, "aria-label": "steps done" });
  node.append(bar);
  if (run.curve.length) node.append(curve(run, styles));
  if (run.weights.length) node.append(weights(run)); else node.append(h("p", { class: "note" }, "This rule gives no weights to whole rows."));
  const refused = run.refused.map((count, worker) => ({ count, worker })).filter(one => one.count > 0);
  if (refused.length || run.reasons.length) {
    const who = refused.slice(0, 20).map(one => one.worker).join(" ");
    node.append(h("p", {}, visible(`refused: ${run.reasons.map(([reason, count]) => `${reason} ${count}`).join(", ")}; worker ${who}${refused.length > 20 ? ` and ${refused.length - 20} more` : ""}`)));
  }
  if (run.expelled.length) node.append(h("p", {}, `expelled: worker ${run.expelled.slice(0, 20).join(" ")}${run.expelled.length > 20 ? ` and ${run.expelled.length - 20} more` : ""}`));
  if (run.served) node.append(...attendance(run, run.served));
  if (run.skipped) node.append(h("p", {}, `skipped: ${run.skipped} of ${run.step} steps`));
  return node;
}

export function bare(options: Plot.PlotOptions, label: string): Element {
  const plot = Plot.plot({ ...options, className: "vp" }) as unknown as Element;
  quiet(plot);
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", label);
  return plot;
}

function curve(run: Live, styles: Styles): Element {
  const points = run.curve.map(([x, y]) => ({ x, y: y ?? NaN })), left = points.filter((one, k) => !Number.isFinite(one.y) && (k === 0 || Number.isFinite(points[k - 1].y)));
  const positive = points.map(one => one.y).filter(y => y > 0), log = !run.classifies && positive.length > 1 && Math.max(...positive) > 100 * Math.min(...positive);
  return bare({ width: 340, height: 150, marginLeft: 44, marginBottom: 26, marginTop: 14, x: { label: null, domain: [0, Math.max(1, run.steps)], ticks: 4 },
    y: { label: null, grid: true, ticks: 4, ...(run.classifies ? { domain: [0, 1], tickFormat: "%" } : { type: log ? "log" : "linear" }) },
    marks: [Plot.line(points, { x: "x", y: "y", stroke: styles.colour(run.rule), strokeDasharray: styles.dashes(run.rule) || undefined, strokeWidth: 2 }),
      Plot.dot(points.slice(-1).filter(one => Number.isFinite(one.y)), { x: "x", y: "y", fill: styles.colour(run.rule), r: 3 }),
      Plot.text(left, { x: "x", text: () => "✕", ariaLabel: "left", frameAnchor: "top", fill: styles.colour(run.rule), fontSize: 14 })] },
  visible(`${run.classifies ? "accuracy" : "test loss"} by step of ${run.rule} under ${run.attack}${left.length ? "; not finite at step " + left.map(one => one.x).join(", ") : ""}`));
}

/** Weights by worker; of very many workers a bar is the mean of neighbours. */
function weights(run: Live): Element {
  const hostile = new Set(run.hostile), each = Math.ceil(run.weights.length / BARS);
  const bars: { worker: number; last: number; weight: number; hostile: boolean; title: string }[] = [];
  for (const bad of [false, true]) {
    const own = run.weights.map((weight, worker) => ({ weight, worker })).filter(one => hostile.has(one.worker) === bad);
    for (let k = 0; k < own.length; k += each) {
      const some = own.slice(k, k + each), known = some.filter(one => one.weight !== null);
      const mean = known.reduce((sum, one) => sum + one.weight!, 0) / Math.max(1, known.length);
      bars.push({ worker: some[0].worker, last: some[some.length - 1].worker + 1, weight: Math.max(0, mean), hostile: bad,
        title: `worker ${some[0].worker}${some.length > 1 ? "–" + some[some.length - 1].worker : ""}${bad ? ", hostile" : ""}: ${known.length ? mean.toFixed(4) : "not finite"}` });
    }
  }
  return bare({ width: 340, height: 80, marginLeft: 44, marginBottom: 26, x: { label: "worker", ticks: 5, tickFormat: "d" }, y: { label: null, ticks: 2 },
    marks: [Plot.rectY(bars, { x1: (one: { worker: number }) => one.worker, x2: (one: { last: number }) => one.last, y1: 0, y2: "weight", insetLeft: bars.length > 60 ? 0 : 1, fill: (one: { hostile: boolean }) => one.hostile ? "#D55E00" : "#0072B2", title: "title" }), Plot.ruleY([0])] },
  "weights of workers: orange bars are hostile ones");
}

/** Follows folders: what changes often comes as events, the rest is fetched when it is another. */
export function follow(now: (folder: number) => Results | undefined, take: (results: Results, whole: boolean) => void, lost: (text: string) => void): void {
  const folders = new Map<number, (last: unknown) => void>();
  const one = (folder: number): (last: unknown) => void => {
    let have: string | null = null, last: unknown = null, busy = false;
    const tag = (): string => { const one = last as { data?: unknown } | null; return typeof one?.data === "string" ? one.data : ""; };
    const fetchData = async (wanted: string) => {
      busy = true;
      let size = 0;
      try {
        const answer = await fetch(`/data/${folder}`, { cache: "no-store" });
        if (answer.ok) {
          const text = await answer.text();
          size = text.length;
          have = wanted;
          take({ ...read(text, folder), ...changing(last) }, true);
        }
      } catch { /* The next event tries again. */ }
      // A folder in which runs end all the time is fetched every other second, a large one less often.
      setTimeout(() => { busy = false; if (tag() !== have) void fetchData(tag()); }, Math.max(2000, size / 1000));
    };
    return told => {
      last = told;
      const known = now(folder);
      if (known) take({ ...known, ...changing(last) }, false);
      if (tag() !== have && !busy) void fetchData(tag());
    };
  };
  const source = new EventSource("/events");
  source.onopen = () => lost("");
  source.onmessage = message => {
    lost("");
    let told: unknown;
    try { told = JSON.parse(message.data); } catch { return; }
    const place = (told as { folder?: unknown } | null)?.folder, folder = typeof place === "number" ? place : 0;
    if (!folders.has(folder)) folders.set(folder, one(folder));
    folders.get(folder)!(told);
  };
  source.onerror = () => lost("no connection");
}
