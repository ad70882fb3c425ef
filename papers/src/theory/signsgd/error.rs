//! How often the sign of a noisy gradient coordinate is wrong: 1 − p at signal-to-noise S = |g|/σ.
//!
//! p is the probability that one honest worker sends the true sign of a coordinate g ≠ 0 whose
//! unbiased estimate has standard deviation σ.

use crate::theory::VacuousBound;
use statrs::function::erf::erfc;

/// What is assumed of the noise of a coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    /// Any unbiased noise of bounded variance (A3): Cantelli, 1 − p ≤ 1/(1 + S²).
    Any,
    /// Unimodal and symmetric (A3, A4): Lemma 1.
    UnimodalSymmetric,
    /// Normal: exact.
    Gaussian,
}

impl Noise {
    /// A bound from above on 1 − p (exact for normal noise). S ≥ 0.
    pub fn error(self, snr: f64) -> f64 {
        match self {
            Noise::Any => cantelli(snr),
            Noise::UnimodalSymmetric => lemma_1(snr),
            Noise::Gaussian => gaussian(snr),
        }
    }
}

/// Bernstein et al. 2018 and 2019, Lemma 1: 2/(9S²) above S = 2/√3 and ½ − S/(2√3) below, at most
/// ½. Needs A3 and unimodal symmetric noise (Gauss's inequality).
pub fn lemma_1(snr: f64) -> f64 {
    if snr > 2.0 / 3f64.sqrt() { 2.0 / (9.0 * snr * snr) } else { 0.5 - snr / (2.0 * 3f64.sqrt()) }
}

/// Akoun & Meyer 2022, Lemma 1bis: 1/(2S²), claimed for any noise of bounded variance.
///
/// False for S > 1: [`TwoPoint`] noise is wrong with probability 1/(1 + S²) > 1/(2S²). It holds for
/// S ≤ 1, and for symmetric noise (half of Chebyshev).
pub fn lemma_1bis(snr: f64) -> f64 {
    0.5 / (snr * snr)
}

/// Cantelli's inequality (Bernstein et al. 2019, equation 1): 1/(1 + S²), tight for bounded
/// variance.
pub fn cantelli(snr: f64) -> f64 {
    1.0 / (1.0 + snr * snr)
}

/// Bernstein et al. 2018, equation 1: the crude 1/S that their Theorem 1 uses. Needs A3 only.
pub fn crude(snr: f64) -> f64 {
    1.0 / snr
}

/// Φ(−S): exact for normal noise.
pub fn gaussian(snr: f64) -> f64 {
    0.5 * erfc(snr / std::f64::consts::SQRT_2)
}

/// Jin et al. 2020 (arXiv 2002.10940): a stochastic sign with range b ≥ |g| is wrong with
/// probability ½ − |g|/(2b).
///
/// # Errors
/// If b < |g|: then the message is clipped and the bound does not hold.
pub fn stochastic_sign(g: f64, b: f64) -> Result<f64, VacuousBound> {
    if b > 0.0 && b >= g.abs() {
        return Ok(0.5 - g.abs() / (2.0 * b));
    }
    let found = format!("b = {b}, |g| = {}", g.abs());
    Err(VacuousBound::new("the stochastic sign's error", "b ≥ |g| and b > 0", found))
}

/// The noise that attains Cantelli: g̃ is just below 0 with probability 1/(1 + S²) and
/// g·(1 + S²)/S² else. Its mean is g > 0 and its standard deviation g/S.
#[derive(Clone, Copy, Debug)]
pub struct TwoPoint {
    /// The probability of the wrong sign.
    pub wrong: f64,
    /// The value with the right sign; the other is −0.
    pub high: f64,
}

impl TwoPoint {
    /// The two points for a gradient g > 0 at signal-to-noise S > 0.
    pub fn new(g: f64, snr: f64) -> Self {
        TwoPoint { wrong: cantelli(snr), high: g * (1.0 + snr * snr) / (snr * snr) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::{Domain, Seed};

    #[test]
    fn the_papers_lemmas_at_six_ratios() {
        let joint = 2.0 / 3f64.sqrt();
        let table = [
            (0.1, 0.471132487, 50.0, 0.990099010, 0.460172163),
            (0.5, 0.355662433, 2.0, 0.8, 0.308537539),
            (1.0, 0.211324865, 0.5, 0.5, 0.158655254),
            (joint, 0.166666667, 0.375, 0.428571429, 0.124106539),
            (2.0, 0.055555556, 0.125, 0.2, 0.022750132),
            (3.0, 0.024691358, 0.055555556, 0.1, 0.001349898),
        ];
        for (snr, lemma, bis, one_sided, exact) in table {
            let found = [lemma_1(snr), lemma_1bis(snr), cantelli(snr), gaussian(snr)];
            for (found, expected) in found.iter().zip([lemma, bis, one_sided, exact]) {
                assert!((found - expected).abs() < 1e-9, "S = {snr}: {found} for {expected}");
            }
            assert!(gaussian(snr) <= lemma_1(snr) && lemma_1(snr) <= cantelli(snr));
            assert!(cantelli(snr) <= crude(snr));
        }
    }

    #[test]
    fn errors_fall_with_the_signal() {
        for noise in [Noise::Any, Noise::UnimodalSymmetric, Noise::Gaussian] {
            let errors: Vec<f64> = (0..500).map(|i| noise.error(f64::from(i) / 50.0)).collect();
            assert!(errors.windows(2).all(|w| w[1] <= w[0]), "{noise:?}");
        }
    }

    #[test]
    fn two_point_noise_breaks_lemma_1bis_and_attains_cantelli() {
        let (g, snr) = (0.7, 2.0);
        let noise = TwoPoint::new(g, snr);
        let mean = (1.0 - noise.wrong) * noise.high;
        let variance = (1.0 - noise.wrong) * noise.high * noise.high - mean * mean;
        assert!((mean - g).abs() < 1e-12 && (variance.sqrt() - g / snr).abs() < 1e-12);
        let mut stream = Seed(1).stream(Domain::Test, 0, 0);
        let trials = 100_000;
        let wrong = (0..trials).filter(|_| stream.coin(noise.wrong)).count() as f64 / 1e5;
        assert!((wrong - cantelli(snr)).abs() < 0.005, "{wrong}");
        assert!(wrong > lemma_1bis(snr) + 0.05, "{wrong} against {}", lemma_1bis(snr));
    }

    #[test]
    fn lemma_1_holds_for_noise_of_its_kind() {
        // Uniform noise is unimodal and symmetric; on [−√3, √3] it has unit variance.
        let mut stream = Seed(2).stream(Domain::Test, 0, 0);
        for snr in [0.3, 1.0, 1.5] {
            let wrong = |_: &i32| snr + 3f64.sqrt() * (2.0 * stream.uniform_f64() - 1.0) < 0.0;
            let rate = (0..100_000).filter(wrong).count() as f64 / 1e5;
            assert!(rate <= lemma_1(snr) + 0.005, "S = {snr}: {rate}");
        }
    }

    #[test]
    fn a_stochastic_sign_outside_its_range_is_refused() {
        assert_eq!(stochastic_sign(-0.5, 1.0), Ok(0.25));
        assert_eq!(
            stochastic_sign(2.0, 1.0).unwrap_err().to_string(),
            "the stochastic sign's error needs b ≥ |g| and b > 0; got b = 1, |g| = 2"
        );
    }
}
