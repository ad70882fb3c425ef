//! Inner-product manipulation (Xie, Koyejo & Gupta, Fall of Empires 2019, §4): −ε times the mean
//! of the honest gradients. Large ε breaks coordinate-wise rules, small ε breaks Krum.
//!
//! `ipm` is the paper's −ε·mean; with `search=byzfl` it is ByzFL's Opt-IPM. `empire` is
//! distributed-momentum's (1 − k)·mean, whose k = 1.1 is −0.1·mean. `safeguard` is −κ·mean with the
//! factor of SafeguardSGD's experiments.

use crate::factor::{EVALUATIONS, SEARCH, Search};
use crate::trial::Trial;
use crate::write::{colluders, scaled_mean};
use crate::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian_base::spec::Args;
use varangian_base::{Kind, Param, RowsMut, SpecError};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "ipm",
    summary: "inner-product manipulation: all send −ε times the honest mean",
    paper: "Xie, Koyejo & Gupta, Fall of Empires, UAI 2019, arXiv 1903.03936, §4",
    differs: &[
        "a search finds the factor on the rule, as distributed-momentum's and ByzFL's code do; the paper gives it",
    ],
    params: &[
        Param {
            name: "epsilon",
            kind: Kind::Real { min: -1e6, max: 1e6 },
            default: "0.1",
            help: "the factor ε; the paper tries 0.1, 0.5, 1, 10, 100",
        },
        SEARCH,
        EVALUATIONS,
    ],
    cost: "O(n·d); with a search, one aggregation an evaluation",
    facts: AttackFacts::reads(Sees::HONEST),
    build: |args| build(args, 0.0, "epsilon"),
};

pub(crate) static EMPIRE: AttackEntry = AttackEntry {
    name: "empire",
    summary: "all send (1 − factor) times the honest mean, distributed-momentum's form of ipm",
    paper: "El Mhamdi, Guerraoui & Rouault, Distributed Momentum for Byzantine-resilient SGD, ICLR 2021, arXiv 2003.00010 (code); after Xie, Koyejo & Gupta 2019",
    differs: &[],
    params: &[
        Param {
            name: "factor",
            kind: Kind::Real { min: -1e6, max: 1e6 },
            default: "1.1",
            help: "1.1 makes −0.1 times the mean",
        },
        SEARCH,
        EVALUATIONS,
    ],
    cost: "O(n·d); with a search, one aggregation an evaluation",
    facts: AttackFacts::reads(Sees::HONEST),
    build: |args| build(args, 1.0, "factor"),
};

pub(crate) static SAFEGUARD: AttackEntry = AttackEntry {
    name: "safeguard-attack",
    summary: "all send −factor times the honest mean, small enough to pass SafeguardSGD's thresholds",
    paper: "Allen-Zhu, Ebrahimianghazani, Li & Alistarh, Byzantine-Resilient Non-Convex SGD, ICLR 2021, arXiv 2012.14368, §5",
    differs: &["the paper does not say whose gradient is scaled; the honest mean"],
    params: &[Param {
        name: "factor",
        kind: Kind::Real { min: 0.0, max: 1e6 },
        default: "0.6",
        help: "0.4 and 0.5 in the submission, 0.6 and 0.7 in the final version",
    }],
    cost: "O(n·d)",
    facts: AttackFacts::reads(Sees::HONEST),
    build: |args| {
        let factor = args.real("factor").expect("has a default");
        Ok(Box::new(Ipm { shift: 0.0, factor, search: Search::Off, trial: Trial::default() }))
    },
};

fn build(args: &Args, shift: f64, name: &str) -> Result<Box<dyn Attack>, SpecError> {
    let search = Search::of(args, name)?;
    let factor = args.real(name).expect("has a default");
    Ok(Box::new(Ipm { shift, factor, search, trial: Trial::default() }))
}

/// Sends (shift − factor)·mean.
#[derive(Clone)]
struct Ipm {
    shift: f64,
    factor: f64,
    search: Search,
    trial: Trial,
}

impl Attack for Ipm {
    fn forge(&mut self, view: &mut View<'_>, out: RowsMut<'_>) {
        let (honest, shift) = (view.honest, self.shift);
        let write = |x: f64, row: &mut [f32]| scaled_mean(honest, shift - x, row);
        let factor = match self.search {
            Search::Off => self.factor,
            search => search.run(view, &mut self.trial, write),
        };
        colluders(out, |range, part| scaled_mean(honest.columns(range), shift - factor, part));
    }

    fn sees(&self) -> Sees {
        Sees::HONEST.or(self.search.sees())
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(Ipm { trial: Trial::default(), ..self.clone() })
    }

    fn check(&self, honest: usize, _: usize, _: usize) -> Result<(), String> {
        if honest == 0 { Err("at least 1 honest worker".into()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use crate::scene::{HAND, Rule, close, forge, forge_against};

    const OWN: &[&[f32]] = &[&[0.0, 0.0]];

    #[test]
    fn the_hand_vectors() {
        close(&forge("ipm epsilon=2", HAND, OWN, 1)[0], &[-4.0, -2.0]);
        close(&forge("empire factor=1.1", HAND, OWN, 1)[0], &[-0.2, -0.1]);
        close(&forge("safeguard-attack factor=0.5", HAND, OWN, 1)[0], &[-1.0, -0.5]);
    }

    #[test]
    fn the_optimal_attack_of_byzfl() {
        // What Optimal_InnerProductManipulation of ByzFL 0.0.11 sends.
        let send = |spec: &str, f: usize, rule: Rule| {
            forge_against(spec, HAND, &vec![OWN[0]; f], f, rule).remove(f - 1)
        };
        close(&send("ipm search=byzfl", 1, Rule::Average), &[-10_485_740.0, -5_242_870.0]);
        close(&send("ipm search=byzfl evaluations=7", 2, Rule::Average), &[-1_260.0, -630.0]);
        close(&send("ipm search=byzfl", 2, Rule::Median), &[0.0, 0.0]);
    }

    #[test]
    fn the_toy_of_fall_of_empires_flips_the_median() {
        let honest: &[&[f32]] = &[&[-0.3], &[1.0], &[2.0]];
        let sent = forge("ipm epsilon=1", honest, &[&[3.0], &[4.0]], 2);
        close(&sent[0], &[-0.9]);
        let rows: Vec<&[f32]> = sent.iter().map(Vec::as_slice).collect();
        close(&Rule::Median.answer(honest, &rows), &[-0.3]);
    }

    #[test]
    fn searches_of_both_forms_agree_with_a_scan() {
        for spec in ["ipm search=on evaluations=40", "empire search=on evaluations=40"] {
            let sent = forge_against(spec, HAND, OWN, 1, Rule::Median);
            let harm = |row: &[f32]| Rule::Median.harm(HAND, &[row]);
            let scan = (-100..100).map(|k| harm(&[k as f32 / 5.0, k as f32 / 10.0]));
            let best = scan.fold(0.0, f64::max);
            assert!(harm(&sent[0]) >= 0.99 * best, "{spec}: {} of {best}", harm(&sent[0]));
        }
    }
}
