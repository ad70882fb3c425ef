//! BASGD (Yang & Li 2021, algorithm 1): worker w feeds buffer w mod B, which holds a running mean;
//! when every buffer was touched, the B means are aggregated by any rule, and all are emptied.

use crate::{Arrival, Bound, Decision, Filter, FilterEntry, FilterFacts, Pipeline, Round, Verdict};
use varangian_base::{Kind, Matrix, Memory, Param, SpecError, Value};

pub(crate) static ENTRY: FilterEntry = FilterEntry {
    name: "basgd",
    summary: "averages arrivals in B buffers and aggregates the buffers once all are filled",
    paper: "Yang & Li, BASGD: Buffered Asynchronous SGD for Byzantine Learning, ICML 2021, arXiv 2003.00937, algorithm 1",
    differs: &[
        "The paper moves workers to other buffers when one of them stays empty for long; here the assignment is fixed.",
    ],
    params: &[
        Param {
            name: "buffers",
            kind: Kind::Count { min: 1, max: 1 << 20 },
            default: "auto",
            help: "B, 2f < B ≤ n; auto is 2f + 1",
        },
        Param {
            name: "rule",
            kind: Kind::Text,
            default: "median",
            help: "the rule over the B buffers, quoted if it has parameters; it must accept n = B at f",
        },
    ],
    cost: "O(d) an arrival, the rule on B rows a step; B·d memory",
    facts: FilterFacts {
        bound: Bound {
            text: "n ≥ 2f + 1",
            least: |f| 2 * f + 1,
            source: "Yang & Li 2021, definition 2",
        },
        needs_oracle: false,
        needs_stale: false,
        has_memory: true,
    },
    build: |args| {
        let rule = Pipeline::parse_among(args.text("rule"), &args.own())?;
        if rule.needs_oracle() {
            let name = rule.entry().name;
            return Err(SpecError::new(format!(
                "rule={name} needs validation data; basgd has none"
            )));
        }
        let (means, counts, verdict) = Default::default();
        Ok(Box::new(Basgd {
            buffers: args.count("buffers"),
            rule,
            means,
            counts,
            verdict,
            steps: 0,
        }))
    },
};

struct Basgd {
    buffers: Option<usize>,
    rule: Pipeline,
    means: Matrix,
    counts: Vec<u64>,
    verdict: Verdict,
    steps: u64,
}

impl Basgd {
    fn buffers(&self, f: usize) -> usize {
        self.buffers.unwrap_or(2 * f + 1)
    }
}

impl Filter for Basgd {
    fn offer(&mut self, arrival: &mut Arrival<'_>, out: &mut [f32]) -> Decision {
        let buffers = self.buffers(arrival.f);
        if self.counts.len() != buffers {
            self.means.resize(buffers, out.len());
            self.counts = vec![0; buffers];
        }
        let b = arrival.worker as usize % buffers;
        self.counts[b] += 1;
        let (count, mean) = (self.counts[b] as f64, self.means.row_mut(b));
        for (mean, &x) in mean.iter_mut().zip(arrival.gradient) {
            let old = if count > 1.0 { f64::from(*mean) } else { 0.0 };
            *mean = (old + (f64::from(x) - old) / count) as f32;
        }
        if self.counts.contains(&0) {
            return Decision::Hold;
        }
        let mut round = Round::of(self.means.rows(), arrival.f);
        round.step = self.steps;
        (round.seed, round.params) = (arrival.seed, arrival.params);
        round.learning_rate = arrival.learning_rate;
        self.rule.aggregate(&mut round, out, &mut self.verdict);
        self.steps += 1;
        self.counts.fill(0);
        Decision::Step
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(Basgd {
            buffers: self.buffers,
            rule: self.rule.fork(),
            means: self.means.clone(),
            counts: self.counts.clone(),
            verdict: self.verdict.clone(),
            steps: self.steps,
        })
    }

    fn check(&self, n: usize, f: usize) -> Result<(), String> {
        let buffers = self.buffers(f);
        if buffers <= 2 * f || buffers > n {
            return Err(format!("2f < buffers ≤ n; buffers = {buffers}"));
        }
        self.rule
            .check(buffers, f)
            .and_then(|()| self.rule.fits(buffers, f))
            .map_err(|error| format!("a rule over {buffers} buffers: {error}"))
    }

    fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.put("counts", Value::Integers(self.counts.clone()));
        memory.put("steps", Value::Integers(vec![self.steps]));
        let flat = self.means.rows().iter().flatten().copied().collect();
        memory.put("means", Value::Floats(flat));
        memory.absorb("rule", self.rule.save());
        memory
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        self.counts = memory.integers("counts")?.to_vec();
        let steps = memory.integers("steps")?.first().copied();
        self.steps = steps.ok_or_else(|| SpecError::new("memory \"steps\" is empty"))?;
        let (flat, n) = (memory.floats("means")?, self.counts.len());
        let d = flat.len().checked_div(n).unwrap_or(0);
        self.means.resize(n, d);
        for b in 0..n {
            self.means.row_mut(b).copy_from_slice(&flat[b * d..(b + 1) * d]);
        }
        self.rule.load(&memory.part("rule"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::arrival;
    use crate::{Decision, build_filter};

    #[test]
    fn a_step_comes_when_every_buffer_was_touched_and_is_the_rule_over_the_means() {
        let mut filter = build_filter("basgd", 6, 1).unwrap();
        let mut twin = build_filter("basgd", 6, 1).unwrap();
        let mut offer = |worker, g: f32| {
            let (gradient, mut out) = ([g], [0.0]);
            let mut arrival = arrival(&[0.0], &gradient);
            (arrival.n, arrival.f, arrival.worker) = (6, 1, worker);
            twin.load(&filter.save()).unwrap();
            let decision = filter.offer(&mut arrival, &mut out);
            let mut other = [0.0];
            assert_eq!((twin.offer(&mut arrival, &mut other), other), (decision, out));
            (decision, out[0])
        };
        assert_eq!(offer(0, 2.0).0, Decision::Hold);
        assert_eq!(offer(3, 4.0).0, Decision::Hold, "worker 3 shares buffer 0");
        assert_eq!(offer(1, 1e30).0, Decision::Hold);
        assert_eq!(offer(5, 1.0), (Decision::Step, 3.0), "median of 3, 1e30, 1");
        assert_eq!(offer(5, 1.0).0, Decision::Hold, "all were emptied");
    }

    #[test]
    fn too_few_buffers_and_unfit_rules_are_refused() {
        let error = |spec, n, f| build_filter(spec, n, f).err().unwrap().to_string();
        assert_eq!(
            error("basgd buffers=6", 10, 3),
            "basgd needs 2f < buffers ≤ n; buffers = 6; got n = 10, f = 3"
        );
        assert!(error("basgd rule=krum", 10, 3).contains("krum needs n ≥ 2f + 3"));
        assert!(error("basgd rule=zeno", 10, 3).contains("validation data"));
        assert!(build_filter("basgd buffers=9 rule=krum", 10, 3).is_ok());
    }
}
