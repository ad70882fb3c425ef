//! A browser without a screen, spoken to in its DevTools protocol over two pipes; and what npm
//! brings for the page, kept outside the clone by its lock file.

#![allow(dead_code)] // Each test takes a part.
#![allow(clippy::disallowed_methods)] // A page is given its time.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take on a slow, loaded machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A browser with one page; it ends with the test.
pub(crate) struct Browser {
    child: Child,
    out: ChildStdin,
    answers: BufReader<ChildStdout>,
    session: String,
    count: u64,
    /// What the page or its policy complained of.
    pub(crate) complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The browser's file; VARANGIAN_CHROMIUM names one that is not on the path.
fn file() -> Option<PathBuf> {
    let named = std::env::var_os("VARANGIAN_CHROMIUM").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = folders.iter().flat_map(|folder| names.map(|name| folder.join(name)));
    named.into_iter().chain(found).find(|file| file.is_file())
}

impl Browser {
    /// Starts one; without any says so.
    pub(crate) fn start() -> Option<Self> {
        let Some(file) = file() else {
            eprintln!("skipped: Chromium is not on the path; set VARANGIAN_CHROMIUM to one");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        // The browser speaks on 3 and 4, which are this test's pipes.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"])
            .arg(file)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"])
            .args(["--disable-component-update", "--disable-sync", "--no-first-run"])
            .args(["--disable-background-networking", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (out, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut browser = Browser {
            child,
            out,
            answers: BufReader::new(answers),
            session: String::new(),
            count: 0,
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Asks for something and waits for its answer.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.count += 1;
        let mut message = json!({ "id": self.count, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.out.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut bytes = Vec::new();
            self.answers.read_until(0, &mut bytes).unwrap();
            assert!(!bytes.is_empty(), "the browser ended during {method}");
            bytes.pop();
            let answer: Value = serde_json::from_slice(&bytes).unwrap();
            if answer["id"] == json!(self.count) {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            match answer["method"].as_str() {
                Some("Runtime.exceptionThrown") => self.complaints.push(answer.to_string()),
                Some("Log.entryAdded") => {
                    let entry = &answer["params"]["entry"];
                    if entry["level"] == "error" {
                        self.complaints.push(entry.to_string());
                    }
                }
                _ => {}
            }
        }
    }

    /// The value of an expression in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let ask = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", ask);
        let fault = &answer["exceptionDetails"];
        assert!(fault.is_null(), "{expression}: {fault}");
        answer["result"]["value"].clone()
    }

    /// The text of an expression in the page.
    pub(crate) fn text(&mut self, expression: &str) -> String {
        self.value(expression).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true.
    pub(crate) fn wait(&mut self, expression: &str) {
        let start = Instant::now();
        while self.value(expression) != json!(true) {
            let shown = || "document.body ? document.body.innerText.slice(0, 3000) : ''".to_owned();
            if start.elapsed() > PATIENCE {
                panic!("{expression} does not come: {}", self.text(&shown()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Opens a page of results and waits until all of it is drawn.
    pub(crate) fn open(&mut self, address: &str) {
        self.call("Page.navigate", json!({ "url": address }));
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'");
        self.drawn();
    }

    /// Waits until all that was changed is drawn.
    pub(crate) fn drawn(&mut self) {
        self.wait("document.body.dataset.drawn === 'yes'");
    }

    /// The screen, and whether it is dark.
    pub(crate) fn screen(&mut self, width: u32, dark: bool) {
        let metrics =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let value = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.call("Emulation.setEmulatedMedia", features);
    }

    /// Chooses a value of a list by its label, within what a selector names: a click.
    pub(crate) fn choose(&mut self, within: &str, label: &str, value: &str) {
        let script = format!(
            "(() => {{ const list = [...document.querySelector({}).querySelectorAll('select')]\
             .find(one => one.dataset.choice === {}); if (!list) return 'no list'; \
             list.value = {}; \
             if (list.value !== {}) return 'no such value'; \
             list.dispatchEvent(new Event('change', {{ bubbles: true }})); return ''; }})()",
            json!(within),
            json!(label),
            json!(value),
            json!(value)
        );
        let failed = self.text(&script);
        assert!(failed.is_empty(), "{label}={value} in {within}: {failed}");
        self.drawn();
    }

    /// Clicks where an element stands, as a reader does.
    pub(crate) fn click(&mut self, selector: &str) {
        let place = self.value(&format!(
            "(() => {{ const one = document.querySelector({}); \
             one.scrollIntoView({{ block: 'center', behavior: 'instant' }}); \
             const box = one.getBoundingClientRect(); \
             return [box.x + box.width / 2, box.y + box.height / 2]; }})()",
            json!(selector)
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": place[0], "y": place[1], "button": "left",
                "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
    }
}

/// The folder of `node_modules` for the page, made by its lock file; without node says so.
pub(crate) fn modules() -> Option<PathBuf> {
    let there = |name: &str| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    };
    if !there("node") || !there("npm") {
        eprintln!("skipped: node and npm are not on the path");
        return None;
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../page");
    let lock = std::fs::read(page.join("package-lock.json")).unwrap();
    let hash = blake3::hash(&lock).to_hex()[..16].to_owned();
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let kept = cache.join(format!("varangian/page-{hash}"));
    if kept.join("node_modules").is_dir() {
        return Some(kept);
    }
    // Beside it first: several tests may want it at once, and a half one is none.
    std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
    let made = tempfile::tempdir_in(kept.parent().unwrap()).unwrap();
    for name in ["package.json", "package-lock.json"] {
        std::fs::copy(page.join(name), made.path().join(name)).unwrap();
    }
    let npm = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
        .current_dir(made.path())
        .output()
        .unwrap();
    if !npm.status.success() {
        let said = String::from_utf8_lossy(&npm.stderr).into_owned();
        eprintln!("skipped: npm ci failed, as without a network: {said}");
        return None;
    }
    // Where another test was first, its is as good.
    let _ = std::fs::rename(made.path(), &kept);
    kept.join("node_modules").is_dir().then_some(kept)
}
