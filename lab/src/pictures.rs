//! Which pictures a matrix of runs makes.

mod bands;
mod drawing;
mod heterogeneity;

pub use bands::band;
use bands::{band_note, whole};
pub use drawing::{Drawing, undrawn, write_all};

use crate::plot::{BoxGroup, Curve, Grid, Panel, Picture, Sheet, boxes, heatmap};
use crate::results::{self, Fate, Judged, Outcome, Store, Sweep, Table, fate, judge};
use crate::{Failure, files, text};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What was drawn of a folder of results.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// What readers of the pictures must know: that runs are missing, or were not as written.
    pub missing: Option<String>,
    /// The pictures, as paths without their endings `.svg` and `.png`.
    pub files: Vec<PathBuf>,
    /// Which pictures could not be drawn, and why.
    pub undrawn: Vec<Failure>,
}

/// Draws everything that the results of a folder can show, into the folder.
///
/// # Errors
/// If it holds no results, or cannot be written. A picture that cannot be drawn is no error here:
/// it is in [`Drawn::undrawn`], and the others are there.
pub fn draw(folder: &Path) -> Result<Drawn, Failure> {
    let store = Store::open(folder)?;
    let kept = store.kept()?;
    let name = name_of(folder);
    let missing = kept.missing();
    let subject = Subject::of(&store, &name, &kept.outcomes, missing.clone());
    let (drawn, undrawn) = write_all(&store, &subject.all());
    let files = drawn.iter().map(|file| store.path(file)).collect();
    Ok(Drawn { missing, files, undrawn })
}

/// What the results of a folder are called: the experiment's name, or the folder's where the folder
/// does not say.
pub fn name_of(folder: &Path) -> String {
    let said = files::text_of(&folder.join("experiment.toml"));
    let table = said.parse::<toml::Table>().ok();
    let name = table.as_ref().and_then(|table| table.get("name")?.as_str());
    if let Some(name) = name.filter(|name| !name.is_empty() && name.len() <= 200) {
        return text::one_line(name);
    }
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    whole.file_name().map_or_else(String::new, |name| name.to_string_lossy().into())
}

/// What pictures are of.
pub struct Subject<'a> {
    name: &'a str,
    outcomes: &'a [Outcome],
    sweep: Sweep,
    table: Table,
    missing: Option<String>,
}

/// What each metric's picture is called and shows, beside that of learning.
const MORE: [(&str, &str, &str, bool); 6] = [
    ("hostile_weight", "acceptance", "weight of hostile rows", true),
    ("train_loss", "loss", "honest minibatch loss", false),
    ("study/Honest variance-norm ratio", "ratio", "ratio of what is sent", false),
    (SAMPLED_RATIO, "ratio-sampled", "ratio before momentum", false),
    ("study/Vote against-honest share", "against", "moved against the honest sum", true),
    ("certificate/radius", "radius", "certified distance from the honest mean", false),
];

impl<'a> Subject<'a> {
    /// Of the outcomes of a folder, of which `missing` says what is not there yet.
    pub fn of(
        store: &Store,
        name: &'a str,
        outcomes: &'a [Outcome],
        missing: Option<String>,
    ) -> Self {
        let sweep = Sweep::kept(store, outcomes);
        let table = Table::of(outcomes, &sweep);
        Subject { name, outcomes, sweep, table, missing }
    }

    /// The tables of the same outcomes.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Every picture.
    pub fn all(&self) -> Vec<Drawing<'_>> {
        let mut out = self.learning();
        if self.table.higher_is_better {
            let caption = format!("Accuracy, mean of the {}: rules by attacks", self.table.tail());
            out.push(Drawing::new("heatmap", caption, || self.worst_map()));
            out.extend(heterogeneity::maps(self));
            out.extend(self.spreads("best", |judged| judged.best));
            out.extend(self.spreads("last", |judged| judged.last));
        }
        for (metric, file, label, percent) in MORE {
            out.extend(self.against_steps(Shown { metric, file, label, percent }));
        }
        out
    }

    /// Accuracy (or test loss) against the step, one picture for each of what varies beside rule,
    /// attack and seed.
    pub fn learning(&self) -> Vec<Drawing<'_>> {
        let percent = self.table.higher_is_better;
        let label = if percent { "test accuracy" } else { "test loss" };
        let metric = self.table.metric;
        self.against_steps(Shown { metric, file: metric, label, percent })
    }

    fn against_steps(&self, shown: Shown) -> Vec<Drawing<'_>> {
        let mut out = Vec::new();
        for (setting, group) in self.groups() {
            if group.iter().all(|outcome| curve_of(outcome, shown.metric).is_empty()) {
                continue;
            }
            let caption = format!("{}{}: against the step", capital(shown.label), of(&setting));
            let file = file(shown.file, &setting);
            let draw = move || self.against_step(shown, &setting, &group);
            out.push(Drawing::new(&file, caption, draw));
        }
        out
    }

    /// Outcomes by what varies beside rule, attack and seed, in the order of the runs: one picture
    /// each, so that none pools settings.
    fn groups(&self) -> Vec<(String, Vec<&'a Outcome>)> {
        let (mut names, mut groups) = (Vec::new(), Vec::<(String, Vec<&Outcome>)>::new());
        for outcome in self.outcomes.iter().filter(|outcome| outcome.is_finished()) {
            let place = results::place(&mut names, &self.sweep.setting(&outcome.settings));
            if place == groups.len() {
                groups.push((names[place].clone(), Vec::new()));
            }
            groups[place].1.push(outcome);
        }
        groups
    }

    /// "name" or "name: setting".
    fn title(&self, what: &str, setting: &str) -> String {
        let what = if what.is_empty() { String::new() } else { format!(": {what}") };
        format!("{}{what}{}", self.name, of(setting))
    }

    /// What broke in a group of runs, and what is missing: notes below a picture.
    fn notes(&self, group: &[&Outcome]) -> Vec<String> {
        let (mut names, mut cells) = (Vec::new(), Vec::<Vec<Fate>>::new());
        let settings: BTreeSet<String> =
            group.iter().map(|outcome| self.sweep.setting(&outcome.settings)).collect();
        let several = settings.len() > 1;
        for outcome in group {
            let own = &outcome.settings;
            let line = if several { self.sweep.label(own) } else { self.sweep.line(own) };
            let name = format!("{line} × {}", own.attack);
            let place = results::place(&mut names, &name);
            if place == cells.len() {
                cells.push(Vec::new());
            }
            cells[place].push(Fate::of(outcome));
        }
        let broken = names.iter().zip(&cells).filter(|(_, fates)| fate::told(fates) != "-");
        let told: Vec<String> =
            broken.map(|(name, fates)| format!("{name}: {}", fate::told(fates))).collect();
        let more = told.len().saturating_sub(NAMED);
        let mut notes: Vec<String> = self.missing.iter().cloned().collect();
        if !told.is_empty() {
            let first = told[..told.len().min(NAMED)].join(" · ");
            notes.push(match more {
                0 => first,
                more => format!("{first} · and {more} more"),
            });
        }
        notes.extend(fate::meanings(&cells.concat()));
        notes
    }

    /// Tail means, lines by attacks.
    fn worst_map(&self) -> Picture {
        let table = &self.table;
        let cell = |line: usize, attack: usize| {
            let cell = table.cells.get(&(line, attack)).filter(|cell| !cell.seeds.is_empty());
            cell.map_or(f64::NAN, |cell| cell.over(|judged| judged.tail).mean)
        };
        let row = |line| (0..table.attacks.len()).map(|attack| cell(line, attack)).collect();
        let values = (0..table.lines.len()).map(row).collect();
        let grid = Grid { rows: table.lines.clone(), columns: table.attacks.clone(), values };
        let title = format!("{}: accuracy, mean of the {}", self.name, table.tail());
        let mut notes = vec!["Means over seeds; grey: not run, failed or not over".to_owned()];
        notes.extend(self.notes(&self.outcomes.iter().collect::<Vec<_>>()));
        heatmap(&title, "attack", "rule", grid, notes)
    }

    /// How one number of each run spreads over attacks and seeds, a box a rule; a picture for each
    /// setting that was attacked.
    fn spreads(&self, what: &'static str, of: fn(&Judged) -> f64) -> Vec<Drawing<'_>> {
        let groups = self.groups().into_iter();
        let attacked = groups.filter(|(_, group)| group.iter().any(|one| is_attacked(one)));
        attacked
            .map(|(setting, group)| {
                let name = file(&format!("boxes-{what}"), &setting);
                let caption = format!(
                    "{} accuracy{} over attacks and seeds, a box a rule",
                    capital(what),
                    self::of(&setting)
                );
                let draw = move || self.spread(what, &setting, &group, of);
                Drawing::new(&name, caption, draw)
            })
            .collect()
    }

    fn spread(
        &self,
        what: &str,
        setting: &str,
        group: &[&Outcome],
        of: fn(&Judged) -> f64,
    ) -> Picture {
        let (mut labels, mut groups) = (Vec::new(), Vec::<BoxGroup>::new());
        let mut clean = Vec::new();
        for outcome in group {
            let Some(judged) = judge(&outcome.curve("accuracy"), true) else { continue };
            if !is_attacked(outcome) {
                clean.push(of(&judged));
                continue;
            }
            let place = results::place(&mut labels, &self.sweep.line(&outcome.settings));
            if place == groups.len() {
                let (label, line) =
                    (labels[place].clone(), self.sweep.place(&outcome.settings.rule));
                groups.push(BoxGroup { label, line, values: Vec::new() });
            }
            groups[place].values.push(of(&judged));
        }
        let clean = results::median(&clean);
        let reference =
            clean.is_finite().then_some((clean, "no attack, median of all rules and seeds"));
        let title = self.title(&format!("{what} accuracy over attacks and seeds"), setting);
        boxes(&title, &format!("{what} accuracy"), groups, reference, self.notes(group))
    }

    /// A metric against the step: a panel an attack, a line a rule, bands over seeds.
    fn against_step(&self, shown: Shown, setting: &str, group: &[&Outcome]) -> Picture {
        let (mut names, mut panels) = (Vec::new(), Vec::<Panel>::new());
        let (mut legend, mut without) = (Vec::<(usize, String)>::new(), Vec::new());
        let mut seeds: BTreeMap<(usize, usize), Vec<Vec<(u64, f64)>>> = BTreeMap::new();
        for outcome in group {
            let (own, curve) = (&outcome.settings, curve_of(outcome, shown.metric));
            let line = self.sweep.line(own);
            if curve.is_empty() {
                results::place(&mut without, &line);
                continue;
            }
            let panel = results::place(&mut names, &own.attack);
            if panel == panels.len() {
                panels.push(Panel { title: own.attack.clone(), curves: Vec::new() });
            }
            let place = match legend.iter().find(|entry| entry.1 == line) {
                Some(entry) => entry.0,
                None => {
                    let taken = |place: usize| legend.iter().any(|entry| entry.0 == place);
                    let later = self.sweep.rules.len()..;
                    let places = std::iter::once(self.sweep.place(&own.rule)).chain(later);
                    let free = places.into_iter().find(|place| !taken(*place)).unwrap_or(0);
                    legend.push((free, line));
                    free
                }
            };
            seeds.entry((panel, place)).or_default().push(curve);
        }
        let end =
            seeds.values().flatten().flat_map(|curve| curve.last()).map(|point| point.0).max();
        for ((panel, line), curves) in seeds {
            panels[panel].curves.push(Curve { line, points: whole(&curves, end.unwrap_or(0)) });
        }
        let mut notes = vec![band_note(group)];
        if !without.is_empty() {
            notes.push(format!("Without {}: {}", shown.label, without.join(", ")));
        }
        notes.extend(self.notes(group));
        notes.retain(|note| !note.is_empty());
        legend.sort();
        let (title, x_label) = (self.title("", setting), "step".into());
        let (y_label, percent) = (shown.label.to_owned(), shown.percent);
        let (wide, x_names) = (None, Vec::new());
        Sheet { title, x_label, y_label, legend, panels, percent, notes, wide, x_names }.draw()
    }
}

/// Runs that a note names.
const NAMED: usize = 8;

/// Whether anyone attacks in the run.
pub fn is_attacked(outcome: &Outcome) -> bool {
    outcome.settings.attack != "none" && outcome.settings.f_real() > 0
}

/// ", setting" or nothing.
fn of(setting: &str) -> String {
    if setting.is_empty() { String::new() } else { format!(", {setting}") }
}

fn file(what: &str, setting: &str) -> String {
    if setting.is_empty() { what.to_owned() } else { format!("{what}-{setting}") }
}

fn capital(text: &str) -> String {
    let mut signs = text.chars();
    signs.next().map_or_else(String::new, |first| first.to_uppercase().chain(signs).collect())
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

/// What a curve picture shows.
#[derive(Clone, Copy)]
struct Shown {
    metric: &'static str,
    file: &'static str,
    label: &'static str,
    percent: bool,
}
