//! A Little Is Enough (Baruch, Baruch & Goldberg 2019, algorithm 3): mean − z·σ, coordinate-wise.
//!
//! z = Φ⁻¹((n − f − s)/(n − f)) with s = ⌊n/2 + 1⌋ − f: the hostile workers stay so near that s
//! honest ones stand farther out and are taken for the outliers.
//!
//! ByzFL's Opt-ALIE, mean + τ·σ with τ found on the rule, is `search=byzfl sign=positive`.
//!
//! ```
//! let z = varangian_attacks::alie_z(10, 4);
//! assert!((z - 0.4307).abs() < 1e-4);
//! ```

use crate::factor::{EVALUATIONS, SEARCH, Search};
use crate::trial::Trial;
use crate::write::{by_moments, colluders};
use crate::{Attack, AttackEntry, AttackFacts, Sees, View};
use statrs::distribution::{ContinuousCDF, Normal};
use varangian_base::spec::Args;
use varangian_base::{Kind, Param, Rows, RowsMut, SpecError};

const PAPER: &str =
    "Baruch, Baruch & Goldberg, A Little Is Enough, NeurIPS 2019, arXiv 1902.06156, algorithm 3";

const DDOF: Param = Param {
    name: "ddof",
    kind: Kind::Count { min: 0, max: 1 },
    default: "1",
    help: "the standard deviation divides by h − ddof",
};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "alie",
    summary: "a little is enough: all send the honest mean − z standard deviations",
    paper: PAPER,
    differs: &[
        "the paper leaves the divisor of σ open; ddof = 1 as in distributed-momentum's and bucketing's code",
        "a search finds z on the rule, as distributed-momentum's and ByzFL's code do; the paper computes it",
    ],
    params: &[
        Param {
            name: "z",
            kind: Kind::Real { min: -1e6, max: 1e6 },
            default: "auto",
            help: "standard deviations; auto is Φ⁻¹((n−f−s)/(n−f)), s = ⌊n/2+1⌋−f, with f the real number of hostile workers; distributed-momentum uses 1.5",
        },
        Param {
            name: "sign",
            kind: Kind::Choice(&["negative", "positive"]),
            default: "negative",
            help: "which side of the mean",
        },
        DDOF,
        Param {
            name: "knowledge",
            kind: Kind::Choice(&["honest", "own"]),
            default: "honest",
            help: "whose mean and deviation: the honest rows', or the hostile workers' own gradients (the paper's attacker)",
        },
        SEARCH,
        EVALUATIONS,
    ],
    cost: "O(n·d); with a search, one aggregation an evaluation",
    facts: AttackFacts::reads(Sees::HONEST),
    build,
};

pub(crate) static VARIANCE: AttackEntry = AttackEntry {
    name: "variance",
    summary: "a little is enough at the z = 0.3 of SafeguardSGD's experiments",
    paper: "Allen-Zhu, Ebrahimianghazani, Li & Alistarh, Byzantine-Resilient Non-Convex SGD, ICLR 2021, arXiv 2012.14368, §5",
    differs: &["whether σ divides by h or h − 1 is not stated; ddof = 1"],
    params: &[
        Param {
            name: "z",
            kind: Kind::Real { min: -1e6, max: 1e6 },
            default: "0.3",
            help: "standard deviations below the mean",
        },
        DDOF,
    ],
    cost: "O(n·d)",
    facts: AttackFacts::reads(Sees::HONEST),
    build: |args| {
        let (z, ddof) = (args.real("z"), args.count("ddof").expect("has a default"));
        let trial = Trial::default();
        Ok(Box::new(Alie { z, sign: -1.0, ddof, own: false, search: Search::Off, trial }))
    },
};

fn build(args: &Args) -> Result<Box<dyn Attack>, SpecError> {
    let search = Search::of(args, "z")?;
    Ok(Box::new(Alie {
        z: args.real("z"),
        sign: if args.text("sign") == "negative" { -1.0 } else { 1.0 },
        ddof: args.count("ddof").expect("has a default"),
        own: args.text("knowledge") == "own",
        search,
        trial: Trial::default(),
    }))
}

/// The z of ALIE for n workers, f of them hostile: Φ⁻¹((n − f − s)/(n − f)), s = ⌊n/2 + 1⌋ − f.
/// At least one and at most all but one honest workers are left to be outliers, so that z is
/// finite for every 0 ≤ f < n − 1.
pub fn alie_z(n: usize, f: usize) -> f64 {
    let honest = n.saturating_sub(f).max(2);
    let outliers = (n / 2 + 1).saturating_sub(f).clamp(1, honest - 1);
    let share = (honest - outliers) as f64 / honest as f64;
    Normal::standard().inverse_cdf(share)
}

#[derive(Clone)]
struct Alie {
    /// `None`: from n and f.
    z: Option<f64>,
    sign: f64,
    ddof: usize,
    own: bool,
    search: Search,
    trial: Trial,
}

impl Alie {
    fn write(&self, rows: Rows<'_>, factor: f64, out: &mut [f32]) {
        by_moments(rows, self.ddof, out, |_, mean, sd| mean + factor * sd);
    }
}

impl Attack for Alie {
    fn forge(&mut self, view: &mut View<'_>, out: RowsMut<'_>) {
        let rows = if self.own { view.own } else { view.honest };
        let factor = match self.search {
            Search::Off => self.z.unwrap_or_else(|| alie_z(view.n, out.n())),
            search => {
                let mut trial = std::mem::take(&mut self.trial);
                let write = |x: f64, row: &mut [f32]| self.write(rows, self.sign * x, row);
                let factor = search.run(view, &mut trial, write);
                self.trial = trial;
                factor
            }
        };
        colluders(out, |range, part| self.write(rows.columns(range), self.sign * factor, part));
    }

    fn sees(&self) -> Sees {
        let rows = if self.own { Sees::OWN } else { Sees::HONEST };
        let search = self.search.sees();
        // A search measures the distance to the honest mean.
        rows.or(search).or(if search.rule { Sees::HONEST } else { Sees::NOTHING })
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(Alie { trial: Trial::default(), ..self.clone() })
    }

    fn check(&self, honest: usize, hostile: usize, _: usize) -> Result<(), String> {
        let (rows, whose) = if self.own { (hostile, "hostile") } else { (honest, "honest") };
        match rows > self.ddof {
            true => Ok(()),
            false => {
                Err(format!("at least {} {whose} workers for ddof = {}", self.ddof + 1, self.ddof))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::{HAND, Rule, close, forge, forge_against};

    const OWN: &[&[f32]] = &[&[0.0, 0.0]];

    #[test]
    fn z_from_n_and_f_is_that_of_the_papers() {
        let pairs = [((10, 4), 0.4307), ((25, 5), 0.2533), ((50, 12), 0.3360), ((20, 8), 0.6745)];
        for ((n, f), z) in pairs {
            assert!((alie_z(n, f) - z).abs() < 1e-4, "{n} {f}");
        }
        assert!((0..51).all(|f| alie_z(51, f).is_finite()));
    }

    #[test]
    fn the_hand_vectors() {
        close(&forge("alie z=1.5", HAND, OWN, 1)[0], &[0.5, -1.598_076_1]);
        close(&forge("alie z=1.5 sign=positive", HAND, OWN, 1)[0], &[3.5, 3.598_076_1]);
        close(&forge("variance", HAND, OWN, 1)[0], &[1.7, 1.0 - 0.3 * 3f64.sqrt()]);
        let sd = (2.0f64 / 3.0).sqrt();
        close(&forge("alie z=1 ddof=0", HAND, OWN, 1)[0], &[2.0 - sd, 1.0 - 2f64.sqrt()]);
        let own: &[&[f32]] = &[&[4.0, 0.0], &[6.0, 0.0]];
        close(&forge("alie z=1 knowledge=own", HAND, own, 2)[1], &[5.0 - 2f64.sqrt(), 0.0]);
    }

    #[test]
    fn the_search_runs_away_from_the_mean_as_far_as_it_may() {
        let sent = forge_against("alie search=reference", HAND, OWN, 1, Rule::Average);
        close(&sent[0], &[2.0 - 32767.0, 1.0 - 32767.0 * 3f64.sqrt()]);
        let fixed = |z: f64| [2.0 - z, 1.0 - z * 3f64.sqrt()];
        let sent = forge_against("alie search=on evaluations=40", HAND, OWN, 1, Rule::Median);
        let harm = |row: &[f32]| Rule::Median.harm(HAND, &[row]);
        let best = (-80..80).map(|k| {
            let b = fixed(f64::from(k) / 10.0);
            harm(&[b[0] as f32, b[1] as f32])
        });
        let best = best.fold(0.0, f64::max);
        assert!(harm(&sent[0]) >= 0.99 * best, "{} of {best}", harm(&sent[0]));
    }

    #[test]
    fn the_optimal_attack_of_byzfl() {
        // What Optimal_ALittleIsEnough of ByzFL 0.0.11 sends.
        let send = |more: &str, honest: &[&[f32]], f: usize, rule: Rule| {
            let own = vec![honest[0]; f];
            let spec = format!("alie search=byzfl sign=positive {more}");
            forge_against(&spec, honest, &own, f, rule).remove(f - 1)
        };
        close(&send("", HAND, 1, Rule::Average), &[5_242_872.0, 9_080_918.22]);
        close(&send("evaluations=7", HAND, 2, Rule::Average), &[632.0, 1_092.192_01]);
        close(&send("", HAND, 2, Rule::Median), &[12.0, 18.320_508_1]);
        let krum: &[&[f32]] = &[
            &[1.09, -0.76],
            &[0.79, -1.72],
            &[1.9, 0.07],
            &[0.84, -0.11],
            &[1.14, -0.78],
            &[1.49, -0.66],
            &[0.84, -0.9],
        ];
        close(&send("", krum, 2, Rule::Krum), &[1.335_566_197, -0.438_292_492_2]);
        let short = send("evaluations=9", krum, 2, Rule::Krum);
        close(&short, &[1.155_714_286, -0.694_285_714_3]);
    }

    #[test]
    fn too_few_rows_are_refused() {
        let check = |spec: &str| crate::build(spec).unwrap().check(1, 2, 2);
        assert_eq!(check("alie").unwrap_err(), "at least 2 honest workers for ddof = 1");
        assert!(check("alie ddof=0").is_ok() && check("alie knowledge=own").is_ok());
        assert!(crate::build("alie z=1 search=on").is_err());
    }
}
