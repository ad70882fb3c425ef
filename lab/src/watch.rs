//! `varangian watch DIR --http ADDRESS`: a page that follows a folder of results while it grows.
//!
//! One page and one stream of server-sent events, over plain HTTP, answered to this machine only
//! unless another address is asked for. Runs show up when they finish, and at their checkpoints.

use crate::results::{Store, checkpoint};
use crate::{Failure, print};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
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

/// Serves until the process ends.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let store = Store::open(&args.folder)?;
    let listener = TcpListener::bind(args.http)
        .map_err(|error| Failure::refused(format!("cannot listen on {}: {error}", args.http)))?;
    let address = listener.local_addr().unwrap_or(args.http);
    print::line(&format!("http://{address}/"));
    for stream in listener.incoming().flatten() {
        let store = store.clone();
        // A reader that goes away ends its own thread only.
        std::thread::spawn(move || answer(stream, &store));
    }
    Ok(())
}

fn answer(mut stream: TcpStream, store: &Store) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = String::new();
    BufReader::new(&stream).read_line(&mut request)?;
    let mut words = request.split(' ');
    match (words.next(), words.next()) {
        (Some("GET"), Some("/")) => page(&mut stream, "200 OK", "text/html; charset=utf-8", PAGE),
        (Some("GET"), Some("/events")) => events(&mut stream, store),
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
fn events(stream: &mut TcpStream, store: &Store) -> std::io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
          Connection: close\r\n\r\n",
    )?;
    let mut last = String::new();
    loop {
        let now = state(store).to_string();
        // A comment keeps the connection alive and finds out whether anyone listens.
        let text = if now == last { ": same\n\n".into() } else { format!("data: {now}\n\n") };
        stream.write_all(text.as_bytes())?;
        stream.flush()?;
        last = now;
        std::thread::sleep(PAUSE);
    }
}

/// Every run of the folder: what it is, how far, its curve.
fn state(store: &Store) -> Value {
    let mut keys: Vec<String> = std::fs::read_dir(store.path("runs"))
        .map(|entries| entries.flatten().map(|e| e.file_name().to_string_lossy().into()).collect())
        .unwrap_or_default();
    keys.sort_unstable();
    let runs: Vec<Value> = keys.iter().filter_map(|name| one(store, name)).collect();
    json!({ "runs": runs })
}

fn one(store: &Store, name: &str) -> Option<Value> {
    if let Some(key) = name.strip_suffix(".checkpoint.json") {
        let running = checkpoint::load(store, key)?;
        let points = running.points.iter().filter(|point| point.metric == "accuracy");
        let curve: Vec<(u64, f64)> = points.map(|point| (point.step, point.value)).collect();
        return Some(
            json!({ "key": key, "state": "running", "step": running.step, "curve": curve }),
        );
    }
    let outcome = store.load(name.strip_suffix(".json")?)?;
    let refused = outcome.points.iter().filter(|point| point.metric.starts_with("refused/"));
    Some(json!({
        "key": outcome.key, "state": outcome.end.name(), "step": outcome.settings.steps,
        "rule": outcome.settings.rule, "attack": outcome.settings.attack,
        "seed": outcome.settings.seed, "refused": refused.map(|point| point.value).sum::<f64>(),
        "curve": outcome.curve("accuracy"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Outcome;
    use std::io::Read;

    #[test]
    fn the_page_and_the_stream_come_over_http() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        store.save(&Outcome::sample("krum", "alie", 1, &[0.25, 0.5])).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let store = store.clone();
                std::thread::spawn(move || answer(stream, &store));
            }
        });
        let ask = |path: &str| {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
            stream
        };
        let mut page = String::new();
        ask("/").read_to_string(&mut page).unwrap();
        assert!(page.starts_with("HTTP/1.1 200 OK") && page.contains("EventSource"), "{page}");
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
        assert_eq!(value["runs"][0]["curve"][1], json!([10, 0.5]));
    }
}
