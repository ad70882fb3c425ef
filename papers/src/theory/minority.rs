//! What is left of an honest client whose data are unlike the others', with nobody hostile
//! (ACFA, arXiv 2607.10305; the table stands in the README of its adapter for Flower, "a minority
//! client is excluded, with zero adversaries").
//!
//! One client's row is drawn from N(shift, 1) in every coordinate, those of the other n − 1 from
//! N(0, 1). Retained is the mean over coordinates and rounds of the aggregate, over shift/n: what
//! survives of the client's proportional share. The mean retains all of it.

use super::sheet::Sheet;
use varangian_base::{Domain, Matrix, Seed, SpecError};
use varangian_lab::results::student;
use varangian_rules::{Pipeline, Round, Verdict};

/// What is drawn and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Minority {
    /// Numbers of clients, the odd one included; 2 or more.
    pub clients: Vec<usize>,
    /// Coordinates of a row; 1 or more. The source's test has 32.
    pub coordinates: usize,
    /// Rounds behind each figure; 2 or more. The source has 50.
    pub rounds: usize,
    /// The mean of the odd client's coordinates; above 0. The source has 3.
    pub shift: f64,
    /// Rules that are looked at beside those of the source, with f = 1.
    pub rules: Vec<String>,
    /// Of the draws.
    pub seed: Seed,
}

impl Default for Minority {
    fn default() -> Self {
        let rules = ["krum", "median", "geometric-median", "nnm | trimmed-mean", "arc | median"];
        Minority {
            clients: vec![10, 20, 40],
            coordinates: 32,
            rounds: 4000,
            shift: 3.0,
            rules: rules.map(str::to_owned).into(),
            seed: Seed(1),
        }
    }
}

/// What is retained of the odd client, in %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retained {
    /// The mean over rounds.
    pub share: f64,
    /// Half of Student's 95 % interval over rounds.
    pub half: f64,
    /// The mean over rounds of n times the client's weight, where the rule tells weights of rows.
    pub weight: Option<f64>,
}

/// A rule of the source: its name there, ours, the f that we declare at n clients, and what the
/// source retains at 10, 20 and 40 clients, in %.
///
/// The source declares f = 1. Its KRUM averages the n − f − 2 best rows; its MEDIAN_TRIMMED the
/// n − 2f values nearest to the median, which is our `meamed` with f = 2, but of an even number of
/// values it takes the upper middle one for the median, which shifts the answer up whoever sends;
/// its TRIMMED drops a quarter at each end.
struct Theirs(&'static str, &'static str, fn(usize) -> usize, [i32; 3]);

const SOURCE: [Theirs; 4] = [
    Theirs("MEAN", "average", |_| 1, [102, 103, 98]),
    Theirs("KRUM", "multi-krum", |_| 1, [3, 0, 0]),
    Theirs("MEDIAN_TRIMMED", "meamed", |_| 2, [42, 23, 32]),
    Theirs("TRIMMED", "trimmed-mean", |n| n / 4, [48, 41, 56]),
];
const SIZES: [usize; 3] = [10, 20, 40];
/// The source's coordinates and shift.
const DRAWN: (usize, f64) = (32, 3.0);
/// The most clients, and numbers in their rows.
const MOST_CLIENTS: usize = 10_000;
const MOST_NUMBERS: usize = 1 << 26;
/// The most rounds.
const MOST_ROUNDS: usize = 1_000_000;

impl Minority {
    /// The table: a line for each rule and number of clients.
    ///
    /// # Errors
    /// If a number is out of range, or a rule is unknown or does not take n and f.
    pub fn table(&self) -> Result<Sheet, SpecError> {
        self.check()?;
        let is_theirs = (self.coordinates, self.shift) == DRAWN;
        let mut clients = self.clients.clone();
        clients.dedup();
        let (mut lines, mut refused) = (Vec::new(), Vec::new());
        let own = self.rules.iter().map(|rule| ("", rule.as_str(), None));
        let all = SOURCE.iter().map(|Theirs(name, rule, f, told)| (*name, *rule, Some((*f, told))));
        for (name, rule, source) in all.chain(own) {
            for &n in &clients {
                let f = source.map_or(1, |(f, _)| f(n));
                let size = SIZES.iter().position(|size| is_theirs && *size == n);
                let told = source.zip(size).map(|((_, told), size)| told[size].to_string());
                let found = match Pipeline::parse(rule)?.check(n, f) {
                    Ok(()) => Some(self.retained(rule, n, f)?),
                    Err(why) => {
                        refused.push(format!("\n{why}\n"));
                        None
                    }
                };
                let cell = |value: Option<f64>| value.map_or("-".into(), |x| format!("{x:.1}"));
                lines.push(vec![
                    name.to_owned(),
                    rule.to_owned(),
                    n.to_string(),
                    f.to_string(),
                    told.unwrap_or_else(|| "-".into()),
                    cell(found.map(|found| found.share)),
                    cell(found.map(|found| found.half)),
                    cell(found.and_then(|found| found.weight)),
                ]);
            }
        }
        refused.dedup();
        let head = ["theirs", "rule", "n", "f", "published %", "retained %", "±", "weight %"];
        let numeric = [false, false, true, true, true, true, true, true];
        let setting = format!(
            "One client from N({}, 1), the others from N(0, 1), nobody hostile; {} coordinates, {} \
             rounds\n\n",
            self.shift, self.coordinates, self.rounds
        );
        let theirs = match is_theirs {
            true => "",
            false => {
                "\nWhat is published is of N(3, 1) in 32 coordinates, and not shown beside these.\n"
            }
        };
        Ok(Sheet::default().words(setting).table("retained", &head, lines, &numeric).words(
            "\nRetained: the mean of the aggregate over shift/n. Weight: n times the client's weight, \
             where\nthe rule tells weights of rows.\n",
        ).words(refused.concat()).words(theirs))
    }

    /// What `rule` retains of the odd one of n clients where f hostile ones are reckoned with.
    /// Costs `rounds` aggregations.
    ///
    /// # Errors
    /// As [`Minority::table`].
    pub fn retained(&self, rule: &str, n: usize, f: usize) -> Result<Retained, SpecError> {
        self.check()?;
        let mut pipeline = Pipeline::parse(rule)?;
        pipeline.check(n, f)?;
        if pipeline.needs_oracle() {
            let text = format!("{rule} asks for the server's own data; here are only rows");
            return Err(SpecError::new(text));
        }
        let (mut rows, mut out) = (Matrix::zeros(n, self.coordinates), vec![0.0; self.coordinates]);
        let (mut shares, mut weights) = (Vec::new(), Vec::new());
        for step in 0..self.rounds as u64 {
            for i in 0..n {
                let mut stream = self.seed.stream(Domain::Evaluation, i as u32, step);
                let mean = if i == 0 { self.shift } else { 0.0 };
                rows.row_mut(i).fill_with(|| (mean + stream.normal()) as f32);
            }
            let mut verdict = Verdict::default();
            let mut round = Round { step, ..Round::of(rows.rows(), f) };
            pipeline.aggregate(&mut round, &mut out, &mut verdict);
            let mean = out.iter().map(|&x| f64::from(x)).sum::<f64>() / out.len() as f64;
            shares.push(100.0 * mean * n as f64 / self.shift);
            weights.extend(verdict.weights.first().map(|weight| 100.0 * weight * n as f64));
        }
        let interval = student(&shares);
        let weight = (weights.len() == shares.len()).then(|| student(&weights).mean);
        Ok(Retained { share: interval.mean, half: interval.half, weight })
    }

    fn check(&self) -> Result<(), SpecError> {
        let refused = |what: &str, least: &str, found: String| {
            Err(SpecError::new(format!("{what} must be {least}; got {found}")))
        };
        let least = self.clients.iter().min().copied().unwrap_or_default();
        let most = self.clients.iter().max().copied().unwrap_or_default();
        match self {
            _ if least < 2 => refused("numbers of clients", "2 or more", least.to_string()),
            _ if most > MOST_CLIENTS => {
                refused("numbers of clients", &format!("{MOST_CLIENTS} at most"), most.to_string())
            }
            _ if most.saturating_mul(self.coordinates) > MOST_NUMBERS => refused(
                "clients times coordinates",
                &format!("{MOST_NUMBERS} at most"),
                format!("{most} times {}", self.coordinates),
            ),
            Minority { rounds, .. } if *rounds > MOST_ROUNDS => {
                refused("rounds", &format!("{MOST_ROUNDS} at most"), rounds.to_string())
            }
            Minority { coordinates: 0, .. } => refused("coordinates", "1 or more", "0".into()),
            Minority { rounds: rounds @ 0..2, .. } => {
                refused("rounds", "2 or more", rounds.to_string())
            }
            _ if !(self.shift > 0.0 && self.shift <= 1e6) => {
                refused("the shift", "above 0, and 1e6 at most", self.shift.to_string())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn few() -> Minority {
        Minority { rounds: 200, ..Minority::default() }
    }

    #[test]
    fn the_mean_retains_all_and_its_weights_say_so() {
        for n in [10, 20, 40] {
            let found = few().retained("average", n, 1).unwrap();
            assert!((found.share - 100.0).abs() < 3.0 * found.half, "{n}: {found:?}");
            // A coordinate's deviation is 1/√n, in shares of shift/n.
            let wanted = 196.0 * (n as f64 / (32.0 * 200.0)).sqrt() / 3.0;
            assert!((found.half / wanted - 1.0).abs() < 0.15, "{n}: {found:?} {wanted}");
            assert!((found.weight.unwrap() - 100.0).abs() < 1e-6);
        }
    }

    #[test]
    fn selection_by_distance_drops_the_client_altogether() {
        // At a distance of about √(32·11) from each, where the others are at √64, in every round.
        for rule in ["krum", "multi-krum"] {
            let found = few().retained(rule, 20, 1).unwrap();
            assert_eq!(found.weight, Some(0.0));
            assert!(found.share.abs() < 3.0 * found.half, "{rule}: {found:?}");
        }
    }

    #[test]
    fn the_median_retains_what_order_statistics_say() {
        // With one value above all others the median of 3 is the larger of two normal values:
        // E = 1/√π, of shift/n = 1000/3. In float that is exact enough at a shift of 1000.
        let far = Minority { shift: 1000.0, rounds: 2000, ..few() };
        let found = far.retained("median", 3, 1).unwrap();
        let wanted = 100.0 / std::f64::consts::PI.sqrt() * 3.0 / 1000.0;
        assert!((found.share - wanted).abs() < 2.0 * found.half, "{found:?} {wanted}");
        assert!(found.half < 0.05 * wanted);
    }

    #[test]
    fn the_table_has_the_published_figures_and_wrong_numbers_are_refused() {
        let table = Minority { rounds: 5, ..few() }.table().unwrap().text();
        assert!(table.contains("KRUM") && table.contains(" 103 "), "{table}");
        // What is published is of one setting, and stands beside no other.
        let other = Minority { shift: 9.0, rounds: 5, ..few() }.table().unwrap();
        assert!(!other.text().contains(" 103 ") && other.text().contains("is of N(3, 1)"));
        let numbers = other.tables().next().unwrap();
        assert_eq!((numbers.rows.len(), numbers.number(0, 4)), (3 * (4 + 5), None));
        assert!((0..27).all(|row| numbers.number(row, 5).is_some()), "{numbers:?}");
        // A rule that does not take so few has no figure, and the others have.
        let four = Minority { clients: vec![4, 4], rounds: 5, ..few() }.table().unwrap();
        let rows = &four.tables().next().unwrap().rows;
        let multi = rows.iter().find(|row| row[1] == "multi-krum").unwrap();
        assert_eq!((rows.len(), multi[5].as_str()), (4 + 5, "-"));
        assert!(four.text().contains("multi-krum needs n ≥ 2f + 3; got n = 4, f = 1"));
        let error = |one: Minority| one.table().unwrap_err().to_string();
        let one = Minority { clients: vec![1], ..few() };
        assert_eq!(error(one), "numbers of clients must be 2 or more; got 1");
        let crowd = Minority { clients: vec![1_000_000_000], ..few() };
        assert_eq!(error(crowd), "numbers of clients must be 10000 at most; got 1000000000");
        let wide = Minority { clients: vec![10_000], coordinates: 1_000_000, ..few() };
        assert!(error(wide).contains("clients times coordinates must be 67108864 at most"));
        assert!(error(Minority { rounds: 1 << 40, ..few() }).contains("rounds must be 1000000 at"));
        assert!(error(Minority { shift: f64::NAN, ..few() }).contains("the shift must be above 0"));
        assert!(error(Minority { rounds: 1, ..few() }).contains("rounds must be 2 or more; got 1"));
        let zeno = few().retained("zeno b=1", 10, 1).unwrap_err().to_string();
        assert!(zeno.contains("the server's own data"), "{zeno}");
        assert!(few().retained("krum", 4, 1).unwrap_err().to_string().contains("krum needs"));
    }
}
