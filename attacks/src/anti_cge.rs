//! Anti-CGE (distributed-momentum's code): against the filter that keeps the n − f rows of least
//! norm, minus the sum of the honest rows that will be kept, at a norm just below the first that
//! will not.

use crate::write::{copies, nearest};
use crate::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian_base::kernels::{combine, norms};
use varangian_base::{Kind, Param, RowsMut};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "anti-cge",
    summary: "against norm filters: minus the sum of the smallest honest rows, at the largest norm that is kept",
    paper: "El Mhamdi, Guerraoui & Rouault, Distributed Momentum for Byzantine-resilient SGD, ICLR 2021, arXiv 2003.00010 (code); against Gupta, Liu & Vaidya 2020, arXiv 2008.04699",
    differs: &[
        "the code adds the smallest row twice; twice=true does so",
        "the code sends NaN when more workers attack than are declared; here the formula is applied all the same",
    ],
    params: &[Param {
        name: "twice",
        kind: Kind::Flag,
        default: "false",
        help: "add the smallest row twice, as the published code does",
    }],
    cost: "O(n·d)",
    facts: AttackFacts::reads(Sees::HONEST),
    build: |args| Ok(Box::new(AntiCge { twice: args.flag("twice") })),
};

#[derive(Clone)]
struct AntiCge {
    twice: bool,
}

impl Attack for AntiCge {
    fn forge(&mut self, view: &mut View<'_>, out: RowsMut<'_>) {
        let honest = view.honest;
        let mut norm2 = Vec::new();
        norms::rows_norm2(honest, &mut norm2);
        let mut order: Vec<usize> = (0..honest.n()).collect();
        order.sort_by(|&a, &b| norm2[a].total_cmp(&norm2[b]).then(a.cmp(&b)));
        let kept = honest.n().saturating_sub(view.f).min(honest.n() - 1);
        let limit2 = norm2[order[kept]];
        let mut weights = vec![0.0; honest.n()];
        order[..kept].iter().for_each(|&i| weights[i] = -1.0);
        if self.twice {
            weights[order[0]] -= 1.0;
        }
        let mut sum = vec![0.0; honest.d()];
        combine::combine(honest, &weights, &mut sum);
        if sum.iter().any(|x| !x.is_finite()) {
            // Its direction alone counts: as a sum of smaller rows it is finite.
            let shrunk = 1.0 / (honest.n() + 1).next_power_of_two() as f64;
            weights.iter_mut().for_each(|weight| *weight *= shrunk);
            combine::combine(honest, &weights, &mut sum);
        }
        let length2 = norms::norm2(&sum);
        let mut scale = if length2 > 0.0 { (limit2 / length2).sqrt() } else { 0.0 };
        copies(out, |row| {
            // Rounding may carry the norm over the limit: shrink until it is below.
            for _ in 0..64 {
                for (x, &s) in row.iter_mut().zip(&sum) {
                    *x = nearest(scale * f64::from(s));
                }
                if norms::norm2(row) < limit2 {
                    break;
                }
                scale *= 1.0 - f64::from(f32::EPSILON);
            }
        });
    }

    fn sees(&self) -> Sees {
        Sees::HONEST
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }

    fn check(&self, honest: usize, _: usize, f: usize) -> Result<(), String> {
        match f >= 1 && honest > f {
            true => Ok(()),
            false => Err("1 ≤ f < the number of honest workers".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::build;
    use crate::scene::{HAND, Scene, close, forge};
    use varangian_base::kernels::norms;

    #[test]
    fn the_hand_vector() {
        for spec in ["anti-cge", "anti-cge twice=true"] {
            close(&forge(spec, HAND, &[&[0.0, 0.0]], 1)[0], &[-(18f64.sqrt()), 0.0]);
        }
    }

    #[test]
    fn the_rows_are_among_the_n_minus_f_smallest_and_the_sum_is_the_kept_ones() {
        for seed in 0..20 {
            let mut scene = Scene::random(9, 3, 25, seed);
            let sent = scene.forge(build("anti-cge").unwrap().as_mut());
            let mut honest: Vec<(f64, usize)> =
                (0..9).map(|i| (norms::norm2(scene.honest.row(i)), i)).collect();
            honest.sort_by(|a, b| a.0.total_cmp(&b.0));
            let own = norms::norm2(&sent[0]);
            assert!(own < honest[6].0 && own > honest[6].0 * (1.0 - 1e-5));
            let sum = |k: usize| -> f64 {
                honest[..6].iter().map(|&(_, i)| f64::from(scene.honest.row(i)[k])).sum()
            };
            let length = (0..25).map(|k| sum(k).powi(2)).sum::<f64>().sqrt();
            let wanted: Vec<f64> = (0..25).map(|k| -sum(k) / length * honest[6].0.sqrt()).collect();
            close(&sent[2], &wanted);
        }
    }
}
