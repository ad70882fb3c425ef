//! Sums of doubles that keep what rounding would lose, and the statistics made of them.

use super::Wide;

/// A sum of doubles as hi + lo, times 2^e: about 106 bits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Total {
    pub(crate) hi: f64,
    pub(crate) lo: f64,
    e: i32,
}

/// What a sum that leaves the range of f64 is divided by, as a power of two, to stay inside.
const DOWN: i32 = 64;

impl Total {
    /// The sum of finite numbers.
    pub(crate) fn of(numbers: impl Iterator<Item = f64> + Clone) -> Total {
        let plain = add(numbers.clone());
        if plain.hi.is_finite() && plain.lo.is_finite() {
            return plain;
        }
        Total { e: DOWN, ..add(numbers.map(|x| x * 2f64.powi(-DOWN))) }
    }

    /// The sum over `count`: hi is the nearest double, lo what is left.
    pub(crate) fn over(self, count: f64) -> (f64, f64) {
        let hi = (self.hi + self.lo) / count;
        let rest = (-hi).mul_add(count, self.hi) + self.lo;
        let (hi, lo) = (hi + rest / count, rest / count - ((hi + rest / count) - hi));
        let scale = 2f64.powi(self.e);
        ((hi * scale).clamp(f64::MIN, f64::MAX), lo * scale)
    }

    pub(crate) fn wide(self) -> Wide {
        Wide::new(self.hi, self.e.into()) + Wide::new(self.lo, self.e.into())
    }
}

/// Knuth's two-sum, number by number.
fn add(numbers: impl Iterator<Item = f64>) -> Total {
    numbers.fold(Total::default(), |Total { hi, lo, e }, x| {
        let sum = hi + x;
        let part = sum - hi;
        Total { hi: sum, lo: lo + ((hi - (sum - part)) + (x - part)), e }
    })
}

/// The mean of some numbers, rounded once.
pub(crate) fn mean(numbers: &[f64]) -> f64 {
    Total::of(numbers.iter().copied()).over(numbers.len() as f64).0
}

/// Σ zₖ² for any finite zₖ. Terms below the rounding of the largest by 2^500 are left out.
pub(crate) fn squares(numbers: impl Iterator<Item = Wide> + Clone) -> Wide {
    let e = numbers.clone().map(Wide::exponent).max().unwrap_or(i64::MIN);
    if e == i64::MIN {
        return Wide::ZERO;
    }
    let scaled = numbers.map(|z| z.over(e));
    Wide::new(1.0, 2 * e) * Total::of(scaled.map(|z| z * z)).wide()
}

/// Σ zₖ.
pub(crate) fn sum(numbers: &[Wide]) -> Wide {
    let e = numbers.iter().map(|z| z.exponent()).max().unwrap_or(i64::MIN);
    if e == i64::MIN {
        return Wide::ZERO;
    }
    Wide::new(1.0, e) * Total::of(numbers.iter().map(|z| z.over(e))).wide()
}

/// Σ (aₖ − bₖ)².
pub(crate) fn distance2(a: &[f64], b: &[f64]) -> Wide {
    let apart = || a.iter().zip(b).map(|(a, b)| a - b);
    let most = apart().fold(0.0f64, |most, x| most.max(x.abs()));
    // The common case needs no numbers of their own exponent: no square can leave f64's range so
    // far that it matters.
    if most == 0.0 {
        return Wide::ZERO;
    }
    if (1e-100..1e100).contains(&most) {
        return Total::of(apart().map(|x| x * x)).wide();
    }
    squares(a.iter().zip(b).map(|(&a, &b)| Wide::from(a) - Wide::from(b)))
}

/// Σ xₖ².
pub(crate) fn norm2(x: &[f64]) -> Wide {
    squares(x.iter().map(|&x| Wide::from(x)))
}
