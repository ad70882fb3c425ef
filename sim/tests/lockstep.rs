//! The round as a whole: momentum identities, refusals, determinism, resumption.

mod common;

use common::{Bowl, Points, plan};
use std::sync::Arc;
use varangian_attacks::{Attack, View};
use varangian_base::RowsMut;
use varangian_learn::optim::{
    Clip, ClipMode, Momentum, Optimiser, Placement, Regulariser, Schedule,
};
use varangian_rules::Effort;
use varangian_sim::lockstep::Lockstep;
use varangian_sim::{Advance, Course, Hostile, Plan};
use varangian_train::{COLUMNS, NonFinite, Reason};

fn optimiser(placement: Placement, mu: f64, nesterov: bool) -> Optimiser {
    let momentum = Momentum { coefficient: mu, dampening: 0.0, nesterov, placement };
    Optimiser { momentum, ..Optimiser::sgd(0.1) }
}

fn after(plan: Plan, steps: u64) -> Vec<f32> {
    let mut run = Lockstep::new(plan).unwrap();
    for _ in 0..steps {
        run.step();
    }
    run.params().to_vec()
}

fn gap(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn with_a_linear_rule_momentum_is_the_same_wherever_it_lives() {
    let at = |placement| after(plan("average", "none", 7, 0, optimiser(placement, 0.9, false)), 50);
    let update = at(Placement::Update);
    assert!(gap(&update, &at(Placement::Worker)) < 1e-5);
    assert!(gap(&update, &at(Placement::Server)) < 1e-5);
}

#[test]
fn a_translation_equivariant_rule_gives_server_momentum_its_own_recursion() {
    // m_i = g_i + μ·A₋₁ and F(X + c) = F(X) + c give A = F(G) + μ·A₋₁: the update recursion.
    let at =
        |rule, placement| after(plan(rule, "none", 7, 2, optimiser(placement, 0.9, false)), 50);
    for rule in ["median", "trimmed-mean", "krum"] {
        assert!(gap(&at(rule, Placement::Update), &at(rule, Placement::Server)) < 1e-4, "{rule}");
    }
}

#[test]
fn without_momentum_all_placements_are_bit_equal() {
    let at = |placement| after(plan("median", "none", 7, 2, optimiser(placement, 0.0, false)), 20);
    assert_eq!(at(Placement::Update), at(Placement::Worker));
    assert_eq!(at(Placement::Update), at(Placement::Server));
}

#[test]
fn nesterov_on_a_quadratic_follows_its_recursion() {
    for placement in [Placement::Update, Placement::Worker] {
        let mut plan = plan("average", "none", 1, 0, optimiser(placement, 0.9, true));
        plan.model = Arc::new(Bowl::new(0.5, &[2.0]));
        let origin = Arc::new(Points { d: 1, points: vec![0.0; 100] });
        (plan.train, plan.test) = (origin.clone(), origin);
        let (mut theta, mut v) = (2.0f64, 0.0f64);
        for _ in 0..30 {
            v = 0.9 * v + 0.5 * (theta - 0.9 * 0.1 * v);
            theta -= 0.1 * v;
        }
        let found = after(plan, 30)[0];
        assert!((f64::from(found) - theta).abs() < 1e-5, "{placement:?}: {found} {theta}");
    }
}

#[test]
fn decoupled_decay_alone_shrinks_geometrically() {
    let mut optimiser = Optimiser { weight_decay: 0.5, ..Optimiser::sgd(0.1) };
    optimiser.clip = Some(Clip { bound: 1e-30, mode: ClipMode::Rescale });
    let found = after(plan("average", "none", 3, 0, optimiser), 10);
    let expected = -3.0 * 0.95f32.powi(10);
    assert!((found[0] - expected).abs() < 1e-5, "{} {expected}", found[0]);
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads_nor_on_a_pause() {
    let fresh = || {
        let mut optimiser = optimiser(Placement::Worker, 0.9, false);
        optimiser.regulariser = Regulariser::HalfSquared(1e-3);
        optimiser.schedule = Schedule::parse("inverse time=10").unwrap();
        plan("multi-krum", "sign-flip scale=3", 11, 4, optimiser)
    };
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| after(fresh(), 30))
    };
    let one = with(1);
    assert_eq!(one, with(2));
    assert_eq!(one, with(8));
    let mut first = Lockstep::new(fresh()).unwrap();
    for _ in 0..12 {
        first.step();
    }
    let saved = first.save();
    let mut second = Lockstep::new(fresh()).unwrap();
    second.load(&saved).unwrap();
    assert_eq!(second.server().step(), 12);
    for _ in 12..30 {
        second.step();
    }
    assert_eq!(one, second.params());
}

#[test]
fn any_workers_may_be_hostile() {
    for hostile in [Hostile::Last, Hostile::First, Hostile::Random] {
        let mut plan = plan("trimmed-mean", "sign-flip", 9, 3, Optimiser::sgd(0.1));
        plan.hostile = hostile;
        let ids = plan.hostile_ids();
        assert_eq!(ids.len(), 3);
        let mut run = Lockstep::new(plan).unwrap();
        let record = run.step();
        assert_eq!(record.hostile, ids);
        assert_eq!(record.closed.ids, (0..9).collect::<Vec<u32>>());
        assert!(run.params().iter().all(|x| x.is_finite()));
    }
}

#[derive(Clone)]
struct Poison(usize);

impl Attack for Poison {
    fn forge(&mut self, _: &mut View<'_>, mut out: RowsMut<'_>) {
        for i in 0..out.n() {
            out.row_mut(i).fill(if i < self.0 { f32::NAN } else { 1.0 });
        }
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }
}

#[test]
fn rows_that_are_not_finite_are_refused_and_counted_against_f() {
    let mut plan = plan("krum", "none", 11, 4, Optimiser::sgd(0.1));
    plan.attack = Box::new(Poison(3));
    let mut run = Lockstep::new(plan).unwrap();
    let record = run.step();
    assert_eq!((record.closed.n, record.closed.f), (8, 1));
    let refused: Vec<u32> = record.closed.refused.iter().map(|refusal| refusal.worker).collect();
    assert_eq!(refused, [7, 8, 9]);
    assert!(record.closed.skipped.is_none());
    assert_eq!(run.server().intake().counts()[&(Reason::NotFinite, 8)], 1);
    assert!(run.params().iter().all(|x| x.is_finite()));
}

#[test]
fn a_row_that_is_not_finite_may_cost_the_round() {
    let mut plan = plan("average", "none", 11, 4, Optimiser::sgd(0.1));
    plan.attack = Box::new(Poison(3));
    plan.non_finite = NonFinite::SkipRound;
    let mut run = Lockstep::new(plan).unwrap();
    let before = run.params().to_vec();
    let record = run.step();
    let why = record.closed.skipped.as_deref().unwrap();
    assert!(why.starts_with("non_finite=skip-round: 3 rows are not finite"), "{why}");
    assert!(why.contains("the first of worker 7"), "{why}");
    assert_eq!(record.closed.refused.len(), 3);
    assert_eq!(run.params(), before);
    let skip = |plan: Plan| Plan { non_finite: NonFinite::SkipRound, ..plan };
    let calm = || common::plan("krum", "alie", 11, 4, Optimiser::sgd(0.1));
    assert_eq!(after(skip(calm()), 20), after(calm(), 20), "finite rows cost nothing");
}

#[test]
fn a_step_without_enough_rows_is_skipped_and_says_so() {
    let mut plan = plan("krum", "none", 9, 1, Optimiser::sgd(0.1));
    plan.f_real = 5;
    plan.attack = Box::new(Poison(5));
    let mut run = Lockstep::new(plan).unwrap();
    let before = run.params().to_vec();
    let record = run.step();
    assert_eq!((record.closed.n, record.closed.f), (4, 0));
    assert!(record.closed.skipped.is_none(), "krum takes n = 4 at f = 0");
    assert_ne!(before, run.params());
    let mut plan = plan_of_two();
    plan.attack = Box::new(Poison(5));
    let mut run = Lockstep::new(plan).unwrap();
    let before = run.params().to_vec();
    let skipped = run.step().closed.skipped.clone().unwrap();
    assert!(skipped.contains("krum needs n ≥ 2f + 3; got n = 2, f = 0"), "{skipped}");
    assert_eq!(before, run.params());
}

fn plan_of_two() -> Plan {
    let mut plan = plan("krum", "none", 7, 1, Optimiser::sgd(0.1));
    plan.f_real = 5;
    plan
}

#[test]
fn a_course_begins_the_run_that_its_driver_is() {
    let fresh = || plan("krum", "sign-flip", 9, 3, optimiser(Placement::Worker, 0.9, false));
    let mut direct = Lockstep::new(fresh()).unwrap();
    let mut run = Course::Lockstep(Box::new(fresh())).begin().unwrap();
    for step in 0..12 {
        assert_eq!((run.step(), run.seconds(), run.arrivals()), (step, None, None));
        assert_eq!(run.evaluate(), direct.evaluate());
        let Some(Advance::Step(record)) = run.advance() else { panic!("a step of lockstep") };
        assert_eq!(record.hostile_weight(), direct.step().hostile_weight());
        assert_eq!(run.params(), direct.params());
    }
    let mut other = Course::Lockstep(Box::new(fresh())).begin().unwrap();
    other.load(&run.save().unwrap()).unwrap();
    assert_eq!((other.step(), other.params()), (12, run.params()));
    let studied = Plan { study: Some(3), ..fresh() };
    assert!(Course::Lockstep(Box::new(studied)).begin().unwrap().save().is_none());
}

#[test]
fn impossible_plans_are_refused_with_numbers() {
    let error = |change: &dyn Fn(&mut Plan)| {
        let mut plan = plan("krum", "none", 9, 3, Optimiser::sgd(0.1));
        change(&mut plan);
        Lockstep::new(plan).err().unwrap().to_string()
    };
    assert!(error(&|plan| plan.f = 4).contains("krum needs n ≥ 2f + 3; got n = 9, f = 4"));
    assert!(error(&|plan| plan.f_real = 9).contains("at least one worker must be honest"));
}

#[test]
fn a_study_changes_nothing_and_tells_sampled_from_sent() {
    let fresh = |study| {
        let mut plan = plan("krum", "sign-flip", 9, 3, optimiser(Placement::Worker, 0.9, false));
        plan.study = study;
        Lockstep::new(plan).unwrap()
    };
    let (mut plain, mut studied) = (fresh(None), fresh(Some(5)));
    for step in 0..10 {
        plain.step();
        let row = *studied.step().study.unwrap();
        let value = |name: &str| row[COLUMNS.iter().position(|c| *c == name).unwrap()];
        assert_eq!(value("Step number"), f64::from(step));
        assert_eq!(value("Training point count"), f64::from(step) * 24.0);
        let sent_more = value("Honest gradient norm") > value("Sampled gradient norm");
        assert_eq!(sent_more, step > 0, "momentum adds up");
        assert_eq!(value("Attack acceptation ratio"), 0.0);
    }
    assert_eq!(plain.params(), studied.params());
}

#[test]
fn a_search_for_loss_slows_learning_more_than_searches_that_see_no_loss() {
    let loss_after = |attack: &str| {
        let plan = plan("trimmed-mean", attack, 9, 3, Optimiser::sgd(0.1));
        let mut run = Lockstep::new(plan).unwrap();
        for _ in 0..10 {
            run.step();
        }
        run.evaluate().tally.mean_loss()
    };
    let worst = loss_after("worst objective=loss budget=128");
    for other in ["none", "alie", "worst objective=distance budget=128"] {
        assert!(worst > loss_after(other), "{other}: {worst} against {}", loss_after(other));
    }
}

#[test]
fn a_certificate_changes_nothing_and_holds_the_honest_mean() {
    let fresh = |certificate| {
        let mut plan = plan("krum", "sign-flip", 9, 3, optimiser(Placement::Worker, 0.9, false));
        (plan.certificate, plan.study) = (certificate, Some(1));
        Lockstep::new(plan).unwrap()
    };
    let (mut plain, mut fast, mut sharp) =
        (fresh(None), fresh(Some(Effort::Fast)), fresh(Some(Effort::Sharp)));
    for _ in 0..10 {
        assert_eq!(plain.step().closed.certificate, None);
        let record = sharp.step();
        let row = *record.study.unwrap();
        let value = |name: &str| row[COLUMNS.iter().position(|c| *c == name).unwrap()];
        // ‖F − μ‖² by the law of cosines.
        let (f, mu) = (value("Defense gradient norm"), value("Honest gradient norm"));
        let cosine = value("Honest-defense cosine");
        let apart = (f * f + mu * mu - 2.0 * f * mu * cosine).max(0.0).sqrt();
        let found = record.closed.certificate.unwrap();
        assert!(found.attained && (found.length - f).abs() < 1e-5 * f, "{found:?}");
        assert!(apart <= found.radius * (1.0 + 1e-6), "{apart} {found:?}");
        assert!(found.radius <= found.promised.unwrap(), "{found:?}");
        let quick = fast.step().closed.certificate.unwrap();
        assert!(quick.radius >= found.radius, "{quick:?} {found:?}");
        assert_eq!(quick.descent, found.descent);
        assert!(found.margin.is_some_and(|margin| margin >= 0.0), "{found:?}");
    }
    assert_eq!([fast.params(), sharp.params()], [plain.params(); 2]);
    let mut weighted = plan("average", "none", 9, 0, Optimiser::sgd(0.1));
    weighted.weights = Some((1..10).map(f64::from).collect());
    weighted.certificate = Some(Effort::Fast);
    let error = Lockstep::new(weighted).err().unwrap().to_string();
    assert_eq!(error, "a certificate is of rows that count alike, so weights must be equal");
}

/// Keeps the hostile workers' own rows of each step, and sends zeros.
#[derive(Clone)]
struct Listener {
    heard: Arc<std::sync::Mutex<Vec<Vec<f32>>>>,
    keeps_momentum: bool,
}

impl Attack for Listener {
    fn forge(&mut self, view: &mut View<'_>, mut out: RowsMut<'_>) {
        self.heard.lock().unwrap().push(view.own.iter().flatten().copied().collect());
        out.iter_mut().for_each(|row| row.fill(0.0));
    }

    fn keeps_momentum(&self, _: usize, _: usize) -> bool {
        self.keeps_momentum
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }
}

#[test]
fn a_hostile_worker_without_momentum_holds_its_gradient_and_one_with_it_their_sum() {
    let heard = |mu: f64, keeps_momentum: bool| {
        // The rate moves nothing, so that gradients are the same whatever is sent.
        let optimiser = Optimiser {
            schedule: Schedule::parse("steps at=0:1e-30").unwrap(),
            ..optimiser(Placement::Worker, mu, false)
        };
        let mut plan = plan("median", "none", 7, 2, optimiser);
        let listener = Listener { heard: Arc::default(), keeps_momentum };
        plan.attack = Box::new(listener.clone());
        after(plan, 4);
        let heard = listener.heard.lock().unwrap();
        heard.clone()
    };
    let (gradients, kept) = (heard(0.0, true), heard(0.5, true));
    assert_eq!(heard(0.5, false), gradients);
    let mut momentum = vec![0.0; gradients[0].len()];
    for (step, (gradient, kept)) in gradients.iter().zip(&kept).enumerate() {
        momentum.iter_mut().zip(gradient).for_each(|(m, g)| *m = 0.5 * *m + g);
        assert!(gap(&momentum, kept) < 1e-4, "step {step}: {momentum:?} {kept:?}");
    }
    assert_ne!(kept, gradients);
}
