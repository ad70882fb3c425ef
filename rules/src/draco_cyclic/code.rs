//! The cyclic code of real sums: its weights, whose sums do not fit, and how the rest are undone.

use std::f64::consts::TAU;

/// How many times the rounding of f32 rows a difference may be.
const ROUNDING: f64 = 4.0 / (1u64 << 24) as f64;

/// The weights c with which a worker of a ring of n adds up the gradients of `times` minibatches,
/// its own first. Their sum is above 1.
///
/// # Panics
/// If n or `times` is even, or `times` is above n.
pub fn cyclic_code(n: usize, times: usize) -> Vec<f64> {
    assert!(n % 2 == 1 && times % 2 == 1 && times <= n, "n = {n}, r = {times}");
    // A pair of conjugate roots ωʲ and ω⁻ʲ is the factor x² − 2·cos(2πj/n)·x + 1.
    let mut code = vec![1.0];
    for j in roots(n, times) {
        let middle = -2.0 * (TAU * j as f64 / n as f64).cos();
        let mut next = vec![0.0; code.len() + 2];
        for (k, &c) in code.iter().enumerate() {
            next[k] += c;
            next[k + 1] += middle * c;
            next[k + 2] += c;
        }
        code = next;
    }
    code
}

/// The j of the roots ωʲ below n/2.
pub(super) fn roots(n: usize, times: usize) -> std::ops::RangeInclusive<usize> {
    let last = n.div_ceil(2) - 1;
    last + 1 - times / 2..=last
}

/// A code, and who was left out of its word.
#[derive(Clone, Default)]
pub(super) struct Code {
    n: usize,
    times: usize,
    /// The sum of the c.
    sum: f64,
    /// Of each worker, its column of a basis of what is orthogonal to every word: r − 1 numbers.
    checks: Vec<Vec<f64>>,
    /// Who is left out: those without a row first.
    out: Vec<usize>,
    /// The best choice so far, and how well the others then agree: what keeps them from a word over
    /// what rounding allows.
    best: Vec<usize>,
    apart: f64,
    /// An orthonormal basis of the columns of those.
    basis: Vec<Vec<f64>>,
    syndromes: Vec<f64>,
}

impl Code {
    /// Becomes the code of a ring of n, if there is one.
    pub(super) fn prepare(&mut self, n: usize, times: usize) -> bool {
        if n.is_multiple_of(2) || times.is_multiple_of(2) || times > n {
            return false;
        }
        if (self.n, self.times) == (n, times) {
            return true;
        }
        (self.n, self.times, self.sum) = (n, times, cyclic_code(n, times).iter().sum());
        let angle = |i: usize, j: usize| TAU * (i * j % n) as f64 / n as f64;
        let column = |i: usize| {
            let pair = |j: usize| [angle(i, j).cos(), angle(i, j).sin()];
            roots(n, times).flat_map(pair).collect()
        };
        self.checks = (0..n).map(column).collect();
        self.basis = vec![vec![0.0; times - 1]; times - 1];
        self.syndromes = vec![0.0; times - 1];
        true
    }

    /// Leaves worker i out too; false where its column adds nothing to those of the others.
    fn leave_out(&mut self, i: usize) -> bool {
        let k = self.out.len();
        if k >= self.times - 1 {
            return false;
        }
        let (before, from) = self.basis.split_at_mut(k);
        let own = &mut from[0];
        own.copy_from_slice(&self.checks[i]);
        remove(own, before);
        remove(own, before);
        let length = own.iter().map(|x| x * x).sum::<f64>().sqrt();
        if length < 1e-9 {
            return false;
        }
        own.iter_mut().for_each(|x| *x /= length);
        self.out.push(i);
        true
    }

    /// What keeps the rows that are not left out from agreeing, over what rounding allows: they
    /// agree if that is at most 1.
    fn disagreement(
        &mut self,
        (projected, squared): (&[Vec<f64>], &[f64]),
        places: &[usize],
    ) -> f64 {
        let size = self.times - 1;
        let (mut found, mut lengths) = (0.0, 0.0);
        for (k, of) in projected.iter().enumerate() {
            self.syndromes.fill(0.0);
            for (row, &place) in places.iter().enumerate() {
                if self.out.contains(&place) {
                    continue;
                }
                let terms = self.syndromes.iter_mut().zip(&self.checks[place]);
                terms.for_each(|(sum, check)| *sum += check * of[row]);
                if k == 0 {
                    lengths += squared[row];
                }
            }
            remove(&mut self.syndromes, &self.basis[..self.out.len()]);
            found += self.syndromes.iter().map(|x| x * x).sum::<f64>();
        }
        let checks = (size / 2) as f64;
        let allowed = ROUNDING * ROUNDING * checks * lengths * projected.len() as f64;
        if found == 0.0 { 0.0 } else { found / allowed }
    }

    /// Looks at every choice of so many `more` workers from `from` on, and keeps the best.
    fn search(
        &mut self,
        told: (&[Vec<f64>], &[f64]),
        places: &[usize],
        (from, more): (usize, usize),
    ) {
        if more == 0 {
            let apart = self.disagreement(told, places);
            if apart < self.apart {
                self.apart = apart;
                self.best.clear();
                self.best.extend_from_slice(&self.out);
            }
            return;
        }
        for next in from..places.len() {
            if self.leave_out(places[next]) {
                self.search(told, places, (next + 1, more - 1));
                self.out.pop();
            }
        }
    }

    /// Finds who is to be left out of the rows of `places`, ascending; false where no choice of f
    /// makes the others agree.
    pub(super) fn find(&mut self, told: (&[Vec<f64>], &[f64]), places: &[usize], f: usize) -> bool {
        self.out.clear();
        for i in 0..self.n {
            if places.binary_search(&i).is_err() && !self.leave_out(i) {
                return false;
            }
        }
        // A word that agrees with all but so many of the rows is the only one.
        let most = f.min((self.times - 1 - self.out.len()) / 2);
        let absent = self.out.len();
        for more in 0..=most {
            self.apart = f64::INFINITY;
            self.search(told, places, (0, more));
            if self.apart <= 1.0 {
                self.out.truncate(absent);
                for k in absent..self.best.len() {
                    self.leave_out(self.best[k]);
                }
                return true;
            }
        }
        false
    }

    /// The v of the rows of `places`: the mean of the gradients is their sum so weighted.
    pub(super) fn weigh(&mut self, places: &[usize], weights: &mut Vec<f64>) {
        let each = 1.0 / (self.n as f64 * self.sum);
        let Code { out, checks, basis, syndromes: w, .. } = self;
        // v = each·1 − Hᵀw with v = 0 where somebody is left out; w is the shortest such, as the
        // basis spans their columns: solve their triangle.
        w.fill(0.0);
        for (&i, b) in out.iter().zip(basis.iter()) {
            let scale = (each - dot(&checks[i], w)) / dot(&checks[i], b);
            w.iter_mut().zip(b).for_each(|(w, b)| *w += scale * b);
        }
        weights.clear();
        weights.extend(places.iter().map(|&i| match out.contains(&i) {
            true => 0.0,
            false => each - dot(&checks[i], w),
        }));
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Takes what lies along an orthonormal basis out of a vector.
fn remove(vector: &mut [f64], basis: &[Vec<f64>]) {
    for b in basis {
        let along = dot(vector, b);
        vector.iter_mut().zip(b).for_each(|(x, b)| *x -= along * b);
    }
}
