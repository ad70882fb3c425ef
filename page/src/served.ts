// Who is in a served run, how long its rounds take, and who is suspicious.

import * as Plot from "@observablehq/plot";
import type { Live, Served } from "./data";
import { h, visible } from "./dom";
import { bare } from "./live";

/** Workers that a table and a sentence name; curves that are drawn, and those that are labelled. */
const NAMED = 50, CURVES = 60, LABELLED = 5;

const SAYS: Record<string, string> = {
  evidence: "rows unlike the others (p below 0.01) and refused ones", refusals: "refused rows", verdicts: "rejections by the filter",
};

/** Numbers as ranges: "0–5 9". */
function ranges(all: number[]): string {
  const out: string[] = [];
  for (let k = 0; k < all.length && out.length < NAMED;) {
    let end = k;
    while (end + 1 < all.length && all[end + 1] === all[end] + 1) end++;
    out.push(end === k ? String(all[k]) : `${all[k]}–${all[end]}`);
    k = end + 1;
    if (out.length === NAMED && k < all.length) out.push(`and ${all.length - k} more`);
  }
  return out.join(" ");
}

/** How workers stand, from those that a reader should look at first. */
export function attendance(run: Live, served: Served): Node[] {
  const revoked = new Set(served.revoked), hostile = new Set(run.hostile), workers = served.present.map((_, worker) => worker);
  const absent = workers.filter(worker => !served.present[worker] && !revoked.has(worker));
  const here = workers.filter(worker => served.present[worker]).length, out: Node[] = [];
  out.push(h("p", {}, h("b", {}, `${here} of ${workers.length} workers are here`), absent.length ? `; absent: worker ${ranges(absent)}` : "", served.revoked.length ? `; revoked: worker ${ranges([...served.revoked].sort((a, b) => a - b))}` : ""));
  if (served.suspicion.length) out.push(suspicion(run, served, hostile));
  if (served.rounds.length) out.push(h("p", { class: "head" }, "Seconds of a round, the longest since the point before"), rounds(served));
  const share = new Map(served.suspicion.map(one => [one.worker, one.share]));
  const first = [...workers].sort((a, b) => (share.get(b) ?? 0) - (share.get(a) ?? 0) || (run.refused[b] ?? 0) - (run.refused[a] ?? 0) || (served.missed[b] ?? 0) - (served.missed[a] ?? 0) || a - b);
  const state = (worker: number) => revoked.has(worker) ? "revoked" : served.present[worker] ? "here" : "absent";
  out.push(h("details", {}, h("summary", {}, "Worker by worker"), h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Worker by worker" }, h("table", {},
    h("thead", {}, h("tr", {}, ...["worker", "", "admitted", "missed", "refused", "suspicion"].map((text, k) => h("th", { scope: "col", ...(k > 1 ? { class: "n" } : {}) }, text || h("span", { class: "unseen" }, "state"))))),
    h("tbody", {}, ...first.slice(0, NAMED).map(worker => h("tr", {}, h("th", { scope: "row" }, `${worker}${hostile.has(worker) ? " (hostile)" : ""}`), h("td", {}, state(worker)),
      ...[served.admitted[worker] ?? 0, served.missed[worker] ?? 0, run.refused[worker] ?? 0].map(count => h("td", { class: "n" }, String(count))), h("td", { class: "n" }, share.has(worker) ? `${(100 * share.get(worker)!).toFixed(0)} %` : "")))))),
    first.length > NAMED ? h("p", { class: "note" }, `The ${NAMED} most suspicious of ${first.length}.`) : null));
  return out;
}

function rounds(served: Served): Element {
  const points = served.rounds.filter(point => point[1] !== null).map(([x, y]) => ({ x, y: y! }));
  return bare({ width: 340, height: 110, marginLeft: 44, marginBottom: 26, x: { label: null, ticks: 4 }, y: { label: null, grid: true, ticks: 3, zero: true },
    marks: [Plot.line(points, { x: "x", y: "y", stroke: "currentColor" }), Plot.dot(points.slice(-1), { x: "x", y: "y", r: 2.5, fill: "currentColor" })] }, "seconds of a round by step");
}

/** A line a worker, the most suspicious labelled; of very many workers those that stand out. */
function suspicion(run: Live, served: Served, hostile: Set<number>): Node {
  const peak = (one: Served["suspicion"][number]) => one.curve.reduce((most, point) => Math.max(most, point[1] ?? 0), one.share);
  const sorted = [...served.suspicion].sort((a, b) => b.share - a.share || peak(b) - peak(a) || a.worker - b.worker), drawn = sorted.slice(0, CURVES);
  const data = drawn.flatMap(one => one.curve.map(([x, y]) => ({ x, y: y ?? 0, worker: one.worker })));
  const ends = drawn.filter((one, k) => one.share > (k ? 0.1 : 0)).slice(0, LABELLED).map(one => ({ x: one.curve[one.curve.length - 1]?.[0] ?? run.step, y: one.share, worker: one.worker }));
  // Labels that would lie on one another move apart, the highest first.
  let below = Infinity;
  const labels = ends.map(one => { const y = Math.min(one.y, below - 0.11); below = y; return { ...one, at: y }; });
  const colour = (one: { worker: number }) => hostile.has(one.worker) ? "#D55E00" : "#0072B2";
  const label = (one: { worker: number }) => `${one.worker}${hostile.has(one.worker) ? " hostile" : ""}`;
  const plot = bare({ width: 340, height: 140, marginLeft: 44, marginRight: 66, marginBottom: 26, x: { label: null, ticks: 4 }, y: { label: null, domain: [0, 1], tickFormat: "%", grid: true, ticks: 4 },
    marks: [Plot.line(data.filter(one => !hostile.has(one.worker)), { x: "x", y: "y", z: "worker", stroke: "#0072B2", strokeOpacity: 0.6 }), Plot.line(data.filter(one => hostile.has(one.worker)), { x: "x", y: "y", z: "worker", stroke: "#D55E00", strokeDasharray: "6 2", strokeWidth: 1.8 }),
      Plot.text(labels, { x: "x", y: "at", text: label, textAnchor: "start", dx: 5, fill: "currentColor" }), Plot.dot(ends, { x: "x", y: "y", r: 3, fill: colour })] },
  `suspicion of workers by step; the most suspicious: ${labels.map(one => `worker ${label(one)} ${(100 * one.y).toFixed(0)} %`).join(", ") || "none"}`);
  return h("div", {}, h("p", { class: "head" }, `Suspicion: the share of a worker's last twenty messages or so that tell against it, counting ${visible(SAYS[served.by] ?? served.by)}`), plot,
    h("p", { class: "note" }, `Dashed orange: hostile ones of a drill.${sorted.length > drawn.length ? ` Drawn: the ${drawn.length} most suspicious of ${sorted.length} workers.` : ""}`));
}
