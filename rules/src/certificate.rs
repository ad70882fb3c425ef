//! What can be said of one answer without knowing who is hostile: how far it may be from
//! the mean of the honest rows, and how many hostile rows leave it a direction of descent.
//!
//! Let n rows xᵢ come, of which at most f are hostile, and let F be what a rule made of
//! them, any rule. Write S for a set of rows that may be the honest ones, m = n − f for the
//! fewest that they can be, T for the rows outside S, x̄ for the mean of all rows, x̄_S for
//! that of S.
//!
//! **The radius** is an upper bound on ‖F − x̄_S‖ over all S of at least m rows. Sets of
//! just m are enough: the mean of a larger set is the mean of the means of all its parts of
//! m rows, so it lies in their convex hull, and a distance from F is largest at a corner.
//! For |S| = m, x̄ − x̄_S = (1/m)·v with v = Σ_T (xᵢ − x̄) = −Σ_S (xᵢ − x̄), and two bounds
//! hold, of which the lesser is taken:
//!
//! 1. ‖v‖ ≤ Σ_T ‖xᵢ − x̄‖, so ‖F − x̄_S‖ ≤ ‖F − x̄‖ + (the f largest distances from x̄)/m;
//! 2. ‖v‖² ≤ f·Σ_T ‖xᵢ − x̄‖² and ‖v‖² ≤ m·Σ_S ‖xᵢ − x̄‖², so ‖v‖²/f + ‖v‖²/m ≤ Σ ‖xᵢ −
//!    x̄‖², and ‖F − x̄_S‖ ≤ ‖F − x̄‖ + √(f/(n·m)·Σ ‖xᵢ − x̄‖²).
//!
//! They read n distances and cost O(n·d). [`Effort::Sharp`] reads those between the rows
//! too, at O(n²·d), and searches all S by ‖F − x̄_S‖² = (1/m)·Σ_S ‖xᵢ − F‖² −
//! (1/m²)·Σ_{i<j∈S} ‖xᵢ − xⱼ‖²: see `certificate/subsets.rs`. No bound asks which rule it
//! was, so none needs a proof about it.
//!
//! **The promise** is √(κ·max_S tr Σ_S) where the rule has a proven κ, with tr Σ_S at most
//! 1/m times the m largest squared distances from x̄. It holds of the rule in exact
//! arithmetic, whatever came; the radius is of the answer that was made.
//!
//! **Descent** is certified for f′ hostile rows if ⟨F, x̄_S⟩ > 0 for all S of at least n −
//! f′ rows. The least inner product leaves out the f′ rows with the largest ⟨F, xᵢ⟩, so the
//! n − f′ smallest decide, exactly, at O(n·d + n·log n). It holds for every smaller f′ too,
//! as the mean of the k smallest numbers grows with k.
//!
//! **Rounding.** Sums are f64: a product of two floats of 24 bits has 48, so a term is
//! exact, or for a squared difference right to 3 units of 2⁻⁵³, and none leaves the range.
//! A sum of k terms, added in 16 lanes over windows of 2048 columns, has a relative error
//! of its absolute terms of at most 128 + 8 + d/2048 units; every quantity here is moved to
//! the safe side by four times that and n more, those of each row also by what f32 loses
//! of them ([`beside::LOSS`], 9·10⁻⁶). The mean x̄ is rounded to f32 as a centre
//! c, and ‖c − x̄‖ ≤ 2⁻²³·‖c‖ + (n units)·mean ‖xᵢ‖ + √d·2⁻¹⁴⁹ is added where x̄ is meant;
//! Σ ‖xᵢ − c‖² ≥ Σ ‖xᵢ − x̄‖² for any c. Distances between rows beyond 8192 coordinates are
//! f32 inside, with an error of at most 5·10⁻⁶. Rows of f64 are divided by a power of two,
//! so that no square leaves the range above, and √d·2⁻⁵³⁶ covers those below.
//!
//! Allouah et al. 2023 (arXiv 2302.01772), definition 2, is where κ and x̄_S come from; the
//! radius, which looks at the answer instead, is ours.

mod subsets;

use std::cell::RefCell;
use varangian_base::Rows;
use varangian_base::blocks;
use varangian_base::kernels::beside::Beside;
use varangian_base::kernels::distances::{Pairs, SMALL};
use varangian_base::kernels::{beside, combine, norms};

/// Columns of a window, which all passes read before the next one.
const WINDOW: usize = beside::MOST;

/// A unit of rounding.
const UNIT: f64 = 1.0 / (1u64 << 53) as f64;

/// How much work goes into the radius.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Distances from two vectors: O(n·d).
    Fast,
    /// Distances between all rows as well, O(n²·d), and a search of the sets that may be honest.
    Sharp,
}

impl Effort {
    /// The names, in the order of the variants.
    pub const NAMES: &[&str] = &["fast", "sharp"];

    /// The effort of this name.
    pub fn from_name(name: &str) -> Option<Effort> {
        match name {
            "fast" => Some(Effort::Fast),
            "sharp" => Some(Effort::Sharp),
            _ => None,
        }
    }
}

/// What is certain of one answer, whichever of the rows are hostile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Certificate {
    /// The answer is no farther than this from the mean of the honest rows, if at most f rows are
    /// hostile; infinite where that is beyond f64.
    pub radius: f64,
    /// Whether some choice of f rows attains the radius, up to rounding.
    pub attained: bool,
    /// What κ promises of the same distance, where it is given; it holds of the rule in exact
    /// arithmetic.
    pub promised: Option<f64>,
    /// The most hostile rows, at most (n − 1)/2, with which the answer still has a positive inner
    /// product with the mean of the honest rows, whichever they are; `None`: not even with none.
    pub descent: Option<usize>,
    /// The length of the answer, in the unit of the radius.
    pub length: f64,
    /// How far rows may move with the same ones selected, of rules that say: see
    /// [`Pipeline::margin`](crate::Pipeline::margin). No certifier knows the rule, so whoever asks
    /// it sets this.
    pub margin: Option<f64>,
}

/// Issues certificates, and keeps its memory from one to the next.
#[derive(Debug)]
pub struct Certifier {
    effort: Effort,
    parts: Vec<Part>,
    pairs: Pairs,
}

/// Sums over a window of columns.
#[derive(Clone, Debug, Default)]
struct Part {
    /// Of every row: ‖xᵢ − c‖², ⟨F, xᵢ⟩.
    rows: Vec<Beside>,
    /// ‖F‖², ‖F − c‖².
    own: [f64; 2],
}

thread_local! {
    /// The mean of a window.
    static MEAN: RefCell<Vec<f32>> = RefCell::default();
}

impl Certifier {
    /// One that works this hard.
    pub fn new(effort: Effort) -> Self {
        Certifier { effort, parts: Vec::new(), pairs: Pairs::default() }
    }

    /// The certificate of `answer` to whole, finite rows that count alike, of which at most f are
    /// hostile; `kappa` is the rule's, where one is proven at these n and f. `None` where f ≥ n:
    /// no row need be honest. The bits are the same at any number of threads.
    ///
    /// # Panics
    /// If the answer has not d coordinates.
    pub fn certify(
        &mut self,
        rows: Rows<'_>,
        answer: &[f32],
        f: usize,
        kappa: Option<f64>,
    ) -> Option<Certificate> {
        let (n, d) = (rows.n(), rows.d());
        assert_eq!(answer.len(), d, "the answer has d coordinates");
        if f >= n {
            return None;
        }
        let exact = 4.0 * (136 + n + d / WINDOW) as f64 * UNIT;
        let units = exact + beside::LOSS;
        let measured =
            Measured::of(n, self.sums(rows, answer), (exact, units), |centre, mean_length| {
                2f64.powi(-23) * centre + n as f64 * UNIT * mean_length
            });
        let measured = measured.blurred((d as f64).sqrt() * 2f64.powi(-149));
        if self.effort == Effort::Fast || f == 0 {
            return Some(measured.certificate(f, kappa, None));
        }
        self.pairs.squared_distances_with(rows, answer);
        let loss = exact + if d > SMALL { 5e-6 } else { 0.0 };
        let found = subsets::farthest(&self.pairs.row(n)[..n], &self.pairs, f, loss);
        Some(measured.certificate(f, kappa, Some(found)))
    }

    /// The sums over all columns, window by window, folded in order.
    fn sums(&mut self, rows: Rows<'_>, answer: &[f32]) -> Part {
        blocks::map(rows.d(), WINDOW, &mut self.parts, |range, part| {
            let (rows, answer) = (rows.columns(range.clone()), &answer[range]);
            MEAN.with_borrow_mut(|mean| {
                mean.resize(answer.len(), 0.0);
                combine::mean(rows, mean);
                let length = beside::rows_beside(rows, mean, answer, &mut part.rows);
                part.own = [length, norms::distance2(answer, mean)];
            });
        });
        let zero = Part { rows: vec![[0.0; 2]; rows.n()], own: [0.0; 2] };
        self.parts.iter().fold(zero, |mut all, part| {
            let sums = all.rows.as_flattened_mut().iter_mut();
            sums.zip(part.rows.as_flattened()).for_each(|(sum, more)| *sum += more);
            all.own.iter_mut().zip(&part.own).for_each(|(sum, more)| *sum += more);
            all
        })
    }
}

/// The certificate of an answer to rows of f64, of any magnitude, with the sets searched. Cost
/// O(n²·d).
///
/// # Panics
/// If a row or the answer is not as long as the first row.
pub fn certify_exact(
    rows: &[Vec<f64>],
    answer: &[f64],
    f: usize,
    kappa: Option<f64>,
) -> Option<Certificate> {
    let (n, d) = (rows.len(), answer.len());
    assert!(rows.iter().all(|row| row.len() == d), "rows are as long as the answer");
    if f >= n {
        return None;
    }
    let largest = rows.iter().flatten().chain(answer).fold(0.0f64, |most, x| most.max(x.abs()));
    // 2^e ≥ the largest; in two factors, as 2^-1074 has no inverse in f64.
    let e = if largest > 0.0 { largest.log2().ceil() as i32 } else { 0 };
    let scaled = |x: f64, e: i32| x * 2f64.powi(-(e / 2)) * 2f64.powi(-(e - e / 2));
    let small = |x: &[f64]| x.iter().map(|&x| scaled(x, e)).collect::<Vec<f64>>();
    let (rows, answer) = (rows.iter().map(|row| small(row)).collect::<Vec<_>>(), small(answer));
    let share = 1.0 / n as f64;
    let mean: Vec<f64> =
        (0..d).map(|k| rows.iter().map(|row| row[k] * share).sum::<f64>()).collect();
    let sum = |terms: &dyn Fn(usize) -> f64| (0..d).map(terms).sum::<f64>();
    let apart = |a: &[f64], b: &[f64]| sum(&|k| (a[k] - b[k]).powi(2));
    let dot = |a: &[f64], b: &[f64]| sum(&|k| a[k] * b[k]);
    let of = |what: &dyn Fn(&[f64]) -> f64| rows.iter().map(|row| what(row)).collect::<Vec<f64>>();
    let part = Part {
        rows: rows.iter().map(|row| [apart(row, &mean), dot(row, &answer)]).collect(),
        own: [dot(&answer, &answer), apart(&answer, &mean)],
    };
    let units = 4.0 * (8 + n + d) as f64 * UNIT;
    let measured =
        Measured::of(n, part, (units, units), |_, length| (n + 2) as f64 * UNIT * length);
    let measured = measured.blurred((d as f64).sqrt() * 2f64.powi(-536));
    let found = (f > 0).then(|| {
        let mut pairs = Pairs::default();
        pairs.resize(n);
        for i in 0..n {
            (0..i).for_each(|j| pairs.set(i, j, apart(&rows[i], &rows[j])));
        }
        subsets::farthest(&of(&|row| apart(row, &answer)), &pairs, f, units)
    });
    let mut certificate = measured.certificate(f, kappa, found);
    for value in [&mut certificate.radius, &mut certificate.length] {
        *value = scaled(*value, -e);
    }
    certificate.promised = certificate.promised.map(|promised| scaled(promised, -e));
    Some(certificate)
}

/// What was measured, each number moved to the safe side.
struct Measured {
    n: usize,
    /// Upper bounds on ‖xᵢ − c‖.
    from_centre: Vec<f64>,
    /// Lower bounds on ⟨F, xᵢ⟩.
    products: Vec<f64>,
    /// ‖F‖.
    length: f64,
    /// Upper bounds on ‖c − x̄‖ and ‖F − x̄‖.
    slip: f64,
    offset: f64,
    /// The relative error of a sum.
    units: f64,
    /// What may be missing of a length below the range of numbers.
    blur: f64,
}

impl Measured {
    /// From sums of F alone and of rows with these relative errors; `slip` bounds ‖c − x̄‖ by ‖c‖
    /// and the mean of ‖xᵢ‖.
    fn of(
        n: usize,
        sums: Part,
        (exact, units): (f64, f64),
        slip: impl Fn(f64, f64) -> f64,
    ) -> Measured {
        let up = |square: &f64| square.sqrt() * (1.0 + units);
        let from_centre: Vec<f64> = sums.rows.iter().map(|[apart, _]| up(apart)).collect();
        let [length, apart] = sums.own.map(|square| square.sqrt() * (1.0 + exact));
        // ‖c‖ ≤ ‖F‖ + ‖F − c‖, and ‖xᵢ‖ ≤ ‖xᵢ − c‖ + ‖c‖.
        let centre = length + apart;
        let products = sums.rows.iter().zip(&from_centre);
        let products = products.map(|([_, x], far)| x - units * length * (far + centre)).collect();
        let lengths = from_centre.iter().sum::<f64>() / n as f64 + centre;
        let slip = slip(centre, lengths) * (1.0 + units);
        let offset = (apart + slip) * (1.0 + exact);
        let blur = 0.0;
        // What follows sums numbers that are on the safe side already.
        let units = exact;
        Measured { n, from_centre, products, length, slip, offset, units, blur }
    }

    /// With every length that much longer: what may have been lost below the range of numbers.
    fn blurred(mut self, by: f64) -> Measured {
        let lengths = self.from_centre.iter_mut();
        lengths.chain([&mut self.slip, &mut self.offset]).for_each(|length| *length += by);
        self.products.iter_mut().for_each(|product| *product -= by * by);
        self.blur = by;
        self
    }

    /// The certificate, with what a search of the sets found.
    fn certificate(
        &self,
        f: usize,
        kappa: Option<f64>,
        found: Option<subsets::Farthest>,
    ) -> Certificate {
        let Measured { n, units, .. } = *self;
        let m = (n - f) as f64;
        let bound = self.radius(f);
        let (radius, attained) = match found {
            Some(found) => (bound.min(found.distance + self.blur), found.attained),
            // Of no hostile row the bound is the distance from the one mean.
            None => (bound, f == 0),
        };
        let largest: f64 = descending(&self.from_centre).take(n - f).map(|x| x * x).sum();
        let promised = kappa.map(|kappa| (kappa * largest / m).sqrt() * (1.0 + units));
        let (descent, length) = (self.descent(), self.length);
        Certificate { radius, attained, promised, descent, length, margin: None }
    }

    /// The lesser of the two bounds.
    fn radius(&self, f: usize) -> f64 {
        let Measured { n, slip, offset, units, .. } = *self;
        let (all, m) = (n as f64, (n - f) as f64);
        let far = descending(&self.from_centre).take(f).sum::<f64>() + f as f64 * slip;
        let first = offset + far / m;
        let scatter: f64 = self.from_centre.iter().map(|x| x * x).sum();
        let second = offset + (f as f64 / (all * m) * scatter).sqrt();
        first.min(second) * (1.0 + units)
    }

    /// The most rows that may be hostile with descent certified.
    fn descent(&self) -> Option<usize> {
        let mut products = self.products.clone();
        products.sort_by(f64::total_cmp);
        let (mut sum, mut size, mut most) = (0.0, 0.0, None);
        for (k, product) in products.iter().enumerate() {
            sum += product;
            size += product.abs();
            let hostile = self.n - (k + 1);
            if most.is_none() && hostile <= (self.n - 1) / 2 && sum > self.units * size {
                most = Some(hostile);
            }
        }
        most
    }
}

/// The largest first.
fn descending(values: &[f64]) -> impl Iterator<Item = f64> + use<> {
    let mut values = values.to_vec();
    values.sort_by(|a, b| b.total_cmp(a));
    values.into_iter()
}
