//! What was found against a row, one record a row and step: how long it was, how far from the
//! aggregate, how much of the aggregate it became, and why no more.
//!
//! A rule says in its [`Verdict`] which weight each row got; [`Verdict::evidence`] makes records of
//! that, and serde writes them, one JSON object a line. Each line carries the name and version of
//! the format and says all about its round, so that lines of many steps, rules and files may be
//! cut, joined and read as one table.
//!
//! ```
//! use varangian_base::Matrix;
//! use varangian_rules::{Round, Standing, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0], [1.0], [2.0], [3.0], [10.0]]);
//! let mut rule = build("multi-krum m=2", 5, 1).unwrap();
//! let (mut out, mut verdict) = ([0.0], Verdict::default());
//! let mut round = Round::of(rows.rows(), 1);
//! rule.aggregate(&mut round, &mut out, &mut verdict);
//! let evidence = verdict.evidence(&rule, &round, &out);
//! assert_eq!((evidence[1].weight, evidence[1].standing), (Some(0.5), Standing::Kept));
//! assert_eq!((evidence[4].norm, evidence[4].distance), (Some(10.0), Some(8.5)));
//! assert_eq!(evidence[4].reason.as_deref(), Some("not among the 2 rows of least score"));
//! ```

mod outlying;
mod shares;

pub use outlying::{LEAST, outlying};

use shares::Shares;

use crate::exact::{self, distance2};
use crate::{Family, Pipeline, Round, RuleEntry, Verdict};
use serde::{Deserialize, Serialize};
use varangian_base::{blocks, kernels::columns};

/// The name of the format, which every record carries as `format`.
pub const FORMAT: &str = "varangian-evidence";

/// The version of the format, which every record carries as `version`. It rises when a field goes
/// or changes its meaning; readers pass over fields that they do not know.
pub const VERSION: u64 = 1;

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It got at least an equal share of the aggregate; or the rule tells no weights.
    Kept,
    /// It got less than an equal share, and more than nothing.
    Reduced,
    /// The rule saw it and gave it nothing.
    Excluded,
    /// The rule never saw it.
    Refused,
}

/// What was found about one row of one step. As JSON one object, its fields in this order behind
/// `format` and `version`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Line", try_from = "Line")]
pub struct Evidence {
    /// The pipeline in its one spelling: "nnm | krum".
    pub rule: String,
    /// Rows that the rule saw; refused ones are not among them.
    pub n: usize,
    /// Hostile rows that the rule reckoned with: the declared number less what was refused.
    pub f: usize,
    /// Coordinates of a row.
    pub d: usize,
    /// The step, from 0.
    pub step: u64,
    /// Who sent it: the worker's id, or the number of the row from 0.
    pub worker: u64,
    /// The row's share of the aggregate: its coefficient over the sum of all coefficients, so that
    /// shares of a step sum to 1, or are all 0 where nothing was taken. 0 for a refused row; `None`
    /// where the rule tells no weights. Below 0 where a rule takes a row away.
    pub weight: Option<f64>,
    /// The Euclidean length of the row as it was sent; the largest double where it is beyond.
    /// `None` where it is not finite or not known.
    pub norm: Option<f64>,
    /// The Euclidean distance from the row as it was sent to the aggregate, likewise.
    pub distance: Option<f64>,
    /// What became of it; `verdict` in JSON.
    pub standing: Standing,
    /// Why it is not kept; of a kept row of a rule without weights, that there are none. Else
    /// `None`.
    pub reason: Option<String>,
    /// How unlikely a row at least so unusual is among honest ones, see [`outlying`]; `None` where
    /// nothing can be said.
    pub p: Option<f64>,
}

/// [`Evidence`] as it is written.
#[derive(Clone, Serialize, Deserialize)]
struct Line {
    format: String,
    version: Version,
    rule: String,
    n: usize,
    f: usize,
    d: usize,
    step: u64,
    worker: u64,
    weight: Option<f64>,
    norm: Option<f64>,
    distance: Option<f64>,
    verdict: Standing,
    reason: Option<String>,
    p: Option<f64>,
}

/// A version that is read. Checked where it stands in the line: what follows may be of another
/// shape.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "u64")]
struct Version(u64);

impl TryFrom<u64> for Version {
    type Error = String;

    fn try_from(found: u64) -> Result<Self, String> {
        match found {
            VERSION => Ok(Version(found)),
            _ => Err(format!("{FORMAT} of version {VERSION} is read; found version {found}")),
        }
    }
}

impl From<Evidence> for Line {
    fn from(evidence: Evidence) -> Line {
        let Evidence { rule, n, f, d, step, worker, weight, norm, distance, .. } = evidence;
        let Evidence { standing: verdict, reason, p, .. } = evidence;
        let (format, version) = (FORMAT.to_owned(), Version(VERSION));
        Line {
            format,
            version,
            rule,
            n,
            f,
            d,
            step,
            worker,
            weight,
            norm,
            distance,
            verdict,
            reason,
            p,
        }
    }
}

impl TryFrom<Line> for Evidence {
    type Error = String;

    fn try_from(line: Line) -> Result<Self, String> {
        let Line { format, rule, n, f, d, step, worker, weight, norm, distance, .. } = line;
        let Line { verdict: standing, reason, p, .. } = line;
        match format == FORMAT {
            true => Ok(Evidence {
                rule,
                n,
                f,
                d,
                step,
                worker,
                weight,
                norm,
                distance,
                standing,
                reason,
                p,
            }),
            false => Err(format!("{FORMAT} is read; found {format:?}")),
        }
    }
}

impl Evidence {
    /// A row that the rule never saw: of a round of n rows of which f were reckoned hostile, in d
    /// coordinates. `reason` is short: "NaN at coordinate 17", "wrong length: 10, wanted 12".
    pub fn refused(
        rule: &str,
        (n, f, d): (usize, usize, usize),
        step: u64,
        worker: impl Into<u64>,
        reason: String,
    ) -> Evidence {
        Evidence {
            rule: rule.to_owned(),
            n,
            f,
            d,
            step,
            worker: worker.into(),
            weight: Some(0.0),
            norm: None,
            distance: None,
            standing: Standing::Refused,
            reason: Some(reason),
            p: None,
        }
    }
}

/// How far the rows of a round are from things: one number a row each.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Their lengths.
    pub norms: Vec<f64>,
    /// From the aggregate.
    pub distances: Vec<f64>,
    /// From the rows' coordinate-wise median.
    pub off: Vec<f64>,
}

impl Verdict {
    /// One record a row of the round that `rule` has just answered with `aggregate`, in the order
    /// of the rows. Cost O(n·d·log n), in f64 and the same at any number of threads.
    ///
    /// # Panics
    /// If the aggregate has not d coordinates, or the verdict is of other rows.
    pub fn evidence(&self, rule: &Pipeline, round: &Round<'_>, aggregate: &[f32]) -> Vec<Evidence> {
        let rows = round.rows.sent();
        assert_eq!(aggregate.len(), rows.d(), "the aggregate has d coordinates");
        let mut median = vec![0.0; rows.d()];
        columns::median(rows, &mut median);
        let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        let (aggregate, median) = (wide(aggregate), wide(&median));
        let measured = measure(rows.n(), &aggregate, &median, |i| wide(rows.row(i)));
        let ids: Vec<u32> = (0..rows.n()).map(|i| rows.id(i)).collect();
        let about = About { rule, f: round.f, d: rows.d(), step: round.step, ids: &ids };
        self.records(&about, round.weights, &measured)
    }

    /// The same of f64 rows that [`Pipeline::exact`] has answered.
    ///
    /// # Panics
    /// If the aggregate has not d coordinates, or the verdict is of other rows.
    pub fn exact_evidence(
        &self,
        rule: &Pipeline,
        round: &exact::Round<'_>,
        aggregate: &[f64],
    ) -> Vec<Evidence> {
        assert_eq!(aggregate.len(), round.d(), "the aggregate has d coordinates");
        let median = crate::median::exact(round.rows, crate::median::Middle::Mean);
        let measured = measure(round.n(), aggregate, &median, |i| round.rows[i].clone());
        let about = About { rule, f: round.f, d: round.d(), step: round.step, ids: round.ids };
        self.records(&about, round.weights, &measured)
    }

    /// The same of rows that are nowhere whole, such as those of several processes that each hold
    /// some columns, of which somebody has measured what is asked. `shape` is (n, f, d).
    ///
    /// # Panics
    /// If there is not one number of each kind and one id a row, or the verdict is of other rows.
    pub fn measured_evidence(
        &self,
        rule: &Pipeline,
        (n, f, d): (usize, usize, usize),
        step: u64,
        ids: &[u32],
        masses: Option<&[f64]>,
        measured: &Measured,
    ) -> Vec<Evidence> {
        let Measured { norms, distances, off } = measured;
        assert_eq!([norms.len(), distances.len(), off.len(), ids.len()], [n; 4], "{n} rows");
        self.records(&About { rule, f, d, step, ids }, masses, measured)
    }

    fn records(
        &self,
        about: &About<'_>,
        masses: Option<&[f64]>,
        measured: &Measured,
    ) -> Vec<Evidence> {
        let n = about.ids.len();
        let told = !self.weights.is_empty();
        assert!(!told || self.weights.len() == n, "the verdict is of {n} rows");
        let shares = Shares::of(&self.weights, masses);
        let p = outlying(&measured.off);
        let cut = about.rule.cut(&measured.norms, about.f);
        let left_out = about.rule.left_out(&measured.norms, about.f);
        let record = |i: usize| {
            let standing = if told { shares.standing(i) } else { Standing::Kept };
            Evidence {
                rule: about.rule.spec().to_owned(),
                n,
                f: about.f,
                d: about.d,
                step: about.step,
                worker: u64::from(about.ids[i]),
                weight: if told { shares.share(i) } else { None },
                norm: Some(measured.norms[i]),
                distance: Some(measured.distances[i]),
                standing,
                reason: match standing {
                    Standing::Kept if told => None,
                    Standing::Reduced => Some(match cut.filter(|&c| measured.norms[i] > c) {
                        Some(c) => format!("clipped to length {c:.4}"),
                        None => self.reduced(shares.part(i)),
                    }),
                    Standing::Excluded if self.expelled.contains(&about.ids[i]) => {
                        Some(format!("expelled for good by {}", about.rule.entry().name))
                    }
                    Standing::Excluded if left_out.contains(&i) => {
                        Some("longer than the norm allows".to_owned())
                    }
                    Standing::Excluded => Some(excluded(about.rule, shares.taken)),
                    _ => Some(unweighted(about.rule)),
                },
                p: p[i],
            }
        };
        (0..n).map(record).collect()
    }

    fn reduced(&self, part: f64) -> String {
        match self.radius {
            Some(radius) => format!("clipped to radius {radius:.4}: {part:.4} of an equal share"),
            None => format!("{part:.4} of an equal share"),
        }
    }
}

/// Why a row got no weight where k rows did: what the stage says that had the first choice of the
/// rows as they were sent, or the last.
fn excluded(rule: &Pipeline, k: usize) -> String {
    let mut entries = rule.entries();
    // Stages before the rule, from the left; those after it, from the right; the rule.
    let before = |entry: &&RuleEntry| entry.facts.family == Family::PreAggregation;
    let split = entries.iter().take_while(|entry| before(entry)).count();
    entries[split..].reverse();
    let mut texts = entries.iter().map(|entry| entry.facts.excluded);
    let text = texts.find(|text| !text.is_empty()).unwrap_or("it got no weight");
    text.replace("{k}", &k.to_string())
}

/// Why no weights are told.
fn unweighted(rule: &Pipeline) -> String {
    let entry = rule.entries().into_iter().rev().find(|entry| !entry.facts.weights);
    let entry = entry.unwrap_or(rule.entry());
    let how = match entry.facts.claims.coordinate_wise {
        true => "answers coordinate by coordinate and ",
        false => "",
    };
    format!("{} {how}tells no weights of rows", entry.name)
}

/// What the records of a round have in common.
struct About<'a> {
    rule: &'a Pipeline,
    f: usize,
    d: usize,
    step: u64,
    ids: &'a [u32],
}

fn measure(
    n: usize,
    aggregate: &[f64],
    median: &[f64],
    row: impl Fn(usize) -> Vec<f64> + Sync,
) -> Measured {
    let (zeros, mut all) = (vec![0.0; aggregate.len()], Vec::<[f64; 3]>::new());
    blocks::map(n, 1, &mut all, |range, slot| {
        let row = row(range.start);
        *slot = [&zeros[..], aggregate, median].map(|from| distance2(&row, from).sqrt().to_f64());
    });
    let take = |k: usize| all.iter().map(|three| three[k]).collect();
    Measured { norms: take(0), distances: take(1), off: take(2) }
}

#[cfg(test)]
mod tests;
