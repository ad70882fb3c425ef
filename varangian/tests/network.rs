//! A server and workers as processes, over sockets: the bits of a run in one process, and what is
//! left of them when somebody is killed, hostile, or not who they say.

#![allow(clippy::disallowed_methods)] // Processes are given their time.

#[path = "network/collector.rs"]
mod collector;
#[path = "common/json_page.rs"]
mod json_page;
#[path = "network/served.rs"]
mod served;

use served::{Site, last};
use std::io::{Read, Write};

/// A small run; `more` adds keys.
fn experiment(more: &str) -> String {
    format!(
        "name = 'small'\ndataset = 'logreg'\nmodel = 'logreg-net'\nn = 5\nf = 1\nbatch = 8\n\
         steps = 12\nevaluate_every = 4\nlearning_rate = 0.05\nseed = 3\n{more}"
    )
}

/// Serves the experiment to honest workers and to a drill where it is attacked; its outcome.
fn serve(site: &mut Site, honest: u32, drill: Option<(&[u32], &str)>) -> serde_json::Value {
    let port = site.serve("server", 0, &["--insecure"]);
    (0..honest).for_each(|id| site.work(id, port));
    if let Some((ids, attack)) = drill {
        site.drill(ids, attack, port);
    }
    site.wait("server");
    (0..honest).for_each(|id| site.wait(&format!("worker-{id}")));
    site.served()
}

#[test]
fn without_faults_the_bits_are_those_of_lockstep() {
    let alie = Some((&[4u32][..], "alie z=1.5"));
    for (more, drill) in [
        (
            "rule = 'trimmed-mean'\nmomentum = 0.9\nmomentum_at = 'worker'\nattack = 'alie z=1.5'",
            alie,
        ),
        ("rule = 'majority'\nmessage = 'one-bit'\nmomentum = 0.9\nmomentum_at = 'worker'", None),
        ("rule = 'median'\nlocal_steps = 3\ncompression = 'top-k keep=0.3'", None),
        ("rule = 'rsa lambda=0.05'\nmessage = 'rsa lambda=0.05'\nmomentum = 0.0", None),
        ("rule = 'majority'\nmessage = 'election times=3'\nmomentum = 0.0", None),
        ("rule = 'majority'\nmessage = 'sign-muon'\nmomentum = 0.9\nmomentum_at = 'worker'", None),
        (
            "rule = 'draco-cyclic r=3 n=5'\nmessage = 'draco-cyclic r=3'\nmomentum = 0.0\n\
             attack = 'alie z=1.5'",
            alie,
        ),
        (
            "rule = 'average'\nmessage = 'stochastic-sign bound=0.5'\nmomentum = 0.0\nf_real = 0\n\
             server_optimiser = 'scaled-sign'",
            None,
        ),
        (
            "rule = 'median'\nmessage = 'dasha p=0.3'\ncompression = 'rand-k keep=0.3'\n\
             momentum = 0.0\nf_real = 0",
            None,
        ),
        ("rule = 'per-block by=layer | clipping c=median | average'\nattack = 'alie z=1.5'", alie),
        ("rule = 'krum'\ncertificate = 'sharp'\nattack = 'alie z=1.5'", alie),
        (
            "rule = 'median'\npartition = 'sorted'\npartition_over = 'honest'\nmomentum = 0.9\n\
             momentum_at = 'worker'\nattack = 'sign-flip momentum=none'",
            Some((&[4], "sign-flip momentum=none")),
        ),
        ("rule = 'draco r=5'\nsampling = 'repeated times=5'\nattack = 'alie z=1.5'", alie),
        (
            "rule = 'reactive chance=0.5 r=5'\nsampling = 'checked chance=0.5 times=5'\n\
             momentum = 0.0\nattack = 'alie z=1.5'",
            alie,
        ),
        (
            "rule = 'median'\nparticipation = 'sample workers=4 f=1'\nf_real = 0\nnesterov = true\n\
          momentum = 0.9\nmomentum_at = 'server'",
            None,
        ),
        (
            "rule = 'trimmed-mean'\nattack = 'alie z=1.5'\nmomentum = 0\nlocal_steps = 3\n\
             local_rate = 0.01\nlocal_optimiser = 'adamw'\nserver_optimiser = 'nesterov'",
            alie,
        ),
        (
            "rule = 'median'\nparticipation = 'chance p=0.5 cache=true'\nf_real = 0\n\
             momentum = 0.9\ndampening = 0.9\nserver_optimiser = 'normalised'",
            None,
        ),
        (
            "rule = 'median'\nmomentum = 0.9\nmomentum_at = 'rows'\nf_real = 0\n\
             compression = 'rand-k keep=0.3 masks=shared'",
            None,
        ),
        (
            "rule = 'median'\nmomentum = 0.9\nmomentum_at = 'worker-twice'\nf_real = 0\n\
             compression = 'ef21 keep=0.3'",
            None,
        ),
        ("rule = 'median'\nf_real = 0\ncompression = 'quantised levels=3'", None),
        (
            "rule = 'bucketing s=2 | median'\nf_real = 0\nmessage = 'marina p=0.3'\nmomentum = 0",
            None,
        ),
        (
            "rule = 'median'\nf_real = 0\nmessage = 'marina p=0.3'\nmomentum = 0\n\
             sampling = 'shared-pool'\ncompression = 'rand-k keep=0.3 masks=shared'",
            None,
        ),
        ("rule = 'geometric-median'\nf_real = 0\nmessage = 'saga'\nmomentum = 0", None),
        (
            "rule = 'median'\nf_real = 0\nmessage = 'storm'\nmomentum = 0\n\
             server_optimiser = 'anytime gamma=0.5'",
            None,
        ),
        (
            "rule = 'trimmed-mean'\nmessage = 'marina p=0.3'\nmomentum = 0\nattack = 'alie z=1.5'",
            alie,
        ),
    ] {
        let mut site = Site::new(&experiment(more));
        let here = site.lockstep();
        let honest = if drill.is_some() { 4 } else { 5 };
        let there = serve(&mut site, honest, drill);
        assert_eq!(there["parameters"], here["parameters"], "{more}");
        for metric in ["accuracy", "test_loss"] {
            assert_eq!(last(&there, metric), last(&here, metric), "{more}");
        }
        for metric in ["radius", "descent", "length", "margin"] {
            let metric = format!("certificate/{metric}");
            if more.contains("certificate") {
                assert_eq!(last(&there, &metric), last(&here, &metric), "{metric}");
            }
        }
    }
}

#[test]
fn a_server_that_is_killed_goes_on_and_ends_on_the_same_bits() {
    let text = experiment("rule = 'median'\nmomentum = 0.9\nmomentum_at = 'worker'\nsteps = 900");
    let text = text.replace("steps = 12\n", "");
    let mut site = Site::new(&text);
    let here = site.lockstep();
    let every = ["--insecure", "--checkpoint-steps", "7"];
    let port = site.serve("first", 0, &every);
    (0..5).for_each(|id| site.work(id, port));
    site.until("half-way", |_| site.step() >= 60);
    site.kill("first");
    assert!(
        !site
            .path("served")
            .join("runs")
            .read_dir()
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_string_lossy().ends_with(".json") })
    );
    site.serve("second", port, &every);
    site.wait("second");
    (0..5).for_each(|id| site.wait(&format!("worker-{id}")));
    assert!(site.log("worker-0").contains("the server is back"), "{}", site.log("worker-0"));
    assert_eq!(site.served()["parameters"], here["parameters"]);
}

#[test]
fn a_worker_that_is_killed_goes_on_with_the_state_that_it_kept() {
    let text = experiment("rule = 'median'\nmomentum = 0.9\nmomentum_at = 'worker'\nsteps = 900");
    let text = text.replace("steps = 12\n", "");
    let mut same = Vec::new();
    for keeps in [true, false] {
        let mut site = Site::new(&text);
        let here = site.lockstep();
        let port = site.serve("server", 0, &["--insecure"]);
        let server = format!("127.0.0.1:{port}");
        let words = ["work", "--server", &server, "--worker", "2", "--threads", "1"];
        let state = if keeps { &["--state", "worker-2.state"][..] } else { &[] };
        let words = [&words[..], state].concat();
        [0, 1, 3, 4].into_iter().for_each(|id| site.work(id, port));
        site.start("first", &words);
        let order = |site: &Site, order: &str| {
            let (well, said) = site.said(&["admin", "served/admin.sock", order]);
            assert!(well, "{said}");
        };
        site.until("under way", |_| site.step() >= 40);
        order(&site, "pause");
        // The open round ends; the next one does not begin.
        std::thread::sleep(std::time::Duration::from_millis(500));
        site.kill("first");
        site.until("without worker 2", |said| said.contains("absent"));
        site.start("second", &words);
        site.until("with it", |said| said.matches("present").count() == 5);
        if keeps {
            let (well, said) = site.said(&words);
            assert!(!well && said.contains("worker-2.state is in use by another"), "{said}");
        }
        order(&site, "resume");
        site.wait("server");
        site.wait("second");
        let said = site.log("second");
        assert_eq!(said.contains("going on with the state for step"), keeps, "{said}");
        same.push(site.served()["parameters"] == here["parameters"]);
        let refused = site.served()["refused"].to_string();
        assert!(!refused.contains("equivocation"), "{refused}");
    }
    assert_eq!(same, [true, false], "without its momentum a worker says something else");
}

#[test]
fn with_certificates_too_workers_find_a_server_that_was_killed() {
    let text = experiment("rule = 'median'\nsteps = 900").replace("steps = 12\n", "");
    let mut site = Site::new(&text);
    let here = site.lockstep();
    for words in [
        vec!["ca", "init", "ca"],
        vec!["ca", "server", "server", "--host", "127.0.0.1"],
        vec!["ca", "issue", "worker-0"],
        vec!["ca", "issue", "worker-1"],
        vec!["ca", "issue", "worker-2"],
        vec!["ca", "issue", "worker-3"],
        vec!["ca", "issue", "worker-4"],
    ] {
        let (well, said) = site.said(&words);
        assert!(well, "{said}");
    }
    let more = ["--tls", "ca", "--checkpoint-steps", "5"];
    let port = site.serve("first", 0, &more);
    let server = format!("127.0.0.1:{port}");
    for id in 0..5 {
        let name = format!("worker-{id}");
        let tls = ["--tls", "ca", "--name", &name, "--threads", "1"];
        site.start(&name, &[&["work", "--server", &server], &tls[..]].concat());
    }
    site.until("half-way", |_| site.step() >= 40);
    site.kill("first");
    site.serve("second", port, &more);
    site.wait("second");
    (0..5).for_each(|id| site.wait(&format!("worker-{id}")));
    assert_eq!(site.served()["parameters"], here["parameters"]);
}

#[test]
fn with_hostile_workers_and_killed_ones_training_goes_on() {
    let more = "rule = 'nnm | trimmed-mean'\nn = 8\nf = 3\nattack = 'alie z=1.5'\nsteps = 300\n\
                momentum = 0.9\nmomentum_at = 'worker'\nevaluate_every = 100";
    let text = experiment("");
    let kept =
        |line: &&str| !["n =", "f =", "steps", "evaluate"].iter().any(|k| line.starts_with(k));
    let text: Vec<&str> = text.lines().filter(kept).collect();
    let mut site = Site::new(&format!("{}\n{more}", text.join("\n")));
    let here = site.lockstep();
    let port = site.serve("server", 0, &["--insecure", "--deadline", "20"]);
    (0..5).for_each(|id| site.work(id, port));
    site.drill(&[5, 6, 7], "alie z=1.5", port);
    site.until("under way", |_| site.step() >= 20);
    site.kill("worker-2");
    site.until("without worker 2", |said| said.contains("absent"));
    site.until("further", |_| site.step() >= 60);
    site.work(2, port);
    site.kill("server");
    site.serve("again", port, &["--insecure", "--deadline", "20"]);
    site.wait("again");
    let (there, here) = (last(&site.served(), "accuracy"), last(&here, "accuracy"));
    assert!((there - here).abs() < 0.05, "{there} beside {here}");
}

#[test]
fn most_workers_may_be_hostile_where_the_server_validates_each_message() {
    let text = "name = 'many'\ndataset = 'logreg'\nmodel = 'logreg-net'\nn = 10\nf = 8\n\
                batch = 16\nsteps = 200\nevaluate_every = 100\nlearning_rate = 0.1\nseed = 1\n\
                rule = 'zeno++'\nattack = 'sign-flip scale=10'\nvalidation = 200\n";
    let mut site = Site::new(text);
    let here = site.lockstep();
    let port = site.serve("server", 0, &["--insecure", "--staleness", "50"]);
    (0..2).for_each(|id| site.work(id, port));
    site.drill(&[2, 3, 4, 5, 6, 7, 8, 9], "sign-flip scale=10", port);
    site.wait("server");
    let (there, here) = (site.served(), here);
    let (found, wanted) = (last(&there, "accuracy"), last(&here, "accuracy"));
    assert!((found - wanted).abs() < 0.1, "{found} beside {wanted} of the simulation");
    // The simulation's workers arrive equally often; here the honest ones are quicker, and a model
    // that has learnt more has gradients of which more point either way.
    let found = last(&there, "rejected/hostile");
    let honest = last(&there, "rejected/honest");
    assert!(found > 0.5 && found > 2.0 * honest, "{found} of hostile, {honest} of honest ones");
}

#[test]
fn the_state_is_shown_and_orders_are_obeyed() {
    let text = experiment("rule = 'average'").replace("steps = 12\n", "steps = 100000\n");
    let mut site = Site::new(&text);
    let port = site.serve("server", 0, &["--insecure", "--deadline", "5"]);
    (0..5).for_each(|id| site.work(id, port));
    site.until("under way", |said| said.matches("present").count() == 5 && site.step() > 3);
    let (well, said) = site.said(&["admin", "served/admin.sock", "revoke", "2"]);
    assert!(well && said.contains("revoked"), "{said}");
    let (well, said) = site.said(&["admin", "served/admin.sock", "revoke", "9"]);
    assert!(!well && said.contains("workers are 0 to 4; found 9"), "{said}");
    let (_, said) = site.said(&["admin", "served/admin.sock", "pause"]);
    assert!(said.contains("paused"), "{said}");
    for order in [
        &["top", "served/admin.sock", "--json"][..],
        &["admin", "--json", "served/admin.sock", "status"],
    ] {
        let (_, said) = site.said(order);
        let value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
        let found = json_page::held("top", &value);
        json_page::all_of("top", &found);
        assert!(value["paused"] == true && value["workers"][2]["state"] == "revoked", "{value}");
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    let step = site.step();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(site.step(), step, "nothing moves");
    site.said(&["admin", "served/admin.sock", "resume"]);
    site.until("on its way again", |_| site.step() > step);
    let (well, said) = site.said(&["admin", "served/admin.sock", "stop"]);
    assert!(well, "{said}");
    assert_eq!(site.ended("server"), Some(130), "as after Ctrl-C");
    let log = site.log("server");
    assert!(log.contains("the same command goes on"), "{log}");
    let log = site.log("worker-2");
    assert!(log.contains("worker 2 is revoked"), "{log}");
}

/// What a page of this machine answers at this path.
fn fetched(address: &str, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let ask = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn a_page_follows_who_is_here_how_long_rounds_take_and_who_is_suspicious() {
    let more = "rule = 'median'\nattack = 'sign-flip scale=30'";
    let text = experiment(more).replace("steps = 12\n", "steps = 1000000\n");
    let text = text.replace("n = 5\n", "n = 7\n");
    let mut site = Site::new(&text);
    let port = site.serve("server", 0, &["--insecure", "--evidence", "--http", "0"]);
    let said = site.log("server");
    let page = said.split("page at http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    assert!(fetched(&page, "/").contains("<html"));
    let seen = || {
        let all: serde_json::Value = serde_json::from_str(&fetched(&page, "/data")).unwrap();
        all["running"][0]["served"].clone()
    };
    // Before anybody came it says so.
    site.until("nobody", |_| seen()["present"] == serde_json::json!(vec![false; 7]));
    (0..6).for_each(|id| site.work(id, port));
    site.drill(&[6], "sign-flip scale=30", port);
    let shares = |seen: &serde_json::Value| -> Vec<f64> {
        let all = seen["suspicion"].as_array().unwrap().iter();
        all.map(|one| one["share"].as_f64().unwrap()).collect()
    };
    site.until("under suspicion", |_| {
        let shares = shares(&seen());
        shares[6] > 0.6 && shares[..6].iter().all(|&share| share < 0.4)
    });
    let now = seen();
    assert_eq!((&now["by"], &now["present"]), (&"evidence".into(), &[true; 7].as_slice().into()));
    assert!(now["round_curve"][0][1].as_f64().unwrap() > 0.0, "{now}");
    assert!(!now["suspicion"][6]["curve"].as_array().unwrap().is_empty(), "{now}");
    let (well, said) = site.said(&["admin", "served/admin.sock", "revoke", "6"]);
    assert!(well, "{said}");
    site.kill("worker-3");
    site.until("gone", |_| {
        let now = seen();
        now["revoked"] == serde_json::json!([6]) && now["present"][3] == false
    });
    let refused = |words: &[&str]| site.said(&[&["serve", "e.toml", "--insecure"], words].concat());
    let (well, said) = refused(&["--http", "0.0.0.0:0"]);
    assert!(!well && said.contains("can be reached from other machines"), "{said}");
    let (well, said) = refused(&["--http", &page, "--out", "other", "--listen", "127.0.0.1:0"]);
    assert!(!well && said.contains("another program has port"), "{said}");
}

#[test]
fn a_collector_of_traces_is_told_of_each_round_and_what_it_consists_of() {
    let collector = collector::Collector::open();
    let more = "rule = 'median'\nattack = 'sign-flip scale=3'";
    let mut site = Site::new(&experiment(more));
    let traces = ["--traces", &*collector.endpoint];
    let port = site.serve("server", 0, &[&["--insecure"], &traces[..]].concat());
    (0..4).for_each(|id| site.work(id, port));
    site.drill(&[4], "sign-flip scale=3", port);
    site.wait("server");
    let rounds = collector.named("round");
    assert_eq!(rounds.len(), 12, "{rounds:?}");
    let told = |span: &opentelemetry_proto::tonic::trace::v1::Span, key: &str| {
        let value = span.attributes.iter().find(|one| one.key == key).unwrap().value.clone();
        format!("{:?}", value.unwrap().value.unwrap())
    };
    for (step, round) in rounds.iter().enumerate() {
        assert_eq!(told(round, "step"), format!("IntValue({step})"));
        assert_eq!(told(round, "rows"), "IntValue(5)");
        assert!(round.end_time_unix_nano > round.start_time_unix_nano);
        let within = |span: &opentelemetry_proto::tonic::trace::v1::Span| {
            span.trace_id == round.trace_id && span.parent_span_id == round.span_id
        };
        let (messages, aggregates) = (collector.named("message"), collector.named("aggregate"));
        let messages: Vec<_> = messages.into_iter().filter(within).collect();
        assert_eq!(messages.len(), 5, "{messages:?}");
        let mut workers: Vec<String> = messages.iter().map(|one| told(one, "worker")).collect();
        workers.sort();
        assert_eq!(workers, (0..5).map(|k| format!("IntValue({k})")).collect::<Vec<_>>());
        assert!(messages.iter().all(|one| told(one, "admitted") == "BoolValue(true)"));
        assert_eq!(aggregates.into_iter().filter(within).count(), 1);
    }
    assert_eq!(collector.named("evaluate").len(), 4);
    let (well, said) = site.said(&["serve", "e.toml", "--insecure", "--traces", "127.0.0.1:4317"]);
    assert!(!well && said.contains("http://127.0.0.1:4317"), "{said}");
    // Where nobody collects, training goes on.
    let mut site = Site::new(&experiment("rule = 'average'"));
    let port = site.serve("alone", 0, &["--insecure", "--traces", "http://127.0.0.1:9"]);
    (0..5).for_each(|id| site.work(id, port));
    site.wait("alone");
    let log = site.log("alone");
    assert!(log.contains("Results:"), "{log}");
}

#[test]
fn what_a_server_or_worker_cannot_be_is_said_in_one_line() {
    let site = Site::new(&experiment("rule = ['average', 'median']"));
    let refused = |words: &[&str]| {
        let (well, said) = site.said(words);
        assert!(!well, "{said}");
        said
    };
    let said = refused(&["serve", "e.toml", "--insecure"]);
    assert!(said.contains("the file has 2, that differ in: rule"), "{said}");
    let one = ["serve", "e.toml", "--set", "rule=median", "--listen"];
    let said = refused(&[&one[..], &["0.0.0.0:0", "--insecure"]].concat());
    assert!(said.contains("without certificates the server listens on loopback alone"), "{said}");
    let said = refused(&[&one[..], &["127.0.0.1:0", "--tls", "nowhere"]].concat());
    assert!(said.contains("nowhere"), "{said}");
    let said = refused(&["work", "--server", "192.0.2.1:7070", "--worker", "0"]);
    assert!(said.contains("without certificates a worker talks to loopback alone"), "{said}");
    let nobody = ["work", "--server", "127.0.0.1:9", "--worker", "0", "--patience", "0"];
    assert!(refused(&nobody).contains("no server at 127.0.0.1:9 for 0 seconds"));
    let said = refused(&["top", "nowhere.sock"]);
    assert!(said.contains("no server answers at nowhere.sock"), "{said}");
}

/// The audit's log and rows of a site.
fn audited(site: &Site) -> [std::path::PathBuf; 2] {
    ["audit.jsonl", "audit.rows"].map(|name| site.path("served").join(name))
}

#[test]
fn an_audit_makes_every_step_again_and_finds_whatever_was_changed() {
    let more = "rule = 'centred-clipping'\nmomentum = 0.9\nmomentum_at = 'worker'\nsteps = 900";
    let text = experiment(more).replace("steps = 12\n", "");
    let mut site = Site::new(&text);
    let words = ["--insecure", "--audit", "rows", "--checkpoint-steps", "7"];
    let port = site.serve("first", 0, &words);
    let server = format!("127.0.0.1:{port}");
    (0..4).for_each(|id| site.work(id, port));
    let more = ["--worker", "4", "--threads", "1", "--receipts", "worker-4.receipts"];
    site.start("worker-4", &[&["work", "--server", &server], &more[..]].concat());
    // What a crash undoes is made again after it, and both stand in the log. The server is still
    // when it dies, a few steps after a checkpoint.
    site.until("under way", |_| site.step() >= 40);
    loop {
        assert!(site.said(&["admin", "served/admin.sock", "pause"]).0, "{}", site.log("first"));
        let mut step = site.step();
        site.until("still", |_| std::mem::replace(&mut step, site.step()) == step);
        if (1..6).contains(&(step % 7)) {
            break; // Even if one round more was open.
        }
        assert!(site.said(&["admin", "served/admin.sock", "resume"]).0, "{}", site.log("first"));
        site.until("further", |_| site.step() > step);
    }
    site.kill("first");
    site.serve("second", port, &words);
    site.wait("second");
    site.wait("worker-4");
    let verify = ["verify", "served", "--receipts", "worker-4.receipts"];
    let (well, said) = site.said(&verify);
    assert!(well && said.contains("2 starts of the server"), "{said}");
    assert!(said.contains("900 steps made again from 4500 messages: the same bits"), "{said}");
    assert!(said.contains("receipts of worker-4.receipts are the server's"), "{said}");

    assert!(said.contains("the model is the one of the run's record"), "{said}");
    assert!(said.contains("more that crashes undid are as they were logged"), "{said}");
    let (well, said) = site.said(&[&verify[..], &["--json"]].concat());
    let value: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(well && value["starts"] == 2 && value["again"] == 900, "{said}");
    assert!(value["lines"].as_u64() > Some(900) && value["recorded"] == true, "{said}");
    assert!(value["receipts"][0]["receipts"].as_u64() >= Some(900), "{said}");
    assert!(value["receipts"][0]["undone"].is_u64() && value["model"].is_string(), "{said}");

    let [lines, rows] = audited(&site);
    let (whole, text) = (std::fs::read(&rows).unwrap(), std::fs::read_to_string(&lines).unwrap());
    // Cut at its end, in the middle of a line or between two.
    for (cut, why) in [(1, "the last line is cut"), (90, "the last line is cut")] {
        std::fs::write(&lines, &text[..text.len() - cut]).unwrap();
        let (well, said) = site.said(&["verify", "served"]);
        assert!(!well && said.contains(why), "{said}");
    }
    let shorter: Vec<&str> = text.lines().collect();
    std::fs::write(&lines, shorter[..shorter.len() - 3].join("\n") + "\n").unwrap();
    let (well, said) = site.said(&["verify", "served"]);
    assert!(!well && said.contains("897 of 900 steps"), "{said}");
    std::fs::write(&lines, &text).unwrap();
    // A step that was undone.
    let mut bytes = whole.clone();
    bytes[undone(&text)] ^= 1;
    std::fs::write(&rows, &bytes).unwrap();
    let (well, said) = site.said(&["verify", "served"]);
    assert!(!well && said.contains("an undone step"), "{said}");
    // One bit of one row of one step.
    let mut bytes = whole.clone();
    let at = bytes.len() - 77; // Of the last step.
    bytes[at] ^= 4;
    std::fs::write(&rows, &bytes).unwrap();
    let (well, said) = site.said(&["verify", "served"]);
    assert!(!well && said.contains("its bytes have the digest"), "{said}");
    // The same, by somebody who writes digests and chain anew: the model tells.
    let record = rechained(&text, &whole, &bytes);
    std::fs::write(&lines, record).unwrap();
    let (well, said) = site.said(&["verify", "served"]);
    assert!(!well && said.contains("when it is made again; the audit says"), "{said}");
    std::fs::write(&rows, &whole).unwrap();
    // A line changed, and one taken out.
    let flipped = text.replacen("\"f\":1", "\"f\":0", 1);
    let cut: Vec<&str> =
        text.lines().enumerate().filter(|(k, _)| *k != 9).map(|(_, l)| l).collect();
    for changed in [flipped, cut.join("\n") + "\n"] {
        std::fs::write(&lines, changed).unwrap();
        let (well, said) = site.said(&["verify", "served"]);
        assert!(!well && said.contains("the chain breaks at line"), "{said}");
    }
    std::fs::write(&lines, &text).unwrap();
    // A receipt that was changed is not the server's.
    let receipts = site.path("worker-4.receipts");
    let kept = std::fs::read_to_string(&receipts).unwrap();
    std::fs::write(&receipts, kept.replacen("\"number\":20,", "\"number\":21,", 1)).unwrap();
    let (well, said) = site.said(&verify);
    assert!(!well && said.contains("the signature is not the server's"), "{said}");
}

/// Where a body begins that was logged for a step which the restart undid.
fn undone(text: &str) -> usize {
    let entries: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["entry"].take())
        .collect();
    let from = entries.iter().rev().find_map(|entry| entry["begin"]["from"].as_u64()).unwrap();
    let step = entries.iter().find(|entry| entry["step"]["step"].as_u64() == Some(from)).unwrap();
    let at = |message: &serde_json::Value| message["at"][0].as_u64();
    step["step"]["messages"].as_array().unwrap().iter().find_map(at).unwrap() as usize
}

/// The log with the digests of what differs between two files of rows, and a chain that holds.
fn rechained(text: &str, old: &[u8], new: &[u8]) -> String {
    let (mut chain, mut out) = (String::new(), String::new());
    for line in text.lines() {
        let (_, entry) = line.split_once("\"entry\":").unwrap();
        let mut entry = entry.strip_suffix('}').unwrap().to_owned();
        let value: serde_json::Value = serde_json::from_str(&entry).unwrap();
        for message in value["step"]["messages"].as_array().into_iter().flatten() {
            let at = |k: usize| message["at"][k].as_u64().unwrap() as usize;
            let range = at(0)..at(0) + at(1);
            let digest = |bytes: &[u8]| blake3::hash(&bytes[range.clone()]).to_hex().to_string();
            entry = entry.replace(&digest(old), &digest(new));
        }
        chain = blake3::hash(format!("{chain}{entry}").as_bytes()).to_hex().to_string();
        out += &format!("{{\"chain\":\"{chain}\",\"entry\":{entry}}}\n");
    }
    out
}

#[test]
fn an_audit_of_asynchronous_training_judges_every_message_again() {
    let text = "name = 'many'\ndataset = 'logreg'\nmodel = 'logreg-net'\nn = 4\nf = 2\n\
                batch = 16\nsteps = 6000\nevaluate_every = 100\nlearning_rate = 0.1\nseed = 1\n\
                rule = 'zeno++'\nattack = 'sign-flip scale=10'\nvalidation = 200\n";
    let mut site = Site::new(text);
    let words = ["--insecure", "--staleness", "50", "--audit", "rows", "--checkpoint-steps", "9"];
    let port = site.serve("first", 0, &words);
    (0..2).for_each(|id| site.work(id, port));
    site.drill(&[2, 3], "sign-flip scale=10", port);
    site.until("under way", |_| site.step() >= 30);
    site.kill("first");
    site.serve("second", port, &words);
    site.wait("second");
    let (well, said) = site.said(&["verify", "served"]);
    assert!(well && said.contains("6000 messages judged again: the same fates"), "{said}");
    let [_, rows] = audited(&site);
    let mut bytes = std::fs::read(&rows).unwrap();
    let middle = bytes.len() - 50;
    bytes[middle] ^= 1;
    std::fs::write(&rows, &bytes).unwrap();
    let (well, said) = site.said(&["verify", "served"]);
    assert!(!well && said.contains("its bytes have the digest"), "{said}");
}

#[test]
fn what_is_found_of_each_worker_is_kept_and_says_who_was_off() {
    let rows = "rule = 'median'\nattack = 'sign-flip scale=10'";
    let votes = "rule = 'majority'\nmessage = 'one-bit'\nattack = 'sign-flip'";
    for (more, attack) in [(rows, "sign-flip scale=10"), (votes, "sign-flip")] {
        let mut site = Site::new(&experiment(more).replace("steps = 12\n", "steps = 60\n"));
        let port = site.serve("server", 0, &["--insecure", "--evidence"]);
        (0..4).for_each(|id| site.work(id, port));
        site.drill(&[4], attack, port);
        site.wait("server");
        let text = std::fs::read_to_string(site.path("served").join("evidence.jsonl")).unwrap();
        assert_eq!(text.lines().count(), 5 * 60, "a record a worker and round");
        let (well, said) = site.said(&["evidence", "served/evidence.jsonl"]);
        assert!(well, "{said}");
        if more == rows {
            let furthest = |step: u64| {
                let records = text
                    .lines()
                    .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
                let of_step = records.filter(|record| record["step"] == step);
                let far = |record: &serde_json::Value| record["distance"].as_f64().unwrap();
                let most = of_step.max_by(|a, b| far(a).total_cmp(&far(b))).unwrap();
                most["worker"].as_u64().unwrap()
            };
            assert!((0..60).all(|step| furthest(step) == 4), "{said}");
            assert!(said.contains("worker 4 is unlike the others in"), "{said}");
            assert!(!said.contains("worker 0 is unlike"), "{said}");
        }
    }
}
