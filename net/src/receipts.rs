//! Receipts: what the server says of a message, signed, so that a worker can show it later.

use crate::Trouble;
use crate::audit::hex;
use crate::proto::Receipt;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

/// Signs receipts with a key of this start of the server.
pub(crate) struct Signer {
    pair: Ed25519KeyPair,
}

impl Signer {
    /// A signer with a fresh key.
    ///
    /// # Errors
    /// If the operating system gives no random numbers.
    pub(crate) fn new() -> Result<Self, Trouble> {
        let trouble = |_| Trouble::new("the operating system gives no random numbers");
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(trouble)?;
        let pair = Ed25519KeyPair::from_pkcs8(key.as_ref());
        Ok(Signer { pair: pair.map_err(|error| Trouble(error.to_string()))? })
    }

    /// The public key.
    pub(crate) fn key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// Signs a receipt.
    pub(crate) fn sign(&self, mut receipt: Receipt) -> Receipt {
        receipt.signature = self.pair.sign(&said(&receipt)).as_ref().to_vec().into();
        receipt
    }
}

/// What a signature is of: the receipt's fields, each with its length, in the order of the
/// protocol's file, after a word that no other signature begins with.
fn said(receipt: &Receipt) -> Vec<u8> {
    let Receipt { run, worker, number, admitted, reason, detail, digest, signature: _ } = receipt;
    let mut out = b"varangian receipt 1\n".to_vec();
    out.extend(run.to_le_bytes());
    out.extend(worker.to_le_bytes());
    out.extend(number.to_le_bytes());
    out.push(u8::from(*admitted));
    for field in [reason.as_bytes(), detail.as_bytes(), digest] {
        out.extend((field.len() as u64).to_le_bytes());
        out.extend(field);
    }
    out
}

/// Whether the server with this key (`receipt_key` of Join) gave this receipt.
pub fn is_signed(receipt: &Receipt, key: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(&said(receipt), &receipt.signature).is_ok()
}

/// A receipt as a line of a worker's own file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The start of the server.
    pub run: u64,
    /// Whose message it was.
    pub worker: u32,
    /// The message's number.
    pub number: u64,
    /// Whether it was admitted.
    pub admitted: bool,
    /// Why it was refused, and what was found.
    pub reason: String,
    /// What was found.
    pub detail: String,
    /// BLAKE3 of its bytes, hexadecimal.
    pub digest: String,
    /// The server's signature, hexadecimal.
    pub signature: String,
}

impl From<&Receipt> for Kept {
    fn from(receipt: &Receipt) -> Self {
        Kept {
            run: receipt.run,
            worker: receipt.worker,
            number: receipt.number,
            admitted: receipt.admitted,
            reason: receipt.reason.clone(),
            detail: receipt.detail.clone(),
            digest: hex(&receipt.digest),
            signature: hex(&receipt.signature),
        }
    }
}

impl Kept {
    /// Whether the server with this key, hexadecimal, gave this receipt.
    pub fn is_signed(&self, key: &str) -> bool {
        let (Some(digest), Some(signature), Some(key)) =
            (unhex(&self.digest), unhex(&self.signature), unhex(key))
        else {
            return false;
        };
        let receipt = Receipt {
            run: self.run,
            worker: self.worker,
            number: self.number,
            admitted: self.admitted,
            reason: self.reason.clone(),
            detail: self.detail.clone(),
            digest: digest.into(),
            signature: signature.into(),
        };
        is_signed(&receipt, &key)
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (text.len().is_multiple_of(2)).then(|| (0..text.len()).step_by(2).map(pair).collect())?
}

/// A number that nobody can guess.
///
/// # Errors
/// If the operating system gives no random numbers.
pub(crate) fn random() -> Result<u64, Trouble> {
    let mut bytes = [0; 8];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Trouble::new("the operating system gives no random numbers"))?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_change_of_a_receipt_breaks_its_signature() {
        let signer = Signer::new().unwrap();
        let receipt =
            Receipt { run: 7, worker: 1, number: 3, admitted: true, ..Receipt::default() };
        let signed = signer.sign(receipt);
        assert!(is_signed(&signed, signer.key()));
        let changes: [fn(&mut Receipt); 6] = [
            |r| r.run += 1,
            |r| r.worker += 1,
            |r| r.number += 1,
            |r| r.admitted = false,
            |r| r.reason.push('x'),
            |r| r.digest = vec![0].into(),
        ];
        for change in changes {
            let mut changed = signed.clone();
            change(&mut changed);
            assert!(!is_signed(&changed, signer.key()));
        }
        assert!(!is_signed(&signed, Signer::new().unwrap().key()));
        assert!(!is_signed(&signed, b"no key"));
    }
}
