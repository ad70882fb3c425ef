//! What of a message is left out: nothing, all but some coordinates, or all but a few levels.
//!
//! | name | a worker sends, of its vector v |
//! |---|---|
//! | `top-k` | the k coordinates of largest absolute value (Stich, Cordonnier & Jaggi 2018) |
//! | `rand-k` | k random coordinates, times d/k, so that the mean is v (the same paper, §2) |
//! | `quantised` | each coordinate at one of a few levels, drawn so that the mean is v (QSGD) |
//! | `ef21` | c = C(v − g), and g ← g + c; the server keeps the same g and combines those |
//!
//! `rand-k masks=shared` draws one set of coordinates a step for all workers, from the run's seed:
//! the coordinated sparsification of RoSDHB (Gupta, Honsell, Xu, Gupta & Neglia 2025, arXiv
//! 2508.17129, Algorithm 1), whose messages are values alone. `ef21` is Richtárik, Sokolov &
//! Fatkhullin 2021 (arXiv 2106.05203, Algorithm 2), under a robust rule Byz-EF21 (Rammal,
//! Gruntkowska, Fedin, Gorbunov & Richtárik 2024, arXiv 2310.09804).
//!
//! *Differs:* both EF21 papers begin with g = C(∇fᵢ(θ₀)) or the gradient itself; g is 0 here, and
//! the first message makes it C of the gradient.
//!
//! ```
//! use varangian_base::Coins;
//! use varangian_learn::optim::Compression;
//! let top = Compression::parse("top-k keep=0.5").unwrap();
//! let (mut row, mut residual) = ([3.0, -1.0, 0.5, -2.0], Vec::new());
//! top.apply(&mut row, &mut residual, Coins::default());
//! assert_eq!((row, &residual[..]), ([3.0, 0.0, 0.0, -2.0], &[0.0, -1.0, 0.5, 0.0][..]));
//! ```

mod params;
mod quantise;

use params::{EF21, QUANTISED, RAND_K, TOP_K};
use quantise::{MOST_LEVELS, quantise};
use varangian_base::{Coins, Domain, Param, Seed, SpecError, lanes, spec};

/// How a worker shortens its message.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Compression {
    /// The whole vector is sent.
    #[default]
    None,
    /// The ⌈keep·d⌉ coordinates of largest absolute value are sent; of equal ones, those of lower
    /// index. With feedback, what is left out is added to the worker's next message (Stich,
    /// Cordonnier & Jaggi 2018, Sparsified SGD with Memory, Algorithm 1).
    TopK {
        /// The share of coordinates that is sent, in (0, 1].
        keep: f64,
        /// Whether the worker remembers what it left out.
        feedback: bool,
    },
    /// ⌈keep·d⌉ random coordinates are sent.
    RandK {
        /// The share of coordinates that is sent, in (0, 1].
        keep: f64,
        /// Whether all workers send the same coordinates of a step.
        shared: bool,
        /// Whether they are multiplied by d/k.
        scale: bool,
        /// Whether the worker remembers what it left out; not with scale.
        feedback: bool,
    },
    /// Each coordinate is sent as one of 2·levels + 1 multiples of a unit.
    Quantised {
        /// s, from 1 to 255.
        levels: u32,
        /// Whether the unit is the largest absolute value over s, and not the length over s.
        largest: bool,
    },
    /// The difference to what the server keeps of the worker, shortened.
    Ef21 {
        /// The share of coordinates that is sent, in (0, 1].
        keep: f64,
        /// Which coordinates of the difference.
        by: Pick,
    },
}

/// Which coordinates are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Those of largest absolute value.
    Largest,
    /// Random ones, each worker its own.
    Own,
    /// Random ones, for all workers the same.
    Shared,
}

impl Compression {
    /// The names.
    pub const NAMES: &'static [&'static str] = &["none", "top-k", "rand-k", "quantised", "ef21"];

    /// The parameters of `name`, none where it is unknown.
    pub fn params(name: &str) -> &'static [Param] {
        match name {
            "top-k" => TOP_K,
            "rand-k" => RAND_K,
            "quantised" => QUANTISED,
            "ef21" => EF21,
            _ => &[],
        }
    }

    /// Reads `none`, `top-k keep=0.1 feedback=true`, `rand-k keep=0.1 masks=shared`,
    /// `quantised levels=4` or `ef21 keep=0.1 by=top-k`.
    ///
    /// # Errors
    /// If the name or a parameter is unknown or out of range.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let spec = spec::parse(text)?;
        if !Self::NAMES.contains(&spec.name.as_str()) {
            return Err(SpecError::unknown("compression", &spec.name, Self::NAMES));
        }
        let args = spec.args(Self::params(&spec.name))?;
        let keep = || args.real("keep").expect("has a default");
        Ok(match spec.name.as_str() {
            "top-k" => Compression::TopK { keep: keep(), feedback: args.flag("feedback") },
            "rand-k" => {
                let (scale, feedback) = (args.flag("scale"), args.flag("feedback"));
                if scale && feedback {
                    return Err(SpecError::new(
                        "rand-k feedback=true adds what was left out to the next message, which \
                         scale=true would send d/k times too long; set scale=false beside it",
                    ));
                }
                let shared = args.text("masks") == "shared";
                Compression::RandK { keep: keep(), shared, scale, feedback }
            }
            "quantised" => Compression::Quantised {
                levels: args.count("levels").expect("has a default") as u32,
                largest: args.text("norm") == "largest",
            },
            "ef21" => {
                let by = match args.text("by") {
                    "rand-k" => Pick::Own,
                    "shared-rand-k" => Pick::Shared,
                    _ => Pick::Largest,
                };
                Compression::Ef21 { keep: keep(), by }
            }
            _ => Compression::None,
        })
    }

    /// The coordinates of d that are sent.
    pub fn kept(&self, d: usize) -> usize {
        let (Compression::TopK { keep, .. }
        | Compression::RandK { keep, .. }
        | Compression::Ef21 { keep, .. }) = *self
        else {
            return d;
        };
        ((keep * d as f64).ceil() as usize).clamp(1, d.max(1))
    }

    /// Which coordinates are sent, where not all are.
    pub fn pick(&self) -> Option<Pick> {
        match *self {
            Compression::None | Compression::Quantised { .. } => None,
            Compression::TopK { .. } => Some(Pick::Largest),
            Compression::RandK { shared: true, .. } => Some(Pick::Shared),
            Compression::RandK { .. } => Some(Pick::Own),
            Compression::Ef21 { by, .. } => Some(by),
        }
    }

    /// Whether a message is a difference to what the server keeps of the worker.
    pub fn is_difference(&self) -> bool {
        matches!(self, Compression::Ef21 { .. })
    }

    /// Whether it remembers nothing, and what it makes of a vector has that vector as its mean.
    pub fn is_unbiased(&self) -> bool {
        match self {
            Compression::None | Compression::Quantised { .. } => true,
            Compression::RandK { scale, feedback, .. } => *scale && !feedback,
            Compression::TopK { .. } | Compression::Ef21 { .. } => false,
        }
    }

    /// ω: for every v of d coordinates, what it makes of v lies no further from v than √ω·‖v‖ in
    /// the mean of squares. d/k − 1 of `rand-k` (Stich, Cordonnier & Jaggi 2018, §2);
    /// min(d/s², √d/s) of `quantised`, which is QSGD's (Alistarh et al. 2017, lemma 3.1) and holds
    /// for both of its units. Only where [`Compression::is_unbiased`]; else no ω is enough.
    pub fn variance(&self, d: usize) -> f64 {
        let size = d as f64;
        match *self {
            Compression::None => 0.0,
            Compression::RandK { .. } if self.is_unbiased() => size / self.kept(d) as f64 - 1.0,
            Compression::Quantised { levels, .. } => {
                let levels = f64::from(levels);
                (size / (levels * levels)).min(size.sqrt() / levels)
            }
            _ => f64::INFINITY,
        }
    }

    /// Whether a worker adds what it left out to its next message.
    pub fn remembers(&self) -> bool {
        let (Compression::TopK { feedback, .. } | Compression::RandK { feedback, .. }) = *self
        else {
            return false;
        };
        feedback
    }

    /// Replaces `row` by what is sent of it, at the address of `coins`. `memory` is what the worker
    /// remembers between its messages: what was left out, or g of `ef21`; empty counts as zeros,
    /// and stays empty where nothing is remembered. Cost O(d).
    ///
    /// A row that is not finite is left as it is: nothing of it may hide in the memory.
    pub fn apply(&self, row: &mut [f32], memory: &mut Vec<f32>, coins: Coins) {
        if *self == Compression::None || row.iter().any(|x| !x.is_finite()) {
            return;
        }
        if let Compression::Quantised { levels, largest } = *self {
            return quantise(row, levels, largest, &mut stream(coins, lanes::compress::COINS));
        }
        if self.is_difference() {
            memory.resize(row.len(), 0.0);
            let differ = |(x, &g): (&mut f32, &f32)| *x = (*x - g).clamp(f32::MIN, f32::MAX);
            row.iter_mut().zip(memory.iter()).for_each(differ);
            keep_only(row, &self.picked(row, coins));
            return add_to(memory, row);
        }
        if self.remembers() {
            memory.resize(row.len(), 0.0);
            add_to(row, memory);
        }
        let sent = self.picked(row, coins);
        if self.remembers() {
            memory.copy_from_slice(row);
            sent.iter().for_each(|&i| memory[i as usize] = 0.0);
        }
        keep_only(row, &sent);
        if let Compression::RandK { scale: true, .. } = self {
            let factor = row.len() as f32 / sent.len() as f32;
            row.iter_mut().for_each(|x| *x = (*x * factor).clamp(f32::MIN, f32::MAX));
        }
    }

    /// Replaces a row that a hostile worker would send by what the wire carries of it: no more
    /// coordinates or levels than of an honest one. It chooses its largest coordinates where
    /// nothing says which they are. Cost O(d).
    pub fn limit(&self, row: &mut [f32], coins: Coins) {
        if row.iter().any(|x| !x.is_finite()) {
            return;
        }
        match self.pick() {
            Some(Pick::Shared) => keep_only(row, &mask(self.kept(row.len()), row.len(), coins)),
            Some(_) => keep_only(row, &largest(row, self.kept(row.len()))),
            None => self.apply(row, &mut Vec::new(), coins),
        }
    }

    fn picked(&self, row: &[f32], coins: Coins) -> Vec<u32> {
        let k = self.kept(row.len());
        match self.pick() {
            Some(Pick::Largest) | None => largest(row, k),
            Some(Pick::Own) => {
                let d = row.len();
                chosen(k, d, &mut stream(coins, lanes::compress::MASK))
            }
            Some(Pick::Shared) => mask(k, row.len(), coins),
        }
    }

    /// Bytes of one message of d coordinates: 4·d; an index and a value for each that is sent, or
    /// its value alone where all know which; or a unit and the levels, packed.
    pub fn wire_len(&self, d: usize) -> usize {
        match (self, self.pick()) {
            (Compression::Quantised { levels, .. }, _) => quantised_len(d, *levels),
            (_, None) => 4 * d,
            (_, Some(Pick::Shared)) => 4 * self.kept(d),
            (_, Some(_)) => 8 * self.kept(d),
        }
    }
}

/// Bits of a coordinate that takes one of 2·levels + 1 values.
pub fn level_bits(levels: u32) -> usize {
    (32 - (2 * levels).leading_zeros()) as usize
}

/// Bytes of a quantised message of d coordinates: the unit, and the packed levels.
pub fn quantised_len(d: usize, levels: u32) -> usize {
    4 + (d * level_bits(levels)).div_ceil(8)
}

/// `sum` ← `sum` + `more`, within the finite floats: what a worker and the server make of a
/// difference alike.
pub fn add_to(sum: &mut [f32], more: &[f32]) {
    let add = |(s, &x): (&mut f32, &f32)| *s = (*s + x).clamp(f32::MIN, f32::MAX);
    sum.iter_mut().zip(more).for_each(add);
}

/// The k of d coordinates, ascending, that all workers of a run send at this step.
pub fn shared_mask(k: usize, d: usize, seed: Seed, step: u64) -> Vec<u32> {
    mask(k, d, Coins { seed, worker: 0, step })
}

fn mask(k: usize, d: usize, coins: Coins) -> Vec<u32> {
    chosen(k, d, &mut stream(Coins { worker: Coins::SERVER, ..coins }, lanes::compress::MASK))
}

fn stream(coins: Coins, lane: u64) -> varangian_base::Stream {
    coins.seed.lane(Domain::Compress, coins.worker, coins.step, lane)
}

/// k of d, ascending, each set as likely. Cost O(d).
fn chosen(k: usize, d: usize, stream: &mut varangian_base::Stream) -> Vec<u32> {
    // The beginning of a shuffle.
    let mut order: Vec<u32> = (0..d as u32).collect();
    for i in 0..k.min(d) {
        order.swap(i, i + stream.below(d - i));
    }
    order.truncate(k);
    order.sort_unstable();
    order
}

/// Sets all but the coordinates at these places, ascending, to 0.
fn keep_only(row: &mut [f32], kept: &[u32]) {
    let mut next = kept.iter().peekable();
    for (i, x) in row.iter_mut().enumerate() {
        match next.peek() {
            Some(&&at) if at as usize == i => {
                next.next();
            }
            _ => *x = 0.0,
        }
    }
}

/// The indices, ascending, of the k entries of largest absolute value; ties go to lower indices.
fn largest(row: &[f32], k: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..row.len() as u32).collect();
    if k < order.len() {
        let size = |i: &u32| row[*i as usize].abs();
        order.select_nth_unstable_by(k, |a, b| size(b).total_cmp(&size(a)).then(a.cmp(b)));
        order.truncate(k);
    }
    order.sort_unstable();
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coins(worker: u32, step: u64) -> Coins {
        Coins { seed: Seed(4), worker, step }
    }

    #[test]
    fn ties_go_to_lower_indices_and_at_least_one_coordinate_is_sent() {
        let top = Compression::parse("top-k keep=0.5 feedback=false").unwrap();
        let (mut row, mut residual) = ([1.0, -1.0, 1.0, 1.0], Vec::new());
        top.apply(&mut row, &mut residual, coins(0, 0));
        assert_eq!((row, residual.len()), ([1.0, -1.0, 0.0, 0.0], 0));
        let one = Compression::parse("top-k keep=1e-9").unwrap();
        assert_eq!((one.kept(7), one.kept(1), one.wire_len(7)), (1, 1, 8));
        assert_eq!(Compression::None.wire_len(7), 28);
    }

    #[test]
    fn with_feedback_nothing_is_lost() {
        // What was sent plus what is remembered is the sum of all messages, to the bit: the
        // values are small integers.
        for text in ["top-k keep=0.25", "rand-k keep=0.25 scale=false feedback=true"] {
            let short = Compression::parse(text).unwrap();
            let (mut sent, mut residual) = ([0.0f32; 8], Vec::new());
            let mut sum = [0.0f32; 8];
            for step in 0..50 {
                let of = |i| ((i as u64 * 7 + step * 3) % 11) as f32 - 5.0;
                let mut row: [f32; 8] = std::array::from_fn(of);
                add_to(&mut sum, &row);
                short.apply(&mut row, &mut residual, coins(0, step));
                assert!(row.iter().filter(|x| **x != 0.0).count() <= 2);
                add_to(&mut sent, &row);
            }
            add_to(&mut sent, &residual);
            assert_eq!(sent, sum, "{text}");
        }
    }

    #[test]
    fn random_coordinates_have_the_row_as_their_mean_and_shared_ones_are_the_same() {
        let row: Vec<f32> = (0..10).map(|k| k as f32 - 4.5).collect();
        let short = |text: &str, worker, step| {
            let (mut out, mut memory) = (row.clone(), Vec::new());
            let compression = Compression::parse(text).unwrap();
            compression.apply(&mut out, &mut memory, coins(worker, step));
            assert_eq!(out.iter().filter(|x| **x != 0.0).count(), 3);
            out
        };
        let mut mean = vec![0.0; 10];
        for step in 0..4000 {
            let out = short("rand-k keep=0.3", 1, step);
            mean.iter_mut().zip(out).for_each(|(m, x)| *m += x / 4000.0);
        }
        assert!(mean.iter().zip(&row).all(|(m, x)| (m - x).abs() < 0.5), "{mean:?}");
        let shared = "rand-k keep=0.3 masks=shared";
        assert_eq!(short(shared, 1, 5), short(shared, 2, 5));
        assert_ne!(short(shared, 1, 5), short(shared, 1, 6));
        assert_ne!(short("rand-k keep=0.3", 1, 5), short("rand-k keep=0.3", 2, 5));
        let mut hostile = row.clone();
        Compression::parse(shared).unwrap().limit(&mut hostile, coins(7, 5));
        let places = |row: &[f32]| row.iter().map(|x| *x != 0.0).collect::<Vec<_>>();
        assert_eq!(places(&hostile), places(&short(shared, 1, 5)));
        let sent = shared_mask(3, 10, Seed(4), 5);
        assert!((0..10).all(|i| (hostile[i] != 0.0) == sent.contains(&(i as u32))));
        let error = Compression::parse("rand-k feedback=true").unwrap_err().to_string();
        assert!(error.contains("scale=false"), "{error}");
    }

    #[test]
    fn the_difference_to_what_is_kept_closes_on_a_row_that_stays() {
        for by in ["top-k", "rand-k", "shared-rand-k"] {
            let ef21 = Compression::parse(&format!("ef21 keep=0.3 by={by}")).unwrap();
            let row: Vec<f32> = (0..10).map(|k| k as f32 - 4.5).collect();
            let (mut worker, mut server) = (Vec::new(), vec![0.0; 10]);
            for step in 0..60 {
                let mut message = row.clone();
                ef21.apply(&mut message, &mut worker, coins(0, step));
                add_to(&mut server, &message);
                assert_eq!(worker, server, "the same on both sides, {by}");
            }
            assert_eq!(server, row, "{by}");
        }
        let top = Compression::parse("ef21 keep=0.1").unwrap();
        assert_eq!((top.wire_len(100), top.kept(100)), (80, 10));
        let quantised = Compression::parse("quantised levels=1").unwrap();
        assert_eq!((quantised.wire_len(100), level_bits(127)), (4 + 25, 8));
        assert_eq!((level_bits(1), level_bits(2), level_bits(4), level_bits(255)), (2, 3, 4, 9));
    }

    #[test]
    fn rows_that_are_not_finite_are_sent_as_they_are() {
        for text in ["top-k keep=0.5", "rand-k keep=0.5", "quantised", "ef21"] {
            let compression = Compression::parse(text).unwrap();
            let (mut row, mut residual) = ([f32::NAN, 1.0], Vec::new());
            compression.apply(&mut row, &mut residual, coins(0, 0));
            compression.limit(&mut row, coins(0, 0));
            assert!(row[0].is_nan() && row[1] == 1.0 && residual.is_empty(), "{text}");
        }
        let error = Compression::parse("top").unwrap_err().to_string();
        assert_eq!(error, "unknown compression \"top\"; did you mean \"top-k\"?");
    }
}
