//! `varangian keys`: what an experiment file can say.

use crate::config::{FILE_HELP, KEYS, QUIRKS, Quirk, Settings};
use crate::{Failure, print};
use varangian_base::SpecError;

/// Arguments of `varangian keys`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The key to explain; all are listed without it
    #[arg(value_name = "KEY")]
    name: Option<String>,
}

/// Lists the keys of an experiment file, or explains one.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let text = match &args.name {
        None => list(),
        Some(name) => explain(name)?,
    };
    print::line(text.trim_end());
    Ok(())
}

fn default_of(name: &str) -> String {
    match Settings::default().text(name) {
        empty if empty.is_empty() => "\"\"".into(),
        text => text,
    }
}

fn list() -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for key in KEYS {
        let default = if key.name == "f_real" { "f".into() } else { default_of(key.name) };
        rows.push(vec![key.name.into(), default, key.help.into()]);
    }
    let mut text =
        String::from("Any key may hold a list: the runs are the product of all lists.\n\n");
    text.push_str(&print::table(&["key", "default", "what it means"], &rows, &[false; 3]));
    let row = |key: &crate::config::Key| vec![key.name.to_owned(), key.help.to_owned()];
    let rows: Vec<Vec<String>> = FILE_HELP.iter().map(row).collect();
    text.push('\n');
    text.push_str(&print::table(&["of the file", "what it means"], &rows, &[false; 2]));
    text
}

fn explain(name: &str) -> Result<String, Failure> {
    let of_file = FILE_HELP.iter().find(|key| key.name.trim_matches(['[', ']']) == name);
    let key = KEYS.iter().find(|key| key.name == name).or(of_file);
    let Some(key) = key else {
        let known: Vec<&str> = KEYS.iter().chain(FILE_HELP).map(|key| key.name).collect();
        return Err(SpecError::unknown("key", name, &known).into());
    };
    let mut text = format!("{}: {}\n", key.name, key.help);
    if of_file.is_none() && name != "f_real" {
        text.push_str(&format!("Default: {}\n", default_of(name)));
    }
    match name {
        "profile" => text.push_str(&quirks()),
        "tune" => text.push_str(
            "\n[tune]\nlearning_rate = [0.02, 0.1, 0.5]\nmomentum = [0.0, 0.9]\n\
             validation = 5000   # training samples held out; the test set is never looked at\n\
             seed = [101, 102]   # by default the experiment's own\n",
        ),
        _ => {}
    }
    Ok(text)
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

    #[test]
    fn every_key_and_every_quirk_is_listed() {
        let text = list();
        assert!(KEYS.iter().all(|key| text.contains(key.name)), "{text}");
        let profile = explain("profile").unwrap();
        assert!(QUIRKS.iter().all(|quirk| profile.contains(&switch(quirk))), "{profile}");
        assert!(explain("tune").unwrap().contains("validation = 5000"));
        let error = explain("profil").unwrap_err().to_string();
        assert_eq!(error, "unknown key \"profil\"; did you mean \"profile\"?");
    }
}
