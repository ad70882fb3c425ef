"use strict";
// Shows the results of a folder, as docs/results-json.md has them, in whichever places the page has. Nothing that stands in them is
// taken for code or for HTML: texts go in as texts.
const HONEST = "#0072B2", HOSTILE = "#D55E00";
// Rules are names: a map without a prototype knows no others.
let styles = Object.create(null);
const style = rule => styles[rule] || { colour: "#000000", dashes: "" };
const SVG = "http://www.w3.org/2000/svg";
const W = 360, H = 200, LEFT = 44, BOTTOM = 20, MOST = 200;
const at = id => document.getElementById(id);
function add(parent, tag, attributes, text, space) {
  const node = space ? document.createElementNS(space, tag) : document.createElement(tag);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  parent.appendChild(node);
  return node;
}
const percent = share => share === null || share === undefined ? "" : (100 * share).toFixed(1) + " %";
const short = value => value === 0 ? "0" : Math.abs(value) >= 1e-3 && Math.abs(value) < 1e5 ? String(Number(value.toPrecision(3)))
  : value.toExponential(1).replace(".0e", "e").replace("+", "");
// The scale of values: percent, from 0, or logarithmic where they are far apart.
function scale(values, classifies) {
  if (classifies) return { at: value => value, label: part => Math.round(100 * part) + " %", note: "" };
  const most = values.reduce((a, b) => Math.max(a, b), 0);
  const least = values.filter(value => value > 0).reduce((a, b) => Math.min(a, b), Infinity);
  if (most > 100 * least) {
    const low = Math.floor(Math.log10(least)), high = Math.ceil(Math.log10(most));
    return { at: value => value > 0 ? (Math.log10(value) - low) / (high - low) : 0,
      label: part => short(10 ** (low + part * (high - low))), note: "log scale" };
  }
  const top = most || 1;
  return { at: value => value / top, label: part => short(top * part), note: "" };
}
// Lines are lists of [rule, curve]; a curve's value is null where it is not finite.
function chart(parent, title, end, classifies, lines) {
  const svg = add(parent, "svg", { viewBox: "0 0 " + W + " " + H, width: W, role: "img", "aria-label": title }, undefined, SVG);
  const known = lines.flatMap(line => line[1]).map(point => point[1]).filter(value => value !== null);
  const axis = scale(known, classifies), high = H - BOTTOM - 8;
  const x = step => LEFT + (W - LEFT - 8) * step / Math.max(1, end);
  const y = share => (H - BOTTOM) - high * Math.max(0, Math.min(1, share));
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    add(svg, "line", { x1: LEFT, x2: W - 8, y1: y(part), y2: y(part), stroke: "#e4e4e4" }, undefined, SVG);
    add(svg, "text", { x: LEFT - 5, y: y(part) + 4, "font-size": 11, "text-anchor": "end" }, axis.label(part), SVG);
  }
  add(svg, "text", { x: W - 8, y: H - 4, "font-size": 11, "text-anchor": "end" }, "step " + end, SVG);
  add(svg, "text", { x: LEFT, y: H - 4, "font-size": 11, fill: "#555" }, axis.note, SVG);
  let crosses = 0;
  for (const [rule, curve] of lines) {
    const { colour, dashes } = style(rule);
    let part = [];
    const draw = () => {
      // A point that stands alone is a dot.
      const alone = part.length === 1;
      if (alone) part.push(part[0]);
      if (part.length) add(svg, "polyline", { points: part.join(" "), fill: "none", stroke: colour, "stroke-width": alone ? 5 : 1.8,
        "stroke-dasharray": alone ? "" : dashes, "stroke-linecap": alone ? "round" : "butt" }, undefined, SVG);
      part = [];
    };
    curve.forEach(([step, value], k) => {
      if (value !== null) return part.push(x(step).toFixed(1) + "," + y(axis.at(value)).toFixed(1));
      draw();
      if (k > 0 && curve[k - 1][1] === null) return;
      const cx = x(step), cy = 12 + 11 * (crosses++ % 12);
      const cross = add(svg, "path", { d: `M${cx - 5} ${cy - 5}l10 10m0 -10l-10 10`, stroke: colour, "stroke-width": 2.4, class: "left" },
        undefined, SVG);
      add(cross, "title", {}, rule + ": not finite at step " + step, SVG);
    });
    draw();
  }
  if (crosses) add(parent, "div", { class: "note" }, "✕ not finite here");
}
function weights(parent, run) {
  const n = run.weights.length, most = run.weights.reduce((a, b) => Math.max(a, b), 1e-12), wide = (W - LEFT - 8) / n, high = 34;
  const svg = add(parent, "svg", { viewBox: "0 0 " + W + " " + (high + 14), width: W, role: "img", "aria-label": "weights of workers" }, undefined, SVG);
  run.weights.forEach((weight, worker) => {
    const hostile = run.hostile.includes(worker), tall = Math.max(0.5, high * Math.max(0, weight) / most);
    const bar = add(svg, "rect", { x: LEFT + worker * wide, y: high - tall, width: Math.max(1, wide - 1), height: tall,
      fill: hostile ? HOSTILE : HONEST }, undefined, SVG);
    add(bar, "title", {}, "worker " + worker + (hostile ? ", hostile" : "") + ": " + (weight === null ? "not finite" : weight.toFixed(4)), SVG);
  });
  add(svg, "text", { x: LEFT - 5, y: high, "font-size": 11, "text-anchor": "end" }, "weight", SVG);
  add(svg, "text", { x: LEFT, y: high + 12, "font-size": 11, fill: "#555" }, "by worker; orange: hostile", SVG);
}
function card(parent, run) {
  const figure = add(parent, "figure", {});
  const last = run.curve.length ? run.curve[run.curve.length - 1][1] : undefined;
  const caption = add(figure, "figcaption", {}, run.rule + " × " + run.attack + " ");
  const value = last === undefined ? "" : last === null ? "not finite" : run.classifies ? percent(last) : short(last);
  add(caption, "small", {}, (run.setting ? run.setting + ", " : "") + "seed " + run.seed + ", step " + run.step + " of " + run.steps
    + (value ? ", " + value : ""));
  chart(figure, run.rule, run.steps, run.classifies, [[run.rule, run.curve]]);
  if (run.weights.length) weights(figure, run);
  else add(figure, "div", { class: "note" }, "this rule gives no weights to whole rows");
  const refused = run.refused.map((count, worker) => [count, worker]).filter(pair => pair[0] > 0);
  if (refused.length) {
    const why = Object.entries(run.reasons).map(pair => pair[0] + " " + pair[1]).join(", ");
    add(figure, "div", {}, "refused: " + why + "; worker " + refused.map(pair => pair[1]).join(" "));
  }
  if (run.expelled.length) add(figure, "div", {}, "expelled: worker " + run.expelled.join(" "));
  if (run.skipped) add(figure, "div", {}, "skipped: " + run.skipped + " of " + run.step + " steps");
}
function table(state) {
  const table = at("runs");
  table.replaceChildren();
  const head = add(table, "tr", {});
  const settings = state.runs.some(run => run.setting);
  const names = ["rule", ...(settings ? ["setting"] : []), "attack", "state", "what broke", "seed", "last", "best", "refused", "seconds"];
  const left = names.length - 5, align = k => k >= left ? { class: "n" } : {};
  names.forEach((name, k) => add(head, "th", align(k), name));
  // What is not finite must not read as "not measured".
  const value = x => x === null ? "not finite" : state.metric === "accuracy" ? percent(x) : short(x);
  for (const run of state.runs.slice(0, MOST)) {
    const row = add(table, "tr", run.error ? { class: "failed", title: run.error } : {});
    const cells = [run.line, ...(settings ? [run.setting] : []), run.attack, run.error ? "failed: " + run.error : run.state, run.fate.told,
      run.seed, run.final ? value(run.final.last) : "", run.final ? value(run.final.best) : "", run.refused,
      run.seconds === null ? "" : run.seconds.toFixed(1)];
    cells.forEach((cell, k) => add(row, "td", names[k] === "what broke" ? { class: "broke" } : align(k), String(cell)));
  }
  if (state.runs.length > MOST) add(add(table, "tr", {}), "td", { colspan: names.length }, "and " + (state.runs.length - MOST) + " more");
}
function legend(state) {
  const drawn = new Set(state.lines.map(line => line.rule));
  at("legend").replaceChildren();
  for (const { rule, colour, dashes } of state.rules.filter(one => drawn.has(one.rule))) {
    const item = add(at("legend"), "span", {});
    const svg = add(item, "svg", { width: 26, height: 10 }, undefined, SVG);
    add(svg, "line", { x1: 0, x2: 26, y1: 5, y2: 5, "stroke-width": 2.4, stroke: colour, "stroke-dasharray": dashes }, undefined, SVG);
    item.append(rule);
  }
}
function panels(state) {
  const panels = at("panels");
  panels.replaceChildren();
  for (const panel of new Set(state.lines.map(line => JSON.stringify([line.setting, line.attack])))) {
    const [setting, attack] = JSON.parse(panel);
    const own = state.lines.filter(line => line.setting === setting && line.attack === attack && line.curve.length);
    const figure = add(panels, "figure", {});
    const caption = add(figure, "figcaption", {}, attack + " ");
    add(caption, "small", {}, setting);
    const end = own.flatMap(line => line.curve).reduce((most, point) => Math.max(most, point[0]), 1);
    chart(figure, attack, end, state.metric === "accuracy", own.map(line => [line.rule, line.curve]));
  }
}
function status(state) {
  document.title = state.over + "/" + state.planned + " " + state.name;
  at("name").textContent = state.name;
  const failed = state.failed ? ", " + state.failed + " failed" : "";
  const going = state.running.length ? (state.silent ? ", silent: " : ", going on: ") + state.running.length : "";
  at("status").textContent = state.over + " of " + state.planned + " runs over" + failed + going;
  at("progress").max = Math.max(1, state.planned);
  at("progress").value = state.over;
}
function texts(parent, tag, lines) {
  parent.replaceChildren();
  for (const line of lines) add(parent, tag, {}, line);
}
// Each part is drawn where the page has a place for it, and again only when what it shows is another.
const PARTS = {
  status: [state => [state.over, state.planned, state.name, state.failed, state.running.length, state.silent], status],
  missing: [state => state.missing, state => { at("missing").hidden = !state.missing; at("missing").textContent = state.missing ?? ""; }],
  now: [state => !state.running.length, state => { at("now").hidden = !state.running.length; }],
  done: [state => !state.over, state => { at("done").hidden = !state.over; }],
  running: [state => state.running, state => {
    at("running").replaceChildren();
    for (const run of state.running.slice(0, 6)) card(at("running"), run);
    if (state.running.length > 6) add(at("running"), "p", {}, "and " + (state.running.length - 6) + " more");
  }],
  legend: [state => [state.rules, state.lines.map(line => line.rule)], legend],
  metric: [state => state.metric, state => { at("metric").textContent = state.metric.replace("_", " "); }],
  meanings: [state => state.meanings, state => texts(at("meanings"), "div", state.meanings.map(one => "!" + one.mark + " " + one.word + ": " + one.meaning))],
  panels: [state => [state.rules, state.lines], panels],
  runs: [state => state.runs, table],
  remarks: [state => !state.notes.length, state => { at("remarks").hidden = !state.notes.length; }],
  notes: [state => state.notes, state => texts(at("notes"), "li", state.notes)],
};
const shown = {};
function show(state) {
  styles = Object.assign(Object.create(null), Object.fromEntries(state.rules.map(one => [one.rule, one])));
  for (const [part, [of, draw]] of Object.entries(PARTS)) {
    if (!at(part)) continue;
    const now = JSON.stringify(of(state));
    if (shown[part] !== now) draw(state);
    shown[part] = now;
  }
}
show(JSON.parse(at("varangian-results").textContent));
