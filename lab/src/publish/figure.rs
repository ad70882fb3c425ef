//! A figure for a paper: curves, ends against a setting, a heat map or boxes, in the order, names
//! and size of a style.

use super::style::word;
use super::{Entries, Entry, FOLDER, Group, Rest, Style};
use crate::Failure;
use crate::files;
use crate::pictures::band;
use crate::plot::{BoxGroup, Curve, Grid, Look, Panel, Picture, Sheet, Spread, boxes, heatmap};
use crate::results;
use std::collections::BTreeMap;

/// Pixels of the letters of a picture.
const LETTERS: f64 = 12.0;
/// The size of letters where only a width is given, in points.
const POINTS: f64 = 8.0;
/// The height of a panel as a share of its width.
const ASPECT: f64 = 0.72;

/// The figure that a style describes.
///
/// # Errors
/// If the style names a key, a word or a size that there is none of.
pub fn figure(entries: &Entries, style: &Style) -> Result<Picture, Failure> {
    let kind = style.kind.as_deref().unwrap_or("curves");
    let picture = match word("kind of figure", kind, &["curves", "heatmap", "boxes"])? {
        "heatmap" => map(entries, style)?,
        "boxes" => spreads(entries, style)?,
        _ => lines(entries, style)?,
    };
    let font = match &style.font {
        None => None,
        Some(path) => {
            let read = files::read_plain(path);
            Some(read.map_err(|error| Failure::file("read", path, &error))?)
        }
    };
    Ok(picture.looking(Look::of(inches(style), font)?))
}

/// The width of a figure: as said, or such that its letters have the size that is said.
fn inches(style: &Style) -> Option<f64> {
    style.width.or_else(|| {
        // Letters are 12 pixels, which is 9 points, in three panels of 380.
        style.font_size.map(|points| 1140.0 / 96.0 * points / 9.0)
    })
}

/// What is drawn in one colour: a rule, and its folder where there are several; against bytes, its
/// compression too, as each has its own.
fn line_keys(entries: &Entries, x: &str) -> Vec<&'static str> {
    let varies = entries.varies();
    match () {
        () if varies.contains(&FOLDER) => vec!["rule", FOLDER],
        () if x == BYTES && varies.contains(&"compression") => vec!["rule", "compression"],
        () => vec!["rule"],
    }
}

/// The name of the axis of what a worker has sent so far.
const BYTES: &str = "bytes";

/// Megabytes that a worker sends a step, the same in all runs of a group.
fn sent(group: &Group<'_>) -> Result<f64, Failure> {
    let runs = group.combos.iter().flat_map(|combo| &combo.runs);
    let ups = runs.filter_map(|run| Some(run.outcome.curve("bytes/up").last()?.1));
    let mut ups: Vec<f64> = ups.collect();
    ups.sort_by(f64::total_cmp);
    ups.dedup();
    match ups[..] {
        [] => Ok(0.0),
        [up] => Ok(1e-6 * up),
        [least, .., most] => Err(Failure::refused(format!(
            "x=bytes draws runs that send as much a step in one line; these send {least} to {most} \
             bytes: choose some of them"
        ))),
    }
}

/// The names of lines with their places in the style: the first line of a rule has its own colour.
struct Lines {
    names: Vec<(usize, String)>,
    at: Vec<Vec<String>>,
}

impl Lines {
    fn of(entries: &Entries, style: &Style, keys: &[&str]) -> Self {
        let mut all: Vec<Vec<String>> =
            entries.groups(keys).into_iter().map(|group| group.at).collect();
        let order = entries.values("rule", style);
        let place = |rule: &String| order.iter().position(|one| one == rule);
        all.sort_by_key(|at| place(&at[0]));
        let mut names: Vec<(usize, String)> = Vec::new();
        let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
        all.iter().for_each(|at| *rules.entry(&at[0]).or_default() += 1);
        for at in &all {
            let own = entries.rules.iter().position(|rule| *rule == at[0]).unwrap_or(0);
            let taken = |place: usize| names.iter().any(|one| one.0 == place);
            let free = std::iter::once(own).chain(entries.rules.len()..).find(|k| !taken(*k));
            let name = match at.get(1) {
                Some(folder) if rules[at[0].as_str()] > 1 => {
                    format!("{}, {}", style.label(&at[0]), style.label(folder))
                }
                _ => style.label(&at[0]),
            };
            names.push((free.unwrap_or(own), name));
        }
        Lines { names, at: all }
    }

    fn place(&self, at: &[String]) -> usize {
        self.at.iter().position(|own| own == at).map_or(0, |k| self.names[k].0)
    }
}

fn lines(entries: &Entries, style: &Style) -> Result<Picture, Failure> {
    let (x, column) = (style.x.as_deref().unwrap_or("step"), panels_of(entries, style)?);
    let timed = x == "step" || x == BYTES;
    if !timed {
        entries.known(x)?;
    }
    let line = line_keys(entries, x);
    let legend = Lines::of(entries, style, &line);
    let mut keys = line.clone();
    keys.push(column);
    if !timed && !keys.contains(&x) {
        keys.push(x);
    }
    let titles = entries.values(column, style);
    let places = if timed { Vec::new() } else { entries.values(x, style) };
    let numbers: Option<Vec<f64>> = places.iter().map(|text| text.parse().ok()).collect();
    let numeric = !timed && numbers.as_ref().is_some_and(|all| all.iter().all(|x| *x >= 0.0));
    let mut curves: BTreeMap<(usize, usize), Vec<Spread>> = BTreeMap::new();
    let whole = entries.groups(&keys);
    for group in &whole {
        let panel = group.at[line.len()].as_str();
        let panel = titles.iter().position(|title| title == panel).unwrap_or(0);
        let own = curves.entry((panel, legend.place(&group.at[..line.len()]))).or_default();
        if timed {
            let scale = if x == BYTES { sent(group)? } else { 1.0 };
            let points = curve(entries, group, style)?.into_iter();
            own.extend(points.map(|point| Spread { step: scale * point.step, ..point }));
            continue;
        }
        let at = keys.iter().position(|key| *key == x).unwrap_or(0);
        let place = places.iter().position(|one| *one == group.at[at]).unwrap_or(0);
        let step =
            if numeric { numbers.as_ref().map_or(0.0, |all| all[place]) } else { place as f64 };
        let Some(worth) = group.worth(entries, style.rest()?, style.value()?) else { continue };
        let (low, high) = (worth.mean - worth.half, worth.mean + worth.half);
        own.push(Spread { step, low, mean: worth.mean, high });
    }
    let mut panels: Vec<Panel> = titles
        .iter()
        .map(|title| Panel { title: style.label(title), curves: Vec::new() })
        .collect();
    for ((panel, line), mut points) in curves {
        points.sort_by(|a, b| a.step.total_cmp(&b.step));
        panels[panel].curves.push(Curve { line, points });
    }
    if titles.len() == 1 && style.columns.is_none() {
        panels[0].title.clear();
    }
    let names: Vec<String> = places.iter().map(|place| style.label(place)).collect();
    let sheet = Sheet {
        title: style.title.clone().unwrap_or_default(),
        x_label: style.label(if x == BYTES { "megabytes sent by a worker" } else { x }),
        y_label: style.label(&entries.metric.replace('_', " ")),
        legend: legend.names,
        panels,
        percent: entries.metric == "accuracy",
        notes: notes(entries, style, &keys, if timed { "step" } else { x })?,
        wide: style.width.map(|inches| {
            let points = style.font_size.unwrap_or(POINTS);
            (inches * 72.0 / points * LETTERS, style.aspect.unwrap_or(ASPECT))
        }),
        x_names: if timed || numeric { Vec::new() } else { names },
    };
    Ok(sheet.draw())
}

/// The key whose values have a panel each.
fn panels_of<'a>(entries: &Entries, style: &'a Style) -> Result<&'a str, Failure> {
    let column = style.columns.as_deref().unwrap_or("attack");
    entries.known(column)?;
    Ok(column)
}

/// The curve of a group with its band: of its worst combination, or of the mean over all.
fn curve(entries: &Entries, group: &Group<'_>, style: &Style) -> Result<Vec<Spread>, Failure> {
    let Some(worth) = group.worth(entries, style.rest()?, super::Value::Tail) else {
        return Ok(Vec::new());
    };
    let of = |run: &Entry| run.outcome.curve(entries.metric);
    if style.rest()? == Rest::Worst {
        let curves: Vec<_> = worth.runs.iter().map(|run| of(run)).collect();
        return Ok(band(&curves));
    }
    let mut seeds: BTreeMap<u64, Vec<Vec<(u64, f64)>>> = BTreeMap::new();
    for run in &worth.runs {
        seeds.entry(run.outcome.settings.seed).or_default().push(of(run));
    }
    let mean = |curves: &Vec<Vec<(u64, f64)>>| {
        let points = band(curves).into_iter().map(|point| (point.step as u64, point.mean));
        points.collect::<Vec<_>>()
    };
    Ok(band(&seeds.values().map(mean).collect::<Vec<_>>()))
}

fn map(entries: &Entries, style: &Style) -> Result<Picture, Failure> {
    let column = panels_of(entries, style)?;
    let row = style.rows.first().map_or("rule", String::as_str);
    entries.known(row)?;
    let (rows, columns) = (entries.values(row, style), entries.values(column, style));
    let groups = entries.groups(&[row, column]);
    let (rest, value) = (style.rest()?, style.value()?);
    let cell = |one: &String, other: &String| {
        let own = groups.iter().find(|group| group.at[0] == *one && group.at[1] == *other);
        own.and_then(|group| group.worth(entries, rest, value)).map_or(f64::NAN, |w| w.mean)
    };
    let line = |one: &String| columns.iter().map(|other| cell(one, other)).collect();
    if entries.metric != "accuracy" {
        return Err(Failure::refused(
            "a heat map shows accuracies, and these runs have a test loss; kind=curves shows it",
        ));
    }
    let grid = Grid {
        values: rows.iter().map(line).collect(),
        rows: rows.iter().map(|text| style.label(text)).collect(),
        columns: columns.iter().map(|text| style.label(text)).collect(),
    };
    let notes = notes(entries, style, &[row, column], "")?;
    let title = style.title.clone().unwrap_or_default();
    Ok(heatmap(&title, &style.label(column), &style.label(row), grid, notes))
}

fn spreads(entries: &Entries, style: &Style) -> Result<Picture, Failure> {
    if entries.metric != "accuracy" {
        return Err(Failure::refused(
            "boxes show accuracies, and these runs have a test loss; kind=curves shows it",
        ));
    }
    let line = line_keys(entries, "");
    let lines = Lines::of(entries, style, &line);
    let value = style.value()?;
    let mut groups = Vec::new();
    let all = entries.groups(&line);
    for (at, (line, name)) in lines.at.iter().zip(&lines.names) {
        let own = all.iter().filter(|group| group.at == *at).flat_map(|group| &group.combos);
        let runs = own.flat_map(|combo| &combo.runs).filter(|run| run.outcome.is_finished());
        let values = runs.filter_map(|run| {
            let judged = results::judge(&run.outcome.curve(entries.metric), true)?;
            Some(match value {
                super::Value::Tail => judged.tail,
                super::Value::Last => judged.last,
                super::Value::Best => judged.best,
            })
        });
        groups.push(BoxGroup { label: name.clone(), line: *line, values: values.collect() });
    }
    let title = style.title.clone().unwrap_or_default();
    let mut notes = entries.missing.clone();
    notes
        .push(format!("Each box: all runs of a rule, over {} and seeds", over(entries, &["rule"])));
    Ok(boxes(&title, "accuracy", groups, None, notes))
}

/// "f_real, partition": what varies beside these keys.
fn over(entries: &Entries, keys: &[&str]) -> String {
    let rest: Vec<&str> = entries.varies().into_iter().filter(|key| !keys.contains(key)).collect();
    if rest.is_empty() { "nothing else".into() } else { rest.join(", ") }
}

/// What a figure pools and what its bands are.
fn notes(entries: &Entries, style: &Style, keys: &[&str], x: &str) -> Result<Vec<String>, Failure> {
    let mut out = entries.missing.clone();
    let rest = over(entries, keys);
    if rest != "nothing else" {
        out.push(match style.rest()? {
            Rest::Worst => format!("Of {rest}: the worst, by the mean of the last ten"),
            Rest::Mean => format!("Means over {rest}"),
        });
    }
    let mut seeds: Vec<u64> = entries.all.iter().map(|one| one.outcome.settings.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    match (seeds.len(), x) {
        (0 | 1, _) | (_, "") => {}
        (few, "step") if few < 5 => out.push(format!("Bands: range of {few} seeds")),
        (few, x) if x != "step" && few < 3 => {}
        (many, _) => out.push(format!("Bands: 95 % Student interval of {many} seeds")),
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::results::{Outcome, Store, key};

    fn folder(name: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        for rule in ["krum", "median"] {
            for f_real in [1, 2, 4] {
                for partition in ["iid", "sorted"] {
                    let settings = Settings {
                        f_real: Some(f_real),
                        rule: rule.into(),
                        partition: partition.into(),
                        attack: "alie".into(),
                        ..Settings::default()
                    };
                    let end =
                        0.9 - 0.1 * f_real as f64 - if partition == "iid" { 0.0 } else { 0.2 };
                    let mut one = Outcome::sample(rule, "alie", 1, &[0.1, end]);
                    (one.key, one.settings) = (key(&settings, &[0; 32]), settings);
                    store.save(&one).unwrap();
                }
            }
        }
        let list: String =
            store.keys().unwrap().iter().map(|key| format!("[[run]] # {key}\n")).collect();
        let text = format!("name = '{name}'\n{list}");
        store.write("experiment.toml", text.as_bytes()).unwrap();
        folder
    }

    #[test]
    fn rules_have_the_order_names_and_colours_that_are_asked_for() {
        let one = folder("one");
        let style = Style {
            rules: vec!["median".into(), "krum".into()],
            labels: [("krum".to_owned(), "Krum!".to_owned())].into(),
            width: Some(3.3),
            columns: Some("partition".into()),
            x: Some("f_real".into()),
            ..Style::default()
        };
        let entries = Entries::read(&[one.path().to_owned()]).unwrap().chosen(&style).unwrap();
        let svg = figure(&entries, &style).unwrap().svg();
        let place = |text: &str| svg.find(&format!(">{text}</text>")).expect(text);
        assert!(place("median") < place("Krum!") && svg.contains(" width=\"3.3in\""));
        assert!(svg.contains(">iid</text>") && svg.contains(">sorted</text>"));
        for kind in ["heatmap", "boxes", "curves"] {
            let style = Style { kind: Some(kind.into()), ..style.clone() };
            assert!(figure(&entries, &style).unwrap().bytes("pdf").unwrap().len() > 500);
        }
        let odd = Style { kind: Some("pie".into()), ..Style::default() };
        assert!(figure(&entries, &odd).is_err());
    }

    #[test]
    fn two_folders_are_drawn_apart_and_what_is_pooled_is_said() {
        let (one, other) = (folder("one"), folder("other"));
        let paths = [one.path().to_owned(), other.path().to_owned()];
        let entries = Entries::read(&paths).unwrap();
        let style = Style::default();
        let svg = figure(&entries, &style).unwrap().svg();
        for text in ["krum, one", "krum, other", "Of partition, f_real: the worst"] {
            assert!(svg.contains(text), "{text}");
        }
        let lines = Lines::of(&entries, &style, &line_keys(&entries, ""));
        let mut places: Vec<usize> = lines.names.iter().map(|one| one.0).collect();
        places.sort_unstable();
        assert_eq!(places, [0, 1, 2, 3]);
    }

    #[test]
    fn against_bytes_each_compression_has_its_own_line() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        for (compression, up) in [("none", 4e6), ("top-k keep=0.1", 8e5)] {
            let compression = compression.to_owned();
            let settings = Settings { compression, f_real: Some(0), ..Settings::default() };
            let mut one = Outcome::sample("average", "none", 1, &[0.1, 0.5]);
            (one.key, one.settings) = (key(&settings, &[0; 32]), settings);
            one.points.push(results::Point { step: 10, metric: "bytes/up".into(), value: up });
            store.save(&one).unwrap();
        }
        let list: String =
            store.keys().unwrap().iter().map(|key| format!("[[run]] # {key}\n")).collect();
        store.write("experiment.toml", format!("name = 'bytes'\n{list}").as_bytes()).unwrap();
        let entries = Entries::read(&[folder.path().to_path_buf()]).unwrap();
        let style = Style { x: Some("bytes".into()), ..Style::default() };
        let drawn = figure(&entries, &style).unwrap().bytes("svg").unwrap();
        let svg = String::from_utf8(drawn).unwrap();
        assert!(svg.contains("megabytes sent by a worker"), "{svg}");
        assert!(svg.contains("average, top-k keep=0.1") && svg.contains("average, none"), "{svg}");
        let all = entries.groups(&["rule"]);
        assert!(sent(&all[0]).unwrap_err().to_string().contains("send 800000 to 4000000 bytes"));
    }
}
