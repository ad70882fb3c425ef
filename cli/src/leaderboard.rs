//! `varangian leaderboard FOLDER`: entries of the benchmark side by side.

use crate::diagnose::stem;
use crate::{Failure, print};
use std::path::PathBuf;
use varangian_lab::benchmark::Board;
use varangian_lab::files;
use varangian_lab::run::{How, Silent};

/// What stands below the help.
const EXAMPLES: &str = "Examples:
  varangian leaderboard experiments/benchmark/small-v1
  varangian leaderboard experiments/benchmark/small-v1 --format latex --output table.tex
  varangian leaderboard experiments/benchmark/small-v1 --picture leaderboard
  varangian leaderboard experiments/benchmark/small-v1 --format html --output leaderboard.html
  varangian leaderboard my-entries --retime --backdoors
Score: the mean over settings of the accuracy under each setting's worst attack, in %. \"Usual five\":
had sign flips, flipped labels, ALIE, inner products and mimicry been all. \"Time\": of an
aggregation, in plain means, on the machine that judged. \"Backdoor\": of images with a hidden
patch how many are taken for what the hostile workers want, and by chance, in %.";

/// Arguments of `varangian leaderboard`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A folder of entries, as `varangian benchmark` leaves it, the folder above it, or a file that
    /// `--format json` wrote
    folder: PathBuf,
    /// text, markdown, latex, csv (a row for each setting), json, or html: a page that sorts by any
    /// column and shows each attack in each setting
    #[arg(long, value_name = "WORD", default_value = "text")]
    #[arg(value_parser = ["text", "markdown", "latex", "csv", "json", "html"])]
    format: String,
    /// Write to this file instead of standard output, which is "-"
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Time each pipeline's aggregation anew, on this machine, and write that into the entries;
    /// leave the machine alone meanwhile
    #[arg(long)]
    retime: bool,
    /// Measure backdoors for entries that have none yet, with the hyperparameters that each chose,
    /// and write them into the entries
    #[arg(long)]
    backdoors: bool,
    /// Folder of data files, for entries of the full tier with --backdoors
    #[arg(long, value_name = "DIR", requires = "backdoors")]
    data: Option<PathBuf>,
    /// Draw the worst case of each pipeline in each setting to FILE.svg and FILE.png
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
}

/// Writes the leaderboard.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if (args.retime || args.backdoors) && args.folder.is_file() {
        let text = "is a leaderboard, and what is measured goes into entries: name their folder";
        return Err(Failure::refused(text).at(args.folder.display()));
    }
    if args.retime {
        Board::retime(&args.folder, |rule, means| match means {
            Some(means) => print::note(&format!("{rule}: {means:.1} plain means")),
            None => print::note(&format!(
                "{rule}: not timed, as it is a rule of one's own or asks for the server's data"
            )),
        })?;
    }
    if args.backdoors {
        let how = How { data: args.data.clone(), ..How::default() };
        Board::backdoors(&args.folder, &how, &mut Silent, |rule, found| match found {
            Some(found) => {
                let [rate, chance] = [found.rate, found.chance].map(|share| 100.0 * share);
                print::note(&format!("{rule}: {rate:.1} %, by chance {chance:.1} %"));
            }
            None => print::note(&format!(
                "{rule}: not measured, as it is a rule of one's own or takes no setting with pictures"
            )),
        })?;
    }
    let board = Board::load(&args.folder)?;
    let entries = if args.folder.is_dir() { Board::entries(&args.folder)? } else { Vec::new() };
    for stranger in Board::strangers(&entries) {
        print::note(&format!("{stranger}: it answers otherwise here; judge it again"));
    }
    let text = match args.format.as_str() {
        "markdown" => board.markdown(),
        "latex" => board.latex(),
        "csv" => board.csv(),
        "json" => board.json(),
        "html" => board.html(&entries),
        _ => board.table(print::width().filter(|_| args.output.is_none())),
    };
    match args.output.as_ref().filter(|file| file.as_os_str() != "-") {
        Some(file) => files::write_to(file, text.as_bytes())?,
        None => print::line(text.trim_end()),
    }
    args.picture.as_ref().map_or(Ok(()), |path| board.picture().write(&stem(path)))
}
