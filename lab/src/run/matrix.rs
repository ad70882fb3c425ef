//! A matrix of runs on threads: as many runs at a time as there are threads, each in its own pool.

use super::one::{self, Context, Job, Keep, Left};
use super::progress::Progress;
use super::setup::Shelf;
use super::world::World;
use crate::Failure;
use crate::results::{End, Outcome, Store, checkpoint};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many runs at a time, on how many threads each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Runs at a time.
    pub(crate) jobs: usize,
    /// Threads a run.
    pub(crate) threads: usize,
}

impl Shape {
    /// `threads` threads for `runs` runs, `jobs` of them at a time if asked for.
    pub(crate) fn of(threads: usize, runs: usize, jobs: Option<usize>) -> Self {
        let jobs = jobs.unwrap_or(threads).min(runs).max(1);
        Shape { jobs, threads: (threads / jobs).max(1) }
    }
}

/// Runs all of `jobs`, keeping each outcome as soon as it is there. Results do not depend on the
/// shape. Returns after the running ones have noticed that they
/// should stop.
///
/// # Errors
/// If results cannot be written.
pub(crate) fn run_all(
    jobs: &[Job],
    shelf: &Shelf,
    store: &Store,
    shape: Shape,
    keep: Keep,
    (progress, world): (&Progress<'_>, &dyn World),
) -> Result<(), Failure> {
    let next = AtomicUsize::new(0);
    let trouble: Mutex<Option<Failure>> = Mutex::new(None);
    let halted = || progress.stop() || trouble.lock().is_ok_and(|trouble| trouble.is_some());
    let work = || {
        while !halted() {
            let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            let context = Context { store, progress, world, keep, stop: &halted, resume: true };
            let outcome = match guarded(job, shelf, &context) {
                Ok(Some(outcome)) => outcome,
                Ok(None) => break,
                Err(failure) => {
                    trouble.lock().expect("no thread panicked").get_or_insert(failure);
                    break;
                }
            };
            progress.finished(&outcome);
            match store.save(&outcome) {
                Ok(()) => checkpoint::remove(store, &job.key),
                Err(failure) => {
                    trouble.lock().expect("no thread panicked").get_or_insert(failure);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let start = || {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(shape.threads).build();
            pool.map_err(|error| Failure::failed(format!("cannot start threads: {error}")))
        };
        for _ in 0..shape.jobs {
            let pool = start()?;
            scope.spawn(move || pool.install(work));
        }
        Ok::<(), Failure>(())
    })?;
    match trouble.into_inner().expect("no thread panicked") {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// One run; a panic in it is recorded as its failure and hurts no other run. `None` if it was
/// stopped, a panic included that came once it was to stop. A checkpoint that does not fit, or that
/// ends in a panic, is said and dropped, and the run starts over: a file from elsewhere decides
/// nothing.
fn guarded(
    job: &Job,
    shelf: &Shelf,
    context: &Context<'_, '_>,
) -> Result<Option<Outcome>, Failure> {
    let own = shelf.own();
    if own.version.is_empty() && own.is_in(job.settings()) {
        // Nobody can tell whether the code that a checkpoint was of is this one.
        checkpoint::remove(context.store, &job.key);
    }
    if checkpoint::exists(context.store, &job.key) {
        let why = match attempt(job, shelf, context) {
            Ok(left) => match left? {
                Left::Over(outcome) => return Ok(Some(*outcome)),
                Left::Stopped => return Ok(None),
                Left::Unfit(why) => why,
            },
            // Whatever ended it, the run was to stop: its checkpoint stays.
            Err(_) if (context.stop)() => return Ok(None),
            Err(why) => format!("the run panicked after it: {why}"),
        };
        let key = &job.key;
        if context.world.keeps_checkpoints() {
            return Err(Failure::failed(format!(
                "run {key}: no use of its checkpoint, which stays as it is: {why}; to start over, \
                 take another folder"
            )));
        }
        let text = format!("run {key}: no use of its checkpoint, it starts over: {why}");
        context.progress.note(&text);
        checkpoint::remove(context.store, &job.key);
    }
    let failed = match attempt(job, shelf, &Context { resume: false, ..*context }) {
        Ok(left) => match left? {
            Left::Over(outcome) => return Ok(Some(*outcome)),
            Left::Stopped => return Ok(None),
            Left::Unfit(why) => why,
        },
        Err(_) if (context.stop)() => return Ok(None),
        Err(why) => format!("panicked: {why}"),
    };
    Ok(Some(failure_of(job, failed)))
}

fn failure_of(job: &Job, why: String) -> Outcome {
    Outcome {
        key: job.key.clone(),
        settings: job.settings().clone(),
        points: Vec::new(),
        end: End::Failed(why),
        parameters: String::new(),
        seconds: 0.0,
        model: String::new(),
    }
}

/// One attempt at a run; what a panic in it said, where there was one.
fn attempt(
    job: &Job,
    shelf: &Shelf,
    context: &Context<'_, '_>,
) -> Result<Result<Left, Failure>, String> {
    let course = match job.course(shelf) {
        Ok(course) => course,
        Err(failure) => {
            return Ok(Ok(Left::Over(Box::new(failure_of(job, failure.to_string())))));
        }
    };
    catch_unwind(AssertUnwindSafe(|| one::run(job, course, context))).map_err(|cause| {
        let text = cause.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_shared_out() {
        let shape = |threads, runs, jobs| {
            let Shape { jobs, threads } = Shape::of(threads, runs, jobs);
            (jobs, threads)
        };
        assert_eq!(shape(8, 100, None), (8, 1));
        assert_eq!(shape(8, 2, None), (2, 4));
        assert_eq!(shape(2, 5, Some(1)), (1, 2));
        assert_eq!(shape(2, 0, None), (1, 2));
    }
}
