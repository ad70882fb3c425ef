//! The page in a browser without a screen: as a report, and as `varangian watch` serves it. Without
//! Chromium the tests say so and end; VARANGIAN_CHROMIUM names one that is not on the path.

mod chromium;

use chromium::Browser;
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use varangian::lab::config::Settings;
use varangian::lab::results::{Outcome, Point, Store, key};

const SMALL: &str = r#"
name = "paged"
dataset = "logreg"
model = "logreg-net"
n = 7
f = 2
batch = 8
steps = 40
evaluate_every = 10
rule = ["median", "krum"]
attack = ["none", "non-finite"]
"#;

/// Ends the server with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(folder: &Path) -> (Server, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_varangian"))
        .args(["watch", "out", "--http", "127.0.0.1:0"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    (Server(child), address.trim().to_owned())
}

/// Writes the report of folders of results; its address.
fn report(folders: &[&Path]) -> String {
    let command = Command::new(env!("CARGO_BIN_EXE_varangian"))
        .arg("report")
        .args(folders)
        .stdout(Stdio::null())
        .status();
    assert!(command.unwrap().success());
    format!("file://{}", folders[0].join("report.html").display())
}

/// An outcome with these settings.
fn outcome(settings: Settings, values: &[f64]) -> Outcome {
    let mut one = Outcome::sample(&settings.rule, &settings.attack, settings.seed, values);
    one.key = key(&settings, &[0; 32]);
    one.settings = settings;
    one
}

/// A sweep with known answers: rule × attack × f_real × partition × momentum_at × seed.
///
/// The mixing rule loses 10 points an attacker less than the median; krum collapses under alie with
/// four attackers; momentum at the worker gives the median, and nobody else, 8 points under attack.
fn sweep(store: &Store) {
    for rule in ["krum", "median", "nnm | trimmed-mean"] {
        for attack in ["none", "alie", "ipm epsilon=0.5"] {
            for f_real in [1, 2, 4] {
                for partition in ["dirichlet alpha=1", "dirichlet alpha=0.1"] {
                    for momentum_at in ["update", "worker"] {
                        for seed in 1..=3 {
                            let settings = Settings {
                                rule: rule.into(),
                                attack: attack.into(),
                                f: 4,
                                f_real: Some(f_real),
                                partition: partition.into(),
                                momentum_at: momentum_at.into(),
                                seed,
                                ..Settings::default()
                            };
                            store.save(&known(settings)).unwrap();
                        }
                    }
                }
            }
        }
    }
}

fn known(settings: Settings) -> Outcome {
    let (f, attacked) = (settings.f_real() as f64, settings.attack != "none");
    let mixes = settings.rule.starts_with("nnm");
    let mut end = 0.9 - if settings.partition.ends_with("0.1") { 0.1 } else { 0.0 };
    if attacked {
        end -= f * if mixes { 0.05 } else { 0.15 };
        if settings.rule == "median" && settings.momentum_at == "worker" {
            end += 0.08;
        }
    }
    end += 0.002 * (settings.seed as f64 - 2.0);
    let end = end.max(0.05);
    let falls = settings.rule == "krum" && settings.attack == "alie" && f == 4.0;
    let best = if falls { end + 0.3 } else { end };
    let curve: Vec<f64> = (0..=20)
        .map(|k| {
            if k == 0 {
                0.1
            } else if k < 8 {
                best
            } else {
                end
            }
        })
        .collect();
    outcome(settings, &curve)
}

#[test]
fn a_browser_shows_curves_weights_and_refusals() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("e.toml"), SMALL).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_varangian"))
        .args(["run", "e.toml", "--out", "out", "--quiet"])
        .current_dir(folder.path())
        .status();
    assert!(run.unwrap().success());
    let store = Store::open(&folder.path().join("out")).unwrap();
    let planned = store.planned().unwrap().remove(0);
    // As `varangian run` writes it each second of a longer run.
    let live = format!(
        r#"[{{"key":"{planned}","rule":"krum","attack":"alie","seed":3,"step":20,"steps":40,
        "setting":"n=7",
        "curve":[[0,0.1],[10,0.5],[15,null],[20,0.6]],"classifies":true,"weights":[1.0,0.0,0.25],
        "refused":[0,0,7],"reasons":{{"not-finite":7}},"hostile":[2],"expelled":[2],"skipped":1}}]"#
    );
    // Also each second: a browser may take long to start, and a silent run is said to be silent.
    // Whole at every moment, as `varangian run` writes it: no reader meets half a file.
    let path = folder.path().join("out/live.json");
    let beside = folder.path().join("live.next");
    let write =
        move || std::fs::write(&beside, &live).and_then(|()| std::fs::rename(&beside, &path));
    write().unwrap();
    std::thread::spawn(move || {
        while write().is_ok() {
            #[allow(clippy::disallowed_methods)] // As often as a run writes.
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    let (_server, address) = serve(folder.path());
    browser.open(&address);
    let page = browser.text("document.getElementById('page').textContent");
    let has = |text: &str| assert!(page.contains(text), "{text} is not in {page}");
    has("4 of 4 runs over, going on: 1");
    has("krum × alie n=7, seed 3, step 20 of 40, 60.0 %");
    has("worker 2, hostile: 0.2500");
    has("refused: not-finite 7; worker 2");
    has("expelled: worker 2");
    has("skipped: 1 of 20 steps");
    has("Which of 2 rules holds against 1 attack? 7 workers, 2 of them hostile");
    assert!(!page.contains("NaN"), "{page}");
    assert_eq!(browser.text("document.title"), "4/4 paged");
    // The one that goes on leaves the numbers and comes back: a cross, and two stretches.
    let card = "document.querySelector('.card svg[aria-label*=accuracy]')";
    let label = browser.text(&format!("{card}.getAttribute('aria-label')"));
    assert!(label.ends_with("not finite at step 15"), "{label}");
    assert_eq!(browser.value(&format!("{card}.textContent.split('✕').length - 1")), json!(1));
    let line = format!("{card}.querySelector('[data-mark=line] path').getAttribute('d')");
    assert_eq!(browser.value(&format!("{line}.split('M').length - 1")), json!(2));
    // Two panels of two lines.
    let lines = "document.querySelectorAll('#curves .plot [data-mark=line] path').length";
    assert_eq!(browser.value(lines), json!(4));
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn an_open_page_follows_the_folder() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::make(&folder.path().join("out")).unwrap();
    store.save(&Outcome::sample("krum", "alie", 1, &[0.25, 0.5])).unwrap();
    let (_server, address) = serve(folder.path());
    browser.open(&address);
    browser.wait("document.title === '1/1 out'");
    store.save(&Outcome::sample("median", "alie", 1, &[0.25, f64::NAN])).unwrap();
    browser.wait("document.title === '2/2 out'");
    browser.wait("document.querySelector('#runs').textContent.includes('diverged, never learnt')");
    assert_eq!(browser.complaints, Vec::<String>::new());
}

/// Names that would be code, markup or orders to a terminal if anybody took them for such.
const HOSTILE: [&str; 6] = [
    "</script><script>document.title='taken'</script>",
    "<img src=x onerror=\"document.title='taken'\">",
    "__proto__",
    "constructor",
    "a\u{202e}b\u{1b}[31m",
    "=1+1",
];

#[test]
fn foreign_names_are_texts_and_what_is_not_finite_is_said() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::make(folder.path()).unwrap();
    for (k, name) in HOSTILE.into_iter().enumerate() {
        let values = if k == 2 { [0.25, f64::NAN] } else { [0.25, 0.5] };
        let mut one = Outcome::sample(name, HOSTILE[(k + 1) % 6], 1, &values);
        for metric in ["__proto__", "study/<b>", "refused/<i>/worker-003"] {
            one.points.push(Point { step: 10, metric: metric.into(), value: 2.0 });
        }
        store.save(&one).unwrap();
    }
    let notes =
        r#"{"set_in_vain":[],"left_out":["attack=ipm is the run of <u>none</u>"],"one_run":[]}"#;
    store.write("notes.json", notes.as_bytes()).unwrap();
    browser.open(&report(&[folder.path()]));
    let page = browser.text("document.getElementById('page').textContent");
    let has = |text: &str| assert!(page.contains(text), "{text} is not in {page}");
    has("attack=ipm is the run of <u>none</u>");
    has("diverged, never learnt");
    has("not finite");
    has("<script>document.title='taken'</script>");
    has("a\\u{202e}b\\u{1b}[31m");
    let shown = page.replace("(NaN or infinite)", "");
    assert!(!shown.contains('\u{202e}') && !shown.contains("NaN"), "{page}");
    assert!(browser.text("document.title").starts_with("6/6 "));
    let foreign = "document.querySelectorAll('img,u,b script,#page script,[onerror]').length";
    assert_eq!(browser.value(foreign), json!(0));
    assert_eq!(browser.value("({}).taken === undefined && [].length === 0"), json!(true));
    // A run is opened, and each list of the page is tried with each of its values.
    browser.click("#runs tbody button");
    browser.wait("document.querySelector('dialog').open");
    browser.value("document.querySelector('dialog').close()");
    let all = "for (const one of document.querySelectorAll('main select, .filters select')) for \
               (const option of [...one.options]) { one.value = option.value; \
               one.dispatchEvent(new Event('change')); }";
    browser.value(all);
    browser.drawn();
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn results_of_strangers_are_shown_or_refused_in_a_sentence() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let texts = [
        ("{}", "this is no JSON of varangian's results"),
        (r#"{"format":"varangian-results","version":9}"#, "of a later version"),
        ("[1", "cannot be shown"),
        (r#"{"format":"varangian-results","version":1}"#, "0 of 0 runs over"),
        (
            r#"{"format":"varangian-results","version":1,"name":7,"over":2,"axes":[{"key":"rule"}],
            "runs":[null,3,{"rule":"krum","curve":[[0],[null,1],"x"],"final":{},"settings":[]},
            {"rule":"median","attack":"alie","seed":4,"final":{"tail":0.5},"fate":5}],
            "running":[{"curve":5,"weights":"x","reasons":[1]}],"rules":[{"colour":"url(x)"}]}"#,
            "2 of 0 runs over, going on: 1",
        ),
    ];
    for (text, wanted) in texts {
        let html = varangian::lab::page::alone("x", &[text.into()], "");
        let file = folder.path().join("page.html");
        std::fs::write(&file, html).unwrap();
        let address = format!("file://{}", file.display());
        browser.call("Page.navigate", json!({ "url": address }));
        let says = json!(wanted);
        browser.wait(&format!(
            "document.readyState === 'complete' && document.getElementById('page').textContent\
             .includes({says})"
        ));
        assert_eq!(browser.complaints, Vec::<String>::new(), "{text}");
    }
}

/// A thousand workers of a served run: who is here, who is suspicious, and no figure is too wide.
#[test]
fn a_served_run_of_a_thousand_workers_is_shown() {
    let Some(mut browser) = Browser::start() else { return };
    let n = 1000u32;
    let share = |worker: u32| match worker {
        999 => 0.9,
        17 => 0.5,
        _ => 0.01,
    };
    let suspicion = |worker: u32| {
        let curve = [(0, 0.0), (10, share(worker))];
        json!({ "worker": worker, "share": share(worker), "curve": curve })
    };
    let present: Vec<bool> = (0..n).map(|worker| ![3, 4, 6].contains(&worker)).collect();
    let served = json!({
        "present": present, "admitted": vec![10; n as usize], "missed": vec![0; n as usize],
        "revoked": [6], "round_curve": [[0, 0.5], [10, 0.25]], "by": "evidence",
        "suspicion": (0..n).map(suspicion).collect::<Vec<_>>(),
    });
    let run = json!({
        "key": "a", "rule": "median", "attack": "sign-flip", "seed": "1", "step": 10, "steps": 90,
        "curve": [[0, 0.1]], "classifies": true, "weights": vec![0.001; n as usize],
        "refused": vec![0; n as usize], "reasons": {}, "hostile": [999], "expelled": [],
        "skipped": 0, "served": served,
    });
    let all = json!({ "format": "varangian-results", "version": 1, "running": [run] });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    std::fs::write(&file, varangian::lab::page::alone("x", &[all.to_string()], "")).unwrap();
    for width in [1440, 390] {
        browser.screen(width, false);
        browser.open(&format!("file://{}", file.display()));
        let page = browser.text("document.querySelector('.card').textContent");
        for part in
            ["997 of 1000 workers are here; absent: worker 3–4; revoked: worker 6", "999 hostile"]
        {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        let first = browser.text("document.querySelector('.card tbody tr').textContent");
        assert_eq!(first, "999 (hostile)here100090 %");
        assert_eq!(browser.value("document.querySelectorAll('.card tbody tr').length"), json!(50));
        let wide = browser.value("document.documentElement.scrollWidth");
        assert!(wide.as_u64().unwrap() <= u64::from(width), "{wide} of {width}");
    }
    assert_eq!(browser.complaints, Vec::<String>::new());
}

/// Five questions, each answered after at most three choices or clicks.
#[test]
fn five_questions_take_three_clicks_each() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    sweep(&Store::make(folder.path()).unwrap());
    let address = report(&[folder.path()]);
    browser.screen(1440, false);
    // Which rule is best at α = 0.1 and f = 4?
    browser.open(&address);
    browser.choose(".filters", "partition", "dirichlet alpha=0.1");
    browser.choose(".filters", "f_real", "4");
    let says = browser.text("document.querySelector('.answer').textContent");
    assert!(says.starts_with("nnm | trimmed-mean holds best: 60.0 ± 0.5 %"), "{says}");
    // How sure?
    assert!(says.contains("How sure? Beyond what seeds explain."), "{says}");
    browser.click("#sure summary");
    let sure = browser.text("document.querySelector('#sure').innerText");
    assert!(sure.contains("3 same seeds") && sure.contains("95 % interval from"), "{sure}");
    // Does worker momentum help the median?
    browser.open(&address);
    browser.choose("#effects", "setting", "momentum_at");
    let says = browser.text("document.querySelector('.effects').innerText");
    let line = says.lines().find(|line| line.starts_with("median: ")).unwrap().to_owned();
    assert!(line.contains("helps, +5.3 points") && line.contains("in 12 of 18"), "{line}");
    let other = says.lines().find(|line| line.starts_with("krum: ")).unwrap();
    assert!(other.contains("not told apart") || other.contains("+0.0") || other.contains(", 0.0"));
    // Where did krum collapse?
    browser.open(&address);
    browser.choose(".filters", "rule", "krum");
    let rows = browser.text("document.querySelector('#broke tbody').innerText");
    let count = rows.lines().filter(|line| line.contains("3 of 3 collapsed")).count();
    assert_eq!(count, 4, "{rows}");
    assert!(rows.lines().all(|line| !line.contains("ipm") || !line.contains("collapsed")));
    let told = browser.text("document.querySelector('#broke .told').innerText");
    assert!(told.contains("of 36 combinations") && told.contains("collapsed in 4"), "{told}");
    // Export that figure as PDF.
    let saved = folder.path().join("saved");
    std::fs::create_dir(&saved).unwrap();
    let here = json!({ "behavior": "allow", "downloadPath": saved });
    browser.call("Page.setDownloadBehavior", here);
    browser.click("#answer button[title^='Export this figure as PDF']");
    let file = saved.join("Worst-cases.pdf");
    wait_for(&file);
    let bytes = std::fs::read(&file).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.starts_with("%PDF-1.4\n") && text.ends_with("%%EOF\n"));
    assert!(text.contains("(krum) Tj") && text.matches(" l\nS").count() > 3, "{text}");
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[allow(clippy::disallowed_methods)] // A browser writes when it does.
fn wait_for(file: &Path) {
    for _ in 0..600 {
        if std::fs::metadata(file).is_ok_and(|about| about.len() > 0) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{} is not written", file.display());
}

#[test]
fn two_folders_are_matched_by_their_settings() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    for (at, more) in [(&one, 0.0), (&other, 0.04)] {
        let store = Store::make(at).unwrap();
        for seed in 1..=4 {
            for attack in ["alie", "none"] {
                let own = Settings {
                    rule: "krum".into(),
                    attack: attack.into(),
                    seed,
                    batch: if more > 0.0 { 64 } else { 32 },
                    ..Settings::default()
                };
                store.save(&outcome(own, &[0.1, 0.5 + more + 0.1 * seed as f64])).unwrap();
            }
        }
    }
    browser.open(&report(&[&one, &other]));
    let says = browser.text("document.querySelector('#compare').innerText");
    for part in [
        "other minus one: 8 of 8 and 8 runs have a partner",
        "batch 32 → 64",
        "krum: helps, +4.0 points",
        "better in 2 of 2 settings",
    ] {
        assert!(says.contains(part), "{part} is not in {says}");
    }
    // The one report takes in the other, from a file.
    browser.open(&report(&[&one]));
    assert_eq!(browser.value("document.querySelector('#compare').hidden"), json!(true));
    let _ = report(&[&other]);
    let root = browser.call("DOM.getDocument", json!({}))["root"]["nodeId"].clone();
    let find = json!({ "nodeId": root, "selector": "input[type=file]" });
    let input = browser.call("DOM.querySelector", find)["nodeId"].clone();
    let file = other.join("report.html");
    browser.call("DOM.setFileInputFiles", json!({ "files": [file], "nodeId": input }));
    browser.wait("document.querySelector('#compare').innerText.includes('+4.0 points')");
    assert_eq!(browser.complaints, Vec::<String>::new());
}

/// The serious faults of accessibility of the page that is open, a line each.
fn faults(browser: &mut Browser, axe: &str) -> String {
    browser.value(&format!("{axe};0"));
    browser.text(
        "axe.run(document, { resultTypes: ['violations'] }).then(found => \
         found.violations.filter(one => ['serious', 'critical'].includes(one.impact))\
         .map(one => one.id + ': ' + one.nodes.slice(0, 3).map(node => node.html.slice(0, 200) \
         + ' ' + node.any.map(check => check.message).join(' ')).join(' | ')).join('\\n'))",
    )
}

/// Puts two entries of the benchmark into a folder, the first without its curves.
fn entries(folder: &Path) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/benchmark/small-v1");
    let read = |name: &str| {
        let text = std::fs::read_to_string(shipped.join(name)).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    for (name, kept) in [("median.json", false), ("krum.json", true)] {
        let mut entry = read(name);
        for cell in entry["cells"].as_array_mut().unwrap() {
            let curves = json!({ "steps": [0, 40], "worst": [0.1, 0.4], "clean": [0.1, 0.7] });
            cell["curves"] = if kept { curves } else { json!(null) };
        }
        std::fs::write(folder.join(name), serde_json::to_string_pretty(&entry).unwrap()).unwrap();
    }
}

/// Presses a key where the focus is.
fn press(browser: &mut Browser, key: &str, code: u32, text: &str) {
    for (what, text) in [("keyDown", text), ("keyUp", "")] {
        let press =
            json!({ "type": what, "key": key, "windowsVirtualKeyCode": code, "text": text });
        browser.call("Input.dispatchKeyEvent", press);
    }
}

/// The leaderboard of a benchmark's folder sorts by a head, either way, shows every attack behind a
/// name by keys alone, and behind a number its curves under the pointer and with the focus.
#[test]
fn the_leaderboard_sorts_and_shows_what_lies_behind_a_number() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    entries(folder.path());
    browser.open(&report(&[folder.path()]));
    browser.wait("document.body.dataset.drawn === 'yes'");
    // Nothing but the leaderboard: there are no runs.
    let seen = "[...document.querySelectorAll('main > section')].filter(one => !one.hidden)\
                .map(one => one.id).join()";
    assert_eq!(browser.text(seen), "leaderboard");
    let board = "document.querySelector('#leaderboard table')";
    let column = |browser: &mut Browser| -> Vec<f64> {
        let cells =
            format!("[...{board}.tBodies[0].rows].map(row => row.cells[6].innerText).join()");
        browser.text(&cells).split(',').map(|cell| cell.parse().unwrap()).collect()
    };
    let head = format!("{board}.tHead.rows[0].cells[6].querySelector('.sort')");
    browser.value(&format!("{head}.click()"));
    assert!(column(&mut browser).is_sorted_by(|a, b| a >= b));
    browser.value(&format!("{head}.click()"));
    assert!(column(&mut browser).is_sorted_by(|a, b| a < b));
    assert_eq!(column(&mut browser).len(), 2);
    // Without curves it says so; a sort has put krum first.
    let cell =
        |row: usize| format!("{board}.tBodies[0].rows[{row}].cells[6].querySelector('button')");
    let peek = "document.querySelector('.peek')";
    let told = format!("{peek}.hidden ? '' : {peek}.innerText");
    browser.value(&format!("{}.focus()", cell(0)));
    let text = browser.text(&told);
    assert!(text.contains("krum") && text.contains("Solid: the worst attack"), "{text}");
    let label = format!("{peek}.querySelector('svg').getAttribute('aria-label')");
    assert!(browser.text(&label).ends_with("40.0 % at the end, without an attack 70.0 %"));
    let described = format!("{}.getAttribute('aria-describedby') === {peek}.id", cell(0));
    assert_eq!(browser.value(&described), json!(true));
    press(&mut browser, "Escape", 27, "");
    assert_eq!(browser.text(&told), "");
    let at = browser.text(&format!(
        "(box => [box.x + box.width / 2, box.y + box.height / 2].join())({}\
         .getBoundingClientRect())",
        cell(1)
    ));
    let at: Vec<f64> = at.split(',').map(|x| x.parse().unwrap()).collect();
    let to = json!({ "type": "mouseMoved", "x": at[0], "y": at[1] });
    browser.call("Input.dispatchMouseEvent", to);
    browser.wait(&format!("({told}).includes('No curve kept')"));
    browser.call("Input.dispatchMouseEvent", json!({ "type": "mouseMoved", "x": 1, "y": 1 }));
    browser.wait(&format!("{peek}.hidden"));
    // By keys: a name has the focus, and Enter opens what is behind it.
    browser.value(&format!("{board}.tBodies[0].rows[0].cells[0].querySelector('button').focus()"));
    press(&mut browser, "Enter", 13, "\r");
    browser.wait("document.querySelector('#leaderboard h3') !== null");
    let behind = browser.text("document.querySelector('#leaderboard [aria-live]').innerText");
    assert!(behind.contains("krum: every attack") && behind.contains("poisoned-fl"), "{behind}");
    if let Some(modules) = chromium::modules() {
        let axe = std::fs::read_to_string(modules.join("node_modules/axe-core/axe.min.js"));
        let axe = axe.unwrap();
        for (width, dark) in [(1440, false), (390, true)] {
            browser.screen(width, dark);
            browser.value(&format!("{}.focus()", cell(0)));
            let found = faults(&mut browser, &axe);
            assert!(found.is_empty(), "{width} dark={dark}:\n{found}");
            let wide = browser.value("document.documentElement.scrollWidth");
            assert!(wide.as_u64().unwrap() <= u64::from(width), "{wide} of {width}");
        }
    }
    assert_eq!(browser.complaints, Vec::<String>::new());
}

/// The shipped leaderboard as a file, and one beside a pipeline's runs.
#[test]
fn a_leaderboard_is_a_page_alone_and_stands_beside_runs() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("board.html");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/benchmark");
    let command = Command::new(env!("CARGO_BIN_EXE_varangian"))
        .arg("leaderboard")
        .arg(shipped)
        .args(["--format", "html", "--output"])
        .arg(&file)
        .status();
    assert!(command.unwrap().success());
    browser.open(&format!("file://{}", file.display()));
    browser.wait("document.body.dataset.drawn === 'yes'");
    let rows = "document.querySelectorAll('#leaderboard tbody tr').length";
    assert!(browser.value(rows).as_u64().unwrap() > 10);
    entries(folder.path());
    let runs = folder.path().join("runs/median");
    sweep(&Store::make(&runs).unwrap());
    browser.open(&report(&[&runs]));
    browser.wait("document.body.dataset.drawn === 'yes'");
    assert_eq!(browser.value(rows), json!(2));
    assert_eq!(browser.value("document.querySelector('#curves').hidden"), json!(false));
    assert_eq!(browser.complaints, Vec::<String>::new());
}

/// No serious fault of accessibility, light and dark, wide and narrow; and nothing is cut off.
#[test]
fn axe_finds_no_serious_fault() {
    let Some(mut browser) = Browser::start() else { return };
    let Some(modules) = chromium::modules() else { return };
    let axe = std::fs::read_to_string(modules.join("node_modules/axe-core/axe.min.js")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    sweep(&Store::make(folder.path()).unwrap());
    let address = report(&[folder.path()]);
    for (width, dark) in [(1440, false), (390, true)] {
        browser.screen(width, dark);
        browser.open(&address);
        for button in ["#answer .q", "#curves button[aria-expanded]"] {
            browser.value(&format!("document.querySelector({}).click()", json!(button)));
        }
        let found = faults(&mut browser, &axe);
        assert!(found.is_empty(), "{width} dark={dark}:\n{found}");
        let wide = browser.value("document.documentElement.scrollWidth");
        assert!(wide.as_u64().unwrap() <= u64::from(width), "{wide} of {width}");
    }
}
