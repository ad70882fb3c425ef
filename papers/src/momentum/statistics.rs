//! What the published script prints: how much attacks cost, and how much of it momentum at the
//! workers brings back, by the same seed's unattacked run.

use super::Pair;
use varangian_lab::results::{Outcome, mean};
use varangian_lab::text;

const STEPS: [f64; 3] = [0.1, 0.2, 0.4];

/// Tables for all pairs and by number of hostile workers.
pub(super) fn statistics(what: &str, pairs: &[Pair]) -> String {
    let mut header: Vec<String> = vec![format!("{what} accuracy"), "pairs".into()];
    for step in STEPS {
        header.push(format!("loss > {step}"));
        header.extend(STEPS.map(|gain| format!("gain > {gain}")));
    }
    header.extend(
        ["gain < 0", "< -.02", "< -.05", "of them ref - worker > .05", "> .1"].map(String::from),
    );
    header.push("mean gain".into());
    let mut names = vec!["all"];
    for pair in pairs {
        let hostile = pair.group.split(',').next().unwrap_or_default();
        if !names.contains(&hostile) {
            names.push(hostile);
        }
    }
    let rows: Vec<Vec<String>> = names.iter().map(|name| row(name, pairs)).collect();
    // One column a number would be wider than any terminal: numbers down, subsets across.
    let mut turned = Vec::new();
    for (k, name) in header.iter().enumerate().skip(1) {
        let indent = if name.starts_with("gain >") { "  among those, " } else { "" };
        let numbers = rows.iter().map(|row| row[k].clone());
        turned.push(std::iter::once(format!("{indent}{name}")).chain(numbers).collect());
    }
    let head: Vec<&str> = std::iter::once(header[0].as_str()).chain(names).collect();
    let right: Vec<bool> = (0..head.len()).map(|k| k > 0).collect();
    format!("{}\n", text::table(&head, &turned, &right))
}

fn of_group(pair: &Pair, name: &str) -> bool {
    pair.group.strip_prefix(name).is_some_and(|rest| rest.starts_with(','))
}

fn row(name: &str, pairs: &[Pair]) -> Vec<String> {
    let of: Vec<&Pair> =
        pairs.iter().filter(|pair| name == "all" || of_group(pair, name)).collect();
    let loss = |pair: &Pair| pair.reference - pair.update;
    let gain = |pair: &Pair| pair.worker - pair.update;
    let count =
        |holds: &dyn Fn(&Pair) -> bool| of.iter().filter(|pair| holds(pair)).count().to_string();
    let mut row = vec![name.to_owned(), of.len().to_string()];
    for least in STEPS {
        row.push(count(&|pair| loss(pair) > least));
        row.extend(STEPS.map(|x| count(&|pair| loss(pair) > least && gain(pair) > x)));
    }
    row.extend([0.0, -0.02, -0.05].map(|x| count(&|pair| gain(pair) < x)));
    let behind = |pair: &Pair, x: f64| gain(pair) < 0.0 && pair.reference - pair.worker > x;
    row.extend([0.05, 0.1].map(|x| count(&|pair| behind(pair, x))));
    row.push(format!("{:+.3}", mean(&of.iter().map(|pair| gain(pair)).collect::<Vec<_>>())));
    row
}

/// By run with a known limit: in how many steps the variance-norm ratio of what honest workers send
/// was below the rule's limit while the loss was at most the first. Empty without a study.
pub(super) fn resilient_steps(outcomes: &[Outcome]) -> String {
    let mut rows = Vec::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.settings.attack != "none") {
        let column = |name: &str| outcome.curve(&format!("study/{name}"));
        let (ratio, limit) = (column("Honest variance-norm ratio"), column("Variance-norm limit"));
        let loss = column("Average loss");
        let Some(first) = loss.first().map(|point| point.1) else { continue };
        if limit.iter().all(|point| point.1.is_nan()) {
            continue;
        }
        let below = |k: usize| ratio[k].1 < limit[k].1 && loss[k].1 <= first;
        let count = (0..ratio.len()).filter(|&k| below(k)).count();
        let sampled: Vec<f64> = column("Sampled gradient deviation")
            .iter()
            .zip(column("Sampled gradient norm"))
            .map(|(deviation, norm)| (deviation.1 / norm.1).powi(2))
            .collect();
        let middle = |values: Vec<f64>| varangian_lab::results::median(&values);
        let own = &outcome.settings;
        rows.push(vec![
            own.rule.clone(),
            own.attack.clone(),
            format!("f={} lr={} {}", own.f, own.learning_rate, own.momentum_at),
            format!("{count} of {}", ratio.len()),
            format!("{:.3}", middle(sampled)),
            format!("{:.3}", middle(ratio.iter().map(|point| point.1).collect())),
            format!("{:.2e}", limit.first().map_or(f64::NAN, |point| point.1)),
        ]);
    }
    if rows.is_empty() {
        return String::new();
    }
    let head =
        ["rule", "attack", "setting", "steps below the limit", "sampled ratio", "sent", "limit"];
    text::table(&head, &rows, &[false, false, false, true, true, true, true])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_count_losses_and_gains() {
        let pair = |update, worker| Pair {
            group: "f = 24, alie z=1.5".into(),
            setting: String::new(),
            reference: 0.95,
            update,
            worker,
        };
        let pairs = [pair(0.5, 0.9), pair(0.94, 0.90), pair(0.8, 0.91)];
        let found = row("all", &pairs);
        let all: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(all[1..6], ["3", "2", "2", "1", "0"]);
        assert_eq!(all[6..10], ["1", "1", "1", "0"]);
        assert_eq!(all[14..], ["1", "1", "0", "0", "0", "+0.157"]);
        assert!(statistics("best", &pairs).contains("  among those, gain > 0.2"));
    }
}
