//! What is found in order before anything is run: every word, number and bound of every run.

use super::notices::{self, Notices};
use super::one::Job;
use super::setup::Shelf;
use crate::Failure;
use crate::config::{self, Experiment, Read, Reading};
use crate::results::{Store, bare, key};
use std::collections::BTreeSet;
use std::path::Path;
use varangian_sim::Course;

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

/// Bytes of courses that wait for their turn; those of a long matrix beyond that are built again
/// when it comes.
const KEPT: usize = 256 << 20;

/// About how many bytes a course holds by itself: whose sample each is, and where the model starts.
fn size_of(course: &Course) -> usize {
    let train = match course {
        Course::Lockstep(plan) | Course::Rounds(plan, _) | Course::Gossip(plan, _) => &plan.train,
        Course::Swarm(plan) => &plan.train,
    };
    8 * (train.len() + course.model().dim())
}

/// Every run's key, after everything about it was found to be in order: first what needs no data,
/// so that no wrong word is hidden behind a missing file.
pub(super) fn check(
    experiment: &Experiment,
    shelf: &Shelf,
    twins: Twins,
) -> Result<Checked, Failure> {
    let (mut notices, mut runs, mut below) = (Notices::default(), Vec::new(), None);
    for settings in &experiment.runs {
        let place = format!("{} × {}", settings.rule, settings.attack);
        match Read::of(settings, &experiment.own).map_err(|failure| failure.at(&place))? {
            Reading::Well(read) => runs.push((*read, place)),
            Reading::Below(why) if experiment.skip_below_bound => {
                notices.left_out(format!("left out: {why}"));
                below = Some(why);
            }
            Reading::Below(why) => return Err(Failure::from(why).at(&place)),
        }
    }
    let (mut jobs, mut room) = (Vec::new(), KEPT);
    for (read, place) in runs {
        let at = |failure: Failure| failure.at(&place);
        let digest = shelf.digest(&read.settings, &read.words).map_err(at)?;
        let course = shelf.course_of(&read).map_err(at)?;
        let idle = config::idle(&read.settings, &shelf.ground(&read, &course)?);
        notices.vain(&idle);
        let own = key(&read.settings, &digest);
        let effective = match twins {
            Twins::Once => key(&config::effective(&read.settings, &idle), &digest),
            Twins::Each => own.clone(),
        };
        let size = size_of(&course);
        let kept = size <= room;
        room -= if kept { size } else { 0 };
        jobs.push((Job::new(own, read, kept.then_some(course)), effective));
    }
    if jobs.is_empty() {
        let why = below.map_or_else(String::new, |why| format!(": {why}"));
        return Err(Failure::refused(format!(
            "no run is left, as every rule's bound is above n{why}"
        )));
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
