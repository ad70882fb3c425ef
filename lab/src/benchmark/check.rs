//! Whether the numbers of an entry agree with each other: what stands above in the file is made of
//! what stands below, so that a file that was edited, cut or put together does not pass.
//!
//! What no file can show is whether the runs were made: for that, judge the pipeline again.

use super::Entry;
use super::entry::{Cell, Line};
use super::judge;
use super::protocol::{Kind, Tier, VERSION, chance};
use crate::config::Own;
use crate::results::{mean, student};
use std::collections::BTreeSet;

/// Sums of the same numbers differ by no more than this, on any machine.
const ROUNDING: f64 = 1e-9;

/// What disagrees in an entry of this version, in words; entries of others are not looked into.
///
/// # Errors
/// The first thing that does.
pub(super) fn agrees(entry: &Entry) -> Result<(), String> {
    if entry.version != VERSION {
        return Ok(());
    }
    if entry.rule.is_empty() || entry.rule.chars().any(char::is_control) {
        return Err(format!("its rule is no line of text: {:?}", entry.rule));
    }
    let known = Tier::from_name(&entry.tier).ok_or_else(|| {
        format!("its tier is \"{}\", and tiers are {}", entry.tier, Tier::NAMES.join(" and "))
    })?;
    entry.cells.iter().try_for_each(cell)?;
    let mean_of = |of: fn(&Cell) -> f64| mean(&entry.cells.iter().map(of).collect::<Vec<_>>());
    same("score", entry.score, mean_of(|cell| cell.worst))?;
    same("half", entry.half, student(&judge::by_seed(&entry.cells)).half)?;
    same("usual", entry.usual, mean_of(|cell| cell.usual))?;
    same("clean", entry.clean, mean_of(|cell| cell.clean))?;
    for calm in &entry.calm {
        share("an accuracy at f = 0", calm.accuracy)?;
    }
    if let Some(found) = &entry.backdoors {
        found.agrees()?;
    }
    if entry.only.is_whole() {
        whole(entry, known)?;
    }
    Ok(())
}

/// That a whole entry has each setting of its protocol once, and each attack there.
fn whole(entry: &Entry, tier: Tier) -> Result<(), String> {
    if entry.protocol != tier.hash() {
        let (own, known, name) = (&entry.protocol, tier.hash(), tier.name());
        return Err(format!("its protocol is {own}, and that of tier {name} is {known}"));
    }
    let rule = if entry.validates { "zeno b=1" } else { "average" };
    let asked = tier.experiment(rule, &Own::default()).map_err(|error| error.to_string())?.runs;
    let mut wanted = BTreeSet::new();
    for run in asked.iter().filter(|run| run.f > 0) {
        wanted.insert((super::Setting::of(run).label(), run.attack.clone()));
    }
    let labels: BTreeSet<&str> = wanted.iter().map(|(label, _)| label.as_str()).collect();
    let found: Vec<String> = entry.cells.iter().map(|cell| cell.setting.label()).collect();
    let once: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    if once != labels || found.len() != labels.len() {
        return Err(format!(
            "its protocol has {} settings, each once; found {}",
            labels.len(),
            found.len()
        ));
    }
    let run = entry.cells.iter().filter(|cell| cell.refused.is_none());
    for (cell, label) in run.map(|cell| (cell, cell.setting.label())) {
        let of = wanted.iter().filter(|(one, _)| *one == label);
        let wanted: BTreeSet<&str> = of.map(|(_, attack)| attack.as_str()).collect();
        let attacks: BTreeSet<&str> = cell.attacks.iter().map(|one| one.attack.as_str()).collect();
        if attacks != wanted || cell.attacks.len() != wanted.len() {
            let (wanted, found) = (wanted.len(), cell.attacks.len());
            return Err(format!(
                "{label}: {wanted} attacks are asked for, each once; found {found}"
            ));
        }
    }
    Ok(())
}

fn cell(cell: &Cell) -> Result<(), String> {
    let at = |why: String| format!("{}: {why}", cell.setting.label());
    cell.attacks.iter().try_for_each(line).map_err(at)?;
    let (worst, by, usual, clean) = match &cell.refused {
        Some(_) => {
            let guess = chance(&cell.setting.dataset);
            (guess, "", guess, guess)
        }
        None => {
            let (worst, by) = judge::worst(&cell.attacks);
            let of = |kind| judge::least(&cell.attacks, kind);
            (worst, by, of(Kind::Usual), of(Kind::None))
        }
    };
    same("worst", cell.worst, worst).map_err(at)?;
    same("usual", cell.usual, usual).map_err(at)?;
    same("clean", cell.clean, clean).map_err(at)?;
    match cell.by == by {
        true => Ok(()),
        false => Err(at(format!("by is \"{}\", and the least accuracy is \"{by}\"'s", cell.by))),
    }
}

fn line(line: &Line) -> Result<(), String> {
    let Line { attack, kind, accuracy, half, best, seeds, collapsed, .. } = line;
    let at = |why: String| format!("{attack}: {why}");
    seeds.iter().try_for_each(|&seed| share("a seed's accuracy", seed)).map_err(at)?;
    share("best", *best).map_err(at)?;
    let interval = student(seeds);
    same("accuracy", *accuracy, interval.mean).map_err(at)?;
    same("half", *half, interval.half).map_err(at)?;
    if kind != Kind::of(attack).name() {
        return Err(at(format!("kind is \"{kind}\", which should be {}", Kind::of(attack).name())));
    }
    match *collapsed <= seeds.len() {
        true => Ok(()),
        false => Err(at(format!("{collapsed} of {} runs collapsed", seeds.len()))),
    }
}

/// A share of 1.
pub(super) fn share(name: &str, value: f64) -> Result<(), String> {
    match (0.0..=1.0).contains(&value) {
        true => Ok(()),
        false => Err(format!("{name} is a share from 0 to 1; found {value}")),
    }
}

/// The number that stands there, beside what others make it.
pub(super) fn same(name: &str, found: f64, made: f64) -> Result<(), String> {
    match found == made || (found - made).abs() <= ROUNDING || found.is_nan() && made.is_nan() {
        true => Ok(()),
        false => Err(format!("{name} is {found}, and what it is made of gives {made}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge::tests::entry;
    use super::*;

    #[test]
    fn each_number_that_was_changed_is_found() {
        type Change = fn(&mut Entry);
        let changes: [(&str, Change); 21] = [
            ("score is 0.99", |e| e.score = 0.99),
            ("score is inf", |e| e.score = f64::INFINITY),
            ("half is", |e| e.half = 0.5),
            ("usual is", |e| e.usual = 0.1),
            ("clean is", |e| e.clean = 0.1),
            ("worst is 0.99", |e| e.cells[2].worst = 0.99),
            ("by is \"alie\"", |e| e.cells[2].by = "alie".into()),
            ("accuracy is", |e| e.cells[0].attacks[1].accuracy = 0.9),
            ("a seed's accuracy is a share", |e| e.cells[0].attacks[1].seeds[0] = 7.0),
            ("accuracy is", |e| e.cells[0].attacks[1].seeds[0] = 0.7501),
            ("accuracy is", |e| e.cells[0].attacks[1].seeds.clear()),
            ("best is a share", |e| e.cells[0].attacks[1].best = -1.0),
            ("1000000 of 5 runs", |e| e.cells[0].attacks[1].collapsed = 1_000_000),
            ("kind is \"none\"", |e| e.cells[0].attacks[1].kind = "none".into()),
            ("8 settings, each once; found 0", |e| {
                e.cells.clear();
                (e.score, e.usual, e.clean) = (f64::NAN, f64::NAN, f64::NAN);
                e.half = f64::NAN;
            }),
            ("8 settings, each once; found 9", |e| e.cells.push(e.cells[0].clone())),
            ("13 attacks are asked for, each once; found 12", |e| {
                e.cells[0].attacks.retain(|line| line.attack != "sign-flip");
            }),
            ("tiers are small and full", |e| e.tier = "huge".into()),
            ("and that of tier full is", |e| e.tier = "full".into()),
            ("no line of text", |e| e.rule = "krum\nmedian".into()),
            ("at f = 0 is a share", |e| e.calm[0].accuracy = f64::NAN),
        ];
        agrees(&entry("median", 0.75)).unwrap();
        agrees(&entry("bulyan", 0.75)).unwrap();
        agrees(&entry("zeno b=4", 0.75)).unwrap();
        for (said, change) in changes {
            let mut changed = entry("median", 0.75);
            change(&mut changed);
            let why = agrees(&changed).expect_err(said);
            assert!(why.contains(said), "{said}: {why}");
        }
        let mut guess = entry("bulyan", 0.75);
        guess.cells.iter_mut().find(|cell| cell.refused.is_some()).unwrap().worst = 0.9;
        assert!(agrees(&guess).unwrap_err().contains("worst is 0.9"));
        // Another version's numbers may mean something else.
        agrees(&Entry { version: VERSION + 1, score: 7.0, ..entry("median", 0.75) }).unwrap();
    }
}
