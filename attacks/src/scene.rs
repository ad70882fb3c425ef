//! Small rules and rounds to try attacks on.

#[cfg(test)]
use crate::build;
use crate::{Attack, Probe, View};
use varangian_base::kernels::columns;
#[cfg(test)]
use varangian_base::kernels::{combine, distances::Pairs, norms};
use varangian_base::{Domain, Matrix, Rows, Seed};

/// The honest rows of the hand vectors.
#[cfg(test)]
pub(crate) const HAND: &[&[f32]] = &[&[1.0, 0.0], &[2.0, 0.0], &[3.0, 3.0]];

/// A tiny rule to probe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rule {
    /// Panics when asked.
    None,
    #[cfg(test)]
    Average,
    Median,
    #[cfg(test)]
    /// Krum with f = 3, which says that it sees only distances.
    Krum,
    #[cfg(test)]
    /// The same, which does not say so.
    BlindKrum,
}

impl Probe for Rule {
    fn aggregate(&mut self, rows: Rows<'_>, out: &mut [f32]) {
        match self {
            Rule::None => panic!("an attack that does not see the rule asked it"),
            #[cfg(test)]
            Rule::Average => combine::mean(rows, out),
            Rule::Median => {
                let n = rows.n();
                columns::sorted(rows, out, |x| (x[(n - 1) / 2] + x[n / 2]) / 2.0);
            }
            #[cfg(test)]
            Rule::Krum | Rule::BlindKrum => {
                let mut pairs = Pairs::default();
                pairs.squared_distances(rows);
                out.copy_from_slice(rows.row(krum(&pairs)));
            }
        }
    }

    #[cfg(test)]
    fn weigh(&mut self, squared: &Pairs, weights: &mut [f64]) -> bool {
        if *self != Rule::Krum {
            return false;
        }
        weights.fill(0.0);
        weights[krum(squared)] = 1.0;
        true
    }
}

#[cfg(test)]
/// The row whose n − 5 nearest others are nearest.
fn krum(pairs: &Pairs) -> usize {
    let score = |i: usize| {
        let mut row = pairs.row(i).to_vec();
        row.sort_unstable_by(f64::total_cmp);
        row[..pairs.n() - 4].iter().sum::<f64>()
    };
    (0..pairs.n()).min_by(|&a, &b| score(a).total_cmp(&score(b))).expect("a row")
}

#[cfg(test)]
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

#[cfg(test)]
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
    #[cfg(test)]
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
        let (honest, own) =
            (self.honest.rows().with_ids(&ids[..h]), self.own.rows().with_ids(&ids[h..]));
        let mut view = View {
            f: self.f,
            step: self.step,
            previous: &self.previous,
            server_momentum: &self.momentum,
            learning_rate: 0.1,
            seed: Seed(9),
            ..View::of(honest, own, &self.params, &mut self.rule)
        };
        attack.forge(&mut view, out.rows_mut());
        (0..hostile).map(|i| out.row(i).to_vec()).collect()
    }
}

#[cfg(test)]
/// What `spec` sends at step 0 against no rule.
pub(crate) fn forge(spec: &str, honest: &[&[f32]], own: &[&[f32]], f: usize) -> Vec<Vec<f32>> {
    forge_against(spec, honest, own, f, Rule::None)
}

#[cfg(test)]
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

#[cfg(test)]
/// What `spec` sends for h honest and f hostile random rows of d coordinates.
pub(crate) fn forge_wide(spec: &str, h: usize, f: usize, d: usize) -> Vec<Vec<f32>> {
    Scene::random(h, f, d, 5).forge(build(spec).unwrap().as_mut())
}
