//! What is found in order before anything is run: every word, number and bound of every run.

use super::ground;
use super::notices::{self, Notices};
use super::one::Job;
use super::setup::Shelf;
use crate::Failure;
use crate::config::{self, Experiment, Own, Settings};
use crate::results::{Store, bare, key};
use std::collections::BTreeSet;
use std::path::Path;

/// What becomes of runs that are one run under two names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Twins {
    /// One of them is made, and the other is noted.
    Once,
    /// Each is made: candidates are compared one by one.
    Each,
}

/// What is left of an experiment once everything about it was found to be in order.
pub(super) struct Checked {
    pub(super) jobs: Vec<Job>,
    pub(super) notices: Notices,
    /// The keys of runs that are another one's run.
    pub(super) dropped: Vec<String>,
}

/// Every run's key, after everything about it was found to be in order: first what needs no data,
/// so that no wrong word is hidden behind a missing file.
pub(super) fn check(
    experiment: &Experiment,
    shelf: &Shelf,
    twins: Twins,
) -> Result<Checked, Failure> {
    let mut notices = Notices::default();
    let mut runs = Vec::new();
    for settings in &experiment.runs {
        let place = || format!("{} × {}", settings.rule, settings.attack);
        // Runs that were built in code, or changed since they were read, are held to the same.
        settings.check_numbers().map_err(|error| error.at(place()))?;
        let settings = one_spelling(settings, &experiment.own)?;
        if experiment.skip_below_bound
            && let Some(why) = below_bound(&settings, &experiment.own)?
        {
            notices.left_out(format!("left out: {why}"));
            continue;
        }
        ground::well_formed(&settings, &experiment.own).map_err(|failure| failure.at(place()))?;
        runs.push((settings, place()));
    }
    let mut jobs = Vec::new();
    for (settings, place) in runs {
        let digest = shelf.digest(&settings).map_err(|failure| failure.at(&place))?;
        let course = shelf.course(&settings).map_err(|failure| failure.at(&place))?;
        let idle = config::idle(&settings, &shelf.ground(&settings, &course)?);
        ground::can_begin(course).map_err(|failure| failure.at(&place))?;
        notices.vain(&idle);
        let own = key(&settings, &digest);
        let effective = match twins {
            Twins::Once => key(&config::effective(&settings, &idle), &digest),
            Twins::Each => own.clone(),
        };
        jobs.push((Job { key: own, settings }, effective));
    }
    if jobs.is_empty() {
        return Err(Failure::refused("no run is left; every rule's bound is above n"));
    }
    notices.of(jobs.len());
    let (jobs, dropped) = notices::without_twins(jobs, &mut notices);
    Ok(Checked { jobs, notices, dropped })
}

/// Refuses a folder whose tables are of runs that are not among these: they would lose them.
pub(super) fn demand_room(folder: &Path, jobs: &[Job], dropped: &[String]) -> Result<(), Failure> {
    let Ok(store) = Store::open(folder) else { return Ok(()) };
    // The hash alone: a version may write more of a key than another.
    let known: BTreeSet<&str> =
        jobs.iter().map(|job| &job.key).chain(dropped).map(|key| bare(key)).collect();
    let others = store.indexed().iter().filter(|key| !known.contains(bare(key))).count();
    match others {
        0 => Ok(()),
        _ => Err(Failure::refused(format!(
            "{} holds the results of {others} runs of other settings, whose tables these would \
             replace; --out DIR gives these runs a folder of their own, --replace takes this one",
            folder.display()
        ))),
    }
}

/// Why the rule or filter cannot take the settings' n and f, if it cannot.
fn below_bound(settings: &Settings, own: &Own) -> Result<Option<String>, Failure> {
    let (n, f) = (settings.n, settings.f);
    let refused = match own.filter_of(&settings.rule)? {
        Some(entry) => entry.facts.bound.check(entry.name, n, f).err(),
        None => {
            let sample = settings.participation()?;
            let (n, f) = sample.map_or((n, f), |sample| (sample.workers, sample.f));
            own.pipeline(&settings.rule)?.check(n, f).err()
        }
    };
    Ok(refused.map(|error| error.to_string()))
}

/// The settings with specifications in their one spelling, so that equal runs have equal keys.
pub(super) fn one_spelling(settings: &Settings, own: &Own) -> Result<Settings, Failure> {
    let one = |text: &str| varangian_base::spec::parse(text).map(|spec| spec.to_string());
    let rule = match own.filter_of(&settings.rule)? {
        Some(_) => one(&settings.rule)?,
        None => own.pipeline(&settings.rule)?.spec().to_owned(),
    };
    let network = match settings.network.as_str() {
        "" => String::new(),
        network => one(network)?,
    };
    Ok(Settings {
        rule,
        network,
        attack: one(&settings.attack)?,
        dataset: one(&settings.dataset)?,
        validation_from: one(&settings.validation_from)?,
        model: one(&settings.model)?,
        partition: one(&settings.partition)?,
        sampling: one(&settings.sampling)?,
        schedule: one(&settings.schedule)?,
        message: match one(&settings.message)? {
            short if short == "one-bit" => "sign zero=plus-one".into(),
            message => message,
        },
        compression: one(&settings.compression)?,
        participation: one(&settings.participation)?,
        server_optimiser: one(&settings.server_optimiser)?,
        weights: one(&settings.weights)?,
        ..settings.clone()
    })
}
