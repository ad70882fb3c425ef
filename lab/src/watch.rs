//! `varangian watch DIR --http ADDRESS`: a page that follows a folder of results while it grows.
//!
//! One page and one stream of server-sent events, over plain HTTP, answered to this machine only
//! unless another address is asked for. Finished runs are read once from the folder; those
//! that go on are in `live.json`, which `varangian run` writes every second.

use crate::config::label_keys;
use crate::results::{Outcome, Store, judge};
use crate::run::live::Live;
use crate::{Failure, pictures, print};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Arguments of `varangian watch`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A folder of results
    folder: PathBuf,
    /// Where the page is served
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8600")]
    http: SocketAddr,
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

/// The folder now: how far it is, what goes on, mean curves of what is over, its latest runs.
fn state(folder: &Folder) -> Value {
    let mut finished = folder.finished.lock().expect("no thread panicked");
    for key in folder.store.keys().unwrap_or_default() {
        if !finished.contains_key(&key) {
            finished.extend(folder.store.load(&key).map(|outcome| (key, outcome)));
        }
    }
    let toml = std::fs::read_to_string(folder.store.path("experiment.toml")).unwrap_or_default();
    let planned = toml.lines().filter(|line| line.starts_with("[[run]]")).count();
    let failed = finished.values().filter(|outcome| !outcome.is_finished()).count();
    let (running, silent) = running(folder);
    json!({
        "name": folder.name, "planned": planned.max(finished.len()), "over": finished.len(),
        "failed": failed, "running": running, "silent": silent, "metric": metric(&finished), "lines": lines(&finished),
        "runs": finished.values().map(row).collect::<Vec<_>>(),
    })
}

/// The runs that go on, and whether they have been silent for long.
fn running(folder: &Folder) -> (Vec<Live>, bool) {
    let path = folder.store.path("live.json");
    let Ok(text) = std::fs::read_to_string(&path) else { return (Vec::new(), false) };
    let written = std::fs::metadata(&path).and_then(|about| about.modified());
    let age = written.ok().and_then(|time| time.elapsed().ok());
    let runs = serde_json::from_str(&text).unwrap_or_default();
    (runs, age.is_some_and(|age| age > SILENT))
}

/// What is judged: accuracy, or the test loss where there is none.
fn metric(finished: &BTreeMap<String, Outcome>) -> &'static str {
    match finished.values().any(|outcome| !outcome.curve("accuracy").is_empty()) {
        true => "accuracy",
        false => "test_loss",
    }
}

/// A mean curve over seeds for each line of the tables and attack.
fn lines(finished: &BTreeMap<String, Outcome>) -> Vec<Value> {
    let settings: Vec<_> = finished.values().map(|outcome| &outcome.settings).collect();
    let keys = label_keys(&settings);
    let metric = metric(finished);
    let mut all: BTreeMap<(&str, String), Vec<Vec<(u64, f64)>>> = BTreeMap::new();
    for outcome in finished.values() {
        let (attack, label) = (outcome.settings.attack.as_str(), outcome.settings.label(&keys));
        all.entry((attack, label)).or_default().push(outcome.curve(metric));
    }
    let line = |((attack, label), curves): ((&str, String), Vec<Vec<(u64, f64)>>)| {
        let spread = pictures::band(&curves);
        let mean: Vec<(f64, f64)> = spread.iter().map(|point| (point.step, point.mean)).collect();
        json!({ "attack": attack, "line": label, "seeds": curves.len(), "curve": mean })
    };
    all.into_iter().map(line).collect()
}

fn row(outcome: &Outcome) -> Value {
    let own = &outcome.settings;
    let curve: Vec<f64> = outcome.curve("accuracy").iter().map(|point| point.1).collect();
    let judged = judge(&curve, true);
    let refused = outcome.points.iter().filter(|point| point.metric.starts_with("refused/"));
    json!({
        "rule": own.rule, "attack": own.attack, "seed": own.seed, "state": outcome.end.name(),
        "error": outcome.end.error(), "last": judged.map(|judged| judged.last),
        "best": judged.map(|judged| judged.best), "seconds": outcome.seconds,
        "refused": refused.map(|point| point.value).sum::<f64>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

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
    }
}
