//! `varangian completions SHELL` and `varangian man`: from the same arguments that are read.

use crate::{Cli, Failure, print};
use clap::CommandFactory;
use std::path::PathBuf;
use varangian_lab::files;

/// Arguments of `varangian completions`.
#[derive(clap::Args)]
pub(crate) struct CompletionArgs {
    /// The shell that completes
    shell: clap_complete::Shell,
}

/// Arguments of `varangian man`.
#[derive(clap::Args)]
pub(crate) struct ManArgs {
    /// The folder for a page a command; without it the command's own page is printed
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints what a shell reads to complete commands and options.
pub(crate) fn completions(args: &CompletionArgs) -> Result<(), Failure> {
    print::line(completion(args.shell).trim_end());
    Ok(())
}

/// Prints the manual's first page, or writes all of them.
pub(crate) fn man(args: &ManArgs) -> Result<(), Failure> {
    let pages = pages()?;
    match &args.out {
        None => print::line(pages[0].1.trim_end()),
        Some(folder) => {
            files::make_folder(folder)?;
            for (name, text) in &pages {
                files::write(&folder.join(name), text.as_bytes())?;
            }
        }
    }
    Ok(())
}

fn completion(shell: clap_complete::Shell) -> String {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "varangian", &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Name and text of each page: the command's own first, then its subcommands'.
fn pages() -> Result<Vec<(String, String)>, Failure> {
    let mut all = vec![("varangian".to_owned(), Cli::command())];
    for below in Cli::command().get_subcommands() {
        let name = format!("varangian-{}", below.get_name());
        let bin = format!("varangian {}", below.get_name());
        all.push((name.clone(), below.clone().display_name(name).bin_name(bin)));
    }
    let page = |(name, command): (String, clap::Command)| {
        let mut out = Vec::new();
        clap_mangen::Man::new(command.version(env!("CARGO_PKG_VERSION")))
            .render(&mut out)
            .map_err(|error| Failure::refused(format!("cannot write the page {name}: {error}")))?;
        Ok((format!("{name}.1"), String::from_utf8_lossy(&out).into_owned()))
    };
    all.into_iter().map(page).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_command_has_a_page_and_every_shell_knows_it() {
        let pages = pages().unwrap();
        let commands = Cli::command();
        assert_eq!(pages.len(), commands.get_subcommands().count() + 1);
        let run = &pages.iter().find(|(name, _)| name == "varangian-run.1").unwrap().1;
        assert!(run.starts_with(".ie") || run.contains(".TH varangian-run 1"), "{run}");
        assert!(run.contains("dry\\-run") && run.contains("Examples:"), "{run}");
        for shell in clap_complete::Shell::value_variants() {
            let text = completion(*shell);
            for command in commands.get_subcommands() {
                assert!(text.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }
}
