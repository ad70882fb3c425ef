//! `varangian watch DIR --http ADDRESS`: a page that follows a folder of results while it grows.
//!
//! One page and one stream of server-sent events, over plain HTTP, answered to this machine only
//! unless another address is asked for. Finished runs are read once from the folder; those
//! that go on are in `live.json`, or a file a share, which `varangian run` writes every second.

use crate::{Failure, print};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use varangian_lab::results::{Fate, Outcome, Store, Sweep, fate, judge, metric};
use varangian_lab::run::live::{self, Live};
use varangian_lab::{files, pictures, plot};

/// Arguments of `varangian watch`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A folder of results
    folder: PathBuf,
    /// Where the page is served
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8600")]
    #[arg(value_parser = address)]
    http: SocketAddr,
}

/// Reads "127.0.0.1:8600", "localhost:8600", or a port of this machine.
fn address(text: &str) -> Result<SocketAddr, String> {
    let whole = match text.parse::<u16>() {
        Ok(port) => format!("127.0.0.1:{port}"),
        Err(_) => text.to_owned(),
    };
    let found = whole.to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| "an address and a port, as in 127.0.0.1:8600".into())
}

const PAGE: &str = include_str!("watch.html");
/// Between two looks at the folder.
const PAUSE: Duration = Duration::from_millis(1000);

/// A run that has written nothing for this long goes on no more.
const SILENT: Duration = Duration::from_secs(10);

/// A folder and the finished runs that were read from it.
#[derive(Clone)]
struct Folder {
    store: Store,
    name: String,
    finished: Arc<Mutex<BTreeMap<String, Outcome>>>,
}

impl Folder {
    fn of(store: Store, name: String) -> Self {
        Folder { store, name, finished: Arc::default() }
    }
}

/// Serves until the process ends.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let folder = Folder::of(Store::open(&args.folder)?, pictures::name_of(&args.folder));
    let listener = TcpListener::bind(args.http)
        .map_err(|error| Failure::refused(format!("cannot listen on {}: {error}", args.http)))?;
    let address = listener.local_addr().unwrap_or(args.http);
    print::line(&format!("http://{address}/"));
    serve(&listener, &folder);
    Ok(())
}

fn serve(listener: &TcpListener, folder: &Folder) {
    for stream in listener.incoming().flatten() {
        let folder = folder.clone();
        // A reader that goes away ends its own thread only.
        std::thread::spawn(move || answer(stream, &folder));
    }
}

fn answer(mut stream: TcpStream, folder: &Folder) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = String::new();
    BufReader::new(&stream).read_line(&mut request)?;
    let mut words = request.split(' ');
    match (words.next(), words.next()) {
        (Some("GET"), Some("/")) => page(&mut stream, "200 OK", "text/html; charset=utf-8", PAGE),
        // The first state comes with the page: nobody looks at an empty one for a second.
        (Some("GET"), Some("/first.js")) => {
            let script = format!("show({});\n", state(folder));
            page(&mut stream, "200 OK", "text/javascript; charset=utf-8", &script)
        }
        (Some("GET"), Some("/events")) => events(&mut stream, folder),
        _ => page(&mut stream, "404 Not Found", "text/plain", "there is / and /events\n"),
    }
}

fn page(stream: &mut TcpStream, status: &str, kind: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

/// One event whenever the folder has changed.
fn events(stream: &mut TcpStream, folder: &Folder) -> std::io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
          Connection: close\r\n\r\n",
    )?;
    let mut last = String::new();
    loop {
        let now = state(folder).to_string();
        // A comment keeps the connection alive and finds out whether anyone listens.
        let text = if now == last { ": same\n\n".into() } else { format!("data: {now}\n\n") };
        stream.write_all(text.as_bytes())?;
        stream.flush()?;
        last = now;
        std::thread::sleep(PAUSE);
    }
}

/// The folder now: how far it is, what goes on, mean curves of what is over, its runs in the order
/// of the experiment.
fn state(folder: &Folder) -> Value {
    let mut finished = folder.finished.lock().expect("no thread panicked");
    let planned = folder.store.planned().unwrap_or_default();
    for key in &planned {
        if !finished.contains_key(key) {
            finished.extend(folder.store.read(key).map(|outcome| (key.clone(), outcome)));
        }
    }
    let over: Vec<&Outcome> = planned.iter().filter_map(|key| finished.get(key)).collect();
    let failed = over.iter().filter(|outcome| !outcome.is_finished()).count();
    let (running, silent) = running(folder);
    let runs = over.iter().map(|outcome| &outcome.settings);
    let mut sweep = Sweep::of(runs, &folder.store.tuned(), folder.store.rules());
    for live in &running {
        varangian_lab::results::place(&mut sweep.rules, &live.rule);
    }
    let metric = metric(over.iter().copied());
    let fates: Vec<Fate> = over.iter().map(|outcome| Fate::of(outcome)).collect();
    json!({
        "name": folder.name, "planned": planned.len(), "over": over.len(), "failed": failed,
        "running": running, "silent": silent, "metric": metric, "rules": rules(&sweep),
        "lines": lines(&over, &sweep, metric), "meanings": fate::meanings(&fates),
        "runs": over.iter().map(|outcome| row(outcome, &sweep, metric)).collect::<Vec<_>>(),
    })
}

/// How each rule is drawn: as in every picture of the folder.
fn rules(sweep: &Sweep) -> Vec<Value> {
    let rule = |(k, name): (usize, &String)| {
        let (colour, dashes) = (plot::colour(k), plot::dashes(k));
        json!({ "rule": name, "colour": colour, "dashes": dashes })
    };
    sweep.rules.iter().enumerate().map(rule).collect()
}

/// The runs that go on, of all processes at the folder; where none has said anything for long, what
/// was said last, and that it is old.
fn running(folder: &Folder) -> (Vec<Live>, bool) {
    let (mut fresh, mut silent) = (Vec::new(), Vec::<Live>::new());
    for path in live::files(&folder.store) {
        let Ok(text) = files::read_own(&path, files::TEXT) else { continue };
        let runs: Vec<Live> = serde_json::from_slice(&text).unwrap_or_default();
        let written = std::fs::metadata(&path).and_then(|about| about.modified());
        let age = written.ok().and_then(|time| time.elapsed().ok());
        let old = age.is_some_and(|age| age > SILENT);
        if old { &mut silent } else { &mut fresh }.extend(runs);
    }
    let old = fresh.is_empty() && !silent.is_empty();
    (if old { silent } else { fresh }, old)
}

/// A mean curve over seeds for each rule, setting and attack.
fn lines(over: &[&Outcome], sweep: &Sweep, metric: &str) -> Vec<Value> {
    let mut names: Vec<[&str; 3]> = Vec::new();
    let labels: Vec<(String, String)> =
        over.iter().map(|one| (sweep.setting(&one.settings), sweep.line(&one.settings))).collect();
    let mut curves: Vec<Vec<Vec<(u64, f64)>>> = Vec::new();
    let mut rules = Vec::new();
    for (outcome, (setting, line)) in over.iter().zip(&labels) {
        let name = [setting.as_str(), outcome.settings.attack.as_str(), line.as_str()];
        let place = names.iter().position(|known| *known == name).unwrap_or(names.len());
        if place == names.len() {
            names.push(name);
            curves.push(Vec::new());
            rules.push(&outcome.settings.rule);
        }
        curves[place].extend(Some(outcome.curve(metric)).filter(|curve| !curve.is_empty()));
    }
    let line = |(k, [setting, attack, line]): (usize, &[&str; 3])| {
        let mean: Vec<(f64, f64)> =
            pictures::band(&curves[k]).iter().map(|point| (point.step, point.mean)).collect();
        json!({
            "setting": setting, "attack": attack, "line": line, "rule": rules[k],
            "seeds": curves[k].len(), "curve": mean,
        })
    };
    names.iter().enumerate().map(line).collect()
}

fn row(outcome: &Outcome, sweep: &Sweep, metric: &str) -> Value {
    let own = &outcome.settings;
    let judged = judge(&outcome.curve(metric), metric == "accuracy");
    let refused = outcome.points.iter().filter(|point| point.metric.starts_with("refused/"));
    // A number that is not finite is null in JSON, and must not read as "not measured".
    let text = |x: f64| match metric {
        "accuracy" if x.is_finite() => format!("{:.1} %", 100.0 * x),
        _ => print::number(x),
    };
    json!({
        "rule": sweep.line(own), "setting": sweep.setting(own), "attack": own.attack,
        "seed": own.seed, "state": outcome.end.name(), "error": outcome.end.error(),
        "last": judged.map(|judged| text(judged.last)),
        "best": judged.map(|judged| text(judged.best)), "seconds": outcome.seconds,
        "refused": refused.map(|point| point.value).sum::<f64>(),
        "broke": fate::told(&[Fate::of(outcome)]).replace("1 of 1 ", ""),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn an_address_may_be_a_port_or_a_name() {
        assert_eq!(address("8600").unwrap().to_string(), "127.0.0.1:8600");
        assert_eq!(address("localhost:8600").unwrap().port(), 8600);
        assert!(address("8600x").is_err());
    }

    #[test]
    fn the_page_keeps_settings_apart_colours_by_the_experiment_and_survives_nan() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        let run = |rule: &str, n: usize, values: &[f64]| {
            let mut outcome = Outcome::sample(rule, "alie", 1, values);
            outcome.settings.n = n;
            outcome.key = varangian_lab::results::key(&outcome.settings, &[0; 32]);
            store.save(&outcome).unwrap();
            outcome.key
        };
        let keys = [run("krum", 9, &[0.1, 0.9]), run("krum", 11, &[0.1, f64::NAN])];
        let text = format!(
            "rule = 'median'\n[[run]] # {}\n[[run]] # {}\n[[run]] # r0123456789ab\n",
            keys[0], keys[1]
        );
        store.write("experiment.toml", text.as_bytes()).unwrap();
        let mut live = Live::default();
        live.curve.push((0, f64::NAN));
        store.write("live.json", &serde_json::to_vec(&[live]).unwrap()).unwrap();
        let state = state(&Folder::of(store, "a".into()));
        assert_eq!((&state["over"], &state["planned"]), (&json!(2), &json!(3)));
        assert_eq!(state["running"][0]["curve"], json!([[0, null]]));
        let lines = state["lines"].as_array().unwrap();
        assert_eq!((lines.len(), &lines[1]["setting"]), (2, &json!("n=11")));
        assert_eq!(lines[1]["curve"], json!([[0.0, 0.1], [10.0, null]]));
        assert_eq!(state["runs"][1]["broke"], "diverged, never learnt");
        assert_eq!(state["runs"][1]["last"], "NaN");
        assert_eq!(state["rules"][1]["colour"], "#D55E00");
        assert!(state["meanings"][0].as_str().unwrap().starts_with("!d diverged"));
    }

    #[test]
    fn the_page_and_the_stream_come_over_http() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        store.save(&Outcome::sample("krum", "alie", 1, &[0.25, 0.5])).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut live = Live::default();
        live.weights.push(1.0);
        let text = serde_json::to_vec(&[&live]).unwrap();
        std::fs::write(folder.path().join("live.json"), text).unwrap();
        std::thread::spawn(move || serve(&listener, &Folder::of(store, "a".into())));
        let ask = |path: &str| {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
            stream
        };
        let mut page = String::new();
        ask("/").read_to_string(&mut page).unwrap();
        assert!(page.starts_with("HTTP/1.1 200 OK") && page.contains("EventSource"), "{page}");
        let mut first = String::new();
        ask("/first.js").read_to_string(&mut first).unwrap();
        assert!(first.contains("show({") && first.contains("\"krum\""), "{first}");
        let mut missing = String::new();
        ask("/../secret").read_to_string(&mut missing).unwrap();
        assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
        let event = BufReader::new(ask("/events"))
            .lines()
            .map(Result::unwrap)
            .find(|line| line.starts_with("data: "))
            .unwrap();
        let value: Value = serde_json::from_str(&event[6..]).unwrap();
        assert_eq!(value["runs"][0]["rule"], "krum");
        assert_eq!(value["lines"][0]["curve"][1], json!([10.0, 0.5]));
        assert_eq!((&value["over"], &value["planned"]), (&json!(1), &json!(1)));
        assert_eq!(value["running"][0]["weights"], json!([1.0]));
        assert_eq!(value["rules"][0], json!({ "rule": "krum", "colour": "#0072B2", "dashes": "" }));
    }
}
