//! What of a message is left out: nothing, or all but its largest coordinates.
//!
//! ```
//! use varangian_learn::optim::Compression;
//! let top = Compression::parse("top-k keep=0.5").unwrap();
//! let (mut row, mut residual) = ([3.0, -1.0, 0.5, -2.0], Vec::new());
//! top.apply(&mut row, &mut residual);
//! assert_eq!((row, &residual[..]), ([3.0, 0.0, 0.0, -2.0], &[0.0, -1.0, 0.5, 0.0][..]));
//! ```

use varangian_base::{Kind, Param, SpecError, spec};

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
}

const TOP_K: &[Param] = &[
    Param {
        name: "keep",
        kind: Kind::Real { min: 1e-9, max: 1.0 },
        default: "0.1",
        help: "the share of coordinates that is sent; at least one is",
    },
    Param {
        name: "feedback",
        kind: Kind::Flag,
        default: "true",
        help: "whether what is left out is added to the worker's next message",
    },
];

impl Compression {
    /// The names, in the order of the variants.
    pub const NAMES: &'static [&'static str] = &["none", "top-k"];

    /// The parameters of `name`, none where it is unknown.
    pub fn params(name: &str) -> &'static [Param] {
        if name == "top-k" { TOP_K } else { &[] }
    }

    /// Reads `none` or `top-k keep=0.1 feedback=true`.
    ///
    /// # Errors
    /// If the name or a parameter is unknown or out of range.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let spec = spec::parse(text)?;
        match spec.name.as_str() {
            "none" => spec.args(&[]).map(|_| Compression::None),
            "top-k" => {
                let args = spec.args(TOP_K)?;
                let keep = args.real("keep").expect("has a default");
                Ok(Compression::TopK { keep, feedback: args.flag("feedback") })
            }
            other => Err(SpecError::unknown("compression", other, Self::NAMES)),
        }
    }

    /// The coordinates of d that are sent.
    pub fn kept(&self, d: usize) -> usize {
        match *self {
            Compression::None => d,
            Compression::TopK { keep, .. } => {
                ((keep * d as f64).ceil() as usize).clamp(1, d.max(1))
            }
        }
    }

    /// Whether a worker remembers what it left out.
    pub fn remembers(&self) -> bool {
        matches!(self, Compression::TopK { feedback: true, .. })
    }

    /// The same without memory: what the wire does to a row.
    pub fn without_feedback(&self) -> Self {
        match *self {
            Compression::None => Compression::None,
            Compression::TopK { keep, .. } => Compression::TopK { keep, feedback: false },
        }
    }

    /// Replaces `row` by what is sent of it plus `residual`, and `residual` by what is left out;
    /// an empty `residual` counts as zeros, and stays empty without feedback. Cost O(d).
    ///
    /// A row that is not finite is left as it is: nothing of it may hide in the residual.
    pub fn apply(&self, row: &mut [f32], residual: &mut Vec<f32>) {
        if *self == Compression::None || row.iter().any(|x| !x.is_finite()) {
            return;
        }
        if self.remembers() {
            residual.resize(row.len(), 0.0);
            let add = |(x, &kept): (&mut f32, &f32)| *x = (*x + kept).clamp(f32::MIN, f32::MAX);
            row.iter_mut().zip(residual.iter()).for_each(add);
        }
        let sent = largest(row, self.kept(row.len()));
        if self.remembers() {
            residual.copy_from_slice(row);
            sent.iter().for_each(|&i| residual[i as usize] = 0.0);
        }
        let mut next = sent.iter().peekable();
        for (i, x) in row.iter_mut().enumerate() {
            match next.peek() {
                Some(&&at) if at as usize == i => {
                    next.next();
                }
                _ => *x = 0.0,
            }
        }
    }

    /// Bytes of one message of d coordinates: 4·d, or an index and a value for each that is sent.
    pub fn wire_len(&self, d: usize) -> usize {
        match self {
            Compression::None => 4 * d,
            Compression::TopK { .. } => 8 * self.kept(d),
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

    #[test]
    fn ties_go_to_lower_indices_and_at_least_one_coordinate_is_sent() {
        let top = Compression::parse("top-k keep=0.5 feedback=false").unwrap();
        let (mut row, mut residual) = ([1.0, -1.0, 1.0, 1.0], Vec::new());
        top.apply(&mut row, &mut residual);
        assert_eq!((row, residual.len()), ([1.0, -1.0, 0.0, 0.0], 0));
        let one = Compression::parse("top-k keep=1e-9").unwrap();
        assert_eq!((one.kept(7), one.kept(1), one.wire_len(7)), (1, 1, 8));
        assert_eq!(Compression::None.wire_len(7), 28);
    }

    #[test]
    fn with_feedback_nothing_is_lost() {
        // What was sent plus what is remembered is the sum of all messages, to the bit: the
        // values are small integers.
        let top = Compression::parse("top-k keep=0.25").unwrap();
        let (mut sent, mut residual) = ([0.0f32; 8], Vec::new());
        let mut sum = [0.0f32; 8];
        for step in 0..50 {
            let mut row: [f32; 8] = std::array::from_fn(|i| ((i * 7 + step * 3) % 11) as f32 - 5.0);
            sum.iter_mut().zip(&row).for_each(|(s, x)| *s += x);
            top.apply(&mut row, &mut residual);
            assert!(row.iter().filter(|x| **x != 0.0).count() <= 2);
            sent.iter_mut().zip(&row).for_each(|(s, x)| *s += x);
        }
        let whole: Vec<f32> = sent.iter().zip(&residual).map(|(a, b)| a + b).collect();
        assert_eq!(whole, sum);
    }

    #[test]
    fn rows_that_are_not_finite_are_sent_as_they_are() {
        let top = Compression::parse("top-k keep=0.5").unwrap();
        let (mut row, mut residual) = ([f32::NAN, 1.0], Vec::new());
        top.apply(&mut row, &mut residual);
        assert!(row[0].is_nan() && row[1] == 1.0 && residual.is_empty());
        let error = Compression::parse("top").unwrap_err().to_string();
        assert_eq!(error, "unknown compression \"top\"; did you mean \"top-k\"?");
    }
}
