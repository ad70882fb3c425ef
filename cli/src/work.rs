//! `varangian work`: a worker of a run whose server is elsewhere, or for drills hostile ones.

use crate::{Failure, interrupt, print};
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use varangian_base::Memory;
use varangian_lab::run::{Brought, Kept as State, Station};
use varangian_net::authority::CERTIFICATE;
use varangian_net::{Client, Connection, Drill, Ending, Happened, Kept, Keys, Start, Trouble};

/// What stands below the help of `varangian work`.
const EXAMPLES: &str = "Examples:
  varangian work --server 127.0.0.1:7070 --worker 0
  varangian work --server ps.example.org:7070 --tls certificates --name worker-3 --data ~/mnist
Data of its own, for a model that the server trains:
  varangian work --server … --worker 0 --set 'dataset=\"csv file=mine.csv\"' --data .
A drill: workers 8 and 9 collude, in one process:
  varangian work --server 127.0.0.1:7070 --worker 8 --worker 9 --attack \"alie z=1.5\"
The worker takes the run's settings from the server; nothing of the server's is executed. It comes
back by itself when the server does.";

/// Arguments of `varangian work`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The server
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7070")]
    server: String,
    /// Which worker this is, on loopback without certificates; several for a drill
    #[arg(long, value_name = "N", required_unless_present = "tls")]
    worker: Vec<u32>,
    /// The folder with ca.pem and NAME.pem, NAME.key
    #[arg(long, value_name = "DIR", requires = "name", conflicts_with = "worker")]
    tls: Option<PathBuf>,
    /// The name of the worker's certificate and key in that folder; several for a drill
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
    /// The name in the server's certificate, where it is not the host of --server
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// The folder of data files
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What differs here from the server's settings: the worker's own data, partition or batch
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Be hostile: send what this attack says, for drills on one's own cluster
    #[arg(long, value_name = "ATTACK")]
    attack: Option<String>,
    /// Keep momentum and what compression held back in this file: a worker that is killed goes on
    /// as if it had not been
    #[arg(long, value_name = "FILE", conflicts_with = "attack")]
    state: Option<PathBuf>,
    /// Write that file every so many steps; with more than 1, a worker that is killed goes on with
    /// the momentum of some steps before, and says so
    #[arg(long, value_name = "STEPS", default_value_t = 1, requires = "state",
          value_parser = clap::value_parser!(u64).range(1..))]
    state_steps: u64,
    /// Add what the server said of each message, signed by it, to this file: `varangian verify
    /// --receipts` sets it beside the server's audit
    #[arg(long, value_name = "FILE")]
    receipts: Option<PathBuf>,
    /// Seconds to wait for a server that is not there, or not there any more
    #[arg(long, value_name = "SECONDS", default_value_t = 600.0)]
    patience: f64,
    /// Threads of the model [default: one a core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print nothing but errors
    #[arg(long, short)]
    quiet: bool,
}

/// Works until the run is over.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.patience.is_nan() || args.patience < 0.0 {
        return Err(Failure::refused(format!(
            "--patience is a number of seconds, 0 or above; found {}",
            args.patience
        )));
    }
    let mut clients = connect(args)?;
    if clients.len() > 1 && args.attack.is_none() {
        return Err(Failure::refused(
            "one process is one worker; several are for a drill, with --attack",
        ));
    }
    // Before it joins: the server would take it for the worker whose state this is.
    let _alone = args.state.as_deref().map(alone).transpose()?;
    let stop = || interrupt::flag().load(Ordering::Relaxed);
    let joined = join(&mut clients, args, &stop)?;
    let Some((settings, ids)) = joined else { return Ok(()) };
    let mut set = args.set.clone();
    if let Some(attack) = &args.attack {
        set.push(format!("attack={attack:?}"));
        set.push(format!("f_real={}", ids.len()));
    }
    let brought = Brought { data: args.data.clone(), set, ..Brought::default() };
    let station = Station::of(&settings, &brought)?;
    let kept = args.state.clone().map(|path| State::new(path, &settings, ids[0], args.state_steps));
    let state = kept.as_ref().map(State::load).transpose()?.flatten();
    if let Some((next, _)) = &state {
        say(args, &format!("going on with the state for step {next}"));
    }
    let threads = args.threads.map_or(0, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?;
    let ending = pool.install(|| labour(args, &mut clients, station, &ids, (state, kept), &stop));
    match ending.map_err(failed)? {
        Ending::Finished => say(args, "the run is over"),
        Ending::Stopped => say(args, "stopped"),
    }
    Ok(())
}

/// The right to keep a worker's state in this file, which one process has at a time.
fn alone(path: &Path) -> Result<File, Failure> {
    let folder = path.parent().filter(|dir| *dir != Path::new(""));
    if let Some(dir) = folder.filter(|dir| !dir.is_dir()) {
        return Err(Failure::refused(format!(
            "--state is a file in a folder that is there; found none at {}",
            dir.display()
        )));
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let failed = |error| Failure::failed(format!("cannot lock {}: {error}", name.display()));
    let is_own = std::fs::symlink_metadata(&name).map_or(true, |about| about.is_file());
    if !is_own {
        return Err(Failure::refused(format!("{} is there and no file of a lock", name.display())));
    }
    let file = File::options().write(true).create(true).truncate(false).open(&name);
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::refused(format!(
            "{} is in use by another process: each worker keeps a state of its own",
            path.display()
        ))),
        // A file system without locks, as some that lie on another machine.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn failed(trouble: Trouble) -> Failure {
    Failure::failed(trouble.to_string())
}

fn say(args: &Args, text: &str) {
    if !args.quiet {
        print::note(text);
    }
}

/// A connection for each of the workers.
fn connect(args: &Args) -> Result<Vec<Client>, Failure> {
    let connection = |keys: Option<Keys>, worker: Option<u32>| Connection {
        address: args.server.clone(),
        keys,
        server_name: args.server_name.clone(),
        worker,
    };
    let all: Vec<Connection> = match &args.tls {
        Some(dir) => {
            let keys = |name: &String| Keys {
                ca: dir.join(CERTIFICATE),
                certificate: dir.join(format!("{name}.pem")),
                key: dir.join(format!("{name}.key")),
            };
            args.name.iter().map(|name| connection(Some(keys(name)), None)).collect()
        }
        None => args.worker.iter().map(|&worker| connection(None, Some(worker))).collect(),
    };
    let clients = all.into_iter().map(Client::new);
    clients.collect::<Result<_, _>>().map_err(|trouble| Failure::refused(trouble.to_string()))
}

/// Joins, as soon as there is a server: the run's settings, and who these workers are there.
fn join(
    clients: &mut [Client],
    args: &Args,
    stop: &dyn Fn() -> bool,
) -> Result<Option<(String, Vec<u32>)>, Failure> {
    let (mut settings, mut ids, mut said) = (String::new(), Vec::new(), false);
    let mut waiting = |text: &str| {
        if !std::mem::replace(&mut said, true) {
            say(args, &format!("waiting for a server at {}: {text}", args.server));
        }
    };
    for client in clients {
        let joined = client.join_within(args.patience, stop, &mut waiting).map_err(failed)?;
        let Some(joined) = joined else { return Ok(None) };
        say(args, &format!("worker {} of {}", joined.worker, joined.terms.n));
        settings = joined.terms.settings;
        ids.push(joined.worker);
    }
    ids.sort_unstable();
    Ok(Some((settings, ids)))
}

/// A file to add lines to.
fn appended(path: &Path) -> Result<File, Trouble> {
    let file = File::options().append(true).create(true).open(path);
    file.map_err(|error| Trouble(format!("cannot write {}: {error}", path.display())))
}

fn line(file: &mut File, kept: &Kept) -> std::io::Result<()> {
    file.write_all((serde_json::to_string(kept).expect("plain values") + "\n").as_bytes())
}

/// Honest work, or a drill.
fn labour(
    args: &Args,
    clients: &mut [Client],
    station: Station,
    ids: &[u32],
    (state, kept): (Option<(u64, Memory)>, Option<State>),
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Ending, Trouble> {
    let (mut lost, mut unkept) = (false, false);
    let mut receipts = args.receipts.as_deref().map(appended).transpose()?;
    let mut listen = |happened: Happened<'_>| match happened {
        Happened::Joined(_) if std::mem::take(&mut lost) => say(args, "the server is back"),
        Happened::Joined(_) => {}
        Happened::Ready(next, worker) => {
            if let Some(kept) = &kept
                && let Err(failure) = kept.keep(next, worker)
                && !std::mem::replace(&mut unkept, true)
            {
                print::note(&format!("warning: the state is not kept: {failure}"));
            }
        }
        Happened::Stale(next, step) => say(
            args,
            &format!(
                "warning: the state is for step {next} and the server is at step {step}: momentum \
                 lacks the steps between"
            ),
        ),
        Happened::Behind(step) => {
            let text = "the server is back at step";
            say(args, &format!("{text} {step}, before the state that was kept: begun anew"));
        }
        Happened::Lost(why) => {
            if !std::mem::replace(&mut lost, true) {
                say(args, &format!("lost the server, trying again: {why}"));
            }
        }
        Happened::Answered(receipt) => {
            if let Some(file) = &mut receipts
                && let Err(error) = line(file, &Kept::from(receipt))
                && !std::mem::replace(&mut unkept, true)
            {
                print::note(&format!("warning: receipts are not kept: {error}"));
            }
            if !receipt.admitted && !matches!(&*receipt.reason, "too-many" | "wrong-step") {
                let (number, reason, detail) = (receipt.number, &receipt.reason, &receipt.detail);
                say(args, &format!("message {number} was refused: {reason}: {detail}"));
            }
        }
    };
    let job = station.job();
    if args.attack.is_none() {
        let start = Start { patience: args.patience, state };
        return varangian_net::work(&mut clients[0], &job, start, stop, &mut listen);
    }
    let about = (station.settings.n, station.settings.f);
    let attack = station.attack.fork();
    let rule = station.rule.fork();
    let drill = Drill::new(job, attack, rule, about, ids);
    let mut drill = drill.map_err(|error| Trouble(error.to_string()))?;
    drill.run(clients, args.patience, stop, &mut listen)
}
