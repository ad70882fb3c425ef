//! Gaussian: each hostile worker sends independent normal noise (Blanchard et al. 2017, §6; N(0,
//! 200²) in Zeno's experiments).

use crate::write::{draw, purpose};
use crate::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian_base::{Kind, Param, RowsMut};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "gaussian",
    summary: "each hostile worker sends independent normal noise",
    paper: "Blanchard, El Mhamdi, Guerraoui & Stainer, Machine Learning with Adversaries, NeurIPS 2017, arXiv 1703.02757, §6",
    differs: &[],
    params: &[
        Param {
            name: "sd",
            kind: Kind::Real { min: 0.0, max: 1e30 },
            default: "200",
            help: "the standard deviation of each coordinate; 200 in Krum's and Zeno's experiments",
        },
        Param {
            name: "mean",
            kind: Kind::Real { min: -1e30, max: 1e30 },
            default: "0",
            help: "the mean of each coordinate",
        },
        Param {
            name: "around",
            kind: Kind::Choice(&["nothing", "own"]),
            default: "nothing",
            help: "what the noise is added to: nothing, or the worker's own gradient",
        },
    ],
    cost: "O(f·d) normal draws",
    facts: AttackFacts::reads(Sees::NOTHING),
    build: |args| {
        let real = |name| args.real(name).expect("has a default");
        let around_own = args.text("around") == "own";
        Ok(Box::new(Gaussian { sd: real("sd"), mean: real("mean"), around_own }))
    },
};

#[derive(Clone)]
struct Gaussian {
    sd: f64,
    mean: f64,
    around_own: bool,
}

impl Attack for Gaussian {
    fn forge(&mut self, view: &mut View<'_>, mut out: RowsMut<'_>) {
        if self.around_own {
            crate::none::honest(view, out.reborrow());
        }
        for (i, row) in out.iter_mut().enumerate() {
            let worker = view.own.id(i);
            draw(view.seed, worker, view.step, purpose::NOISE, row, |stream, _, x| {
                let centre = if self.around_own { f64::from(x) } else { 0.0 };
                (centre + self.mean + self.sd * stream.normal()) as f32
            });
        }
    }

    fn sees(&self) -> Sees {
        if self.around_own { Sees::OWN } else { Sees::NOTHING }
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use crate::scene::forge_wide;

    #[test]
    fn the_noise_has_its_mean_and_deviation_and_rows_differ() {
        let rows = forge_wide("gaussian sd=3 mean=1", 4, 2, 20_000);
        for row in &rows {
            let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / 2e4;
            let var = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / 2e4;
            assert!((mean - 1.0).abs() < 0.1 && (var - 9.0).abs() < 0.4, "{mean} {var}");
        }
        assert_ne!(rows[0], rows[1]);
        let near = forge_wide("gaussian sd=0 around=own", 4, 2, 30);
        assert_eq!(near, forge_wide("none", 4, 2, 30));
    }
}
