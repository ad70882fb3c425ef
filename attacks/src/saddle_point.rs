//! The saddle-point attack (Yin, Chen, Ramchandran & Bartlett 2019, §1 and §3): where honest
//! gradients are short, hostile rows make the aggregate that of a bowl, so that a saddle looks like
//! a minimum to whoever descends by it.
//!
//! With x₀ the point to be held at and t = κ·(x − x₀), the gradient of κ·‖x − x₀‖²/2, every hostile
//! worker sends t + c·(t − mean) of the honest rows. c = 0 is t itself, which a median answers as
//! soon as it can; c = h/f brings the plain mean of all rows to t. Unless it is given, c is that of
//! eight candidates whose answer by the rule is nearest to t.

use crate::trial::Trial;
use crate::write::{colluders, scaled_mean};
use crate::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian_base::kernels::norms;
use varangian_base::{Kind, Memory, Param, RowsMut, SpecError, Value};

const SEES: Sees = Sees { rule: true, ..Sees::HONEST };

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "saddle-point",
    summary: "a fake minimum: the aggregate is drawn to that of a bowl around a saddle",
    paper: "Yin, Chen, Ramchandran & Bartlett, Defending Against Saddle Point Attack in Byzantine-Robust Distributed Learning, ICML 2019, arXiv 1806.05358, §1 and §3",
    differs: &[
        "the full text was not at hand: it describes what the aggregate becomes, what rows make it so is ours",
        "the saddle is where the run starts, or where honest gradients are first short (below)",
    ],
    params: &[
        Param {
            name: "pull",
            kind: Kind::Real { min: 0.0, max: 1e6 },
            default: "0.1",
            help: "κ, the curvature of the bowl",
        },
        Param {
            name: "below",
            kind: Kind::Real { min: 0.0, max: 1e30 },
            default: "auto",
            help: "honest until the mean of the honest rows is at most so long, which is where x₀ is; auto: x₀ is where the run starts",
        },
        Param {
            name: "push",
            kind: Kind::Real { min: 0.0, max: 1e6 },
            default: "auto",
            help: "c; auto tries 0 and seven multiples of h/f from 1/8 to 8 on the rule",
        },
    ],
    cost: "O(n·d) and 8 aggregations; with push O(n·d)",
    facts: AttackFacts::remembers(SEES),
    build: |args| {
        let pull = args.real("pull").expect("has a default");
        let (below, push) = (args.real("below"), args.real("push"));
        let (held, mean, trial) = Default::default();
        Ok(Box::new(SaddlePoint { pull, below, push, held, mean, trial }))
    },
};

/// What h/f is multiplied by, beside 0.
const MULTIPLES: [f64; 7] = [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0];

#[derive(Clone)]
struct SaddlePoint {
    pull: f64,
    below: Option<f64>,
    push: Option<f64>,
    /// x₀, once it is known; else empty.
    held: Vec<f32>,
    mean: Vec<f32>,
    trial: Trial,
}

/// t + c·(t − mean) of one coordinate, within what a float holds.
fn sent(target: f64, c: f64, mean: f32) -> f32 {
    let most = f64::from(f32::MAX);
    (target + c * (target - f64::from(mean))).clamp(-most, most) as f32
}

impl SaddlePoint {
    /// Whether x₀ is known, at the latest now.
    fn holds(&mut self, view: &View<'_>) -> bool {
        if self.held.is_empty() {
            let short = |below: f64| norms::norm2(&self.mean) <= below * below;
            if !self.below.is_none_or(short) {
                return false;
            }
            self.held = view.params.to_vec();
        }
        true
    }

    /// c, by trying candidates on the rule where it is not given.
    fn chosen(&mut self, view: &mut View<'_>) -> f64 {
        if let Some(push) = self.push {
            return push;
        }
        let SaddlePoint { pull, held, mean, trial, .. } = self;
        let target = |k: usize| *pull * (f64::from(view.params[k]) - f64::from(held[k]));
        let ratio = view.honest.n() as f64 / view.own.n() as f64;
        trial.begin(view);
        let (mut best, mut nearest) = (0.0, f64::INFINITY);
        for c in std::iter::once(0.0).chain(MULTIPLES.map(|multiple| multiple * ratio)) {
            trial.colluders(|row| {
                let slots = row.iter_mut().zip(&*mean).enumerate();
                slots.for_each(|(k, (x, &mean))| *x = sent(target(k), c, mean));
            });
            let Some(answer) = trial.answer(view.probe) else { continue };
            let off = answer.iter().enumerate().map(|(k, &a)| (f64::from(a) - target(k)).powi(2));
            let off = off.sum::<f64>();
            if off < nearest {
                (best, nearest) = (c, off);
            }
        }
        best
    }
}

impl Attack for SaddlePoint {
    fn forge(&mut self, view: &mut View<'_>, out: RowsMut<'_>) {
        self.mean.resize(view.honest.d(), 0.0);
        scaled_mean(view.honest, 1.0, &mut self.mean);
        if !self.holds(view) {
            return crate::none::honest(view, out);
        }
        let c = self.chosen(view);
        let (params, held, mean, pull) = (view.params, &self.held, &self.mean, self.pull);
        colluders(out, |range, part| {
            let points = params[range.clone()].iter().zip(&held[range.clone()]);
            for ((x, (&at, &held)), &mean) in part.iter_mut().zip(points).zip(&mean[range]) {
                *x = sent(pull * (f64::from(at) - f64::from(held)), c, mean);
            }
        });
    }

    fn sees(&self) -> Sees {
        Sees { own: self.below.is_some(), rule: self.push.is_none(), ..SEES }
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }

    fn check(&self, honest: usize, _: usize, _: usize) -> Result<(), String> {
        if honest == 0 { Err("at least 1 honest worker".into()) } else { Ok(()) }
    }

    fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.put("held", Value::Floats(self.held.clone()));
        memory
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        self.held = memory.floats("held")?.to_vec();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::build;
    use crate::scene::{Rule, Scene, close};

    /// Two rounds of h = 6 and f = 3: at x₀ = 0, then at (1, −2).
    fn second_round(text: &str, rule: Rule) -> (Scene, Vec<Vec<f32>>) {
        let mut attack = build(text).unwrap();
        let mut scene = Scene { rule, ..Scene::random(6, 3, 2, 7) };
        scene.params = vec![0.0; 2];
        scene.forge(attack.as_mut());
        scene.params = vec![1.0, -2.0];
        let sent = scene.forge(attack.as_mut());
        (scene, sent)
    }

    fn answer(scene: &Scene, sent: &[Vec<f32>], rule: Rule) -> Vec<f32> {
        let honest = scene.honest.rows();
        let honest: Vec<&[f32]> = (0..honest.n()).map(|i| honest.row(i)).collect();
        let sent: Vec<&[f32]> = sent.iter().map(Vec::as_slice).collect();
        rule.answer(&honest, &sent)
    }

    #[test]
    fn the_mean_of_all_rows_becomes_the_slope_of_the_bowl() {
        for text in ["saddle-point pull=0.5 push=2", "saddle-point pull=0.5"] {
            let (scene, sent) = second_round(text, Rule::Average);
            close(&answer(&scene, &sent, Rule::Average), &[0.5, -1.0]);
        }
    }

    #[test]
    fn a_median_within_reach_answers_the_slope_and_one_beyond_is_drawn_towards_it() {
        let (scene, sent) = second_round("saddle-point pull=0 push=0", Rule::None);
        assert!(sent.iter().flatten().all(|&x| x == 0.0), "the target itself");
        let (found, honest) = (answer(&scene, &sent, Rule::Median), scene.honest.rows());
        for (k, &x) in found.iter().enumerate() {
            let below = (0..6).filter(|&i| honest.row(i)[k] < 0.0).count();
            // Of nine, the fifth: 0 wherever at most four are on either side of it.
            assert_eq!(x == 0.0, (2..=4).contains(&below), "{below} of 6 below: {x}");
        }
    }

    #[test]
    fn it_waits_until_honest_rows_are_short() {
        let mut attack = build("saddle-point below=1 push=0 pull=1").unwrap();
        let own: &[&[f32]] = &[&[5.0, 6.0]];
        let mut scene = Scene::of(&[&[2.0, 0.0], &[2.0, 0.0]], own);
        assert_eq!(scene.forge(attack.as_mut()), own);
        scene.params = vec![3.0, 4.0];
        scene.honest = varangian_base::Matrix::from_rows(&[[0.5, 0.0], [0.5, 0.0]]);
        assert_eq!(scene.forge(attack.as_mut()), [[0.0, 0.0]]);
        scene.params = vec![4.0, 2.0];
        assert_eq!(scene.forge(attack.as_mut()), [[1.0, -2.0]]);
    }
}
