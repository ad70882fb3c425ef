//! What a worker sends, as bytes: a row or a ballot, then what its forward pass measured.
//!
//! Every length is known before the first byte, so that a server can refuse what is too long before
//! it reads it, and nothing in the bytes says how they are to be read: the run does.
//!
//! ```
//! use varangian_train::wire::{Codec, Letter};
//! let letter = Letter { d: 3, statistics: 0, codec: Codec::F32 };
//! let sent = letter.encode(&[1.0, -2.5, 0.0], &[]);
//! let mut row = [0.0; 3];
//! letter.decode(&sent, &mut row).unwrap();
//! assert_eq!((sent.len(), row), (12, [1.0, -2.5, 0.0]));
//! assert!(letter.decode(&sent[1..], &mut row).is_err());
//! ```

mod packed;

use packed::{pack_levels, pack_masked, unpack_levels, unpack_masked};
use std::fmt;
use varangian_base::{Coins, Seed, Signs, SpecError, ZeroPolicy};
use varangian_learn::optim::{Compression, Optimiser, Pick, quantised_len, shared_mask};

/// How a row of d coordinates becomes bytes. Numbers are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// 32 bits a coordinate: the bits of the row.
    F32,
    /// 16 bits: bfloat16, rounded to nearest, ties to even. A finite coordinate stays finite.
    Bf16,
    /// 16 bits: IEEE half precision, rounded to nearest, ties to even; beyond ±65504 it is that.
    F16,
    /// One bit a coordinate, or two where a vote can be withheld.
    Signs {
        /// Whether a coordinate can be 0.
        ternary: bool,
    },
    /// At most this many coordinates: their indices, ascending, as 32-bit numbers, then their
    /// values in the same order.
    TopK {
        /// The most coordinates of a message.
        kept: usize,
    },
    /// So many coordinates, the same ones of all workers at a step: their values alone, 32 bits
    /// each.
    Masked {
        /// The coordinates of a message.
        kept: usize,
        /// The run's seed, from which the coordinates are drawn.
        seed: Seed,
        /// The step of the message.
        step: u64,
    },
    /// A unit of 32 bits, then a level a coordinate, in as many bits as 2·levels + 1 values take.
    Quantised {
        /// The most levels above 0.
        levels: u32,
    },
}

impl Codec {
    /// The names that can be asked for; the others follow from the run's `message` and
    /// `compression`.
    pub const NAMES: &'static [&'static str] = &["auto", "f32", "bf16", "f16"];

    /// The codec that carries what a worker of this run sends to the bit: signs where it sends
    /// signs, what its compression leaves where its message is compressed, else f32. `seed` is the
    /// run's.
    pub fn of(optimiser: &Optimiser, d: usize, seed: Seed) -> Self {
        let compression = optimiser.of_rows();
        let kept = compression.kept(d);
        match (compression, compression.pick()) {
            _ if optimiser.message.is_sign() => {
                Codec::Signs { ternary: optimiser.message.is_ternary() }
            }
            (Compression::Quantised { levels, .. }, _) => Codec::Quantised { levels },
            (_, Some(Pick::Shared)) => Codec::Masked { kept, seed, step: 0 },
            (_, Some(_)) => Codec::TopK { kept },
            (_, None) => Codec::F32,
        }
    }

    /// The codec spelt `name` for this run of this seed.
    ///
    /// # Errors
    /// If there is none of the name, or it rounds what the run's message sends shorter already.
    pub fn parse(
        name: &str,
        optimiser: &Optimiser,
        d: usize,
        seed: Seed,
    ) -> Result<Self, SpecError> {
        let exact = Codec::of(optimiser, d, seed);
        let asked = match name {
            "auto" => return Ok(exact),
            "f32" => Codec::F32,
            "bf16" => Codec::Bf16,
            "f16" => Codec::F16,
            other => return Err(SpecError::unknown("codec", other, Self::NAMES)),
        };
        match exact {
            Codec::F32 => Ok(asked),
            exact => Err(SpecError::new(format!(
                "codec {name} carries whole vectors; this run's messages are {exact}"
            ))),
        }
    }

    /// The most bytes of a row of d coordinates; all codecs but top-k take that many exactly.
    pub fn len(&self, d: usize) -> usize {
        match *self {
            Codec::F32 => 4 * d,
            Codec::Bf16 | Codec::F16 => 2 * d,
            Codec::Signs { ternary } => Signs::wire_len(d, ternary),
            Codec::TopK { kept } => 8 * kept,
            Codec::Masked { kept, .. } => 4 * kept,
            Codec::Quantised { levels } => quantised_len(d, levels),
        }
    }

    /// Whether a row can be no longer than nothing: never.
    pub fn is_empty(&self, d: usize) -> bool {
        self.len(d) == 0
    }

    fn encode(&self, row: &[f32], out: &mut Vec<u8>) {
        match *self {
            Codec::F32 => floats(row, out),
            Codec::Bf16 => out.extend(row.iter().flat_map(|&x| {
                let most = half::bf16::MAX.to_f32();
                half::bf16::from_f32(saturated(x, most)).to_le_bytes()
            })),
            Codec::F16 => out.extend(row.iter().flat_map(|&x| {
                let most = half::f16::MAX.to_f32();
                half::f16::from_f32(saturated(x, most)).to_le_bytes()
            })),
            Codec::Signs { ternary } => {
                let zero = if ternary { ZeroPolicy::Zero } else { ZeroPolicy::PlusOne };
                let mut signs = Signs::default();
                signs.encode(row, zero, Coins::default());
                signs.write(out);
            }
            Codec::TopK { kept } => {
                let sent = sent(row, kept);
                out.extend(sent.iter().flat_map(|at| at.to_le_bytes()));
                out.extend(sent.iter().flat_map(|&at| row[at as usize].to_le_bytes()));
            }
            Codec::Masked { kept, seed, step } => {
                pack_masked(row, &shared_mask(kept, row.len(), seed, step), out);
            }
            Codec::Quantised { levels } => pack_levels(row, levels, out),
        }
    }

    fn decode(&self, body: &[u8], row: &mut [f32]) -> Result<(), Malformed> {
        let whole = self.len(row.len());
        if let Codec::TopK { .. } = self {
            return unpack_top(body, whole, row);
        }
        if body.len() != whole {
            return Err(Malformed::length(row.len(), *self, whole, body.len()));
        }
        match self {
            Codec::F32 => row.iter_mut().zip(body.chunks_exact(4)).for_each(|(x, bytes)| {
                *x = f32::from_le_bytes(bytes.try_into().expect("four bytes"));
            }),
            Codec::Bf16 => row.iter_mut().zip(body.chunks_exact(2)).for_each(|(x, bytes)| {
                *x = half::bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
            }),
            Codec::F16 => row.iter_mut().zip(body.chunks_exact(2)).for_each(|(x, bytes)| {
                *x = half::f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
            }),
            Codec::Signs { ternary } => {
                let signs = Signs::read(row.len(), body);
                let signs = signs.map_err(|error| Malformed(error.to_string()))?;
                // At most 32 coordinates one plane is half of two: the length alone says which.
                assert_eq!(signs.is_ternary(), *ternary, "the length was checked");
                signs.decode(row);
            }
            Codec::TopK { .. } => unreachable!("it was unpacked"),
            Codec::Masked { kept, seed, step } => {
                unpack_masked(body, &shared_mask(*kept, row.len(), *seed, *step), row);
            }
            Codec::Quantised { levels } => return unpack_levels(body, *levels, row),
        }
        Ok(())
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Codec::F32 => f.write_str("f32"),
            Codec::Bf16 => f.write_str("bf16"),
            Codec::F16 => f.write_str("f16"),
            Codec::Signs { ternary: false } => f.write_str("signs of one bit"),
            Codec::Signs { ternary: true } => f.write_str("signs of two bits"),
            Codec::TopK { kept } => write!(f, "top-k of {kept} coordinates"),
            Codec::Masked { kept, .. } => write!(f, "{kept} coordinates that all send"),
            Codec::Quantised { levels } => write!(f, "{levels} levels"),
        }
    }
}

/// `x`, brought within ±`most` where it is finite: what is too large for a format is no infinity,
/// which would prove an honest worker hostile.
fn saturated(x: f32, most: f32) -> f32 {
    if x.is_finite() { x.clamp(-most, most) } else { x }
}

fn floats(row: &[f32], out: &mut Vec<u8>) {
    out.extend(row.iter().flat_map(|x| x.to_le_bytes()));
}

/// The coordinates of a compressed row that are not 0, ascending, and of those no more than `kept`:
/// the first, and those that are not finite before all others, as the server must see them.
fn sent(row: &[f32], kept: usize) -> Vec<u32> {
    let those = |keep: &dyn Fn(f32) -> bool| -> Vec<u32> {
        (0..row.len() as u32).filter(|&k| keep(row[k as usize])).take(kept).collect()
    };
    let broken = those(&|x| !x.is_finite());
    if broken.is_empty() { those(&|x| x.to_bits() != 0) } else { broken }
}

fn numbers(bytes: &[u8]) -> Vec<f32> {
    let numbers = bytes.chunks_exact(4);
    numbers.map(|x| f32::from_le_bytes(x.try_into().expect("four bytes"))).collect()
}

fn unpack_top(body: &[u8], most: usize, row: &mut [f32]) -> Result<(), Malformed> {
    if body.len() > most || !body.len().is_multiple_of(8) {
        let found = body.len();
        return Err(Malformed(format!(
            "top-k takes 8 bytes a coordinate and at most {most}; found {found}"
        )));
    }
    let (indices, values) = body.split_at(body.len() / 2);
    row.fill(0.0);
    let (mut from, d) = (0, row.len());
    for (at, x) in indices.chunks_exact(4).zip(values.chunks_exact(4)) {
        let at = u32::from_le_bytes(at.try_into().expect("four bytes")) as usize;
        if at < from || at >= d {
            return Err(Malformed(format!(
                "top-k indices are ascending and below {d}; found {at} where {from} or more is due"
            )));
        }
        row[at] = f32::from_le_bytes(x.try_into().expect("four bytes"));
        from = at + 1;
    }
    Ok(())
}

/// Why bytes are no message of the run: what is wanted and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

impl Malformed {
    fn length(d: usize, codec: Codec, wanted: usize, found: usize) -> Self {
        Malformed(format!("{d} coordinates as {codec} take {wanted} bytes; found {found}"))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

/// The shape of every message of a run: the row, then the statistics that the worker's forward pass
/// measured, 32 bits each, where the model keeps any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Coordinates of a row.
    pub d: usize,
    /// Statistics of the model; 0 for models without.
    pub statistics: usize,
    /// How the row is carried.
    pub codec: Codec,
}

impl Letter {
    /// The shape of messages of this step.
    #[must_use]
    pub fn at(self, step: u64) -> Self {
        match self.codec {
            Codec::Masked { kept, seed, .. } => {
                Letter { codec: Codec::Masked { kept, seed, step }, ..self }
            }
            _ => self,
        }
    }

    /// The most bytes of a message.
    pub fn most(&self) -> usize {
        self.codec.len(self.d) + 4 * self.statistics
    }

    /// A message of this row and these statistics.
    ///
    /// # Panics
    /// If they are not of the run's lengths.
    pub fn encode(&self, row: &[f32], statistics: &[f32]) -> Vec<u8> {
        assert_eq!((row.len(), statistics.len()), (self.d, self.statistics), "of this run");
        let mut out = Vec::with_capacity(self.most());
        self.codec.encode(row, &mut out);
        floats(statistics, &mut out);
        out
    }

    /// Reads a message: its row into `row`, which may be half written if it is refused, and what
    /// is returned are its statistics. Cost O(d). Numbers may be anything: the
    /// intake looks at them.
    ///
    /// # Errors
    /// If the bytes are no message of this run.
    ///
    /// # Panics
    /// If `row` is not of d coordinates.
    pub fn decode(&self, bytes: &[u8], row: &mut [f32]) -> Result<Vec<f32>, Malformed> {
        assert_eq!(row.len(), self.d, "of this run");
        let tail = 4 * self.statistics;
        let Some(cut) = bytes.len().checked_sub(tail) else {
            return Err(Malformed::length(self.d, self.codec, self.most(), bytes.len()));
        };
        self.codec.decode(&bytes[..cut], row)?;
        Ok(numbers(&bytes[cut..]))
    }

    /// Reads a message of signs as a vote, without unpacking it; otherwise as [`Letter::decode`].
    ///
    /// # Errors
    /// If the bytes are no message of this run.
    ///
    /// # Panics
    /// If the run's messages are no signs.
    pub fn decode_vote(&self, bytes: &[u8]) -> Result<(Signs, Vec<f32>), Malformed> {
        let Codec::Signs { ternary } = self.codec else { panic!("messages of {}", self.codec) };
        let (whole, tail) = (self.codec.len(self.d), 4 * self.statistics);
        if bytes.len() != whole + tail {
            return Err(Malformed::length(self.d, self.codec, whole + tail, bytes.len()));
        }
        let signs = Signs::read(self.d, &bytes[..whole]);
        let signs = signs.map_err(|error| Malformed(error.to_string()))?;
        assert_eq!(signs.is_ternary(), ternary, "the length was checked");
        Ok((signs, numbers(&bytes[whole..])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use varangian_learn::optim::Message;

    fn letter(codec: Codec, d: usize) -> Letter {
        Letter { d, statistics: 0, codec }
    }

    fn back(codec: Codec, row: &[f32]) -> Vec<f32> {
        let mut out = vec![9.0; row.len()];
        letter(codec, row.len())
            .decode(&letter(codec, row.len()).encode(row, &[]), &mut out)
            .unwrap();
        out
    }

    #[test]
    fn what_a_worker_sends_comes_back_to_the_bit() {
        let row: Vec<f32> = (0..67).map(|k| ((k * 29 % 31) as f32 - 15.0) / 7.0).collect();
        for (message, compression) in [
            ("vector", "none"),
            ("sign", "none"),
            ("one-bit", "none"),
            ("stochastic-sign bound=3", "none"),
            ("vector", "top-k keep=0.2"),
            ("vector", "rand-k keep=0.2"),
            ("vector", "rand-k keep=0.2 masks=shared"),
            ("vector", "ef21 keep=0.2"),
            ("vector", "ef21 keep=0.2 by=shared-rand-k"),
            ("vector", "quantised levels=1"),
            ("vector", "quantised levels=5 norm=largest"),
            ("vector", "quantised levels=255"),
        ] {
            let optimiser = Optimiser {
                message: Message::parse(message).unwrap(),
                compression: Compression::parse(compression).unwrap(),
                ..Optimiser::sgd(0.1)
            };
            let mut sent = row.clone();
            let coins = Coins { seed: Seed(1), worker: 2, step: 3 };
            optimiser.message.apply(&mut sent, coins, &mut Signs::default());
            optimiser.compression.apply(&mut sent, &mut Vec::new(), coins);
            let codec = letter(Codec::of(&optimiser, row.len(), Seed(1)), 67).at(3).codec;
            assert_eq!(codec.len(67), optimiser.wire_len(67), "{message} {compression}");
            let came = back(codec, &sent);
            let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&came), bits(&sent), "{message} {compression}");
        }
    }

    #[test]
    fn a_vote_of_another_length_is_told_which_was_due() {
        let codec = Codec::Signs { ternary: false };
        let letter = Letter { d: 67, statistics: 2, codec };
        let error = letter.decode_vote(&[0; 3]).unwrap_err();
        assert!(error.0.contains(&(codec.len(67) + 8).to_string()), "{}", error.0);
    }

    #[test]
    fn half_formats_round_and_a_finite_number_stays_finite() {
        let row = [1.0, -1.0 / 3.0, 1e30, -f32::MAX, 1e-30, f32::NAN, f32::INFINITY];
        let bf16 = back(Codec::Bf16, &row);
        assert!((bf16[1] + 1.0 / 3.0).abs() < 1e-3 && bf16[3].is_finite() && bf16[5].is_nan());
        let f16 = back(Codec::F16, &row);
        assert_eq!((f16[0], f16[2], f16[3], f16[4]), (1.0, 65504.0, -65504.0, 0.0));
        assert!(f16[5].is_nan() && f16[6] == f32::INFINITY);
    }

    #[test]
    fn a_row_that_is_broken_shows_it_however_few_coordinates_travel() {
        let mut row = vec![1.0; 40];
        row[33] = f32::NAN;
        let came = back(Codec::TopK { kept: 2 }, &row);
        assert!(came[33].is_nan() && came.iter().filter(|x| **x != 0.0).count() == 1);
        let masked = Codec::Masked { kept: 2, seed: Seed(1), step: 0 };
        assert!(back(masked, &row).iter().any(|x| x.is_nan()));
        assert!(back(Codec::Quantised { levels: 3 }, &row).iter().any(|x| x.is_nan()));
    }

    #[test]
    fn a_vote_that_stays_packed_is_the_row_and_any_other_length_is_refused() {
        let row: Vec<f32> = (0..40).map(|k| [1.0, -1.0, 0.0][k % 3]).collect();
        for ternary in [false, true] {
            let with = Letter { d: 40, statistics: 2, codec: Codec::Signs { ternary } };
            let sent = with.encode(&row, &[0.5, -2.0]);
            let (vote, statistics) = with.decode_vote(&sent).unwrap();
            let (mut packed, mut unpacked) = (vec![9.0; 40], vec![9.0; 40]);
            vote.decode(&mut packed);
            assert_eq!(with.decode(&sent, &mut unpacked).unwrap(), statistics);
            assert_eq!((packed, statistics), (unpacked, vec![0.5, -2.0]));
            for wrong in [sent[1..].to_vec(), [&sent[..], &[0; 8]].concat(), vec![]] {
                let why = with.decode_vote(&wrong).unwrap_err().to_string();
                assert!(why.contains(&format!("found {}", wrong.len())), "{why}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_message_are_refused_with_what_is_wanted() {
        let mut row = [0.0; 40];
        let mut refused = |codec, bytes: &[u8]| {
            letter(codec, 40).decode(bytes, &mut row).unwrap_err().to_string()
        };
        let text = refused(Codec::F32, &[0; 159]);
        assert_eq!(text, "40 coordinates as f32 take 160 bytes; found 159");
        let one = Codec::Signs { ternary: false };
        assert!(refused(one, &[0; 16]).contains("signs of one bit take 8 bytes; found 16"));
        assert!(refused(one, &[255; 8]).contains("beyond"), "padding must be clean");
        let top = Codec::TopK { kept: 2 };
        let two = |a: u32, b: u32| [a.to_le_bytes(), b.to_le_bytes(), [0; 4], [0; 4]].concat();
        for (bytes, why) in [
            (two(1, 1), "found 1 where 2 or more"),
            (two(2, 1), "found 1 where 3 or more"),
            (two(3, 40), "below 40; found 40"),
            (vec![0; 24], "at most 16; found 24"),
            (vec![0; 4], "at most 16; found 4"),
        ] {
            assert!(refused(top, &bytes).contains(why), "{why}");
        }
        let with = Letter { d: 40, statistics: 3, codec: Codec::F32 };
        assert!(with.decode(&[0; 11], &mut [0.0; 40]).is_err());
        assert_eq!(with.decode(&[0; 172], &mut [0.0; 40]), Ok(vec![0.0; 3]));
        let levels = Codec::Quantised { levels: 1 };
        assert!(refused(levels, &[255; 14]).contains("at most 2; found 3"));
        assert!(refused(levels, &[0; 13]).contains("1 levels take 14 bytes; found 13"));
        let error = Codec::parse("f8", &Optimiser::sgd(0.1), 3, Seed(1)).unwrap_err().to_string();
        assert!(error.starts_with("unknown codec \"f8\""), "{error}");
        let signs =
            Optimiser { message: Message::parse("one-bit").unwrap(), ..Optimiser::sgd(0.1) };
        let error = Codec::parse("bf16", &signs, 3, Seed(1)).unwrap_err().to_string();
        assert_eq!(
            error,
            "codec bf16 carries whole vectors; this run's messages are signs of one bit"
        );
    }

    proptest! {
        #[test]
        fn whatever_bytes_come_are_a_message_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            d in 1usize..45, which in 0usize..8, statistics in 0usize..3,
        ) {
            let codec = [Codec::F32, Codec::Bf16, Codec::F16, Codec::Signs { ternary: false },
                Codec::Signs { ternary: true }, Codec::TopK { kept: d.div_ceil(3) },
                Codec::Masked { kept: d.div_ceil(3), seed: Seed(1), step: 2 },
                Codec::Quantised { levels: 5 }][which];
            let letter = Letter { d, statistics, codec };
            let mut row = vec![0.0; d];
            if let Ok(found) = letter.decode(&bytes, &mut row) {
                prop_assert!(bytes.len() <= letter.most() && found.len() == statistics);
                // What is read is written the same: there is one spelling of a message, but for
                // the zeros that top-k need not send, the unit of levels, and the payload of a NaN.
                let many = matches!(codec, Codec::TopK { .. } | Codec::Quantised { .. });
                if !many && row.iter().all(|x| x.is_finite()) {
                    prop_assert_eq!(letter.encode(&row, &found), bytes);
                }
            }
        }
    }
}
