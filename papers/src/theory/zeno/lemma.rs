//! The lemma of bounded scores: what the i-th best received score is at least.

use varangian_base::{Domain, Seed, Stream};

/// How often three forms of the lemma fail: received scores in descending order s̃₍₁₎ ≥ …, n honest
/// scores of which q are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// Draws of n, q and all scores.
    pub trials: u32,
    /// Draws in which s̃₍ᵢ₎ < s₍ᵢ₎ for an i ≤ n − q, s sorted over all n honest scores: the slides.
    pub slides: u32,
    /// The same with s sorted over the n − q that were not replaced. Never.
    pub kept: u32,
    /// Draws in which s̃₍ᵢ₎ < s₍ᵢ₊q₎ over all n. Never.
    pub shifted: u32,
}

impl Orders {
    /// The counts as sentences.
    pub(super) fn text(&self) -> String {
        format!(
            "Lemma: s̃₍ᵢ₎ ≥ s₍ᵢ₎ for i ≤ n − q, in {} draws of scores\n  s over all n, as on the \
             slides: fails in {} (n = 2: of scores 10 and 0 the 10 becomes −5)\n  s over the n − q \
             that stay: fails in {}\n  s₍ᵢ₊q₎ over all n: fails in {}\n",
            self.trials, self.slides, self.kept, self.shifted
        )
    }
}

/// Draws n from 2 to 12, q from 1 to n − 1, normal scores, and replacements four times as wide.
pub fn count_orders(trials: u32, seed: Seed) -> Orders {
    let mut counted = Orders { trials, ..Orders::default() };
    for trial in 0..trials {
        let mut stream = seed.stream(Domain::Evaluation, trial, 0);
        let n = 2 + (trial % 11) as usize;
        let q = 1 + trial as usize / 11 % (n - 1);
        let draw = |count: usize, scale: f64, stream: &mut Stream| -> Vec<f64> {
            (0..count).map(|_| scale * stream.normal()).collect()
        };
        let honest = draw(n, 1.0, &mut stream);
        let forged = draw(q, 4.0, &mut stream);
        let (slides, kept, shifted) = broken(&honest, &forged);
        counted.slides += u32::from(slides);
        counted.kept += u32::from(kept);
        counted.shifted += u32::from(shifted);
    }
    counted
}

/// Which of the three forms these scores break: the first of `honest` are replaced by `forged`.
pub(super) fn broken(honest: &[f64], forged: &[f64]) -> (bool, bool, bool) {
    let (n, q) = (honest.len(), forged.len());
    let descending = |mut scores: Vec<f64>| {
        scores.sort_unstable_by(|a, b| b.total_cmp(a));
        scores
    };
    let all = descending(honest.to_vec());
    let kept = descending(honest[q..].to_vec());
    let received = descending([forged, &honest[q..]].concat());
    let below = |least: &[f64]| received.iter().zip(least).take(n - q).any(|(s, t)| s < t);
    (below(&all), below(&kept), below(&all[q..]))
}
