//! Which pictures a matrix of runs makes: `varangian plot DIR`.

mod heterogeneity;

use crate::config::label_keys;
use crate::plot::{BoxGroup, Curve, Grid, Panel, Picture, Spread, boxes, curves, heatmap};
use crate::results::{self, Interval, Judged, Outcome, Store, Table, judge, student};
use crate::{Failure, print};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What `varangian plot` draws, below its help.
const DRAWN: &str = "Pictures, each as SVG and PNG, where the results hold what they show:
  accuracy (or test_loss)    against the step: a panel an attack, a line a rule, bands over seeds;
                             one file for each setting that varies beside rule, attack and seed
  heatmap                    rule × attack: accuracy, mean of the last 10 evaluations
  heterogeneity-RULE         f × partition: the worst case over attacks, where both vary
  boxes-best, boxes-last     best and last accuracies over attacks and seeds, a box a rule
  acceptance                 weight that the rule gives to hostile rows, against the step
  loss                       honest minibatch loss, against the step
  ratio, ratio-sampled       variance-norm ratio of what honest workers send, and of their
                             gradients before momentum (runs with study > 0)
  against                    share of the coordinates that a vote moves against the sum of the
                             honest signs (the same, where workers send signs)";

/// Arguments of `varangian plot`.
#[derive(clap::Args)]
#[command(after_help = DRAWN)]
pub(crate) struct Args {
    /// A folder of results
    folder: PathBuf,
}

/// Draws everything that the results of a folder can show.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let store = Store::open(&args.folder)?;
    let outcomes = store.outcomes()?;
    let name = name_of(&args.folder);
    for (file, picture) in all(&name, &outcomes) {
        let path = store.path(&file);
        picture.write(&path)?;
        print::line(&format!("{}.svg .png", path.display()));
    }
    Ok(())
}

/// The name of an experiment from its folder's.
pub(crate) fn name_of(folder: &std::path::Path) -> String {
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    whole.file_name().map_or_else(String::new, |name| name.to_string_lossy().into())
}

/// Every picture with the file that it goes to.
pub(crate) fn all(name: &str, outcomes: &[Outcome]) -> Vec<(String, Picture)> {
    let table = Table::of(outcomes);
    let mut out = learning(name, outcomes, &table);
    if table.higher_is_better {
        out.push(("heatmap".into(), worst_map(name, &table)));
        out.extend(heterogeneity::maps(name, outcomes));
        out.push(("boxes-best".into(), spread(name, "best", outcomes, |judged| judged.best)));
        out.push(("boxes-last".into(), spread(name, "last", outcomes, |judged| judged.last)));
    }
    let more = [
        ("hostile_weight", "acceptance", "weight of hostile rows", true),
        ("train_loss", "loss", "honest minibatch loss", false),
        ("study/Honest variance-norm ratio", "ratio", "ratio of what is sent", false),
        (SAMPLED_RATIO, "ratio-sampled", "ratio before momentum", false),
        ("study/Vote against-honest share", "against", "moved against the honest sum", true),
    ];
    for (metric, file, label, percent) in more {
        for (suffix, group) in groups(outcomes) {
            if group.iter().any(|outcome| !curve_of(outcome, metric).is_empty()) {
                let shown = Shown { name, suffix: &suffix, metric, label, percent };
                out.push((format!("{file}{}", file_suffix(&suffix)), against_step(&shown, &group)));
            }
        }
    }
    out
}

/// (deviation/norm)² of sampled gradients: derived from two columns of the study.
const SAMPLED_RATIO: &str = "sampled variance-norm ratio";

/// A metric of a run by step, kept or derived.
fn curve_of(outcome: &Outcome, metric: &str) -> Vec<(u64, f64)> {
    if metric != SAMPLED_RATIO {
        return outcome.curve(metric);
    }
    let norm = outcome.curve("study/Sampled gradient norm");
    let deviation = outcome.curve("study/Sampled gradient deviation").into_iter();
    let ratio = |((step, deviation), (_, norm)): ((u64, f64), (u64, f64))| {
        (step, (deviation / norm).powi(2))
    };
    deviation.zip(norm).map(ratio).collect()
}

/// Accuracy (or test loss) against the step, one picture for each of what varies beside rule,
/// attack and seed.
pub(crate) fn learning(name: &str, outcomes: &[Outcome], table: &Table) -> Vec<(String, Picture)> {
    let percent = table.higher_is_better;
    let label = if percent { "test accuracy" } else { "test loss" };
    let picture = |(suffix, group): (String, Vec<&Outcome>)| {
        let shown = Shown { name, suffix: &suffix, metric: table.metric, label, percent };
        let file = format!("{}{}", table.metric, file_suffix(&suffix));
        (file, against_step(&shown, &group))
    };
    groups(outcomes).into_iter().map(picture).collect()
}

/// Tail means, lines by attacks.
fn worst_map(name: &str, table: &Table) -> Picture {
    let cell = |line: usize, attack: usize| {
        let cell = table.cells.get(&(line, attack)).filter(|cell| !cell.seeds.is_empty());
        cell.map_or(f64::NAN, |cell| cell.over(|judged| judged.tail).mean)
    };
    let row = |line| (0..table.attacks.len()).map(|attack| cell(line, attack)).collect();
    let values = (0..table.lines.len()).map(row).collect();
    let grid = Grid { rows: table.lines.clone(), columns: table.attacks.clone(), values };
    heatmap(&format!("{name}: accuracy, mean of the last 10"), "attack", "rule", grid)
}

/// How one number of each run spreads over attacks and seeds, a box a rule.
fn spread(name: &str, what: &str, outcomes: &[Outcome], of: fn(&Judged) -> f64) -> Picture {
    let mut labels = Vec::new();
    let mut groups: Vec<BoxGroup> = Vec::new();
    let mut clean = Vec::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.is_finished()) {
        let curve: Vec<f64> = outcome.curve("accuracy").iter().map(|point| point.1).collect();
        let Some(judged) = judge(&curve, true) else { continue };
        if outcome.settings.attack == "none" {
            clean.push(of(&judged));
            continue;
        }
        let place = results::place(&mut labels, &outcome.settings.rule);
        if place == groups.len() {
            groups.push(BoxGroup { label: labels[place].clone(), values: Vec::new() });
        }
        groups[place].values.push(of(&judged));
    }
    let clean = results::median(&clean);
    let reference = clean.is_finite().then_some((clean, "median without attack"));
    let title = format!("{name}: {what} accuracy over attacks and seeds");
    boxes(&title, &format!("{what} accuracy"), groups, reference)
}

/// Outcomes by what varies beside rule, attack and seed: one picture each.
fn groups(outcomes: &[Outcome]) -> BTreeMap<String, Vec<&Outcome>> {
    let settings: Vec<_> = outcomes.iter().map(|outcome| &outcome.settings).collect();
    let keys: Vec<&str> = label_keys(&settings).into_iter().filter(|key| *key != "rule").collect();
    let mut groups: BTreeMap<String, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.is_finished()) {
        groups.entry(outcome.settings.label(&keys)).or_default().push(outcome);
    }
    groups
}

/// "-momentum_at=worker", with nothing that a file name cannot hold.
fn file_suffix(suffix: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "=._-".contains(c) { c } else { '-' };
    let text: String = suffix.replace(", ", "-").chars().map(plain).collect();
    if text.is_empty() { text } else { format!("-{text}") }
}

/// What a curve picture shows.
struct Shown<'a> {
    name: &'a str,
    suffix: &'a str,
    metric: &'a str,
    label: &'a str,
    percent: bool,
}

/// A metric against the step: a panel an attack, a line a rule, bands over seeds.
fn against_step(shown: &Shown<'_>, group: &[&Outcome]) -> Picture {
    let (mut rules, mut panels) = (Vec::new(), Vec::<Panel>::new());
    let mut seeds: BTreeMap<(usize, usize), Vec<Vec<(u64, f64)>>> = BTreeMap::new();
    for outcome in group {
        let rule = results::place(&mut rules, &outcome.settings.rule);
        let attack = &outcome.settings.attack;
        let panel = panels.iter().position(|panel| panel.title == *attack).unwrap_or(panels.len());
        if panel == panels.len() {
            panels.push(Panel { title: attack.clone(), curves: Vec::new() });
        }
        seeds.entry((panel, rule)).or_default().push(curve_of(outcome, shown.metric));
    }
    for ((panel, line), curves) in seeds {
        panels[panel].curves.push(Curve { line, points: band(&curves) });
    }
    let mut title = shown.name.to_owned();
    if !shown.suffix.is_empty() {
        title.push_str(&format!(": {}", shown.suffix));
    }
    title.push_str(&band_note(group));
    curves(&title, shown.label, &rules, panels, shown.percent)
}

/// With fewer seeds than this, Student's interval is wider than any picture: the range is drawn.
const FEW: usize = 5;

/// What the bands of a picture are.
fn band_note(group: &[&Outcome]) -> String {
    let seeds: BTreeSet<u64> = group.iter().map(|outcome| outcome.settings.seed).collect();
    match seeds.len() {
        0 | 1 => String::new(),
        few if few < FEW => format!(" (bands: range of {few} seeds)"),
        many => format!(" (bands: 95 % Student interval of {many} seeds)"),
    }
}

/// (step, low, mean, high) over seeds at each step that all of them have.
pub(crate) fn band(curves: &[Vec<(u64, f64)>]) -> Vec<Spread> {
    let shortest = curves.iter().map(Vec::len).min().unwrap_or(0);
    let point = |k: usize| {
        let values: Vec<f64> = curves.iter().map(|curve| curve[k].1).collect();
        let Interval { mean, half } = student(&values);
        let (low, high) = match values.len() {
            0 | 1 => (f64::NAN, f64::NAN),
            few if few < FEW => (
                values.iter().copied().fold(f64::INFINITY, f64::min),
                values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            ),
            _ => (mean - half, mean + half),
        };
        Spread { step: curves[0][k].0 as f64, low, mean, high }
    };
    (0..shortest).map(point).collect()
}
