//! Who is enrolled: the workers of a run, and the public keys by which the server knows them.

use crate::Trouble;
use crate::authority::list::{List, MOST};
use crate::authority::{files, quoted};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// An enrolled worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number, from 0.
    pub id: u32,
    /// Its name, as its certificate's file has it.
    pub name: String,
    /// `sha256:` and the hash of its public key, in hexadecimal; empty where there is no TLS.
    pub fingerprint: String,
    /// Whose it is; empty if nobody said.
    pub organisation: String,
}

/// A line of the list: an enrolled worker, or one that was and is no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The worker.
    pub member: Member,
    /// Whether it may not join any more.
    pub revoked: bool,
}

/// The enrolled workers, by ascending number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roll {
    members: Vec<Member>,
}

impl Roll {
    /// Reads the list of the workers of a run with `n` of them. Revoked ones are left out; their
    /// names and keys stay taken, their numbers do not.
    ///
    /// # Errors
    /// If the file cannot be read, is larger than 4 MiB, is no list of workers, has unknown keys,
    /// or has a name, a fingerprint or a number that is malformed, there twice, or not below `n`.
    /// The error names the line.
    pub fn read(path: &Path, n: usize) -> Result<Roll, Trouble> {
        Roll::read_capped(path, n, None)
    }

    /// As [`Roll::read`], for runs in which no organisation may have more than `most` workers.
    /// Case does not tell organisations apart, and workers without one count as of the same.
    ///
    /// # Errors
    /// As [`Roll::read`], and if an organisation has more.
    pub fn read_capped(path: &Path, n: usize, most: Option<usize>) -> Result<Roll, Trouble> {
        Roll::of(&files::text(path, MOST)?, path, n, most)
    }

    fn of(text: &str, path: &Path, n: usize, most: Option<usize>) -> Result<Roll, Trouble> {
        let list = List::parse(text, path)?;
        list.demand_below(n)?;
        let enrolled = list.entries().into_iter().filter(|entry| !entry.revoked);
        let mut members: Vec<Member> = enrolled.map(|entry| entry.member).collect();
        members.sort_by_key(|member| member.id);
        if let Some(most) = most {
            demand_spread(&members, most).map_err(|trouble| trouble.at(path))?;
        }
        Ok(Roll { members })
    }

    /// Workers `worker-0` to `worker-(n-1)` that nothing proves, for runs without TLS.
    pub fn insecure(n: usize) -> Roll {
        let member = |id: u32| Member {
            id,
            name: format!("worker-{id}"),
            fingerprint: String::new(),
            organisation: String::new(),
        };
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        Roll { members: (0..n).map(member).collect() }
    }

    /// The worker with that public key, if it is enrolled.
    pub fn by_fingerprint(&self, fingerprint: &str) -> Option<&Member> {
        // Those that nothing proves have none, and nobody is known by having none.
        let known = |member: &&Member| !fingerprint.is_empty() && member.fingerprint == fingerprint;
        self.members.iter().find(known)
    }

    /// The worker with that number, if it is enrolled.
    pub fn by_id(&self, id: u32) -> Option<&Member> {
        let at = self.members.binary_search_by_key(&id, |member| member.id).ok()?;
        self.members.get(at)
    }

    /// All of them, by ascending number.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Adds a worker at the end of the file; all else in it, comments too, stays as it is.
    ///
    /// # Errors
    /// If the file cannot be read or written, is no list of workers, or has the name, the number
    /// or the fingerprint already; if one of these is malformed.
    pub fn add(path: &Path, member: &Member) -> Result<(), Trouble> {
        let _held = files::hold(path);
        Roll::add_held(path, member)
    }

    /// As [`Roll::add`], where the caller holds the folder.
    pub(crate) fn add_held(path: &Path, member: &Member) -> Result<(), Trouble> {
        let text = files::text(path, MOST)?;
        let list = List::parse(&text, path)?;
        place_in(&list.entries(), &member.name, Some(member.id)).map_err(|e| e.at(path))?;
        list.replace(&list.with(member), |entries| {
            entries.push(Entry { member: member.clone(), revoked: false });
        })
    }

    /// Takes a worker out: sets `revoked = true` in its entry; all else in the file stays as it
    /// is. A server that reads the list anew refuses it from then on.
    ///
    /// # Errors
    /// If the file cannot be read or written or is no list of workers; if it has no such worker,
    /// or the worker is revoked already.
    pub fn revoke(path: &Path, name: &str) -> Result<Member, Trouble> {
        let _held = files::hold(path);
        let text = files::text(path, MOST)?;
        let list = List::parse(&text, path)?;
        let mut entries = list.entries();
        let Some(at) = entries.iter().position(|entry| entry.member.name == name) else {
            let path = path.display();
            return Err(Trouble(format!("{path} has no worker {}", quoted(name))));
        };
        if entries[at].revoked {
            return Err(Trouble(format!("{name} is revoked already")).at(path));
        }
        list.replace(&list.without(at), |entries| entries[at].revoked = true)?;
        Ok(entries.swap_remove(at).member)
    }
}

/// All that a list of workers names, in the file's order, those that are revoked too.
///
/// # Errors
/// As [`Roll::read`] for any number of workers.
pub fn entries(path: &Path) -> Result<Vec<Entry>, Trouble> {
    Ok(List::parse(&files::text(path, MOST)?, path)?.entries())
}

/// The number of a new worker: the one asked for, or the least that no enrolled worker has.
pub(crate) fn place(path: &Path, name: &str, id: Option<u32>) -> Result<u32, Trouble> {
    place_in(&entries(path)?, name, id).map_err(|trouble| trouble.at(path))
}

fn place_in(entries: &[Entry], name: &str, id: Option<u32>) -> Result<u32, Trouble> {
    if let Some(entry) = entries.iter().find(|entry| entry.member.name == name) {
        let by = if entry.revoked { "a revoked worker" } else { "an enrolled one" };
        return Err(Trouble(format!("a new worker needs a new name; {name} is that of {by}")));
    }
    let enrolled = entries.iter().filter(|entry| !entry.revoked);
    let taken: BTreeMap<u32, &str> =
        enrolled.map(|entry| (entry.member.id, entry.member.name.as_str())).collect();
    let free = (0..=u32::MAX).find(|id| !taken.contains_key(id));
    let id = id.or(free).ok_or_else(|| Trouble("no number is free".into()))?;
    match taken.get(&id) {
        None => Ok(id),
        Some(other) => {
            let free = free.map_or(String::new(), |free| format!("; the least free one is {free}"));
            Err(Trouble(format!("number {id} is {other}'s already{free}")))
        }
    }
}

/// A list that is read again when it changed.
#[derive(Clone, Debug)]
pub struct RollFile {
    path: PathBuf,
    n: usize,
    most: Option<usize>,
    seen: Option<[u8; 32]>,
}

impl RollFile {
    /// The list of a run with `n` workers, at most `most` of one organisation; nothing is read yet.
    pub fn new(path: impl Into<PathBuf>, n: usize, most: Option<usize>) -> RollFile {
        RollFile { path: path.into(), n, most, seen: None }
    }

    /// The roll, at the first call and whenever the contents are others than at the last call. A
    /// file that cannot be read, or not as a list, is told once; the roll before it should go on
    /// to count, as someone may be writing.
    pub fn changed(&mut self) -> Option<Result<Roll, Trouble>> {
        // Contents, as two changes can fall into one tick of a file system's clock.
        let text = files::text(&self.path, MOST);
        let hash = match &text {
            Ok(text) => Sha256::digest(text.as_bytes()),
            Err(trouble) => Sha256::digest(format!("\0{trouble}").as_bytes()),
        };
        let hash: [u8; 32] = hash.into();
        if self.seen.replace(hash) == Some(hash) {
            return None;
        }
        Some(text.and_then(|text| {
            // What an editor leaves for a moment must not send every worker away.
            if text.is_empty() {
                let text = "it is empty; a list that enrols nobody has a comment";
                return Err(Trouble(text.into()).at(&self.path));
            }
            Roll::of(&text, &self.path, self.n, self.most)
        }))
    }
}

/// Whether no organisation has more than `most` of the workers.
fn demand_spread(members: &[Member], most: usize) -> Result<(), Trouble> {
    let mut of: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for member in members {
        of.entry(member.organisation.to_lowercase()).or_default().insert(member.id);
    }
    let Some((organisation, ids)) = of.into_iter().find(|(_, ids)| ids.len() > most) else {
        return Ok(());
    };
    let count = ids.len();
    let (whose, hint) = match organisation.is_empty() {
        true => ("no organisation".into(), "; they count as of one, so name theirs"),
        false => (quoted(&organisation), ""),
    };
    Err(Trouble(format!(
        "an organisation may have at most {most} workers; {count} are of {whose}{hint}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn key(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    fn member(id: u32, name: &str, digit: char) -> Member {
        let (name, fingerprint) = (name.to_owned(), key(digit));
        Member { id, name, fingerprint, organisation: String::new() }
    }

    /// A file with that text, in a folder that lives as long as it.
    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("workers.toml");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn entry(id: u32, name: &str, digit: char, more: &str) -> String {
        format!(
            "[[worker]]\nid = {id}\nname = \"{name}\"\nfingerprint = \"{}\"\n{more}",
            key(digit)
        )
    }

    fn refused(text: &str, n: usize) -> String {
        let (_folder, path) = file(text);
        Roll::read(&path, n).unwrap_err().0
    }

    #[test]
    fn members_are_found_by_number_and_by_key_and_revoked_ones_are_not() {
        let text = [
            entry(5, "c", 'c', ""),
            entry(0, "a", 'a', "organisation = \"Lab\"\n"),
            entry(2, "b", 'b', "revoked = true\n"),
            entry(2, "d", 'd', "revoked = false\n"),
            entry(900, "e", 'e', "revoked = true\n"),
        ];
        let (_folder, path) = file(&text.concat());
        let roll = Roll::read(&path, 6).unwrap();
        let names: Vec<&str> = roll.members().iter().map(|member| member.name.as_str()).collect();
        assert_eq!(names, ["a", "d", "c"]);
        assert_eq!(roll.by_id(2).unwrap().name, "d");
        assert_eq!(roll.by_fingerprint(&key('a')).unwrap().organisation, "Lab");
        assert_eq!(roll.by_fingerprint(&key('b')), None);
        assert_eq!((roll.by_id(1), roll.by_id(900)), (None, None));
        assert_eq!(entries(&path).unwrap().len(), 5);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let a = entry(0, "a", 'a', "");
        let cases = [
            (entry(1, "a", 'b', ""), "line 7: the name a is that of a already (line 3)"),
            (entry(0, "b", 'b', ""), "line 6: number 0, b's, is that of a already (line 3)"),
            (entry(1, "b", 'a', ""), "line 8: the fingerprint of b is that of a already (line 3)"),
            (entry(1, "b", 'a', "revoked = true\n"), "line 8: the fingerprint of b"),
            (entry(3, "b", 'b', ""), "line 6: a run of n = 3 workers numbers them below 3"),
            (entry(1, "B", 'b', ""), "line 7: a worker's name is 1 to 64"),
            (entry(1, "b", 'B', ""), "line 8: a fingerprint is"),
            (entry(1, "b", 'g', ""), "line 8: a fingerprint is"),
            (entry(1, "b", 'b', "organisation = \"a\\u001b\"\n"), "line 9: an organisation is"),
            (entry(1, "b", 'b', "weight = 3\n"), "line 9: unknown field `weight`"),
            (entry(1, "b", 'b', "revoked = 1\n"), "line 9: invalid type"),
            ("[[worker]]\nid = -1\n".into(), "line 6: "),
            ("[[worker]]\nid = 4294967296\n".into(), "line 6: "),
            ("[[worker]]\nid = 1\n".into(), "line 5: missing field `name`"),
            ("[worker]\n".into(), "line 5: "),
            ("id = \n".into(), "line 5: "),
        ];
        for (text, wanted) in cases {
            let found = refused(&format!("{a}{text}"), 3);
            assert!(found.contains("workers.toml, ") && found.contains(wanted), "{found}");
            assert!(!found.contains(['\n', '\u{1b}']), "{found}");
        }
        assert!(refused("workers = []", 3).contains("line 1: unknown field `workers`"));
        assert!(refused(&"#".repeat((4 << 20) + 1), 3).contains("larger than 4194304 bytes"));
        let missing = Roll::read(Path::new("/nowhere/workers.toml"), 3).unwrap_err().0;
        assert!(missing.starts_with("cannot read /nowhere/workers.toml"));
    }

    #[test]
    fn an_organisation_has_at_most_as_many_as_it_may() {
        let of = |name: &str| format!("organisation = \"{name}\"\n");
        let text = [
            entry(0, "a", 'a', &of("Lab")),
            entry(1, "b", 'b', &of("LAB")),
            entry(2, "c", 'c', &(of("lab") + "revoked = true\n")),
        ];
        let (_folder, path) = file(&text.concat());
        assert!(Roll::read_capped(&path, 3, Some(2)).is_ok());
        let found = Roll::read_capped(&path, 3, Some(1)).unwrap_err().0;
        assert!(found.contains("at most 1 workers; 2 are of \"lab\""), "{found}");
        let text = [entry(0, "a", 'a', ""), entry(1, "b", 'b', "organisation = \"\"\n")];
        fs::write(&path, text.concat()).unwrap();
        let found = Roll::read_capped(&path, 3, Some(1)).unwrap_err().0;
        assert!(found.contains("no organisation; they count as of one"), "{found}");
        assert!(Roll::read_capped(&path, 3, None).is_ok());
    }

    #[test]
    fn without_tls_workers_have_numbers_and_nothing_proves_them() {
        let roll = Roll::insecure(3);
        assert_eq!(roll.by_id(2).unwrap().name, "worker-2");
        assert_eq!((roll.by_id(3), roll.by_fingerprint("")), (None, None));
        assert_eq!(roll.members().len(), 3);
    }

    #[test]
    fn adding_and_revoking_keep_the_rest_of_the_file() {
        let head = format!("# Ours.\r\n{}  # the first", entry(0, "a", 'a', "revoked = false"));
        let (_folder, path) = file(&head);
        Roll::add(&path, &Member { organisation: "A \"B\"".into(), ..member(1, "b", 'b') })
            .unwrap();
        Roll::add(&path, &member(2, "c", 'c')).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(&head), "{text}");
        let roll = Roll::read(&path, 3).unwrap();
        assert_eq!(roll.by_id(1).unwrap().organisation, "A \"B\"");
        let refused = |m: Member| Roll::add(&path, &m).unwrap_err().0;
        assert!(refused(member(3, "a", 'd')).contains("needs a new name"));
        assert!(refused(member(2, "d", 'd')).contains("number 2 is c's"));
        assert!(refused(member(3, "d", 'a')).contains("the fingerprint of d is that of a"));
        assert!(refused(member(3, "D", 'd')).contains("1 to 64 of a-z"));
        assert!(refused(member(3, "d", 'x')).contains("a fingerprint is"));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);

        assert_eq!(Roll::revoke(&path, "a").unwrap().id, 0);
        assert_eq!(Roll::revoke(&path, "b").unwrap().fingerprint, key('b'));
        let roll = Roll::read(&path, 3).unwrap();
        assert_eq!(roll.members(), [member(2, "c", 'c')]);
        let now = fs::read_to_string(&path).unwrap();
        assert!(now.contains("revoked = true  # the first"), "{now}");
        assert_eq!(now.replace("revoked = true", "").len(), text.len() - 15 + 1);
        assert!(Roll::revoke(&path, "a").unwrap_err().0.contains("revoked already"));
        assert!(Roll::revoke(&path, "z").unwrap_err().0.contains("no worker \"z\""));
        // A revoked name and key stay taken; a number is free.
        assert!(refused(member(3, "a", 'd')).contains("a revoked worker"));
        assert!(refused(member(3, "d", 'a')).contains("fingerprint"));
        Roll::add(&path, &member(0, "d", 'd')).unwrap();
    }

    #[test]
    fn lists_in_another_hand_are_changed_rightly_or_not_at_all() {
        let (a, b) = (key('a'), key('b'));
        let inline = format!(
            "worker = [{{ id = 0, name = \"a\", fingerprint = \"{a}\" }},\n\
             {{ id = 1, name = \"b\", fingerprint = \"{b}\" }}]\n"
        );
        let strings = format!(
            "[[worker]]\nid = 0\nname = \"\"\"\na\"\"\"\nfingerprint = '''\n{a}'''\n\
             organisation = \"\"\"\nLab\"\"\""
        );
        let last = format!("[[worker]]\nid = 0\nname = \"a\"\nfingerprint = \"{a}\"");
        let marked = format!("\u{feff}# ü\n{last}\n# ü");
        for (text, adds, revokes) in [
            (inline.as_str(), false, false),
            (&strings, true, true),
            (&last, true, true),
            (&marked, true, true),
            (&last.replace('\n', "\r\n"), true, true),
        ] {
            let (_folder, path) = file(text);
            let before = entries(&path).unwrap();
            assert_eq!(Roll::revoke(&path, "a").is_ok(), revokes, "{text}");
            assert_eq!(Roll::add(&path, &member(7, "c", 'c')).is_ok(), adds, "{text}");
            let mut wanted = before;
            wanted[0].revoked = revokes;
            if adds {
                wanted.push(Entry { member: member(7, "c", 'c'), revoked: false });
            }
            assert_eq!(entries(&path).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn a_list_is_read_again_when_its_contents_change() {
        let (_folder, path) = file(&entry(0, "a", 'a', ""));
        let mut list = RollFile::new(&path, 2, Some(1));
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(list.changed().unwrap().unwrap().members(), [member(0, "a", 'a')]);
        assert_eq!(list.changed(), None);
        // The same length, the same time.
        fs::write(&path, entry(1, "a", 'a', "")).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert_eq!(list.changed().unwrap().unwrap().members(), [member(1, "a", 'a')]);
        Roll::revoke(&path, "a").unwrap();
        assert_eq!(list.changed().unwrap().unwrap().members(), []);
        // Trouble is told once.
        for text in ["", "worker = [", &entry(2, "a", 'a', "")] {
            fs::write(&path, text).unwrap();
            assert!(list.changed().unwrap().is_err(), "{text}");
            assert_eq!(list.changed(), None);
        }
        fs::remove_file(&path).unwrap();
        assert!(list.changed().unwrap().is_err());
        assert_eq!(list.changed(), None);
        fs::write(&path, "# nobody\n").unwrap();
        assert_eq!(list.changed().unwrap().unwrap(), Roll::default());
        let two = entry(0, "a", 'a', "") + &entry(1, "b", 'b', "");
        fs::write(&path, two).unwrap();
        assert!(list.changed().unwrap().unwrap_err().0.contains("at most 1 workers"));
    }
}
