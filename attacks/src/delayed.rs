//! Delayed gradients (Allen-Zhu et al. 2021, §5): each hostile worker sends what it should have
//! sent D steps ago. For sign votes the same with signs.

use crate::{Attack, AttackEntry, AttackFacts, Sees, View};
use std::collections::VecDeque;
use varangian_base::spec::Args;
use varangian_base::{Kind, Memory, Param, RowsMut, SpecError, Value};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "delayed-gradient",
    summary: "each hostile worker sends its own gradient of D steps ago",
    paper: "Allen-Zhu, Ebrahimianghazani, Li & Alistarh, Byzantine-Resilient Non-Convex SGD, ICLR 2021, arXiv 2012.14368, §5",
    differs: &["the paper leaves the first D steps open; honest until then"],
    params: &[Param {
        name: "delay",
        kind: Kind::Count { min: 1, max: usize::MAX },
        default: "1000",
        help: "D; remembers D·f rows",
    }],
    cost: "O(f·d), and memory for D·f rows",
    facts: AttackFacts::remembers(Sees::OWN),
    build: |args| build(args, false),
};

pub(crate) static SIGNS: AttackEntry = AttackEntry {
    name: "stale-signs",
    summary: "sign votes: each hostile worker sends the signs of its own gradient of D steps ago",
    paper: "after Akoun & Meyer, SignSGD: Fault-Tolerance to Blind and Byzantine Adversaries, 2022, arXiv 2202.02085",
    differs: &["honest until step D"],
    params: &[Param {
        name: "delay",
        kind: Kind::Count { min: 1, max: usize::MAX },
        default: "10",
        help: "D; remembers D·f rows",
    }],
    cost: "O(f·d), and memory for D·f rows",
    facts: AttackFacts::remembers(Sees::OWN),
    build: |args| build(args, true),
};

fn build(args: &Args, signs: bool) -> Result<Box<dyn Attack>, SpecError> {
    let delay = args.count("delay").expect("has a default");
    Ok(Box::new(Delayed { delay, signs, past: VecDeque::new() }))
}

#[derive(Clone)]
struct Delayed {
    delay: usize,
    signs: bool,
    /// The hostile workers' own rows of the last `delay` rounds, oldest first, each packed.
    past: VecDeque<Vec<f32>>,
}

impl Attack for Delayed {
    fn forge(&mut self, view: &mut View<'_>, mut out: RowsMut<'_>) {
        let d = view.own.d();
        let mut now = match self.past.len() >= self.delay {
            true => self.past.pop_front().expect("delay is at least 1"),
            false => Vec::new(),
        };
        if now.len() == out.n() * d {
            for (row, old) in out.iter_mut().zip(now.chunks_exact(d)) {
                row.copy_from_slice(old);
            }
        } else {
            crate::none::honest(view, out.reborrow());
        }
        now.clear();
        view.own.iter().for_each(|row| now.extend_from_slice(row));
        self.past.push_back(now);
        if self.signs {
            out.iter_mut().flatten().for_each(|x| *x = crate::sign_votes::sign(*x));
        }
    }

    fn sees(&self) -> Sees {
        Sees::OWN
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }

    fn save(&self) -> Memory {
        let mut memory = Memory::default();
        for (k, rows) in self.past.iter().enumerate() {
            memory.put(&format!("past{k:09}"), Value::Floats(rows.clone()));
        }
        memory
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let rows = memory.values.keys().map(|name| memory.floats(name).map(<[f32]>::to_vec));
        self.past = rows.collect::<Result<_, _>>()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::scene::Scene;

    #[test]
    fn rows_come_back_after_the_delay() {
        let mut gradient = crate::build("delayed-gradient delay=3").unwrap();
        let mut signs = crate::build("stale-signs delay=3").unwrap();
        let own = |step: u64| (0..2).map(move |i| Scene::random(4, 2, 7, step).own.row(i).to_vec());
        for step in 0..8u64 {
            let mut scene = Scene::random(4, 2, 7, step);
            scene.step = step;
            let from = if step < 3 { step } else { step - 3 };
            let wanted: Vec<Vec<f32>> = own(from).collect();
            assert_eq!(scene.forge(gradient.as_mut()), wanted, "step {step}");
            let wanted: Vec<Vec<f32>> =
                wanted.iter().map(|row| row.iter().map(|x| x.signum()).collect()).collect();
            assert_eq!(scene.forge(signs.as_mut()), wanted, "step {step}");
        }
    }
}
