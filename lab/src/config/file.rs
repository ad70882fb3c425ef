//! An experiment file, with what the command line changes in it.

use super::keys::FILE_KEYS;
use super::settings::one_line;
use super::{KEYS, Own, Settings, Tune, grid, optimisers, profile, range};
use crate::Failure;
use crate::run::{How, Worlds};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use toml::{Table, Value};
use varangian_base::SpecError;

/// Where an experiment comes from: a file, and the command line's changes to it.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// `key=value` pairs; they win over the file, `[[run]]` tables included.
    pub set: Vec<String>,
    /// Replaces the file's seeds by one.
    pub seed: Option<u64>,
}

/// Whether the heterogeneity (G, B) of each partition is measured before the runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measuring {
    /// Where that takes a minute or two of one core at most.
    #[default]
    Auto,
    /// However long it takes.
    Always,
    /// Not at all.
    Never,
}

/// A matrix of runs.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The name: of the results folder and of reports.
    pub name: String,
    /// The runs, in order, without repetitions.
    pub runs: Vec<Settings>,
    /// Whether runs whose rule cannot take their (n, f) are left out rather than refused.
    pub skip_below_bound: bool,
    /// Whether the heterogeneity of partitions is measured before the runs.
    pub heterogeneity: Measuring,
    /// How hyperparameters are chosen before the runs, where they are.
    pub tune: Option<Tune>,
    /// How it is run: folders, threads, shares. Nothing in it changes results.
    pub how: How,
    /// Rules and others from outside that its runs may name.
    pub own: Own,
    /// Where its runs happen: in this process.
    pub world: Worlds,
}

impl Experiment {
    /// The experiment that a file holds, as it stands.
    ///
    /// # Errors
    /// As [`Experiment::load`].
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, Failure> {
        Self::load(&Source { path: path.into(), ..Source::default() })
    }

    /// The experiment that a text of the same form holds; it is called `experiment` unless the text
    /// names it.
    ///
    /// # Errors
    /// As [`Experiment::load`].
    pub fn from_text(text: &str) -> Result<Self, Failure> {
        Self::parse(text, "experiment", &Source::default())
    }

    /// The experiment of these runs, built in code. `name` names the folder of its results.
    ///
    /// # Errors
    /// If there is no run, a number is out of range, or the name cannot name a folder.
    pub fn of(name: &str, runs: Vec<Settings>) -> Result<Self, Failure> {
        text_of(Some(Value::String(name.to_owned())), "name")?;
        runs.iter().try_for_each(Settings::check_numbers)?;
        let given = |mut one: Settings| {
            one.f_real.get_or_insert(one.f);
            one
        };
        match runs.is_empty() {
            true => Err(Failure::refused("an experiment has at least one run; found none")),
            false => Ok(Experiment {
                name: name.to_owned(),
                runs: runs.into_iter().map(given).collect(),
                skip_below_bound: false,
                heterogeneity: Measuring::Auto,
                tune: None,
                how: How::default(),
                own: Own::default(),
                world: Worlds::default(),
            }),
        }
    }

    /// Reads the file and applies the command line's changes.
    ///
    /// # Errors
    /// If the file is missing or is not TOML, a key is unknown or holds the wrong type, a number
    /// is out of range, or no run is left.
    pub fn load(source: &Source) -> Result<Self, Failure> {
        let path = &source.path;
        let text = read_text(path)?;
        let stem = path.file_stem().map_or("experiment".into(), |s| s.to_string_lossy());
        let stem = as_name(&stem);
        if read_table(&text).is_ok_and(|table| table.is_empty()) {
            let text = "the file sets no key; `varangian keys` lists what it can say";
            return Err(Failure::refused(text).at(path.display()));
        }
        Self::parse(&text, &stem, source).map_err(|failure| failure.at(path.display()))
    }

    /// As [`Experiment::load`], from text; `name` is the experiment's unless the text names it.
    ///
    /// # Errors
    /// As [`Experiment::load`].
    pub fn parse(text: &str, name: &str, source: &Source) -> Result<Self, Failure> {
        let mut table = read_table(text)?;
        let known: Vec<&str> = all_keys().chain(FILE_KEYS.iter().copied()).collect();
        check_keys(&table, &known)?;
        let overrides = overrides(source)?;
        let name = text_of(table.remove("name"), "name")?.unwrap_or(name.to_owned());
        let skip_below_bound = match table.remove("skip_below_bound") {
            None => false,
            Some(Value::Boolean(skip)) => skip,
            Some(other) => return Err(wrong("skip_below_bound", "true or false", &other)),
        };
        let heterogeneity = match table.remove("heterogeneity") {
            None => Measuring::Auto,
            Some(Value::String(text)) if text == "auto" => Measuring::Auto,
            Some(Value::String(text)) if text == "always" => Measuring::Always,
            Some(Value::String(text)) if text == "never" => Measuring::Never,
            Some(other) => {
                return Err(wrong("heterogeneity", "\"auto\", \"always\" or \"never\"", &other));
            }
        };
        let tune = match table.remove("tune") {
            None => None,
            Some(Value::Table(tune)) => Some(Tune::read(tune).map_err(|e| e.at("[tune]"))?),
            Some(other) => return Err(wrong("tune", "a table written [tune]", &other)),
        };
        let mut runs: Vec<Settings> = Vec::new();
        let mut tables = Vec::new();
        for mut part in parts(table)? {
            part.extend(overrides.clone());
            range::expand(&mut part)?;
            tables.extend(optimisers::expand(part)?);
        }
        let count = tables.iter().map(grid::count).fold(0, usize::saturating_add);
        demand_few(count)?;
        let mut seen = BTreeSet::new();
        for part in tables {
            for one in grid::product(&part) {
                let settings = profile::apply(Settings::read(one)?)?;
                settings.check_numbers()?;
                let text = toml::to_string(&settings).expect("scalars");
                if seen.insert(text) {
                    runs.push(settings);
                }
            }
        }
        match runs.is_empty() {
            true => Err(Failure::refused("no run is left; a list of values is empty")),
            false => Ok(Experiment {
                name,
                runs,
                skip_below_bound,
                heterogeneity,
                tune,
                how: How::default(),
                own: Own::default(),
                world: Worlds::default(),
            }),
        }
    }
}

/// The most runs of one experiment: what their settings take is some hundred megabytes.
const MOST_RUNS: usize = 100_000;

/// Refuses more runs than an experiment may have.
///
/// # Errors
/// If they are more.
pub(crate) fn demand_few(count: usize) -> Result<(), Failure> {
    match count <= MOST_RUNS {
        true => Ok(()),
        false => Err(Failure::refused(format!(
            "an experiment has at most {MOST_RUNS} runs; this one asks for {count}: several files \
             can share them"
        ))),
    }
}

/// The longest experiment file, in bytes.
const MOST_BYTES: u64 = 1 << 24;

/// The text of an experiment file; a pipe or a device is read no further than a file may be long.
fn read_text(path: &Path) -> Result<String, Failure> {
    let fail = |error: &std::io::Error| Failure::file("read", path, error);
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| fail(&error))?;
    let read = file.take(MOST_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| fail(&error))?;
    match text.len() as u64 > MOST_BYTES {
        false => Ok(text),
        true => Err(Failure::refused(format!(
            "{}: an experiment file has at most {MOST_BYTES} bytes; this one has more",
            path.display()
        ))),
    }
}

/// The top level alone, or each `[[run]]` with the top level as its defaults.
fn parts(mut table: Table) -> Result<Vec<Table>, Failure> {
    let Some(runs) = table.remove("run") else { return Ok(vec![table]) };
    let wrong_runs = |found: &Value| wrong("run", "tables written [[run]]", found);
    let Value::Array(runs) = runs else { return Err(wrong_runs(&runs)) };
    let mut out = Vec::new();
    for (k, run) in runs.into_iter().enumerate() {
        let Value::Table(run) = run else { return Err(wrong_runs(&run)) };
        let known: Vec<&str> = all_keys().collect();
        check_keys(&run, &known).map_err(|e| e.at(format!("[[run]] number {}", k + 1)))?;
        let mut part = table.clone();
        part.extend(run);
        out.push(part);
    }
    Ok(out)
}

fn all_keys() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.name).chain([optimisers::KEY])
}

fn read_table(text: &str) -> Result<Table, Failure> {
    text.parse::<Table>().map_err(|error| {
        let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
        let place = line.map_or(String::new(), |line| format!("line {line}: "));
        Failure::refused(format!("{place}{}", error.message().replace('\n', " ")))
    })
}

fn check_keys(table: &Table, known: &[&str]) -> Result<(), SpecError> {
    match table.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(SpecError::unknown("key", key, known)),
        None => Ok(()),
    }
}

/// The command line's changes as a table.
fn overrides(source: &Source) -> Result<Table, Failure> {
    let mut out = Table::new();
    for pair in &source.set {
        let Some((key, value)) = pair.split_once('=') else {
            let text = format!("--set takes key=value; found \"{pair}\"");
            return Err(Failure::refused(text));
        };
        let (key, value) = (key.trim(), value.trim());
        let known: Vec<&str> = all_keys().collect();
        if !known.contains(&key) {
            return Err(SpecError::unknown("key", key, &known).at("--set").into());
        }
        out.insert(key.to_owned(), read_value(value));
    }
    if let Some(seed) = source.seed {
        let seed = i64::try_from(seed)
            .map_err(|_| Failure::refused(format!("--seed is below 2^63; found {seed}")))?;
        out.insert("seed".into(), Value::Integer(seed));
    }
    Ok(out)
}

/// A TOML value, or the text itself where it is none: `rule=krum` needs no quotes.
fn read_value(text: &str) -> Value {
    let table: Result<Table, _> = format!("x = {text}").parse();
    match table {
        Ok(mut table) if table.len() == 1 => table.remove("x").expect("the only key"),
        _ => Value::String(text.to_owned()),
    }
}

fn text_of(value: Option<Value>, key: &str) -> Result<Option<String>, Failure> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) if is_folder_name(&text) => Ok(Some(text)),
        Some(other) => Err(wrong(
            key,
            "a text that can name a folder: letters, digits, spaces and ._+-, the first a letter, \
             a digit, _ or +, at most 100 bytes",
            &other,
        )),
    }
}

/// The longest name, in bytes: names of files are made of it.
const LONGEST: usize = 100;

/// Whether a folder of this name stays where it is put, is seen, and can be typed.
fn is_folder_name(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || "_+".contains(c));
    text.chars().all(is_name_char)
        && ends(text.chars().next())
        && !text.ends_with([' ', '.'])
        && text.len() <= LONGEST
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || "._+- ".contains(c)
}

/// The name that a file of this stem gives its experiment.
fn as_name(stem: &str) -> String {
    let plain: String = stem.chars().map(|c| if is_name_char(c) { c } else { '-' }).collect();
    let mut name = plain.trim_matches([' ', '.', '-']).to_owned();
    while name.len() > LONGEST {
        name.pop();
    }
    if is_folder_name(&name) { name } else { "experiment".into() }
}

fn wrong(key: &str, wants: &str, found: &Value) -> Failure {
    Failure::refused(format!("{key} takes {wants}; found {found}"))
}

/// Reads settings back from the text of one run.
///
/// # Errors
/// If the text is not TOML or not of this version's keys.
pub fn read_settings(text: &str) -> Result<Settings, Failure> {
    let table: Table =
        text.parse().map_err(|error: toml::de::Error| Failure::refused(one_line(&error)))?;
    Settings::read(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, set: &[&str]) -> Result<Experiment, String> {
        let set = set.iter().map(ToString::to_string).collect();
        let source = Source { set, ..Source::default() };
        Experiment::parse(text, "test", &source).map_err(|failure| failure.to_string())
    }

    #[test]
    fn tables_of_runs_take_the_top_level_as_defaults() {
        let text =
            "n = 9\nrule = ['krum', 'median']\n[[run]]\nf = [1, 2]\n[[run]]\nrule = 'average'\n";
        let runs = load(text, &[]).unwrap().runs;
        let short: Vec<String> =
            runs.iter().map(|run| format!("{} {} {}", run.rule, run.n, run.f)).collect();
        assert_eq!(short, ["krum 9 1", "median 9 1", "krum 9 2", "median 9 2", "average 9 0"]);
    }

    #[test]
    fn the_command_line_wins() {
        let text = "n = 9\n[[run]]\nrule = 'krum'\nf = 1";
        let runs = load(text, &["rule=['median', 'nnm | krum']", "n=7"]).unwrap().runs;
        assert_eq!(runs.len(), 2);
        assert_eq!((runs[1].rule.as_str(), runs[1].n, runs[1].f), ("nnm | krum", 7, 1));
        let krum = load(text, &["rule=krum m=1"]).unwrap().runs;
        assert_eq!(krum[0].rule, "krum m=1");
        let source = Source { seed: Some(9), ..Source::default() };
        let seeded = Experiment::parse("seed = [1, 2]", "t", &source).unwrap();
        assert_eq!((seeded.runs.len(), seeded.runs[0].seed), (1, 9));
    }

    #[test]
    fn each_mistake_has_its_sentence() {
        let error = |text: &str| load(text, &[]).unwrap_err();
        assert_eq!(error("rul = 'krum'"), "unknown key \"rul\"; did you mean \"rule\"?");
        assert_eq!(
            error("[[run]]\nbach = 3"),
            "[[run]] number 1: unknown key \"bach\"; did you mean \"batch\"?"
        );
        assert!(error("n = 'many'").contains("invalid type"), "{}", error("n = 'many'"));
        assert!(error("n = 'many'").contains("`n`"), "{}", error("n = 'many'"));
        assert!(error("n = \n").starts_with("line 1: "), "{}", error("n = \n"));
        assert_eq!(error("n = 4\nf = 4"), "f is less than n; got n = 4, f = 4");
        assert_eq!(error("rule = []"), "no run is left; a list of values is empty");
        for name in ["../up", "...", ".", "..", "", " ", ".hidden", "-rf", "a/b", "a\\u001bb", "a."]
        {
            let error = error(&format!("name = \"{name}\""));
            assert!(error.starts_with("name takes a text that can name a folder"), "{error}");
        }
        for name in ["zeno++-quick", "a b", "größe_2", "v1.5"] {
            assert_eq!(load(&format!("name = '{name}'"), &[]).unwrap().name, name);
        }
        let long = "n".repeat(101);
        assert!(error(&format!("name = '{long}'")).starts_with("name takes"));
        let stems = ["...", "a (1)", "-", "ok", &long].map(as_name);
        assert_eq!(stems[..4], ["experiment", "a -1", "experiment", "ok"]);
        assert_eq!(stems[4].len(), 100);
        let error = load("", &["nn=3"]).unwrap_err();
        assert!(error.starts_with("--set: unknown key \"nn\""), "{error}");
    }

    #[test]
    fn large_grids_are_linear_and_larger_ones_are_refused_with_their_size() {
        let seeds = |count: usize| {
            let all: Vec<String> = (0..count).map(|seed| seed.to_string()).collect();
            format!("seed = [{}]", all.join(", "))
        };
        let begun = crate::clock::now();
        assert_eq!(load(&seeds(20_000), &[]).unwrap().runs.len(), 20_000);
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
        let thousand = seeds(1000);
        let f: Vec<String> = (0..1000).map(|f| f.to_string()).collect();
        let error = load(&format!("{thousand}\nf = [{}]\nn = 2000", f.join(", ")), &[]);
        let error = error.unwrap_err();
        assert!(error.contains("at most 100000 runs; this one asks for 1000000"), "{error}");
    }

    #[test]
    fn an_endless_file_is_refused() {
        let source = Source { path: "/dev/zero".into(), ..Source::default() };
        let error = Experiment::load(&source).unwrap_err().to_string();
        assert!(error.contains("at most 16777216 bytes"), "{error}");
    }

    #[test]
    fn settings_survive_a_round_trip() {
        let settings = &load("clip = 2\nf = 1\nlearning_rate = 0.1", &[]).unwrap().runs[0];
        let text = toml::to_string(settings).unwrap();
        assert_eq!(&read_settings(&text).unwrap(), settings);
    }
}
