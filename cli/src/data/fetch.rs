//! Downloads a public data set through `curl`, so that proxies and certificates are the system's.
//!
//! A download that was interrupted goes on where it stopped. A file whose original checksum is
//! known must match it; of others the checksum is written beside them on first use (`.sha256`, as
//! `sha256sum -c` reads it), and later downloads must match that.

use super::remote::{self, Form, Remote};
use super::verify::{describe, file_hash, unpacked_hash};
use crate::{Failure, print};
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use varangian_base::{Seed, SpecError};
use varangian_lab::files;

/// Fetches the set `name` into the folder `data` and reads it once.
pub(super) fn run(name: &str, data: &Path) -> Result<(), Failure> {
    let parts = remote::of(name);
    if parts.is_empty() {
        return Err(SpecError::unknown("data set to fetch", name, &remote::sets()).into());
    }
    for part in parts {
        let folder = data.join(part.folder);
        let made: Vec<&Path> = folder.ancestors().take_while(|dir| !dir.exists()).collect();
        files::make_folder(&folder)?;
        let path = obtain(part.url, &folder, part.name(), part.unpacked).inspect_err(|_| {
            // Folders made for nothing go again; one that holds a part to go on with stays.
            made.iter().for_each(|dir| drop(fs::remove_dir(dir)));
        })?;
        unpack(part, &path, &folder)?;
    }
    let split = varangian_learn::data::load(name, Some(data.to_owned()), Seed(0));
    let split = split.map_err(|error| Failure::failed(error.to_string()))?;
    print::line(&format!("{name}: {}", describe(&split)));
    Ok(())
}

/// The file, downloaded unless it is there, and checked.
fn obtain(
    url: &str,
    folder: &Path,
    name: &str,
    unpacked: Option<&str>,
) -> Result<PathBuf, Failure> {
    let path = folder.join(name);
    if path.is_file() {
        check(&path, &path, unpacked)?;
        print::line(&format!("{} is already there", path.display()));
        return Ok(path);
    }
    // The draft keeps the ending, by which contents are unpacked for the check.
    let draft = folder.join(format!("part-{name}"));
    print::line(&format!("fetching {url}"));
    download(url, &draft)?;
    if let Err(failure) = check(&draft, &path, unpacked) {
        // A wrong file must not be taken up again by the next attempt.
        let _ = fs::remove_file(&draft);
        return Err(failure);
    }
    fs::rename(&draft, &path).map_err(|e| Failure::file("write", &path, &e))?;
    Ok(path)
}

/// Runs curl, going on where an earlier attempt stopped.
fn download(url: &str, draft: &Path) -> Result<(), Failure> {
    let host = url.split('/').nth(2).unwrap_or(url);
    let mut curl = Command::new("curl");
    curl.args(["--fail", "--location", "--proto", "=http,https", "--continue-at", "-"]);
    curl.args(["--connect-timeout", "20", "--retry", "2", "--output"]).arg(draft);
    match std::io::stderr().is_terminal() {
        true => curl.arg("--progress-bar"),
        // What curl says of each attempt would stand before the one line that says what to do.
        false => curl.arg("--silent"),
    };
    let status = curl.arg("--").arg(url).stdin(Stdio::null()).status();
    let by_hand = format!("fetch {url} by hand into that folder");
    match status {
        Err(error) => Err(Failure::failed(format!("cannot run curl ({error}): {by_hand}"))),
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            let why = match status.code() {
                Some(5 | 6) => format!("no network, or no host {host}"),
                Some(7 | 28 | 35 | 56) => format!("{host} cannot be reached"),
                Some(18) => "the transfer stopped; run the same command to go on".to_owned(),
                Some(22) => format!("{host} refuses it"),
                Some(33) => format!("{host} cannot resume; remove {}", draft.display()),
                Some(code) => format!("curl ends with {code}"),
                None => "curl was stopped".to_owned(),
            };
            Err(Failure::failed(format!("{url}: {why}; or {by_hand}")))
        }
    }
}

/// Checks `file`, which is or will be `path`, against the known or the recorded checksum; records
/// it if there is neither.
fn check(file: &Path, path: &Path, unpacked: Option<&str>) -> Result<(), Failure> {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let differ = |wanted: &str, found: &str| {
        let what = format!("{}: SHA-256: expected {wanted}, found {found}", path.display());
        Err(Failure::failed(what))
    };
    if let Some(wanted) = unpacked {
        let found = unpacked_hash(file)?;
        return if found == wanted { Ok(()) } else { differ(wanted, &found) };
    }
    let found = file_hash(file)?;
    let record = path.with_file_name(format!("{name}.sha256"));
    match fs::read_to_string(&record) {
        Ok(text) => match text.split_whitespace().next() {
            Some(wanted) if wanted == found => Ok(()),
            wanted => differ(wanted.unwrap_or("a checksum"), &found),
        },
        Err(_) => {
            print::line(&format!(
                "no published SHA-256 is known here for {name}; recording {found}"
            ));
            files::write(&record, format!("{found}  {name}\n").as_bytes())
        }
    }
}

/// Unpacks an archive into `folder`.
fn unpack(part: &Remote, path: &Path, folder: &Path) -> Result<(), Failure> {
    match part.form {
        Form::AsIs => Ok(()),
        Form::TarGz => {
            let status = Command::new("tar").arg("-xzf").arg(path).arg("-C").arg(folder).status();
            match status {
                Ok(status) if status.success() => Ok(()),
                _ => Err(Failure::failed(format!("tar cannot unpack {}", path.display()))),
            }
        }
        Form::Zip => unzip(path, folder),
    }
}

/// Takes the .gz files out of a zip archive, whatever folder they stand in.
fn unzip(path: &Path, folder: &Path) -> Result<(), Failure> {
    let fail = |e: &dyn std::fmt::Display| Failure::file("unpack", path, e);
    let file = fs::File::open(path).map_err(|e| fail(&e))?;
    let mut archive = zip::ZipArchive::new(std::io::BufReader::new(file)).map_err(|e| fail(&e))?;
    for k in 0..archive.len() {
        let mut member = archive.by_index(k).map_err(|e| fail(&e))?;
        let name = member.name().rsplit('/').next().unwrap_or("").to_owned();
        if !name.ends_with(".gz") || name.contains(['\\', ':']) {
            continue;
        }
        let draft = folder.join(format!("part-{name}"));
        let mut out = fs::File::create(&draft).map_err(|e| fail(&e))?;
        std::io::copy(&mut member, &mut out).map_err(|e| fail(&e))?;
        fs::rename(&draft, folder.join(&name)).map_err(|e| fail(&e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    const BODY: &[u8] = b"0123456789abcdef";

    /// Serves `BODY` for `requests` requests, from the byte asked for; gives the address.
    fn serve(requests: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().take(requests) {
                let mut stream = stream.unwrap();
                let mut from = 0;
                for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                    let line = line.unwrap().to_lowercase();
                    if let Some(range) = line.strip_prefix("range: bytes=") {
                        from = range.trim_end_matches('-').parse().unwrap();
                    }
                    if line.is_empty() {
                        break;
                    }
                }
                let (status, range) = match from {
                    0 => ("200 OK", String::new()),
                    _ => ("206 Partial Content", format!("Content-Range: bytes {from}-15/16\r\n")),
                };
                let length = BODY.len() - from;
                let head = format!(
                    "HTTP/1.1 {status}\r\n{range}Content-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                stream.write_all(&[head.as_bytes(), &BODY[from..]].concat()).unwrap();
            }
        });
        format!("http://{address}/a.bin")
    }

    #[test]
    fn a_download_goes_on_where_it_stopped_and_is_recorded_then_held_to_its_record() {
        let dir = tempfile::tempdir().unwrap();
        let url = serve(2);
        fs::write(dir.path().join("part-a.bin"), &BODY[..5]).unwrap();
        let path = obtain(&url, dir.path(), "a.bin", None).unwrap();
        assert_eq!(fs::read(&path).unwrap(), BODY);
        let record = fs::read_to_string(dir.path().join("a.bin.sha256")).unwrap();
        assert_eq!(record, format!("{}  a.bin\n", file_hash(&path).unwrap()));
        obtain(&url, dir.path(), "a.bin", None).unwrap();
        fs::write(&path, b"changed").unwrap();
        let failure = obtain(&url, dir.path(), "a.bin", None).unwrap_err();
        assert!(failure.to_string().contains("SHA-256: expected"), "{failure}");
        fs::remove_file(&path).unwrap();
        let failure = obtain(&url, dir.path(), "a.bin", Some("00")).unwrap_err();
        assert!(failure.to_string().contains("SHA-256: expected 00, found"), "{failure}");
        assert!(!dir.path().join("part-a.bin").exists() && !path.exists());
    }

    #[test]
    fn without_a_network_the_line_says_so_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let url = "http://127.0.0.1:9/a.bin";
        let failure = obtain(url, dir.path(), "a.bin", None).unwrap_err();
        let text = failure.to_string();
        assert_eq!(failure.code(), 1);
        assert!(text.contains("cannot be reached") && text.contains("by hand"), "{text}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let failure = run("mnits", dir.path()).unwrap_err();
        let wanted = "unknown data set to fetch \"mnits\"; did you mean \"mnist\"?";
        assert_eq!(failure.to_string(), wanted);
    }
}
