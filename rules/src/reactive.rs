//! Randomised reactive redundancy (Gupta & Vaidya 2019, §4): most steps are plain SGD on
//! everybody's own minibatch; in a step with chance q the workers repeat each other's work, and
//! whoever sent something else than the majority of its group is known to be hostile and left out
//! for good.
//!
//! Workers and server draw the same coin for each step (`sampling = "checked chance=q times=r"`).
//! In a step that is checked, groups of r ≥ 2f + 1 consecutive workers draw one minibatch, and the
//! answer is that of [`draco`](crate::draco): the mean over the groups of what more than f of a
//! group sent, to the bit. In any other step it is the mean over all workers that were not caught.
//! Whom a check catches has lied, so that no honest worker is ever left out; who lies in a share of
//! the steps is caught after 1/q of these on average. With known liars gone, f is lower by as many.
//!
//! Work is repeated in the steps that are checked alone: a worker's message must depend on its
//! minibatch and on the parameters, and on nothing of earlier steps, as momentum at the worker
//! does. The groups must be those of the minibatches in every round, also where f falls because a
//! row was refused: r is best given. `auto` is 2f + 1 of the first round, kept from then on.
//! Dropout and augmentation draw by worker and make honest ones differ too: then no group has a
//! majority, nobody is caught, and the record says so.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let mut rule = build("reactive chance=1", 3, 1).unwrap();
//! let (mut out, mut verdict) = ([0.0], Verdict::default());
//! let rows = Matrix::from_rows(&[[1.0], [1.0], [9.0]]);
//! rule.aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut verdict);
//! assert_eq!((out, &verdict.expelled[..]), ([1.0], &[2][..]));
//! ```

use crate::draco::Draco;
use crate::{
    Bound, Claims, Kappa, Redundancy, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact,
};
use varangian_base::kernels::combine;
use varangian_base::{Kind, Memory, Param, Seed, SpecError, Value};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "reactive",
    summary: "the mean, with a chance a step that work is repeated and liars are caught for good",
    paper: "Gupta & Vaidya, Randomized Reactive Redundancy for Byzantine Fault-Tolerance in Parallelized Learning, 2019, arXiv 1912.09528, §4",
    differs: &[
        "a step that is checked repeats work by r ≥ 2f + 1 at once; the paper repeats by f + 1 to find out whether anybody lies, and by more where somebody does, which takes a second round of messages",
        "the chance is a constant; the paper adapts it to the losses seen too",
    ],
    params: &[
        Param {
            name: "chance",
            kind: Kind::Real { min: 0.0, max: 1.0 },
            default: "0.1",
            help: "q, the chance that a step is checked; that of sampling=\"checked\"",
        },
        Param {
            name: "r",
            kind: Kind::Count { min: 1, max: 1_000_000 },
            default: "auto",
            help: "workers of a group, at least 2f + 1; that of times= in sampling=\"checked\"; auto is 2f + 1 of the first round",
        },
    ],
    cost: "O(n·d), in a step that is checked O(n·r·d) and r gradients for each that counts",
    facts: RuleFacts {
        bound: Bound::majority("Gupta & Vaidya 2019: r ≥ 2f + 1"),
        claims: Claims { scale: true, ..Claims::NONE },
        weights: true,
        excluded: "not what the majority of its group sent, now or before",
        has_memory: true,
        kappa: Kappa::Open("none: a step that is not checked takes the mean of whoever is left"),
        whole_rows: "it asks whether whole rows are equal",
        ..RuleFacts::RULE
    },
    build: |args| {
        let chance = args.real("chance").expect("has a default");
        let draco = Draco::of(args.count("r"));
        let groups = draco.clone();
        Ok(Box::new(Stage::Rule(Box::new(Reactive {
            chance,
            draco,
            groups,
            ..Reactive::default()
        }))))
    },
};

#[derive(Clone, Default)]
struct Reactive {
    chance: f64,
    /// With r as it was given.
    draco: Draco,
    /// With the r that holds.
    groups: Draco,
    /// Who was caught, ascending.
    caught: Vec<u32>,
    /// The places of the rows of all others.
    left: Vec<usize>,
    weights: Vec<f64>,
    rooms: [Vec<f32>; 2],
}

/// What a round came to.
struct Found {
    /// Whether its work was checked.
    checked: bool,
    /// Groups without a majority.
    without: usize,
    /// How many were caught before.
    before: usize,
}

impl Reactive {
    fn is_caught(&self, id: u32) -> bool {
        self.caught.binary_search(&id).is_ok()
    }

    /// Catches who is to be caught, and sets the weights of the n rows.
    fn judge(
        &mut self,
        (n, f): (usize, usize),
        (seed, step): (Seed, u64),
        id: impl Fn(usize) -> u32,
        equal: impl FnMut(usize, usize) -> bool,
    ) -> Found {
        self.groups.r.get_or_insert(2 * f + 1);
        let before = self.caught.len();
        self.left.clear();
        self.left.extend((0..n).filter(|&i| self.caught.binary_search(&id(i)).is_err()));
        self.weights.clear();
        self.weights.resize(n, 0.0);
        let checked = seed.checks(step, self.chance);
        if !checked {
            let each = 1.0 / self.left.len().max(1) as f64;
            self.left.iter().for_each(|&i| self.weights[i] = each);
            return Found { checked, without: 0, before };
        }
        // Of the rows, those of liars that are known are no longer among the f.
        let f = f.saturating_sub(n - self.left.len());
        let without = self.compare(f, &id, equal);
        let groups = self.groups.chosen.len() as f64;
        self.groups.chosen.iter().for_each(|&k| self.weights[self.left[k]] = 1.0 / groups);
        Found { checked, without, before }
    }

    /// Chooses what each group sent, and catches who sent something else. Answers how many groups
    /// have no majority.
    fn compare(
        &mut self,
        f: usize,
        id: &impl Fn(usize) -> u32,
        mut equal: impl FnMut(usize, usize) -> bool,
    ) -> usize {
        let (left, r) = (&self.left, self.groups.r.expect("set in the first round"));
        let without =
            self.groups.choose((left.len(), f), |k| id(left[k]), |a, b| equal(left[a], left[b]));
        let group = |k: usize| id(left[k]) as usize / r;
        for &chosen in &self.groups.chosen {
            let others = (0..left.len()).filter(|&k| group(k) == group(chosen));
            self.caught
                .extend(others.filter(|&k| self.groups.like[k] != chosen).map(|k| id(left[k])));
        }
        self.caught.sort_unstable();
        without
    }

    /// Sets what the round's verdict says.
    fn tell(&self, found: &Found, step: u64, id: impl Fn(usize) -> u32, verdict: &mut Verdict) {
        verdict.weights.clear();
        match found.checked {
            false => verdict.weights.extend_from_slice(&self.weights),
            // A group's weight is shared by the rows that are its gradient.
            true => {
                verdict.weights.resize(self.weights.len(), 0.0);
                let groups = self.groups.chosen.len() as f64;
                for (k, &i) in self.left.iter().enumerate() {
                    let like = self.groups.like[k];
                    if self.groups.chosen.contains(&like) {
                        let copies = self.groups.like.iter().filter(|&&one| one == like).count();
                        verdict.weights[i] = 1.0 / (groups * copies as f64);
                    }
                }
            }
        }
        verdict.expelled.extend_from_slice(&self.caught);
        let mut said = Vec::new();
        if self.caught.len() > found.before {
            let new: Vec<String> = self
                .left
                .iter()
                .map(|&i| id(i))
                .filter(|&id| self.is_caught(id))
                .map(|id| id.to_string())
                .collect();
            said.push(format!("step {step}: caught {}", new.join(", ")));
        }
        if found.without > 0 {
            said.push(format!("{} groups without a majority were left out", found.without));
        }
        if self.left.is_empty() {
            said.push("only workers that were caught sent anything".to_owned());
        }
        verdict.event = (!said.is_empty()).then(|| said.join("; "));
    }
}

impl Rule for Reactive {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        let (rows, n) = (round.rows, round.rows.n());
        let [mut one, mut other] = std::mem::take(&mut self.rooms);
        let equal = |i: usize, j: usize| {
            let (a, b) = (rows.row(i, &mut one), rows.row(j, &mut other));
            a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
        };
        let found = self.judge((n, round.f), (round.seed, round.step), |i| rows.id(i), equal);
        self.rooms = [one, other];
        combine::combine(rows, &self.weights, out);
        self.tell(&found, round.step, |i| rows.id(i), verdict);
    }

    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        let (rows, n) = (round.rows, round.n());
        let equal = |i: usize, j: usize| {
            rows[i].iter().zip(&rows[j]).all(|(a, b)| a.to_bits() == b.to_bits())
        };
        let (mut own, id) = (self.clone(), |i: usize| round.ids[i]);
        let found = own.judge((n, round.f), (round.seed, round.step), id, equal);
        own.tell(&found, round.step, id, verdict);
        let chosen: Vec<usize> = match found.checked {
            true => own.groups.chosen.iter().map(|&k| own.left[k]).collect(),
            false => own.left.clone(),
        };
        match chosen.is_empty() {
            true => Ok(vec![0.0; round.d()]),
            false => Ok(exact::Blend::selection(n, &chosen).of(rows)),
        }
    }

    fn knows_workers(&self) -> bool {
        true
    }

    fn redundancy(&self, f: usize) -> Option<Redundancy> {
        let chance = Some(self.chance);
        self.draco.redundancy(f).map(|redundancy| Redundancy { chance, ..redundancy })
    }

    fn check(&self, n: usize, f: usize) -> Result<(), String> {
        self.draco.check(n, f)
    }

    fn fits(&self, n: usize, f: usize) -> Result<(), String> {
        self.draco.fits(n, f)
    }

    fn first_round(&self) -> Option<&'static str> {
        self.caught.is_empty().then_some("nobody was caught before")
    }

    fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.put("caught", Value::Integers(self.caught.iter().map(|&id| id.into()).collect()));
        memory.put("r", Value::Integers(self.groups.r.iter().map(|&r| r as u64).collect()));
        memory
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        self.caught = memory.integers("caught")?.iter().map(|&id| id as u32).collect();
        self.caught.sort_unstable();
        self.caught.dedup();
        let r = memory.integers("r")?.first().map(|&r| r as usize);
        self.groups.r = self.draco.r.or(r.filter(|&r| r > 0));
        Ok(())
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build;
    use varangian_base::Matrix;

    #[test]
    fn a_check_catches_who_lies_in_it_and_nobody_else() {
        let honest = crate::conformance::families::random(4, 50, 2);
        // Of twenty workers in groups of five, 7 and 13 lie in every third step.
        let mut rule = build("reactive chance=0.5 r=5", 20, 2).unwrap();
        let (mut out, mut verdict) = ([0.0; 50], Verdict::default());
        for step in 0..60 {
            let checked = Seed(4).checks(step, 0.5);
            let mut rows = Matrix::zeros(20, 50);
            (0..20).for_each(|i| {
                let which = if checked { i / 5 } else { i % 4 };
                rows.row_mut(i).copy_from_slice(honest.row(which));
            });
            if step % 3 == 0 {
                [7, 13].iter().for_each(|&i| rows.row_mut(i).fill(-9.0));
            }
            verdict.clear();
            let mut round = Round { step, seed: Seed(4), ..Round::of(rows.rows(), 2) };
            rule.aggregate(&mut round, &mut out, &mut verdict);
            assert!((verdict.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(verdict.expelled.iter().all(|id| [7, 13].contains(id)), "{verdict:?}");
            if checked && step % 3 == 0 {
                assert_eq!(verdict.expelled, [7, 13]);
                assert_eq!(verdict.weights[7] + verdict.weights[13], 0.0);
            }
        }
        assert_eq!(verdict.expelled, [7, 13]);
        let mut other = build("reactive chance=0.5 r=5", 20, 2).unwrap();
        other.load(&rule.save()).unwrap();
        assert!(other.first_round().is_none());
    }
}
