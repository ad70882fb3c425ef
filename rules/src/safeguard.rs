//! SafeguardSGD (Allen-Zhu, Ebrahimianghazani, Li & Alistarh 2021, algorithms 1 and 2): each
//! worker's gradients are summed over windows; who strays from the vector median of the sums is
//! expelled.
//!
//! Honest sums spread like √T, a constant bias grows like T: history separates what one round
//! cannot. Per step t: A_i += g_i/|good_t| for both windows; a median is a good worker with more
//! than m/2 good ones within the threshold Th (itself counted, lowest id); good_{t+1} keeps those
//! within 2·Th of the median in both windows; the answer is ξ + the mean over good_t, ξ ~ N(0,
//! ν²·I). A worker that is caught at t therefore still counts at t (`drop-immediately` differs).
//! Never re-admitted.

mod convex;
mod entries;
mod exact;
#[cfg(test)]
mod tests;
mod window;

pub(crate) use convex::ENTRY as CONVEX;
pub(crate) use entries::{ENTRY, SINGLE};
pub use window::theory_threshold;
use window::{Finding, Mode, Window};

use crate::{Round, Rule, Verdict, exact as double};
use varangian_base::blocks::{self, BLOCK};
use varangian_base::kernels::combine;
use varangian_base::{Domain, Memory, Mixed, Seed, SpecError, Value, lanes};

#[derive(Clone)]
struct Safeguard {
    mode: Mode,
    nu: f64,
    drop_immediately: bool,
    reset_every: Option<u64>,
    windows: Vec<Window>,
    /// Every worker seen, ascending, and whether it is still good.
    ids: Vec<u32>,
    good: Vec<bool>,
    next: Vec<bool>,
    row: Vec<f32>,
}

impl Safeguard {
    fn new(mode: Mode, windows: Vec<Window>) -> Self {
        let (ids, good, next, row) = Default::default();
        let (nu, drop_immediately, reset_every) = (0.0, false, None);
        Safeguard { mode, nu, drop_immediately, reset_every, windows, ids, good, next, row }
    }

    /// Learns of workers that were not seen before.
    fn admit(&mut self, rows: Mixed<'_>) {
        let known = |id: u32| self.ids.binary_search(&id).is_ok();
        if (0..rows.n()).all(|i| known(rows.id(i))) {
            return;
        }
        let mut ids = self.ids.clone();
        ids.extend((0..rows.n()).map(|i| rows.id(i)).filter(|&id| !known(id)));
        ids.sort_unstable();
        let from: Vec<_> = ids.iter().map(|id| self.ids.binary_search(id).ok()).collect();
        if !self.ids.is_empty() {
            self.windows.iter_mut().for_each(|window| window.rearrange(&from, &self.good));
        }
        self.good = from.iter().map(|slot| slot.is_none_or(|slot| self.good[slot])).collect();
        self.ids = ids;
    }

    /// The slot of row i's worker.
    fn slot(&self, rows: Mixed<'_>, i: usize) -> usize {
        self.ids.binary_search(&rows.id(i)).expect("admitted")
    }

    /// The mean over the rows of good workers into `out`, its weights into the verdict; false where
    /// no good worker sent anything.
    fn mean(&self, rows: Mixed<'_>, out: &mut [f32], verdict: &mut Verdict) -> bool {
        verdict.uniform(rows.n(), 0.0);
        let good = |i: usize| self.good[self.slot(rows, i)];
        let count = (0..rows.n()).filter(|&i| good(i)).count();
        for i in (0..rows.n()).filter(|&i| good(i)) {
            verdict.weights[i] = 1.0 / count as f64;
        }
        combine::combine(rows, &verdict.weights, out);
        count > 0
    }

    /// Adds this step to the accumulators of the good workers. The silent ones are credited with
    /// the mean, so that silence neither expels nor hides.
    fn accumulate(&mut self, rows: Mixed<'_>, step: u64, mean: &[f32]) {
        let weight = 1.0 / self.good.iter().filter(|&&good| good).count() as f64;
        let mut windows = std::mem::take(&mut self.windows);
        for window in &mut windows {
            window.begin(step, self.ids.len(), rows.d());
            let mut next = 0;
            for slot in 0..self.ids.len() {
                let sent = next < rows.n() && rows.id(next) == self.ids[slot];
                if self.good[slot] {
                    let sent = sent.then(|| rows.row(next, &mut self.row));
                    window.add(slot, sent.unwrap_or(mean), weight);
                }
                next += usize::from(sent);
            }
        }
        self.windows = windows;
    }

    /// Sets `next` to good_{t+1} and reports.
    fn judge(&mut self, step: u64, verdict: &mut Verdict) {
        self.next.clone_from(&self.good);
        let m = self.ids.len();
        for window in &mut self.windows {
            match window.judge(self.mode, &self.good, m, step) {
                Finding::Later => {}
                Finding::NoMedian => {
                    verdict.event = Some(NO_MEDIAN.to_owned());
                    self.next.clone_from(&self.good);
                    return;
                }
                Finding::Radius2(radius2) => {
                    for (keep, &squared) in self.next.iter_mut().zip(&window.squared) {
                        *keep &= squared <= radius2;
                    }
                }
            }
        }
        if !self.next.iter().any(|&good| good) {
            verdict.event = Some(NOBODY_LEFT.to_owned());
            self.next.clone_from(&self.good);
        } else if self.next != self.good {
            let leaving = (0..m).filter(|&s| self.good[s] && !self.next[s]);
            let leaving: Vec<u32> = leaving.map(|slot| self.ids[slot]).collect();
            verdict.event = Some(expelled(step, &leaving));
        }
    }

    /// Lets everyone in again at multiples of `reset_every`.
    fn reset(&mut self, step: u64) {
        if step > 0 && self.reset_every.is_some_and(|every| step.is_multiple_of(every)) {
            self.good.fill(true);
            self.windows.iter_mut().for_each(Window::clear);
        }
    }
}

/// What the record says where no vector median exists.
const NO_MEDIAN: &str = "no vector median: nobody was expelled";
/// What it says where the windows together would expel everyone.
const NOBODY_LEFT: &str = "the windows disagree on everyone: nobody was expelled";

/// What it says of workers that leave.
fn expelled(step: u64, ids: &[u32]) -> String {
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    format!("step {step}: expelled {}", ids.join(", "))
}

/// Lets `add` add ξ ~ N(0, I) to `out`, drawn at (`Domain::Noise`, 0, step, block).
fn draw<T: Send>(seed: Seed, step: u64, out: &mut [T], add: impl Fn(&mut T, f64) + Sync) {
    blocks::fill(out, BLOCK, |range, out| {
        let mut stream =
            seed.lane(Domain::Noise, lanes::noise::STEP, step, (range.start / BLOCK) as u64);
        out.iter_mut().for_each(|x| add(x, stream.normal()));
    });
}

impl Rule for Safeguard {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        let (rows, step) = (round.rows, round.step);
        self.admit(rows);
        self.reset(step);
        if self.mean(rows, out, verdict) {
            self.accumulate(rows, step, out);
            self.judge(step, verdict);
            std::mem::swap(&mut self.good, &mut self.next);
            if self.drop_immediately && self.good != self.next {
                self.mean(rows, out, verdict);
            }
        } else {
            verdict.event = Some("only expelled workers sent anything".to_owned());
        }
        let expelled = self.ids.iter().zip(&self.good).filter(|(_, good)| !**good);
        verdict.expelled.extend(expelled.map(|(&id, _)| id));
        if self.nu > 0.0 {
            let nu = self.nu;
            draw(round.seed, step, out, |x, normal| *x += (nu * normal) as f32);
        }
    }

    fn exact(&self, round: &double::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        Ok(self.exact_first(round, verdict))
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }

    fn knows_workers(&self) -> bool {
        true
    }

    fn first_round(&self) -> Option<&'static str> {
        Some(
            "it judges workers by sums over many rounds; a first round alone is mostly the plain \
             mean, which defends nothing",
        )
    }

    fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.put("ids", Value::Integers(self.ids.iter().map(|&id| id.into()).collect()));
        memory.put("good", Value::Integers(self.good.iter().map(|&good| good.into()).collect()));
        for (w, window) in self.windows.iter().enumerate() {
            memory.absorb(&format!("window{w}"), window.save());
        }
        memory
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let (ids, good) = (memory.integers("ids")?, memory.integers("good")?);
        if ids.len() != good.len() {
            let (a, b) = (ids.len(), good.len());
            return Err(SpecError::new(format!(
                "memory \"good\" should hold {a} flags; found {b}"
            )));
        }
        for (w, window) in self.windows.iter_mut().enumerate() {
            window.load(&memory.part(&format!("window{w}")))?;
        }
        self.ids = ids.iter().map(|&id| id as u32).collect();
        self.good = good.iter().map(|&good| good != 0).collect();
        Ok(())
    }
}
