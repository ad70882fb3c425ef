//! `varangian diagnose`: which worker's rows are unlike the others', since when, and what to do.

mod table;

use crate::{Failure, arrays, evidence, print, replay};
use arrays::Values;
use std::path::{Path, PathBuf};
use varangian_base::Matrix;
use varangian_lab::diagnose::{Diagnosis, Sent, Step, diagnose};
use varangian_lab::run::{Shelf, memory};
use varangian_rules::{Evidence, Pipeline};
use varangian_sim::{Course, lockstep::Lockstep, rounds::Rounds};
use varangian_train::Server;

/// Rules whose weights are shown when none is named: by neighbours, by total distance, by length.
const RULES: &[&str] = &["multi-krum", "geometric-median", "cge"];

/// What is suggested against f suspects.
const SUGGESTED: &str = "nnm | trimmed-mean";

/// What stands below the help.
const EXAMPLES: &str = "Which of these rows is wrong?
  varangian diagnose rows.npy
  varangian diagnose rows.npy --f 2 --rule faba --rule \"nnm | krum\"

With one file a step, in order, it also says since when:
  varangian diagnose rows.npy rows.npy --plot rows.svg

Exit code 0 whatever is found, 2 for rows that cannot be read. docs/evidence.md says how p is
reckoned, and what rows alone cannot tell.";

/// Arguments of `varangian diagnose`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Rows, one .npy matrix (workers × coordinates) a step, in order; or a folder of results, of
    /// which a run is run again
    #[arg(required = true, value_name = "ROWS.npy")]
    rows: Vec<PathBuf>,
    /// How many rows may be wrong, for the weights that rules give [default: as many as stand out,
    /// at least 1]
    #[arg(long)]
    f: Option<usize>,
    /// A rule whose weights are shown: "nnm | krum"; repeat for more
    #[arg(long, value_name = "SPEC")]
    rule: Vec<String>,
    /// Folder of results: which run, by its key or the start of it [default: the only one]
    #[arg(long, value_name = "KEY")]
    run: Option<String>,
    /// Folder of results: the first step that is looked at, from 0
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Folder of results: how many steps are looked at
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    steps: u64,
    /// Folder of results: the folder of data files
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Draw how far off each worker is, as FILE.svg and FILE.png
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Print the evidence of each row in each step by each rule, one JSON object a line, and
    /// nothing else; docs/evidence.md has the fields
    #[arg(long)]
    json: bool,
}

/// Reads rows, judges them, prints.
///
/// # Errors
/// If rows cannot be read, do not belong together, or a rule is none.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut rules: Vec<Pipeline> = match args.rule.is_empty() {
        true => RULES.iter().map(|text| Pipeline::parse(text)).collect::<Result<_, _>>()?,
        false => args.rule.iter().map(|text| Pipeline::parse(text)).collect::<Result<_, _>>()?,
    };
    rules.iter().try_for_each(crate::aggregate::demand_no_oracle)?;
    let steps = match &args.rows[..] {
        [folder] if folder.is_dir() => of_run(args, folder)?,
        files => of_files(args, files)?,
    };
    let n = steps.iter().map(|step| step.ids.len() + step.refused.len()).max().unwrap_or(0);
    if let Some(f) = args.f.filter(|&f| f >= n) {
        return Err(Failure::refused(format!("--f: below the number of rows, {n}; got {f}")));
    }
    let found = diagnose(&steps);
    let f = args.f.unwrap_or(found.suspects.len().max(1));
    if let Some(path) = &args.plot {
        table::picture(&steps, &found).write(&stem(path))?;
    }
    let (weighed, left_out) = weigh(&steps, &mut rules, f, !args.rule.is_empty())?;
    if args.json {
        left_out.iter().for_each(|line| print::note(line));
        evidence::print(&weighed.concat());
        return Ok(());
    }
    print::line(&table::text(&steps, &found, &weighed, f));
    left_out.iter().for_each(|line| print::told(line));
    print::told(&verdict(&steps, &found, args.f)?);
    Ok(())
}

/// The path without the ending of a picture: both are written.
pub(crate) fn stem(path: &Path) -> PathBuf {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("svg" | "png") => path.with_extension(""),
        _ => path.to_owned(),
    }
}

/// The evidence by each rule that takes these rows and f, and a line for each that does not.
fn weigh(
    steps: &[Step],
    rules: &mut [Pipeline],
    f: usize,
    asked: bool,
) -> Result<(Vec<Vec<Evidence>>, Vec<String>), Failure> {
    let (mut weighed, mut left_out) = (Vec::new(), Vec::new());
    for rule in rules {
        let evidence = |step: &Step| {
            // A rule with a memory would see the steps as one run; each is a first round here.
            let mut rule = rule.fork();
            let f = f.saturating_sub(step.refused.len());
            step.evidence(&mut rule, f).map(|(_, found)| found)
        };
        match steps.iter().map(evidence).collect::<Result<Vec<_>, _>>() {
            Ok(found) => weighed.push(found.concat()),
            Err(failure) if asked => return Err(failure),
            Err(failure) => left_out.push(format!("left out: {failure}")),
        }
    }
    Ok((weighed, left_out))
}

fn of_files(args: &Args, files: &[PathBuf]) -> Result<Vec<Step>, Failure> {
    if let Some(option) = [
        ("--run", args.run.is_some()),
        ("--data", args.data.is_some()),
        ("--from", args.from > 0),
        ("--steps", args.steps != 20),
    ]
    .iter()
    .find(|(_, given)| *given)
    {
        let text = format!("{} is of a folder of results; got files of rows", option.0);
        return Err(Failure::refused(text));
    }
    let (mut steps, mut first) = (Vec::new(), None);
    for (t, path) in files.iter().enumerate() {
        let rows = arrays::read(path)?;
        let shape = (rows.total(), rows.d);
        let &mut (n, d) = first.get_or_insert(shape);
        if shape != (n, d) {
            let (path, (m, e)) = (path.display(), shape);
            return Err(Failure::refused(format!(
                "{path}: each step has the rows of the first, {n} × {d}; found {m} × {e}"
            )));
        }
        let refused = rows.refused.into_iter().zip(rows.reasons).collect();
        let sent = match rows.finite {
            Values::Single(matrix) => Sent::Single(matrix),
            Values::Double(rows) => Sent::Double(rows),
        };
        steps.push(Step::new(t as u64, sent, rows.ids, refused));
    }
    Ok(steps)
}

/// Steps of a kept run, which is run again from its seed.
fn of_run(args: &Args, folder: &Path) -> Result<Vec<Step>, Failure> {
    let (key, settings) = replay::kept(folder, args.run.as_deref())?;
    replay::demand_step(&key, &settings, args.from)?;
    let end = settings.steps.min(args.from.saturating_add(args.steps));
    let mut steps = Vec::new();
    let mut take = |server: &Server| -> Result<(), Failure> {
        let closed = server.closed();
        if closed.step >= args.from {
            let size = 16 * closed.ids.len() as u128 * server.aggregate().len() as u128;
            memory::demand("the rows of the steps", size)?;
            steps.push(of_server(server));
        }
        Ok(())
    };
    match Shelf::new(args.data.clone()).course(&settings)? {
        Course::Lockstep(plan) => {
            let mut run = Lockstep::new(*plan)?;
            for _ in 0..end {
                run.step();
                take(run.server())?;
            }
        }
        Course::Rounds(plan, network) => {
            let mut run = Rounds::new(*plan, network)?;
            for _ in 0..end {
                run.step();
                take(run.server())?;
            }
        }
        Course::Gossip(..) => {
            return Err(Failure::refused(format!(
                "run {key} has no server: no rows of one step stand beside each other"
            )));
        }
        Course::Swarm(_) => {
            return Err(Failure::refused(format!(
                "run {key} is asynchronous: its messages come one by one, and none stands beside \
                 others; `varangian replay` shows one"
            )));
        }
    }
    Ok(steps)
}

/// What came in the step that the server has just closed.
fn of_server(server: &Server) -> Step {
    let closed = server.closed();
    let rows = server.intake().slots().head(closed.ids.len());
    let mut refused: Vec<(u32, String)> = Vec::new();
    for refusal in closed.refused.iter().filter(|refusal| refusal.reason.proves_hostile()) {
        if refused.iter().all(|(worker, _)| *worker != refusal.worker) {
            refused.push((refusal.worker, refusal.why()));
        }
    }
    refused.sort();
    let matrix = Matrix::from_rows(&rows.iter().collect::<Vec<_>>());
    Step::new(closed.step, Sent::Single(matrix), closed.ids.clone(), refused)
}

/// Who stands out, and what to do about it.
fn verdict(steps: &[Step], found: &Diagnosis, told: Option<usize>) -> Result<String, Failure> {
    let (mut out, several) = (Vec::new(), steps.len() > 1);
    for suspect in &found.suspects {
        let since = match several {
            true => format!(
                " since step {} ({} of {} steps from there)",
                suspect.since,
                suspect.steps,
                steps.iter().filter(|step| step.step >= suspect.since).count()
            ),
            false => String::new(),
        };
        let p = match suspect.p {
            None => "a fact, whatever the chances".to_owned(),
            Some(0.0) => "p < 1e-300".to_owned(),
            Some(p) => format!("p = {}", print::number(p)),
        };
        let (worker, looks) = (suspect.worker, &suspect.looks);
        out.push(format!("worker {worker} stands out{since}: {looks} ({p})"));
    }
    out.extend(found.remarks.iter().cloned());
    let f = found.suspects.len();
    if let Some(told) = told.filter(|&told| told < f) {
        out.push(format!("{f} stand out, more than f = {told}"));
    }
    out.extend(advice(steps, found)?);
    if !found.suspects.is_empty() {
        out.push(
            "this takes it that more than half of the workers are right and that their data are \
             alike; one with data of its own looks like one that fails"
                .to_owned(),
        );
    }
    Ok(out.join("\n"))
}

/// Which rule and f explain the rows, tried on the last step in which somebody stands out.
fn advice(steps: &[Step], found: &Diagnosis) -> Result<Option<String>, Failure> {
    let f = found.suspects.len();
    let is_suspect = |id: &u32| found.suspects.iter().any(|suspect| suspect.worker == *id);
    let Some(step) = steps.last().filter(|_| f > 0) else { return Ok(None) };
    let left = f.saturating_sub(step.refused.len());
    let mut rule = Pipeline::parse(SUGGESTED)?;
    if rule.check(step.ids.len(), left).is_err() || step.ids.iter().all(is_suspect) {
        return Ok(None);
    }
    let rest: Vec<f64> = step.ids.iter().map(|id| f64::from(u8::from(!is_suspect(id)))).collect();
    let centre = table::mean(&step.rows, &rest);
    let (robust, _) = step.evidence(&mut rule, left)?;
    let (plain, _) = step.evidence(&mut Pipeline::parse("average")?, 0)?;
    let away = |answer: &[f64]| print::number(table::distance(answer, &centre));
    Ok(Some(format!(
        "f = {f} explains these rows: --rule \"{SUGGESTED}\" --f {f} answers {} from the mean of \
         the other rows, the plain mean {}",
        away(&robust),
        away(&plain)
    )))
}
