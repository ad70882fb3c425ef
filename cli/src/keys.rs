//! `varangian keys`: what an experiment file can say.

use crate::{Failure, print};
use serde_json::{Value, json};
use varangian_base::{Param, SpecError};
use varangian_lab::config::{FILE_HELP, KEYS, Key, QUIRKS, Quirk, Settings, WEIGHTS};
use varangian_learn::optim::{Compression, Inner, MESSAGES, SCHEDULES, ServerOptimiser};
use varangian_learn::partition::SAMPLING;
use varangian_sim::gossip::{GOSSIP, SHAPES};
use varangian_sim::network::DELAYS;
use varangian_sim::scenario::{NETWORK, UNIFORM};
use varangian_train::Participation;

/// Arguments of `varangian keys`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The key to explain; all are listed without it
    #[arg(value_name = "KEY")]
    name: Option<String>,
    /// Print JSON: name, default and help of the key, or of all
    #[arg(long)]
    json: bool,
}

/// Lists the keys of an experiment file, or explains one.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let text = match &args.name {
        None if args.json => format!("{:#}", Value::from_iter(KEYS.iter().map(as_json))),
        None => list(),
        Some(name) if args.json => format!("{:#}", as_json(found(name)?)),
        Some(name) => explain(name)?,
    };
    match args.json {
        true => print::line(text.trim_end()),
        false => print::told(text.trim_end()),
    }
    Ok(())
}

fn default_of(name: &str) -> String {
    match Settings::default().text(name) {
        empty if empty.is_empty() => "\"\"".into(),
        text => text,
    }
}

/// A key for a script. `f_real` is as f by default, and what only a file has, has no default.
fn as_json(key: &Key) -> Value {
    let of_run = KEYS.iter().any(|known| known.name == key.name) && key.name != "f_real";
    let default = of_run.then(|| Settings::default().text(key.name));
    json!({ "name": key.name, "default": default, "help": key.help })
}

fn list() -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for key in KEYS {
        let default = if key.name == "f_real" { "f".into() } else { default_of(key.name) };
        rows.push(vec![key.name.into(), default, key.help.into()]);
    }
    let mut text = String::from(
        "Any key may hold a list: the runs are the product of all lists. A key of numbers takes \
             ranges too, both ends included: seed = \"1..5\", learning_rate = \"0.1..0.5 step 0.1\".\n\n",
    );
    text.push_str(&print::table(&["key", "default", "what it means"], &rows, &[false; 3]));
    let row = |key: &Key| vec![key.name.to_owned(), key.help.to_owned()];
    let rows: Vec<Vec<String>> = FILE_HELP.iter().map(row).collect();
    text.push('\n');
    text.push_str(&print::table(&["of the file", "what it means"], &rows, &[false; 2]));
    text
}

/// The key of that name, of a run or of a file.
fn found(name: &str) -> Result<&'static Key, Failure> {
    // A table may be asked for as it is written: [tune], [[run]].
    let bare = |name: &'static str| name.trim_matches(['[', ']']);
    let name = name.trim_matches(['[', ']']);
    let key = KEYS.iter().chain(FILE_HELP).find(|key| bare(key.name) == name);
    key.ok_or_else(|| {
        let known: Vec<&str> = KEYS.iter().chain(FILE_HELP).map(|key| bare(key.name)).collect();
        SpecError::unknown("key", name, &known).into()
    })
}

pub(crate) fn explain(name: &str) -> Result<String, Failure> {
    let key = found(name)?;
    let name = name.trim_matches(['[', ']']);
    let mut text = format!("{}: {}\n", key.name, key.help);
    if KEYS.iter().any(|known| known.name == name) && name != "f_real" {
        text.push_str(&format!("Default: {}\n", default_of(name)));
    }
    match name {
        "profile" => text.push_str(&quirks()),
        "tune" => text.push_str(
            "\n[tune]\nlearning_rate = [0.02, 0.1, 0.5]\nmomentum = [0.0, 0.9]\n\
             validation = 5000   # training samples held out; the test set is never looked at\n\
             seed = [101, 102]   # by default the experiment's own\n",
        ),
        _ => text.push_str(&values(name)),
    }
    Ok(text)
}

/// A word that a key takes: its name, what it does, its parameters.
type Words = &'static [(&'static str, &'static str, &'static [Param])];

/// What `network` takes.
static NETWORKS: Words = &[
    ("network", "messages travel in virtual time", NETWORK),
    ("uniform", "filters only: each gradient is taken at a model of a drawn age", UNIFORM),
    ("gossip", "no server: nodes exchange models with their neighbours in a graph", GOSSIP),
];

/// What `regulariser` takes.
static REGULARISERS: Words = &[
    ("none", "no penalty", &[]),
    ("half-squared", "regularise/2·‖θ‖²: its gradient is regularise·θ", &[]),
    ("norm", "regularise·‖θ‖: its gradient is regularise·θ/‖θ‖", &[]),
    ("reference-norm", "as norm with the coefficient squared, as published code did", &[]),
];

/// What `momentum_at` takes.
static PLACEMENTS: Words = &[
    (
        "update",
        "at the server, on aggregates: what papers on Byzantine workers call momentum at \
                the server",
        &[],
    ),
    (
        "server",
        "at the workers, of the broadcast aggregate: each sends (1 − dampening)·g + \
                momentum·(last aggregate)",
        &[],
    ),
    ("worker", "at the workers, of their own gradients: each sends its momentum", &[]),
    (
        "worker-twice",
        "as worker, and of that momentum a momentum again, which is sent: Byz-DM21's",
        &[],
    ),
    (
        "rows",
        "at the server, one of each worker's messages, which the rule combines: RoSDHB's",
        &[],
    ),
];

/// The words that a key takes, with their parameters, and where else there is to look.
fn values(name: &str) -> String {
    let lists: &[(&str, Words)] = match name {
        "network" => &[
            ("", NETWORKS),
            ("delays, such as compute=(exponential mean=1)", DELAYS),
            ("graphs, such as graph=(ring reach=2)", SHAPES),
        ],
        "schedule" => &[("", SCHEDULES)],
        "sampling" => &[("", SAMPLING)],
        "message" => &[("", MESSAGES)],
        "regulariser" => &[("", REGULARISERS)],
        "momentum_at" => &[("", PLACEMENTS)],
        "rule" => return also("`varangian rules` and `varangian filters` list"),
        "attack" => return also("`varangian attacks` lists"),
        "model" => return also("`varangian models` lists"),
        "dataset" => return also("`varangian datasets` lists"),
        "partition" => return also("`varangian partitions` lists"),
        "local_optimiser" => return named(Inner::NAMES, Inner::params),
        "compression" => return named(Compression::NAMES, Compression::params),
        "server_optimiser" => return named(ServerOptimiser::NAMES, ServerOptimiser::params),
        "participation" => return named(Participation::NAMES, Participation::params),
        "weights" => {
            return named(
                &["equal", "samples"],
                |name| if name == "samples" { WEIGHTS } else { &[] },
            );
        }
        _ => return String::new(),
    };
    lists.iter().map(|(title, words)| listed(title, words)).collect()
}

fn also(command: &str) -> String {
    format!("Values: {command} them; with a NAME, it lists that one's parameters\n")
}

/// Words whose help stands with their parameters.
fn named(names: &[&str], params: fn(&str) -> &'static [Param]) -> String {
    names.iter().fold("\n".to_owned(), |out, name| out + &word(name, params(name)))
}

fn listed(title: &str, words: Words) -> String {
    let mut out = if title.is_empty() { "\n".into() } else { format!("\n{title}:\n\n") };
    for (name, help, params) in words {
        out.push_str(&word(&format!("{name}: {help}"), params));
    }
    out
}

/// A word, and its parameters line by line.
fn word(word: &str, params: &[Param]) -> String {
    let mut out = format!("{word}\n");
    for Param { name, kind, default, help } in params {
        let default =
            if default.contains(' ') { format!("({default})") } else { (*default).into() };
        out.push_str(&format!("  {name}={default}  {help} ({kind})\n"));
    }
    out
}

/// Where a quirk is switched, and how by hand.
fn switch(quirk: &Quirk) -> String {
    match quirk.param {
        "" => format!("{} = \"{}\"", quirk.key, quirk.reference),
        param => {
            let of = if quirk.of.is_empty() { "any".into() } else { quirk.of.join(", ") };
            format!("{}: {of} with {param}={}", quirk.key, quirk.reference)
        }
    }
}

fn quirks() -> String {
    let row = |quirk: &Quirk| vec![switch(quirk), quirk.help.to_owned()];
    let rows: Vec<Vec<String>> = QUIRKS.iter().map(row).collect();
    format!(
        "\nprofile = \"reference\" does what the published code of Distributed Momentum did \
         where that\ndiffers from its paper. It turns every switch below that stands at its \
         correct value; each\ncan also be written alone, without the profile.\n\n{}",
        print::table(&["switch", "what the published code does"], &rows, &[false; 2])
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_learn::optim::{Message, Placement, Schedule};
    use varangian_learn::partition::Sampling;
    use varangian_sim::network::Delay;

    #[test]
    fn every_key_and_every_quirk_is_listed() {
        let text = list();
        assert!(KEYS.iter().all(|key| text.contains(key.name)), "{text}");
        let profile = explain("profile").unwrap();
        assert!(QUIRKS.iter().all(|quirk| profile.contains(&switch(quirk))), "{profile}");
        assert!(explain("tune").unwrap().contains("validation = 5000"));
        assert_eq!(explain("[tune]").unwrap(), explain("tune").unwrap());
        assert_eq!(explain("[[run]]").unwrap(), explain("run").unwrap());
        let error = explain("[tun]").unwrap_err().to_string();
        assert_eq!(error, "unknown key \"tun\"; did you mean \"tune\"?");
        let error = explain("profil").unwrap_err().to_string();
        assert_eq!(error, "unknown key \"profil\"; did you mean \"profile\"?");
    }

    #[test]
    fn every_word_that_is_listed_is_one_that_is_taken_with_every_parameter() {
        let full = |(word, _, params): &(&str, &str, &[Param])| {
            let given = params.iter().filter(|p| !p.default.is_empty());
            given.fold((*word).to_owned(), |text, p| format!("{text} {}=({})", p.name, p.default))
        };
        for word in SCHEDULES.iter().filter(|word| word.0 != "steps") {
            Schedule::parse(&full(word)).unwrap();
        }
        MESSAGES.iter().for_each(|word| assert!(Message::parse(&full(word)).is_ok(), "{}", word.0));
        assert_eq!(MESSAGES.iter().map(|word| word.0).collect::<Vec<_>>(), Message::NAMES);
        for word in SAMPLING {
            Sampling::make(&varangian_base::spec::parse(&full(word)).unwrap()).unwrap();
        }
        for word in DELAYS.iter().filter(|word| word.0 != "trace") {
            Delay::parse(&full(word)).unwrap();
        }
        for word in NETWORKS.iter().filter(|word| word.0 != "gossip") {
            varangian_sim::Scenario::parse(&full(word)).unwrap();
        }
        for word in NETWORKS.iter().filter(|word| word.0 == "gossip") {
            varangian_sim::gossip::Gossip::parse(&full(word)).unwrap();
        }
        for word in SHAPES {
            varangian_sim::gossip::Shape::parse(&full(word)).unwrap();
        }
        assert!(PLACEMENTS.iter().all(|word| Placement::from_name(word.0).is_some()));
        for (word, ..) in REGULARISERS {
            let settings = Settings { regulariser: (*word).into(), ..Settings::default() };
            settings.optimiser().unwrap();
        }
        for (key, word) in [
            ("participation", "risk=0.01"),
            ("compression", "keep=0.1"),
            ("local_optimiser", "epsilon=1e-8"),
            ("server_optimiser", "tau=1e-3"),
            ("weights", "cap=10"),
        ] {
            assert!(explain(key).unwrap().contains(word), "{key}");
        }
        let text = explain("network").unwrap();
        for word in ["max-delay=10", "slowdown=10", "log-normal", "median=1"] {
            assert!(text.contains(word), "{text}");
        }
    }
}
