//! What is seen of a folder: read by one thread, as often as files change, for all who look.

use hyper::body::Bytes;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::Instant;
use varangian_lab::benchmark::Leaderboard;
use varangian_lab::results::json::{About, Results, Running, Style, embedded};
use varangian_lab::results::{Look, Outcome, Store, said};
use varangian_lab::run::live::{self, Live};
use varangian_lab::{files, page, pictures};

/// Between two looks at the folder, at least.
const PAUSE: Duration = Duration::from_secs(1);
/// A look takes at most one part in this many of the time: a slow disk is left alone.
const SHARE: u32 = 20;
/// A run that has written nothing for this long goes on no more.
const SILENT: Duration = Duration::from_secs(10);

/// What was seen last, and when that changes.
pub(super) type Seen = watch::Receiver<Arc<View>>;

/// What was seen, as it is sent.
#[derive(Default)]
pub(super) struct View {
    /// The results as JSON, but for the runs that go on.
    lasting: Bytes,
    /// These, and the end of the text.
    passing: Bytes,
    /// What changes often, as JSON.
    event: String,
}

impl View {
    /// The results as JSON.
    pub(super) fn data(&self) -> Bytes {
        [&self.lasting[..], &self.passing[..]].concat().into()
    }

    /// What changes often, as an event of the k-th folder.
    pub(super) fn event(&self, k: usize) -> String {
        format!("data: {{\"folder\":{k},{}\n\n", &self.event[1..])
    }
}

/// The page with what was seen of all folders inside.
pub(super) fn page(all: &[Arc<View>]) -> Bytes {
    let json = |view: &Arc<View>| {
        let data = view.data();
        embedded(std::str::from_utf8(&data).expect("JSON"))
    };
    page::live(&all.iter().map(json).collect::<Vec<_>>()).into()
}

/// Rings when something was seen in any of the folders that are watched together.
#[derive(Clone)]
pub(super) struct Bell(Arc<watch::Sender<u64>>);

impl Bell {
    /// One that has not rung yet.
    pub(super) fn new() -> Self {
        Bell(Arc::new(watch::Sender::new(0)))
    }

    fn ring(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    /// Hears it ring from now on.
    pub(super) fn heard(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

/// What changes often. The page fetches the rest where `data` is another than it has.
#[derive(Serialize)]
struct Event<'a> {
    data: &'a str,
    planned: usize,
    over: usize,
    failed: usize,
    missing: &'a Option<String>,
    rules: &'a [Style],
    running: &'a [Running],
    silent: bool,
    trouble: &'a Option<String>,
}

/// Length, time of the last change, number: what tells one state of a file from another.
type Mark = Option<(u64, Option<SystemTime>, u64)>;

/// A run that was read.
struct Read {
    marks: [Mark; 2],
    look: Look,
}

/// Reads a folder again and again.
pub(super) struct Reader {
    store: Store,
    folder: PathBuf,
    out: watch::Sender<Arc<View>>,
    bell: Bell,
    marks: Vec<Mark>,
    about: About,
    planned: Vec<String>,
    runs: BTreeMap<String, Read>,
    results: Results,
    /// The text of what is over, and its hash.
    lasting: Bytes,
    tag: String,
    running: (Vec<Live>, bool),
    trouble: Option<String>,
    /// What may be entries of the benchmark, and the leaderboard that was made of them.
    entries: Vec<(PathBuf, Mark)>,
    leaderboard: Option<Leaderboard>,
}

impl Reader {
    /// Reads the folder once; `bell` rings where something new is seen.
    pub(super) fn start(store: Store, folder: PathBuf, bell: Bell) -> (Self, Seen) {
        let about = About::default();
        let mut reader = Reader {
            store,
            folder,
            out: watch::Sender::default(),
            bell,
            marks: Vec::new(),
            results: Results::of(&about, &[]),
            about,
            planned: Vec::new(),
            runs: BTreeMap::new(),
            lasting: Bytes::new(),
            tag: String::new(),
            running: Default::default(),
            trouble: None,
            entries: Vec::new(),
            leaderboard: None,
        };
        reader.look();
        let seen = reader.out.subscribe();
        (reader, seen)
    }

    /// Goes on for as long as the process does.
    pub(super) fn follow(mut self) {
        loop {
            let start = Instant::now();
            self.look();
            std::thread::sleep(PAUSE.max(SHARE * start.elapsed()));
        }
    }

    /// Looks at the folder, and tells where something has changed. What cannot be read just now
    /// stays as it was seen last.
    fn look(&mut self) {
        let (changed, trouble) = match self.look_at_runs() {
            Ok(changed) => (changed, None),
            Err(error) => (false, Some(format!("cannot read the folder: {error}"))),
        };
        let changed = self.look_at_entries() || changed;
        let running = self.look_at_live();
        let first = self.tag.is_empty();
        if !first && !changed && self.trouble == trouble && alike(&self.running, &running) {
            return;
        }
        if first || changed {
            self.about.leaderboard.clone_from(&self.leaderboard);
            let over: Vec<&Outcome> = self.over().collect();
            self.results = Results::of(&self.about, &over);
            self.lasting = self.results.lasting().into();
            self.tag = blake3::hash(&self.lasting).to_hex()[..16].to_owned();
        }
        (self.running, self.trouble) = (running, trouble);
        self.publish();
    }

    /// The outcomes that were read, in the order of the experiment.
    fn over(&self) -> impl Iterator<Item = &Outcome> {
        let reads = self.planned.iter().filter_map(|key| self.runs.get(key));
        reads.filter_map(|read| match &read.look {
            Look::Whole(outcome) | Look::Unchecked(outcome) => Some(outcome),
            Look::Missing | Look::Damaged(_) => None,
        })
    }

    /// Reads what has changed of the runs that are over; whether anything has.
    fn look_at_runs(&mut self) -> io::Result<bool> {
        let names = ["experiment.toml", "runs.csv", "tuning/tuning.csv", "notes.json", "runs"];
        let marks: Vec<Mark> =
            names.iter().map(|name| mark(&self.store.path(name))).collect::<io::Result<_>>()?;
        if marks[4].is_none() && self.marks.is_empty() && self.has_entries() {
            self.about.name = pictures::name_of(&self.folder);
            return Ok(false);
        }
        if marks[4].is_none() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "its folder runs is gone"));
        }
        let listed = marks != self.marks;
        if listed {
            // It must not look empty because no descriptor is left.
            if marks[0].is_some() {
                files::read_own(&self.store.path(names[0]), files::TEXT)?;
            }
            self.planned = self.store.planned().map_err(io::Error::other)?;
        }
        let mut changed = listed;
        for key in &self.planned {
            let parts = ["json", "csv"].map(|ending| mark(&self.store.part(key, ending)));
            let [Ok(json), Ok(csv)] = parts else { continue };
            let marks = [json, csv];
            if self.runs.get(key).is_some_and(|read| read.marks == marks) {
                continue;
            }
            let look = if json.is_some() { self.store.look(key) } else { Look::Missing };
            let before = self.runs.get(key).map(|read| kind(&read.look));
            let damaged = matches!(look, Look::Damaged(_));
            changed |= before.unwrap_or_default() != kind(&look) || kind(&look) > 1;
            // What cannot be read now may be read later, its files unchanged.
            let marks = if damaged { [None, None] } else { marks };
            self.runs.insert(key.clone(), Read { marks, look });
        }
        if changed {
            let count = |of: usize| {
                let reads = self.planned.iter().filter_map(|key| self.runs.get(key));
                reads.filter(|read| kind(&read.look) == of).count()
            };
            let missing = said(self.over().count(), self.planned.len(), count(2), count(1));
            let name = pictures::name_of(&self.folder);
            self.about = About::of(&self.store, &name, self.planned.len(), missing);
            self.marks = marks;
        }
        Ok(changed)
    }

    /// Whether entries of the benchmark are all that the folder holds.
    fn has_entries(&self) -> bool {
        self.leaderboard.is_some() || Leaderboard::beside(&self.folder).is_ok_and(|it| it.is_some())
    }

    /// Reads the benchmark's entries beside the runs where a file has changed; whether they say
    /// something else. Entries that cannot be read now stay as they were.
    fn look_at_entries(&mut self) -> bool {
        let files = Leaderboard::candidates(&self.folder).into_iter();
        let entries: Vec<(PathBuf, Mark)> =
            files.map(|path| (path.clone(), mark(&path).ok().flatten())).collect();
        if entries == self.entries {
            return false;
        }
        self.entries = entries;
        let Ok(leaderboard) = Leaderboard::beside(&self.folder) else { return false };
        let changed = leaderboard != self.leaderboard;
        self.leaderboard = leaderboard;
        changed
    }

    /// The runs that go on, of all processes at the folder; where none has said anything for long,
    /// what was said last, and that it is old.
    fn look_at_live(&self) -> (Vec<Live>, bool) {
        let (mut fresh, mut silent) = (Vec::new(), Vec::<Live>::new());
        for path in live::files(&self.store) {
            let Ok(text) = files::read_own(&path, files::TEXT) else { continue };
            let runs: Vec<Live> = serde_json::from_slice(&text).unwrap_or_default();
            let written = fs::metadata(&path).and_then(|about| about.modified());
            let age = written.ok().and_then(|time| time.elapsed().ok());
            let old = age.is_some_and(|age| age > SILENT);
            if old { &mut silent } else { &mut fresh }.extend(runs);
        }
        let old = fresh.is_empty() && !silent.is_empty();
        (if old { silent } else { fresh }, old)
    }

    /// Sends what was seen to all who look.
    fn publish(&mut self) {
        let (running, silent) = &self.running;
        let results = &mut self.results;
        let known = results.rules.len();
        results.going_on(running, *silent, &self.about);
        if self.results.rules.len() != known {
            // A rule of a run that goes on alone; what is over is what it was.
            self.lasting = self.results.lasting().into();
        }
        let results = &self.results;
        let event = Event {
            data: &self.tag,
            planned: results.planned,
            over: results.over,
            failed: results.failed,
            missing: &results.missing,
            rules: &results.rules,
            running: &results.running,
            silent: results.silent,
            trouble: &self.trouble,
        };
        let event = serde_json::to_string(&event).expect("plain values");
        let (lasting, passing) = (self.lasting.clone(), results.passing().into());
        self.out.send_replace(Arc::new(View { lasting, passing, event }));
        self.bell.ring();
    }
}

/// A number a kind of look: missing, damaged, unchecked, whole.
fn kind(look: &Look) -> usize {
    match look {
        Look::Missing => 0,
        Look::Damaged(_) => 1,
        Look::Unchecked(_) => 2,
        Look::Whole(_) => 3,
    }
}

/// Whether these say the same, to the last bit: what is not finite equals nothing, itself included.
fn alike(a: &(Vec<Live>, bool), b: &(Vec<Live>, bool)) -> bool {
    let text = |live: &[Live]| serde_json::to_string(live).unwrap_or_default();
    a.1 == b.1 && (a.0 == b.0 || text(&a.0) == text(&b.0))
}

/// What tells one state of a file from another; nothing where there is none.
fn mark(path: &Path) -> io::Result<Mark> {
    match fs::symlink_metadata(path) {
        Ok(about) => Ok(Some((about.len(), about.modified().ok(), number(&about)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn number(about: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(about)
}

#[cfg(not(unix))]
fn number(_: &fs::Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parts(view: &View) -> (Value, Value) {
        let event = view.event(0);
        let event = event.strip_prefix("data: ").unwrap().trim_end();
        assert!(!event.contains('\n'));
        (serde_json::from_slice(&view.data()).unwrap(), serde_json::from_str(event).unwrap())
    }

    /// A folder in which `rules` are planned, and a run of each but the last is over.
    fn folder(at: &Path, rules: &[&str]) -> (Store, Vec<String>) {
        let store = Store::make(at).unwrap();
        let (mut text, mut keys) = (format!("rule = '{}'\n", rules[0]), Vec::new());
        for (k, rule) in rules.iter().enumerate() {
            let outcome = Outcome::sample(rule, "alie", 1, &[0.25, 0.5]);
            text += &format!("[[run]] # {}\nrule = '{rule}'\n", outcome.key);
            if k + 1 < rules.len() {
                store.save(&outcome).unwrap();
            }
            keys.push(outcome.key);
        }
        store.write("experiment.toml", text.as_bytes()).unwrap();
        (store, keys)
    }

    #[test]
    fn what_changes_is_seen_and_what_does_not_is_not_read_again() {
        let at = tempfile::tempdir().unwrap();
        let (store, keys) = folder(at.path(), &["krum", "median", "average"]);
        let (mut reader, seen) = Reader::start(store.clone(), at.path().to_owned(), Bell::new());
        let (data, first) = parts(&seen.borrow());
        assert_eq!((&data["over"], &data["planned"]), (&json!(2), &json!(3)));
        assert_eq!(data["runs"][0]["key"], json!(keys[0]));
        assert!(data["missing"].as_str().unwrap().starts_with("Partial: 2 of 3"), "{data}");
        reader.look();
        assert!(!seen.has_changed().unwrap());
        // A live file changes the event, and not what is over.
        let mut live = Live::default();
        (live.rule, live.curve) = ("zeno".into(), vec![(0, f64::NAN)]);
        store.write("live.json", &serde_json::to_vec(&[live]).unwrap()).unwrap();
        reader.look();
        let (data, event) = parts(&seen.borrow());
        assert_eq!(event["data"], first["data"]);
        assert_eq!(event["running"][0]["curve"], json!([[0, null]]));
        assert_eq!(event["running"][0]["not_finite"], 1);
        assert_eq!(data["running"], event["running"]);
        assert_eq!(event["rules"][3]["rule"], "zeno");
        // The same NaN again is no change.
        let before = seen.borrow().event.as_ptr();
        reader.look();
        assert_eq!(seen.borrow().event.as_ptr(), before);
        store.save(&Outcome::sample("average", "alie", 1, &[0.25, f64::NAN])).unwrap();
        reader.look();
        let (data, event) = parts(&seen.borrow());
        assert_ne!(event["data"], first["data"]);
        assert_eq!((&event["over"], &event["missing"]), (&json!(3), &json!(null)));
        assert_eq!(data["runs"][2]["fate"]["told"], "diverged, never learnt");
    }

    #[test]
    fn a_folder_that_cannot_be_read_stays_as_it_was_seen_last() {
        let at = tempfile::tempdir().unwrap();
        let (store, keys) = folder(at.path(), &["krum", "median"]);
        let (mut reader, seen) = Reader::start(store.clone(), at.path().to_owned(), Bell::new());
        // What is damaged while nobody looks is said, and what is mended comes back.
        let part = store.part(&keys[0], "csv");
        let whole = fs::read(&part).unwrap();
        fs::write(&part, "step,metric,value\n").unwrap();
        reader.look();
        let (data, _) = parts(&seen.borrow());
        assert!(data["missing"].as_str().unwrap().contains("1 runs are not as"), "{data}");
        fs::write(&part, whole).unwrap();
        reader.look();
        assert_eq!(parts(&seen.borrow()).0["over"], 1);
        fs::rename(at.path().join("runs"), at.path().join("gone")).unwrap();
        reader.look();
        let (data, event) = parts(&seen.borrow());
        assert_eq!((&data["over"], &event["over"]), (&json!(1), &json!(1)));
        assert_eq!(event["trouble"], "cannot read the folder: its folder runs is gone");
        fs::rename(at.path().join("gone"), at.path().join("runs")).unwrap();
        reader.look();
        assert_eq!(parts(&seen.borrow()).1["trouble"], json!(null));
    }

    #[test]
    fn entries_beside_the_runs_are_a_leaderboard_and_new_ones_are_seen() {
        let at = tempfile::tempdir().unwrap();
        let (store, _) = folder(at.path(), &["krum", "median"]);
        let (mut reader, seen) = Reader::start(store, at.path().to_owned(), Bell::new());
        let (data, first) = parts(&seen.borrow());
        assert!(data["leaderboard"].is_null() && data["over"] == 1);
        let entries = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/benchmark/small-v1");
        fs::copy(entries.join("median.json"), at.path().join("median.json")).unwrap();
        reader.look();
        let (data, event) = parts(&seen.borrow());
        assert_ne!(event["data"], first["data"]);
        assert_eq!(data["leaderboard"]["standings"][0]["rule"], "median");
        // One that is half written leaves what was seen.
        fs::write(at.path().join("krum.json"), "{\"format\": \"varangian-benchmark\"").unwrap();
        reader.look();
        assert_eq!(parts(&seen.borrow()).1["data"], event["data"]);
    }

    #[test]
    fn names_in_files_are_neither_markup_nor_paths() {
        let at = tempfile::tempdir().unwrap();
        let store = Store::make(at.path()).unwrap();
        store.save(&Outcome::sample("</script><script>alert(1)", "alie", 1, &[0.5])).unwrap();
        let keys = "name = '<b>'\n[[run]] # ../../etc/passwd\n[[run]] # /etc/passwd\n";
        store.write("experiment.toml", keys.as_bytes()).unwrap();
        let (_, seen) = Reader::start(store, at.path().to_owned(), Bell::new());
        let page = String::from_utf8(page(&[seen.borrow().clone()]).to_vec()).unwrap();
        assert!(!page.contains("<script>alert") && page.contains("u003c/script"), "{page}");
        let (data, _) = parts(&seen.borrow());
        assert_eq!((&data["planned"], &data["name"]), (&json!(1), &json!("<b>")));
    }
}
