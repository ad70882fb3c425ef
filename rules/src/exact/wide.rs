//! Numbers with the precision of f64 and any magnitude.

use std::cmp::Ordering;
use std::iter::Sum;
use std::ops::{Add, Div, Mul, Sub};

/// m·2^e with ½ ≤ |m| < 1, or 0: what f64 would be with a wider exponent. Squares of the largest
/// and of the least doubles stand side by side in one sum. Each operation rounds as f64 does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Wide {
    m: f64,
    e: i64,
}

/// Beyond this many binary places the smaller of two numbers is below the rounding of the larger.
const APART: i64 = 200;

impl Wide {
    pub(crate) const ZERO: Wide = Wide { m: 0.0, e: 0 };

    /// x·2^e, for finite x.
    pub(crate) fn new(x: f64, e: i64) -> Wide {
        if x == 0.0 {
            return Wide::ZERO;
        }
        debug_assert!(x.is_finite(), "{x}");
        let bits = x.to_bits();
        let exponent = (bits >> 52 & 0x7ff) as i64;
        if exponent == 0 {
            // Below the normal range: 2^64 brings it there, without rounding.
            return Wide::new(x * 2f64.powi(64), e - 64);
        }
        let m = f64::from_bits(bits & !(0x7ff << 52) | 1022 << 52);
        Wide { m, e: e + exponent - 1022 }
    }

    /// The nearest double; the largest of its sign where it lies beyond.
    pub(crate) fn to_f64(self) -> f64 {
        self.over(0)
    }

    /// self/2^e as a double, likewise.
    pub(crate) fn over(self, e: i64) -> f64 {
        match self.e - e {
            _ if self.m == 0.0 => 0.0,
            1025.. => f64::MAX.copysign(self.m),
            by @ -1021..1025 => {
                // Two steps, as 2^1024 is no double; the larger one last would round twice.
                let x = self.m * power(by / 2) * power(by - by / 2);
                x.clamp(f64::MIN, f64::MAX)
            }
            by @ -1200..-1021 => self.m * power(-1000) * power(by + 1000),
            _ => 0.0_f64.copysign(self.m),
        }
    }

    /// The binary exponent: |self| < 2^e.
    pub(crate) fn exponent(self) -> i64 {
        if self.m == 0.0 { i64::MIN } else { self.e }
    }

    /// √self, for self ≥ 0.
    pub(crate) fn sqrt(self) -> Wide {
        match self.e.rem_euclid(2) {
            0 => Wide::new(self.m.sqrt(), self.e / 2),
            _ => Wide::new((2.0 * self.m).sqrt(), (self.e - 1) / 2),
        }
    }

    pub(crate) fn max(self, other: Wide) -> Wide {
        if self < other { other } else { self }
    }

    pub(crate) fn is_zero(self) -> bool {
        self.m == 0.0
    }
}

/// 2^e for −1022 ≤ e ≤ 1023.
fn power(e: i64) -> f64 {
    f64::from_bits(((e + 1023) as u64) << 52)
}

impl From<f64> for Wide {
    fn from(x: f64) -> Wide {
        Wide::new(x, 0)
    }
}

impl Add for Wide {
    type Output = Wide;

    fn add(self, other: Wide) -> Wide {
        let (a, b) =
            if self.exponent() >= other.exponent() { (self, other) } else { (other, self) };
        match a.e - b.e {
            _ if b.m == 0.0 => a,
            APART.. => a,
            by => Wide::new(a.m + b.m * power(-by), a.e),
        }
    }
}

impl Sub for Wide {
    type Output = Wide;

    fn sub(self, other: Wide) -> Wide {
        self + Wide { m: -other.m, e: other.e }
    }
}

impl Mul for Wide {
    type Output = Wide;

    fn mul(self, other: Wide) -> Wide {
        Wide::new(self.m * other.m, self.e + other.e)
    }
}

impl Div for Wide {
    type Output = Wide;

    fn div(self, other: Wide) -> Wide {
        debug_assert!(other.m != 0.0, "divided by 0");
        Wide::new(self.m / other.m, self.e - other.e)
    }
}

impl Sum for Wide {
    fn sum<I: Iterator<Item = Wide>>(numbers: I) -> Wide {
        numbers.fold(Wide::ZERO, Add::add)
    }
}

impl PartialOrd for Wide {
    fn partial_cmp(&self, other: &Wide) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Wide {}

impl Ord for Wide {
    fn cmp(&self, other: &Wide) -> Ordering {
        let side = |x: &Wide| i8::from(x.m > 0.0) - i8::from(x.m < 0.0);
        side(self).cmp(&side(other)).then_with(|| {
            let sizes = self.e.cmp(&other.e).then(self.m.abs().total_cmp(&other.m.abs()));
            if self.m < 0.0 { sizes.reverse() } else { sizes }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::draws;

    #[test]
    fn within_the_range_of_f64_it_is_f64() {
        let mut draws = draws(3);
        for _ in 0..20_000 {
            let mut number = || draws.normal() * 2f64.powi(draws.below(60) as i32 - 30);
            let (x, y) = (number(), number());
            let (a, b) = (Wide::from(x), Wide::from(y));
            assert_eq!(a.to_f64(), x);
            assert_eq!((a + b).to_f64(), x + y);
            assert_eq!((a - b).to_f64(), x - y);
            assert_eq!((a * b).to_f64(), x * y);
            assert_eq!((a / b).to_f64(), x / y);
            assert_eq!((a * a).sqrt().to_f64(), (x * x).sqrt());
            assert_eq!(a.cmp(&b), x.total_cmp(&y));
        }
    }

    #[test]
    fn the_ends_of_f64_and_beyond() {
        let least = f64::from_bits(1);
        for x in [least, 3.0 * least, f64::MIN_POSITIVE, 1e-310, f64::MAX, f64::MIN, -0.0] {
            assert_eq!(Wide::from(x).to_f64(), x, "{x:e}");
        }
        let (huge, tiny) = (Wide::from(1e300), Wide::from(1e-300));
        assert_eq!((huge * huge).to_f64(), f64::MAX);
        assert_eq!((tiny * tiny).to_f64(), 0.0);
        assert_eq!((huge * huge).sqrt().to_f64(), 1e300);
        let back = (huge * huge / huge / huge).to_f64();
        assert!((back - 1.0).abs() < 1e-15 && tiny * tiny < tiny && tiny < huge);
        assert_eq!((huge * huge + tiny) - huge * huge, Wide::ZERO);
        assert!(Wide::from(-1e300) < Wide::from(-1e-300) && Wide::from(-1.0) < Wide::ZERO);
    }
}
