//! Election coding (Sohn, Han, Choi & Moon, NeurIPS 2020): votes on votes bear more hostile workers
//! than a vote.

use super::{cost, sent};
use crate::shapes::{Ends, Publication, Shape};
use varangian_lab::results::Outcome;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "election",
    about: "Sohn et al. 2020: election coding's redundancy against workers that reverse signs",
    quick: include_str!("../../experiments/methods/election.toml"),
    full: include_str!("../../experiments/methods/election-full.toml"),
    judge,
    more: |folder, outcomes, events| {
        cost(folder, outcomes, events, |outcome| {
            let settings = &outcome.settings;
            let times =
                settings.message.split("times=").nth(1).map_or(1, |x| x.parse().unwrap_or(1));
            (settings.n * times, settings.n)
        })
    },
};

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let all: Vec<Vec<Outcome>> = ["sign", "election times=3", "election times=5"]
        .map(|message| sent(outcomes, message))
        .into();
    let of = |i: usize, hostile: usize| {
        let attack = if hostile == 0 { "none" } else { "oppose" };
        Ends(&all[i]).accuracy("majority", attack, Some(hostile))
    };
    let told = |hostile: usize| [0, 1, 2].map(|i| of(i, hostile));
    let shape = |claim: &str, hostile: usize, test: fn([f64; 3]) -> bool| {
        let found = told(hostile);
        let word = |x: &Option<f64>| x.map_or("–".into(), |x| format!("{:.1} %", 100.0 * x));
        let all = found.iter().map(word).collect::<Vec<String>>().join(", ");
        let holds = match found {
            [Some(a), Some(b), Some(c)] => Some(test([a, b, c])),
            _ => None,
        };
        let found = format!("1, 3 and 5 minibatches a worker: {all}");
        Shape { claim: claim.into(), found, holds, moot: false }
    };
    vec![
        shape("without an attack redundancy costs no accuracy", 0, |[a, b, c]| {
            b > a - 0.02 && c > a - 0.02
        }),
        shape("3 of 15 hostile: more redundancy is no worse", 3, |[a, b, c]| {
            b > a - 0.01 && c > a - 0.01
        }),
        shape("5 of 15 hostile: more redundancy is better", 5, |[a, b, c]| b > a && c > a),
    ]
}
