//! What a server of one machine takes in: large messages, small ones, idle workers, votes.
//!
//!     cargo bench -p varangian-net --bench load [-- large tls small idle votes soak=SECONDS]
//!
//! The server is a process of its own, and so are its clients: both share this machine's cores, as
//! does whatever else runs on it. Memory is the server's resident set, from /proc.

#![allow(clippy::print_stdout, clippy::disallowed_methods)] // It prints times.

use bytes::Bytes;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tonic::Request;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use varangian_base::Seed;
use varangian_learn::optim::{Message, Optimiser};
use varangian_net::authority::Authority;
use varangian_net::proto::parameter_server_client::ParameterServerClient;
use varangian_net::proto::{
    JoinRequest, PullRequest, PushHeader, PushRequest, WatchRequest, push_request::Part,
};
use varangian_net::{Arrivals, Doors, Keys, Rounds, Terms};
use varangian_rules::{Pipeline, build_filter};
use varangian_train::wire::{Codec, Letter};
use varangian_train::{Queue, QueueSettings, Server, Settings};

type Stub = ParameterServerClient<Channel>;

/// As the server cuts what it sends.
const CHUNK: usize = 256 << 10;
/// Parameters of the widest published model here.
const WIDE: usize = 36_489_290;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if words.first().is_some_and(|word| word == "serve") {
        return serve(&words[1..]);
    }
    let asked = |name: &str| words.is_empty() || words.iter().any(|word| word == name);
    println!("{:<44} {:>14} {:>24}", "", "found", "server's memory");
    if asked("large") {
        large(false);
    }
    if asked("tls") {
        large(true);
    }
    if asked("small") {
        small(Duration::from_secs(5), "small messages, 8 workers");
    }
    if asked("idle") {
        idle();
    }
    if asked("votes") {
        votes();
    }
    let soak = words.iter().find_map(|word| word.strip_prefix("soak="));
    if let Some(seconds) = soak.and_then(|seconds| seconds.parse().ok()) {
        soaked(Duration::from_secs(seconds));
    }
}

fn say(what: &str, found: &str, memory: &str) {
    println!("{what:<44} {found:>14} {memory:>24}");
}

/// Serves until the standard input ends: "average|majority|async", n, d, and a folder of
/// certificates or "-".
fn serve(words: &[String]) {
    let number = |k: usize| words[k].parse::<usize>().expect("a number");
    let (n, d, ca) = (number(1), number(2), words[3].as_str());
    let keys = (ca != "-").then(|| keys(Path::new(ca), "server"));
    let doors = Doors {
        roll: keys.as_ref().map(|_| Path::new(ca).join("workers.toml")),
        keys,
        memory: 4 << 30,
        deadline: 600.0,
        patience: 600.0,
        ..Doors::loopback()
    };
    let is_votes = words[0] == "majority";
    let codec = if is_votes { Codec::Signs { ternary: false } } else { Codec::F32 };
    let letter = Letter { d, statistics: 0, codec };
    let asynchronous = words[0] == "async";
    let terms = Terms {
        n,
        settings: String::new(),
        layout: vec![("w".into(), vec![d])],
        letter,
        asynchronous,
        local: Default::default(),
        previous: false,
        updates: None,
    };
    std::thread::spawn(|| {
        let mut line = String::new();
        while std::io::stdin().read_line(&mut line).is_ok_and(|count| count > 0) {}
        std::process::exit(0);
    });
    if asynchronous {
        return judging(n, d, terms, &doors);
    }
    let message = if is_votes { "one-bit" } else { "vector" };
    let message = Message::parse(message).expect("a message");
    let settings = Settings {
        n,
        f: 0,
        weights: None,
        participation: None,
        non_finite: Default::default(),
        rule: Pipeline::parse(&words[0]).expect("a rule"),
        optimiser: Optimiser { message, ..Optimiser::sgd(1e-3) },
        steps_per_epoch: 1.0,
        buffers: Vec::new(),
        seed: Seed(1),
        packs_votes: is_votes,
        silence_is_hostile: false,
    };
    let server = Server::new(settings, vec![0.0; d], None).expect("a server");
    let mut rounds = Rounds::open(server, terms, &doors, (0, n), 0.0).expect("open doors");
    println!("{}", rounds.address());
    loop {
        rounds.advance();
    }
}

fn judging(n: usize, d: usize, terms: Terms, doors: &Doors) {
    let settings = QueueSettings {
        n,
        f: 0,
        filter: build_filter("async-sgd", n, 0).expect("a filter"),
        optimiser: Optimiser::sgd(1e-3),
        arrivals_per_epoch: 1.0,
        keep: 1,
        buffers: Vec::new(),
        seed: Seed(1),
    };
    let queue = Queue::new(settings, vec![0.0; d], None).expect("a queue");
    let mut arrivals = Arrivals::open(queue, terms, doors, (0, "async-sgd")).expect("open doors");
    println!("{}", arrivals.address());
    loop {
        arrivals.advance();
    }
}

fn keys(ca: &Path, name: &str) -> Keys {
    Keys {
        ca: ca.join("ca.pem"),
        certificate: ca.join(format!("{name}.pem")),
        key: ca.join(format!("{name}.key")),
    }
}

/// A server in a process of its own; it ends with this value.
struct Serving {
    process: Child,
    _lives: ChildStdin,
    _said: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Serving {
    fn start(rule: &str, n: usize, d: usize, ca: &str) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut process = Command::new(program)
            .args(["serve", rule, &n.to_string(), &d.to_string(), ca])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a server");
        let mut said = BufReader::new(process.stdout.take().expect("piped"));
        let mut line = String::new();
        said.read_line(&mut line).expect("an address");
        let address = line.trim().parse().expect("an address");
        let lives = process.stdin.take().expect("piped");
        Serving { process, _lives: lives, _said: said, address }
    }

    /// Megabytes of its memory now, and at most so far.
    fn memory(&self) -> (f64, f64) {
        let path = format!("/proc/{}/status", self.process.id());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = |name: &str| {
            let rest = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
            rest.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1024.0
        };
        (line("VmRSS:"), line("VmHWM:"))
    }

    fn megabytes(&self) -> String {
        let (now, most) = self.memory();
        format!("{now:.0} MB, at most {most:.0}")
    }
}

/// A connection of its own, without certificates or with those of a worker.
async fn stub(server: &Serving, worker: u32, ca: Option<&Path>) -> Stub {
    let scheme = if ca.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{}", server.address))
        .expect("an address")
        .initial_stream_window_size(Some(8 << 20))
        .initial_connection_window_size(Some(16 << 20))
        .tcp_nodelay(true);
    if let Some(ca) = ca {
        let read = |name: &str| std::fs::read(ca.join(name)).expect("a certificate");
        let name = format!("worker-{worker}");
        let own = Identity::from_pem(read(&format!("{name}.pem")), read(&format!("{name}.key")));
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read("ca.pem")))
            .identity(own)
            .domain_name("ps.test");
        endpoint = endpoint.tls_config(tls).expect("certificates");
    }
    ParameterServerClient::new(endpoint.connect().await.expect("a server"))
        .max_decoding_message_size(CHUNK + (4 << 20))
}

fn by<T>(message: T, worker: u32) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("varangian-worker", worker.into());
    request
}

/// This start of the server, and the number of the worker's next message.
async fn join(stub: &mut Stub, worker: u32) -> (u64, u64) {
    let asked = JoinRequest { protocols: vec![1], agent: "load".into() };
    let reply = stub.join(by(asked, worker)).await.expect("it joins").into_inner();
    (reply.run, reply.next)
}

/// Keeps a worker present until the runtime ends.
async fn watch(stub: &Stub, worker: u32, run: u64) {
    let mut stub = stub.clone();
    let stream = stub.watch(by(WatchRequest { run }, worker)).await.expect("it watches");
    tokio::spawn(async move {
        let mut notices = stream.into_inner();
        while let Ok(Some(_)) = notices.message().await {}
    });
}

/// Waits until `version` is open, without taking its model.
async fn opened(stub: &mut Stub, worker: u32, run: u64, version: u64) {
    loop {
        let asked = PullRequest { run, version, ..PullRequest::default() };
        let mut parts = stub.pull(by(asked, worker)).await.expect("an answer").into_inner();
        use varangian_net::proto::pull_reply::Part;
        if let Ok(Some(part)) = parts.message().await
            && let Some(Part::Header(header)) = part.part
            && !header.not_modified
        {
            return;
        }
    }
}

async fn push(stub: &mut Stub, worker: u32, (run, version): (u64, u64), number: u64, body: &Bytes) {
    let header = PushHeader {
        run,
        version,
        number,
        bytes: body.len() as u64,
        digest: Bytes::new(),
        loss: 0.0,
    };
    let body = body.clone();
    let starts = (0..body.len()).step_by(CHUNK);
    let chunks = starts.map(move |from| body.slice(from..(from + CHUNK).min(body.len())));
    let parts = std::iter::once(Part::Header(header)).chain(chunks.map(Part::Chunk));
    let parts = parts.map(|part| PushRequest { part: Some(part) });
    let request = by(tokio_stream::iter(parts), worker);
    let receipt = stub.push(request).await.expect("a receipt").into_inner();
    assert!(receipt.admitted, "{receipt:?}");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("threads")
}

/// Rounds of n workers that all send `body`: the seconds of each, receipts and the step included.
fn rounds(server: &Serving, n: u32, body: &Bytes, count: u64, ca: Option<&Path>) -> Vec<f64> {
    runtime().block_on(async {
        let mut stubs = Vec::new();
        let mut run = 0;
        for worker in 0..n {
            let mut stub = stub(server, worker, ca).await;
            (run, _) = join(&mut stub, worker).await;
            watch(&stub, worker, run).await;
            stubs.push(stub);
        }
        let mut seconds = Vec::new();
        for version in 0..count {
            opened(&mut stubs[0], 0, run, version).await;
            let begun = Instant::now();
            let pushes = stubs.iter().zip(0..).map(|(stub, worker)| {
                let (mut stub, body) = (stub.clone(), body.clone());
                let of = (run, version);
                tokio::spawn(async move { push(&mut stub, worker, of, version, &body).await })
            });
            for done in pushes.collect::<Vec<_>>() {
                done.await.expect("a push");
            }
            seconds.push(begun.elapsed().as_secs_f64());
        }
        seconds
    })
}

/// Eight workers that send a row of 36.5 million floats each, at once.
fn large(tls: bool) {
    let folder = std::env::temp_dir().join(format!("varangian-load-{}", std::process::id()));
    let ca = tls.then_some(folder.as_path());
    if let Some(ca) = ca {
        let authority = Authority::init(ca, "load", 2).expect("an authority");
        authority.issue_server("server", &["ps.test".into()], 2).expect("a certificate");
        for id in 0..8 {
            let name = format!("worker-{id}");
            authority.issue_worker(&name, Some(id), "", 2).expect("a certificate");
        }
    }
    let path = ca.map_or("-", |ca| ca.to_str().expect("a plain path"));
    let server = Serving::start("average", 8, WIDE, path);
    let body = Bytes::from(vec![0x3c; 4 * WIDE]);
    let seconds = rounds(&server, 8, &body, 4, ca);
    let best = seconds.iter().copied().fold(f64::INFINITY, f64::min);
    let rate = 8.0 * body.len() as f64 / best / 1e6;
    let how = if tls { "mutual TLS" } else { "plaintext" };
    let what = format!("8 × 146 MB at once, {how}, best of {}", seconds.len());
    say(&what, &format!("{rate:.0} MB/s"), &server.megabytes());
    if let Some(ca) = ca {
        let _ = std::fs::remove_dir_all(ca);
    }
}

/// Small messages in asynchronous training, as fast as they go.
fn small(span: Duration, what: &str) -> f64 {
    let server = Serving::start("async", 8, 16, "-");
    let count = messages(&server, span, 64);
    let rate = count as f64 / span.as_secs_f64();
    say(what, &format!("{rate:.0} a second"), &server.megabytes());
    rate
}

/// Sends messages of `bytes` bytes from eight workers for a while; how many.
fn messages(server: &Serving, span: Duration, bytes: usize) -> u64 {
    runtime().block_on(async {
        let end = Instant::now() + span;
        let mut tasks = Vec::new();
        for worker in 0..8 {
            let mut stub = stub(server, worker, None).await;
            let (run, mut number) = join(&mut stub, worker).await;
            let body = Bytes::from(vec![0; bytes]);
            tasks.push(tokio::spawn(async move {
                let first = number;
                while Instant::now() < end {
                    push(&mut stub, worker, (run, number), number, &body).await;
                    number += 1;
                }
                number - first
            }));
        }
        let mut count = 0;
        for task in tasks {
            count += task.await.expect("a worker");
        }
        count
    })
}

/// A thousand workers that have joined and wait.
fn idle() {
    let server = Serving::start("average", 1000, 16, "-");
    let (before, _) = server.memory();
    runtime().block_on(async {
        let mut stubs = Vec::new();
        for worker in 0..1000 {
            let mut stub = stub(&server, worker, None).await;
            let (run, _) = join(&mut stub, worker).await;
            watch(&stub, worker, run).await;
            let mut waits = stub.clone();
            tokio::spawn(async move { opened(&mut waits, worker, run, 1).await });
            stubs.push(stub);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (now, _) = server.memory();
        let more = format!("{before:.0} MB before");
        say("1,000 idle workers", &format!("{now:.0} MB"), &more);
    });
}

/// Sixty-four workers that vote on 36.5 million coordinates.
fn votes() {
    let server = Serving::start("majority", 64, WIDE, "-");
    let body = Bytes::from(vec![0; varangian_base::Signs::wire_len(WIDE, false)]);
    let seconds = rounds(&server, 64, &body, 4, None);
    let mean = seconds.iter().sum::<f64>() / seconds.len() as f64;
    say("64 × 36.5 M votes, a round", &format!("{mean:.2} s"), &server.megabytes());
}

/// Asynchronous training for a long time, 4 MB a message: memory at the beginning and at the end.
fn soaked(span: Duration) {
    let server = Serving::start("async", 8, 1 << 20, "-");
    let warm = messages(&server, span / 20, 4 << 20);
    let (before, _) = server.memory();
    drop(server);
    let server = Serving::start("async", 8, 1 << 20, "-");
    let begun = Instant::now();
    let (mut count, mut seen) = (0, Vec::new());
    let _ = writeln!(std::io::stderr(), "a soak of {} seconds; {warm} to warm up", span.as_secs());
    while begun.elapsed() < span {
        count += messages(&server, span / 20, 4 << 20);
        seen.push(server.memory().0);
    }
    let (first, last) = (seen[0], seen[seen.len() - 1]);
    let memory = format!("{first:.0} MB, then {last:.0}");
    let what = format!("soak of {} s, 4 MB a message", span.as_secs());
    say(&what, &format!("{count} messages"), &format!("{memory} (alone {before:.0})"));
}
