//! One fuzz case: any bytes become a round with at most f hostile rows, go through the intake's
//! policy and every rule, and the answers are held to what the rules claim.
//!
//! Shared by the test beside it, the long-running example and the `cargo fuzz` target.

use varangian_base::{Matrix, Rows};
use varangian_rules::{ALL, Family, Oracle, Pipeline, Round, Verdict};

/// Variants and compositions beside the bare entries.
const MORE: &[&str] = &[
    "median middle=lower",
    "meamed middle=lower",
    "krum variant=byzfl",
    "krum variant=distributed-momentum",
    "multi-krum m=1 variant=byzfl",
    "bulyan variant=classic",
    "bulyan variant=reference",
    "aksel mode=n-f middle=lower",
    "monna pivot=2",
    "rfa T=5 nu=0.1 start=zero",
    "centred-clipping tau=2 L=3",
    "centred-clipping start=median L=2",
    "majority ties=plus-one",
    "dnc T=2 b=2 c=0.5",
    "nnm | trimmed-mean",
    "nnm | krum",
    "nnm | caf",
    "arc | nnm | trimmed-mean | ctma",
    "bucketing s=2 | median",
    "bucketing s=3 order=given | geometric-median",
    "clipping c=1.5 | centred-clipping",
    "median | ctma",
    "geometric-median | ctma",
    "cge | ctma",
    "nnm | bucketing | median | ctma",
];

/// Every pipeline under test, parsed once.
pub(crate) struct Fuzzer {
    pipelines: Vec<Pipeline>,
    rows: Matrix,
    verdict: Verdict,
    /// Answers that were checked.
    pub(crate) answers: u64,
}

/// The bytes of a case, read from the front; zeros once they run out.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// Any float, with the ones that break things over-represented.
    fn bad(&mut self, honest: f32) -> f32 {
        match self.byte() % 16 {
            0 => f32::NAN,
            1 => f32::INFINITY,
            2 => f32::NEG_INFINITY,
            3 => 1e38,
            4 => f32::MAX,
            5 => f32::MIN,
            6 => f32::from_bits(1 + self.word() % 9),
            7 => -0.0,
            8 => honest,
            9 => -honest,
            10 => honest * (1u32 << 20) as f32,
            11 => honest + (1u32 << 20) as f32,
            12 => 1e20 * f32::from(self.byte() as i8),
            13 => f32::from(self.byte() as i8) / 16.0,
            _ => f32::from_bits(self.word()),
        }
    }

    /// A finite value of an honest family.
    fn good(&mut self, family: usize) -> f32 {
        let small = f32::from(self.byte() as i8);
        match family {
            0 => (small + f32::from(self.byte()) / 256.0) / 32.0,
            1 => (small / 32.0).round(),
            2 => 4096.0 + small / 1024.0,
            3 => small * 1e30,
            4 => small * 1e-32,
            5 => f32::from_bits(u32::from(self.byte() & 3)) * small.signum(),
            6 => f32::MAX * small.signum(),
            _ => Some(f32::from_bits(self.word())).filter(|x| x.is_finite()).unwrap_or(small),
        }
    }
}

/// A server that knows the gradient (1, 2, 3, 1, …).
struct Knows;

impl Oracle for Knows {
    fn refresh(&mut self) {}

    fn loss(&mut self, params: &[f32]) -> f64 {
        params.iter().enumerate().map(|(k, &x)| f64::from(x) * (1 + k % 3) as f64).sum()
    }

    fn gradient(&mut self, params: &[f32], out: &mut [f32]) -> f64 {
        out.iter_mut().enumerate().for_each(|(k, x)| *x = (1 + k % 3) as f32);
        self.loss(params)
    }
}

/// A round as the intake leaves it: finite rows, f lowered by the refused ones.
struct Admitted {
    honest: Vec<Vec<f32>>,
    rows: Vec<Vec<f32>>,
    f: usize,
    d: usize,
}

fn admit(bytes: &mut Bytes<'_>) -> Admitted {
    let f = bytes.below(4);
    let n = (f + 1 + bytes.below(11)).max(2 * f + 1);
    let d = [1, 1, 2, 3, 5, 17][bytes.below(6)];
    let family = bytes.below(8);
    let equal = bytes.below(8) == 0;
    let mut honest: Vec<Vec<f32>> = Vec::new();
    for i in 0..n - f {
        let copy = i > 0 && (equal || bytes.below(16) == 0);
        let row = match copy {
            true => honest[i - 1].clone(),
            false => (0..d).map(|_| bytes.good(family)).collect(),
        };
        honest.push(row);
    }
    let (mut rows, mut refused) = (honest.clone(), 0);
    let mut last: Option<Vec<f32>> = None;
    for _ in 0..f {
        let like = honest[bytes.below(honest.len())].clone();
        let row: Vec<f32> = match (bytes.below(4), &last) {
            (0, Some(last)) => last.clone(),
            (1, _) => {
                let scale = bytes.bad(1.0);
                like.iter().map(|x| x * scale).collect()
            }
            _ => like.iter().map(|&x| bytes.bad(x)).collect(),
        };
        last = Some(row.clone());
        match row.iter().all(|x| x.is_finite()) {
            true => rows.insert(bytes.below(rows.len() + 1), row),
            false => refused += 1,
        }
    }
    Admitted { honest, rows, f: f - refused, d }
}

impl Default for Fuzzer {
    fn default() -> Self {
        let bare = ALL.iter().map(|entry| match entry.facts.family {
            Family::PreAggregation => format!("{} | average", entry.name),
            Family::Rule => entry.name.to_owned(),
            Family::MetaAggregation => format!("average | {}", entry.name),
        });
        let specs = bare.chain(MORE.iter().map(|spec| (*spec).to_owned()));
        let pipelines = specs.map(|spec| Pipeline::parse(&spec).expect("a known specification"));
        Fuzzer {
            pipelines: pipelines.collect(),
            rows: Matrix::default(),
            verdict: Verdict::default(),
            answers: 0,
        }
    }
}

impl Fuzzer {
    /// The number of pipelines.
    pub(crate) fn pipelines(&self) -> usize {
        self.pipelines.len()
    }

    /// Runs the case that `bytes` spell through every pipeline.
    ///
    /// # Panics
    /// If an answer is not finite or not what the rule claims.
    pub(crate) fn run(&mut self, bytes: &[u8]) {
        let case = admit(&mut Bytes(bytes));
        self.rows = Matrix::from_rows(&case.rows);
        let pipelines = std::mem::take(&mut self.pipelines);
        for template in &pipelines {
            if template.check(case.rows.len(), case.f).is_ok() {
                self.aggregate(&case, template);
            }
        }
        self.pipelines = pipelines;
    }

    /// Two rounds with a fresh copy, so that memory is tried too.
    fn aggregate(&mut self, case: &Admitted, template: &Pipeline) {
        let mut rule = template.fork();
        let (mut out, params) = (vec![f32::NAN; case.d], vec![0.0; case.d]);
        for step in 0..1 + u64::from(rule.entry().facts.has_memory) {
            let rows: Rows<'_> = self.rows.rows();
            let mut round = Round {
                step,
                params: &params,
                oracle: Some(&mut Knows),
                ..Round::of(rows, case.f)
            };
            rule.aggregate(&mut round, &mut out, &mut self.verdict);
            self.answers += 1;
            let sane = out.iter().all(|x| x.is_finite())
                && self.verdict.weights.iter().all(|w| w.is_finite());
            assert!(sane, "{} at {case}: {out:?}", rule.spec());
        }
        // RFA claims nothing from other starts, nor with another smoothing length.
        let other_rfa = rule.entry().name == "rfa" && rule.spec() != "rfa";
        if rule.entries().len() == 1 && !other_rfa {
            check_claims(case, &rule, &out);
        }
        if !["fltrust", "majority", "rsa", "sum"].contains(&rule.entry().name) {
            in_box(case, &case.rows, &rule, &out, true);
        }
    }
}

impl std::fmt::Display for Admitted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "f = {}, rows = {:?}, of them honest {:?}", self.f, self.rows, self.honest)
    }
}

/// Each coordinate lies in the range of `rows` (and of 0), up to rounding.
fn in_box(case: &Admitted, rows: &[Vec<f32>], rule: &Pipeline, out: &[f32], zero: bool) {
    for (k, &x) in out.iter().enumerate() {
        let start = if zero { (0.0, 0.0) } else { (f32::MAX, f32::MIN) };
        let column = rows.iter().map(|row| row[k]);
        let (low, high) = column.fold(start, |(a, b), x| (a.min(x), b.max(x)));
        let slack = 1e-6 * f64::from(low.abs().max(high.abs())) + 1e-44;
        let x = f64::from(x);
        assert!(
            f64::from(low) - slack <= x && x <= f64::from(high) + slack,
            "{} at {case}: {out:?} outside the rows in coordinate {k}",
            rule.spec()
        );
    }
}

fn check_claims(case: &Admitted, rule: &Pipeline, out: &[f32]) {
    let claims = rule.entry().facts.claims;
    let h = case.honest.len() as f64;
    if claims.honest_box {
        in_box(case, &case.honest, rule, out, false);
    }
    let mean: Vec<f64> = (0..case.d)
        .map(|k| case.honest.iter().map(|row| f64::from(row[k])).sum::<f64>() / h)
        .collect();
    let distance = |row: &[f32]| -> f64 {
        row.iter().zip(&mean).map(|(&x, m)| (f64::from(x) - m).powi(2)).sum::<f64>().sqrt()
    };
    let spread = case.honest.iter().map(|row| distance(row)).fold(0.0, f64::max);
    let size = mean.iter().fold(0.0f64, |most, m| most.max(m.abs()));
    // RFA's smoothing length ν counts as spread.
    let smoothing = if rule.entry().name == "rfa" { 1e-5 } else { 0.0 };
    let rounding = (case.d as f64).sqrt() * (3e-7 * size + 1e-44) + smoothing;
    if claims.bounded {
        let reach = (4.0 + 8.0 * case.rows.len() as f64) * spread + rounding;
        let far = distance(out);
        assert!(far <= reach, "{} at {case}: {out:?} is dragged off", rule.spec());
    }
    if claims.majority && case.honest.iter().all(|row| *row == case.honest[0]) {
        let far = distance(out);
        assert!(far <= rounding, "{} at {case}: {out:?} is not the majority's", rule.spec());
    }
}
