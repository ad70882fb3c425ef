//! One block of columns: where its values come from, and what sorted columns are reduced to.

use super::Centre;
use crate::Rows;
use crate::kernels::lanes::Lanes;
use std::cell::RefCell;
use std::ops::Range;

/// Lanes that every pass is a multiple of.
pub(super) const STEP: usize = 16;

/// What a thread keeps between blocks.
#[derive(Default)]
pub(super) struct Scratch {
    sources: Vec<*const f32>,
    tile: Vec<f32>,
    column: Vec<f64>,
}

impl Scratch {
    /// `len` floats, unspecified.
    pub(super) fn tile(&mut self, len: usize) -> &mut [f32] {
        if self.tile.len() < len {
            self.tile.resize(len, 0.0);
        }
        &mut self.tile[..len]
    }
}

thread_local! {
    pub(super) static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What a sorted column is reduced to.
#[derive(Clone, Copy)]
pub(super) enum Statistic<'a> {
    /// The mean of the values of two ranks, which may be the same.
    Pair { low: usize, high: usize },
    /// The mean of the values of ranks `from` to `to` − 1.
    Window { from: usize, to: usize },
    /// The mean of the k values closest to a centre.
    Around { centre: Centre<'a>, k: usize },
}

impl Statistic<'_> {
    /// The same of some columns alone.
    pub(super) fn at(self, columns: Range<usize>) -> Self {
        match self {
            Statistic::Around { centre: Centre::Given(c), k } => {
                Statistic::Around { centre: Centre::Given(&c[columns]), k }
            }
            other => other,
        }
    }

    /// The ranks that it reads, of n.
    pub(super) fn ranks(&self, n: usize) -> (usize, usize) {
        match *self {
            Statistic::Pair { low, high } => (low, high + 1),
            Statistic::Window { from, to } => (from, to),
            Statistic::Around { .. } => (0, n),
        }
    }
}

/// The work on one block of columns.
pub(super) struct Job<'a> {
    /// The first of the block's columns in each of the n rows, then padding.
    pub(super) sources: &'a mut Vec<*const f32>,
    pub(super) n: usize,
    pub(super) statistic: Statistic<'a>,
    /// The given centre at the block's first column; dangling where none is given.
    pub(super) centre: *const f32,
    pub(super) tile: &'a mut Vec<f32>,
    column: &'a mut Vec<f64>,
}

impl<'a> Job<'a> {
    /// The columns of `rows`, of all of them or of those that are `picked`.
    pub(super) fn new(
        rows: Rows<'_>,
        picked: Option<&[usize]>,
        statistic: Statistic<'a>,
        scratch: &'a mut Scratch,
    ) -> Self {
        let Scratch { sources, tile, column } = scratch;
        sources.clear();
        match picked {
            None => sources.extend(rows.iter().map(<[f32]>::as_ptr)),
            Some(picked) => sources.extend(picked.iter().map(|&i| rows.row(i).as_ptr())),
        }
        let n = sources.len();
        column.clear();
        column.reserve(n);
        let centre = match statistic {
            Statistic::Around { centre: Centre::Given(c), .. } => c.as_ptr(),
            _ => std::ptr::dangling(),
        };
        Job { sources, n, statistic, centre, tile, column }
    }

    /// Whether the centre is a given vector.
    pub(super) fn given(&self) -> bool {
        matches!(self.statistic, Statistic::Around { centre: Centre::Given(_), .. })
    }

    /// Settles the columns k + bit for every bit of `open`; their answers lie in `out`.
    #[cold]
    #[inline(never)]
    pub(super) fn settle_open(&mut self, k: usize, open: u32, out: &mut [f32]) {
        for (lane, out) in out.iter_mut().enumerate() {
            if open >> lane & 1 == 1 {
                let mut given = 0.0;
                if self.given() {
                    // SAFETY: a given centre has the block's columns, of which k + lane is one.
                    given = unsafe { self.centre.add(k + lane).read() };
                }
                *out = self.settle(k + lane, given);
            }
        }
    }

    /// Reduces the sorted lanes, of which rank r lies at `place(r)`; sets bits where ties are open.
    ///
    /// # Safety
    /// The processor has `V`; `place` gives `V::WIDTH` floats that may be read and written, for
    /// every rank that the statistic reads; a given centre has as many at `centre`.
    #[inline(always)]
    pub(super) unsafe fn reduce<V: Lanes>(
        &self,
        place: impl Fn(usize) -> *mut f32,
        centre: *const f32,
    ) -> (V, u32) {
        // SAFETY: passed on from the caller.
        unsafe {
            match self.statistic {
                Statistic::Pair { low, high } if low == high => (V::load(place(low)), 0),
                Statistic::Pair { low, high } => (V::narrow(mean::<V>(place, [low, high])), 0),
                Statistic::Window { from, to } => (V::narrow(mean::<V>(place, from..to)), 0),
                Statistic::Around { centre: of, k } => {
                    let twice = self.twice_centre(of, &place, centre);
                    let mut open = 0;
                    for t in 0..self.n - k {
                        let (kept, bits) = V::load(place(t)).closer(V::load(place(t + k)), twice);
                        kept.store(place(t + k));
                        open |= bits;
                    }
                    (V::narrow(mean::<V>(place, self.n - k..self.n)), open)
                }
            }
        }
    }

    /// Twice the centre, rounded to f32: as monotone as the sum of two values that it meets.
    ///
    /// # Safety
    /// As for `reduce`.
    #[inline(always)]
    unsafe fn twice_centre<V: Lanes>(
        &self,
        of: Centre<'_>,
        place: &impl Fn(usize) -> *mut f32,
        given: *const f32,
    ) -> V {
        let n = self.n;
        // SAFETY: passed on from the caller.
        unsafe {
            let (a, b) = match of {
                Centre::Median => (V::load(place((n - 1) / 2)), V::load(place(n / 2))),
                Centre::LowerMedian => (V::load(place((n - 1) / 2)), V::load(place((n - 1) / 2))),
                Centre::Given(_) => (V::load(given), V::load(given)),
                Centre::TrimmedMean(f) => {
                    let mean = mean::<V>(place, f..n - f);
                    return V::narrow(V::add_wide(mean, mean));
                }
            };
            a.add(b)
        }
    }

    /// The answer for column k alone where rounding left open which of two values is closer:
    /// everything in f64, compared without rounding; of equally far values the least is closer.
    fn settle(&mut self, k: usize, given: f32) -> f32 {
        let Statistic::Around { centre, k: kept } = self.statistic else {
            unreachable!("only closeness has ties");
        };
        let values = &mut *self.column;
        values.clear();
        for row in &self.sources[..self.n] {
            // SAFETY: the caller's k is a column of the block, so each row has it.
            let x = unsafe { row.add(k).read() };
            values.push(if x.is_nan() { f64::INFINITY } else { f64::from(x) + 0.0 });
        }
        values.sort_unstable_by(f64::total_cmp);
        let n = values.len();
        let mean = |values: &[f64]| values.iter().sum::<f64>() * (1.0 / values.len() as f64);
        let centre = match centre {
            Centre::Median => (values[(n - 1) / 2] + values[n / 2]) * 0.5,
            Centre::LowerMedian => values[(n - 1) / 2],
            Centre::Given(_) => f64::from(given),
            Centre::TrimmedMean(f) => mean(&values[f..n - f]),
        };
        let mut from = 0;
        while from + kept < n && farther(values[from], values[from + kept], centre) {
            from += 1;
        }
        mean(&values[from..from + kept]) as f32
    }
}

/// Whether low + high < 2·centre: `low` is farther from `centre` than the no lesser `high` is, or
/// they are the same value below it.
fn farther(low: f64, high: f64, centre: f64) -> bool {
    if low == high {
        return low < centre;
    }
    let (below, above) = (distance(low, centre), distance(high, centre));
    below.0.total_cmp(&above.0).then(below.1.total_cmp(&above.1)).is_gt()
}

/// |x − y| without error, as a rounded part and what rounding left.
fn distance(x: f64, y: f64) -> (f64, f64) {
    let rounded = x - y;
    if !rounded.is_finite() {
        return (f64::INFINITY, 0.0);
    }
    let back = rounded - x;
    let rest = (x - (rounded - back)) - (y + back);
    if rounded < 0.0 { (-rounded, 0.0 - rest) } else { (rounded, rest + 0.0) }
}

/// The mean of the values of `ranks`, in f64.
///
/// # Safety
/// The processor has `V`; `place` gives readable lanes for each rank.
#[inline(always)]
unsafe fn mean<V: Lanes>(
    place: impl Fn(usize) -> *mut f32,
    ranks: impl IntoIterator<Item = usize, IntoIter: ExactSizeIterator>,
) -> V::Wide {
    let ranks = ranks.into_iter();
    // SAFETY: passed on from the caller.
    unsafe {
        let scale = V::splat_wide(1.0 / ranks.len() as f64);
        let mut sum = V::splat_wide(0.0);
        for rank in ranks {
            sum = V::add_wide(sum, V::load_widened(place(rank)));
        }
        V::mul_wide(sum, scale)
    }
}
