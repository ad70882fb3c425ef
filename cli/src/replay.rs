//! `varangian replay FOLDER --step T`: one step of a kept run again: who sent what, and what the
//! rule gave each.

use crate::{Failure, evidence, print};
use std::path::{Path, PathBuf};
use varangian_base::kernels::{combine, norms};
use varangian_lab::config::Settings;
use varangian_lab::results::{Look, Store, bare};
use varangian_lab::run::Shelf;
use varangian_rules::{Evidence, Standing};
use varangian_sim::lockstep::Lockstep;
use varangian_sim::swarm::{AsyncPlan, Swarm};
use varangian_sim::{Course, Plan, rounds::Rounds};
use varangian_train::{Closed, Fate, Server};

/// Arguments of `varangian replay`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A folder of results
    folder: PathBuf,
    /// Which run, by its key or the start of it [default: the only one]
    #[arg(long, value_name = "KEY")]
    run: Option<String>,
    /// The step (of an asynchronous run, the arrival), from 0
    #[arg(long)]
    step: u64,
    /// The folder of data files
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print what was found of each worker (length, distance from the aggregate, share, verdict,
    /// reason), one JSON object a line, and nothing else; docs/evidence.md has the fields
    #[arg(long)]
    json: bool,
}

/// Takes the run from its seed to the step and prints that step.
///
/// # Errors
/// If there is no such run or step, or its data are missing.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (key, settings) = kept(&args.folder, args.run.as_deref())?;
    demand_step(&key, &settings, args.step)?;
    let head = format!(
        "run {key}: {} × {}, n = {}, f = {}, {} hostile, seed {}, step {}",
        settings.rule,
        settings.attack,
        settings.n,
        settings.f,
        settings.f_real(),
        settings.seed,
        args.step
    );
    if !args.json {
        print::line(&head);
    }
    let step = match Shelf::new(args.data.clone()).course(&settings)? {
        Course::Lockstep(plan) => lockstep(*plan, args.step)?,
        Course::Rounds(plan, network) => {
            let mut run = Rounds::new(*plan, network)?;
            for _ in 0..args.step {
                run.step();
            }
            let hostile = run.step().hostile.to_vec();
            Shown::of(run.server(), &hostile)
        }
        Course::Gossip(..) => {
            return Err(Failure::refused(
                "replay shows what a server made of a step; under network=\"gossip\" there is none",
            ));
        }
        Course::Swarm(plan) => arrival(*plan, args.step, &settings.rule, settings.f)?,
    };
    match args.json {
        true => evidence::print(&step.evidence),
        false => print::line(&step.text),
    }
    Ok(())
}

/// A step as it is shown, in either form.
struct Shown {
    text: String,
    evidence: Vec<Evidence>,
}

impl Shown {
    /// The step that the server has just closed.
    fn of(server: &Server, hostile: &[u32]) -> Shown {
        Shown { text: table(server, hostile), evidence: server.evidence() }
    }
}

/// The key and settings of the run that starts with `run`, or of the only one.
///
/// # Errors
/// If there is no such run, or it cannot be trusted.
pub(crate) fn kept(folder: &Path, run: Option<&str>) -> Result<(String, Settings), Failure> {
    let store = Store::open(folder)?;
    let key = choose(&store.keys()?, run.unwrap_or(""))?;
    match store.look(&key) {
        Look::Whole(kept) => Ok((key, kept.settings)),
        Look::Unchecked(kept) => {
            print::note(&format!("run {key} carries no checksum, as before results had one"));
            Ok((key, kept.settings))
        }
        Look::Damaged(why) => Err(Failure::refused(format!("run {key}: {why}"))),
        Look::Missing => Err(Failure::refused(format!("run {key} cannot be read"))),
    }
}

/// # Errors
/// If the run has no such step.
pub(crate) fn demand_step(key: &str, settings: &Settings, asked: u64) -> Result<(), Failure> {
    match settings.steps {
        steps if asked < steps => Ok(()),
        steps => {
            Err(Failure::refused(format!("run {key} has steps 0 to {}; got {asked}", steps - 1)))
        }
    }
}

/// The one key that starts with `start`.
fn choose(keys: &[String], start: &str) -> Result<String, Failure> {
    // Before keys had a letter they were written without it.
    let starts = |key: &str| key.starts_with(start) || bare(key).starts_with(start);
    let found: Vec<&String> = keys.iter().filter(|key| starts(key)).collect();
    match found[..] {
        [key] => Ok(key.clone()),
        [] => Err(Failure::refused(format!("no run starts with \"{start}\"; runs.csv names them"))),
        _ => Err(Failure::refused(format!(
            "{} runs start with \"{start}\"; name one with --run, runs.csv names them",
            found.len()
        ))),
    }
}

fn lockstep(plan: Plan, step: u64) -> Result<Shown, Failure> {
    let mut run = Lockstep::new(plan)?;
    for _ in 0..step {
        run.step();
    }
    let hostile = run.step().hostile.to_vec();
    Ok(Shown::of(run.server(), &hostile))
}

/// A row a worker of the step that the server has just closed.
fn table(server: &Server, hostile: &[u32]) -> String {
    let closed: &Closed = server.closed();
    let rows = server.intake().slots().head(closed.ids.len());
    let is_hostile = |id: &u32| hostile.contains(id);
    let honest = closed.ids.iter().filter(|id| !is_hostile(id)).count();
    let weights: Vec<f64> = closed
        .ids
        .iter()
        .map(|id| if is_hostile(id) { 0.0 } else { 1.0 / honest.max(1) as f64 })
        .collect();
    let mut mean = vec![0.0; rows.d()];
    combine::combine(rows, &weights, &mut mean);
    let length = norms::norm2(&mean).sqrt();
    let mut cells = Vec::new();
    for (i, id) in closed.ids.iter().enumerate() {
        let norm = norms::norm2(rows.row(i)).sqrt();
        let cosine = norms::dot(rows.row(i), &mean) / (norm * length);
        let weight = closed.verdict.weights.get(i).map_or("–".into(), |w| format!("{w:.4}"));
        cells.push(vec![
            id.to_string(),
            if is_hostile(id) { "hostile" } else { "honest" }.into(),
            format!("{norm:.6}"),
            format!("{:.6}", norms::distance2(rows.row(i), &mean).sqrt()),
            format!("{cosine:.4}"),
            weight,
        ]);
    }
    let head = ["worker", "who", "norm", "from honest mean", "cosine", "weight"];
    let mut out = print::table(&head, &cells, &[true, false, true, true, true, true]);
    for refusal in &closed.refused {
        out.push_str(&format!("refused: {refusal}\n"));
    }
    let was_refused = |id: &u32| closed.refused.iter().any(|refusal| refusal.worker == *id);
    let silent = server.heard();
    let silent: Vec<u32> =
        silent.into_iter().filter(|id| !closed.ids.contains(id) && !was_refused(id)).collect();
    if !silent.is_empty() {
        out.push_str(&format!("nothing came in time from {silent:?}\n"));
    }
    if let Some(why) = &closed.skipped {
        out.push_str(&format!("no step: {why}\n"));
    }
    if !closed.verdict.expelled.is_empty() {
        out.push_str(&format!("expelled so far: {:?}\n", closed.verdict.expelled));
    }
    if let Some(event) = &closed.verdict.event {
        out.push_str(&format!("event: {event}\n"));
    }
    let aggregate = server.aggregate();
    let size = norms::norm2(aggregate).sqrt();
    let cosine = norms::dot(aggregate, &mean) / (size * length);
    out.push_str(&format!("aggregate: norm {size:.6}, cosine to the honest mean {cosine:.4}"));
    out
}

fn arrival(plan: AsyncPlan, step: u64, filter: &str, f: usize) -> Result<Shown, Failure> {
    let mut swarm = Swarm::new(plan)?;
    let ended = || Failure::refused("the run ended before this arrival");
    for _ in 0..step {
        swarm.step().ok_or_else(ended)?;
    }
    let before = swarm.queue().params().to_vec();
    let record = swarm.step().ok_or_else(ended)?;
    let (fate, worker) = (&record.outcome.fate, record.outcome.worker);
    let judged =
        judged(fate, Evidence::refused(filter, (1, f, before.len()), step, worker, String::new()));
    let fate = match fate {
        Fate::Step => "stepped along".to_owned(),
        Fate::Hold => "held for later".to_owned(),
        Fate::Reject(why) => format!("rejected: {why}"),
        Fate::Refused => "refused: no message that may be judged".to_owned(),
        Fate::NotFinite => "rejected: the step was not finite".to_owned(),
    };
    let sent = swarm.sent(record.outcome.worker);
    let length = norms::norm2(sent).sqrt();
    let after = swarm.queue().params();
    // From the model to the one before: along what was applied, momentum and decay included.
    let moved: Vec<f32> = before.iter().zip(after).map(|(old, new)| old - new).collect();
    let size = norms::norm2(&moved).sqrt();
    let cosine = norms::dot(&moved, sent) / (size * length);
    let rows = [
        ("time", format!("{:.3} s", record.time)),
        ("worker", record.outcome.worker.to_string()),
        ("who", if record.hostile { "hostile" } else { "honest" }.to_owned()),
        ("model", format!("{} steps old", record.outcome.staleness)),
        ("minibatch loss", format!("{:.4}", record.loss)),
        ("norm of what was sent", format!("{length:.6}")),
        ("what the filter said", fate),
        ("the model moved by", format!("{size:.6}")),
        (
            "cosine of move and message",
            match size > 0.0 {
                true => format!("{cosine:.4}"),
                false => "–".to_owned(),
            },
        ),
        ("version now", swarm.queue().version().to_string()),
    ];
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    let text = print::table(&["of this arrival", "value"], &rows, &[false, false]);
    let norm = Some(length).filter(|length| length.is_finite());
    Ok(Shown { text, evidence: vec![Evidence { norm, ..judged }] })
}

/// What a filter made of the one message that it saw, in the words of a rule.
fn judged(fate: &Fate, record: Evidence) -> Evidence {
    let (standing, reason) = match fate {
        Fate::Step => (Standing::Kept, None),
        Fate::Hold => (Standing::Kept, Some("held for later".to_owned())),
        Fate::Reject(why) => (Standing::Excluded, Some((*why).to_string())),
        Fate::NotFinite => (Standing::Excluded, Some("the step was not finite".to_owned())),
        Fate::Refused => (Standing::Refused, Some("no message that may be judged".to_owned())),
    };
    let weight = match standing {
        Standing::Kept => None,
        _ => Some(0.0),
    };
    Evidence { standing, reason, weight, ..record }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_by_the_start_of_its_key() {
        let keys = ["ab12".to_owned(), "ab34".to_owned(), "cd56".to_owned()];
        assert_eq!(choose(&keys, "c").unwrap(), "cd56");
        assert!(choose(&keys, "ab").unwrap_err().to_string().starts_with("2 runs start with"));
        assert!(choose(&keys, "x").is_err());
    }
}
