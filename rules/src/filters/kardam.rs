//! Kardam (Damaskinos et al. 2018, §3): an arrival is taken if the loss looks no rougher along it
//! than the other workers say. Two forms: `kardam` and the reduced one that Zeno++'s authors
//! compare with.
//!
//! Full form: a worker's coefficient is K = ‖g − g′‖/‖x − x′‖ over its own last two gradients. (i)
//! The Lipschitz filter rejects K above the (n − f)/n quantile of the workers' latest
//! coefficients, except after n rejections in a row. (ii) The frequency filter sees to it that of
//! any 2f + 1 accepted in a row at least f + 1 are honest, whoever the hostile are: no f workers
//! may own more than f of them, so all 2f + 1 come from different workers. (iii) What passes is
//! dampened by Λ(τ), τ the staleness.
//!
//! Filter (ii) alone rejects at least the share 2f/n of all arrivals of equally fast workers,
//! honest and hostile alike. Yang & Li 2021 measured equal shares of both, 51, 56 and 89 % at f =
//! 3, 8 and 14 of 30 workers, in runs whose model was lost: there gradients vanish, coefficients
//! say nothing, and (ii) decides. While a model learns, (i) does tell −10 times a gradient apart.

use super::scaled;
use crate::{Arrival, Bound, Decision, Filter, FilterEntry, FilterFacts};
use std::collections::{BTreeMap, VecDeque};
use varangian_base::kernels::norms;
use varangian_base::{Kind, Memory, Param, SpecError, Value};

const PAPER: &str = "Damaskinos, El Mhamdi, Guerraoui, Patra & Taziki, Asynchronous Byzantine Machine Learning (the case of SGD), ICML 2018, arXiv 1802.07928, §3";

const fn facts(source: &'static str) -> FilterFacts {
    FilterFacts {
        bound: Bound { text: "n ≥ 3f + 1", least: |f| 3 * f + 1, source },
        needs_oracle: false,
        needs_stale: true,
        has_memory: true,
    }
}

pub(crate) static ENTRY: FilterEntry = FilterEntry {
    name: "kardam",
    summary: "takes arrivals whose empirical Lipschitz coefficient is among the n − f lowest, dampened by staleness",
    paper: PAPER,
    differs: &[
        "A worker's first gradient has no coefficient and passes the Lipschitz filter; so does a gradient at the model of its last one.",
        "With f = 0 the frequency filter, which would reject everyone, is off.",
        "frequency=each is the weaker filter of re-implementations: no single worker owns more than f.",
    ],
    params: &[
        Param {
            name: "dampening",
            kind: Kind::Choice(&["inverse", "exponential", "none"]),
            default: "inverse",
            help: "Λ(τ) = 1/(1 + τ), exp(−0.2·τ) or 1",
        },
        Param {
            name: "frequency",
            kind: Kind::Choice(&["any-f", "each", "none"]),
            default: "any-f",
            help: "no f workers together, no single worker, or anyone may own more than f of 2f + 1 accepted",
        },
    ],
    cost: "O(d) an arrival; 2·n·d memory",
    facts: facts("Damaskinos et al. 2018, §3"),
    build: |args| {
        let dampening = match args.text("dampening") {
            "inverse" => Dampening::Inverse,
            "exponential" => Dampening::Exponential,
            _ => Dampening::None,
        };
        let frequency = match args.text("frequency") {
            "any-f" => Frequency::AnyF,
            "each" => Frequency::Each,
            _ => Frequency::None,
        };
        let (workers, accepted, rejected_in_a_row, sorted) = Default::default();
        Ok(Box::new(Kardam { dampening, frequency, workers, accepted, rejected_in_a_row, sorted }))
    },
};

pub(crate) static REDUCED: FilterEntry = FilterEntry {
    name: "kardam-reduced",
    summary: "the Lipschitz filter alone, against the last accepted gradient, as Zeno++'s authors compare with",
    paper: PAPER,
    differs: &[
        "The form of Zeno++'s authors: K = ‖g − g′‖/‖x − x′‖ with g′ the last accepted gradient of anyone and x′ the current model, against the (n − f)/n quantile of the last accepted coefficients; no frequency filter, no dampening; the first n arrivals pass.",
        "n ≥ f + 1 is enough to run it, so that it can be shown where it fails.",
    ],
    params: &[
        Param {
            name: "slack",
            kind: Kind::Real { min: 0.0, max: 1e6 },
            default: "1",
            help: "factor on the quantile; an earlier version of the authors' code has 1.1",
        },
        Param {
            name: "history",
            kind: Kind::Count { min: 1, max: 1 << 20 },
            default: "auto",
            help: "accepted coefficients kept; auto is 2n",
        },
    ],
    cost: "O(d) an arrival",
    facts: FilterFacts {
        bound: Bound { text: "n ≥ f + 1", least: |f| f + 1, source: "to run it at all" },
        ..facts("")
    },
    build: |args| {
        let (last, before, accepted, sorted) = Default::default();
        let slack = args.real("slack").expect("has a default");
        let history = args.count("history");
        Ok(Box::new(Reduced { slack, history, last, before, accepted, sorted }))
    },
};

#[derive(Clone, Copy)]
enum Dampening {
    Inverse,
    Exponential,
    None,
}

impl Dampening {
    fn at(self, staleness: u64) -> f64 {
        match self {
            Dampening::Inverse => 1.0 / (1.0 + staleness as f64),
            Dampening::Exponential => (-0.2 * staleness as f64).exp(),
            Dampening::None => 1.0,
        }
    }
}

/// Who may own how many of the last 2f + 1 accepted.
#[derive(Clone, Copy)]
enum Frequency {
    AnyF,
    Each,
    None,
}

/// A worker's last gradient, where it was taken, and its latest coefficient.
#[derive(Clone, Default)]
struct Track {
    gradient: Vec<f32>,
    params: Vec<f32>,
    coefficient: Option<f64>,
}

impl Track {
    /// The coefficient of the step from the last gradient to this one, if it has one; remembers
    /// this one.
    fn advance(&mut self, gradient: &[f32], params: &[f32]) -> Option<f64> {
        let known = !self.gradient.is_empty();
        let moved = if known { norms::distance2(params, &self.params).sqrt() } else { 0.0 };
        let coefficient =
            (moved > 0.0).then(|| norms::distance2(gradient, &self.gradient).sqrt() / moved);
        self.gradient.clear();
        self.gradient.extend_from_slice(gradient);
        self.params.clear();
        self.params.extend_from_slice(params);
        self.coefficient = coefficient.or(self.coefficient);
        coefficient
    }

    fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.put("gradient", Value::Floats(self.gradient.clone()));
        memory.put("params", Value::Floats(self.params.clone()));
        memory.put("coefficient", Value::Doubles(self.coefficient.into_iter().collect()));
        memory
    }

    fn load(memory: &Memory) -> Result<Self, SpecError> {
        Ok(Track {
            gradient: memory.floats("gradient")?.to_vec(),
            params: memory.floats("params")?.to_vec(),
            coefficient: memory.doubles("coefficient")?.first().copied(),
        })
    }
}

#[derive(Clone)]
struct Kardam {
    dampening: Dampening,
    frequency: Frequency,
    workers: BTreeMap<u32, Track>,
    /// Who sent the last 2f accepted, oldest first.
    accepted: VecDeque<u32>,
    rejected_in_a_row: usize,
    sorted: Vec<f64>,
}

/// The `share` quantile of `values`: the smallest one that at least that share does not exceed.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

impl Kardam {
    fn is_smooth(&mut self, arrival: &Arrival<'_>) -> bool {
        let at = arrival.stale.unwrap_or(arrival.params);
        let track = self.workers.entry(arrival.worker).or_default();
        let Some(coefficient) = track.advance(arrival.gradient, at) else {
            return true;
        };
        if self.rejected_in_a_row >= arrival.n {
            return true;
        }
        self.sorted.clear();
        self.sorted.extend(self.workers.values().filter_map(|track| track.coefficient));
        let share = (arrival.n - arrival.f) as f64 / arrival.n as f64;
        coefficient <= quantile(&mut self.sorted, share)
    }

    /// Whether the worker would own, or help f workers to own, more than f of 2f + 1 accepted.
    fn is_too_frequent(&self, arrival: &Arrival<'_>) -> bool {
        let f = arrival.f;
        let own = self.accepted.iter().rev().take(2 * f).filter(|&&w| w == arrival.worker).count();
        match self.frequency {
            Frequency::AnyF => own > 0,
            Frequency::Each => f > 0 && own + 1 > f,
            Frequency::None => false,
        }
    }
}

impl Filter for Kardam {
    fn offer(&mut self, arrival: &mut Arrival<'_>, out: &mut [f32]) -> Decision {
        if !self.is_smooth(arrival) {
            self.rejected_in_a_row += 1;
            return Decision::Reject("its Lipschitz coefficient is too large");
        }
        if self.is_too_frequent(arrival) {
            self.rejected_in_a_row += 1;
            return Decision::Reject("it was accepted too often of late");
        }
        self.rejected_in_a_row = 0;
        self.accepted.push_back(arrival.worker);
        while self.accepted.len() > 2 * arrival.f {
            self.accepted.pop_front();
        }
        scaled(arrival.gradient, self.dampening.at(arrival.staleness()), out);
        Decision::Step
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }

    fn save(&self) -> Memory {
        let mut memory = Memory::default();
        let integers = |workers: &mut dyn Iterator<Item = u32>| {
            Value::Integers(workers.map(u64::from).collect())
        };
        memory.put("workers", integers(&mut self.workers.keys().copied()));
        memory.put("accepted", integers(&mut self.accepted.iter().copied()));
        memory.put("rejected", Value::Integers(vec![self.rejected_in_a_row as u64]));
        for (worker, track) in &self.workers {
            memory.absorb(&format!("worker-{worker}"), track.save());
        }
        memory
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let [rejected] = memory.integers("rejected")? else {
            return Err(SpecError::new("memory \"rejected\" should hold one number"));
        };
        self.rejected_in_a_row = *rejected as usize;
        self.accepted = memory.integers("accepted")?.iter().map(|&w| w as u32).collect();
        self.workers.clear();
        for &worker in memory.integers("workers")? {
            let track = Track::load(&memory.part(&format!("worker-{worker}")))?;
            self.workers.insert(worker as u32, track);
        }
        Ok(())
    }
}

#[derive(Clone)]
struct Reduced {
    slack: f64,
    history: Option<usize>,
    /// The last accepted gradient.
    last: Vec<f32>,
    /// The model before the last accepted step.
    before: Vec<f32>,
    accepted: VecDeque<f64>,
    sorted: Vec<f64>,
}

/// The coefficient that the authors give to the first n arrivals.
const UNKNOWN: f64 = 99_999.0;

impl Reduced {
    fn coefficient(&self, arrival: &Arrival<'_>) -> f64 {
        let used = arrival.stale.unwrap_or(arrival.params);
        let fresh = arrival.version == arrival.now;
        let other = if fresh { &self.before[..] } else { arrival.params };
        let moved = norms::distance2(used, other).sqrt();
        norms::distance2(arrival.gradient, &self.last).sqrt() / moved
    }
}

impl Filter for Reduced {
    fn offer(&mut self, arrival: &mut Arrival<'_>, out: &mut [f32]) -> Decision {
        let n = arrival.n;
        let coefficient = if self.accepted.len() < n { UNKNOWN } else { self.coefficient(arrival) };
        if self.accepted.len() >= n {
            self.sorted.clear();
            self.sorted.extend(&self.accepted);
            let share = (n - arrival.f) as f64 / n as f64;
            let limit = self.slack * quantile(&mut self.sorted, share);
            if coefficient.is_nan() || coefficient > limit {
                return Decision::Reject("its Lipschitz coefficient is too large");
            }
        }
        self.accepted.push_back(coefficient);
        while self.accepted.len() > self.history.unwrap_or(2 * n).max(n) {
            self.accepted.pop_front();
        }
        for (kept, new) in [(&mut self.last, arrival.gradient), (&mut self.before, arrival.params)]
        {
            kept.clear();
            kept.extend_from_slice(new);
        }
        out.copy_from_slice(arrival.gradient);
        Decision::Step
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }

    fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.put("last", Value::Floats(self.last.clone()));
        memory.put("before", Value::Floats(self.before.clone()));
        memory.put("accepted", Value::Doubles(self.accepted.iter().copied().collect()));
        memory
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        self.last = memory.floats("last")?.to_vec();
        self.before = memory.floats("before")?.to_vec();
        self.accepted = memory.doubles("accepted")?.iter().copied().collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::arrival;
    use super::*;
    use crate::build_filter;
    use varangian_base::{Domain, Seed};

    #[test]
    fn quantiles_are_order_statistics() {
        let mut values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(
            [0.0, 0.2, 0.5, 0.6, 1.0].map(|share| quantile(&mut values, share)),
            [1.0, 1.0, 3.0, 3.0, 5.0]
        );
    }

    #[test]
    fn a_rough_gradient_is_rejected_a_frequent_worker_too_and_staleness_dampens() {
        let mut filter = build_filter("kardam", 4, 1).unwrap();
        let mut offer = |worker, x: f32, g: f32, age: u64| {
            let (params, gradient) = ([x], [g]);
            let mut arrival = arrival(&params, &gradient);
            (arrival.n, arrival.f, arrival.worker) = (4, 1, worker);
            arrival.now = age;
            let mut out = [0.0];
            (filter.offer(&mut arrival, &mut out), out[0])
        };
        for worker in 0..4 {
            assert_eq!(offer(worker, 0.0, 0.0, 0), (Decision::Step, 0.0));
        }
        for worker in 0..3 {
            assert_eq!(offer(worker, 1.0, 1.0, 0), (Decision::Step, 1.0));
        }
        // K = 9 against the third of {1, 1, 1, 9}.
        let rough = Decision::Reject("its Lipschitz coefficient is too large");
        assert_eq!(offer(3, 1.0, 9.0, 0).0, rough);
        let frequent = Decision::Reject("it was accepted too often of late");
        assert_eq!(offer(2, 2.0, 2.0, 0).0, frequent, "one of the last three is the limit");
        assert_eq!(offer(0, 2.0, 2.0, 3), (Decision::Step, 0.5), "Λ(3) = ¼");
    }

    #[test]
    fn who_is_rejected_as_often_as_there_are_workers_is_taken() {
        let mut filter = build_filter("kardam", 4, 1).unwrap();
        let mut offer = |worker, x: f32, g: f32| {
            let (params, gradient) = ([x], [g]);
            let mut arrival = arrival(&params, &gradient);
            (arrival.n, arrival.f, arrival.worker) = (4, 1, worker);
            filter.offer(&mut arrival, &mut [0.0])
        };
        (0..4).for_each(|worker| assert_eq!(offer(worker, 0.0, 0.0), Decision::Step));
        (0..3).for_each(|worker| assert_eq!(offer(worker, 1.0, 1.0), Decision::Step));
        // K = 9 each time against the third of {1, 1, 1, 9}.
        for k in 1..=4 {
            let decision = offer(3, k as f32, 9.0 * k as f32);
            assert!(matches!(decision, Decision::Reject(_)), "{k}");
        }
        assert_eq!(offer(3, 5.0, 45.0), Decision::Step);
        assert!(matches!(offer(3, 6.0, 54.0), Decision::Reject(_)), "counted anew");
    }

    /// 30 workers on a bowl of this `slope`, with noise of the same size, three of which send −10
    /// times their gradient (the comparison in Yang & Li 2021): rejected shares of honest and of
    /// hostile arrivals. f = 14 is told to the filter against its bound, as there.
    fn rejected(f: usize, slope: f32, steps: u64) -> (f64, f64) {
        let (n, d) = (30u32, 60);
        let mut filter = build_filter("kardam", n as usize, f.min(9)).unwrap();
        let mut models = vec![vec![1.0f32; d]];
        let mut counts = [[0u64; 2]; 2];
        let mut out = vec![0.0; d];
        for t in 0..steps {
            let mut stream = Seed(3).stream(Domain::Test, 0, t);
            let worker = stream.below(n as usize) as u32;
            let age = stream.below(models.len().min(10));
            let stale = models[models.len() - 1 - age].clone();
            let scale = slope * if worker < 3 { -10.0 } else { 1.0 };
            let noisy = stale.iter().map(|&x| scale * (x + stream.normal() as f32));
            let gradient: Vec<f32> = noisy.collect();
            let now = models.len() as u64 - 1;
            let params = models.last().unwrap().clone();
            let mut arrival = arrival(&params, &gradient);
            (arrival.n, arrival.f, arrival.worker) = (n as usize, f, worker);
            (arrival.now, arrival.version) = (now, now - age as u64);
            arrival.stale = Some(&stale);
            let decision = filter.offer(&mut arrival, &mut out);
            let count = &mut counts[usize::from(worker < 3)];
            count[1] += 1;
            if decision == Decision::Step {
                // The model's walk is kept bounded: what matters is who is rejected.
                let next = params.iter().zip(&out).map(|(x, g)| (x - 0.01 * g).clamp(-9.0, 9.0));
                models.push(next.collect());
            } else {
                count[0] += 1;
            }
        }
        let share = |[no, all]: [u64; 2]| no as f64 / all as f64;
        (share(counts[0]), share(counts[1]))
    }

    /// Published: 51.1 % and 51.1 % at f = 3, 56.5 % and 56.4 % at f = 8, 89.1 % and 89.1 % at
    /// f = 14, after the model was lost. Here equal too, at 2f/n; 51.1 % at f = 3 is not explained.
    #[test]
    fn once_the_model_is_lost_honest_and_hostile_arrivals_are_rejected_alike() {
        for f in [3, 8, 14] {
            let (honest, hostile) = rejected(f, 0.0, 6_000);
            assert!((honest - hostile).abs() < 0.04, "f = {f}: {honest} {hostile}");
            let share = 2.0 * f as f64 / 30.0;
            assert!((honest - share).abs() < 0.03, "2f/n = {share}: {honest}");
        }
    }

    /// Not what was published: the Lipschitz filter works until so few pass that (ii) decides.
    #[test]
    fn while_a_model_learns_the_hostile_are_rejected_more_often_unless_frequency_decides() {
        let (honest, hostile) = rejected(14, 1.0, 6_000);
        assert!((honest - hostile).abs() < 0.02 && honest > 0.85, "{honest} {hostile}");
        let (honest, hostile) = rejected(8, 1.0, 6_000);
        assert!(hostile > honest + 0.1 && honest > 0.5, "{honest} {hostile}");
    }

    #[test]
    fn the_reduced_form_passes_the_first_n_and_then_rejects_nearly_all() {
        let mut filter = build_filter("kardam-reduced", 10, 4).unwrap();
        let mut stream = Seed(4).stream(Domain::Test, 0, 0);
        let mut passed = Vec::new();
        let mut params = vec![1.0f32; 20];
        for t in 0..100 {
            let gradient: Vec<f32> = params.iter().map(|x| x + stream.normal() as f32).collect();
            let stale: Vec<f32> = params.iter().map(|x| x + 0.1).collect();
            let mut arrival = arrival(&params, &gradient);
            (arrival.now, arrival.version, arrival.f) = (t + 1, t, 4);
            arrival.stale = Some(&stale);
            let mut out = vec![0.0; 20];
            passed.push(filter.offer(&mut arrival, &mut out) == Decision::Step);
            if *passed.last().unwrap() {
                params.iter_mut().zip(&out).for_each(|(x, g)| *x -= 0.01 * g);
            }
        }
        assert!(passed[..10].iter().all(|&p| p), "the first n pass unseen");
        let later = passed[30..].iter().filter(|&&p| p).count();
        assert!((1..60).contains(&later), "{later} of 70");
    }
}
