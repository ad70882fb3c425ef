//! The word layout of the majority-vote paper's code (Bernstein et al. 2019, arXiv 1810.05291),
//! bit for bit, to speak with it.
//!
//! Element i of d stands in word i mod L at bit 31 − ⌊i/L⌋, where L = ⌈d/32⌉: the bits of one word
//! are L elements apart. Bit 1 is negative; an abstention travels as +1, as do the padding bits 0.
//!
//! ```
//! use varangian_base::{Signs, mv32};
//! let mut signs = Signs::default();
//! signs.encode(&[-1.0, 0.0, 1.0], Default::default(), Default::default());
//! assert_eq!(mv32::encode(&signs), [0x8000_0000]);
//! assert_eq!(mv32::decode(3, &[0x8000_0000]).unwrap().counts(), [1, 0, 2]);
//! ```

use crate::{Signs, SpecError};

/// The largest bucket of gradients that travels together: 100 MiB of floats. Padding is per bucket.
pub const BUCKET: usize = 100 * 1024 * 1024 / 4;

/// The signs of one bucket as words.
pub fn encode(signs: &Signs) -> Vec<u32> {
    let words = signs.d().div_ceil(32);
    let mut out = vec![0; words];
    for (w, &minus) in signs.minus().iter().enumerate() {
        let mut rest = minus;
        while rest != 0 {
            let k = w * 64 + rest.trailing_zeros() as usize;
            out[k % words] |= 1 << (31 - k / words);
            rest &= rest - 1;
        }
    }
    out
}

/// The signs of one bucket of d elements.
///
/// # Errors
/// If there are not ⌈d/32⌉ words. Padding is dropped unread, as in the paper's code.
pub fn decode(d: usize, words: &[u32]) -> Result<Signs, SpecError> {
    let wanted = d.div_ceil(32);
    if words.len() != wanted {
        return Err(SpecError::new(format!(
            "{d} signs take {wanted} words of 32 bits; found {}",
            words.len()
        )));
    }
    Ok(Signs::from_fn(d, |k| words[k % wanted] >> (31 - k / wanted) & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negative_at(d: usize, at: &[usize]) -> Signs {
        Signs::from_fn(d, |k| at.contains(&k))
    }

    #[test]
    fn the_papers_words() {
        let alternating: Vec<usize> = (1..32).step_by(2).collect();
        let cases: [(usize, &[usize], &[u32]); 7] = [
            (1, &[0], &[0x8000_0000]),
            (32, &alternating, &[0x5555_5555]),
            (33, &[0], &[0x8000_0000, 0]),
            (33, &[1], &[0, 0x8000_0000]),
            (33, &[2], &[0x4000_0000, 0]),
            (33, &[32], &[0x0000_8000, 0]),
            (65, &[64], &[0, 0x0000_0400, 0]),
        ];
        for (d, at, words) in cases {
            let signs = negative_at(d, at);
            assert_eq!(encode(&signs), words, "d = {d}");
            assert_eq!(decode(d, words).unwrap(), signs, "d = {d}");
        }
    }

    #[test]
    fn every_length_comes_back() {
        for d in 0..200 {
            let signs = Signs::from_fn(d, |k| (k * k + d) % 3 == 0);
            let words = encode(&signs);
            assert_eq!(4 * words.len(), Signs::wire_len(d, false));
            assert_eq!(decode(d, &words).unwrap(), signs);
        }
        let error = decode(33, &[0]).unwrap_err().to_string();
        assert_eq!(error, "33 signs take 2 words of 32 bits; found 1");
    }
}
