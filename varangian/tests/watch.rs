//! `varangian watch` as a server that strangers meet: foreign names and origins, large and slow
//! heads, many viewers of many runs, too few descriptors.
#![cfg(unix)]
#![allow(clippy::disallowed_methods)] // How long a server takes is what is tested.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use varangian::lab::results::{Outcome, Store, key};

/// Ends the server with the test.
struct Server(Child, String);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server of `folder` through `sh -c`, so that limits can be set before.
fn serve(folder: &Path, before: &str, more: &str) -> Server {
    let bin = env!("CARGO_BIN_EXE_varangian");
    let command = format!("{before} exec {bin} watch out --http localhost:0 {more}");
    let mut child = Command::new("sh")
        .args(["-c", &command])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
    Server(child, address)
}

/// A folder with `count` runs that are over, one of them diverged.
fn folder(count: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::make(&folder.path().join("out")).unwrap();
    let mut text = "name = \"many\"\n".to_owned();
    for seed in 0..count {
        let last = if seed == 1 { f64::NAN } else { 0.5 };
        let mut outcome = Outcome::sample("krum", "alie", seed, &[0.1, 0.4, last]);
        outcome.key = key(&outcome.settings, &[0; 32]);
        store.save(&outcome).unwrap();
        text.push_str(&format!("[[run]] # {}\nseed = {seed}\n", outcome.key));
    }
    store.write("experiment.toml", text.as_bytes()).unwrap();
    folder
}

/// The whole answer to a request.
fn raw(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // A server that refuses a head does not read on to its end.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(address: &str, path: &str, headers: &str) -> String {
    raw(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n"))
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or("none")
}

#[test]
fn strangers_get_nothing_and_every_answer_says_what_it_is() {
    let folder = folder(3);
    let server = serve(folder.path(), "", "--name desk.local");
    let at = server.1.as_str();
    let port = at.rsplit(':').next().unwrap();
    for path in ["/", "/page.js", "/page.css", "/results.json"] {
        let answer = get(at, path, "");
        assert_eq!(status(&answer), "200", "{answer}");
        let head = answer.split("\r\n\r\n").next().unwrap().to_lowercase();
        for what in [
            "content-security-policy: default-src 'none'; script-src 'self'",
            "x-content-type-options: nosniff",
            "cross-origin-resource-policy: same-origin",
            "referrer-policy: no-referrer",
        ] {
            assert!(head.contains(what), "{path} lacks {what}: {head}");
        }
    }
    let asked = |host: &str, headers: &str| {
        let request = format!("GET /results.json HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
        let answer = raw(at, &request);
        let leaks = answer.contains("krum");
        let status = status(&answer).to_owned();
        assert_eq!(leaks, status == "200", "{host} {headers}: {answer}");
        status
    };
    assert_eq!(asked(&format!("desk.local:{port}"), ""), "200");
    assert_eq!(asked(&format!("[::1]:{port}"), ""), "200");
    assert_eq!(asked(&format!("evil.example:{port}"), ""), "421");
    assert_eq!(asked("evil.example", ""), "421");
    assert_eq!(asked(at, "Origin: http://evil.example\r\n"), "403");
    assert_eq!(asked(at, "Sec-Fetch-Site: cross-site\r\n"), "403");
    assert_eq!(status(&raw(at, "GET / HTTP/1.1\r\n\r\n")), "400");
    assert_eq!(status(&raw(at, "GET / HTTP/1.0\r\n\r\n")), "400");
    assert_eq!(status(&raw(at, "nonsense\r\n\r\n")), "400");
    for path in ["/../secret", "//etc/passwd", "/runs", "/%2e%2e/x", "/results.json/x"] {
        assert_eq!(status(&get(at, path, "")), "404", "{path}");
    }
    let post = format!("POST / HTTP/1.1\r\nHost: {at}\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(status(&raw(at, &post)), "405");
    let head = raw(at, &format!("HEAD / HTTP/1.1\r\nHost: {at}\r\n\r\n"));
    assert!(status(&head) == "200" && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn heads_are_bounded_and_cookies_of_other_ports_are_none_of_its_business() {
    let folder = folder(2);
    let server = serve(folder.path(), "", "");
    let cookie = |bytes: usize| format!("Cookie: a={}\r\n", "x".repeat(bytes));
    assert_eq!(status(&get(&server.1, "/", &cookie(8 << 10))), "200");
    assert_eq!(status(&get(&server.1, "/", &cookie(32 << 10))), "200");
    assert_eq!(status(&get(&server.1, "/", &cookie(1 << 20))), "431");
    let long = get(&server.1, &format!("/{}", "x".repeat(1 << 20)), "");
    assert!(["414", "431", "400"].contains(&status(&long)), "{}", status(&long));
    assert_eq!(status(&get(&server.1, "/", &"A: b\r\n".repeat(5000))), "431");
    assert_eq!(status(&get(&server.1, "/", "")), "200");
}

/// Opens `count` connections that begin a request and do not end it.
fn slow(address: &str, count: usize) -> Vec<TcpStream> {
    let one = |_| {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: loc").ok()?;
        Some(stream)
    };
    (0..count).filter_map(one).collect()
}

#[test]
fn slow_clients_delay_nobody_and_are_let_go() {
    let folder = folder(2);
    let server = serve(folder.path(), "", "");
    let mut all = slow(&server.1, 500);
    assert_eq!(all.len(), 500);
    let begun = Instant::now();
    assert_eq!(status(&get(&server.1, "/", "")), "200");
    // One that waited for the others would take their five seconds.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    // After its patience the server hangs up, with or without a word.
    let last = all.last_mut().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    let mut text = Vec::new();
    let ended = last.read_to_end(&mut text);
    assert!(ended.is_ok() || text.is_empty(), "{ended:?} {text:?}");
    assert!(begun.elapsed() < Duration::from_secs(14), "{:?}", begun.elapsed());
}

#[test]
fn a_server_without_descriptors_waits_and_goes_on() {
    let folder = folder(2);
    let server = serve(folder.path(), "ulimit -n 40;", "");
    let held = slow(&server.1, 120);
    std::thread::sleep(Duration::from_millis(300));
    drop(held);
    let begun = Instant::now();
    while status(&get(&server.1, "/", "")) != "200" {
        assert!(begun.elapsed() < Duration::from_secs(15), "it never came back");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn twenty_viewers_of_many_runs_are_answered_at_once() {
    let folder = folder(600);
    let server = serve(folder.path(), "", "");
    let begun = Instant::now();
    let viewers: Vec<_> = (0..20)
        .map(|_| {
            let address = server.1.clone();
            std::thread::spawn(move || get(&address, "/results.json", ""))
        })
        .collect();
    for viewer in viewers {
        let answer = viewer.join().unwrap();
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        let value: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(value["runs"].as_array().unwrap().len(), 600);
        // A diverged run empties nothing.
        assert_eq!(value["runs"][1]["last"], serde_json::Value::Null);
        assert_eq!(value["runs"][1]["broke"], "diverged");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn the_stream_sends_what_changes() {
    let folder = folder(2);
    let server = serve(folder.path(), "", "");
    let mut stream = TcpStream::connect(&server.1).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", server.1).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let first = lines.find(|line| line.starts_with("data: ")).unwrap();
    assert!(first.contains("\"format\":\"varangian-results\",\"version\":1"), "{first}");
    assert!(first.contains("\"running\":[]"), "{first}");
    let live = r#"[{"key":"a","rule":"krum","attack":"alie","seed":3,"step":20,"steps":40,
        "curve":[[0,null]],"classifies":true,"weights":[null],"refused":[0],"reasons":{},
        "hostile":[],"expelled":[],"skipped":0}]"#;
    std::fs::write(folder.path().join("out/live.json"), live).unwrap();
    let next = lines.find(|line| line.starts_with("data: ")).unwrap();
    assert!(next.contains("\"step\":20"), "{next}");
}

#[test]
fn addresses_that_others_see_are_asked_for_twice() {
    let folder = folder(1);
    let run = |http: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_varangian"))
            .args(["watch", "out", "--http", http])
            .current_dir(folder.path())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = run("0.0.0.0:0");
    assert!(code == Some(2) && text.contains("say --public if that is meant"), "{text}");
    let server = serve(folder.path(), "", "");
    let (code, text) = run(&server.1);
    let wanted = format!("cannot listen on {}", server.1);
    assert!(code == Some(2) && text.contains(&wanted), "{text}");
    let (code, text) = run("nowhere");
    assert!(code == Some(2) && text.contains("as in 127.0.0.1:8600"), "{text}");
}
