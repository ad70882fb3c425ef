//! `varangian data list | verify DIR | fetch NAME`: data sets on disk.

mod fetch;
mod remote;
mod verify;

use crate::{Failure, print};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Arguments of `varangian data`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    order: Order,
}

#[derive(clap::Subcommand)]
enum Order {
    /// List the data sets, their sizes and the files that they want
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Read each data set that a folder holds, and say what is there, missing or wrong
    Verify {
        /// The data folder
        dir: PathBuf,
        /// Only this set, with its parameters as in an experiment; it must be there
        #[arg(long)]
        set: Option<String>,
        /// Print JSON, an object a set
        #[arg(long)]
        json: bool,
    },
    /// Download a public data set with curl, from where its publisher offers it
    Fetch {
        /// The data set
        name: String,
        /// The data folder
        #[arg(long, default_value = "data")]
        data: PathBuf,
    },
}

/// Runs `varangian data`.
///
/// # Errors
/// Code 2 if the order is wrong or a named set is missing; code 1 if data are damaged or a download
/// failed.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.order {
        Order::List { json } => list(*json),
        Order::Verify { dir, set, json } => verify::run(dir, set.as_deref(), *json),
        Order::Fetch { name, data } => fetch::run(name, data),
    }
}

fn list(as_json: bool) -> Result<(), Failure> {
    let row = |entry: &&'static varangian_base::Entry<_, varangian_learn::data::Facts>| {
        let from = match (remote::of(entry.name).is_empty(), entry.facts.files.is_empty()) {
            (false, _) => "files; varangian data fetch",
            (true, true) => "generated",
            (true, false) => "your own files",
        };
        vec![entry.name.to_owned(), entry.facts.size.to_owned(), from.to_owned()]
    };
    let rows: Vec<Vec<String>> = varangian_learn::data::ALL.iter().map(row).collect();
    if as_json {
        let set = |row: &Vec<String>| json!({ "name": row[0], "size": row[1], "from": row[2] });
        print::line(&format!("{:#}", Value::from_iter(rows.iter().map(set))));
        return Ok(());
    }
    let header = ["data set", "samples (train + test), classes, shape", "from"];
    print::line(print::table(&header, &rows, &[false; 3]).trim_end());
    Ok(())
}
