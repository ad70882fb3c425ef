//! What a worker sends of its gradient or momentum: the vector, its signs, or stochastic signs.
//!
//! ```
//! use varangian_base::{Coins, Signs};
//! use varangian_learn::optim::Message;
//! let mut row = [0.5, -2.0, 0.0];
//! Message::parse("sign").unwrap().apply(&mut row, Coins::default(), &mut Signs::default());
//! assert_eq!(row, [1.0, -1.0, 0.0]);
//! ```

use varangian_base::{Coins, Kind, Param, Signs, SpecError, ZeroPolicy, spec};

/// What a worker sends.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Message {
    /// The vector itself: 32 bits a coordinate.
    #[default]
    Vector,
    /// Its signs (Bernstein et al. 2018, signSGD; after momentum: Signum). NaN counts as 0.
    Sign(ZeroPolicy),
    /// +1 with probability (b + x)/(2b), else −1 (Jin et al. 2020, arXiv 2002.10940): unbiased up
    /// to the factor 1/b where |x| ≤ b; beyond, the sign. NaN is a fair coin.
    Stochastic {
        /// b > 0.
        bound: f32,
    },
}

const SIGN: &[Param] = &[Param {
    name: "zero",
    kind: Kind::Choice(ZeroPolicy::NAMES),
    default: "zero",
    help: "the sign of 0: zero (the worker abstains; two bits a coordinate), plus-one, random",
}];
const STOCHASTIC: &[Param] = &[Param {
    name: "bound",
    kind: Kind::Real { min: 1e-30, max: 1e30 },
    default: "1",
    help: "b: at least the largest coordinate for an unbiased message",
}];

impl Message {
    /// The names, in the order of the variants.
    pub const NAMES: &'static [&'static str] = &["vector", "sign", "stochastic-sign"];

    /// Reads `vector`, `sign zero=plus-one` or `stochastic-sign bound=2`.
    ///
    /// # Errors
    /// If the name or a parameter is unknown or out of range.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let spec = spec::parse(text)?;
        match spec.name.as_str() {
            "vector" => spec.args(&[]).map(|_| Message::Vector),
            "sign" => Ok(Message::Sign(ZeroPolicy::named(spec.args(SIGN)?.text("zero"))?)),
            "stochastic-sign" => {
                let bound = spec.args(STOCHASTIC)?.real("bound").expect("has a default") as f32;
                Ok(Message::Stochastic { bound })
            }
            other => Err(SpecError::unknown("message", other, Self::NAMES)),
        }
    }

    /// Whether only signs are sent.
    pub fn is_sign(&self) -> bool {
        *self != Message::Vector
    }

    /// Replaces `row` by what is sent, as −1, 0 and +1 where signs are. `packed` is scratch and
    /// holds the ballot afterwards. Cost O(d).
    pub fn apply(&self, row: &mut [f32], coins: Coins, packed: &mut Signs) {
        match *self {
            Message::Vector => return,
            Message::Sign(zero) => {
                packed.encode(row, zero, coins);
            }
            Message::Stochastic { bound } => packed.draw(row, coins, |x| {
                if x.is_nan() { 0.5 } else { 0.5 - 0.5 * (x / bound).clamp(-1.0, 1.0) }
            }),
        }
        packed.decode(row);
    }

    /// Whether 0 can be sent beside the two signs.
    pub fn is_ternary(&self) -> bool {
        *self == Message::Sign(ZeroPolicy::Zero)
    }

    /// Bytes of one message of d coordinates on the wire: 4·d, or 4·⌈d/32⌉ a plane of signs.
    pub fn wire_len(&self, d: usize) -> usize {
        if self.is_sign() { Signs::wire_len(d, self.is_ternary()) } else { 4 * d }
    }
}

/// Sets the non-finite entries of a gradient to 0 and counts them: a NaN that enters a momentum
/// never leaves it, and the worker would abstain on that coordinate for ever. Cost O(d).
pub fn sanitise(gradient: &mut [f32]) -> u64 {
    let mut found = 0;
    for x in gradient {
        if !x.is_finite() {
            *x = 0.0;
            found += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::Seed;

    fn sent(text: &str, row: &[f32]) -> Vec<f32> {
        let mut row = row.to_vec();
        let coins = Coins { seed: Seed(3), worker: 1, step: 2 };
        Message::parse(text).unwrap().apply(&mut row, coins, &mut Signs::default());
        row
    }

    #[test]
    fn each_message_sends_what_it_says() {
        let row = [3.0, -1e-20, 0.0, f32::NAN, -0.0];
        assert_eq!(sent("sign", &row), [1.0, -1.0, 0.0, 0.0, 0.0]);
        assert_eq!(sent("sign zero=plus-one", &row), [1.0, -1.0, 1.0, 1.0, 1.0]);
        assert_eq!(sent("vector", &row[..3]), row[..3]);
        let extreme = sent("stochastic-sign bound=2", &[2.0, -2.0, 9.0, -9.0]);
        assert_eq!(extreme, [1.0, -1.0, 1.0, -1.0]);
        let half: f32 = sent("stochastic-sign bound=2", &[1.0; 20_000]).iter().sum();
        assert!((half / 20_000.0 - 0.5).abs() < 0.03, "{half}");
    }

    #[test]
    fn lengths_on_the_wire_and_unknown_messages() {
        let len = |text| Message::parse(text).unwrap().wire_len(922);
        assert_eq!([len("vector"), len("sign zero=plus-one"), len("sign")], [3688, 116, 232]);
        let error = Message::parse("sgn").unwrap_err().to_string();
        assert_eq!(error, "unknown message \"sgn\"; did you mean \"sign\"?");
        let mut gradient = [1.0, f32::NAN, f32::NEG_INFINITY];
        assert_eq!((sanitise(&mut gradient), gradient), (2, [1.0, 0.0, 0.0]));
    }
}
