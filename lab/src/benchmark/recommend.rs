//! Which pipeline to take for n workers of which f may be hostile: from the leaderboard, from what
//! is proven, and from when nothing helps.

use super::board::{Board, Place, Standing};
use super::judge::means_by_seed;
use crate::Failure;
use crate::kappa::{self, Known};
use crate::results::{mean, student};

/// What is to be defended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Workers.
    pub n: usize,
    /// Hostile ones among them, at most.
    pub f: usize,
    /// The data set of the leaderboard that is most like the task; all of them where none is named.
    pub task: Option<String>,
    /// How data are split, by the partition's name: iid, dirichlet or sorted; all where none is
    /// named.
    pub partition: Option<String>,
    /// B of (G, B)-dissimilarity, if it is known: 1/n·Σ‖∇Lᵢ − ∇L‖² ≤ G² + B²·‖∇L‖².
    pub dissimilarity: Option<f64>,
    /// Whether the server holds samples of its own.
    pub validates: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// Why nothing helps, where that is so.
    pub hopeless: Option<String>,
    /// Pipelines, the best first.
    pub picks: Vec<Pick>,
    /// What else one should know.
    pub notes: Vec<String>,
}

/// A pipeline and what speaks for it. Accuracies are shares of 1, means over the settings that were
/// looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Pick {
    /// The pipeline.
    pub rule: String,
    /// Under the worst attack of each setting.
    pub worst: f64,
    /// Under the worst of the usual five.
    pub usual: f64,
    /// Where the hostile workers behave honestly.
    pub clean: f64,
    /// What is lost where nobody attacks against the best of these pipelines there.
    pub tax: f64,
    /// Half of Student's 95 % interval of `worst` over seeds; NaN of one seed.
    pub half: f64,
    /// `worst` of each seed.
    pub seeds: Vec<f64>,
    /// Where nobody is hostile and f = 0, over all tasks; NaN where that was not judged.
    pub calm: f64,
    /// The share of stamped samples that are taken for a backdoor's target; `None` where that was
    /// not measured in any of these settings.
    pub backdoor: Option<f64>,
    /// κ that is proven at the wanted n and f.
    pub known: Known,
    /// Time of an aggregation in plain means.
    pub means: Option<f64>,
}

/// An accuracy that is this little above that of the undefended mean is no defence: 2 points.
const WORTH: f64 = 0.02;
/// What one may give up of the best worst case for another advantage: 5 points.
const NEAR: f64 = 0.05;
/// Pipelines that are named.
const NAMED: usize = 5;
/// Pipelines that are named in a sentence.
const MANY: usize = 8;

impl Board {
    /// Which pipelines to take, by the worst case in those settings of the leaderboard that are
    /// like what is wanted: of the least share of hostile workers that is no less than that.
    ///
    /// # Errors
    /// If n or f is out of range, or the leaderboard has no such task or partition.
    pub fn recommend(&self, wanted: &Wanted) -> Result<Advice, Failure> {
        let Wanted { n, f, .. } = *wanted;
        if n == 0 || f >= n {
            return Err(Failure::refused(format!("f is less than n; got n = {n}, f = {f}")));
        }
        // The mean takes whatever any rule can.
        varangian_rules::build("average", n, f)?;
        if let Some(b) = wanted.dissimilarity.filter(|b| !b.is_finite() || *b < 0.0) {
            return Err(Failure::refused(format!("B is at least 0; got {b}")));
        }
        let like = self.like(wanted)?;
        let hopeless = hopeless(wanted);
        if hopeless.is_some() {
            return Ok(Advice { hopeless, picks: Vec::new(), notes: Vec::new() });
        }
        let mut notes = Vec::new();
        let share = share_of(&like, (n, f));
        if (share.1 * n) < (f * share.0) {
            notes.push(format!(
                "nothing was judged at {f} of {n} hostile workers; these are the worst cases at {} of \
                 {}, and yours is worse",
                share.1, share.0
            ));
        }
        let is_like =
            |place: &&Place| (place.setting.n, place.setting.f) == share && wanted.covers(place);
        let mut picks: Vec<Pick> = Vec::new();
        for standing in &self.standings {
            let places: Vec<&Place> = standing.cells.iter().filter(is_like).collect();
            let fits = !places.is_empty() && places.iter().all(|place| !place.refused);
            if standing.own || standing.validates && !wanted.validates || !fits {
                continue;
            }
            let Ok(pipeline) = varangian_rules::build(&standing.rule, n, f) else { continue };
            picks.push(pick(standing, &places, kappa::known(&pipeline, n, f)));
        }
        match f {
            // What counts then is the accuracy with f = 0, and of equals the time.
            0 => picks.sort_by(|a, b| {
                let time = |pick: &Pick| pick.means.unwrap_or(f64::INFINITY);
                let calm = |pick: &Pick| if pick.calm.is_nan() { 0.0 } else { pick.calm };
                calm(b).total_cmp(&calm(a)).then(time(a).total_cmp(&time(b)))
            }),
            _ => picks.sort_by(|a, b| b.worst.total_cmp(&a.worst)),
        }
        // Each is tuned for its own worst case, the plain mean too: it need not be the best here.
        let clean = picks.iter().map(|pick| pick.clean).fold(f64::NAN, f64::max);
        picks.iter_mut().for_each(|pick| pick.tax = clean - pick.clean);
        let undefended = picks.iter().find(|pick| pick.rule == "average").cloned();
        notes.extend(self.partly());
        match f {
            0 => notes.push(sure(share)),
            _ => {
                notes.extend(undefended.and_then(|undefended| worth(&picks, &undefended)));
                notes.extend(near(&picks));
                notes.extend(closed(&picks));
            }
        }
        picks.truncate(NAMED);
        Ok(Advice { hopeless, picks, notes })
    }

    /// That the leaderboard is of a part of the protocol, where it is.
    fn partly(&self) -> Option<String> {
        let part = self.part("the leaderboard is of a part of the protocol alone: ", "");
        (!part.is_empty()).then(|| format!("{part}; what others would find is not in it"))
    }

    /// The (n, f) of the settings that are like what is wanted.
    fn like(&self, wanted: &Wanted) -> Result<Vec<(usize, usize)>, Failure> {
        let places = || self.standings.iter().flat_map(|standing| &standing.cells);
        let of = |place: &Place| (place.setting.n, place.setting.f);
        let like: Vec<_> = places().filter(|place| wanted.covers(place)).map(of).collect();
        if !like.is_empty() {
            return Ok(like);
        }
        let mut known: Vec<String> = places()
            .map(|place| format!("{} {}", place.setting.dataset, name(&place.setting.partition)))
            .collect();
        known.sort();
        known.dedup();
        let (task, partition) = (wanted.task.as_deref(), wanted.partition.as_deref());
        Err(Failure::refused(format!(
            "no setting of the leaderboard is of task {} and partition {}; it has {}",
            task.unwrap_or("any"),
            partition.unwrap_or("any"),
            known.join(", ")
        )))
    }
}

impl Wanted {
    fn covers(&self, place: &Place) -> bool {
        let setting = &place.setting;
        self.task.as_ref().is_none_or(|task| *task == setting.dataset)
            && self.partition.as_ref().is_none_or(|one| one == name(&setting.partition))
    }
}

/// A partition without its parameters.
fn name(partition: &str) -> &str {
    partition.split_whitespace().next().unwrap_or_default()
}

/// Why no rule on rows alone can help.
fn hopeless(wanted: &Wanted) -> Option<String> {
    let Wanted { n, f, .. } = *wanted;
    if 2 * f >= n {
        return Some(format!(
            "f = {f} of n = {n} is half of the workers or more: whatever looks at nothing but rows \
             cannot tell which half is honest. Only data of the server's own can; zeno and fltrust \
             ask for it and take any f below n, which the leaderboard does not judge"
        ));
    }
    let b = wanted.dissimilarity?;
    let most = 1.0 / (2.0 + b * b);
    (f as f64 / n as f64 >= most).then(|| {
        format!(
            "f/n = {:.3} is not below 1/(2 + B²) = {most:.3} at B = {b}: with data so different no \
             method learns for sure (Allouah et al., NeurIPS 2023, arXiv 2309.13591); data must be \
             more alike, or hostile workers fewer than {:.1}",
            f as f64 / n as f64,
            most * n as f64
        )
    })
}

/// Of the judged (n, f) the one of the least share that is no less than the wanted one; of the
/// largest share where there is none.
fn share_of(like: &[(usize, usize)], (n, f): (usize, usize)) -> (usize, usize) {
    let share = |one: &(usize, usize)| one.1 as f64 / one.0 as f64;
    let enough = like.iter().filter(|one| one.1 * n >= f * one.0);
    let least = enough.min_by(|a, b| share(a).total_cmp(&share(b)));
    let most = || like.iter().max_by(|a, b| share(a).total_cmp(&share(b)));
    *least.or_else(most).expect("some are like it")
}

fn backdoor(places: &[&Place]) -> Option<f64> {
    let rates: Vec<f64> = places.iter().filter_map(|place| place.backdoor).collect();
    (!rates.is_empty()).then(|| mean(&rates))
}

fn pick(standing: &Standing, places: &[&Place], known: Known) -> Pick {
    let average = |of: fn(&Place) -> f64| mean(&places.iter().map(|p| of(p)).collect::<Vec<_>>());
    let by_place = places.iter().map(|place| (place.seeds.as_slice(), place.worst));
    let seeds = means_by_seed(by_place.collect());
    Pick {
        rule: standing.rule.clone(),
        worst: average(|place| place.worst),
        usual: average(|place| place.usual),
        clean: average(|place| place.clean),
        tax: f64::NAN,
        half: student(&seeds).half,
        seeds,
        calm: standing.calm,
        backdoor: backdoor(places),
        known,
        means: standing.means,
    }
}

/// Whether a defence is worth it at all.
fn worth(picks: &[Pick], undefended: &Pick) -> Option<String> {
    let best = picks.first()?;
    (best.worst < undefended.worst + WORTH).then(|| {
        format!(
            "no defence is worth it there: the plain mean ends at {:.1} % under its worst attack, the \
             best at {:.1} %",
            100.0 * undefended.worst,
            100.0 * best.worst
        )
    })
}

/// What is to be said where nobody is hostile.
fn sure((n, f): (usize, usize)) -> String {
    format!(
        "with f = 0 the order is of the accuracy where nobody is hostile and the server knows it, and of \
         equals the fastest comes first; whoever is not sure of that should ask for f = 1: worst \
         cases here are at {f} of {n}"
    )
}

/// Those that the seeds do not tell from the best: Student's 95 % of the difference, seed by seed,
/// as runs of one seed have the same data and start.
fn near(picks: &[Pick]) -> Option<String> {
    let (best, others) = picks.split_first()?;
    let seeds = picks.iter().map(|pick| pick.seeds.len()).min()?;
    if seeds < 2 {
        return Some(
            "chance is not known, as of one seed or none: the order may be another with others"
                .into(),
        );
    }
    let is_close = |pick: &&Pick| {
        let pairs = best.seeds.iter().zip(&pick.seeds);
        let apart = student(&pairs.map(|(a, b)| a - b).collect::<Vec<_>>());
        apart.mean <= apart.half
    };
    let close: Vec<&str> = others.iter().filter(is_close).map(|pick| pick.rule.as_str()).collect();
    let named = close[..close.len().min(MANY)].join(", ");
    let more = match close.len().saturating_sub(MANY) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!close.is_empty()).then(|| format!("the seeds do not tell it from: {named}{more}"))
}

/// What lets fewer backdoors in than the best by accuracy, and is nearly as good there.
fn closed(picks: &[Pick]) -> Option<String> {
    let best = picks.first()?;
    let open = best.backdoor?;
    let near = picks.iter().filter(|pick| pick.worst >= best.worst - NEAR);
    let rated = near.filter_map(|pick| Some((pick.backdoor?, pick)));
    // Of equals the better worst case.
    let (least, pick) = rated.min_by(|a, b| a.0.total_cmp(&b.0))?;
    (least < open - WORTH).then(|| {
        format!(
            "{} does not keep backdoors out: of images with a hidden patch its models take {:.1} % for \
             what the hostile workers want, those of {} {:.1} %, at a worst case of {:.1} %",
            best.rule,
            100.0 * open,
            pick.rule,
            100.0 * least,
            100.0 * pick.worst
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::Part;
    use super::super::judge::tests::entry;
    use super::*;

    fn board() -> Board {
        let entries = [
            entry("average", 0.45),
            entry("median", 0.9),
            entry("trimmed-mean", 0.8),
            entry("bulyan", 0.95),
            entry("zeno b=4", 0.99),
        ];
        Board::of(&entries).unwrap()
    }

    fn wanted(n: usize, f: usize) -> Wanted {
        Wanted { n, f, ..Wanted::default() }
    }

    fn rules(advice: &Advice) -> Vec<&str> {
        advice.picks.iter().map(|pick| pick.rule.as_str()).collect()
    }

    #[test]
    fn the_best_worst_case_that_takes_the_wanted_n_and_f_is_named() {
        let advice = board().recommend(&wanted(20, 3)).unwrap();
        assert_eq!(rules(&advice), ["bulyan", "median", "trimmed-mean", "average"]);
        let median = &advice.picks[1];
        // Bulyan gets 0.95, the median 0.9, where nobody attacks.
        assert!((median.tax - 0.05).abs() < 1e-12 && (median.worst - 0.8).abs() < 1e-12);
        assert_eq!(advice.picks[2].known, Known::Exact(3.0 / 14.0));
        // At four of eleven bulyan's bound leaves it out; the server's data let zeno in.
        let own = Wanted { validates: true, ..wanted(10, 3) };
        assert_eq!(rules(&board().recommend(&own).unwrap())[..2], ["zeno b=4", "median"]);
        let beyond = board().recommend(&wanted(100, 45)).unwrap();
        assert!(beyond.notes[0].contains("at 4 of 11"), "{:?}", beyond.notes);
    }

    #[test]
    fn intervals_are_of_the_settings_that_are_looked_at_and_pairs_of_seeds_are_compared() {
        use super::super::judge::tests::judge_all;
        // On the table seeds differ by a hundredth, and the two rules always by half of that.
        let with = |rule: &str, less: f64| {
            judge_all(rule, |run| match run.dataset.as_str() {
                "logreg" => 0.9 + 0.01 * run.seed as f64 - less,
                _ => 0.5,
            })
            .unwrap()
        };
        let entries = [with("median", 0.0), with("krum", 0.005), with("average", 0.2)];
        let board = Board::of(&entries).unwrap();
        let table = Wanted { task: Some("logreg".into()), ..wanted(11, 2) };
        let advice = board.recommend(&table).unwrap();
        let half = student(&[0.91, 0.92, 0.93, 0.94, 0.95]).half;
        for pick in &advice.picks {
            assert!((pick.half - half).abs() < 1e-12, "{pick:?} {half}");
        }
        // Their intervals overlap, and seed by seed the first is always better.
        assert!(half > 0.01 && rules(&advice) == ["median", "krum", "average"]);
        assert!(advice.notes.iter().all(|note| !note.contains("seeds do not tell")), "{advice:?}");
        let digits = Wanted { task: Some("glyphs".into()), ..wanted(11, 2) };
        let advice = board.recommend(&digits).unwrap();
        assert!(advice.picks.iter().all(|pick| pick.half == 0.0), "{advice:?}");
        let same = advice.notes.iter().find(|note| note.contains("seeds do not tell it")).unwrap();
        assert!(same.contains("from: "), "{same}");
        // Many are named, and how many more there are.
        let all = varangian_rules::ALL.iter().map(|one| one.name);
        let fits = |name: &&str| {
            varangian_rules::build(name, 11, 4).is_ok_and(|rule| !rule.needs_oracle())
        };
        let many: Vec<super::super::Entry> =
            all.filter(fits).take(14).map(|rule| judge_all(rule, |_| 0.5).unwrap()).collect();
        let notes = Board::of(&many).unwrap().recommend(&wanted(11, 2)).unwrap().notes;
        assert!(notes.iter().any(|note| note.ends_with(" and 5 more")), "{notes:?}");
    }

    #[test]
    fn nobody_hostile_a_part_and_one_seed_are_said() {
        let sure = board().recommend(&wanted(11, 0)).unwrap();
        // Where nobody is hostile the sample's runs end at what they were given.
        assert_eq!(rules(&sure)[0], "bulyan");
        assert!(sure.notes.iter().any(|note| note.contains("with f = 0 the order is")), "{sure:?}");
        let part = |rule: &str, value: f64| {
            let mut entry = entry(rule, value);
            entry.only = Part::parse(&["seed=1".to_owned()]).unwrap();
            let lines = entry.cells.iter_mut().flat_map(|cell| &mut cell.attacks);
            lines.for_each(|line| line.seeds.truncate(1));
            entry
        };
        let entries = [part("median", 0.9), part("krum", 0.9)];
        let advice = Board::of(&entries).unwrap().recommend(&wanted(20, 3)).unwrap();
        let notes = advice.notes.join("\n");
        assert!(notes.contains("part of the protocol alone: seed=1"), "{notes}");
        assert!(notes.contains("chance is not known, as of one seed"), "{notes}");
        assert!(advice.picks[0].half.is_nan());
        // Numbers that no rule takes are not a matter of bounds.
        for n in [3_000_000_000, usize::MAX] {
            let error = board().recommend(&wanted(n, n / 10)).unwrap_err().to_string();
            assert!(error.contains("2147483648") && error.contains(&n.to_string()), "{error}");
        }
    }

    #[test]
    fn when_nothing_helps_that_is_said() {
        let half = board().recommend(&wanted(10, 5)).unwrap();
        assert!(half.picks.is_empty() && half.hopeless.unwrap().contains("half of the workers"));
        let b = Wanted { dissimilarity: Some(2.0), ..wanted(12, 2) };
        let why = board().recommend(&b).unwrap().hopeless.unwrap();
        assert!(why.contains("1/(2 + B²) = 0.167 at B = 2"), "{why}");
        let less = Wanted { dissimilarity: Some(1.0), ..wanted(12, 2) };
        assert_eq!(board().recommend(&less).unwrap().hopeless, None);
        let useless = Board::of(&[entry("average", 0.9), entry("median", 0.9)]).unwrap();
        let notes = useless.recommend(&wanted(11, 2)).unwrap().notes;
        assert!(notes[0].starts_with("no defence is worth it"), "{notes:?}");
    }

    #[test]
    fn who_lets_backdoors_in_is_said_beside_who_does_not() {
        use crate::benchmark::{Backdoors, Hidden, Opened};
        let with = |rule: &str, value: f64, rate: f64| {
            let mut entry = entry(rule, value);
            let digits = entry.cells.iter().filter(|cell| cell.setting.dataset == "glyphs");
            let opened = |setting: &super::super::Setting| {
                // Whoever is not asked about these settings does not count.
                let rate = if setting.f == 2 { rate } else { 1.0 };
                let seeds = vec![rate; 5];
                let attack = "backdoor".to_owned();
                let one = Hidden { attack: attack.clone(), rate, accuracy: value, seeds };
                let (setting, attacks) = (setting.clone(), vec![one]);
                Opened { setting, rate, by: attack, chance: 0.02, attacks }
            };
            let cells: Vec<Opened> = digits.map(|cell| opened(&cell.setting)).collect();
            let (protocol, configuration) = (String::new(), String::new());
            let found = Backdoors { protocol, configuration, rate, half: 0.0, chance: 0.02, cells };
            entry.backdoors = Some(found);
            entry
        };
        let entries = [
            with("median", 0.9, 0.5),
            with("krum", 0.88, 0.25),
            with("trimmed-mean", 0.87, 0.03),
            // Farther behind than anyone gives up for it, and not measured.
            with("monna", 0.7, 0.0),
            entry("cge", 0.89),
        ];
        let advice = Board::of(&entries).unwrap().recommend(&wanted(22, 4)).unwrap();
        let rates: Vec<_> = advice.picks.iter().map(|pick| pick.backdoor).collect();
        assert_eq!(rates, [Some(0.5), None, Some(0.25), Some(0.03), Some(0.0)]);
        let said = advice.notes.last().unwrap();
        assert!(said.contains("median does not keep backdoors out"), "{said}");
        assert!(said.contains("50.0 %") && said.contains("trimmed-mean 3.0 %"), "{said}");
        let alone = Board::of(&entries[2..4]).unwrap().recommend(&wanted(22, 4)).unwrap();
        assert!(alone.notes.iter().all(|note| !note.contains("backdoors")), "{:?}", alone.notes);
    }

    #[test]
    fn wishes_are_held_to_what_was_judged() {
        let sorted = Wanted { partition: Some("sorted".into()), ..wanted(11, 2) };
        assert!(!board().recommend(&sorted).unwrap().picks.is_empty());
        let task = Wanted { task: Some("mnist".into()), ..wanted(11, 2) };
        let error = board().recommend(&task).unwrap_err().to_string();
        assert!(error.contains("of task mnist") && error.contains("glyphs sorted"), "{error}");
        assert!(board().recommend(&wanted(3, 3)).is_err());
        let b = Wanted { dissimilarity: Some(f64::NAN), ..wanted(3, 1) };
        assert!(board().recommend(&b).unwrap_err().to_string().contains("B is at least 0"));
    }
}
