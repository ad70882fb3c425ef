// Runs put together: by what a reader asks to see apart, and over the rest as he says.

import type { Axis, Final, Results, Run } from "./data";
import { interval, mean, type Interval } from "./stats";

/** How settings that no place of a picture tells apart are put together. */
export type Rest = "worst" | "mean";

/** Runs that differ in nothing but the seed. */
export interface Combo { key: string; runs: Run[] }
export interface Group { at: Map<string, string>; combos: Combo[] }

/** Runs by their values of `keys`; below, by everything else but the seed. */
export function groups(runs: Run[], keys: string[]): Group[] {
  const all = new Map<string, Group>(), combos = new Map<string, Combo>();
  for (const run of runs) {
    const name = keys.map(key => run.at.get(key) ?? "").join("\u0000");
    let group = all.get(name);
    if (!group) all.set(name, group = { at: new Map(keys.map(key => [key, run.at.get(key) ?? ""])), combos: [] });
    const own = name + "\u0001" + run.combo;
    let combo = combos.get(own);
    if (!combo) { combos.set(own, combo = { key: run.combo, runs: [] }); group.combos.push(combo); }
    combo.runs.push(run);
  }
  return [...all.values()];
}

export interface Judged extends Interval { values: number[]; seeds: string[]; combo: Combo | null; runs: Run[] }

/** The value of a run in tables: NaN where it is not finite or was not measured. */
export const valueOf = (run: Run, of: keyof Final): number => run.final ? run.final[of] : NaN;

/** What a combination of settings is worth: a number a seed. */
function judgedCombo(combo: Combo, of: keyof Final): Judged {
  const runs = combo.runs.filter(run => run.final);
  const values = runs.map(run => valueOf(run, of));
  return { ...interval(values), values, seeds: runs.map(run => run.seed), combo, runs };
}

/** Worse is less; what is not finite is worse than any number. */
export const badness = (value: number, higher: boolean): number =>
  Number.isFinite(value) ? (higher ? value : -value) : -Infinity;

/** What a group is worth; nothing where nothing was measured. */
export function judge(group: Group, rest: Rest, higher: boolean, of: keyof Final = "tail"): Judged | null {
  const all = group.combos.map(combo => judgedCombo(combo, of)).filter(one => one.values.length);
  if (!all.length) return null;
  if (all.length === 1) return all[0];
  if (rest === "worst") return all.reduce((a, b) => badness(b.mean, higher) < badness(a.mean, higher) ? b : a);
  const bySeed = new Map<string, number[]>();
  for (const one of all) one.seeds.forEach((seed, k) => {
    const values = bySeed.get(seed);
    if (values) values.push(one.values[k]); else bySeed.set(seed, [one.values[k]]);
  });
  const values = [...bySeed.values()].map(mean);
  return { ...interval(values), values, seeds: [...bySeed.keys()], combo: null, runs: all.flatMap(one => one.runs) };
}

/** "momentum_at=worker, f_real=4": the values of a run at these axes. */
export const told = (run: Run, axes: Axis[], but: string[] = []): string =>
  axes.filter(axis => !but.includes(axis.key)).map(axis =>
    axis.key === "rule" || axis.key === "attack" ? run.at.get(axis.key) : `${axis.key}=${run.at.get(axis.key)}`).join(", ");

/** Sorts by the order of an axis. */
export function order(results: Results, key: string): Map<string, number> {
  const axis = results.axes.find(one => one.key === key);
  return new Map((axis?.values ?? []).map((value, k) => [value, k]));
}

/** "!cd": what broke in some of these runs. */
export function marks(runs: Run[]): string {
  const some = (of: (run: Run) => boolean) => runs.some(of);
  const found = (some(run => run.fate.collapsed) ? "c" : "") + (some(run => run.fate.diverged) ? "d" : "")
    + (some(run => run.fate.neverLearnt) ? "n" : "") + (some(run => run.fate.skipped > 0) ? "s" : "");
  return found && "!" + found;
}

export interface Paired extends Interval { seeds: number; pairs: number; better: number; settings: number }
/** The difference b − a over runs that are alike but for what tells a from b: pairs are averaged for
 * each seed, as runs of one seed share their draws, and the interval is over seeds. */
export function paired(a: Run[], b: Run[], alike: (run: Run) => string, higher: boolean): Paired | null {
  const name = (run: Run) => alike(run) + "\u0000" + run.seed;
  const others = new Map(a.filter(run => run.final).map(run => [name(run), run]));
  const bySeed = new Map<string, number[]>(), bySetting = new Map<string, number[]>();
  const put = (map: Map<string, number[]>, key: string, x: number) => {
    const known = map.get(key);
    if (known) known.push(x); else map.set(key, [x]);
  };
  let pairs = 0;
  for (const run of b) {
    const other = run.final && others.get(name(run));
    if (!other) continue;
    const difference = valueOf(run, "tail") - valueOf(other, "tail");
    if (!Number.isFinite(difference)) continue;
    pairs++;
    put(bySeed, run.seed, difference);
    put(bySetting, alike(run), difference);
  }
  if (!pairs) return null;
  const sign = higher ? 1 : -1;
  const better = [...bySetting.values()].filter(values => sign * mean(values) > 0).length;
  return { ...interval([...bySeed.values()].map(mean)), seeds: bySeed.size, pairs, better, settings: bySetting.size };
}
