//! `varangian catalogue`: CATALOGUE.md and the book's reference, from what the entries say of
//! themselves.

mod clouds;
mod formulas;
mod influence;
mod pages;

use crate::show::{self, Facts};
use crate::{Failure, print};
use std::path::PathBuf;
use varangian_base::{Entry, Param};
use varangian_lab::files;

/// Arguments of `varangian catalogue`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where it goes; printed if absent
    #[arg(long, value_name = "FILE.md")]
    output: Option<PathBuf>,
    /// Write the pages of the book's reference below this folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    pages: Option<PathBuf>,
}

/// Prints or writes the catalogue.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if let Some(folder) = &args.pages {
        return pages::write(folder);
    }
    match &args.output {
        Some(path) => files::write_to(path, catalogue().as_bytes()),
        None => {
            print::line(catalogue().trim_end());
            Ok(())
        }
    }
}

/// The whole catalogue as Markdown.
pub fn catalogue() -> String {
    let mut out = String::from(
        "# Catalogue\n\nEverything that has a name, as it says of itself. \
         Written by `varangian catalogue`; a test holds it to the code.\n",
    );
    part(&mut out, "Rules and the stages around them", varangian_rules::ALL, show::rule_facts);
    part(
        &mut out,
        "Filters of asynchronous training",
        varangian_rules::FILTERS,
        show::filter_facts,
    );
    part(&mut out, "Attacks", varangian_attacks::ALL, show::attack_facts);
    part(&mut out, "Models", varangian_learn::model::entry::ALL, show::model_facts);
    part(&mut out, "Data sets", varangian_learn::data::ALL, show::data_facts);
    part(&mut out, "Partitions", varangian_learn::partition::ALL, |_| Vec::new());
    keys(&mut out);
    out
}

fn part<T: ?Sized, F>(
    out: &mut String,
    title: &str,
    list: &[&Entry<T, F>],
    facts: fn(&Entry<T, F>) -> Facts,
) {
    out.push_str(&format!("\n## {title}\n"));
    for entry in list {
        out.push_str(&format!("\n### {}\n\n{}\n\n", entry.name, entry.summary));
        out.push_str(&format!("- Paper: {}\n", entry.paper));
        for sentence in entry.differs {
            out.push_str(&format!("- Differs: {sentence}\n"));
        }
        for (label, text) in facts(entry) {
            out.push_str(&format!("- {label}: {text}\n"));
        }
        out.push_str(&format!("- Cost: {}\n", entry.cost));
        for Param { name, kind, default, help } in entry.params {
            out.push_str(&format!("- `{name}={default}`: {help} ({kind})\n"));
        }
    }
}

fn keys(out: &mut String) {
    out.push_str("\n## Keys of an experiment file\n\n| key | meaning |\n|---|---|\n");
    for key in varangian_lab::config::KEYS {
        out.push_str(&format!("| `{}` | {} |\n", key.name, key.help.replace('|', "\\|")));
    }
    out.push_str(
        "\n`optimiser` is short for several: distsgd (message, rule = \"sum\"), signsgd, signum, \
         sto-sign, dp-sign (message, rule = \"majority\"), each with its worker momentum and \
         dampening = momentum; keys written beside it win.\n",
    );
}
