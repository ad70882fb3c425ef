//! What an authority makes, read back as a stranger would read it.

use super::*;
use std::fs;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

fn authority(days: u32) -> (tempfile::TempDir, Authority) {
    let folder = tempfile::tempdir().unwrap();
    let made = Authority::init(&folder.path().join("ca"), "test", days).unwrap();
    (folder, made)
}

fn said<T: std::fmt::Debug>(done: Result<T, Trouble>) -> String {
    done.unwrap_err().0
}

fn names(authority: &Authority) -> Vec<String> {
    let entries = fs::read_dir(authority.folder()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_workers_certificate_its_line_and_its_key_agree() {
    let (_folder, ca) = authority(365);
    let issued = ca.issue_worker("worker-7", None, "Example Labs", 30).unwrap();
    assert_eq!(issued.id, Some(0));
    let der = certificate_in(&issued.certificate).unwrap();
    assert_eq!(fingerprint_of(&der).unwrap(), issued.fingerprint);
    assert_eq!(common_name(&der).unwrap(), "worker-7");
    let roll = Roll::read(&ca.workers(), 1).unwrap();
    let member = roll.by_fingerprint(&issued.fingerprint).unwrap();
    assert_eq!((member.id, member.name.as_str()), (0, "worker-7"));
    assert_eq!(member.organisation, "Example Labs");
    let pair = KeyPair::from_pem(&fs::read_to_string(&issued.key).unwrap()).unwrap();
    assert_eq!(certificate::digest(&pair.subject_public_key_info()), issued.fingerprint);
    assert_eq!(names(&ca), ["ca.key", "ca.pem", "worker-7.key", "worker-7.pem", "workers.toml"]);
    // The authority of a folder that is opened again goes on where it was.
    let again = Authority::open(ca.folder()).unwrap();
    assert_eq!(again.issue_worker("worker-8", None, "", 30).unwrap().id, Some(1));
    assert_eq!(again.issue_worker("worker-9", Some(4), "", 30).unwrap().id, Some(4));
    assert_eq!(again.issue_worker("worker-10", None, "", 30).unwrap().id, Some(2));
}

#[test]
fn certificates_say_what_they_are_for_and_who_signed_them() {
    let (_folder, ca) = authority(365);
    let worker = ca.issue_worker("worker-7", None, "Example Labs", 30).unwrap();
    let hosts = ["ps.example.org", "localhost", "10.0.0.7", "::1", "param_server"];
    let server = ca.issue_server("server", &hosts.map(str::to_owned), 30).unwrap();
    let own = certificate_in(&ca.folder().join(CERTIFICATE)).unwrap();
    let (_, own) = X509Certificate::from_der(&own).unwrap();
    let constraints = own.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    let usage = own.key_usage().unwrap().unwrap().value;
    assert!(usage.key_cert_sign() && !usage.digital_signature());
    assert!(own.verify_signature(None).is_ok());
    for (issued, serves) in [(&worker, false), (&server, true)] {
        let der = certificate_in(&issued.certificate).unwrap();
        let (_, made) = X509Certificate::from_der(&der).unwrap();
        assert!(made.verify_signature(Some(own.public_key())).is_ok());
        assert_eq!(made.issuer(), own.subject());
        assert!(!made.is_ca());
        let usage = made.extended_key_usage().unwrap().unwrap().value;
        assert_eq!((usage.server_auth, usage.client_auth), (serves, !serves));
        assert!(!usage.any && !usage.code_signing && !usage.email_protection);
        let usage = made.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && !usage.key_cert_sign());
        let named = |of: &X509Certificate<'_>, wanted: &str| {
            let found = of.extensions().iter().find_map(|extension| {
                match (extension.parsed_extension(), wanted) {
                    (ParsedExtension::AuthorityKeyIdentifier(id), "authority") => {
                        id.key_identifier.clone()
                    }
                    (ParsedExtension::SubjectKeyIdentifier(id), "own") => Some(id.clone()),
                    _ => None,
                }
            });
            found.map(|id| id.0.to_vec())
        };
        assert!(named(&own, "own").is_some());
        assert_eq!(named(&made, "authority"), named(&own, "own"));
        let seconds =
            made.validity().not_after.timestamp() - made.validity().not_before.timestamp();
        assert_eq!(seconds, 30 * 86_400 + 300);
        assert!(made.validity().is_valid());
    }
    let der = certificate_in(&server.certificate).unwrap();
    let (_, made) = X509Certificate::from_der(&der).unwrap();
    let hosts = made.subject_alternative_name().unwrap().unwrap().value.general_names.clone();
    let v6 = [[0; 15].as_slice(), &[1]].concat();
    let wanted = vec![
        GeneralName::DNSName("ps.example.org"),
        GeneralName::DNSName("localhost"),
        GeneralName::IPAddress(&[10, 0, 0, 7]),
        GeneralName::IPAddress(&v6),
        GeneralName::DNSName("param_server"),
    ];
    assert_eq!(hosts, wanted);
}

#[test]
#[cfg(unix)]
fn keys_are_their_owners_alone_and_never_written_over() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (_folder, ca) = authority(365);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let issued = ca.issue_worker("worker-7", None, "", 30).unwrap();
    assert_eq!(mode(&issued.key), 0o600);
    assert_eq!(mode(&ca.folder().join(KEY)), 0o600);
    assert_eq!(mode(ca.folder()), 0o700);
    let list = fs::read(ca.workers()).unwrap();
    // A file, and a link that leads nowhere, in the place of a key or a certificate.
    let at = |name: &str| ca.folder().join(name);
    fs::write(at("kept.key"), "kept").unwrap();
    symlink(at("elsewhere"), at("linked.pem")).unwrap();
    for name in ["kept", "linked"] {
        assert!(said(ca.issue_worker(name, None, "", 30)).contains("not written over"), "{name}");
        let host = ["localhost".to_owned()];
        assert!(said(ca.issue_server(name, &host, 30)).contains("not written over"));
    }
    assert_eq!(fs::read(at("kept.key")).unwrap(), b"kept");
    assert!(!at("kept.pem").exists() && !at("linked.key").exists() && !at("elsewhere").exists());
    assert_eq!(fs::read(ca.workers()).unwrap(), list);
    // The authority's own.
    assert!(said(ca.issue_worker("ca", None, "", 30)).contains("not written over"));
}

#[test]
fn what_is_taken_or_malformed_is_refused_and_leaves_nothing() {
    let (_folder, ca) = authority(365);
    ca.issue_worker("worker-7", Some(3), "", 30).unwrap();
    let before = names(&ca);
    let text = said(ca.issue_worker("worker-7", None, "", 30));
    assert!(text.contains("workers.toml: a new worker needs a new name"), "{text}");
    let text = said(ca.issue_worker("worker-8", Some(3), "", 30));
    assert!(text.contains("number 3 is worker-7's already; the least free one is 0"), "{text}");
    for name in ["", "Worker", "a/b", "..", "a b", "ü", "a\n", &"x".repeat(65)] {
        let text = said(ca.issue_worker(name, None, "", 30));
        assert!(text.contains("1 to 64 of a-z, 0-9"), "{text}");
        assert!(ca.issue_server(name, &["localhost".into()], 30).is_err());
    }
    for organisation in [" ", "a ", "a\tb", "\u{202e}a", &"x".repeat(65)] {
        assert!(said(ca.issue_worker("w", None, organisation, 30)).contains("organisation"));
    }
    for days in [0, 3651, u32::MAX] {
        assert!(said(ca.issue_worker("w", None, "", days)).contains("1 to 3650 days"));
        assert!(ca.issue_server("s", &["localhost".into()], days).is_err());
    }
    let long = "x.".repeat(127);
    for host in [
        "",
        "a b",
        "ps:50051",
        "[::1]",
        "https://ps",
        "*.example.org",
        "-a",
        "a..b",
        "300.1.1.1",
        "ünïcode",
        &long,
    ] {
        let text = said(ca.issue_server("s", &[host.to_owned()], 30));
        assert!(text.contains("a host is a name"), "{text}");
    }
    assert!(said(ca.issue_server("s", &[], 30)).contains("got 0"));
    assert!(ca.issue_server("s", &vec!["a".into(); 101], 30).is_err());
    // A list that cannot be changed enrols nobody, and no pair is left.
    fs::write(ca.workers(), "worker = [").unwrap();
    assert!(said(ca.issue_worker("w", None, "", 30)).contains("workers.toml, line 1"));
    fs::write(ca.workers(), "worker = []").unwrap();
    assert!(said(ca.issue_worker("w", None, "", 30)).contains("stays as it was"));
    assert_eq!(names(&ca), before);
}

#[test]
fn an_authority_is_made_once_and_must_be_whole() {
    let (folder, ca) = authority(365);
    assert!(said(Authority::init(ca.folder(), "test", 365)).contains("is there already"));
    for days in [0, 3651] {
        let other = folder.path().join("other");
        assert!(said(Authority::init(&other, "test", days)).contains("1 to 3650 days"));
        assert!(Authority::init(&other, "", 5).is_err() && !other.exists());
    }
    assert!(said(Authority::open(&folder.path().join("none"))).contains("varangian ca init"));
    let other = Authority::init(&folder.path().join("other"), "test", 365).unwrap();
    let (key, pem) = (other.folder().join(KEY), other.folder().join(CERTIFICATE));
    let kept = fs::read(&key).unwrap();
    fs::copy(ca.folder().join(KEY), &key).unwrap();
    assert!(said(Authority::open(other.folder())).contains("do not belong together"));
    fs::write(&key, "secret").unwrap();
    let text = said(Authority::open(other.folder()));
    assert!(text.contains("no private key in PEM") && !text.contains("secret"), "{text}");
    fs::remove_file(&key).unwrap();
    assert!(said(Authority::open(other.folder())).contains("ca.key"));
    // A worker's certificate is no authority's, even with its own key.
    let issued = ca.issue_worker("worker-7", None, "", 30).unwrap();
    fs::copy(&issued.key, &key).unwrap();
    fs::copy(&issued.certificate, &pem).unwrap();
    assert!(said(Authority::open(other.folder())).contains("may sign others"));
    fs::write(&key, kept).unwrap();
    assert!(!format!("{ca:?}").contains("PRIVATE"));
}

#[test]
fn nothing_outlasts_its_authority() {
    let (_folder, mut ca) = authority(10);
    let issued = ca.issue_worker("worker-7", None, "", 30).unwrap();
    assert_eq!(issued.expiry, *ca.expiry());
    assert!(ca.issue_worker("worker-8", None, "", 9).unwrap().expiry.unix < ca.expiry().unix);
    ca.expiry.past = true;
    assert!(said(ca.issue_worker("worker-9", None, "", 30)).contains("signs nothing any more"));
}

#[test]
fn workers_issued_at_once_get_a_number_each() {
    let (_folder, ca) = authority(365);
    std::thread::scope(|scope| {
        for k in 0..8 {
            let ca = &ca;
            scope.spawn(move || ca.issue_worker(&format!("worker-{k}"), None, "", 30).unwrap());
        }
    });
    let roll = Roll::read(&ca.workers(), 8).unwrap();
    let ids: Vec<u32> = roll.members().iter().map(|member| member.id).collect();
    assert_eq!(ids, (0..8).collect::<Vec<_>>());
}
