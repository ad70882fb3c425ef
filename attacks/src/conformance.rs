//! What every attack must hold to, and the small rules to try attacks on.

use crate::{ALL, Attack, Probe, Sees, View, build};
use varangian_base::kernels::distances::Pairs;
use varangian_base::kernels::{columns, combine, norms};
use varangian_base::{Domain, Matrix, Rows, Seed};

/// The honest rows of the hand vectors.
pub(crate) const HAND: &[&[f32]] = &[&[1.0, 0.0], &[2.0, 0.0], &[3.0, 3.0]];

/// A tiny rule to probe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rule {
    /// Panics when asked.
    None,
    Average,
    Median,
    /// Krum with f = 3, which says that it sees only distances.
    Krum,
    /// The same, which does not say so.
    BlindKrum,
}

impl Probe for Rule {
    fn aggregate(&mut self, rows: Rows<'_>, out: &mut [f32]) {
        match self {
            Rule::None => panic!("an attack that does not see the rule asked it"),
            Rule::Average => combine::mean(rows, out),
            Rule::Median => {
                let n = rows.n();
                columns::sorted(rows, out, |x| (x[(n - 1) / 2] + x[n / 2]) / 2.0);
            }
            Rule::Krum | Rule::BlindKrum => {
                let mut pairs = Pairs::default();
                pairs.squared_distances(rows);
                out.copy_from_slice(rows.row(krum(&pairs)));
            }
        }
    }

    fn weigh(&mut self, squared: &Pairs, weights: &mut [f64]) -> bool {
        if *self != Rule::Krum {
            return false;
        }
        weights.fill(0.0);
        weights[krum(squared)] = 1.0;
        true
    }
}

/// The row whose n − 5 nearest others are nearest.
fn krum(pairs: &Pairs) -> usize {
    let score = |i: usize| {
        let mut row = pairs.row(i).to_vec();
        row.sort_unstable_by(f64::total_cmp);
        row[..pairs.n() - 4].iter().sum::<f64>()
    };
    (0..pairs.n()).min_by(|&a, &b| score(a).total_cmp(&score(b))).expect("a row")
}

impl Rule {
    pub(crate) fn answer(mut self, honest: &[&[f32]], hostile: &[&[f32]]) -> Vec<f32> {
        let rows = Matrix::from_rows(&[honest, hostile].concat());
        let mut out = vec![0.0; rows.d()];
        self.aggregate(rows.rows(), &mut out);
        out
    }

    pub(crate) fn harm(self, honest: &[&[f32]], hostile: &[&[f32]]) -> f64 {
        let mut mean = vec![0.0; honest[0].len()];
        combine::mean(Matrix::from_rows(honest).rows(), &mut mean);
        norms::distance2(&self.answer(honest, hostile), &mean)
    }
}

pub(crate) fn close(found: &[f32], wanted: &[f64]) {
    assert_eq!(found.len(), wanted.len());
    for (&a, &b) in found.iter().zip(wanted) {
        let scale = b.abs().max(1.0);
        assert!((f64::from(a) - b).abs() <= 1e-6 * scale, "{found:?} against {wanted:?}");
    }
}

/// A round with everything in it: honest workers first, hostile ones last.
pub(crate) struct Scene {
    pub(crate) honest: Matrix,
    pub(crate) own: Matrix,
    pub(crate) previous: Vec<f32>,
    pub(crate) momentum: Vec<f32>,
    pub(crate) params: Vec<f32>,
    pub(crate) step: u64,
    pub(crate) f: usize,
    pub(crate) rule: Rule,
}

impl Scene {
    pub(crate) fn of(honest: &[&[f32]], own: &[&[f32]]) -> Self {
        let d = honest[0].len();
        Scene {
            honest: Matrix::from_rows(honest),
            own: Matrix::from_rows(own),
            previous: vec![0.0; d],
            momentum: vec![0.0; d],
            params: vec![0.0; d],
            step: 0,
            f: own.len(),
            rule: Rule::None,
        }
    }

    /// Normal rows around a common vector.
    pub(crate) fn random(h: usize, f: usize, d: usize, seed: u64) -> Self {
        let mut stream = Seed(seed).stream(Domain::Test, 0, 0);
        let mut vector =
            |scale: f64| -> Vec<f32> { (0..d).map(|_| (scale * stream.normal()) as f32).collect() };
        let centre = vector(1.0);
        let mut rows = |count: usize| -> Vec<Vec<f32>> {
            let around = |noise: Vec<f32>| noise.iter().zip(&centre).map(|(a, b)| a + b).collect();
            (0..count).map(|_| around(vector(0.5))).collect()
        };
        let (honest, own) = (Matrix::from_rows(&rows(h)), Matrix::from_rows(&rows(f)));
        let (previous, momentum, params) = (vector(1.0), vector(1.0), vector(1.0));
        Scene { honest, own, previous, momentum, params, step: 0, f, rule: Rule::None }
    }

    pub(crate) fn forge(&mut self, attack: &mut dyn Attack) -> Vec<Vec<f32>> {
        let (h, hostile) = (self.honest.n(), self.own.n());
        let ids: Vec<u32> = (0..(h + hostile) as u32).collect();
        let mut out = Matrix::zeros(hostile, self.own.d());
        // What stood there before must not matter.
        out.rows_mut().iter_mut().for_each(|row| row.fill(f32::NAN));
        let mut view = View {
            honest: self.honest.rows().with_ids(&ids[..h]),
            own: self.own.rows().with_ids(&ids[h..]),
            beside: Rows::new(&[], 0, 0),
            n: h + hostile,
            f: self.f,
            step: self.step,
            params: &self.params,
            previous: &self.previous,
            server_momentum: &self.momentum,
            learning_rate: 0.1,
            probe: &mut self.rule,
            seed: Seed(9),
        };
        attack.forge(&mut view, out.rows_mut());
        (0..hostile).map(|i| out.row(i).to_vec()).collect()
    }
}

/// What `spec` sends at step 0 against no rule.
pub(crate) fn forge(spec: &str, honest: &[&[f32]], own: &[&[f32]], f: usize) -> Vec<Vec<f32>> {
    forge_against(spec, honest, own, f, Rule::None)
}

pub(crate) fn forge_against(
    spec: &str,
    honest: &[&[f32]],
    own: &[&[f32]],
    f: usize,
    rule: Rule,
) -> Vec<Vec<f32>> {
    let mut scene = Scene { f, rule, ..Scene::of(honest, own) };
    scene.forge(build(spec).unwrap().as_mut())
}

/// What `spec` sends for h honest and f hostile random rows of d coordinates.
pub(crate) fn forge_wide(spec: &str, h: usize, f: usize, d: usize) -> Vec<Vec<f32>> {
    Scene::random(h, f, d, 5).forge(build(spec).unwrap().as_mut())
}

/// Every entry by its name, and specifications that make it see more or otherwise.
fn specs() -> Vec<String> {
    let more = [
        "sign-flip of=mean",
        "sign-flip of=first",
        "sign-flip of=sum",
        "gaussian around=own",
        "non-finite every=2",
        "alie knowledge=own",
        "alie search=on",
        "alie search=reference knowledge=own",
        "ipm search=on",
        "empire search=reference",
        "alie start=1",
        "alie start=2 knowledge=own",
        "bit-flip of=first rate=0.1",
        "mimic warmup=2",
        "mimic target=3",
        "min-max direction=unit",
        "min-sum direction=sign",
        "fang against=krum",
        "fang against=krum centre=mean",
        "fang knowledge=own",
        "single-coordinate search=on",
        "delayed-gradient delay=2",
        "stale-signs delay=2",
        "time-coupled-alie sides=first",
        "poisoned-fl period=1",
        "kill zero-start=text by=one",
        "worst budget=10 objective=inner-product",
        "worst budget=10 objective=drift",
        "worst budget=10 objective=loss",
        "mixed groups=\"2 delayed-gradient delay=1; * mimic warmup=2\"",
        "mixed groups=\"2 alie search=on; 1 gaussian\"",
        "alie jitter=0.01",
    ];
    ALL.iter().map(|entry| entry.name).chain(more).map(str::to_owned).collect()
}

fn bits(rows: &[Vec<f32>]) -> Vec<Vec<u32>> {
    rows.iter().map(|row| row.iter().map(|x| x.to_bits()).collect()).collect()
}

/// Replaces what is not seen by NaN and the rule by one that panics.
fn blind(scene: &mut Scene, sees: Sees) {
    let spoil = |rows: &mut Matrix| rows.rows_mut().iter_mut().for_each(|x| x.fill(f32::NAN));
    if !sees.own {
        spoil(&mut scene.own);
    }
    if !sees.honest {
        spoil(&mut scene.honest);
    }
    if !sees.server {
        scene.previous.fill(f32::NAN);
        scene.momentum.fill(f32::NAN);
    }
    scene.rule = if sees.rule { Rule::Median } else { Rule::None };
}

#[test]
fn an_attack_reads_nothing_but_what_it_says() {
    for spec in specs() {
        let sees = build(&spec).unwrap().sees();
        let (mut open, mut closed) = (build(&spec).unwrap(), build(&spec).unwrap());
        for step in 0..4 {
            let mut scene = Scene::random(9, 3, 40, 1 + step);
            (scene.step, scene.rule) = (step, Rule::Median);
            let sent = scene.forge(open.as_mut());
            blind(&mut scene, sees);
            assert_eq!(bits(&sent), bits(&scene.forge(closed.as_mut())), "{spec} at {step}");
        }
    }
    for entry in ALL {
        assert_eq!(entry.facts.sees, build(entry.name).unwrap().sees(), "{}", entry.name);
    }
}

#[test]
fn forks_and_saved_memories_go_on_alike() {
    for spec in specs() {
        let mut first = build(&spec).unwrap();
        let mut scene = Scene::random(9, 3, 40, 1);
        scene.rule = Rule::Median;
        for step in 0..3 {
            scene.step = step;
            scene.forge(first.as_mut());
        }
        let (mut fork, mut loaded) = (first.fork(), build(&spec).unwrap());
        loaded.load(&first.save()).unwrap();
        for step in 3..6 {
            let mut scene = Scene::random(9, 3, 40, step);
            (scene.step, scene.rule) = (step, Rule::Median);
            let sent = bits(&scene.forge(first.as_mut()));
            assert_eq!(sent, bits(&scene.forge(fork.as_mut())), "{spec} at {step}");
            assert_eq!(sent, bits(&scene.forge(loaded.as_mut())), "{spec} at {step}");
        }
    }
}

#[test]
fn rows_do_not_depend_on_the_number_of_threads() {
    for spec in specs() {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut scene = Scene { rule: Rule::Median, ..Scene::random(5, 2, 40_000, 3) };
                bits(&scene.forge(build(&spec).unwrap().as_mut()))
            })
        };
        assert_eq!(run(1), run(3), "{spec}");
    }
}

#[test]
fn one_hostile_and_few_honest_workers_are_enough_or_refused() {
    for spec in specs() {
        for (h, f) in [(1, 1), (2, 1), (2, 2), (4, 3)] {
            let mut attack = build(&spec).unwrap();
            if let Err(condition) = attack.check(h, f, f) {
                assert!(condition.len() > 5, "{spec}");
                continue;
            }
            let mut scene = Scene { rule: Rule::Median, ..Scene::random(h, f, 5, 8) };
            let rows = scene.forge(attack.as_mut());
            let finite = rows.iter().flatten().all(|x| x.is_finite());
            let free = spec.starts_with("non-finite") || spec.starts_with("bit-flip");
            assert!(finite || free, "{spec} h={h} f={f}: {rows:?}");
        }
    }
}

#[test]
fn jitter_separates_copies_by_little() {
    let plain = forge_wide("alie z=1", 6, 3, 1000);
    let rows = forge_wide("alie z=1 jitter=0.01", 6, 3, 1000);
    for (i, row) in rows.iter().enumerate() {
        assert_ne!(row, &rows[(i + 1) % 3]);
        let relative = norms::distance2(row, &plain[0]) / norms::norm2(&plain[0]);
        assert!((0.8e-4..1.2e-4).contains(&relative), "{relative}");
    }
    assert_eq!(forge_wide("alie start=1", 6, 3, 50), forge_wide("none", 6, 3, 50));
}
