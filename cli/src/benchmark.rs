//! `varangian benchmark RULE…`: pipelines judged by the fixed protocol.

use crate::run::{self as plan, How};
use crate::{Failure, print};
use serde_json::Value;
use varangian_lab::benchmark::{Benchmark, Cell, Entry, Part, Tier};
use varangian_lab::config::Own;

/// What stands below the help.
const EXAMPLES: &str = "Examples:
  varangian benchmark \"nnm | median\"                 # minutes on two cores
  varangian benchmark median krum --out my-entries
  varangian benchmark median --dry-run --json        # what would be run, for a script
  varangian benchmark krum --shard 2/8               # one of eight machines that share the folder
  varangian benchmark krum --only dataset=logreg --only attack=alie,worst   # a first look
Beside the score, which is of accuracy, backdoors are measured: how many images with a hidden patch
are taken for what the hostile workers want. Each pipeline leaves RULE.json in the folder, and its
runs beside it. What is over is never done again; after Ctrl-C the same command goes on. `varangian
leaderboard FOLDER` sets entries side by side.";

/// What `--out` is here.
const OUT: &str = "Folder of entries, with their runs below [default: benchmark]";

/// Arguments of `varangian benchmark`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, mut_arg("out", |out| out.help(OUT)))]
pub(crate) struct Args {
    /// Pipelines: "nnm | multi-krum m=3"
    #[arg(required = true, value_name = "RULE")]
    rules: Vec<String>,
    /// small: drawn data, minutes; full: data from files, days
    #[arg(long, value_name = "WORD", default_value = "small", value_parser = Tier::NAMES)]
    tier: String,
    /// Judge by a part of the protocol: of attack, dataset, f, partition or seed these values,
    /// which may be names alone; again for another key. Its entry stands in a folder below,
    /// part-HASH
    #[arg(long, value_name = "KEY=VALUE[,VALUE]")]
    only: Vec<String>,
    /// List the runs with their keys and what is still to do, and train nothing
    #[arg(long)]
    dry_run: bool,
    /// Print that list as JSON, an object a pipeline with all settings of its runs
    #[arg(long, requires = "dry_run")]
    json: bool,
    #[command(flatten)]
    how: How,
}

/// Judges pipelines, one after the other.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let tier = Tier::from_name(&args.tier).expect("one of the known words");
    let part = Part::parse(&args.only)?;
    let of = |rule: &String| {
        let (rule, part, how) = (rule.clone(), part.clone(), args.how.run());
        Benchmark { tier, rule, part, how, own: Own::default() }
    };
    let mut all: Vec<Benchmark> = Vec::new();
    for one in args.rules.iter().map(of) {
        if all.iter().all(|other| other.rule != one.rule) {
            all.push(one);
        }
    }
    // What is wrong with a later one is said before hours with an earlier.
    let checked = |one: &Benchmark| {
        let experiment = one.experiment()?;
        experiment.check().map_err(|why| if all.len() > 1 { why.at(&one.rule) } else { why })?;
        Ok(experiment)
    };
    let experiments = all.iter().map(checked).collect::<Result<Vec<_>, Failure>>()?;
    if args.json {
        let listed = all.iter().zip(&experiments).map(|(one, experiment)| {
            let mut plan = plan::as_json(experiment)?;
            plan["backdoors"] = one.under_backdoors()?.into();
            Ok(plan)
        });
        let listed: Result<Vec<Value>, Failure> = listed.collect();
        print::line(&format!("{:#}", Value::from(listed?)));
        return Ok(());
    }
    for (one, experiment) in all.iter().zip(experiments) {
        if args.dry_run {
            plan::list(&experiment)?;
            let hidden = one.under_backdoors()?;
            if hidden > 0 {
                print::line(&format!("and {hidden} under backdoors, with what these choose"));
            }
            continue;
        }
        let entry = match one.run(&mut args.how.terminal()) {
            Ok(entry) => entry,
            // A share that waits for other shards holds up no other pipeline's.
            Err(why) if why.code() == 0 => {
                if !args.how.is_quiet() {
                    print::note(&format!("{}: {why}", one.rule));
                }
                continue;
            }
            Err(why) => return Err(why),
        };
        if !args.how.is_quiet() {
            print::line(&told(&entry));
            let file = one.folder().join(Entry::file(&entry.rule));
            print::line(&format!("\nEntry: {}\n", file.display()));
        }
    }
    Ok(())
}

/// A share of 1 in %, a dash where it is not known.
fn percent(share: f64) -> String {
    if share.is_nan() { "-".into() } else { format!("{:.1}", 100.0 * share) }
}

/// What was found of a pipeline, setting by setting.
fn told(entry: &Entry) -> String {
    let row = |cell: &Cell| {
        let setting = cell.setting.label();
        match &cell.refused {
            Some(why) => vec![setting, "-".into(), "-".into(), percent(cell.worst), why.clone()],
            None => vec![
                setting,
                percent(cell.clean),
                percent(cell.usual),
                percent(cell.worst),
                cell.by.clone(),
            ],
        }
    };
    let mut rows: Vec<Vec<String>> = entry.cells.iter().map(row).collect();
    let all = [entry.clean, entry.usual, entry.score].map(percent);
    let mut mean = vec!["mean".to_owned()];
    mean.extend(all);
    mean.push(format!("± {} over seeds", percent(entry.half)));
    rows.push(mean);
    let head = ["setting", "no attack", "usual five", "worst", "by"];
    let right = [false, true, true, true, false];
    let calm: Vec<String> = entry.calm.iter().map(|one| percent(one.accuracy)).collect();
    let kappa = entry.kappa.iter().map(|one| {
        let number = |x: Option<f64>| x.map_or("?".into(), |x| format!("{x:.3}"));
        let sign = if one.kind == "exact" { "=" } else { "≤" };
        let (known, found) = (number(one.known), number(one.found));
        format!("f = {}: κ {sign} {known}, found {found}", one.f)
    });
    let backdoors = entry.backdoors.as_ref().map_or(String::new(), |found| {
        let [rate, chance] = [found.rate, found.chance].map(percent);
        format!(
            "Backdoors: {rate} % of stamped images are taken for the target, by chance {chance} %\n"
        )
    });
    let cost = entry.cost.means.map_or("not timed".into(), |x| format!("{x:.1} plain means"));
    let part = match entry.only.is_whole() {
        true => String::new(),
        false => format!("; of the protocol only {}", entry.only.text()),
    };
    let seeds = entry.cells.iter().flat_map(|cell| &cell.attacks).map(|line| line.seeds.len());
    let calm = if calm.is_empty() { "-".to_owned() } else { calm.join(", ") };
    format!(
        "{}: accuracy in %, last ten evaluations, seeds: {}{part}\n\n{}\nNobody hostile, f = 0: \
         {calm}\n{}\n{backdoors}An aggregation of {} × {}: {cost}",
        entry.rule,
        seeds.max().unwrap_or_default(),
        print::table(&head, &rows, &right),
        kappa.collect::<Vec<_>>().join("; "),
        entry.cost.n,
        entry.cost.d
    )
}
