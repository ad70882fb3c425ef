//! What strangers, liars and clumsy workers can do to a server: each thing is refused by name, and
//! the honest ones go on.

#![allow(clippy::disallowed_methods)] // Rounds that nobody waits for are quick ones.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use varangian_base::{Seed, Signs};
use varangian_learn::optim::Optimiser;
use varangian_net::authority::Authority;
use varangian_net::proto::parameter_server_client::ParameterServerClient;
use varangian_net::proto::{
    JoinRequest, PullRequest, PushHeader, PushRequest, Receipt, push_request::Part,
};
use varangian_net::{
    Arrivals, Client, Connection, Doors, Failed, Keys, News, Order, Rounds, Terms, ask, is_signed,
};
use varangian_rules::{Pipeline, build_filter};
use varangian_train::wire::{Codec, Letter};
use varangian_train::{Follower, Queue, QueueSettings, Server, Settings};

const D: usize = 6;

/// A server of rounds of n workers on parameters of its own, without a model.
fn rounds(n: usize, f: usize, doors: &Doors) -> Rounds {
    rounds_by("median", n, f, doors)
}

/// The same with this rule.
fn rounds_by(rule: &str, n: usize, f: usize, doors: &Doors) -> Rounds {
    let rule = Pipeline::parse(rule).unwrap();
    let updates = Follower::can_follow(&Optimiser::sgd(1.0), &rule);
    let least = rule.least(f).unwrap();
    let settings = Settings {
        n,
        f,
        weights: None,
        participation: None,
        non_finite: Default::default(),
        rule,
        optimiser: Optimiser::sgd(1.0),
        steps_per_epoch: 1.0,
        buffers: Vec::new(),
        seed: Seed(1),
        packs_votes: false,
        silence_is_hostile: false,
    };
    let server = Server::new(settings, vec![0.0; D], None).unwrap();
    let terms = Terms { n, updates, ..terms() };
    Rounds::open(server, terms, doors, (f, least), 0.0).unwrap()
}

/// The terms of a run of synchronous rounds on `D` parameters.
fn terms() -> Terms {
    Terms {
        n: 0,
        settings: "rule = 'median'".into(),
        layout: vec![("w".into(), vec![D])],
        letter: Letter { d: D, statistics: 0, codec: Codec::F32 },
        asynchronous: false,
        local: Default::default(),
        previous: false,
        updates: None,
    }
}

fn loopback() -> Doors {
    Doors { deadline: 2.0, patience: 5.0, ..Doors::loopback() }
}

/// Drives the rounds on a thread of its own until `steps` are closed, and returns what of each was
/// refused and how many rows it had.
fn drive(mut rounds: Rounds, steps: usize) -> std::thread::JoinHandle<Vec<(usize, Vec<String>)>> {
    std::thread::spawn(move || {
        let mut closed = Vec::new();
        while closed.len() < steps {
            if let Some((_, _, step)) = rounds.advance() {
                let refused = step.refused.iter().map(|refusal| refusal.to_string());
                closed.push((step.n, refused.collect()));
            }
        }
        rounds.finish();
        std::thread::sleep(Duration::from_millis(300));
        closed
    })
}

fn client(address: std::net::SocketAddr, worker: u32) -> Client {
    let address = address.to_string();
    let connection = Connection { address, keys: None, server_name: None, worker: Some(worker) };
    let mut client = Client::new(connection).unwrap();
    client.join("test").unwrap();
    client
}

fn bytes(row: &[f32]) -> bytes::Bytes {
    Letter { d: row.len(), statistics: 0, codec: Codec::F32 }.encode(row, &[]).into()
}

/// Waits for a version at least this, and answers it with the row.
fn answer(client: &mut Client, version: u64, row: &[f32]) -> Receipt {
    loop {
        match client.pull(version, false, false).unwrap() {
            News::Whole(header, _) => {
                return client.push((header.version, header.version), &bytes(row), 0.5).unwrap();
            }
            News::NotModified => {}
            _ => panic!("a model is due"),
        }
    }
}

#[test]
fn each_thing_that_a_worker_must_not_do_is_refused_and_costs_nobody_else() {
    let rounds = rounds(5, 1, &loopback());
    let address = rounds.address();
    let mut all: Vec<Client> = (0..5).map(|id| client(address, id)).collect();
    let driver = drive(rounds, 2);
    let key = all[0].joined().unwrap().receipt_key.clone();
    let first = answer(&mut all[0], 0, &[1.0; D]);
    assert!(first.admitted && first.number == 0 && is_signed(&first, &key));
    // The same again gets the same receipt, whatever has come since.
    let again = all[0].push((0, 0), &bytes(&[1.0; D]), 9.0).unwrap();
    assert_eq!(again, first);
    // Another message for the step proves its sender hostile.
    let second = answer(&mut all[4], 0, &[2.0; D]);
    assert!(second.admitted);
    let other = all[4].push((0, 0), &bytes(&[3.0; D]), 0.0).unwrap();
    assert_eq!((other.admitted, &*other.reason), (false, "equivocation"));
    // Steps that are not open; a number that is not the step's.
    for (version, number) in [(1, 1), (7, 7), (u64::MAX, u64::MAX), (0, 1)] {
        let wrong = all[1].push((version, number), &bytes(&[1.0; D]), 0.0).unwrap();
        assert_eq!((wrong.admitted, &*wrong.reason), (false, "wrong-step"), "{version} {number}");
    }
    // Too many bytes say so in their header, and are not read.
    let long = all[3].push((0, 0), &bytes(&[0.0; D + 1]), 0.0).unwrap();
    assert_eq!((long.admitted, &*long.reason), (false, "wrong-length"));
    let after = all[3].push((0, 0), &bytes(&[1.0; D]), 0.0).unwrap();
    assert!(!after.admitted, "what is proven stays proven in this step: {after:?}");
    for id in [1, 2] {
        assert!(answer(&mut all[id], 0, &[1.0; D]).admitted);
    }
    // The next step: worker 3 is back, worker 4 sends what no rule may see.
    for id in 0..4 {
        assert!(answer(&mut all[id], 1, &[1.0; D]).admitted);
    }
    let nan = answer(&mut all[4], 1, &[f32::NAN; D]);
    assert_eq!((nan.admitted, &*nan.reason), (false, "not-finite"));
    let closed = driver.join().unwrap();
    assert_eq!(closed.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [3, 4]);
    assert!(closed[0].1.iter().any(|text| text.contains("worker 4: equivocation")), "{closed:?}");
    assert!(closed[1].1[0].contains("NaN at coordinate 0"), "{closed:?}");
}

#[test]
fn a_worker_that_hangs_ends_no_round_and_is_not_waited_for_for_ever() {
    let rounds = rounds(3, 1, &Doors { deadline: 0.4, ..loopback() });
    let address = rounds.address();
    let mut all: Vec<Client> = (0..3).map(|id| client(address, id)).collect();
    let begun = std::time::Instant::now();
    let driver = drive(rounds, 12);
    // Worker 2 is connected and never answers: median wants three rows at f = 1, so each of these
    // rounds is extended once and skipped, which is slow but does not stop.
    for step in 0..3 {
        for id in 0..2 {
            answer(&mut all[id], step, &[1.0; D]);
        }
    }
    // It leaves: then no round waits for it, and each is skipped at once for want of rows... until
    // it is back.
    let mut late = all.pop().unwrap();
    for step in 3..12 {
        for client in &mut all {
            answer(client, step, &[1.0; D]);
        }
        answer(&mut late, step, &[1.0; D]);
    }
    let closed = driver.join().unwrap();
    assert_eq!(closed.iter().filter(|(n, _)| *n == 3).count(), 9, "{closed:?}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn who_follows_by_signs_holds_the_servers_bits_for_a_bit_or_two_a_coordinate() {
    let rounds = rounds_by("majority", 3, 0, &loopback());
    let address = rounds.address();
    let mut all: Vec<Client> = (0..3).map(|id| client(address, id)).collect();
    let driver = drive(rounds, 2);
    let mut follower = match all[0].pull(0, false, false).unwrap() {
        News::Whole(_, params) => Follower::at(&Optimiser::sgd(1.0), params),
        _ => panic!("the first model is whole"),
    };
    for row in [[1.0, -1.0, 0.0, 1.0, 1.0, -1.0]; 3].iter().zip(&mut all) {
        assert!(answer(row.1, 0, row.0).admitted);
    }
    match all[0].pull(1, false, true).unwrap() {
        News::Signs(header, signs) => {
            assert_eq!(signs.len(), 8, "two planes of one word");
            let mut step = [0.0; D];
            Signs::read(D, &signs).unwrap().decode(&mut step);
            follower.step(header.step_rate, &step);
            assert_eq!(follower.params(), [-1.0, 1.0, 0.0, -1.0, -1.0, 1.0]);
            let bytes: Vec<u8> = follower.params().iter().flat_map(|x| x.to_le_bytes()).collect();
            assert_eq!(header.parameters_digest, blake3::hash(&bytes).as_bytes().as_slice());
        }
        _ => panic!("signs are due"),
    }
    for client in &mut all {
        assert!(answer(client, 1, &[1.0; D]).admitted);
    }
    driver.join().unwrap();
}

#[test]
fn in_asynchronous_training_haste_gains_nothing_and_a_pause_holds() {
    let folder = tempfile::tempdir().unwrap();
    let admin = folder.path().join("admin.sock");
    let doors = Doors { rate: 2.0, admin: Some(admin.clone()), ..loopback() };
    let settings = QueueSettings {
        n: 2,
        f: 1,
        filter: build_filter("async-sgd", 2, 1).unwrap(),
        optimiser: Optimiser::sgd(1.0),
        arrivals_per_epoch: 1.0,
        keep: 2,
        buffers: Vec::new(),
        seed: Seed(1),
    };
    let queue = Queue::new(settings, vec![0.0; D], None).unwrap();
    let terms = Terms { n: 2, asynchronous: true, ..terms() };
    let mut arrivals = Arrivals::open(queue, terms, &doors, (1, "async-sgd")).unwrap();
    let address = arrivals.address();
    let over = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&over);
    let driver = std::thread::spawn(move || {
        while !ends.load(Ordering::Relaxed) {
            arrivals.advance();
        }
        (arrivals.queue().judged(), arrivals.queue().params()[0])
    });
    let mut hasty = client(address, 1);
    let first = hasty.push((0, 0), &bytes(&[1.0; D]), 0.0).unwrap();
    assert!(first.admitted, "{first:?}");
    // Forty messages that differ from the first of their number: only those within the rate count.
    let reasons: Vec<String> = (0..40)
        .map(|k| hasty.push((0, 0), &bytes(&[k as f32 + 2.0; D]), 0.0).unwrap().reason)
        .collect();
    let counted = reasons.iter().filter(|reason| *reason == "equivocation").count();
    assert!((1..=10).contains(&counted), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason == "too-many"));
    // In a pause a message waits, and is answered after it.
    ask(&admin, Order::Pause).unwrap();
    let mut calm = client(address, 0);
    let waits = std::thread::spawn(move || calm.push((0, 0), &bytes(&[1.0; D]), 0.0).unwrap());
    std::thread::sleep(Duration::from_millis(600));
    assert!(!waits.is_finished());
    ask(&admin, Order::Resume).unwrap();
    assert!(waits.join().unwrap().admitted);
    over.store(true, Ordering::Relaxed);
    let (judged, moved) = driver.join().unwrap();
    assert_eq!((judged, moved), (counted as u64 + 2, -2.0), "two steps, and the turned away");
}

#[test]
fn malformed_streams_end_in_a_status_and_leave_the_round_open() {
    let rounds = rounds(3, 1, &loopback());
    let address = rounds.address();
    let mut all: Vec<Client> = (0..3).map(|id| client(address, id)).collect();
    let run = all[0].joined().unwrap().run;
    let driver = drive(rounds, 1);
    loop {
        if let News::Whole(..) = all[0].pull(0, false, false).unwrap() {
            break;
        }
    }
    let header = |bytes: u64| PushHeader { run, bytes, ..PushHeader::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let refused = |parts: Vec<Part>, worker: &'static str| {
        runtime.block_on(async {
            let url = format!("http://{address}");
            let mut stub = ParameterServerClient::connect(url).await.unwrap();
            let parts = parts.into_iter().map(|part| PushRequest { part: Some(part) });
            let mut request = tonic::Request::new(tokio_stream::iter(parts));
            if !worker.is_empty() {
                request.metadata_mut().insert("varangian-worker", worker.parse().unwrap());
            }
            stub.push(request).await.unwrap_err().message().to_owned()
        })
    };
    let chunk = |len: usize| Part::Chunk(vec![0; len].into());
    for (parts, worker, why) in [
        (vec![], "0", "begins with its header"),
        (vec![chunk(4)], "0", "begins with its header"),
        (vec![Part::Header(header(24)), chunk(20)], "0", "ended after 20 of 24 bytes"),
        (vec![Part::Header(header(24)), chunk(20), chunk(20)], "0", "40 in all"),
        (vec![Part::Header(header(24)), Part::Header(header(24))], "0", "a second header"),
        (vec![Part::Header(PushHeader { run: run ^ 1, ..header(24) })], "0", "join again"),
        (
            vec![Part::Header(PushHeader { digest: vec![1; 32].into(), ..header(24) }), chunk(24)],
            "0",
            "digest differs",
        ),
        (vec![Part::Header(header(24)), chunk(24)], "3", "names a worker, 0 to 2"),
        (vec![Part::Header(header(24)), chunk(24)], "-1", "names a worker, 0 to 2"),
        (vec![Part::Header(header(24)), chunk(24)], "", "names a worker, 0 to 2"),
    ] {
        let said = refused(parts, worker);
        assert!(said.contains(why), "{why}: {said}");
    }
    let old = runtime.block_on(async {
        let mut stub = ParameterServerClient::connect(format!("http://{address}")).await.unwrap();
        let mut request =
            tonic::Request::new(JoinRequest { protocols: vec![2, 3], agent: "x".into() });
        request.metadata_mut().insert("varangian-worker", "0".parse().unwrap());
        let join = stub.join(request).await.unwrap_err();
        let mut request = tonic::Request::new(PullRequest { run: 1, ..PullRequest::default() });
        request.metadata_mut().insert("varangian-worker", "0".parse().unwrap());
        let pull = stub.pull(request).await.err().unwrap();
        (join.message().to_owned(), pull.message().to_owned())
    });
    assert!(old.0.contains("speaks protocol 1; the worker [2, 3]") && old.1.contains("join again"));
    for client in &mut all {
        assert!(answer(client, 0, &[1.0; D]).admitted);
    }
    assert_eq!(driver.join().unwrap()[0], (3, Vec::new()));
}

fn keys(ca: &Path, own: &Path, name: &str) -> Keys {
    Keys {
        ca: ca.join("ca.pem"),
        certificate: own.join(format!("{name}.pem")),
        key: own.join(format!("{name}.key")),
    }
}

/// Why a worker with these keys is not let in; nothing where it is.
fn turned_away(address: std::net::SocketAddr, keys: Keys, server: &str) -> Option<String> {
    let connection = Connection {
        address: format!("127.0.0.1:{}", address.port()),
        keys: Some(keys),
        server_name: Some(server.into()),
        worker: None,
    };
    match Client::new(connection) {
        Err(trouble) => Some(trouble.to_string()),
        Ok(mut client) => match client.join("test") {
            Ok(_) => None,
            Err(Failed::Final(trouble)) => Some(trouble.to_string()),
            Err(Failed::Again(text)) => Some(format!("again: {text}")),
        },
    }
}

#[test]
fn who_is_not_who_they_say_is_turned_away() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ours, theirs) = (ours.path(), theirs.path());
    let authority = Authority::init(ours, "ours", 30).unwrap();
    authority.issue_server("server", &["ps.test".into()], 30).unwrap();
    for id in 0..3 {
        authority.issue_worker(&format!("worker-{id}"), Some(id), "", 30).unwrap();
    }
    let other = Authority::init(theirs, "theirs", 30).unwrap();
    other.issue_worker("worker-0", Some(0), "", 30).unwrap();
    other.issue_server("server", &["ps.test".into()], 30).unwrap();
    let doors = Doors {
        keys: Some(keys(ours, ours, "server")),
        roll: Some(ours.join("workers.toml")),
        ..loopback()
    };
    let rounds = rounds(3, 1, &doors);
    let address = rounds.address();
    let good = || keys(ours, ours, "worker-1");
    assert_eq!(turned_away(address, good(), "ps.test"), None);
    let refused = |keys: Keys, server: &str, why: &[&str]| {
        let said = turned_away(address, keys, server).expect("turned away");
        assert!(why.iter().any(|why| said.contains(why)), "{why:?}: {said}");
        assert!(!said.starts_with("again"), "no other try helps: {said}");
    };
    // The server is not who it should be: another name, another authority.
    refused(good(), "elsewhere.test", &["not valid for name", "NotValidForName"]);
    refused(keys(theirs, ours, "worker-1"), "ps.test", &["UnknownIssuer", "BadSignature"]);
    // The worker is not: another authority's, a server's own certificate, one that signs itself.
    refused(keys(ours, theirs, "worker-0"), "ps.test", &["alert"]);
    refused(keys(ours, ours, "server"), "ps.test", &["alert"]);
    refused(
        Keys { certificate: ours.join("ca.pem"), key: ours.join("ca.key"), ..good() },
        "ps.test",
        &["alert"],
    );
    // Its time is over, though authority and enrolment are right.
    ended(&authority, ours, "worker-1", "old");
    refused(keys(ours, ours, "old"), "ps.test", &["alert"]);
    // It is off the roll: from then on, and nobody else with it.
    varangian_net::roll::Roll::revoke(&ours.join("workers.toml"), "worker-1").unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    refused(good(), "ps.test", &["is not enrolled here"]);
    assert_eq!(turned_away(address, keys(ours, ours, "worker-2"), "ps.test"), None);
    // Without TLS nobody gets a word in.
    let plain =
        Connection { address: address.to_string(), keys: None, server_name: None, worker: Some(0) };
    assert!(Client::new(plain).unwrap().join("test").is_err());
}

/// Signs a certificate for the key of `name` that ended yesterday, as `old.pem` and `old.key`.
fn ended(authority: &Authority, dir: &Path, name: &str, old: &str) {
    let read = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap();
    let signs = rcgen::KeyPair::from_pem(&read("ca.key")).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&read("ca.pem"), signs).unwrap();
    let key = rcgen::KeyPair::from_pem(&read(&format!("{name}.key"))).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let now = std::time::SystemTime::now();
    let days = |days: u64| Duration::from_secs(86_400 * days);
    (params.not_before, params.not_after) = ((now - days(9)).into(), (now - days(1)).into());
    let made = params.signed_by(&key, &issuer).unwrap();
    std::fs::write(dir.join(format!("{old}.pem")), made.pem()).unwrap();
    std::fs::copy(dir.join(format!("{name}.key")), dir.join(format!("{old}.key"))).unwrap();
    let enrolled = std::fs::read_to_string(authority.workers()).unwrap();
    let key = varangian_net::authority::fingerprint_of(made.der()).unwrap();
    assert!(enrolled.contains(&key), "its key is enrolled: only the date is wrong");
}

#[test]
fn a_server_says_whether_it_serves_and_where_a_worker_that_was_restarted_goes_on() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    let rounds = rounds(3, 1, &loopback());
    let address = rounds.address();
    let mut all: Vec<Client> = (0..3).map(|id| client(address, id)).collect();
    assert!(all.iter().all(|client| client.joined().unwrap().next == 0));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let serves = || {
        runtime.block_on(async {
            let channel = tonic::transport::Endpoint::new(format!("http://{address}")).unwrap();
            let mut stub = HealthClient::new(channel.connect().await.unwrap());
            let service = "varangian.ps.v1.ParameterServer".to_owned();
            let said = stub.check(HealthCheckRequest { service }).await.unwrap().into_inner();
            said.status().as_str_name().to_owned()
        })
    };
    assert_eq!(serves(), "SERVING");
    let (close, closed) = std::sync::mpsc::channel::<()>();
    let driver = std::thread::spawn(move || {
        let mut rounds = rounds;
        let mut left = 2;
        while left > 0 {
            left -= usize::from(rounds.advance().is_some());
        }
        rounds.finish();
        closed.recv().unwrap();
    });
    assert!(answer(&mut all[1], 0, &[1.0; D]).admitted);
    // Killed and started again while the step is open: it waits for the next one.
    let again = client(address, 1);
    assert_eq!(again.joined().unwrap().next, 1);
    assert!(answer(&mut all[0], 0, &[1.0; D]).admitted);
    assert!(answer(&mut all[2], 0, &[1.0; D]).admitted);
    all.iter_mut().for_each(|client| assert!(answer(client, 1, &[1.0; D]).admitted));
    let begun = std::time::Instant::now();
    while serves() != "NOT_SERVING" {
        assert!(begun.elapsed() < Duration::from_secs(20), "it says that the run is over");
    }
    close.send(()).unwrap();
    driver.join().unwrap();
}

#[test]
fn doors_that_nobody_can_mean_are_refused() {
    let rule = || Doors { deadline: f64::NAN, ..Doors::loopback() };
    let open = |doors: &Doors| {
        let settings = Settings {
            n: 3,
            f: 0,
            weights: None,
            participation: None,
            non_finite: Default::default(),
            rule: Pipeline::parse("median").unwrap(),
            optimiser: Optimiser::sgd(1.0),
            steps_per_epoch: 1.0,
            buffers: Vec::new(),
            seed: Seed(1),
            packs_votes: false,
            silence_is_hostile: false,
        };
        let server = Server::new(settings, vec![0.0; D], None).unwrap();
        let terms = Terms { n: 3, ..terms() };
        Rounds::open(server, terms, doors, (0, 1), 0.0).err().unwrap().to_string()
    };
    assert!(open(&rule()).contains("deadline is a number of seconds above 0"));
    let wide = Doors { listen: "0.0.0.0:0".parse().unwrap(), ..Doors::loopback() };
    assert!(open(&wide).contains("on loopback alone; found 0.0.0.0:0"));
    let fast = Doors { rate: -1.0, ..Doors::loopback() };
    assert!(open(&fast).contains("rate is messages a second"));
}
