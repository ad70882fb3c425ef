//! What stands in a certificate, which may be anyone's: it is not believed to be well formed.

use super::{files, now};
use crate::Trouble;
use sha2::{Digest, Sha256};
use std::path::Path;
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

/// The largest certificate that is looked at, in bytes; common ones have one or two thousand.
const MOST: usize = 64 << 10;
/// The longest name that is shown, in characters.
const LONGEST: usize = 64;

/// When a certificate ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// In seconds since 1970.
    pub unix: i64,
    /// The day, in UTC, as "2026-08-14".
    pub date: String,
    /// Whether that moment is past.
    pub past: bool,
}

/// Who a certificate's owner is: `sha256:` and 64 hexadecimal digits, the SHA-256 of its public key
/// (SubjectPublicKeyInfo, DER). A renewed certificate of the same key has the same fingerprint.
///
/// # Errors
/// If it is no DER certificate, has something behind its end, or is larger than 64 KiB.
pub fn fingerprint_of(certificate_der: &[u8]) -> Result<String, Trouble> {
    Ok(digest(read(certificate_der)?.tbs_certificate.subject_pki.raw))
}

/// The name in a certificate, for people to read: its first 64 characters, where unusual ones are
/// escaped. Nothing if it has none, or is no certificate. Not checked here: whoever signed the
/// certificate vouches for it.
pub fn common_name(certificate_der: &[u8]) -> Option<String> {
    let certificate = read(certificate_der).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
    let mut out = String::new();
    let mut room = LONGEST;
    for c in name.chars() {
        let piece = match c == ' ' || is_plain(c) {
            true => c.to_string(),
            false => c.escape_default().to_string(),
        };
        let length = piece.chars().count();
        if length > room {
            break;
        }
        room -= length;
        out.push_str(&piece);
    }
    Some(out)
}

/// When a certificate ends.
///
/// # Errors
/// As [`fingerprint_of`].
pub fn expiry_of(certificate_der: &[u8]) -> Result<Expiry, Trouble> {
    let end = read(certificate_der)?.validity().not_after;
    let day = end.to_datetime();
    let date = format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day());
    let unix = end.timestamp();
    // A clock before 1970 shows nothing to be past.
    let past = now().is_some_and(|now| i64::try_from(now).is_ok_and(|now| unix < now));
    Ok(Expiry { unix, date, past })
}

/// The first certificate of a file in PEM format, as DER.
///
/// # Errors
/// If the file cannot be read, is larger than 1 MiB, or holds no certificate.
pub fn certificate_in(path: &Path) -> Result<Vec<u8>, Trouble> {
    let bytes = files::bytes(path, files::MOST_PEM)?;
    let mut blocks = Pem::iter_from_buffer(&bytes).map_while(Result::ok);
    match blocks.find(|block| block.label == "CERTIFICATE") {
        Some(block) => Ok(block.contents),
        None => {
            Err(Trouble(format!("{}: no certificate in PEM format in this file", path.display())))
        }
    }
}

/// Whether a certificate may sign others.
pub(super) fn demand_authority(certificate_der: &[u8]) -> Result<(), Trouble> {
    let certificate = read(certificate_der)?;
    let signs = match certificate.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.key_cert_sign()),
        Err(_) => false,
    };
    if signs && certificate.is_ca() {
        return Ok(());
    }
    Err(Trouble("an authority's certificate may sign others; this one may not".into()))
}

/// `sha256:` and the hash in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let digits = hash.iter().map(|byte| format!("{byte:02x}"));
    std::iter::once("sha256:".to_owned()).chain(digits).collect()
}

/// Letters, digits and signs that neither steer a terminal nor turn words around.
pub(super) fn is_plain(c: char) -> bool {
    c.is_ascii_graphic() || c.is_alphanumeric()
}

fn read(der: &[u8]) -> Result<X509Certificate<'_>, Trouble> {
    if der.len() > MOST {
        let found = der.len();
        return Err(Trouble(format!("a certificate has at most {MOST} bytes; got {found}")));
    }
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok((rest, _)) => {
            Err(Trouble(format!("a certificate ends where it says; {} bytes follow", rest.len())))
        }
        Err(_) => Err(Trouble(format!("no DER certificate: {} other bytes", der.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn made(name: &str) -> (Vec<u8>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.self_signed(&key).unwrap().der().to_vec(), key)
    }

    #[test]
    fn a_fingerprint_is_the_keys_whatever_else_the_certificate_says() {
        let (der, key) = made("one");
        let fingerprint = fingerprint_of(&der).unwrap();
        assert_eq!(fingerprint.len(), "sha256:".len() + 64);
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "renewed");
        let renewed = params.self_signed(&key).unwrap();
        assert_eq!(fingerprint_of(renewed.der()).unwrap(), fingerprint);
        assert_ne!(fingerprint_of(&made("one").0).unwrap(), fingerprint);
        assert_eq!(expiry_of(&der).unwrap().date, "4096-01-01");
        assert!(!expiry_of(&der).unwrap().past);
    }

    #[test]
    fn hostile_bytes_are_refused_and_no_panic() {
        let (der, _) = made("one");
        let read = |bytes: &[u8]| {
            let found = fingerprint_of(bytes);
            let _ = (common_name(bytes), expiry_of(bytes), demand_authority(bytes));
            found
        };
        for end in 0..der.len() {
            assert!(read(&der[..end]).is_err(), "{end} bytes");
        }
        // A byte changed may leave a certificate; it must only not end the process.
        for at in 0..der.len() {
            for flip in [0x01, 0x20, 0x80, 0xff] {
                let mut bytes = der.clone();
                bytes[at] ^= flip;
                let _ = read(&bytes);
            }
        }
        let mut longer = der.clone();
        longer.push(0);
        assert!(read(&longer).unwrap_err().0.contains("1 bytes follow"));
        let mut state = 7_u64;
        for length in (0..600).chain([1 << 10, 1 << 14, MOST, MOST + 1, 1 << 20]) {
            let mut bytes = vec![0; length];
            for byte in &mut bytes {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = (state >> 56) as u8;
            }
            assert!(read(&bytes).is_err());
            // The same with a head that promises a sequence of this or of any length.
            for head in [[0x30, 0x82, 0x01, 0x00], [0x30, 0x84, 0xff, 0xff], [0x30, 0x80, 0, 0]] {
                let most = length.min(4);
                bytes[..most].copy_from_slice(&head[..most]);
                assert!(read(&bytes).is_err());
            }
        }
        // A sequence in a sequence in a sequence.
        assert!(read(&[0x30, 0x80].repeat(MOST / 2)).is_err());
    }

    #[test]
    fn names_are_short_and_steer_no_terminal() {
        assert_eq!(common_name(&made("worker-7").0).unwrap(), "worker-7");
        assert_eq!(common_name(&made("Zürich, 3").0).unwrap(), "Zürich, 3");
        let shown = common_name(&made("a\u{1b}[31mb\nc\u{202e}d").0).unwrap();
        assert_eq!(shown, "a\\u{1b}[31mb\\nc\\u{202e}d");
        assert_eq!(common_name(&made(&"x".repeat(500)).0).unwrap(), "x".repeat(64));
        assert!(common_name(&made(&"\u{7}".repeat(500)).0).unwrap().len() <= 64);
        assert_eq!(common_name(b"no certificate"), None);
    }

    #[test]
    fn the_first_certificate_of_a_file_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chain.pem");
        let key = KeyPair::generate().unwrap();
        let made = CertificateParams::default().self_signed(&key).unwrap();
        std::fs::write(&path, format!("{}{}", key.serialize_pem(), made.pem())).unwrap();
        assert_eq!(certificate_in(&path).unwrap(), made.der().to_vec());
        for text in ["", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(certificate_in(&path).unwrap_err().0.contains("no certificate in PEM"));
        }
        std::fs::write(&path, key.serialize_pem()).unwrap();
        assert!(certificate_in(&path).is_err());
        std::fs::write(&path, vec![b'-'; 2 << 20]).unwrap();
        assert!(certificate_in(&path).unwrap_err().0.contains("larger than"));
        assert!(certificate_in(folder.path()).unwrap_err().0.contains("no plain file"));
    }
}
