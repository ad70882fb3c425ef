"use strict";
const HONEST = "#0072B2", HOSTILE = "#D55E00";
let styles = {};
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
  const most = Math.max(...values, 0), least = Math.min(...values.filter(value => value > 0));
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
      if (part.length) add(svg, "polyline", { points: part.join(" "), fill: "none", stroke: colour, "stroke-width": 1.8,
        "stroke-dasharray": dashes }, undefined, SVG);
      part = [];
    };
    curve.forEach(([step, value], k) => {
      if (value !== null) return part.push(x(step).toFixed(1) + "," + y(axis.at(value)).toFixed(1));
      draw();
      if (k > 0 && curve[k - 1][1] === null) return;
      const cx = x(step), cy = 12 + 11 * (crosses++ % 12);
      const cross = add(svg, "path", { d: `M${cx - 5} ${cy - 5}l10 10m0 -10l-10 10`, stroke: colour, "stroke-width": 2.4, class: "left" },
        undefined, SVG);
      add(cross, "title", {}, rule + ": not finite from step " + step, SVG);
    });
    draw();
  }
  if (crosses) add(parent, "div", { class: "note" }, "✕ not finite from here on");
}
function weights(parent, run) {
  const n = run.weights.length, most = Math.max(...run.weights, 1e-12), wide = (W - LEFT - 8) / n, high = 34;
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
  for (const run of state.runs.slice(0, MOST)) {
    const row = add(table, "tr", run.error ? { class: "failed", title: run.error } : {});
    const cells = [run.rule, ...(settings ? [run.setting] : []), run.attack, run.error ? "failed: " + run.error : run.state,
      run.broke === "-" ? "" : run.broke, run.seed, run.shown ? run.shown[0] : "", run.shown ? run.shown[1] : "", run.refused, run.seconds.toFixed(1)];
    cells.forEach((cell, k) => add(row, "td", names[k] === "what broke" ? { class: "broke" } : align(k), String(cell)));
  }
  if (state.runs.length > MOST) add(add(table, "tr", {}), "td", { colspan: names.length }, "and " + (state.runs.length - MOST) + " more");
}
function show(state) {
  styles = Object.fromEntries(state.rules.map(one => [one.rule, one]));
  document.title = state.over + "/" + state.planned + " " + state.name;
  at("name").textContent = state.name;
  const failed = state.failed ? ", " + state.failed + " failed" : "";
  const going = state.running.length ? (state.silent ? ", silent: " : ", going on: ") + state.running.length : "";
  at("status").textContent = state.over + " of " + state.planned + " runs over" + failed + going;
  at("progress").max = Math.max(1, state.planned);
  at("progress").value = state.over;
  at("now").hidden = !state.running.length;
  at("done").hidden = !state.over;
  at("running").replaceChildren();
  for (const run of state.running.slice(0, 6)) card(at("running"), run);
  const drawn = new Map(state.lines.map(line => [line.rule, line])), legend = at("legend");
  legend.replaceChildren();
  for (const { rule, colour, dashes } of state.rules.filter(one => drawn.has(one.rule))) {
    const item = add(legend, "span", {});
    const svg = add(item, "svg", { width: 26, height: 10 }, undefined, SVG);
    add(svg, "line", { x1: 0, x2: 26, y1: 5, y2: 5, "stroke-width": 2.4, stroke: colour, "stroke-dasharray": dashes }, undefined, SVG);
    add(item, "span", {}, rule);
  }
  at("metric").textContent = state.metric.replace("_", " ");
  at("meanings").replaceChildren();
  for (const meaning of state.meanings) add(at("meanings"), "div", {}, meaning);
  at("notes").replaceChildren();
  for (const note of state.notes) add(at("notes"), "li", {}, note);
  const panels = at("panels");
  panels.replaceChildren();
  for (const panel of new Set(state.lines.map(line => JSON.stringify([line.setting, line.attack])))) {
    const [setting, attack] = JSON.parse(panel);
    const own = state.lines.filter(line => line.setting === setting && line.attack === attack && line.curve.length);
    const figure = add(panels, "figure", {});
    const caption = add(figure, "figcaption", {}, attack + " ");
    add(caption, "small", {}, setting);
    const end = Math.max(1, ...own.flatMap(line => line.curve.map(point => point[0])));
    chart(figure, attack, end, state.metric === "accuracy", own.map(line => [line.rule, line.curve]));
  }
  table(state);
}

show(JSON.parse(at("first").textContent));
const source = new EventSource("/events");
const lost = document.createElement("b");
source.onopen = () => lost.remove();
source.onmessage = event => { lost.remove(); show(JSON.parse(event.data)); };
source.onerror = () => { lost.textContent = "no connection"; at("status").after(lost); };
