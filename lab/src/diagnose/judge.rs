//! From what was measured to who is suspected.

use super::Step;
use super::measure::{Look, cosine_with_others, median, two_groups};
use crate::text::number;
use std::collections::{BTreeMap, BTreeSet};
use varangian_rules::evidence::{LEAST, outlying};

/// The chance below which a finding is one: of all honest crowds, at most this part has any.
pub const LEVEL: f64 = 0.05;

/// Distance from the median, length, cosine.
const LOOKS: usize = 3;

/// A worker whose rows are unlike the others'.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    /// Who.
    pub worker: u32,
    /// The step from which on it is.
    pub since: u64,
    /// In how many of the steps it was seen to be.
    pub steps: usize,
    /// The chance that some worker of an honest crowd looks so in these steps; `None` where the
    /// finding is a fact.
    pub p: Option<f64>,
    /// What its rows look like, in words.
    pub looks: String,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Diagnosis {
    /// Who stands out, by worker.
    pub suspects: Vec<Suspect>,
    /// What else the rows show, and why nothing can be said where nothing can; a sentence each.
    pub remarks: Vec<String>,
    /// For each worker the least p of its rows, corrected for looks, rows and steps; `None` where
    /// nothing can be said.
    pub p: BTreeMap<u32, Option<f64>>,
    /// In how many steps each worker was the oddest by any look.
    pub oddest: BTreeMap<u32, usize>,
}

/// Judges the rows of one step or of several, in order.
pub fn diagnose(steps: &[Step]) -> Diagnosis {
    let workers: BTreeSet<u32> = steps
        .iter()
        .flat_map(|step| step.ids.iter().copied().chain(step.refused.iter().map(|(id, _)| *id)))
        .collect();
    let judged: Vec<Judged> = steps.iter().map(Judged::of).collect();
    let mut out = Diagnosis::default();
    for &worker in &workers {
        let chance = chance(worker, steps, &judged);
        let odd = |judged: &&Judged| judged.oddest.contains(&Some(worker));
        out.oddest.insert(worker, judged.iter().filter(odd).count());
        out.p.insert(worker, chance.as_ref().map(|chance| chance.p));
        let fact = refused(worker, steps)
            .or_else(|| zeros(worker, steps))
            .or_else(|| again(worker, steps, workers.len()))
            .or_else(|| apart_from_equals(worker, steps));
        let found = fact.or_else(|| {
            let chance = chance.filter(|chance| chance.p <= LEVEL)?;
            let looks = looks(worker, chance.since, steps);
            let (since, steps) = (chance.since, chance.steps);
            Some(Suspect { worker, since, steps, p: Some(chance.p), looks })
        });
        out.suspects.extend(found);
    }
    out.remarks = remarks(steps, &out.suspects, workers.len());
    out
}

/// The rows of a step beside each other.
struct Judged {
    /// p by look, of each finite row.
    p: [Vec<Option<f64>>; LOOKS],
    /// The worker with the least p, by look.
    oddest: [Option<u32>; LOOKS],
}

impl Judged {
    fn of(step: &Step) -> Judged {
        let rows = &step.looks;
        let logs: Vec<f64> = rows.iter().map(|row| row.norm.ln()).collect();
        let shortest = logs.iter().copied().filter(|log| log.is_finite()).fold(0.0, f64::min);
        let p = [
            outlying(&rows.iter().map(|row| row.off).collect::<Vec<_>>()),
            // A row of zeros is shorter than any other by far.
            outlying(&logs.iter().map(|log| log.max(shortest - 700.0)).collect::<Vec<_>>()),
            outlying(&rows.iter().map(|row| row.cosine).collect::<Vec<_>>()),
        ];
        let least = |p: &Vec<Option<f64>>| {
            let all = p.iter().enumerate().filter_map(|(i, p)| Some((i, (*p)?)));
            all.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| step.ids[i])
        };
        let oddest = std::array::from_fn(|look| least(&p[look]));
        Judged { p, oddest }
    }
}

/// How likely it is that some honest worker looks as this one does, and from when on it does.
struct Chance {
    p: f64,
    since: u64,
    steps: usize,
}

fn chance(worker: u32, steps: &[Step], judged: &[Judged]) -> Option<Chance> {
    let t = steps.len();
    let n = steps.iter().map(|step| step.ids.len()).max()?;
    let tried = (LOOKS * n * t) as f64;
    let p_of = |look: usize, i: usize| {
        let row = steps[i].ids.binary_search(&worker).ok()?;
        judged[i].p[look][row]
    };
    let each = |i: usize| (0..LOOKS).filter_map(|look| p_of(look, i)).min_by(f64::total_cmp);
    let alone = (0..t).filter_map(each).min_by(f64::total_cmp)? * tried;
    // The steps in which one row alone would be a finding.
    let clear: Vec<usize> =
        (0..t).filter(|&i| each(i).is_some_and(|p| p * tried <= LEVEL)).collect();
    // How often it is the oddest from some step on, and from which this is least likely.
    let mut often = (1.0, 0, 0);
    for look in 0..LOOKS {
        let mut count = 0;
        for i in (0..t).rev() {
            count += usize::from(judged[i].oddest[look] == Some(worker));
            let p = at_least(count, t - i, 1.0 / n as f64) * tried;
            if p < often.0 {
                often = (p, i, count);
            }
        }
    }
    let looked = if t > 1 { 2.0 } else { 1.0 };
    let p = (looked * alone.min(often.0)).min(1.0);
    // Before the first clear step, those in which its row is unusual by itself.
    let unusual = |i: usize| each(i).is_some_and(|p| p <= LEVEL);
    let first = clear.first().map(|&clear| {
        let before = (0..clear).rev().take_while(|&i| unusual(i)).count();
        clear - before
    });
    let (first, count) = match first {
        Some(first) => (first, (first..t).filter(|&i| unusual(i)).count()),
        None => (often.1, often.2),
    };
    Some(Chance { p, since: steps[first].step, steps: count })
}

/// A bound on the chance of k or more of t, each with chance q (Chernoff's, by relative entropy).
fn at_least(k: usize, t: usize, q: f64) -> f64 {
    let (k, t) = (k as f64, t as f64);
    let part = k / t;
    if part <= q {
        return 1.0;
    }
    let term = |a: f64, b: f64| if a > 0.0 { a * (a / b).ln() } else { 0.0 };
    (-t * (term(part, q) + term(1.0 - part, 1.0 - q))).exp()
}

/// A worker that sent what no rule may see.
fn refused(worker: u32, steps: &[Step]) -> Option<Suspect> {
    let of = |step: &Step| {
        let found = step.refused.iter().find(|(id, _)| *id == worker)?;
        Some((step.step, found.1.clone()))
    };
    let all: Vec<(u64, String)> = steps.iter().filter_map(of).collect();
    let (since, why) = all.first()?.clone();
    Some(Suspect { worker, since, steps: all.len(), p: None, looks: format!("refused: {why}") })
}

/// A worker that sends zeros, where most others do not.
fn zeros(worker: u32, steps: &[Step]) -> Option<Suspect> {
    let empty = |look: &Look| look.norm == 0.0;
    let few =
        |step: &&Step| 2 * step.looks.iter().filter(|look| empty(look)).count() < step.looks.len();
    let found: Vec<u64> = steps
        .iter()
        .filter(|step| step.look(worker).is_some_and(empty))
        .filter(few)
        .map(|step| step.step)
        .collect();
    let looks = "all zeros".to_owned();
    Some(Suspect { worker, since: *found.first()?, steps: found.len(), p: None, looks })
}

/// A worker that sends an earlier row of its own again, where most others do not.
fn again(worker: u32, steps: &[Step], n: usize) -> Option<Suspect> {
    let pairs = || (1..steps.len()).flat_map(|i| (0..i).rev().map(move |j| (i, j)));
    let same =
        |worker: u32, i: usize, j: usize| match (steps[i].look(worker), steps[j].look(worker)) {
            (Some(a), Some(b)) => a.hash == b.hash,
            _ => false,
        };
    let found: Vec<(usize, usize)> = pairs().filter(|&(i, j)| same(worker, i, j)).collect();
    let &(i, j) = found.first()?;
    let others = steps[i].ids.iter().filter(|&&id| same(id, i, j)).count();
    if 2 * others >= n {
        return None;
    }
    let again: BTreeSet<usize> = found.iter().map(|(i, _)| *i).collect();
    let looks = format!("stale: sent its row of step {} again, bit for bit", steps[j].step);
    Some(Suspect { worker, since: steps[i].step, steps: again.len(), p: None, looks })
}

/// A worker whose row differs where more than half of all rows are equal bit for bit.
fn apart_from_equals(worker: u32, steps: &[Step]) -> Option<Suspect> {
    let mut found = Vec::new();
    for step in steps {
        let Some(own) = step.look(worker) else { continue };
        let equal = common(step);
        if let Some((_, count)) = equal.filter(|(hash, _)| *hash != own.hash) {
            found.push((step.step, count, step.ids.len(), own));
        }
    }
    let &(since, count, n, own) = found.first()?;
    let (k, (found_there, median)) = (own.peak, own.at_peak);
    let looks = format!(
        "{count} of {n} rows are equal bit for bit, and this is not: coordinate {k} is \
         {found_there:.3e} where the median is {median:.3e}"
    );
    Some(Suspect { worker, since, steps: found.len(), p: None, looks })
}

/// The row that more than half of all rows are, if there is one, and how many are.
fn common(step: &Step) -> Option<([u8; 32], usize)> {
    let mut counts: BTreeMap<[u8; 32], usize> = BTreeMap::new();
    step.looks.iter().for_each(|row| *counts.entry(row.hash).or_default() += 1);
    counts.into_iter().find(|(_, count)| 2 * count > step.looks.len() && *count > 2)
}

/// Steps that are looked at once more to say what a suspect's rows look like.
const AGAIN: usize = 8;

/// What the worker's rows look like from `since` on: of all steps the middle, in up to eight of
/// them beside the median of the others alone.
fn looks(worker: u32, since: u64, steps: &[Step]) -> String {
    let of = |step: &Step| step.ids.binary_search(&worker).ok();
    let later: Vec<(&Step, usize)> = steps
        .iter()
        .filter(|step| step.step >= since)
        .filter_map(|step| Some((step, of(step)?)))
        .collect();
    let mean = |numbers: Vec<f64>| numbers.iter().sum::<f64>() / numbers.len() as f64;
    let cosine = later.iter().take(AGAIN).map(|(step, i)| cosine_with_others(&step.rows, *i));
    let beside = |of: fn(&Look) -> f64| {
        let ratio = |(step, i): &(&Step, usize)| {
            let others = (0..step.ids.len()).filter(|j| j != i).map(|j| of(&step.looks[j]));
            of(&step.looks[*i]) / median(others.collect())
        };
        median(later.iter().map(ratio).collect())
    };
    let others =
        later.iter().map(|(step, _)| median(step.looks.iter().map(|l| l.cosine).collect()));
    let odd = later.iter().map(|(step, i)| (&step.looks[*i], step.d()));
    let odd = odd.max_by(|a, b| a.0.peak_part.total_cmp(&b.0.peak_part));
    describe(&Beside {
        times: beside(|look| look.norm),
        far: beside(|look| look.off),
        cosine: mean(cosine.collect()),
        usual: mean(others.collect()),
        peak: odd.filter(|(look, d)| look.peak_part >= 0.9 && *d >= 10).map(|(look, _)| look),
    })
}

/// A suspect's rows beside the others'.
struct Beside<'a> {
    /// Its length over theirs.
    times: f64,
    /// Its distance from the median over theirs.
    far: f64,
    /// Its cosine with the median of the others.
    cosine: f64,
    /// Their cosine with the median of all.
    usual: f64,
    /// The row of which one coordinate alone is off.
    peak: Option<&'a Look>,
}

/// That in words.
fn describe(row: &Beside<'_>) -> String {
    let Beside { times, far, cosine, usual, peak } = *row;
    if let Some(look) = peak {
        let (k, (found, median)) = (look.peak, look.at_peak);
        let part = (look.peak_part * 1000.0).floor() / 10.0;
        return format!(
            "one number is off: coordinate {k} is {found:.3e} where the median is {median:.3e}, \
             {part:.1} % of the row's squared distance from it"
        );
    }
    let usually = (0.8..=1.25).contains(&times);
    let longer = match usually {
        true => "as long as the others".to_owned(),
        false => format!("{} times as long as the others", number(times)),
    };
    if usual > 0.0 && cosine <= -0.25 * usual {
        return format!("points the other way (cosine {cosine:.3}), {longer}");
    }
    if cosine >= 0.5 * usual && !usually {
        return format!("the direction of the others, {longer}");
    }
    let far = number(far);
    format!("{far} times as far off as the others (cosine {cosine:.3}), {longer}")
}

/// What else is to be said.
fn remarks(steps: &[Step], suspects: &[Suspect], n: usize) -> Vec<String> {
    let mut out = Vec::new();
    let most = steps.iter().map(|step| step.ids.len()).max().unwrap_or(0);
    if most < LEAST {
        out.push(format!(
            "{LEAST} finite rows a step are needed to say what is usual among them; found {most}"
        ));
    }
    if 2 * suspects.len() >= n {
        out.push(format!(
            "{} of {n} workers stand out: with half of all or more, rows alone cannot tell which \
             side is wrong, and no rule withstands it",
            suspects.len()
        ));
    }
    let pairs: Vec<String> = steps.iter().flat_map(equals).collect();
    out.extend(pairs.into_iter().take(3));
    out.extend(steps.iter().find_map(|step| apart(step, suspects)));
    if suspects.is_empty() && most >= LEAST {
        out.push(
            "no row stands out; rows that are wrong together by half or more, or that hide within \
             the others' spread, look like this too"
                .to_owned(),
        );
    }
    out
}

/// Two groups of rows of which neither is small.
fn apart(step: &Step, suspects: &[Suspect]) -> Option<String> {
    let [few, many] = two_groups(&step.rows)?;
    if few.len() < 2 || 3 * few.len() < step.ids.len() {
        return None;
    }
    let named = |group: Vec<usize>| group.into_iter().map(|i| step.ids[i]).collect::<Vec<u32>>();
    let (few, many) = (named(few), named(many));
    let all = few.iter().all(|id| suspects.iter().any(|suspect| suspect.worker == *id));
    let which = match all {
        true => "that the larger is right is an assumption",
        false => "which of them is right, rows alone cannot tell",
    };
    Some(format!(
        "in step {} the rows fall into two groups, workers {few:?} and workers {many:?}: {which}",
        step.step
    ))
}

/// Workers of one step that sent the same row, where not most did.
fn equals(step: &Step) -> Vec<String> {
    let mut groups: BTreeMap<[u8; 32], Vec<u32>> = BTreeMap::new();
    for (id, look) in step.ids.iter().zip(&step.looks) {
        groups.entry(look.hash).or_default().push(*id);
    }
    let some = groups.into_values().filter(|ids| ids.len() > 1 && 2 * ids.len() <= step.ids.len());
    some.map(|ids| format!("workers {ids:?} sent one row, bit for bit, in step {}", step.step))
        .collect()
}
