//! `varangian recommend --n N --f F`: which pipeline to take, and when none helps.

use crate::{Failure, print};
use serde_json::{Value, json};
use std::path::PathBuf;
use varangian_lab::benchmark::{Advice, Board, Pick, Wanted};
use varangian_lab::kappa::Known;

/// The leaderboard that comes with this program: small tier, version 1.
const SHIPPED: &str = include_str!("../experiments/benchmark/leaderboard-small-v1.json");

/// What stands below the help.
const EXAMPLES: &str = "Examples:
  varangian recommend --n 20 --f 3
  varangian recommend --n 20 --f 3 --task glyphs --partition sorted
  varangian recommend --n 12 --f 2 --b 2            # heterogeneity as `varangian run` measures it
The leaderboard is that of this program, or --board; docs/leaderboard.md says how it is made.";

/// Arguments of `varangian recommend`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Workers
    #[arg(long, allow_negative_numbers = true)]
    n: usize,
    /// Hostile ones among them, at most
    #[arg(long, allow_negative_numbers = true)]
    f: usize,
    /// The task of the leaderboard that is most like yours: logreg or glyphs [default: all]
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    /// How your data are split: iid, dirichlet or sorted [default: all]
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,
    /// B of your data's (G, B)-dissimilarity, if you know it
    #[arg(long, value_name = "B", allow_negative_numbers = true)]
    b: Option<f64>,
    /// A folder of entries, or a leaderboard as JSON, in place of the one of this program
    #[arg(long, value_name = "PATH")]
    board: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Says what to take and why.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let board = match &args.board {
        Some(path) => Board::load(path)?,
        None => Board::parse(SHIPPED)?,
    };
    let wanted = Wanted {
        n: args.n,
        f: args.f,
        task: args.task.clone(),
        partition: args.partition.clone(),
        dissimilarity: args.b,
        validates: false,
    };
    let advice = board.recommend(&wanted)?;
    match args.json {
        true => print::line(&format!("{:#}", as_json(&advice))),
        false => print::told(told(&advice, &wanted).trim_end()),
    }
    Ok(())
}

/// The same for a script: accuracies are shares of 1, `take` is null where nothing is to be taken.
fn as_json(advice: &Advice) -> Value {
    let pick = |pick: &Pick| {
        let (kappa, bound) = match pick.known {
            Known::Exact(value) => (Some(value), "exact"),
            Known::AtMost(value) => (Some(value), "at most"),
            Known::Nothing => (None, "nothing"),
        };
        json!({ "rule": pick.rule, "worst": pick.worst, "usual": pick.usual, "clean": pick.clean,
                "tax": pick.tax, "half": pick.half, "calm": pick.calm, "kappa": kappa, "kappa_known": bound,
                "backdoor": pick.backdoor, "means": pick.means })
    };
    let take = advice.picks.first().filter(|_| advice.hopeless.is_none());
    json!({
        "take": take.map(|best| &best.rule),
        "hopeless": advice.hopeless,
        "picks": advice.picks.iter().map(pick).collect::<Vec<_>>(),
        "notes": advice.notes,
    })
}

fn percent(share: f64) -> String {
    if share.is_nan() { "-".into() } else { format!("{:.1}", 100.0 * share) }
}

fn told(advice: &Advice, wanted: &Wanted) -> String {
    if let Some(why) = &advice.hopeless {
        return format!("Nothing helps: {why}.");
    }
    let Some(best) = advice.picks.first() else {
        let mut text = format!(
            "No pipeline of the leaderboard takes n = {}, f = {}: every bound is above it.\n",
            wanted.n, wanted.f
        );
        advice.notes.iter().for_each(|note| text += &format!("\nNote: {note}.\n"));
        return text;
    };
    let row = |pick: &Pick| {
        vec![
            pick.rule.clone(),
            percent(pick.worst),
            percent(pick.half),
            percent(pick.usual),
            percent(pick.clean),
            percent(pick.tax),
            pick.backdoor.map_or("-".into(), percent),
            kappa(pick.known),
            pick.means.map_or("-".into(), |x| format!("{x:.1}")),
        ]
    };
    let rows: Vec<Vec<String>> = advice.picks.iter().map(row).collect();
    let head =
        ["pipeline", "worst case", "±", "usual five", "no attack", "tax", "backdoor", "κ", "time"];
    let right = [false, true, true, true, true, true, true, true, true];
    let why = match wanted.f {
        0 => format!(
            "Where nobody is hostile its accuracy is {} %, which no pipeline here exceeds.",
            percent(best.calm)
        ),
        _ => format!(
            "Its accuracy under the worst attack is {} %, the best of what takes n = {}, f = {}; the \
             five usual attacks alone would have said {} %. Where nobody attacks it is {} points \
             behind the best of them there.",
            percent(best.worst),
            wanted.n,
            wanted.f,
            percent(best.usual),
            percent(best.tax),
        ),
    };
    let table = print::table(&head, &rows, &right);
    let mut text = format!("Take \"{}\".\n\n{why}\n\n{table}", best.rule);
    for note in &advice.notes {
        text += &format!("\nNote: {note}.\n");
    }
    text + "\n±: Student's 95 % over seeds. κ is proven at your n and f: = exactly, ≤ at most, ? nothing; the least possible is \
            f/(n − 2f). Backdoor: of images with a hidden patch, in % those that a model takes for \
            what the hostile workers want.\n"
}

fn kappa(known: Known) -> String {
    match known {
        Known::Exact(value) => format!("= {value:.3}"),
        Known::AtMost(value) => format!("≤ {value:.3}"),
        Known::Nothing => "?".into(),
    }
}
