//! Local model poisoning (Fang, Cao, Jia & Gong 2020, §4), also called STAT-OPT: move the
//! aggregate against the sign s of the honest mean.
//!
//! Against Krum: all send centre − λ·s with the first λ of a halving sequence that Krum selects;
//! the first is the paper's upper bound. Against the trimmed mean and the median: in each
//! coordinate a random value up to b times beyond the honest rows' extreme on the far side; with
//! partial knowledge one 3 to 4 standard deviations from the mean of the hostile workers' own
//! gradients.

use crate::write::{by_moments, draw, nearest, purpose, scaled_mean};
use crate::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian_base::kernels::distances::Pairs;
use varangian_base::kernels::norms;
use varangian_base::spec::Args;
use varangian_base::{Kind, Param, RowsMut, SpecError};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "fang",
    summary: "local model poisoning tailored to Krum, the trimmed mean or the median",
    paper: "Fang, Cao, Jia & Gong, Local Model Poisoning Attacks to Byzantine-Robust Federated Learning, USENIX Security 2020, arXiv 1911.11815, §4",
    differs: &[
        "on gradients in place of local models: the paper's global model is the zero update, and the direction of change is that of the honest mean",
        "all send the same row against Krum; the paper draws the others near it (see jitter)",
    ],
    params: &[
        Param {
            name: "against",
            kind: Kind::Choice(&["krum", "trimmed-mean", "median"]),
            default: "trimmed-mean",
            help: "the rule it is tailored to",
        },
        Param {
            name: "knowledge",
            kind: Kind::Choice(&["honest", "own"]),
            default: "honest",
            help: "whose rows it knows: the honest ones, or the hostile workers' own (the paper's partial knowledge)",
        },
        Param {
            name: "b",
            kind: Kind::Real { min: 1.0, max: 1e6 },
            default: "2",
            help: "how far beyond the extreme, as a factor (trimmed mean and median)",
        },
        Param {
            name: "centre",
            kind: Kind::Choice(&["zero", "mean"]),
            default: "zero",
            help: "what λ·s is taken from (Krum): the zero update (the paper) or the mean",
        },
    ],
    cost: "O(n·d); against=krum O(h²·d)",
    facts: AttackFacts::reads(Sees::HONEST),
    build,
};

fn build(args: &Args) -> Result<Box<dyn Attack>, SpecError> {
    let krum = args.text("against") == "krum";
    let misplaced = if krum { "b" } else { "centre" };
    if args.is_given(misplaced) {
        let why = format!("{misplaced} has no effect against {}", args.text("against"));
        return Err(SpecError::new(why));
    }
    Ok(Box::new(Fang {
        krum,
        own: args.text("knowledge") == "own",
        b: args.real("b").expect("has a default"),
        from_mean: args.text("centre") == "mean",
        mean: Vec::new(),
        sd: Vec::new(),
    }))
}

#[derive(Clone)]
struct Fang {
    krum: bool,
    own: bool,
    b: f64,
    from_mean: bool,
    mean: Vec<f32>,
    sd: Vec<f32>,
}

/// The sign of x, 0 for 0.
fn sign(x: f32) -> f64 {
    if x == 0.0 { 0.0 } else { f64::from(x.signum()) }
}

/// A value between `edge` and b times as far out on the side that `s` points away from.
fn beyond(edge: f64, s: f64, b: f64, uniform: f64) -> f64 {
    // s > 0: below the least value, hence edge/b where that is positive and b·edge where negative.
    let outward = if (edge > 0.0) == (s > 0.0) { edge / b } else { edge * b };
    edge + (outward - edge) * uniform
}

impl Fang {
    fn outliers(&mut self, view: &View<'_>, mut out: RowsMut<'_>) {
        let rows = if self.own { view.own } else { view.honest };
        let (b, own) = (self.b, self.own);
        if own {
            self.sd.resize(rows.d(), 0.0);
            by_moments(rows, 1, &mut self.sd, |_, _, sd| sd);
        }
        let (mean, sd) = (&self.mean, &self.sd);
        for (i, row) in out.iter_mut().enumerate() {
            draw(view.seed, view.own.id(i), view.step, purpose::FANG, row, |stream, k, _| {
                let (s, u) = (sign(mean[k]), stream.uniform_f64());
                if own {
                    return nearest(f64::from(mean[k]) - s * (3.0 + u) * f64::from(sd[k]));
                }
                let column = rows.iter().map(|row| row[k]);
                match s {
                    0.0 => 0.0,
                    s if s > 0.0 => {
                        nearest(beyond(column.fold(f32::MAX, f32::min).into(), s, b, u))
                    }
                    s => nearest(beyond(column.fold(f32::MIN, f32::max).into(), s, b, u)),
                }
            });
        }
    }

    /// The λ at which Krum selects the hostile rows.
    fn lambda(&self, view: &View<'_>, hostile: usize) -> f64 {
        let rows = if self.own { view.own } else { view.honest };
        let mut field = Field::of(rows, &self.mean, self.from_mean);
        let (n, f) = (rows.n() + hostile, view.f);
        let neighbours = n.saturating_sub(f + 2).max(1);
        let mut lambda = field.upper_bound(n, f, neighbours);
        while lambda > 1e-5 && !field.krum_selects(lambda, hostile, neighbours) {
            lambda /= 2.0;
        }
        lambda
    }
}

/// The known rows as Krum sees them beside hostile ones at centre − λ·s.
struct Field {
    pairs: Pairs,
    /// ‖xᵢ − centre‖² and ⟨s, xᵢ − centre⟩.
    to_centre: Vec<f64>,
    along: Vec<f64>,
    /// ‖s‖², the number of coordinates whose mean is not zero.
    length2: f64,
    d: f64,
    scratch: Vec<f64>,
}

impl Field {
    fn of(rows: varangian_base::Rows<'_>, mean: &[f32], from_mean: bool) -> Self {
        let signs: Vec<f32> = mean.iter().map(|&x| sign(x) as f32).collect();
        let zeros = vec![0.0; mean.len()];
        let centre = if from_mean { mean } else { &zeros };
        let mut pairs = Pairs::default();
        pairs.squared_distances(rows);
        let mut to_centre = Vec::new();
        norms::rows_distance2(rows, centre, &mut to_centre);
        let offset = norms::dot(&signs, centre);
        let along = rows.iter().map(|row| norms::dot(&signs, row) - offset).collect();
        let (length2, d) = (norms::norm2(&signs), mean.len() as f64);
        Field { pairs, to_centre, along, length2, d, scratch: Vec::new() }
    }

    /// The paper's bound on λ: the least mean distance of a known row to its neighbours plus the
    /// largest distance to the centre, over √d.
    fn upper_bound(&mut self, n: usize, f: usize, neighbours: usize) -> f64 {
        let h = self.pairs.n();
        let mut least = f64::INFINITY;
        for i in 0..h {
            self.scratch.clear();
            let others = (0..h).filter(|&j| j != i).map(|j| self.pairs.at(i, j).sqrt());
            self.scratch.extend(others);
            least = least.min(least_sum(&mut self.scratch, neighbours));
        }
        let divisor = n.saturating_sub(2 * f + 1).max(1) as f64;
        let farthest = self.to_centre.iter().copied().fold(0.0, f64::max).sqrt();
        (least / divisor + farthest) / self.d.sqrt()
    }

    fn krum_selects(&mut self, lambda: f64, hostile: usize, neighbours: usize) -> bool {
        let h = self.pairs.n();
        // ‖centre − λs − xᵢ‖² = λ²‖s‖² + 2λ⟨s, xᵢ − centre⟩ + ‖xᵢ − centre‖².
        let to: Vec<f64> = (0..h)
            .map(|i| {
                let square = lambda * lambda * self.length2;
                (square + 2.0 * lambda * self.along[i] + self.to_centre[i]).max(0.0)
            })
            .collect();
        self.scratch.clear();
        self.scratch.extend_from_slice(&to);
        self.scratch.resize(h + hostile - 1, 0.0);
        let theirs = least_sum(&mut self.scratch, neighbours);
        (0..h).all(|i| {
            self.scratch.clear();
            self.scratch.extend((0..h).filter(|&j| j != i).map(|j| self.pairs.at(i, j)));
            self.scratch.resize(h - 1 + hostile, to[i]);
            theirs < least_sum(&mut self.scratch, neighbours)
        })
    }
}

/// The sum of the `count` least values.
fn least_sum(values: &mut [f64], count: usize) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.iter().take(count).sum()
}

impl Attack for Fang {
    fn forge(&mut self, view: &mut View<'_>, out: RowsMut<'_>) {
        let rows = if self.own { view.own } else { view.honest };
        let mut mean = std::mem::take(&mut self.mean);
        mean.resize(rows.d(), 0.0);
        scaled_mean(rows, 1.0, &mut mean);
        self.mean = mean;
        if !self.krum {
            return self.outliers(view, out);
        }
        let lambda = self.lambda(view, out.n());
        let (mean, from_mean) = (&self.mean, self.from_mean);
        crate::write::colluders(out, |range, part| {
            for (x, &m) in part.iter_mut().zip(&mean[range]) {
                let centre = if from_mean { f64::from(m) } else { 0.0 };
                *x = nearest(centre - lambda * sign(m));
            }
        });
    }

    fn sees(&self) -> Sees {
        if self.own { Sees::OWN } else { Sees::HONEST }
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }

    fn check(&self, honest: usize, hostile: usize, _: usize) -> Result<(), String> {
        let (rows, whose) = if self.own { (hostile, "hostile") } else { (honest, "honest") };
        if rows < 2 { Err(format!("at least 2 {whose} workers")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use crate::build;
    use crate::scene::{Scene, forge};

    #[test]
    fn values_lie_beyond_the_honest_extreme_on_the_far_side() {
        // Means 2, −2 and 1 with extremes 1, −1 and −1.
        let honest: &[&[f32]] = &[&[1.0, -3.0, -1.0], &[3.0, -1.0, 3.0]];
        let zeros: &[f32] = &[0.0; 3];
        let own = &[zeros; 3];
        for row in forge("fang b=4", honest, own, 3) {
            assert!((0.25..=1.0).contains(&row[0]), "{row:?}");
            assert!((-1.0..=-0.25).contains(&row[1]), "{row:?}");
            assert!((-4.0..=-1.0).contains(&row[2]), "{row:?}");
        }
        let own: &[&[f32]] = &[&[1.0, -1.0, 0.0], &[3.0, -3.0, 0.0]];
        for row in forge("fang knowledge=own", honest, own, 2) {
            let sd = 2f32.sqrt();
            assert!((2.0 - 4.0 * sd..=2.0 - 3.0 * sd).contains(&row[0]), "{row:?}");
            assert!((-2.0 + 3.0 * sd..=-2.0 + 4.0 * sd).contains(&row[1]), "{row:?}");
            assert_eq!(row[2], 0.0);
        }
    }

    #[test]
    fn krum_selects_the_row_and_not_one_twice_as_far() {
        for centre in ["zero", "mean"] {
            let mut scene = Scene::random(8, 3, 30, 4);
            // Near a common vector there is room for λ.
            let spec = format!("fang against=krum centre={centre}");
            let sent = scene.forge(build(&spec).unwrap().as_mut());
            let rows: Vec<Vec<f64>> = (0..8)
                .map(|i| scene.honest.row(i).to_vec())
                .chain(sent.clone())
                .map(|row| row.iter().map(|&x| f64::from(x)).collect())
                .collect();
            let selected = |rows: &[Vec<f64>]| {
                let score = |i: usize| {
                    let mut d: Vec<f64> = (0..11)
                        .filter(|&j| j != i)
                        .map(|j| rows[i].iter().zip(&rows[j]).map(|(a, b)| (a - b).powi(2)).sum())
                        .collect();
                    d.sort_by(f64::total_cmp);
                    d[..11 - 3 - 2].iter().sum::<f64>()
                };
                (0..11).min_by(|&a, &b| score(a).total_cmp(&score(b))).unwrap() >= 8
            };
            let lambda = match centre {
                "zero" => f64::from(sent[0][0].abs()),
                _ => {
                    let mean = rows[..8].iter().map(|row| row[0]).sum::<f64>() / 8.0;
                    (rows[8][0] - mean).abs()
                }
            };
            assert!(lambda < 1e-5 || selected(&rows), "{centre}: λ = {lambda}");
            if centre == "mean" {
                assert!(lambda > 1e-3, "{lambda}");
            }
        }
        assert!(build("fang against=krum b=3").is_err());
    }
}
