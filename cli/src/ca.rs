//! `varangian ca init | issue | server | list | revoke`: who may take part in a run over a network.

use crate::{Failure, print};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use varangian_net::Trouble;
use varangian_net::authority::{self, Authority, Issued};
use varangian_net::roll::{self, Entry, Roll};

/// What stands below the help.
const EXAMPLES: &str = "\
Server and workers prove who they are with certificates of an authority of your own: a folder with
the authority's certificate (ca.pem), its private key (ca.key, which never leaves it) and the list
of enrolled workers (workers.toml). A server refuses whoever is not on that list.

From nothing to a run:
  varangian ca init                                    # once: makes ca/
  varangian ca server server --host ps.example.org     # where workers reach the server
  varangian ca issue worker-0 --organisation \"Lab A\"   # one for each worker
  varangian serve my.toml --listen 0.0.0.0:7070 --tls ca
  varangian ca list                                    # who is enrolled, until when
  varangian ca revoke worker-0                         # it is refused from then on";

/// The folder of the authority unless one says otherwise.
const FOLDER: &str = "ca";

/// Arguments of `varangian ca`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    order: Order,
}

#[derive(clap::Subcommand)]
enum Order {
    /// Make an authority: a folder with its certificate, its private key and a list of workers
    Init {
        /// The folder; there must be no authority in it
        #[arg(default_value = FOLDER)]
        dir: PathBuf,
        /// The authority's name in its certificates, for people to read
        #[arg(long, default_value = "varangian")]
        name: String,
        /// How long it lasts, 1 to 3650 days; no certificate of its own lasts longer
        #[arg(long, default_value_t = authority::AUTHORITY_DAYS)]
        days: u32,
    },
    /// Make a worker's certificate and private key, and enrol it
    Issue {
        /// The worker's name, of a-z, 0-9 and "-"; its files are NAME.pem and NAME.key
        name: String,
        /// The authority's folder
        #[arg(long, default_value = FOLDER)]
        dir: PathBuf,
        /// Its number, below the run's n; by default the least that no enrolled worker has
        #[arg(long)]
        id: Option<u32>,
        /// Whose machine it is: a server can bound how many workers one organisation has
        #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
        organisation: String,
        /// How long the certificate lasts, 1 to 3650 days; about as long as the run is best
        #[arg(long, default_value_t = authority::DAYS)]
        days: u32,
    },
    /// Make a server's certificate and private key
    Server {
        /// The server's name, of a-z, 0-9 and "-"; its files are NAME.pem and NAME.key
        name: String,
        /// A name or an IP address, without a port, under which workers reach it; all of them, as
        /// workers refuse a server under any other
        #[arg(long, required = true, num_args = 1..)]
        host: Vec<String>,
        /// The authority's folder
        #[arg(long, default_value = FOLDER)]
        dir: PathBuf,
        /// How long the certificate lasts, 1 to 3650 days
        #[arg(long, default_value_t = authority::DAYS)]
        days: u32,
    },
    /// List the workers: numbers, organisations, fingerprints, and until when certificates hold
    List {
        /// The authority's folder
        #[arg(default_value = FOLDER)]
        dir: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a worker out: a server that runs refuses it within seconds, whatever it shows
    Revoke {
        /// The worker's name
        name: String,
        /// The authority's folder
        #[arg(long, default_value = FOLDER)]
        dir: PathBuf,
    },
}

/// Runs `varangian ca`.
///
/// # Errors
/// Code 2 if the order cannot be carried out, as for names that are taken; nothing is done then.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let done = match &args.order {
        Order::Init { dir, name, days } => init(dir, name, *days),
        Order::Issue { name, dir, id, organisation, days } => {
            issue(dir, name, *id, organisation, *days)
        }
        Order::Server { name, host, dir, days } => server(dir, name, host, *days),
        Order::List { dir, json: true } => listed(dir),
        Order::List { dir, json: false } => list(dir),
        Order::Revoke { name, dir } => revoke(dir, name),
    };
    done.map_err(|trouble| Failure::refused(trouble.to_string()))
}

fn init(dir: &Path, name: &str, days: u32) -> Result<(), Trouble> {
    let made = Authority::init(dir, name, days)?;
    wrote(
        &dir.join(authority::CERTIFICATE),
        &format!("the authority; everyone needs it; until {}", made.expiry().date),
    );
    wrote(&dir.join(authority::KEY), "private: it signs for whoever has it, so it stays here");
    wrote(&made.workers(), "who is enrolled: nobody yet");
    next(&format!("varangian ca server server --host localhost{}", option(dir)), "a server");
    next(&format!("varangian ca issue worker-0{}", option(dir)), "a worker");
    Ok(())
}

fn issue(
    dir: &Path,
    name: &str,
    id: Option<u32>,
    organisation: &str,
    days: u32,
) -> Result<(), Trouble> {
    let authority = Authority::open(dir)?;
    let issued = authority.issue_worker(name, id, organisation, days)?;
    pair(&issued, name);
    let id = issued.id.unwrap_or_default();
    wrote(&authority.workers(), &format!("{name} is enrolled as number {id}"));
    carry(dir, &issued, &format!("{name}'s machine"));
    let work = format!("varangian work --server HOST:7070 --tls DIR --name {name}");
    next(&work, "there, DIR with these three");
    next(&format!("varangian ca list{}", folder(dir)), "who is enrolled");
    Ok(())
}

fn server(dir: &Path, name: &str, hosts: &[String], days: u32) -> Result<(), Trouble> {
    let authority = Authority::open(dir)?;
    let issued = authority.issue_server(name, hosts, days)?;
    pair(&issued, &hosts.join(", "));
    carry(dir, &issued, "the server's machine");
    print::line(&format!("and {}, where it looks who is enrolled", authority.workers().display()));
    next(&format!("varangian ca issue worker-0{}", option(dir)), "a worker");
    let other = if name == "server" { String::new() } else { format!(" --certificate {name}") };
    let serve = format!("varangian serve FILE.toml --listen 0.0.0.0:7070 --tls {}", shell(dir));
    next(&format!("{serve}{other}"), "the run");
    Ok(())
}

fn revoke(dir: &Path, name: &str) -> Result<(), Trouble> {
    let workers = dir.join(authority::WORKERS);
    let member = Roll::revoke(&workers, name)?;
    let id = member.id;
    wrote(&workers, &format!("{name} is revoked; its number {id} is free"));
    let text = "a server that reads this file refuses it within seconds; one with a copy needs the \
                new one";
    print::line(text);
    let again = format!("varangian ca issue NAME --id {id}{}", option(dir));
    next(&again, "another worker in its place, under a new name");
    Ok(())
}

fn list(dir: &Path) -> Result<(), Trouble> {
    let entries = roll::entries(&dir.join(authority::WORKERS))?;
    let own = dir.join(authority::CERTIFICATE);
    let until = until(&own).map_or_else(|| "not here".into(), |(text, _)| format!("until {text}"));
    print::line(&format!("authority {}: {until}", own.display()));
    if entries.is_empty() {
        print::line("no worker is enrolled");
        next(&format!("varangian ca issue worker-0{}", option(dir)), "a worker");
        return Ok(());
    }
    let header = ["id", "name", "organisation", "fingerprint", "expires", "revoked"];
    let rows: Vec<Vec<String>> = entries.iter().map(|entry| row(dir, entry)).collect();
    let right = [true, false, false, false, false, false];
    print::line(print::table(&header, &rows, &right).trim_end());
    Ok(())
}

/// The same for a script. Where a certificate's file is not here, until when it holds is null.
fn listed(dir: &Path) -> Result<(), Trouble> {
    let held = |path: &Path| {
        let der = authority::certificate_in(path).ok()?;
        let fingerprint = authority::fingerprint_of(&der).ok()?;
        Some((authority::expiry_of(&der).ok()?, fingerprint))
    };
    let worker = |entry: &Entry| {
        let member = &entry.member;
        let own = held(&dir.join(format!("{}.pem", member.name)));
        let own = own.filter(|(_, fingerprint)| *fingerprint == member.fingerprint);
        json!({
            "id": member.id, "name": member.name, "organisation": member.organisation,
            "fingerprint": member.fingerprint, "revoked": entry.revoked,
            "expires": own.as_ref().map(|(expiry, _)| &expiry.date),
            "over": own.as_ref().map(|(expiry, _)| expiry.past),
        })
    };
    let entries = roll::entries(&dir.join(authority::WORKERS))?;
    let own = held(&dir.join(authority::CERTIFICATE));
    let authority = json!({
        "expires": own.as_ref().map(|(expiry, _)| &expiry.date),
        "over": own.as_ref().map(|(expiry, _)| expiry.past),
    });
    let workers: Vec<Value> = entries.iter().map(worker).collect();
    print::line(&format!("{:#}", json!({ "authority": authority, "workers": workers })));
    Ok(())
}

fn row(dir: &Path, entry: &Entry) -> Vec<String> {
    let member = &entry.member;
    let expires = match until(&dir.join(format!("{}.pem", member.name))) {
        // Its owner may have taken the file away: that is no trouble.
        None => "unknown: no file here".into(),
        Some((_, fingerprint)) if fingerprint != member.fingerprint => {
            "unknown: the file here has another key".into()
        }
        Some((text, _)) => text,
    };
    let organisation = if member.organisation.is_empty() { "-" } else { &member.organisation };
    vec![
        member.id.to_string(),
        member.name.clone(),
        organisation.to_owned(),
        member.fingerprint.clone(),
        expires,
        if entry.revoked { "revoked" } else { "no" }.to_owned(),
    ]
}

/// Until when a certificate's file says that it holds, and its fingerprint.
fn until(path: &Path) -> Option<(String, String)> {
    let der = authority::certificate_in(path).ok()?;
    let expiry = authority::expiry_of(&der).ok()?;
    let over = if expiry.past { ", over" } else { "" };
    Some((format!("{}{over}", expiry.date), authority::fingerprint_of(&der).ok()?))
}

fn wrote(path: &Path, what: &str) {
    print::line(&format!("wrote {}: {what}", path.display()));
}

/// What was written for a server or a worker.
fn pair(issued: &Issued, whose: &str) {
    wrote(&issued.certificate, &format!("for {whose}; until {}", issued.expiry.date));
    wrote(&issued.key, "private: whoever has it is taken for its owner");
    print::line(&format!("fingerprint {}", issued.fingerprint));
}

/// Which files go to whose machine.
fn carry(dir: &Path, issued: &Issued, to: &str) {
    print::line(&format!(
        "{to} needs {}, {} and {}",
        dir.join(authority::CERTIFICATE).display(),
        issued.certificate.display(),
        issued.key.display()
    ));
}

fn next(command: &str, what: &str) {
    print::line(&format!("next: {command}   # {what}"));
}

/// The option that names the folder, where it is not the default.
fn option(dir: &Path) -> String {
    if dir == Path::new(FOLDER) { String::new() } else { format!(" --dir {}", shell(dir)) }
}

/// The folder with a space before it, where it is not the default.
fn folder(dir: &Path) -> String {
    if dir == Path::new(FOLDER) { String::new() } else { format!(" {}", shell(dir)) }
}

/// A path as one types it in a shell.
fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=@:,".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    /// The command line of `varangian ca` alone.
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn ca(words: &[&str]) -> Result<(), Failure> {
        let line = Line::try_parse_from([&["ca"], words].concat());
        run(&line.map_err(|error| Failure::usage(&error.to_string()))?.args)
    }

    #[test]
    fn a_folder_from_nothing_to_a_revoked_worker() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("my ca");
        let dir = dir.to_str().unwrap();
        let refused = |words: &[&str], wanted: &str| {
            let failure = ca(words).unwrap_err();
            let text = failure.to_string();
            assert!(failure.code() == 2 && text.contains(wanted), "{text}");
        };
        refused(&["issue", "w0", "--dir", dir], "varangian ca init");
        refused(&["list", dir], "cannot read");
        ca(&["init", dir, "--name", "Test", "--days", "40"]).unwrap();
        refused(&["init", dir], "there already");
        ca(&["list", dir]).unwrap();
        ca(&["server", "server", "--host", "localhost", "127.0.0.1", "--dir", dir]).unwrap();
        refused(&["server", "other", "--dir", dir], "--host");
        refused(&["server", "other", "--host", "a:1", "--dir", dir], "without a port");
        ca(&["issue", "w0", "--dir", dir, "--organisation", "Lab A"]).unwrap();
        ca(&["issue", "w1", "--dir", dir, "--id", "7", "--days", "1"]).unwrap();
        refused(&["issue", "w2", "--dir", dir, "--id", "7"], "number 7 is w1's");
        refused(&["issue", "server", "--dir", dir], "not written over");
        refused(&["issue", "w2", "--dir", dir, "--days", "0"], "1 to 3650");
        ca(&["revoke", "w0", "--dir", dir]).unwrap();
        refused(&["revoke", "w0", "--dir", dir], "revoked already");
        ca(&["list", dir]).unwrap();

        let path = Path::new(dir);
        let entries = roll::entries(&path.join(authority::WORKERS)).unwrap();
        let mut rows: Vec<Vec<String>> = entries.iter().map(|entry| row(path, entry)).collect();
        assert_eq!(rows[0][..3], ["0", "w0", "Lab A"]);
        assert_eq!((rows[0][5].as_str(), rows[1][5].as_str()), ("revoked", "no"));
        assert_eq!(rows[0][4].len(), "2026-08-14".len());
        std::fs::copy(path.join("w0.pem"), path.join("w1.pem")).unwrap();
        std::fs::remove_file(path.join("w0.pem")).unwrap();
        rows = entries.iter().map(|entry| row(path, entry)).collect();
        assert!(rows[0][4].contains("no file here") && rows[1][4].contains("another key"));
    }

    #[test]
    fn commands_to_type_name_the_folder_as_a_shell_reads_it() {
        assert_eq!((folder(Path::new("ca")), option(Path::new("ca"))), (String::new(), "".into()));
        assert_eq!(option(Path::new("/tmp/a-b")), " --dir /tmp/a-b");
        assert_eq!(folder(Path::new("my ca's")), " 'my ca'\\''s'");
    }
}
