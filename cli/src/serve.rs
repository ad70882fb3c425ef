//! `varangian serve FILE.toml`: the server of a run whose workers come over a network.

mod log;
pub(crate) mod machines;
mod run;
mod suspicion;
mod traces;
mod world;

use crate::Failure;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use varangian_lab::Experiment;
use varangian_lab::config::{Settings, Source, label_keys};
use varangian_lab::run::{How, Worlds};
use varangian_net::audit::{Audit, Level};
use varangian_net::authority::{CERTIFICATE, WORKERS};
use varangian_net::{Doors, Keys};

/// What stands below the help of `varangian serve`.
const EXAMPLES: &str = "Examples, on this machine alone:
  varangian serve my.toml --insecure --listen 127.0.0.1:7070
  varangian work --server 127.0.0.1:7070 --worker 0        # and 1, 2 … in other terminals
Over a network, with certificates (`varangian ca --help`):
  varangian ca init ca && varangian ca server server --host ps.example.org
  varangian serve my.toml --listen 0.0.0.0:7070 --tls ca
The file describes one run. The server keeps its state in its folder: after Ctrl-C or a crash the
same command goes on, and workers come back by themselves. `varangian admin` and `varangian top`
talk to it; `varangian results`, `plot` and `report` take its folder.";

/// Arguments of `varangian serve`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The experiment file; it, with --set, describes one run
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,
    /// Change a key of the experiment; the value is TOML, or a bare text
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Replace the experiment's seeds by one
    #[arg(long)]
    seed: Option<u64>,
    /// The folder of data files: of the test set, and of what the server validates on
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The folder for results and state [default: runs/NAME-served]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where workers come: an address of this machine and a port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// The folder with ca.pem, the server's certificate and key, and workers.toml
    #[arg(long, value_name = "DIR", required_unless_present = "insecure")]
    tls: Option<PathBuf>,
    /// The name of the server's certificate and key in that folder
    #[arg(long, value_name = "NAME", default_value = "server")]
    certificate: String,
    /// Without certificates: whoever can reach the port on this machine can be any worker
    #[arg(long, conflicts_with = "tls")]
    insecure: bool,
    /// The most workers of one organisation on the roll
    #[arg(long, value_name = "K")]
    per_organisation: Option<usize>,
    /// Seconds that a round stays open; one that has too few rows then is extended once
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    deadline: f64,
    /// Seconds that the first round waits for all workers; then as many as the rule needs do
    #[arg(long, value_name = "SECONDS", default_value_t = 600.0)]
    patience: f64,
    /// Asynchronous: the most steps between a message's model and the newest
    #[arg(long, value_name = "STEPS", default_value_t = 1_000_000)]
    staleness: u64,
    /// Asynchronous: messages a second and worker, so that nobody has more say by haste; 0: as
    /// many as come
    #[arg(long, value_name = "MESSAGES", default_value_t = 0.0)]
    rate: f64,
    /// How rows travel: auto (to the bit), bf16 or f16 (half the bytes, rounded)
    #[arg(long, value_name = "CODEC", default_value = "auto")]
    codec: String,
    /// Keep the state after every so many steps
    #[arg(long, value_name = "STEPS", default_value_t = 100, value_parser =
        clap::value_parser!(u64).range(1..))]
    checkpoint_steps: u64,
    /// Megabytes of messages under way, of all workers together
    #[arg(long, value_name = "MB", default_value_t = 1024)]
    memory: usize,
    /// Log what was sent, said and made of it for `varangian verify`, as audit.jsonl in the folder:
    /// digests alone, or the messages too (as many bytes on the disk as workers send)
    #[arg(long, value_name = "LEVEL", default_value = "off")]
    audit: AuditLevel,
    /// Add what was found of each worker in each round (length, distance, weight, verdict,
    /// reason) to evidence.jsonl in the folder; `varangian evidence` shows who was off
    #[arg(long)]
    evidence: bool,
    /// The Unix socket of `varangian admin` and `top` [default: admin.sock in the folder]
    #[arg(long, value_name = "PATH")]
    admin: Option<PathBuf>,
    /// Serve Prometheus metrics on this address, on loopback unless you say otherwise
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
    /// Serve a page on this machine that follows the run: curves, who is here, weights, refusals,
    /// how long rounds take, suspicion over time; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = crate::watch::own_address)]
    http: Option<SocketAddr>,
    /// Send a span for each round, message, evaluation and checkpoint to this collector of
    /// OpenTelemetry's traces, by OTLP over gRPC
    #[arg(long, value_name = "http://ADDRESS:PORT", value_parser = traces::endpoint)]
    traces: Option<String>,
    /// Log to standard error, instead of the progress bar: text or json
    #[arg(long, value_name = "FORMAT")]
    log: Option<log::Format>,
    /// Threads of the rule and of evaluations [default: one a core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Keep the last parameters as runs/KEY.model.safetensors, with PyTorch's names
    #[arg(long)]
    save_models: bool,
    /// Show on the terminal what the run is doing: curves, weights of workers, refusals
    #[arg(long)]
    watch: bool,
    /// Print nothing but errors
    #[arg(long, short)]
    quiet: bool,
}

/// How much the audit keeps.
#[derive(Clone, Copy, clap::ValueEnum)]
enum AuditLevel {
    Off,
    Digests,
    Rows,
}

impl AuditLevel {
    fn level(self) -> Option<Level> {
        match self {
            AuditLevel::Off => None,
            AuditLevel::Digests => Some(Level::Digests),
            AuditLevel::Rows => Some(Level::Rows),
        }
    }
}

/// Serves a run until it is over or stopped.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let source = Source { path: args.file.clone(), set: args.set.clone(), seed: args.seed };
    let mut experiment = Experiment::load(&source)?;
    one_run(&experiment)?;
    let out = args.out.clone();
    let out =
        out.unwrap_or_else(|| PathBuf::from("runs").join(format!("{}-served", experiment.name)));
    std::fs::create_dir_all(&out)
        .map_err(|error| Failure::refused(format!("cannot make {}: {error}", out.display())))?;
    experiment.how = How {
        data: args.data.clone(),
        out: Some(out.clone()),
        threads: args.threads.map(usize::from),
        jobs: Some(1),
        save_models: args.save_models,
        ..How::default()
    };
    experiment.heterogeneity = varangian_lab::config::Measuring::Never;
    let traces = args.traces.as_deref().map(traces::Traces::to).transpose();
    let traces = traces.map_err(Failure::refused)?;
    log::begin(args.log, traces.as_ref());
    if let Some(http) = args.http {
        let address = crate::watch::beside(&out, http)?;
        crate::print::note(&format!("page at http://{address}/"));
    }
    let options = world::Options {
        doors: doors(args, &out)?,
        codec: args.codec.clone(),
        checkpoint_steps: args.checkpoint_steps,
        metrics: args.metrics,
        evidence: args.evidence.then(|| out.join("evidence.jsonl")),
        says: !args.quiet,
    };
    experiment.world = Worlds::of(Arc::new(world::Network::new(options)));
    let quiet = args.quiet || args.log.is_some();
    let mut terminal = crate::terminal::Terminal::new(quiet, args.watch);
    experiment.run(&mut terminal).map(|_| ())
}

/// A server has one run.
fn one_run(experiment: &Experiment) -> Result<(), Failure> {
    if experiment.tune.is_some() {
        return Err(Failure::refused(
            "a server trains one run, and [tune] asks for many: tune with `varangian run`, then \
             serve what it chose",
        ));
    }
    let settings: Vec<&Settings> = experiment.runs.iter().collect();
    if settings.len() > 1 {
        let vary = label_keys(&settings).join(", ");
        let found = settings.len();
        return Err(Failure::refused(format!(
            "a server trains one run; the file has {found}, that differ in: {vary}. Choose with \
             --set KEY=VALUE and --seed"
        )));
    }
    Ok(())
}

/// Where the server listens, and whom it lets in.
fn doors(args: &Args, out: &Path) -> Result<Doors, Failure> {
    let keys = args.tls.as_ref().map(|dir| Keys {
        ca: dir.join(CERTIFICATE),
        certificate: dir.join(format!("{}.pem", args.certificate)),
        key: dir.join(format!("{}.key", args.certificate)),
    });
    let memory = args.memory.checked_mul(1 << 20).ok_or_else(|| {
        Failure::refused(format!("--memory is a number of megabytes; found {}", args.memory))
    })?;
    Ok(Doors {
        listen: args.listen,
        roll: args.tls.as_ref().map(|dir| dir.join(WORKERS)),
        keys,
        per_organisation: args.per_organisation,
        admin: Some(args.admin.clone().unwrap_or_else(|| out.join("admin.sock"))),
        deadline: args.deadline,
        patience: args.patience,
        staleness: args.staleness,
        rate: args.rate,
        memory,
        audit: args.audit.level().map(|level| Audit { folder: out.to_owned(), level }),
    })
}
