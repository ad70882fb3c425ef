//! What part of the aggregate each row became.

use super::Standing;

/// A rule's coefficients as shares of the aggregate.
pub(super) struct Shares<'a> {
    coefficients: &'a [f64],
    masses: Option<&'a [f64]>,
    sum: f64,
    /// How many rows got any, and how much they count.
    pub(super) taken: usize,
    mass: f64,
}

/// Rounding of sums and of products of stages: a share that is short by less is a whole one.
const ROUNDING: f64 = 1e-9;

impl<'a> Shares<'a> {
    pub(super) fn of(coefficients: &'a [f64], masses: Option<&'a [f64]>) -> Self {
        let mut shares = Shares { coefficients, masses, sum: 0.0, taken: 0, mass: 0.0 };
        for i in 0..coefficients.len() {
            if !shares.is_taken(i) {
                continue;
            }
            shares.sum += coefficients[i];
            shares.taken += 1;
            shares.mass += masses.map_or(1.0, |masses| masses[i]);
        }
        shares
    }

    /// Whether the row got anything: less than 0 counts, if it is no rounding of 0.
    fn is_taken(&self, i: usize) -> bool {
        let c = self.coefficients[i];
        c > 0.0 || c < 0.0 && self.coefficients.iter().all(|other| -c > ROUNDING * other.abs())
    }

    /// `None` where coefficients of both signs leave no sum to be a share of.
    pub(super) fn share(&self, i: usize) -> Option<f64> {
        match self.is_taken(i) {
            false => Some(0.0),
            true => (self.sum > 0.0).then(|| self.coefficients[i] / self.sum),
        }
    }

    /// The coefficient as a part of what an equal share of the rows taken is. Coefficients that
    /// sum to less than 1 are of rows that were shortened, and stay as they are.
    pub(super) fn part(&self, i: usize) -> f64 {
        let equal = self.masses.map_or(1.0, |masses| masses[i]) / self.mass;
        self.coefficients[i] / self.sum.max(1.0) / equal
    }

    pub(super) fn standing(&self, i: usize) -> Standing {
        match self.is_taken(i) {
            false => Standing::Excluded,
            true if self.part(i) >= 1.0 - ROUNDING => Standing::Kept,
            true => Standing::Reduced,
        }
    }
}
