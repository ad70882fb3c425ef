//! About how long runs take here: a step or two of some of them, timed.

use super::one::Job;
use super::setup::Shelf;
use crate::clock;
use varangian_base::SpecError;
use varangian_sim::Course;

/// Runs that are tried, and seconds after which no other one is.
const TRIED: usize = 8;
const ENOUGH: f64 = 5.0;
/// A first step that takes longer, in seconds, is the measure; of others the second one is.
const LONG: f64 = 0.5;

/// About how many seconds `jobs` take on the current thread pool, one after another, if each
/// gradient of a sample costs as much as in those that are tried, rule and attack included, and
/// each evaluated sample a third of that. `None` where none can be tried.
pub(super) fn seconds(jobs: &[&Job], shelf: &Shelf) -> Option<f64> {
    let begun = clock::now();
    let (mut spent, mut gradients) = (0.0, 0.0);
    for job in jobs.iter().step_by(jobs.len().div_ceil(TRIED).max(1)) {
        let Some(step) = shelf.course_of(job.read()).ok().and_then(|course| step(course).ok())
        else {
            continue;
        };
        spent += step;
        gradients += of_step(job);
        if begun.elapsed().as_secs_f64() > ENOUGH {
            break;
        }
    }
    let each = (gradients > 0.0).then(|| spent / gradients)?;
    Some(jobs.iter().map(|job| each * of_run(job, shelf)).sum())
}

/// Gradients of samples that a step takes, or an arrival.
fn of_step(job: &Job) -> f64 {
    let (settings, words) = (job.settings(), job.words());
    let n = settings.n;
    let drawn = words.participation.map_or(n as f64, |some| some.workers(n));
    let workers = if words.are_of_a_filter() { 1.0 } else { drawn };
    workers * settings.batch as f64 * settings.local_steps as f64
}

/// What a whole run costs, in gradients of samples.
fn of_run(job: &Job, shelf: &Shelf) -> f64 {
    let settings = job.settings();
    let evaluations = settings.steps.div_ceil(settings.evaluate_every) + 1;
    let tested = shelf.data(settings).map_or(0, |data| data.split.test.len());
    let tested = tested.min(settings.test_samples) as f64;
    settings.steps as f64 * of_step(job) + evaluations as f64 * tested / 3.0
}

/// Seconds that a step of the course takes.
fn step(course: Course) -> Result<f64, SpecError> {
    let mut run = course.begin()?;
    let mut timed = || {
        let begun = clock::now();
        run.advance();
        begun.elapsed().as_secs_f64()
    };
    let first = timed();
    Ok(if first > LONG { first } else { timed() })
}

/// "3 s", "12 min", "5 h", "9 days".
pub(super) fn told(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("{:.0} s", s.max(1.0)),
        s if s < 100.0 * 60.0 => format!("{:.0} min", s / 60.0),
        s if s < 72.0 * 3600.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} days", s / 86400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Own, Read, Settings};

    #[test]
    fn durations_are_told_in_the_unit_that_one_thinks_in() {
        let told = [0.2, 99.0, 100.0, 5000.0, 1e5, 1e6].map(told);
        assert_eq!(told, ["1 s", "99 s", "2 min", "83 min", "28 h", "12 days"]);
    }

    #[test]
    fn twice_the_steps_take_twice_the_time() {
        let job = |steps: u64| {
            let (evaluate_every, test_samples) = (1_000_000, 1);
            let settings = Settings { steps, evaluate_every, test_samples, ..Settings::default() };
            Job::new(String::new(), Read::whole(&settings, &Own::default()).unwrap(), None)
        };
        let (shelf, jobs) = (Shelf::new(None), [job(1000), job(2000), job(3000)]);
        let of = |k: usize| of_run(&jobs[k], &shelf);
        assert!((of(1) / of(0) - 2.0).abs() < 1e-2, "{} {}", of(0), of(1));
        let all = seconds(&[&jobs[0], &jobs[1], &jobs[2]], &shelf).unwrap();
        assert!(all > 0.0 && all.is_finite());
    }
}
