// The results of a folder, as docs/results-json.md has them, made safe to work with: they may come
// from a stranger, so whatever is missing or of another type takes a harmless value.

export type Point = [number, number | null];
export interface Axis { key: string; meaning: string; tied: boolean; values: string[] }
export interface Style { rule: string; colour: string; dashes: string; mark: string }
export interface Metric { name: string; label: string; share: boolean }
export interface Term { term: string; meaning: string }
export interface Fate { told: string; collapsed: boolean; diverged: boolean; neverLearnt: boolean; skipped: number;
  steps: number }
export interface Final { last: number; tail: number; best: number; counted: number }
export interface Refusal { reason: string; worker: string; rows: number }
export interface Run {
  key: string; rule: string; attack: string; seed: string; line: string; setting: string; state: string;
  error: string; fate: Fate; curve: Point[]; series: { metric: number; curve: Point[] }[]; final: Final | null;
  refused: number; refusals: Refusal[]; seconds: number | null;
  /** Its value of each axis, as text. */
  at: Map<string, string>;
  /** What tells it from runs that differ in more than the seed. */
  combo: string;
}
export interface Live {
  key: string; rule: string; attack: string; setting: string; seed: string; step: number; steps: number;
  curve: Point[]; classifies: boolean; weights: (number | null)[]; refused: number[];
  reasons: [string, number][]; hostile: number[]; expelled: number[]; skipped: number; served: Served | null;
}
/** How the workers of a served run stand. */
export interface Served {
  present: boolean[]; admitted: number[]; missed: number[]; revoked: number[]; rounds: Point[]; by: string;
  suspicion: { worker: number; share: number; curve: Point[] }[];
}
/** The accuracy over the steps, under the worst attack and where nobody attacks. */
export interface Curves { steps: number[]; worst: number[]; clean: number[] }
export interface Place {
  setting: string; refused: boolean; worst: number; by: string; usual: number; clean: number; curves: Curves | null;
  attacks: { attack: string; accuracy: number; half: number }[];
}
export interface Standing {
  rule: string; line: string; score: number; half: number; usual: number; clean: number; calm: number; by: string;
  collapsed: number; attacked: number; backdoor: number; chance: number; kappa: string; means: number; cells: Place[];
}
/** Entries of the benchmark side by side; a number that is not known is NaN. */
export interface Leaderboard { tier: string; version: number; protocol: string; only: string; standings: Standing[] }
export interface Results {
  name: string; program: string; planned: number; over: number; failed: number; missing: string; metric: string;
  higher: boolean; asked: string; methods: string; configuration: string; axes: Axis[];
  common: [string, string][]; metrics: Metric[]; rules: Style[]; runs: Run[]; definitions: Term[];
  meanings: { mark: string; word: string; meaning: string }[]; measured: string[]; tuning: string;
  sampled: string; notes: string[]; leaderboard: Leaderboard | null; running: Live[]; silent: boolean; trouble: string;
  /** Its place among the folders that the page was made of; −1: a reader has brought it. */
  folder: number;
}

type Raw = Record<string, unknown>;
const isObject = (x: unknown): x is Raw => typeof x === "object" && x !== null && !Array.isArray(x);
// Names come from elsewhere: only what an object itself holds counts, whatever it is called.
const get = (x: unknown, key: string): unknown => isObject(x) && Object.hasOwn(x, key) ? x[key] : undefined;
const list = (x: unknown): unknown[] => Array.isArray(x) ? x : [];
export const text = (x: unknown): string =>
  typeof x === "string" ? x : typeof x === "number" || typeof x === "boolean" ? String(x) : "";
const whole = (x: unknown): number => typeof x === "number" && Number.isFinite(x) ? x : 0;
const number = (x: unknown): number => typeof x === "number" ? x : NaN;
const entries = (x: unknown): [string, unknown][] => isObject(x) ? Object.entries(x) : [];

const isPoint = (x: unknown): boolean =>
  Array.isArray(x) && x.length === 2 && typeof x[0] === "number" && (x[1] === null || typeof x[1] === "number");

function curve(x: unknown): Point[] {
  // What is as it should be is taken as it is: a million points are not made twice.
  if (Array.isArray(x) && x.every(isPoint)) return x as Point[];
  const out: Point[] = [];
  for (const pair of list(x)) {
    if (Array.isArray(pair) && typeof pair[0] === "number") out.push([pair[0], typeof pair[1] === "number" ? pair[1] : null]);
  }
  return out;
}

function style(x: unknown): Style {
  const colour = text(get(x, "colour")), dashes = text(get(x, "dashes"));
  return {
    rule: text(get(x, "rule")),
    colour: /^#[0-9a-fA-F]{6}$/.test(colour) ? colour : "#000000",
    dashes: /^[0-9 .]*$/.test(dashes) ? dashes : "",
    mark: text(get(x, "mark")),
  };
}

function fate(x: unknown): Fate {
  return {
    told: text(get(x, "told")), collapsed: get(x, "collapsed") === true, diverged: get(x, "diverged") === true,
    neverLearnt: get(x, "never_learnt") === true, skipped: whole(get(x, "skipped")), steps: whole(get(x, "steps")),
  };
}

function run(x: unknown, keys: string[]): Run {
  const settings = get(x, "settings"), final = get(x, "final");
  const own: Run = {
    key: text(get(x, "key")), rule: text(get(x, "rule")), attack: text(get(x, "attack")), seed: text(get(x, "seed")),
    line: text(get(x, "line")), setting: text(get(x, "setting")), state: text(get(x, "state")),
    error: text(get(x, "error")), fate: fate(get(x, "fate")), curve: curve(get(x, "curve")),
    series: list(get(x, "series")).map(one => ({ metric: whole(get(one, "metric")), curve: curve(get(one, "curve")) })),
    final: isObject(final) ? {
      last: number(get(final, "last")), tail: number(get(final, "tail")), best: number(get(final, "best")),
      counted: whole(get(final, "counted")),
    } : null,
    refused: whole(get(x, "refused")),
    refusals: list(get(x, "refusals")).map(one => (
      { reason: text(get(one, "reason")), worker: text(get(one, "worker")), rows: whole(get(one, "rows")) })),
    seconds: typeof get(x, "seconds") === "number" ? number(get(x, "seconds")) : null,
    at: new Map(), combo: "",
  };
  own.line ||= own.rule;
  for (const key of keys) {
    const value = key === "rule" ? own.rule : key === "attack" ? own.attack : key === "seed" ? own.seed
      : text(get(settings, key));
    own.at.set(key, value);
  }
  own.combo = JSON.stringify(keys.filter(key => key !== "seed").map(key => own.at.get(key)));
  return own;
}

function live(x: unknown): Live {
  return {
    key: text(get(x, "key")), rule: text(get(x, "rule")), attack: text(get(x, "attack")),
    setting: text(get(x, "setting")), seed: text(get(x, "seed")), step: whole(get(x, "step")),
    steps: whole(get(x, "steps")), curve: curve(get(x, "curve")), classifies: get(x, "classifies") === true,
    weights: list(get(x, "weights")).map(one => typeof one === "number" ? one : null),
    refused: list(get(x, "refused")).map(whole),
    reasons: entries(get(x, "reasons")).map(([reason, count]) => [reason, whole(count)]),
    hostile: list(get(x, "hostile")).map(whole), expelled: list(get(x, "expelled")).map(whole),
    skipped: whole(get(x, "skipped")), served: served(get(x, "served")),
  };
}

function served(x: unknown): Served | null {
  return isObject(x) ? {
    present: list(get(x, "present")).map(one => one === true), admitted: list(get(x, "admitted")).map(whole),
    missed: list(get(x, "missed")).map(whole), revoked: list(get(x, "revoked")).map(whole),
    rounds: curve(get(x, "round_curve")), by: text(get(x, "by")),
    suspicion: list(get(x, "suspicion")).map(one => ({ worker: whole(get(one, "worker")), share: whole(get(one, "share")),
      curve: curve(get(one, "curve")) })),
  } : null;
}

function curves(x: unknown): Curves | null {
  const [steps, worst, clean] = ["steps", "worst", "clean"].map(key => list(get(x, key)).map(number));
  return steps.length && worst.length === steps.length && clean.length === steps.length ? { steps, worst, clean } : null;
}

function leaderboard(x: unknown): Leaderboard | null {
  const standings = list(get(x, "standings")).map(one => ({
    rule: text(get(one, "rule")), line: text(get(one, "line")), by: text(get(one, "by")), kappa: text(get(one, "kappa")),
    score: number(get(one, "score")), half: number(get(one, "half")), usual: number(get(one, "usual")),
    clean: number(get(one, "clean")), calm: number(get(one, "calm")), means: number(get(one, "means")),
    collapsed: whole(get(one, "collapsed")), attacked: whole(get(one, "attacked")),
    backdoor: number(get(one, "backdoor")), chance: number(get(one, "chance")),
    cells: list(get(one, "cells")).map(cell => ({
      setting: text(get(cell, "setting")), refused: get(cell, "refused") === true, worst: number(get(cell, "worst")),
      by: text(get(cell, "by")), usual: number(get(cell, "usual")), clean: number(get(cell, "clean")),
      curves: curves(get(cell, "curves")),
      attacks: list(get(cell, "attacks")).map(under => ({ attack: text(get(under, "attack")),
        accuracy: number(get(under, "accuracy")), half: number(get(under, "half")) })),
    })),
  }));
  return standings.length ? { tier: text(get(x, "tier")), version: whole(get(x, "version")), protocol: text(get(x, "protocol")),
    only: text(get(x, "only")), standings } : null;
}

/** What of the results changes often; the events of a live page hold just that. */
export function changing(x: unknown): Pick<Results, "planned" | "over" | "failed" | "missing" | "rules" | "running" |
  "silent" | "trouble"> {
  return {
    planned: whole(get(x, "planned")), over: whole(get(x, "over")), failed: whole(get(x, "failed")),
    missing: text(get(x, "missing")), rules: list(get(x, "rules")).map(style),
    running: list(get(x, "running")).map(live), silent: get(x, "silent") === true, trouble: text(get(x, "trouble")),
  };
}

/** Reads the JSON of a folder. Throws where it is none, or of a later version. */
export function read(json: string, folder = -1): Results {
  const x: unknown = JSON.parse(json);
  if (get(x, "format") !== "varangian-results") throw new Error("this is no JSON of varangian's results");
  if (whole(get(x, "version")) > 1) throw new Error("this is of a later version of varangian than this page");
  let axes: Axis[] = list(get(x, "axes")).map(one => ({
    key: text(get(one, "key")), meaning: text(get(one, "meaning")), tied: get(one, "tied") === true,
    values: list(get(one, "values")).map(text),
  }));
  if (!axes.length) axes = ["rule", "attack", "seed"].map(key => ({ key, meaning: "", tied: false, values: [] }));
  const keys = axes.map(axis => axis.key);
  const runs = list(get(x, "runs")).map(one => run(one, keys));
  for (const axis of axes) {
    // What the axis does not list, a run may have all the same.
    const known = new Set(axis.values);
    for (const own of runs) {
      const value = own.at.get(axis.key) ?? "";
      if (!known.has(value)) { known.add(value); axis.values.push(value); }
    }
  }
  const definitions = list(get(x, "definitions")).map(one => (
    { term: text(get(one, "term")), meaning: text(get(one, "meaning")) }));
  return {
    ...changing(x), folder, name: text(get(x, "name")), program: text(get(x, "program")),
    metric: text(get(x, "metric")) || "accuracy", higher: get(x, "higher_is_better") !== false,
    asked: text(get(x, "asked")), methods: text(get(x, "methods")), configuration: text(get(x, "configuration")),
    axes, common: entries(get(x, "common")).map(([key, value]) => [key, text(value)]),
    metrics: list(get(x, "metrics")).map(one => (
      { name: text(get(one, "name")), label: text(get(one, "label")), share: get(one, "share") === true })),
    runs, definitions,
    meanings: list(get(x, "meanings")).map(one => (
      { mark: text(get(one, "mark")), word: text(get(one, "word")), meaning: text(get(one, "meaning")) })),
    measured: list(get(x, "measured")).map(text), tuning: text(get(x, "tuning")), sampled: text(get(x, "sampled")),
    notes: list(get(x, "notes")).map(text), leaderboard: leaderboard(get(x, "leaderboard")),
  };
}

/** The curve of a measurement of a run: of the metric itself under the place −1. */
export function measured(own: Run, metric: number): Point[] {
  return metric < 0 ? own.curve : own.series.find(one => one.metric === metric)?.curve ?? [];
}

/** The axes that have something to choose. */
export function open(results: Results): Axis[] {
  return results.axes.filter(axis => axis.key !== "seed" && axis.values.length > 1);
}
