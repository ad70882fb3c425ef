//! `varangian compare A B [C…]`: folders of results against one another.

use crate::{Failure, print, style};
use serde_json::{Value, json};
use std::path::PathBuf;
use varangian_lab::plot;
use varangian_lab::publish::compare::{Comparison, Line, Ranked, compare, ranked};
use varangian_lab::publish::{Entries, Style};

/// What the numbers are, below the help.
const MEANT: &str = "\
Runs are partners where every setting and the seed are alike; what each folder has one value of,
and not the same, is what is compared. Runs of one seed share minibatches and initial parameters,
so differences are taken run by run. For each rule:
  difference   mean over seeds of the mean over settings, with Student's 95 % interval over seeds
               (from three on), or with --bootstrap the percentile interval of resampled seeds
  p            Wilcoxon's signed-rank test over settings, each a mean over seeds; beside it Holm's
               correction for all rules. Settings share seeds: the test takes them as independent
  ranks        mean rank of each rule (and folder) over the settings that all have; ranks that
               differ by less than Nemenyi's critical difference at 5 % are not told apart
One folder is enough for ranks.";

/// Arguments of `varangian compare`.
#[derive(clap::Args)]
#[command(after_help = MEANT)]
pub(crate) struct Args {
    /// Folders of results, the one that the others are compared with first
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    #[command(flatten)]
    style: style::Chosen,
    /// The bootstrap's intervals instead of Student's
    #[arg(long)]
    bootstrap: bool,
    /// Draw the ranks with their critical difference: files without their endings
    #[arg(long, value_name = "PATH")]
    picture: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Compares and prints.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let style = args.style.read(Style::default())?;
    let entries = Entries::read(&args.folders)?.chosen(&style)?;
    let (comparisons, ranks) = (compare(&entries), ranked(&entries));
    if let Some(path) = &args.picture {
        draw(&entries, &style, ranks.as_ref(), path)?;
    }
    if args.json {
        print::line(&format!("{:#}", all(&comparisons, ranks.as_ref())));
        return Ok(());
    }
    entries.missing.iter().for_each(|missing| print::told(missing));
    for comparison in &comparisons {
        print::told(&told(comparison, &entries, &style, args.bootstrap));
    }
    match &ranks {
        Some(ranked) => print::told(ranked_text(ranked, &style).trim_end()),
        None => print::line("no ranks: fewer than two rules, or no setting that all of them have"),
    }
    Ok(())
}

fn told(one: &Comparison, entries: &Entries, style: &Style, bootstrap: bool) -> String {
    let [base, other, pairs] = one.runs;
    let mut out =
        format!("{} less {}: {pairs} pairs of {base} and {other} runs", one.other, one.base);
    out += &match one.differs.as_slice() {
        [] => ", of the same settings\n\n".to_owned(),
        differs => format!("; {}\n\n", differs.join(", ")),
    };
    if one.lines.is_empty() {
        return out + "no run of one has a partner in the other\n";
    }
    let percent = entries.metric == "accuracy";
    let number = |x: f64| match percent {
        _ if x.is_nan() => "-".to_owned(),
        true => format!("{:+.1}", 100.0 * x),
        false => print::number(x),
    };
    let p = |x: f64| if x.is_nan() { "-".to_owned() } else { format!("{x:.4}") };
    let row = |line: &Line| {
        let (low, high) = match bootstrap {
            true => line.bootstrap,
            false => (line.mean - line.half, line.mean + line.half),
        };
        let better = format!("{} of {}", line.better, line.settings);
        let counts = [line.seeds.to_string(), line.pairs.to_string()];
        let numbers = [number(line.mean), number(low), number(high), better];
        let tests = [p(line.wilcoxon), p(line.holm)];
        let cells = numbers.into_iter().chain(tests).chain(counts);
        std::iter::once(style.label(&line.rule)).chain(cells).collect::<Vec<String>>()
    };
    let what = if percent { "difference, points" } else { "difference" };
    let heads = ["rule", what, "from", "to", "better in", "p", "p (Holm)", "seeds", "pairs"];
    let right: Vec<bool> = (0..heads.len()).map(|k| k > 0).collect();
    out += &print::table(&heads, &one.lines.iter().map(row).collect::<Vec<_>>(), &right);
    let name = if bootstrap { "bootstrap" } else { "Student" };
    out += &format!(
        "\nDifferences of the mean of the last ten; from, to: 95 % ({name}, over seeds); p: Wilcoxon \
         over settings.\n{} at once: p (Holm) is corrected for that, the intervals are not.\n",
        match one.lines.len() {
            1 => "1 rule".to_owned(),
            many => format!("{many} rules"),
        }
    );
    out
}

fn ranked_text(ranked: &Ranked, style: &Style) -> String {
    let rows: Vec<Vec<String>> = ranked
        .names
        .iter()
        .zip(&ranked.ranks.means)
        .map(|(name, rank)| vec![style.label(name), format!("{rank:.2}")])
        .collect();
    let ranks = &ranked.ranks;
    let mut out =
        print::table(&["mean rank", &format!("of {}", rows.len())], &rows, &[false, true]);
    out += &format!("\nOver {} settings", ranks.settings);
    if ranks.friedman.is_finite() {
        out += &format!("; Friedman's test that all are alike: p = {:.2e}", ranks.friedman);
    }
    out += &match ranks.critical.is_finite() {
        true => format!("; critical difference {:.2} (Nemenyi, 5 %)\n", ranks.critical),
        false => "; no critical difference for so many\n".to_owned(),
    };
    out
}

fn all(comparisons: &[Comparison], ranked: Option<&Ranked>) -> Value {
    let ranks = ranked.map(|one| {
        json!({ "names": one.names, "means": one.ranks.means, "settings": one.ranks.settings,
            "friedman": one.ranks.friedman, "critical_difference": one.ranks.critical })
    });
    json!({ "comparisons": comparisons, "ranks": ranks })
}

fn draw(
    entries: &Entries,
    style: &Style,
    ranked: Option<&Ranked>,
    path: &std::path::Path,
) -> Result<(), Failure> {
    let Some(one) = ranked else {
        return Err(Failure::refused("ranks want two rules or more and a setting that all have"));
    };
    let names: Vec<(String, usize)> = one
        .names
        .iter()
        .zip(&one.places)
        .map(|(name, place)| (style.label(name), *place))
        .collect();
    let mut notes = entries.missing.clone();
    notes.push(format!(
        "Mean ranks over {} settings by the mean of the last ten, 1 best; bars tie what is not told \
         apart",
        one.ranks.settings
    ));
    let title = style.title.clone().unwrap_or_default();
    let picture = plot::ranks(&title, &names, &one.ranks.means, one.ranks.critical, notes);
    picture.write_as(path, &["svg", "pdf", "png"])
}
