//! How different the workers' data are, measured: (G, B) of a partition, and what it had to move.
//!
//! (G, B)-dissimilarity: (1/n)·Σ‖∇Lᵢ(θ) − ∇L(θ)‖² ≤ G² + B²·‖∇L(θ)‖². Both sides are measured at
//! points of a short attack-free descent. Each worker's gradient is taken twice, on two disjoint
//! halves of a sample of its data, and squares are products of the two: the noise of sampling does
//! not count as heterogeneity (the expectation of each product is that of the full local losses).

use super::Events;
use super::setup::Shelf;
use crate::Failure;
use crate::config::{Measuring, Read, Settings, Words};
use crate::plot::compact;
use crate::results::Store;
use crate::results::cells::{self, Cell};
use rayon::prelude::*;
use serde::Deserialize;
use varangian_base::kernels::{combine, norms};
use varangian_base::{Domain, Matrix, Seed};
use varangian_learn::model::{Model, Place, Prepared};
use varangian_learn::partition::Shares;
use varangian_learn::{Batch, Dataset};

/// Samples in each half of a worker's sample.
const HALF: usize = 32;
/// Steps of the descent, and those before which (G, B) is measured.
const STEPS: usize = 9;
const POINTS: [usize; 3] = [0, 3, STEPS];

/// What was measured of one partition: a line of `heterogeneity.csv`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Measured {
    dataset: String,
    model: String,
    partition: String,
    n: usize,
    seed: u64,
    /// G of (G, B)-dissimilarity.
    pub g: f64,
    /// B of (G, B)-dissimilarity.
    pub b: f64,
    fewest_samples: usize,
    most_samples: usize,
    /// What the partition had to move or leave out.
    notes: String,
    /// A hash of the data that were measured.
    #[serde(default)]
    data: String,
    /// A hash of the line: one that does not match is measured again.
    #[serde(default)]
    check: String,
}

impl Measured {
    fn is_of(&self, settings: &Settings) -> bool {
        let own = (&self.dataset, &self.model, &self.partition, self.n);
        own == (
            &settings.dataset,
            &settings.model,
            &settings.partition,
            settings.partition_workers(),
        )
    }

    /// The hash of everything else that stands in the line.
    fn seal(&self) -> String {
        let bits = (self.g.to_bits(), self.b.to_bits(), self.fewest_samples, self.most_samples);
        let names = (&self.dataset, &self.model, &self.partition, &self.notes, &self.data);
        short(format!("1 {names:?} {} {} {bits:?}", self.n, self.seed).as_bytes())
    }
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Measured { partition, n, g, b, fewest_samples, most_samples, .. } = self;
        write!(
            f,
            "partition {partition} over {n} workers: {fewest_samples} to {most_samples} samples a \
             worker"
        )?;
        if !g.is_nan() {
            write!(f, ", measured G = {}, B = {}", figure(*g), figure(*b))?;
        }
        if self.notes.is_empty() { Ok(()) } else { write!(f, "; {}", self.notes) }
    }
}

/// Sixteen digits of a hash, which no reader of tables takes for a number.
fn short(bytes: &[u8]) -> String {
    format!("b3-{}", &blake3::hash(bytes).to_hex()[..16])
}

/// The hash of the data that these settings are measured on.
fn data_of(settings: &Settings, words: &Words, shelf: &Shelf) -> Result<String, Failure> {
    Ok(short(&shelf.digest(settings, words)?))
}

/// A figure to three digits behind the point, or with an exponent where these say nothing.
fn figure(x: f64) -> String {
    if (0.01..1e5).contains(&x) || x == 0.0 { format!("{x:.3}") } else { compact(x) }
}

/// Measures every partition of `runs` (on the first seed that uses it), and keeps the answers in
/// `heterogeneity.csv` of the folder, where later calls find them.
///
/// # Errors
/// If the folder cannot be written.
pub(super) fn measure_all<'a>(
    runs: impl Iterator<Item = &'a Read>,
    shelf: &Shelf,
    store: &Store,
    whether: Measuring,
    events: &mut dyn Events,
) -> Result<Vec<Measured>, Failure> {
    if whether == Measuring::Never {
        return Ok(Vec::new());
    }
    let mut all = kept(store);
    let before = all.len();
    if whether == Measuring::Always {
        all.retain(|one| !one.g.is_nan() || !one.notes.contains(NOT_MEASURED));
    }
    let mut changed = all.len() < before;
    let (mut wanted, mut known) = (Vec::<Measured>::new(), all.len());
    for read in runs.filter(|read| !read.settings.sampling.starts_with("shared-")) {
        let settings = &read.settings;
        if let Some(k) = all.iter().take(known).position(|one| one.is_of(settings))
            && !wanted.iter().any(|one| one.is_of(settings))
        {
            // Data may have changed since.
            let measured = Settings { seed: all[k].seed, ..settings.clone() };
            if all[k].data != data_of(&measured, &read.words, shelf)? {
                all.remove(k);
                known -= 1;
                changed = true;
            }
        }
        if !all.iter().any(|one| one.is_of(settings)) {
            all.push(measure(read, shelf, whether, events)?);
            changed = true;
        }
        if !wanted.iter().any(|one| one.is_of(settings)) {
            wanted.extend(all.iter().find(|one| one.is_of(settings)).cloned());
        }
    }
    if changed {
        store.write("heterogeneity.csv", &table(&all))?;
    }
    Ok(wanted)
}

/// What the folder holds.
pub fn kept(store: &Store) -> Vec<Measured> {
    let text = crate::files::text_of(&store.path("heterogeneity.csv"));
    let all: Result<Vec<Measured>, _> =
        csv::Reader::from_reader(text.as_bytes()).deserialize().collect();
    let mut all = all.unwrap_or_default();
    // A table writes empty text as "-".
    all.iter_mut().filter(|one| one.notes == "-").for_each(|one| one.notes.clear());
    all.retain(|one| one.check == one.seal());
    all
}

/// A line each.
fn table(all: &[Measured]) -> Vec<u8> {
    let header = [
        "dataset",
        "model",
        "partition",
        "n",
        "seed",
        "g",
        "b",
        "fewest_samples",
        "most_samples",
        "notes",
        "data",
        "check",
    ];
    let row = |one: &Measured| {
        vec![
            Cell::text(&one.dataset),
            Cell::text(&one.model),
            Cell::text(&one.partition),
            Cell::count(one.n),
            Cell::Whole(one.seed as i64),
            Cell::Real(one.g),
            Cell::Real(one.b),
            Cell::count(one.fewest_samples),
            Cell::count(one.most_samples),
            Cell::text(&one.notes),
            Cell::text(&one.data),
            Cell::text(&one.check),
        ]
    };
    cells::csv(&header, all.iter().map(row))
}

/// Above this, gradients of samples times parameters, (G, B) is not measured: below it, the
/// measure takes a minute or two of one core, and above it would keep the run from starting.
const MOST_WORK: u128 = 10_000_000_000;

/// What measuring over n workers on d parameters costs: gradients of samples times parameters.
fn work(n: usize, d: usize) -> u128 {
    2 * HALF as u128 * (STEPS as u128 + 1) * n as u128 * d as u128
}

/// What a note of a partition says that was not measured.
const NOT_MEASURED: &str = "not measured: ";

fn measure(
    read: &Read,
    shelf: &Shelf,
    whether: Measuring,
    events: &mut dyn Events,
) -> Result<Measured, Failure> {
    let settings = &read.settings;
    let (model, train, shares) = shelf.shares(read)?;
    let sizes: Vec<usize> = shares.samples.iter().map(Vec::len).collect();
    let mut notes = shares.notes.clone();
    let long = work(settings.partition_workers(), model.dim()) > MOST_WORK;
    let (g, b) = match !long || whether == Measuring::Always {
        true => {
            let told = |step: usize| {
                if long {
                    let what = &settings.partition;
                    events.note(&format!("measuring {what}: step {} of {}", step + 1, STEPS + 1));
                }
            };
            line(&descend(model.as_ref(), train.as_ref(), &shares, settings, told))
        }
        false => {
            let (n, d) = (settings.partition_workers(), model.dim());
            notes.push(format!(
                "{NOT_MEASURED}{n} workers on {d} parameters; heterogeneity=\"always\" measures it"
            ));
            (f64::NAN, f64::NAN)
        }
    };
    let mut measured = Measured {
        dataset: settings.dataset.clone(),
        model: settings.model.clone(),
        partition: settings.partition.clone(),
        n: settings.partition_workers(),
        seed: settings.seed,
        g,
        b,
        fewest_samples: sizes.iter().copied().min().unwrap_or(0),
        most_samples: sizes.iter().copied().max().unwrap_or(0),
        notes: notes.join("; "),
        data: data_of(settings, &read.words, shelf)?,
        check: String::new(),
    };
    measured.check = measured.seal();
    Ok(measured)
}

/// (‖∇L‖², mean ‖∇Lᵢ − ∇L‖²) at each of the points.
fn descend(
    model: &dyn Model,
    train: &dyn Dataset,
    shares: &Shares,
    settings: &Settings,
    mut told: impl FnMut(usize),
) -> Vec<(f64, f64)> {
    let seed = Seed(settings.seed);
    let mut params = model.init(seed);
    let mut prepared: Prepared = Box::new(());
    let rows = || Matrix::zeros(settings.partition_workers(), params.len());
    let (mut rows, mut means) =
        ([rows(), rows()], [vec![0.0; params.len()], vec![0.0; params.len()]]);
    let mut points = Vec::new();
    for step in 0..=STEPS {
        told(step);
        model.prepare(&params, &mut prepared);
        for half in 0..2 {
            let work: Vec<_> = shares
                .samples
                .iter()
                .zip(rows[half].rows_mut().into_iter_mut())
                .enumerate()
                .collect();
            work.into_par_iter().for_each(|(worker, (share, row))| {
                let place = Place { seed, worker: worker as u32, step: step as u64 };
                let batch = batch(train, &sample(share, half), place);
                let mut workspace = model.workspace();
                model.gradient(&params, &prepared, &batch, place, &mut workspace, row);
            });
            combine::mean(rows[half].rows(), &mut means[half]);
        }
        if POINTS.contains(&step) {
            points.push(products(&rows, &means));
        }
        let rate = settings.learning_rate as f32 / 2.0;
        for (k, x) in params.iter_mut().enumerate() {
            *x -= rate * (means[0][k] + means[1][k]);
        }
    }
    points
}

/// One half of at most 2·HALF samples spread evenly over a share, whatever its order.
fn sample(share: &[u32], half: usize) -> Vec<u32> {
    let count = share.len().min(2 * HALF);
    let chosen = (0..count).map(|j| share[j * share.len() / count]);
    match count {
        0 | 1 => chosen.collect(),
        _ => chosen.skip(half).step_by(2).collect(),
    }
}

fn batch(train: &dyn Dataset, indices: &[u32], place: Place) -> Batch {
    let mut batch = Batch::default();
    train.fill(indices, &mut place.seed.stream(Domain::Augment, place.worker, 0), &mut batch);
    batch
}

/// (⟨ḡ, ḡ'⟩, (1/n)·Σ⟨gᵢ − ḡ, g'ᵢ − ḡ'⟩) of two halves.
fn products(rows: &[Matrix; 2], means: &[Vec<f32>; 2]) -> (f64, f64) {
    let n = rows[0].n();
    let all: f64 = (0..n).map(|i| norms::dot(rows[0].row(i), rows[1].row(i))).sum();
    let square = norms::dot(&means[0], &means[1]);
    (square, all / n as f64 - square)
}

/// G and B of the lowest line G² + B²·x that lies on or above all points (x, y): least sum of
/// distances, G² and B² at least 0. What sampling makes negative counts as 0.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let clean: Vec<(f64, f64)> = points
        .iter()
        .filter(|(x, y)| x.is_finite() && y.is_finite())
        .map(|(x, y)| (x.max(0.0), y.max(0.0)))
        .collect();
    let flat = clean.iter().map(|point| point.1).fold(0.0, f64::max);
    let steep = clean.iter().map(|(x, y)| if *y > 0.0 { y / x } else { 0.0 }).fold(0.0, f64::max);
    let mut lines = vec![(flat, 0.0), (0.0, steep)];
    for (k, a) in clean.iter().enumerate() {
        for b in &clean[k + 1..] {
            let slope = (b.1 - a.1) / (b.0 - a.0);
            lines.push((a.1 - slope * a.0, slope));
        }
    }
    let holds = |(g, b): &(f64, f64)| {
        let above = |(x, y): &(f64, f64)| g + b * x >= y * (1.0 - 1e-9);
        *g >= 0.0 && *b >= 0.0 && b.is_finite() && clean.iter().all(above)
    };
    let cost = |(g, b): &(f64, f64)| clean.iter().map(|(x, _)| g + b * x).sum::<f64>();
    let best = lines.iter().filter(|l| holds(l)).min_by(|a, b| cost(a).total_cmp(&cost(b)));
    best.map_or((f64::NAN, f64::NAN), |(g, b)| (g.sqrt(), b.sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Experiment, Source};
    use crate::run::Silent;

    fn measured(partition: &str) -> Measured {
        let text =
            format!("dataset = 'glyphs'\nmodel = 'linear'\nn = 10\npartition = '{partition}'");
        let experiment = Experiment::parse(&text, "t", &Source::default()).unwrap();
        let shelf = Shelf::new(None);
        measure(&read(&experiment), &shelf, Measuring::Auto, &mut Silent).unwrap()
    }

    fn read(experiment: &Experiment) -> Read {
        Read::whole(&experiment.runs[0], &experiment.own).unwrap()
    }

    #[test]
    fn one_digit_a_worker_is_far_and_an_even_split_is_near() {
        let (sorted, even) = (measured("sorted"), measured("iid"));
        let spread = |one: &Measured| one.g.hypot(one.b);
        assert!(spread(&sorted) > 5.0 * spread(&even), "{sorted} {even}");
        assert!(even.most_samples - even.fewest_samples <= 1, "{even}");
        // Ten workers of whom four are hostile are six for whom the set is split.
        let of = |n: usize, more: &str| {
            let text =
                format!("dataset='glyphs'\nmodel='linear'\nn={n}\npartition='sorted'\n{more}");
            let experiment = Experiment::parse(&text, "t", &Source::default()).unwrap();
            let read = read(&experiment);
            measure(&read, &Shelf::new(None), Measuring::Auto, &mut Silent).unwrap()
        };
        let hostile = "f_real=4\nattack='ipm'\npartition_over='honest'";
        for which in ["last", "first", "random"] {
            let added = of(10, &format!("{hostile}\nhostile='{which}'"));
            assert_eq!(added.to_string(), of(6, "").to_string());
        }
        let poor = measured("dirichlet alpha=0.01");
        assert!(poor.notes.contains("samples were moved"), "{poor}");
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        assert!(kept(&store).is_empty());
        // What was edited is not believed.
        let all = [sorted, even, poor];
        store.write("heterogeneity.csv", &table(&all)).unwrap();
        assert_eq!(kept(&store), all);
        let mut edited = all.clone();
        edited[0].g = 0.0;
        store.write("heterogeneity.csv", &table(&edited)).unwrap();
        assert_eq!(kept(&store), all[1..]);
    }

    #[test]
    fn a_large_model_is_not_measured_and_the_note_says_so() {
        let wide_resnet = 36_500_000;
        assert!(work(3, wide_resnet) > MOST_WORK && work(11, 100_000) < MOST_WORK);
        let text = "model = 'mlp hidden=2000-2000'\nn = 11";
        let experiment = Experiment::parse(text, "t", &Source::default()).unwrap();
        let begun = crate::clock::now();
        let shelf = Shelf::new(None);
        let one = measure(&read(&experiment), &shelf, Measuring::Auto, &mut Silent).unwrap();
        assert!(one.g.is_nan() && begun.elapsed().as_secs() < 20, "{one}");
        let line = one.to_string();
        assert!(line.contains("not measured: 11 workers on 5592010 parameters"), "{line}");
        assert!(!line.contains("G ="), "{line}");
    }

    #[test]
    fn the_line_is_the_lowest_above_all_points() {
        assert_eq!(line(&[(1.0, 5.0), (4.0, 8.0)]), (2.0, 1.0));
        assert_eq!(line(&[(1.0, 9.0), (4.0, 8.0)]), (3.0, 0.0));
        assert_eq!(line(&[(1.0, 4.0), (2.0, 8.0)]), (0.0, 2.0));
        assert_eq!(line(&[(1.0, -1.0)]), (0.0, 0.0));
    }
}
