//! What is published of the grid, and what another implementation of it found on MNIST.

use super::{Pair, accuracy};
use varangian_lab::results::{Outcome, mean, median};
use varangian_lab::text;

/// Best (last) accuracy at seed 1, in thousandths, under momentum at the update and at the workers.
type Cell = [(u16, u16); 2];

/// A line for each rule and learning rate: f = 24 ALIE, f = 24 empire, f = 12 ALIE, f = 12 empire;
/// numpy, seed 1, evaluated every ten steps, clipping to the bound, classical momentum.
const ELSEWHERE: [(&str, f64, [Option<Cell>; 4]); 12] = [
    (
        "krum",
        0.5,
        [
            Some([(813, 785), (823, 819)]),
            Some([(123, 98), (134, 98)]),
            Some([(871, 844), (908, 791)]),
            Some([(974, 974), (979, 977)]),
        ],
    ),
    (
        "median",
        0.5,
        [
            Some([(797, 779), (838, 780)]),
            Some([(741, 526), (892, 868)]),
            Some([(864, 827), (917, 864)]),
            Some([(916, 907), (967, 967)]),
        ],
    ),
    (
        "trimmed-mean",
        0.5,
        [
            Some([(814, 778), (829, 824)]),
            Some([(688, 403), (894, 853)]),
            Some([(873, 873), (913, 843)]),
            Some([(958, 955), (978, 978)]),
        ],
    ),
    (
        "phocas",
        0.5,
        [
            Some([(799, 757), (838, 822)]),
            Some([(570, 261), (825, 789)]),
            Some([(851, 792), (888, 820)]),
            Some([(938, 934), (975, 974)]),
        ],
    ),
    (
        "meamed",
        0.5,
        [
            Some([(800, 784), (836, 769)]),
            Some([(574, 279), (839, 760)]),
            Some([(853, 820), (894, 805)]),
            Some([(927, 918), (973, 972)]),
        ],
    ),
    ("bulyan", 0.5, [None, None, Some([(903, 809), (966, 961)]), Some([(973, 973), (975, 974)])]),
    (
        "krum",
        0.02,
        [
            Some([(867, 850), (908, 897)]),
            Some([(123, 114), (123, 1)]),
            Some([(907, 886), (930, 927)]),
            Some([(937, 937), (941, 941)]),
        ],
    ),
    (
        "median",
        0.02,
        [
            Some([(873, 860), (910, 847)]),
            Some([(663, 586), (891, 891)]),
            Some([(905, 888), (933, 933)]),
            Some([(897, 897), (928, 928)]),
        ],
    ),
    (
        "trimmed-mean",
        0.02,
        [
            Some([(874, 851), (912, 912)]),
            Some([(666, 608), (891, 890)]),
            Some([(906, 901), (932, 932)]),
            Some([(933, 933), (938, 938)]),
        ],
    ),
    (
        "phocas",
        0.02,
        [
            Some([(865, 842), (907, 897)]),
            Some([(335, 318), (870, 869)]),
            Some([(896, 867), (924, 904)]),
            Some([(928, 928), (933, 933)]),
        ],
    ),
    (
        "meamed",
        0.02,
        [
            Some([(868, 856), (907, 901)]),
            Some([(386, 321), (870, 867)]),
            Some([(898, 895), (925, 909)]),
            Some([(916, 916), (930, 930)]),
        ],
    ),
    ("bulyan", 0.02, [None, None, Some([(920, 919), (946, 945)]), Some([(943, 943), (948, 948)])]),
];

/// The columns of [`ELSEWHERE`]: f and the attack.
const COLUMNS: [(usize, &str); 4] = [(24, "alie"), (24, "empire"), (12, "alie"), (12, "empire")];

/// Unattacked, by n and learning rate: best accuracy.
const CLEAN: [(usize, f64, f64); 4] =
    [(27, 0.5, 0.975), (39, 0.5, 0.974), (27, 0.02, 0.950), (39, 0.02, 0.949)];

/// Our cells beside those of another implementation, and how far apart they are.
pub(super) fn beside(outcomes: &[Outcome]) -> String {
    let (mut rows, mut apart) = (Vec::new(), Vec::new());
    for (rule, rate, cells) in ELSEWHERE {
        for (place, at) in ["update", "worker"].into_iter().enumerate() {
            let mut row = vec![format!("{rule}, lr {rate}, {at}")];
            for (cell, (f, attack)) in cells.iter().zip(COLUMNS) {
                let ours = ours(outcomes, rule, rate, f, attack, at);
                row.push(match (cell, ours) {
                    (Some(theirs), Some((best, last))) => {
                        let (their_best, their_last) = theirs[place];
                        let [their_best, their_last] =
                            [their_best, their_last].map(|x| f64::from(x) / 1000.0);
                        apart.push(best - their_best);
                        format!("{best:.3} ({last:.3}) | {their_best:.3} ({their_last:.3})")
                    }
                    _ => "-".into(),
                });
            }
            rows.push(row);
        }
    }
    for (n, rate, theirs) in CLEAN {
        let own = outcomes.iter().filter(|outcome| {
            let own = &outcome.settings;
            own.attack == "none" && own.n == n && is(own.learning_rate, rate) && !own.nesterov
        });
        let all: Vec<f64> = own.map(|outcome| accuracy(outcome, true)).collect();
        if !all.is_empty() {
            let best = median(&all);
            apart.push(best - theirs);
            let mut row = vec![format!("no attack, n = {n}, lr {rate}")];
            row.push(format!("{best:.3} | {theirs:.3}"));
            row.resize(1 + COLUMNS.len(), String::new());
            rows.push(row);
        }
    }
    if apart.is_empty() {
        return String::new();
    }
    let mut header = vec!["best (last) accuracy: ours | numpy, seed 1".to_owned()];
    header.extend(COLUMNS.map(|(f, attack)| format!("f = {f}, {attack}")));
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let sizes: Vec<f64> = apart.iter().map(|x| x.abs()).collect();
    let near = sizes.iter().filter(|x| **x <= 0.03).count();
    let most = sizes.iter().copied().fold(0.0, f64::max);
    format!(
        "{}\nbest accuracies: {near} of {} within 3 points, mean difference {:+.3}, mean distance \
         {:.3}, largest {most:.3}\n",
        text::table(&header, &rows, &[false; 5]),
        sizes.len(),
        mean(&apart),
        mean(&sizes)
    )
}

fn is(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

/// Median over seeds of best and last accuracies; classical momentum.
fn ours(
    outcomes: &[Outcome],
    rule: &str,
    rate: f64,
    f: usize,
    attack: &str,
    at: &str,
) -> Option<(f64, f64)> {
    let own: Vec<&Outcome> = outcomes
        .iter()
        .filter(|outcome| {
            let own = &outcome.settings;
            let name = own.rule.split(' ').next().unwrap_or("");
            let named = name == rule || (rule == "krum" && name == "multi-krum");
            let placed = own.momentum_at == at && !own.nesterov && is(own.learning_rate, rate);
            named && own.f == f && own.attack.starts_with(attack) && placed
        })
        .collect();
    let of = |best| median(&own.iter().map(|one| accuracy(one, best)).collect::<Vec<_>>());
    (!own.is_empty()).then(|| (of(true), of(false)))
}

/// The paper's statements beside what these pairs show. Its pairs are those of two data sets and
/// five seeds: of MNIST and Fashion-MNIST for fully connected networks, of CIFAR-10 and CIFAR-100
/// for convolutional ones.
pub(super) fn claims(pairs: &[Pair], dense: bool) -> String {
    let count = |holds: &dyn Fn(&Pair) -> bool| pairs.iter().filter(|pair| holds(pair)).count();
    let share = |part: usize, all: usize| match all {
        0 => "none".to_owned(),
        all => format!("{:.1} % ({part} of {all})", 100.0 * part as f64 / all as f64),
    };
    let harmed = |pair: &Pair| pair.reference - pair.update >= 0.2;
    let gains = |pair: &Pair, least: f64| pair.worker - pair.update >= least;
    let hurt = count(&harmed);
    let half =
        |pair: &Pair| ["f = 24,", "f = 11,", "f = 4,"].iter().any(|f| pair.group.starts_with(f));
    let recovered = |half_hostile: bool, least: f64| {
        let of = |pair: &Pair| half(pair) == half_hostile && harmed(pair);
        share(count(&|pair| of(pair) && gains(pair, least)), count(&of))
    };
    let published = |dense_says, other: &'static str| if dense { dense_says } else { other };
    let mut rows = vec![
        (
            "an attack costs at least 20 points",
            published("25.8 % (227 of 880)", "70.8 % (623 of 880)"),
            share(hurt, pairs.len()),
        ),
        (
            "of these, momentum at the workers recovers at least 20",
            "above 60 % (all models)",
            share(count(&|pair| harmed(pair) && gains(pair, 0.2)), hurt),
        ),
        (
            "momentum at the workers is worse than at the update",
            published("0.5 % (4 of 880), Krum under empire", "never"),
            share(count(&|pair| pair.worker < pair.update), pairs.len()),
        ),
        (
            "about half hostile: at the workers is better than at the update",
            "-",
            share(count(&|pair| half(pair) && pair.worker > pair.update), count(&half)),
        ),
    ];
    if !dense {
        let hit = |is_half: bool| {
            let of = |pair: &Pair| half(pair) == is_half;
            share(count(&|pair| of(pair) && harmed(pair)), count(&of))
        };
        rows.extend([
            ("about half hostile: an attack costs at least 20", "100 % (400 of 400)", hit(true)),
            ("of these, recovers at least 10", "79.8 % (319 of 400)", recovered(true, 0.1)),
            ("of these, recovers at least 20", "49.3 % (197 of 400)", recovered(true, 0.2)),
            ("about a quarter: an attack costs at least 20", "46.5 % (223 of 480)", hit(false)),
            ("of these, recovers at least 20", "95.1 % (212 of 223)", recovered(false, 0.2)),
        ]);
    }
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|(a, b, c)| vec![a.into(), b.into(), c]).collect();
    text::table(&["of best accuracies", "published", "here"], &rows, &[false; 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_of_convolutional_networks_stands_beside_ours() {
        let pair = |f: usize, update, worker| Pair {
            group: format!("f = {f}, alie z=1.5"),
            setting: String::new(),
            reference: 0.9,
            update,
            worker,
        };
        let pairs =
            [pair(11, 0.1, 0.25), pair(11, 0.3, 0.8), pair(5, 0.85, 0.9), pair(5, 0.6, 0.9)];
        let text = claims(&pairs, false);
        for (line, found) in [
            ("an attack costs at least 20 points", "75.0 % (3 of 4)"),
            ("about half hostile: an attack costs at least 20", "100.0 % (2 of 2)"),
            ("of these, recovers at least 10", "100.0 % (2 of 2)"),
            ("79.8", "100.0 % (2 of 2)"),
            ("49.3", "50.0 % (1 of 2)"),
            ("46.5", "50.0 % (1 of 2)"),
            ("95.1", "100.0 % (1 of 1)"),
        ] {
            let there = text.lines().any(|l| l.contains(line) && l.contains(found));
            assert!(there, "{line}: {found}\n{text}");
        }
        assert!(!claims(&pairs, true).contains("about a quarter"));
    }

    #[test]
    fn our_cells_stand_beside_theirs() {
        let mut one = Outcome::sample("multi-krum", "alie z=1.5", 1, &[0.5, 0.8]);
        one.settings.f = 24;
        one.settings.learning_rate = 0.5;
        one.settings.momentum_at = "update".into();
        let text = beside(&[one]);
        assert!(text.contains("0.800 (0.800) | 0.813 (0.785)"), "{text}");
        assert!(text.contains("1 of 1 within 3 points, mean difference -0.013"), "{text}");
        assert_eq!(beside(&[]), "");
    }
}
