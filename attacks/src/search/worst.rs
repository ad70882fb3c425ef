//! `worst`: black-box search for the rows that do most harm to the rule in force, each round anew.
//!
//! A candidate splits the hostile workers into up to three groups, each at mean + Σ aₖuₖ over
//! directions against the mean, its signs and the standard deviations, to the honest extremes,
//! along the leading components, the last aggregate, the drift so far, and noise. The search
//! starts from the published attacks (they are points of this space) and from its own last answer,
//! then climbs. For rules that see only distances it works on inner products, so that a candidate
//! costs O(n²).

use super::basis::{Basis, Kind};
use super::climb::{Budget, Plan, climb};
use super::gram::Field;
use crate::trial::{Trial, worker_order};
use crate::write::purpose;
use crate::{Attack, AttackEntry, AttackFacts, Probe, Sees, View};
use varangian_base::kernels::norms;
use varangian_base::spec::Args;
use varangian_base::{Domain, Kind as Takes, Memory, Param, RowsMut, SpecError, Value};

/// What `worst` reads: the rule and all that a rule may react to.
const SEES: Sees = Sees { own: false, honest: true, rule: true, server: true, loss: false };

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "worst",
    summary: "search for the rows that do most harm to the rule in force",
    paper: "own; starts from Baruch et al. 2019, Xie et al. 2019, Shejwalkar & Houmansadr 2021, Karimireddy et al. 2022",
    differs: &[],
    params: &[
        Param {
            name: "budget",
            kind: Takes::Count { min: 1, max: 1_000_000 },
            default: "256",
            help: "trial aggregations a round; for rules that see only distances, 16 times as many trials in Gram space",
        },
        Param {
            name: "objective",
            kind: Takes::Choice(&["distance", "inner-product", "drift", "loss"]),
            default: "distance",
            help: "harm: the distance of aggregate and honest mean; minus their inner product; the distance summed over a horizon; the loss after the step on the samples that the hostile workers drew (on given rows, where there are none, the inner product)",
        },
        Param {
            name: "groups",
            kind: Takes::Count { min: 1, max: 8 },
            default: "3",
            help: "groups of hostile workers that may send different rows",
        },
        Param {
            name: "horizon",
            kind: Takes::Count { min: 1, max: 1_000_000 },
            default: "20",
            help: "rounds over which objective=drift remembers",
        },
        Param {
            name: "probe",
            kind: Takes::Text,
            default: "rule",
            help: "what rows are tried on: rule, the one in force, its coins and memory known; or another, \"nnm | trimmed-mean\", without a memory, with coins of its own: a transferred search, or of the same rule one that does not know its coins",
        },
    ],
    cost: "budget aggregations; for rules that see only distances O((n + K)²·d + budget·n²)",
    facts: AttackFacts::remembers(SEES),
    build,
};

/// Trials in Gram space that count as one aggregation.
const CHEAP: usize = 16;

fn build(args: &Args) -> Result<Box<dyn Attack>, SpecError> {
    let count = |name| args.count(name).expect("has a default");
    let objective = match args.text("objective") {
        "distance" => Objective::Distance,
        "inner-product" => Objective::InnerProduct,
        "drift" => Objective::Drift,
        _ => Objective::Loss,
    };
    if args.is_given("horizon") && objective != Objective::Drift {
        return Err(SpecError::new("horizon needs objective=drift"));
    }
    Ok(Box::new(Worst {
        budget: count("budget"),
        objective,
        groups: count("groups"),
        keep: 1.0 - 1.0 / count("horizon") as f64,
        probe: Some(args.text("probe")).filter(|text| *text != "rule").map(str::to_owned),
        last: Vec::new(),
        drift: Vec::new(),
        basis: Basis::default(),
        trial: Trial::default(),
    }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Objective {
    Distance,
    InnerProduct,
    Drift,
    Loss,
}

#[derive(Clone)]
struct Worst {
    budget: usize,
    objective: Objective,
    groups: usize,
    /// What is kept of the drift from round to round.
    keep: f64,
    /// The rule that rows are tried on, where it is not the one in force.
    probe: Option<String>,
    /// The last answer: (workers, kind, place among the kind, coefficient).
    last: Vec<(usize, Vec<(u8, f64)>)>,
    /// The decayed sum of aggregate − honest mean.
    drift: Vec<f32>,
    basis: Basis,
    trial: Trial,
}

impl Worst {
    /// The harm of an answer, from ‖F − mean‖², ⟨F − mean, mean⟩ and ⟨F − mean, drift⟩.
    fn harm(&self, distance2: f64, with_mean: f64, with_drift: f64) -> f64 {
        match self.objective {
            Objective::Distance => distance2,
            Objective::InnerProduct | Objective::Loss => {
                -with_mean - self.basis.mean_norm * self.basis.mean_norm
            }
            Objective::Drift => distance2 + 2.0 * with_drift,
        }
    }

    /// The harm of `plan`, by a trial aggregation.
    fn aggregate(&self, plan: &Plan, trial: &mut Trial, probe: &mut dyn Probe) -> f64 {
        let mut i = 0;
        for (workers, coefficients) in &plan.groups {
            let first = i;
            self.basis.write(coefficients, trial.row_mut(first));
            for _ in 1..*workers {
                i += 1;
                trial.copy_hostile(first, i);
            }
            i += 1;
        }
        let Some(answer) = trial.answer(probe) else { return f64::NAN };
        if self.objective == Objective::Loss
            && let Some(loss) = probe.loss_after(answer)
        {
            return loss;
        }
        let mean = &self.basis.mean;
        let with_mean = norms::dot(answer, mean) - norms::norm2(mean);
        let with_drift = match self.objective {
            Objective::Drift if !self.drift.is_empty() => {
                norms::dot(answer, &self.drift) - norms::dot(mean, &self.drift)
            }
            _ => 0.0,
        };
        self.harm(norms::distance2(answer, mean), with_mean, with_drift)
    }

    /// The harm of `plan` in Gram space, or `None` if the rule sees more than distances.
    fn weigh(&self, plan: &Plan, field: &mut Field<'_>, probe: &mut dyn Probe) -> Option<f64> {
        let answer = field.answer(plan, probe)?.to_vec();
        let h = self.basis.h;
        let with = |kind: Kind, length: f64| -> f64 {
            let Some(k) = self.basis.kinds.iter().position(|&k| k == kind) else { return 0.0 };
            let mut unit = vec![0.0; answer.len()];
            unit[h + k] = length / self.basis.spread;
            field.inner(&answer, &unit)
        };
        // The direction of the mean is −mean.
        let with_mean = -with(Kind::Mean, self.basis.mean_norm);
        let with_drift = with(Kind::Drift, norms::norm2(&self.drift).sqrt());
        Some(self.harm(field.inner(&answer, &answer), with_mean, with_drift))
    }

    /// The plan to send. `trial` stands ready with the honest rows.
    fn search(&self, view: &mut View<'_>, hostile: usize, trial: &mut Trial) -> Plan {
        let lane = u64::from(purpose::SEARCH) << 32 | u64::from(u32::MAX);
        let mut stream = view.seed.lane(Domain::Attack, view.own.id(0), view.step, lane);
        let (basis, last) = (&self.basis, self.recall(hostile));
        let first = Plan::along(hostile, basis.count(), 0, 1.0);
        let probe = &mut *view.probe;
        let order = worker_order(view.honest, view.own);
        let mut field = Field::new(&self.basis, &order);
        let cheap =
            self.objective != Objective::Loss && self.weigh(&first, &mut field, probe).is_some();
        if !cheap {
            let mut harm = |plan: &Plan| self.aggregate(plan, trial, probe);
            let budget = Budget { evaluations: self.budget, groups: self.groups };
            return climb(basis, hostile, last, budget, &mut stream, &mut harm).0;
        }
        // Rounding to floats may lose what Gram space promised: the best few are tried in earnest.
        let mut few: Vec<(f64, Plan)> = Vec::new();
        let mut harm = |plan: &Plan| {
            let found = self.weigh(plan, &mut field, probe).unwrap_or(f64::NAN);
            if few.last().is_none_or(|(best, _)| found > *best) {
                few.push((found, plan.clone()));
            }
            found
        };
        let evaluations = self.budget.saturating_mul(CHEAP);
        let budget = Budget { evaluations, groups: self.groups };
        climb(basis, hostile, last, budget, &mut stream, &mut harm);
        let tried = few.into_iter().rev().take(4);
        let tried = tried.map(|(_, plan)| (self.aggregate(&plan, trial, probe), plan));
        let best = tried.max_by(|a, b| a.0.total_cmp(&b.0));
        best.map(|(_, plan)| plan).unwrap_or_default()
    }

    /// Remembers a plan by kinds of directions, whose places may differ next round.
    fn remember(&mut self, plan: &Plan) {
        let name = |a: &[f64]| -> Vec<(u8, f64)> {
            let kinds = self.basis.kinds.iter().map(|&kind| kind as u8);
            kinds.zip(a.iter().copied()).filter(|(_, a)| *a != 0.0).collect()
        };
        self.last = plan.groups.iter().map(|(workers, a)| (*workers, name(a))).collect();
    }

    /// The last plan in this round's directions, if it is for as many workers.
    fn recall(&self, hostile: usize) -> Option<Plan> {
        if self.last.iter().map(|(workers, _)| workers).sum::<usize>() != hostile {
            return None;
        }
        let groups = self.last.iter().map(|(workers, named)| {
            let mut coefficients = vec![0.0; self.basis.count()];
            let mut taken = vec![false; self.basis.count()];
            for &(kind, a) in named {
                let place =
                    (0..taken.len()).find(|&k| !taken[k] && self.basis.kinds[k] as u8 == kind);
                if let Some(k) = place {
                    (coefficients[k], taken[k]) = (a, true);
                }
            }
            (*workers, coefficients)
        });
        Some(Plan { groups: groups.collect() })
    }

    /// Adds what this round moved to the drift.
    fn follow(&mut self, trial: &mut Trial, probe: &mut dyn Probe) {
        let keep = self.keep;
        let Some(answer) = trial.answer(probe) else { return };
        self.drift.resize(answer.len(), 0.0);
        for ((sum, &x), &m) in self.drift.iter_mut().zip(answer).zip(&self.basis.mean) {
            *sum = (keep * f64::from(*sum) + f64::from(x - m)) as f32;
        }
    }
}

impl Attack for Worst {
    fn forge(&mut self, view: &mut View<'_>, mut out: RowsMut<'_>) {
        let mut basis = std::mem::take(&mut self.basis);
        basis.build(view, &self.drift, true);
        self.basis = basis;
        let mut trial = std::mem::take(&mut self.trial);
        trial.begin(view);
        let plan = self.search(view, out.n(), &mut trial);
        self.aggregate(&plan, &mut trial, view.probe);
        if self.objective == Objective::Drift {
            self.follow(&mut trial, view.probe);
        }
        for (i, row) in out.iter_mut().enumerate() {
            row.copy_from_slice(trial.row_mut(i));
        }
        self.trial = trial;
        self.remember(&plan);
    }

    fn sees(&self) -> Sees {
        Sees { loss: self.objective == Objective::Loss, ..SEES }
    }

    fn fork(&self) -> Box<dyn Attack> {
        let (basis, trial) = Default::default();
        let (last, probe) = (self.last.clone(), self.probe.clone());
        Box::new(Worst { basis, trial, last, probe, drift: self.drift.clone(), ..*self })
    }

    fn tries(&self) -> Option<&str> {
        self.probe.as_deref()
    }

    fn check(&self, honest: usize, _: usize, _: usize) -> Result<(), String> {
        if honest < 2 { Err("at least 2 honest workers".into()) } else { Ok(()) }
    }

    fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.put("drift", Value::Floats(self.drift.clone()));
        for (g, (workers, named)) in self.last.iter().enumerate() {
            let kinds = named.iter().map(|(kind, _)| u64::from(*kind));
            let kinds = [*workers as u64].into_iter().chain(kinds).collect();
            memory.put(&format!("kinds{g}"), Value::Integers(kinds));
            let values = named.iter().map(|(_, a)| *a).collect();
            memory.put(&format!("coefficients{g}"), Value::Doubles(values));
        }
        memory
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        self.drift = memory.floats("drift")?.to_vec();
        self.last.clear();
        let mut g = 0;
        while let Ok(kinds) = memory.integers(&format!("kinds{g}")) {
            let values = memory.doubles(&format!("coefficients{g}"))?;
            let (workers, kinds) =
                kinds.split_first().ok_or_else(|| SpecError::new("memory \"kinds\" is empty"))?;
            let named = kinds.iter().map(|&kind| kind as u8).zip(values.iter().copied());
            self.last.push((*workers as usize, named.collect()));
            g += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::build;
    use crate::scene::{Rule, Scene};
    use varangian_base::kernels::{combine, norms};

    /// ‖F − mean‖² and −⟨F, mean⟩ when `spec` attacks `rule` on these rows.
    fn harm(spec: &str, rule: Rule, seed: u64) -> (f64, f64) {
        let mut scene = Scene { rule, ..Scene::random(8, 3, 30, seed) };
        let sent = scene.forge(build(spec).unwrap().as_mut());
        let honest: Vec<&[f32]> = (0..8).map(|i| scene.honest.row(i)).collect();
        let hostile: Vec<&[f32]> = sent.iter().map(Vec::as_slice).collect();
        let answer = rule.answer(&honest, &hostile);
        let mut mean = vec![0.0; 30];
        combine::mean(scene.honest.rows(), &mut mean);
        (norms::distance2(&answer, &mean), -norms::dot(&answer, &mean))
    }

    const KNOWN: [&str; 6] =
        ["alie z=1.5", "alie", "ipm epsilon=0.1", "ipm epsilon=10", "min-max", "min-sum"];

    #[test]
    fn nothing_published_does_more_harm() {
        for rule in [Rule::Median, Rule::Krum] {
            for seed in 0..3 {
                let (distance, _) = harm("worst objective=distance", rule, seed);
                let (_, inner) = harm("worst objective=inner-product", rule, seed);
                for known in KNOWN {
                    let (d, i) = harm(known, rule, seed);
                    assert!(distance >= d, "{rule:?} {known}: {distance} < {d}");
                    assert!(inner >= i, "{rule:?} {known}: {inner} < {i}");
                }
            }
        }
    }

    #[test]
    fn gram_space_agrees_with_trials() {
        // Krum answers by distances, BlindKrum is the same rule that does not say so.
        for objective in ["distance", "inner-product"] {
            let spec = format!("worst budget=200 objective={objective}");
            let (a, b) = (harm(&spec, Rule::Krum, 4), harm(&spec, Rule::BlindKrum, 4));
            let (a, b) = if objective == "distance" { (a.0, b.0) } else { (a.1, b.1) };
            assert!(a > b - 0.1 * b.abs(), "{objective}: {a} in Gram space, {b} by trials");
        }
    }

    #[test]
    fn more_budget_never_hurts_much_and_drift_adds_up() {
        let (few, many) = (
            harm("worst budget=20 objective=distance", Rule::Median, 1).0,
            harm("worst budget=600 objective=distance", Rule::Median, 1).0,
        );
        assert!(many >= 0.999 * few, "{few} {many}");
        let mut attack = build("worst budget=60 objective=drift").unwrap();
        let mut sum = vec![0.0f64; 30];
        let mut lengths = 0.0;
        for step in 0..6 {
            let mut scene = Scene { rule: Rule::Median, ..Scene::random(8, 3, 30, 1) };
            scene.step = step;
            let sent = scene.forge(attack.as_mut());
            let honest: Vec<&[f32]> = (0..8).map(|i| scene.honest.row(i)).collect();
            let hostile: Vec<&[f32]> = sent.iter().map(Vec::as_slice).collect();
            let answer = Rule::Median.answer(&honest, &hostile);
            let mut mean = vec![0.0; 30];
            combine::mean(scene.honest.rows(), &mut mean);
            lengths += norms::distance2(&answer, &mean).sqrt();
            sum.iter_mut().zip(answer.iter().zip(&mean)).for_each(|(s, (a, m))| {
                *s += f64::from(a - m);
            });
        }
        let total = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
        assert!(total > 0.8 * lengths, "{total} of {lengths}");
    }
}
