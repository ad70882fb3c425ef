//! `varangian table DIR…`: a table for a paper.

use crate::{Failure, print, style};
use std::path::PathBuf;
use varangian_lab::files;
use varangian_lab::publish::table::{Format, Table};
use varangian_lab::publish::{Entries, Style};
use varangian_lab::results::words;

/// Below the help.
const MORE: &str = "Examples:
  varangian table runs/first                                  # rules by attacks, LaTeX
  varangian table runs/first --where attack=alie --as markdown
With several folders each has its own rows. LaTeX wants \\usepackage{booktabs}. The best of each
column is bold; ± stands where an interval over three or more seeds is seen at the digits of the
mean; `worst` is the worst column.";

/// Arguments of `varangian table`.
#[derive(clap::Args)]
#[command(after_help = MORE)]
pub(crate) struct Args {
    /// Folders of results
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    #[command(flatten)]
    style: style::Chosen,
    /// latex, markdown or csv
    #[arg(long = "as", value_name = "WORD", default_value = "latex")]
    #[arg(value_parser = ["latex", "markdown", "csv"])]
    format: String,
    /// When ± is shown: auto, always or never
    #[arg(long, value_name = "WORD")]
    spread: Option<String>,
    /// Print a paragraph on methods instead, made from the configurations
    #[arg(long)]
    methods: bool,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the table.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let style = args.style.read(Style { spread: args.spread.clone(), ..Style::default() })?;
    let entries = Entries::read(&args.folders)?.chosen(&style)?;
    let text = match args.methods {
        true => methods(args, &entries),
        false => Table::of(&entries, &style)?.text(match args.format.as_str() {
            "markdown" => Format::Markdown,
            "csv" => Format::Csv,
            _ => Format::Latex,
        }),
    };
    match &args.output {
        Some(file) => files::write_to(file, text.as_bytes()),
        None => {
            print::line(text.trim_end());
            Ok(())
        }
    }
}

/// A paragraph a folder.
fn methods(args: &Args, entries: &Entries) -> String {
    let one = |(folder, path): (usize, &PathBuf)| {
        let text = words::of_folder(path, entries, folder);
        match args.folders.len() {
            1 => format!("{text}\n"),
            _ => format!("{}: {text}\n", entries.names[folder]),
        }
    };
    args.folders.iter().enumerate().map(one).collect::<Vec<_>>().join("\n")
}
