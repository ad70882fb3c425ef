//! One's own certificate authority, in a folder: it says who a server is, and who its workers are.

mod certificate;
pub(crate) mod files;
pub(crate) mod list;

pub use certificate::{Expiry, certificate_in, common_name, expiry_of, fingerprint_of};

use crate::Trouble;
use crate::roll::{self, Member, Roll};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The authority's certificate in its folder; servers and workers need it.
pub const CERTIFICATE: &str = "ca.pem";
/// The authority's private key in its folder; it stays there.
pub const KEY: &str = "ca.key";
/// The list of enrolled workers in the authority's folder; the server needs it.
pub const WORKERS: &str = "workers.toml";
/// How long an authority lasts unless one says otherwise.
pub const AUTHORITY_DAYS: u32 = 365;
/// How long a worker's or a server's certificate lasts unless one says otherwise: about a run.
pub const DAYS: u32 = 30;

/// The longest that a certificate may last.
const MOST_DAYS: u32 = 3650;
/// Certificates hold from a little before now on: clocks of other machines may be late.
const LENIENCE: u64 = 300;
/// The most names and addresses in a server's certificate.
const MOST_HOSTS: usize = 100;
/// The longest text in a certificate's name, in characters; the standard's own bound.
const LONGEST: usize = 64;
/// What stands at the top of a new list of workers.
const HEADER: &str = "\
# Who may join: one [[worker]] each, with the fingerprint of its certificate's public key.
# `varangian ca issue` adds one, `varangian ca revoke` takes one out; a server reads changes of
# this file while it runs.
";

/// A certificate authority: its key, and the folder that holds it.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    expiry: Expiry,
}

/// What an authority made for a server or a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate's file.
    pub certificate: PathBuf,
    /// The private key's file, for its owner alone.
    pub key: PathBuf,
    /// `sha256:` and the hash of the public key, in hexadecimal.
    pub fingerprint: String,
    /// The number of a worker; a server has none.
    pub id: Option<u32>,
    /// When the certificate ends: the days asked for, or sooner where the authority ends sooner.
    pub expiry: Expiry,
}

/// What a certificate says of its owner.
struct About {
    name: DistinguishedName,
    hosts: Vec<SanType>,
    purpose: ExtendedKeyUsagePurpose,
}

impl Authority {
    /// Makes `dir` where it is missing, and in it `ca.pem`, `ca.key` and a list of workers,
    /// `workers.toml`, that names none yet.
    ///
    /// # Errors
    /// If one of the three is there already, if `days` is not 1 to 3650, if `name` is not 1 to 64
    /// plain characters, or if the folder cannot be written.
    pub fn init(dir: &Path, name: &str, days: u32) -> Result<Authority, Trouble> {
        demand_text("the authority's name", name)?;
        let (from, until) = span(days)?;
        let files = [KEY, CERTIFICATE, WORKERS].map(|file| dir.join(file));
        if let Some(found) = files.iter().find(|file| file.symlink_metadata().is_ok()) {
            return Err(Trouble(format!(
                "a new authority needs a folder without one; {} is there already",
                found.display()
            )));
        }
        files::make_folder(dir)?;
        let key = KeyPair::generate().map_err(|error| cannot("make a key", &error))?;
        let mut params = lasting(from, until);
        params.distinguished_name = named(name, "");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let own = params.self_signed(&key).map_err(|error| cannot("sign", &error))?;
        files::create_all(&[
            (&files[0], &key.serialize_pem(), files::SECRET),
            (&files[1], &own.pem(), files::PUBLIC),
            (&files[2], HEADER, files::PUBLIC),
        ])?;
        Authority::open(dir)
    }

    /// The authority of a folder, one's own or another's that has a key and a certificate.
    ///
    /// # Errors
    /// If `ca.pem` or `ca.key` is missing, cannot be read, is no authority's, or if the two do not
    /// belong together.
    pub fn open(dir: &Path) -> Result<Authority, Trouble> {
        let (pem, key) = (dir.join(CERTIFICATE), dir.join(KEY));
        if !pem.exists() && !key.exists() {
            return Err(Trouble(format!(
                "{} holds no authority: there is no {CERTIFICATE} and no {KEY}; `varangian ca init \
                 DIR` makes one",
                dir.display()
            )));
        }
        let der = certificate_in(&pem)?;
        certificate::demand_authority(&der).map_err(|error| error.at(&pem))?;
        let expiry = expiry_of(&der).map_err(|error| error.at(&pem))?;
        let text = files::text(&key, files::MOST_PEM)?;
        // Only that it cannot be read is told: what stands there is secret.
        let pair = KeyPair::from_pem(&text).map_err(|_| {
            Trouble(format!("{}: no private key in PEM format (PKCS#8)", key.display()))
        })?;
        if certificate::digest(&pair.subject_public_key_info()) != fingerprint_of(&der)? {
            return Err(Trouble(format!(
                "{} and {} do not belong together: the certificate names another key",
                pem.display(),
                key.display()
            )));
        }
        let issuer = Issuer::from_ca_cert_der(&der.into(), pair)
            .map_err(|error| cannot("read ca.pem", &error))?;
        Ok(Authority { folder: dir.to_owned(), issuer, expiry })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Until when the authority's own certificate holds, and so all that it signed.
    pub fn expiry(&self) -> &Expiry {
        &self.expiry
    }

    /// The list of its workers.
    pub fn workers(&self) -> PathBuf {
        self.folder.join(WORKERS)
    }

    /// Makes a worker's `NAME.pem` and `NAME.key` in the folder and enrols it in `workers.toml`,
    /// under `id` or the least number that no enrolled worker has.
    ///
    /// # Errors
    /// If a worker or a file has the name already, an enrolled worker the number, `name` is not 1
    /// to 64 of a-z, 0-9 and "-", `organisation` is longer than 64 characters or has some that are
    /// not plain, `days` is not 1 to 3650, the authority's time is over, or a file cannot be read
    /// or written; nothing is enrolled then, and no new file left.
    pub fn issue_worker(
        &self,
        name: &str,
        id: Option<u32>,
        organisation: &str,
        days: u32,
    ) -> Result<Issued, Trouble> {
        demand_name(name)?;
        if !organisation.is_empty() {
            demand_text("a worker's organisation", organisation)?;
        }
        let path = self.workers();
        let _held = files::hold(&path);
        let id = roll::place(&path, name, id)?;
        let about = About {
            name: named(name, organisation),
            hosts: Vec::new(),
            purpose: ExtendedKeyUsagePurpose::ClientAuth,
        };
        let issued = self.issue(name, about, days)?;
        let member = Member {
            id,
            name: name.to_owned(),
            fingerprint: issued.fingerprint.clone(),
            organisation: organisation.to_owned(),
        };
        if let Err(trouble) = Roll::add_held(&path, &member) {
            // Without its line the pair is of no use; that it could not go changes nothing.
            let _ = std::fs::remove_file(&issued.certificate);
            let _ = std::fs::remove_file(&issued.key);
            return Err(trouble);
        }
        Ok(Issued { id: Some(id), ..issued })
    }

    /// Makes a server's `NAME.pem` and `NAME.key` in the folder. `hosts` are the names and the IP
    /// addresses, without a port, under which workers reach it.
    ///
    /// # Errors
    /// If a file has the name already, `name` is not 1 to 64 of a-z, 0-9 and "-", `hosts` are not
    /// 1 to 100 names or addresses, `days` is not 1 to 3650, the authority's time is over, or a
    /// file cannot be written.
    pub fn issue_server(&self, name: &str, hosts: &[String], days: u32) -> Result<Issued, Trouble> {
        demand_name(name)?;
        if hosts.is_empty() || hosts.len() > MOST_HOSTS {
            return Err(Trouble(format!(
                "a server's certificate needs 1 to {MOST_HOSTS} names or IP addresses under which \
                 workers reach it; got {}",
                hosts.len()
            )));
        }
        let about = About {
            name: named(name, ""),
            hosts: hosts.iter().map(|host| alternative(host)).collect::<Result<_, _>>()?,
            purpose: ExtendedKeyUsagePurpose::ServerAuth,
        };
        self.issue(name, about, days)
    }

    /// Signs a certificate for a new key and writes the two.
    fn issue(&self, name: &str, about: About, days: u32) -> Result<Issued, Trouble> {
        let (from, until) = span(days)?;
        if self.expiry.past {
            return Err(Trouble(format!(
                "{} signs nothing any more: it ended on {}; `varangian ca init` in another folder \
                 makes a new authority",
                self.folder.join(CERTIFICATE).display(),
                self.expiry.date
            )));
        }
        let last = u64::try_from(self.expiry.unix).unwrap_or(0);
        // Past the authority's end nobody would accept it anyway.
        let mut params = lasting(from, until.min(last));
        params.distinguished_name = about.name;
        params.subject_alt_names = about.hosts;
        params.extended_key_usages = vec![about.purpose];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(|error| cannot("make a key", &error))?;
        let made = params.signed_by(&key, &self.issuer).map_err(|error| cannot("sign", &error))?;
        let issued = Issued {
            certificate: self.folder.join(format!("{name}.pem")),
            key: self.folder.join(format!("{name}.key")),
            fingerprint: fingerprint_of(made.der())?,
            id: None,
            expiry: expiry_of(made.der())?,
        };
        files::create_all(&[
            (&issued.key, &key.serialize_pem(), files::SECRET),
            (&issued.certificate, &made.pem(), files::PUBLIC),
        ])?;
        Ok(issued)
    }
}

/// Whether a text can be the name of a server or a worker, and of its files.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=LONGEST).contains(&name.len()) && name.bytes().all(plain)
}

fn demand_name(name: &str) -> Result<(), Trouble> {
    match is_name(name) {
        true => Ok(()),
        false => Err(Trouble(format!(
            "a name is 1 to {LONGEST} of a-z, 0-9 and \"-\"; got {}",
            quoted(name)
        ))),
    }
}

/// Whether a text may stand in a certificate's name: one short line that steers no terminal.
pub(crate) fn is_text(text: &str) -> bool {
    let plain = |c: char| c == ' ' || certificate::is_plain(c);
    (1..=LONGEST).contains(&text.chars().count()) && text.chars().all(plain) && text.trim() == text
}

fn demand_text(what: &str, text: &str) -> Result<(), Trouble> {
    match is_text(text) {
        true => Ok(()),
        false => Err(Trouble(format!(
            "{what} is 1 to {LONGEST} letters, digits, signs and spaces, none at its ends; got {}",
            quoted(text)
        ))),
    }
}

/// A text of others in an error: escaped, and no longer than it helps.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => format!("{text:?}"),
        Some((at, _)) => format!("{:?} and {} bytes more", &text[..at], text.len() - at),
    }
}

/// A host as a certificate has it.
fn alternative(host: &str) -> Result<SanType, Trouble> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let refused = || {
        Trouble(format!(
            "a host is a name as \"ps.example.org\" or an IP address as \"10.0.0.7\" or \"::1\", \
             without a port; got {}",
            quoted(host)
        ))
    };
    if !is_host(host) {
        return Err(refused());
    }
    host.to_owned().try_into().map(SanType::DnsName).map_err(|_| refused())
}

/// Whether a text can be a host's name. One whose last part is a number is a mistyped address.
fn is_host(host: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    let part = |part: &str| {
        let inside = !part.starts_with('-') && !part.ends_with('-');
        (1..=63).contains(&part.len()) && part.bytes().all(plain) && inside
    };
    let last = host.rsplit('.').next().unwrap_or("");
    host.len() <= 253 && host.split('.').all(part) && !last.bytes().all(|c| c.is_ascii_digit())
}

/// A certificate's name: its owner's, and its organisation's where there is one.
fn named(name: &str, organisation: &str) -> DistinguishedName {
    let mut out = DistinguishedName::new();
    out.push(DnType::CommonName, name);
    if !organisation.is_empty() {
        out.push(DnType::OrganizationName, organisation);
    }
    out
}

/// From when to when a certificate made now holds, in seconds since 1970.
fn span(days: u32) -> Result<(u64, u64), Trouble> {
    if !(1..=MOST_DAYS).contains(&days) {
        return Err(Trouble(format!("a certificate lasts 1 to {MOST_DAYS} days; got {days} days")));
    }
    // With it every date is one that a certificate can hold: it is in the year 7000.
    const LAST: u64 = 158_700_000_000;
    match now() {
        Some(now) if (LENIENCE..LAST).contains(&now) => {
            Ok((now - LENIENCE, now + u64::from(days) * 86_400))
        }
        _ => Err(Trouble("this machine's clock is set before 1970 or after the year 6998".into())),
    }
}

/// Seconds since 1970; nothing where the clock stands before it.
#[allow(clippy::disallowed_methods)] // The ban's reason names this crate as its exception.
fn now() -> Option<u64> {
    Some(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
}

/// A certificate from one moment to another, in seconds since 1970.
fn lasting(from: u64, until: u64) -> CertificateParams {
    let moment = |seconds| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    let mut params = CertificateParams::default();
    params.not_before = moment(from);
    params.not_after = moment(until);
    params
}

fn cannot(what: &str, error: &rcgen::Error) -> Trouble {
    Trouble(format!("cannot {what}: {error}"))
}

#[cfg(test)]
mod tests;
