//! One window of SafeguardSGD: what each worker sent since the window began, and who strays too
//! far.

use varangian_base::blocks::{self, BLOCK};
use varangian_base::kernels::{distances::Pairs, norms};
use varangian_base::{Matrix, Memory, Rows, SpecError, Value};

/// How the distance is found beyond which a worker is expelled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    /// Given thresholds (algorithm 1).
    Fixed,
    /// Each step anew: mult·max(s, floor), s the distance within which the most central worker has
    /// a majority.
    Empirical { mult: f64, floor: f64, patience: Option<u64> },
    /// As many steps without expelling; then fixed at mult·(the largest s at the end of a window).
    Calibrated { mult: f64, steps: u64 },
    /// 8·V·√(T·ln(16·m·T/p)), divided by m where `per_worker`.
    Theory { p: f64, v: f64, per_worker: bool },
}

/// The theory's threshold for windows of T steps, m workers and failure probability p, where no
/// honest gradient is further than v from the true one. It is printed for plain sums; against sums
/// divided by the number of good workers it is about m times too wide (`per_worker` divides by m).
pub fn theory_threshold(steps: u64, m: usize, p: f64, v: f64, per_worker: bool) -> f64 {
    let (t, m) = (steps as f64, m as f64);
    let plain = 8.0 * v * (t * (16.0 * m * t / p).ln()).sqrt();
    if per_worker { plain / m } else { plain }
}

/// What a window says of a step.
pub(crate) enum Finding {
    /// Nobody is judged yet: calibrating, or the window is too young.
    Later,
    /// No worker has a majority within the threshold.
    NoMedian,
    /// Squared distances to the median are in `squared`; beyond this one a worker is expelled.
    Radius2(f64),
}

#[derive(Clone)]
pub(crate) struct Window {
    /// Steps in a window.
    pub(crate) length: u64,
    /// The given threshold.
    pub(crate) threshold: f64,
    /// The running window's number, step/length.
    number: Option<u64>,
    /// One accumulator a slot.
    sums: Matrix,
    /// The largest s of a calibration, and whether there is one.
    calibrated: Option<f64>,
    /// Squared distance of each slot to the median, after `judge`.
    pub(crate) squared: Vec<f64>,
    pairs: Pairs,
    sorted: Vec<f64>,
}

impl Window {
    pub(crate) fn new(length: u64, threshold: f64) -> Self {
        let (sums, squared, pairs, sorted) = Default::default();
        Window { length, threshold, number: None, sums, calibrated: None, squared, pairs, sorted }
    }

    /// The accumulators, one a slot.
    pub(crate) fn sums(&self) -> Rows<'_> {
        self.sums.rows()
    }

    /// Restarts at multiples of the length; makes room for `slots` accumulators of d floats.
    pub(crate) fn begin(&mut self, step: u64, slots: usize, d: usize) {
        let number = step / self.length;
        if self.number != Some(number) || (self.sums.n(), self.sums.d()) != (slots, d) {
            self.number = Some(number);
            self.sums.resize(slots, d);
            self.clear();
        }
    }

    /// Forgets what was sent.
    pub(crate) fn clear(&mut self) {
        for i in 0..self.sums.n() {
            self.sums.row_mut(i).fill(0.0);
        }
    }

    /// Adds row·weight to a slot's accumulator.
    pub(crate) fn add(&mut self, slot: usize, row: &[f32], weight: f64) {
        blocks::fill(self.sums.row_mut(slot), BLOCK, |range, out| {
            for (sum, &x) in out.iter_mut().zip(&row[range]) {
                *sum += (f64::from(x) * weight) as f32;
            }
        });
    }

    /// Moves the accumulators to where the workers that they belong to now stand; a newcomer
    /// starts at the mean of the good ones.
    pub(crate) fn rearrange(&mut self, from: &[Option<usize>], good: &[bool]) {
        let (d, old) = (self.sums.d(), std::mem::take(&mut self.sums));
        self.sums.resize(from.len(), d);
        let kept: Vec<usize> = (0..old.n()).filter(|&slot| good[slot]).collect();
        for (slot, source) in from.iter().enumerate() {
            let row = self.sums.row_mut(slot);
            match source {
                Some(source) => row.copy_from_slice(old.row(*source)),
                None => {
                    row.fill(0.0);
                    for &slot in &kept {
                        for (sum, &x) in row.iter_mut().zip(old.row(slot)) {
                            *sum += x / kept.len() as f32;
                        }
                    }
                }
            }
        }
    }

    /// Finds the vector median among the good slots and the radius around it. m is the number of
    /// workers of the run, of which more than half must cluster.
    pub(crate) fn judge(&mut self, mode: Mode, good: &[bool], m: usize, step: u64) -> Finding {
        match mode {
            Mode::Fixed => self.algorithm(self.threshold, good, m),
            Mode::Theory { p, v, per_worker } => {
                self.algorithm(theory_threshold(self.length, m, p, v, per_worker), good, m)
            }
            Mode::Empirical { patience, .. } if self.is_young(patience, step) => Finding::Later,
            Mode::Empirical { mult, floor, .. } => {
                let (s, centre) = self.centre(good, m);
                self.measure(centre);
                Finding::Radius2((2.0 * mult * s.max(floor)).powi(2))
            }
            Mode::Calibrated { mult, steps } if step >= steps => {
                self.algorithm(mult * self.calibrated.unwrap_or(0.0), good, m)
            }
            Mode::Calibrated { steps, .. } => {
                let last = step + 1 == steps && self.calibrated.is_none();
                if (step + 1).is_multiple_of(self.length) || last {
                    let (s, _) = self.centre(good, m);
                    self.calibrated = Some(self.calibrated.unwrap_or(0.0).max(s));
                }
                Finding::Later
            }
        }
    }

    /// Whether the window's sums are still those of a few steps, whose heavy tails would expel
    /// honest workers. By default a quarter of the window, at most 50 steps.
    pub(crate) fn is_young(&self, patience: Option<u64>, step: u64) -> bool {
        step % self.length < patience.unwrap_or((self.length / 4).min(50))
    }

    /// Algorithm 1: a median is a good worker with more than m/2 good ones within the threshold
    /// (itself counted); the lowest id is taken.
    fn algorithm(&mut self, threshold: f64, good: &[bool], m: usize) -> Finding {
        let threshold2 = threshold * threshold;
        for i in (0..good.len()).filter(|&i| good[i]) {
            self.measure(i);
            let near = |j: &usize| good[*j] && self.squared[*j] <= threshold2;
            if 2 * (0..good.len()).filter(near).count() > m {
                return Finding::Radius2(4.0 * threshold2);
            }
        }
        Finding::NoMedian
    }

    /// (s, i) of least s: s is the distance from worker i to the (⌊m/2⌋ + 1)-th nearest good one,
    /// itself counted, or to the furthest where fewer are good.
    fn centre(&mut self, good: &[bool], m: usize) -> (f64, usize) {
        self.pairs.squared_distances(self.sums.rows());
        let mut best = (f64::INFINITY, 0);
        for i in (0..good.len()).filter(|&i| good[i]) {
            self.sorted.clear();
            self.sorted.extend((0..good.len()).filter(|&j| good[j]).map(|j| self.pairs.at(i, j)));
            self.sorted.sort_unstable_by(f64::total_cmp);
            let s = self.sorted[(m / 2).min(self.sorted.len() - 1)];
            if s < best.0 {
                best = (s, i);
            }
        }
        (best.0.sqrt(), best.1)
    }

    fn measure(&mut self, centre: usize) {
        norms::rows_distance2(self.sums.rows(), self.sums.row(centre), &mut self.squared);
    }

    pub(crate) fn save(&self) -> Memory {
        let mut memory = Memory::default();
        let flat = self.sums.rows().iter().flatten().copied().collect();
        memory.put("sums", Value::Floats(flat));
        let shape = [self.sums.n() as u64, self.sums.d() as u64];
        memory.put("shape", Value::Integers(shape.to_vec()));
        memory.put("number", Value::Integers(self.number.into_iter().collect()));
        memory.put("calibrated", Value::Doubles(self.calibrated.into_iter().collect()));
        memory
    }

    pub(crate) fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let (flat, shape) = (memory.floats("sums")?, memory.integers("shape")?);
        let &[n, d] = shape else {
            return Err(SpecError::new("memory \"shape\" should hold two integers"));
        };
        let (n, d) = (n as usize, d as usize);
        if flat.len() != n * d {
            let found = flat.len();
            return Err(SpecError::new(format!(
                "memory \"sums\" should hold {n} × {d} floats; found {found}"
            )));
        }
        self.sums.resize(n, d);
        for i in 0..n {
            self.sums.row_mut(i).copy_from_slice(&flat[i * d..(i + 1) * d]);
        }
        self.number = memory.integers("number")?.first().copied();
        self.calibrated = memory.doubles("calibrated")?.first().copied();
        Ok(())
    }
}
