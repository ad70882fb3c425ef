//! `varangian evidence FILE`: who was off, since when, and how sure that is.

use crate::{Failure, evidence, print};
use serde_json::{Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};
use varangian_lab::suspects::{Alarm, Suspect, UNLIKE, picture, suspects};
use varangian_lab::text;

/// What stands below the help.
const EXAMPLES: &str =
    "What a guard of varangian.torch, or `varangian serve --evidence`, has written down:
  varangian evidence evidence.jsonl
  varangian evidence evidence.jsonl --plot off.svg

Exit code 0 whatever is found, 2 for files that hold no evidence. docs/bad-rank.md says how alarms
are raised, docs/evidence.md what the lines hold.";

/// Arguments of `varangian evidence`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Evidence, one JSON object a line; "-" is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Draw the lengths of the gradients over the steps, as FILE.svg and FILE.png
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Reads evidence, prints.
///
/// # Errors
/// If the file cannot be read or is no evidence.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let found = suspects(&read(&args.file)?).map_err(|error| error.at(args.file.display()))?;
    if found.is_empty() {
        return Err(Failure::refused(format!("{} holds no records", args.file.display())));
    }
    if let Some(path) = &args.plot {
        let stem = match path.extension().and_then(|ending| ending.to_str()) {
            Some("svg" | "png") => path.with_extension(""),
            _ => path.clone(),
        };
        picture(&found).write(&stem)?;
    }
    if args.json {
        let all = found.iter().map(as_json);
        print::line(&format!("{:#}", Value::from_iter(all)));
        return Ok(());
    }
    print::line(table(&found).trim_end());
    if let Some(step) = found.iter().filter(|one| one.guarded).find_map(|one| one.again) {
        print::line(&format!(
            "step {step} stands twice: records are added at the end of a file that is there, so this \
             one holds several runs, or steps made again after a checkpoint; a file a run is clearer"
        ));
    }
    let off: Vec<String> = found.iter().filter_map(sentence).collect();
    off.iter().for_each(|line| print::line(line));
    match found.iter().any(|one| one.guarded) {
        true if off.is_empty() => print::line("no rank was off: no alarm, and no row was refused"),
        true => {}
        false => print::line(
            "unlike: rounds in which the worker's row had p < 0.01; about 1 in 100 by chance, where \
             workers have data alike. No guard looked for patterns over these rounds: alarms are \
             those of varangian.torch",
        ),
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match evidence::is_stdout(path) {
        true => std::io::stdin().read_to_string(&mut text),
        false => std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text)),
    };
    read.map_err(|error| Failure::file("read", path, &error))?;
    Ok(text)
}

fn table(found: &[Suspect]) -> String {
    let who = if found.iter().any(|one| one.guarded) { "rank" } else { "worker" };
    let head =
        [who, "steps", "alarms", "since step", "p", "unlike", "refused", "excluded", "reduced"];
    let dash = || "–".to_owned();
    let row = |one: &Suspect| {
        vec![
            one.worker.to_string(),
            one.steps.to_string(),
            one.alarms.len().to_string(),
            one.since().map_or_else(dash, |step| step.to_string()),
            one.p().map_or_else(dash, print::number),
            format!("{} of {}", one.unlike, one.judged),
            one.refused.to_string(),
            one.excluded.to_string(),
            one.reduced.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = found.iter().map(row).collect();
    text::table(&head, &rows, &[true; 9])
}

/// What was found of a worker, for a script; `off` is the sentence against it, or null.
fn as_json(one: &Suspect) -> Value {
    let alarm = |alarm: &Alarm| {
        json!({ "step": alarm.step, "kind": alarm.kind, "layer": alarm.layer,
                "statistic": alarm.statistic, "p": alarm.p })
    };
    json!({
        "worker": one.worker, "steps": one.steps, "guarded": one.guarded,
        "alarms": one.alarms.iter().map(alarm).collect::<Vec<_>>(),
        "since": one.since(), "p": one.p(), "unlike": one.unlike, "judged": one.judged,
        "refused": one.refused, "excluded": one.excluded, "reduced": one.reduced,
        "convicted": one.convicted, "off": sentence(one),
    })
}

/// What there is to say against a rank.
fn sentence(one: &Suspect) -> Option<String> {
    let rank = one.worker;
    let mut said = match (one.alarms.first(), &one.first_refusal) {
        (None, None) if one.is_unlike() => format!(
            "worker {rank} is unlike the others in {} of {} rounds, where chance has {:.1}",
            one.unlike,
            one.judged,
            UNLIKE * one.judged as f64
        ),
        (Some(first), _) => {
            let layer = match first.layer.as_str() {
                "" => "the gradient".to_owned(),
                name => format!("layer \"{name}\""),
            };
            let how = match first.kind.as_str() {
                "sequence" => "over many steps",
                "non-finite" => "not finite",
                "reduce" => "in what it reduced",
                _ => "seen in that step by itself",
            };
            let p = print::number(first.p);
            format!(
                "rank {rank} is off since step {}: the {} of {layer}, {how}; p = {p}",
                first.step, first.statistic
            )
        }
        (None, Some((step, why))) => format!("rank {rank} was refused first at step {step}: {why}"),
        (None, None) => return None,
    };
    if let Some(step) = one.convicted {
        said += &format!("; left out from step {step} on");
    }
    Some(said)
}
