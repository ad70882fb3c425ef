//! ByzantineSGD (Alistarh, Allen-Zhu & Li 2018, algorithm 1), for convex losses: who strays from
//! the median of sums over the whole run, or of one step's gradients, is expelled.
//!
//! Per step k at x_k, of m workers: Aᵢ += ⟨gᵢ, x_k − x₁⟩ and Bᵢ += gᵢ. A_med is the median of all
//! Aᵢ; B_med some Bᵢ with more than half of all Bⱼ within 𝔗_B, g_med some gᵢ with more than half of
//! all gⱼ within 2V (itself counted, lowest id). good_k keeps who was good and has |Aᵢ − A_med| ≤
//! 𝔗_A, ‖Bᵢ − B_med‖ ≤ 2𝔗_B and ‖gᵢ − g_med‖ ≤ 4V; the answer is (1/m)·Σ gᵢ over good_k. By
//! theorem, 𝔗_A = 4·D·V·√(T·C) and 𝔗_B = 4·V·√(T·C), C = ln(16·m·T/p).
//!
//! They hold whatever the theorem says: a sum of T differences of length V at most is r or more at
//! some step with a probability of at most 2·exp(−r²/(2TV²)) (Azuma for numbers, Pinelis 1994 for
//! vectors), which at r = 𝔗/2 is 2·(p/(16mT))². Two honest sums are then within 𝔗 of each other,
//! the median of all Aᵢ lies among honest ones, and B_med, with an honest sum within 𝔗_B, within
//! 2𝔗_B of every honest one: hence times = 2.
//!
//! x₁ is where the rule was first asked; outside training, where there is no x, A says nothing.

#[cfg(test)]
mod tests;

use super::{NO_MEDIAN, NOBODY_LEFT, Window, expelled};
use crate::exact::{self, Blend, Wide};
use crate::{Bound, Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict};
use varangian_base::kernels::{combine, norms};
use varangian_base::{Args, Kind, Memory, Mixed, Param, SpecError, Value};

const POSITIVE: Kind = Kind::Real { min: 0.0, max: 1e30 };

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "byzantine-sgd",
    summary: "sum over m of the workers whose gradients, and sums of them over the run, stay near the medians",
    paper: "Alistarh, Allen-Zhu & Li, Byzantine Stochastic Gradient Descent, NeurIPS 2018, arXiv 1803.08917, algorithm 1",
    differs: &[
        "the full text was not at hand: 𝔗_A and 𝔗_B are as remembered and hold by Azuma's and Pinelis' inequalities, by which an honest Aᵢ and Bᵢ are further than half of them from their means, in any of T steps, with a probability below p/m; 2V and 4V are also bucketing's code's",
        "the step and its projection to the ball of diameter D around the start are the trainer's",
        "a worker is kept within times·𝔗_B of B_med, by default twice, as 2V becomes 4V and as SafeguardSGD has it; bucketing's code takes times = 1, at which a median that hostile workers provide can cost honest ones their place",
        "divide = good divides by the number of good workers instead of all, as bucketing's code does",
        "where there is no median, or nobody would be left, nobody is expelled and the round has an event",
        "a good worker that sent nothing in a round is credited with the mean of the good ones that did",
    ],
    params: &[
        Param {
            name: "v",
            kind: POSITIVE,
            default: "1",
            help: "V, the largest distance of an honest gradient from the true one",
        },
        Param {
            name: "T",
            kind: Kind::Count { min: 1, max: 1 << 40 },
            default: "1000",
            help: "steps of the run, for the thresholds",
        },
        Param {
            name: "D",
            kind: POSITIVE,
            default: "1",
            help: "how far the run gets from its start, for the threshold 𝔗_A",
        },
        Param {
            name: "p",
            kind: Kind::Real { min: 1e-12, max: 1.0 },
            default: "0.01",
            help: "probability of ever expelling an honest worker, for the thresholds",
        },
        Param {
            name: "ta", kind: POSITIVE, default: "auto", help: "𝔗_A; auto is the theorem's"
        },
        Param {
            name: "tb", kind: POSITIVE, default: "auto", help: "𝔗_B; auto is the theorem's"
        },
        Param {
            name: "times",
            kind: Kind::Real { min: 1.0, max: 2.0 },
            default: "2",
            help: "how many 𝔗_B a worker's sum may be from B_med",
        },
        Param {
            name: "divide",
            kind: Kind::Choice(&["all", "good"]),
            default: "all",
            help: "what the sum of good gradients is divided by: the number of all rows, or of the good ones",
        },
    ],
    cost: "O(n·d) a step where honest workers cluster, else O(n²·d); n·d floats of memory",
    facts: RuleFacts {
        bound: Bound::majority("Alistarh et al. 2018"),
        // Of a first round. What history adds is tested apart.
        claims: Claims { rotation: true, ..Claims::NONE },
        weights: true,
        excluded: "far from a median, now or before",
        has_memory: true,
        whole_rows: "it keeps sums of whole rows of its own",
        kappa: Kappa::Open("none: it is not a function of the rows alone"),
        ..RuleFacts::RULE
    },
    build,
};

fn build(args: &Args) -> Result<Box<Stage>, SpecError> {
    let real = |name| args.real(name).expect("has a default");
    let (ta, tb) = (args.is_given("ta"), args.is_given("tb"));
    for (name, idle) in [("D", ta), ("T", ta && tb), ("p", ta && tb)] {
        if idle && args.is_given(name) {
            return Err(SpecError::new(format!("{name} is of no use beside given thresholds")));
        }
    }
    let limits = Limits {
        v: real("v"),
        steps: args.count("T").expect("has a default") as f64,
        diameter: real("D"),
        p: real("p"),
        given: [args.real("ta"), args.real("tb")],
        times: real("times"),
    };
    let (start, ids, good, next, along, moved) = Default::default();
    let (squared, row) = Default::default();
    let all = args.text("divide") == "all";
    let sums = Window::new(u64::MAX, f64::NAN);
    Ok(Box::new(Stage::Rule(Box::new(Convex {
        limits,
        all,
        start,
        ids,
        good,
        next,
        along,
        sums,
        moved,
        squared,
        row,
    }))))
}

/// What the thresholds are made of.
#[derive(Clone)]
struct Limits {
    v: f64,
    steps: f64,
    diameter: f64,
    p: f64,
    /// 𝔗_A and 𝔗_B, where they are given.
    given: [Option<f64>; 2],
    times: f64,
}

impl Limits {
    /// 4·V·√(T·ln(16·m·T/p)).
    fn theory(&self, m: usize) -> f64 {
        4.0 * self.v * (self.steps * (16.0 * m as f64 * self.steps / self.p).ln()).sqrt()
    }

    fn a(&self, m: usize) -> f64 {
        self.given[0].unwrap_or_else(|| self.diameter * self.theory(m))
    }

    fn b(&self, m: usize) -> f64 {
        self.given[1].unwrap_or_else(|| self.theory(m))
    }
}

#[derive(Clone)]
struct Convex {
    limits: Limits,
    /// Whether the sum is divided by the number of all rows.
    all: bool,
    /// x₁.
    start: Vec<f32>,
    /// Every worker seen, ascending, whether it is still good, and its Aᵢ and Bᵢ.
    ids: Vec<u32>,
    good: Vec<bool>,
    next: Vec<bool>,
    along: Vec<f64>,
    sums: Window,
    moved: Vec<f32>,
    squared: Vec<f64>,
    row: Vec<f32>,
}

/// The middle of these numbers, of an even number the mean of the two; `sorted` holds them.
fn middle(values: &[f64], sorted: &mut Vec<f64>) -> f64 {
    sorted.clear();
    sorted.extend_from_slice(values);
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len();
    sorted[(n - 1) / 2] / 2.0 + sorted[n / 2] / 2.0
}

impl Convex {
    /// Learns of workers that were not seen before: they start at the median Aᵢ and the mean Bᵢ.
    fn admit(&mut self, rows: Mixed<'_>) {
        let known = |id: u32| self.ids.binary_search(&id).is_ok();
        if (0..rows.n()).all(|i| known(rows.id(i))) {
            return;
        }
        let mut ids = self.ids.clone();
        ids.extend((0..rows.n()).map(|i| rows.id(i)).filter(|&id| !known(id)));
        ids.sort_unstable();
        let from: Vec<_> = ids.iter().map(|id| self.ids.binary_search(id).ok()).collect();
        let mut begin = 0.0;
        if !self.ids.is_empty() {
            begin = middle(&self.along, &mut self.squared);
            self.sums.rearrange(&from, &self.good);
        }
        self.along = from.iter().map(|slot| slot.map_or(begin, |slot| self.along[slot])).collect();
        self.good = from.iter().map(|slot| slot.is_none_or(|slot| self.good[slot])).collect();
        self.ids = ids;
    }

    fn slot(&self, rows: Mixed<'_>, i: usize) -> usize {
        self.ids.binary_search(&rows.id(i)).expect("admitted")
    }

    /// The sum over the good workers' rows into `out`, divided by their number, or by that of all
    /// rows; its weights into the verdict. False where no good worker sent anything.
    fn sum(&self, rows: Mixed<'_>, all: bool, out: &mut [f32], verdict: &mut Verdict) -> bool {
        let n = rows.n();
        verdict.uniform(n, 0.0);
        let good = |i: &usize| self.good[self.slot(rows, *i)];
        let count = (0..n).filter(good).count();
        let divisor = if all { n } else { count };
        (0..n).filter(good).for_each(|i| verdict.weights[i] = 1.0 / divisor as f64);
        combine::combine(rows, &verdict.weights, out);
        count > 0
    }

    /// Adds this step to every Aᵢ and Bᵢ; `mean` in the place of a good worker's missing row.
    fn accumulate(&mut self, round: &Round<'_>, mean: &[f32]) {
        let rows = round.rows;
        self.moved.clear();
        if round.params.len() == rows.d() {
            if self.start.len() != rows.d() {
                self.start = round.params.to_vec();
            }
            self.moved.extend(round.params.iter().zip(&self.start).map(|(x, start)| x - start));
        }
        self.sums.begin(0, self.ids.len(), rows.d());
        let mut next = 0;
        for slot in 0..self.ids.len() {
            let sent = next < rows.n() && rows.id(next) == self.ids[slot];
            if sent || self.good[slot] {
                let row = if sent { rows.row(next, &mut self.row) } else { mean };
                self.sums.add(slot, row, 1.0);
                if !self.moved.is_empty() {
                    self.along[slot] += norms::dot(row, &self.moved);
                }
            }
            next += usize::from(sent);
        }
    }

    /// Sets `next` to good_k; false where there is no median.
    fn judge(&mut self, rows: Mixed<'_>) -> bool {
        let m = self.ids.len();
        self.next.clone_from(&self.good);
        let (centre, most) = (middle(&self.along, &mut self.squared), self.limits.a(m));
        for (keep, along) in self.next.iter_mut().zip(&self.along) {
            *keep &= (along - centre).abs() <= most;
        }
        let (near, far) = (self.limits.b(m), self.limits.times * self.limits.b(m));
        let sums = self.sums.sums();
        let found = (0..m).any(|i| {
            norms::rows_distance2(sums, sums.row(i), &mut self.squared);
            within(&self.squared, near)
        });
        if !found {
            return false;
        }
        for (keep, squared) in self.next.iter_mut().zip(&self.squared) {
            *keep &= *squared <= far * far;
        }
        let n = rows.n();
        let found = (0..n).any(|i| {
            norms::rows_distance2(rows, rows.row(i, &mut self.row), &mut self.squared);
            within(&self.squared, 2.0 * self.limits.v)
        });
        let far = 4.0 * self.limits.v;
        for i in (0..n).filter(|_| found) {
            let slot = self.slot(rows, i);
            self.next[slot] &= self.squared[i] <= far * far;
        }
        found
    }

    /// Who is good after a first round of f64 rows, of which all workers are new.
    fn exact_good(&self, pairs: &[Vec<Wide>]) -> Result<Vec<bool>, &'static str> {
        let n = pairs.len();
        let tb = self.limits.b(n);
        let pairs_of = |near: f64| {
            let limit = Wide::from(near) * Wide::from(near);
            let counts = |far: &&Vec<Wide>| 2 * far.iter().filter(|s| **s <= limit).count() > n;
            pairs.iter().find(counts).ok_or(NO_MEDIAN)
        };
        let mut good = vec![true; n];
        let tests = [(tb, self.limits.times * tb), (2.0 * self.limits.v, 4.0 * self.limits.v)];
        for (near, far) in tests {
            let limit = Wide::from(far) * Wide::from(far);
            good.iter_mut().zip(pairs_of(near)?).for_each(|(keep, s)| *keep &= *s <= limit);
        }
        if good.contains(&true) { Ok(good) } else { Err(NOBODY_LEFT) }
    }
}

/// Whether more than half of these are at most radius².
fn within(squared: &[f64], radius: f64) -> bool {
    2 * squared.iter().filter(|s| **s <= radius * radius).count() > squared.len()
}

impl Rule for Convex {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        let (rows, step) = (round.rows, round.step);
        self.admit(rows);
        if self.sum(rows, false, out, verdict) {
            self.accumulate(round, out);
            let found = self.judge(rows);
            let leaving = (0..self.ids.len()).filter(|&s| self.good[s] && !self.next[s]);
            let leaving: Vec<u32> = leaving.map(|slot| self.ids[slot]).collect();
            if !found {
                verdict.event = Some(NO_MEDIAN.to_owned());
            } else if !self.next.contains(&true) {
                verdict.event = Some(NOBODY_LEFT.to_owned());
            } else if !leaving.is_empty() {
                verdict.event = Some(expelled(step, &leaving));
                std::mem::swap(&mut self.good, &mut self.next);
            }
            self.sum(rows, self.all, out, verdict);
        } else {
            verdict.event = Some("only expelled workers sent anything".to_owned());
        }
        let gone = self.ids.iter().zip(&self.good).filter(|(_, good)| !**good);
        verdict.expelled.extend(gone.map(|(&id, _)| id));
    }

    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        let n = round.n();
        let good = self.exact_good(&exact::pairs(round.rows)).unwrap_or_else(|why| {
            verdict.event = Some(why.to_owned());
            vec![true; n]
        });
        verdict.expelled = (0..n).filter(|&i| !good[i]).map(|i| round.ids[i]).collect();
        if !verdict.expelled.is_empty() {
            verdict.event = Some(expelled(round.step, &verdict.expelled));
        }
        let count = good.iter().filter(|&&good| good).count();
        let parts: Vec<f64> = good.iter().map(|&good| f64::from(u8::from(good))).collect();
        let whole = if self.all { n } else { count };
        Ok(verdict.blend(round.rows, &Blend::weighted(&parts, whole as f64)))
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }

    fn knows_workers(&self) -> bool {
        true
    }

    fn first_round(&self) -> Option<&'static str> {
        Some(
            "it judges workers by sums over the whole run; in a first round alone, by one gradient \
             each",
        )
    }

    fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.put("ids", Value::Integers(self.ids.iter().map(|&id| id.into()).collect()));
        memory.put("good", Value::Integers(self.good.iter().map(|&good| good.into()).collect()));
        memory.put("along", Value::Doubles(self.along.clone()));
        memory.put("start", Value::Floats(self.start.clone()));
        memory.absorb("sums", self.sums.save());
        memory
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let (ids, good) = (memory.integers("ids")?, memory.integers("good")?);
        let along = memory.doubles("along")?;
        if ids.len() != good.len() || ids.len() != along.len() {
            let (a, b, c) = (ids.len(), good.len(), along.len());
            return Err(SpecError::new(format!(
                "memory should hold as many flags and sums as ids; found {a}, {b} and {c}"
            )));
        }
        self.sums.load(&memory.part("sums"))?;
        self.start = memory.floats("start")?.to_vec();
        self.ids = ids.iter().map(|&id| id as u32).collect();
        self.good = good.iter().map(|&good| good != 0).collect();
        self.along = along.to_vec();
        Ok(())
    }
}
