//! Squared norms, inner products and distances of single vectors and of rows with one vector.
//!
//! Everything is f64: 16 interleaved sums over a chunk of columns, folded pairwise, chunks added in
//! order. Bits agree on every instruction set, and between a row alone and among others.

use crate::Rows;
use crate::blocks;
use crate::kernels::isa;
use crate::kernels::lanes::Lanes;

/// Interleaved sums.
const LANES: usize = 16;

/// Columns of a chunk: a vector's chunk stays in the L2 cache while all rows meet it.
const CHUNK: usize = 16 * 1024;

/// Which product of two values is summed.
#[derive(Clone, Copy, PartialEq)]
enum Of {
    /// a·b.
    Product,
    /// (a − b)².
    SquaredDifference,
}

/// ⟨a, b⟩ in f64.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    whole(Of::Product, a, b)
}

/// ‖a‖² in f64.
pub fn norm2(a: &[f32]) -> f64 {
    whole(Of::Product, a, a)
}

/// ‖a − b‖² in f64, by differences.
pub fn distance2(a: &[f32], b: &[f32]) -> f64 {
    whole(Of::SquaredDifference, a, b)
}

/// ‖xᵢ‖² of every row, into `out`. Cost O(n·d).
pub fn rows_norm2(rows: Rows<'_>, out: &mut Vec<f64>) {
    every_row(Of::Product, rows, None, out);
}

/// ⟨xᵢ, c⟩ of every row, into `out`. Cost O(n·d).
pub fn rows_dot(rows: Rows<'_>, centre: &[f32], out: &mut Vec<f64>) {
    every_row(Of::Product, rows, Some(centre), out);
}

/// ‖xᵢ − c‖² of every row, into `out`. Cost O(n·d).
pub fn rows_distance2(rows: Rows<'_>, centre: &[f32], out: &mut Vec<f64>) {
    every_row(Of::SquaredDifference, rows, Some(centre), out);
}

fn whole(of: Of, a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let isa = isa::active();
    let mut total = 0.0;
    for (a, b) in a.chunks(CHUNK).zip(b.chunks(CHUNK)) {
        let mut sum = 0.0;
        chunk(isa, of, a, b, &mut sum);
        total += sum;
    }
    total
}

fn every_row(of: Of, rows: Rows<'_>, centre: Option<&[f32]>, out: &mut Vec<f64>) {
    let (n, d) = (rows.n(), rows.d());
    if let Some(centre) = centre {
        assert_eq!(centre.len(), d, "the vector has d coordinates");
    }
    let isa = isa::active();
    // One slot for every chunk and row; chunks are folded into the first n.
    out.clear();
    out.resize(d.div_ceil(CHUNK).max(1) * n, 0.0);
    blocks::fill(out, n.max(1), |slots, sums| {
        let from = slots.start / n * CHUNK;
        let columns = from..(from + CHUNK).min(d);
        for (i, sum) in sums.iter_mut().enumerate() {
            let row = &rows.row(i)[columns.clone()];
            chunk(isa, of, row, centre.map_or(row, |centre| &centre[columns.clone()]), sum);
        }
    });
    let (first, rest) = out.split_at_mut(n);
    for sums in rest.chunks_exact(n.max(1)) {
        first.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    out.truncate(n);
}

kernel! {
    fn chunk(of: Of, a: &[f32], b: &[f32], sum: &mut f64) = sum_chunk;
}

/// # Safety
/// The processor has `V`.
#[inline(always)]
unsafe fn sum_chunk<V: Lanes>(of: Of, a: &[f32], b: &[f32], sum: &mut f64) {
    // SAFETY: passed on from the caller.
    *sum = unsafe {
        match of {
            Of::Product => interleaved::<V, false>(a, b),
            Of::SquaredDifference => interleaved::<V, true>(a, b),
        }
    };
}

/// a·b or (a − b)², for the lanes at `a` and `b`.
///
/// # Safety
/// The processor has `V`; `a` and `b` have its lanes.
#[inline(always)]
unsafe fn term<V: Lanes, const DIFFERENCE: bool>(a: *const f32, b: *const f32) -> V::Wide {
    // SAFETY: passed on from the caller.
    let (a, b) = unsafe { (V::load_widened(a), V::load_widened(b)) };
    if DIFFERENCE {
        let difference = V::sub_wide(a, b);
        return V::mul_wide(difference, difference);
    }
    V::mul_wide(a, b)
}

/// # Safety
/// The processor has `V`.
#[inline(always)]
unsafe fn interleaved<V: Lanes, const DIFFERENCE: bool>(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let whole = a.len() / LANES * LANES;
    let (mut x, mut y) = ([0.0f32; LANES], [0.0f32; LANES]);
    x[..a.len() - whole].copy_from_slice(&a[whole..]);
    y[..a.len() - whole].copy_from_slice(&b[whole..]);
    let mut sums = [0.0f64; LANES];
    // SAFETY: k + lane + WIDTH ≤ whole, the padded ends have 16 floats, and so has `sums` doubles.
    unsafe {
        let mut acc = [V::splat_wide(0.0); LANES / 4];
        let parts = LANES / V::WIDTH;
        let mut k = 0;
        while k < whole {
            for part in 0..parts {
                let at = k + part * V::WIDTH;
                let term = term::<V, DIFFERENCE>(a.as_ptr().add(at), b.as_ptr().add(at));
                acc[part] = V::add_wide(acc[part], term);
            }
            k += LANES;
        }
        for part in 0..parts {
            let at = part * V::WIDTH;
            let last = term::<V, DIFFERENCE>(x.as_ptr().add(at), y.as_ptr().add(at));
            V::store_wide(V::add_wide(acc[part], last), sums.as_mut_ptr().add(at));
        }
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_offset_does_not_cancel() {
        let a: Vec<f32> = (0..1000).map(|k| 4096.0 + (k % 7) as f32 / 1024.0).collect();
        let b: Vec<f32> = (0..1000).map(|k| 4096.0 + (k % 5) as f32 / 1024.0).collect();
        let exact: f64 =
            (0..1000).map(|k| (((k % 7) as f64 - (k % 5) as f64) / 1024.0).powi(2)).sum();
        assert!((distance2(&a, &b) - exact).abs() < 1e-12 * exact);
        assert_eq!(dot(&[1.0, 2.0], &[3.0, 4.0]), 11.0);
        assert_eq!(norm2(&[3.0; 33]), 297.0);
    }
}
