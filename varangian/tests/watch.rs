//! `varangian watch` among strangers: foreign names and pages, heads without end, clients that say
//! nothing, limits that are met; and a folder of thousands of runs with many who look.

#![allow(clippy::disallowed_methods)] // Times are what is promised here.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use varangian::lab::results::{Outcome, Store};

/// Ends the server with the test.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Serves a folder on a free port, below the limits that `before` sets in a shell.
    fn under(before: &str, folder: &Path, arguments: &str) -> Self {
        let command = env!("CARGO_BIN_EXE_varangian");
        let line = format!("{before} exec '{command}' watch '{}' {arguments}", folder.display());
        let mut shell = Command::new("sh");
        let mut child = shell.args(["-c", &line]).stdout(Stdio::piped()).spawn().unwrap();
        let mut text = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut text).unwrap();
        let address = text.trim().trim_start_matches("http://").trim_end_matches('/');
        Server { child, address: address.parse().unwrap() }
    }

    fn of(folder: &Path) -> Self {
        Server::under("", folder, "--http 0")
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// The answer to a head, in which HERE stands for the server's address. A head that is too
    /// large is heard to its end too: its sender may look for an answer only then.
    fn say(&self, head: &str) -> String {
        let mut stream = self.connect();
        let head = head.replace("HERE", &self.address.to_string());
        stream.write_all(head.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn get(&self, path: &str) -> String {
        self.say(&format!("GET {path} HTTP/1.1\r\nHost: HERE\r\n\r\n"))
    }

    /// Seconds until the page is there.
    fn seconds(&self) -> f64 {
        let start = Instant::now();
        let answer = self.get("/");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        start.elapsed().as_secs_f64()
    }
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// A folder with a run of each of these curves.
fn folder(curves: &[&[f64]]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::make(folder.path()).unwrap();
    for (seed, curve) in curves.iter().enumerate() {
        store.save(&Outcome::sample("krum", "alie", seed as u64, curve)).unwrap();
    }
    folder
}

#[test]
fn only_who_means_the_page_gets_it() {
    let folder = folder(&[&[0.25, 0.5]]);
    let server = Server::of(folder.path());
    let port = server.address.port();
    let host = |host: &str| status(&server.say(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")));
    assert_eq!(host(&format!("localhost:{port}")), 200);
    for foreign in ["evil.example", &format!("evil.example:{port}"), "localhost", "192.0.2.1:80"] {
        assert_eq!(host(foreign), 421, "{foreign}");
    }
    assert_eq!(status(&server.say("GET / HTTP/1.0\r\n\r\n")), 400);
    let from = |origin: &str| {
        server.say(&format!("GET /data HTTP/1.1\r\nHost: HERE\r\nOrigin: {origin}\r\n\r\n"))
    };
    assert_eq!(status(&from("http://HERE")), 200);
    for origin in ["http://evil.example", "null", "http://localhost:1", "https://HERE"] {
        let answer = from(origin);
        assert_eq!(status(&answer), 403, "{origin}");
        assert!(!answer.contains("krum") && answer.contains("nosniff"), "{answer}");
    }
    for (path, code) in [("/", 200), ("/data", 200), ("/../Cargo.toml", 404), ("/runs", 404)] {
        let answer = server.get(path);
        assert_eq!(status(&answer), code, "{path}");
        let lower = answer.to_lowercase();
        for header in ["default-src 'none'", "nosniff", "referrer-policy: no-referrer"] {
            assert!(lower.contains(header), "{header} is not in {answer}");
        }
        assert!(!lower.contains("access-control") && !lower.contains("unsafe-inline"), "{answer}");
    }
    // What the page runs comes from the page's own server, and stands in no attribute.
    let page = server.get("/");
    assert!(page.contains("\"krum\"") && page.contains("<script src=\"/results.js\">"), "{page}");
    assert!(!page.contains("style=\"") && !page.contains("onload"), "{page}");
}

#[test]
fn it_is_read_and_takes_nothing() {
    let folder = folder(&[&[0.25, f64::NAN]]);
    let server = Server::of(folder.path());
    let ask = |method: &str| {
        let head = format!("{method} /data HTTP/1.1\r\nHost: HERE\r\nContent-Length: 0\r\n\r\n");
        server.say(&head)
    };
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"] {
        let answer = ask(method);
        assert_eq!(status(&answer), 405, "{answer}");
        assert!(answer.to_lowercase().contains("allow: get, head"), "{answer}");
    }
    let (get, head) = (ask("GET"), ask("HEAD"));
    assert_eq!((status(&get), status(&head)), (200, 200));
    assert!(head.ends_with("\r\n\r\n") && get.len() > head.len() + 100);
    let data: serde_json::Value =
        serde_json::from_str(get.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((&data["format"], &data["version"]), (&"varangian-results".into(), &1.into()));
    assert_eq!(data["runs"][0]["curve"], serde_json::json!([[0, 0.25], [10, null]]));
    assert_eq!(data["runs"][0]["fate"]["told"], "diverged, never learnt");
    let mut events = server.connect();
    let head = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    events.write_all(head.as_bytes()).unwrap();
    let mut lines = BufReader::new(events).lines().map(Result::unwrap);
    let event = lines.find(|line| line.starts_with("data: ")).unwrap();
    let event: serde_json::Value = serde_json::from_str(&event[6..]).unwrap();
    assert_eq!((&event["over"], &event["trouble"]), (&1.into(), &serde_json::Value::Null));
}

#[test]
fn heads_are_bounded_and_cookies_are_not_too_many() {
    let folder = folder(&[&[0.5]]);
    let server = Server::of(folder.path());
    let with = |name: &str, bytes: usize| {
        let value = "x".repeat(bytes);
        status(&server.say(&format!("GET / HTTP/1.1\r\nHost: HERE\r\n{name}: {value}\r\n\r\n")))
    };
    assert_eq!(with("Cookie", 8 << 10), 200);
    assert_eq!(with("Cookie", 24 << 10), 200);
    for bytes in [40 << 10, 1 << 20, 3 << 20] {
        assert_eq!(with("Cookie", bytes), 431, "{bytes}");
    }
    let many = "A: b\r\n".repeat(1000);
    let answer = server.say(&format!("GET / HTTP/1.1\r\nHost: HERE\r\n{many}\r\n"));
    assert_eq!(status(&answer), 431, "{answer}");
    let path = "a".repeat(1 << 20);
    let code = status(&server.get(&format!("/{path}")));
    assert!([414, 431].contains(&code), "{code}");
    assert_eq!(status(&server.say("\0\u{1}nonsense\r\n\r\n")), 400);
    assert!(server.seconds() < 5.0);
}

#[test]
fn slow_clients_keep_nobody_waiting_and_are_let_go() {
    let folder = folder(&[&[0.5]]);
    let server = Server::of(folder.path());
    let mut slow: Vec<TcpStream> = (0..500).map(|_| server.connect()).collect();
    for stream in &mut slow {
        stream.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
    }
    let times: Vec<f64> = (0..5).map(|_| server.seconds()).collect();
    let worst = times.iter().copied().fold(0.0, f64::max);
    eprintln!("among 500 slow clients: {worst:.3} s at worst");
    assert!(worst < 0.5, "{times:?}");
    // One that drips is no better than one that says nothing.
    let start = Instant::now();
    let last = slow.last_mut().unwrap();
    last.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let over = |stream: &mut TcpStream| match stream.read(&mut [0; 512]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    };
    while !over(last) {
        let _ = last.write_all(b"s");
        assert!(start.elapsed() < Duration::from_secs(15), "a slow client stays");
    }
}

/// How many threads the server has.
#[cfg(target_os = "linux")]
fn threads(server: &Server) -> usize {
    let path = format!("/proc/{}/task", server.child.id());
    std::fs::read_dir(path).unwrap().count()
}

#[test]
#[cfg(target_os = "linux")]
fn it_recovers_from_its_limits() {
    let folder = folder(&[&[0.25, 0.5]]);
    let server = Server::under("ulimit -n 40;", folder.path(), "--http 127.0.0.1:0");
    let before = threads(&server);
    // More than there are descriptors for, who say nothing: none of them keeps others out.
    let crowd: Vec<TcpStream> = (0..100).map(|_| server.connect()).collect();
    std::thread::sleep(Duration::from_millis(300));
    assert!(server.seconds() < 1.0);
    // No thread is started for anybody, so that none can be lacking.
    assert_eq!((threads(&server), before), (2, 2));
    // What is in the folder stays seen, and what is new is seen once there is room.
    assert!(server.get("/data").contains("\"over\":1"));
    drop(crowd);
    let store = Store::open(folder.path()).unwrap();
    store.save(&Outcome::sample("median", "alie", 1, &[0.5])).unwrap();
    let start = Instant::now();
    while !server.get("/data").contains("\"over\":2") {
        assert!(start.elapsed() < Duration::from_secs(20), "the new run is not seen");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn addresses_are_refused_in_a_line_or_understood() {
    let folder = folder(&[&[0.5]]);
    let refused = |http: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_varangian"))
            .arg("watch")
            .arg(folder.path())
            .args(["--http", http])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{http}");
        String::from_utf8(output.stderr).unwrap()
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = refused(&port.to_string());
    assert!(text.contains(&format!("another program has port {port}")), "{text}");
    for open in ["0.0.0.0:0", "[::]:0"] {
        let text = refused(open);
        assert!(text.contains("add --public") && text.contains("without a password"), "{text}");
    }
    assert!(refused("localhost:65536").contains("0 to 65535"));
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for http in [format!("localhost:{free}"), free.to_string()] {
        let server = Server::under("", folder.path(), &format!("--http {http}"));
        assert_eq!(server.address.port(), free);
        server.seconds();
    }
    if TcpListener::bind("[::1]:0").is_ok() {
        let server = Server::under("", folder.path(), "--http [::1]:0");
        assert!(server.address.is_ipv6() && server.address.port() != 0);
        server.seconds();
    }
    let public = Server::under("", folder.path(), "--http 0.0.0.0:0 --public --name gpu01");
    let port = public.address.port();
    let ask = |host: &str| status(&public.say(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")));
    assert_eq!(ask(&format!("127.0.0.1:{port}")), 200);
    assert_eq!(ask(&format!("gpu01:{port}")), 200);
    assert_eq!(ask(&format!("evil.example:{port}")), 421);
}

#[test]
fn entries_of_the_benchmark_alone_are_shown_and_nothing_is_written_there() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/benchmark/small-v1");
    let folder = tempfile::tempdir().unwrap();
    // As a part of the protocol leaves them: in a folder below.
    let part = folder.path().join("part-0123abcd");
    std::fs::create_dir(&part).unwrap();
    for name in ["median.json", "krum.json"] {
        std::fs::copy(Path::new(shipped).join(name), part.join(name)).unwrap();
    }
    for at in [part.as_path(), folder.path()] {
        let server = Server::of(at);
        let answer = server.get("/data");
        assert!(answer.contains("\"leaderboard\":{") && answer.contains("\"median\""), "{answer}");
        assert!(!answer.contains("cannot read the folder"), "{answer}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(std::fs::read_dir(&part).unwrap().count(), 2);
}

/// Whether this process was started with SIGINT ignored, where the system tells.
#[cfg(unix)]
fn ignores_interrupts() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGINT is 2, the second bit.
    mask.is_some_and(|mask| mask & 0b10 != 0)
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_it_at_once_whoever_looks() {
    let folder = folder(&[&[0.5]]);
    let mut server = Server::of(folder.path());
    let mut events = server.connect();
    let head = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    events.write_all(head.as_bytes()).unwrap();
    events.read_exact(&mut [0; 16]).unwrap();
    let start = Instant::now();
    let id = server.child.id().to_string();
    // What a shell starts in the background ignores Ctrl-C, and so does all that it starts.
    let signal = if ignores_interrupts() { "-TERM" } else { "-INT" };
    assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    server.child.wait().unwrap();
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn thousands_of_runs_and_twenty_who_look() {
    // In memory, where there is such a folder: 6,000 files that each wait for a disk take a minute.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let store = Store::make(folder.path()).unwrap();
    let mut text = String::from("name = 'many'\n");
    for k in 0..3000u64 {
        let rule = ["krum", "median", "average"][k as usize % 3];
        let curve: Vec<f64> = (0..20).map(|step| (step * (k + 1) % 97) as f64 / 97.0).collect();
        let outcome = Outcome::sample(rule, "alie", k, &curve);
        store.save(&outcome).unwrap();
        text += &format!("[[run]] # {}\n", outcome.key);
    }
    store.write("experiment.toml", text.as_bytes()).unwrap();
    let start = Instant::now();
    let server = Server::of(folder.path());
    eprintln!("read 3,000 runs in {:.2} s", start.elapsed().as_secs_f64());
    let worst = std::thread::scope(|scope| {
        let viewers: Vec<_> = (0..20)
            .map(|k| {
                let (server, path) = (&server, if k % 2 == 0 { "/" } else { "/data" });
                scope.spawn(move || {
                    let start = Instant::now();
                    let answer = server.get(path);
                    assert_eq!(answer.matches("\"error\":").count(), 3000);
                    start.elapsed().as_secs_f64()
                })
            })
            .collect();
        viewers.into_iter().map(|viewer| viewer.join().unwrap()).fold(0.0, f64::max)
    });
    eprintln!("3,000 runs for 20 viewers at once: {worst:.3} s at worst");
    assert!(worst < 0.5, "{worst}");
}
