//! Squared norms, inner products and distances of single vectors, summed in f64.

use crate::Rows;
use crate::blocks;

/// Lanes of the inner loops: sums are kept in 16 interleaved f64 accumulators.
const LANES: usize = 16;

/// Sums `term(k)` over k in a fixed order: 16 interleaved accumulators, folded pairwise.
#[inline(always)]
fn lanes(len: usize, term: impl Fn(usize) -> f64) -> f64 {
    let mut sums = [0.0f64; LANES];
    let whole = len / LANES * LANES;
    let mut k = 0;
    while k < whole {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += term(k + lane);
        }
        k += LANES;
    }
    for k in whole..len {
        sums[k - whole] += term(k);
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

/// ⟨a, b⟩ in f64.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    lanes(a.len(), |k| f64::from(a[k]) * f64::from(b[k]))
}

/// ‖a‖² in f64.
pub fn norm2(a: &[f32]) -> f64 {
    lanes(a.len(), |k| f64::from(a[k]) * f64::from(a[k]))
}

/// ‖a − b‖² in f64, by differences.
pub fn distance2(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    lanes(a.len(), |k| {
        let difference = f64::from(a[k]) - f64::from(b[k]);
        difference * difference
    })
}

/// ‖xᵢ‖² of every row, into `out`.
pub fn rows_norm2(rows: Rows<'_>, out: &mut Vec<f64>) {
    blocks::map(rows.n(), 1, out, |range, slot| *slot = norm2(rows.row(range.start)));
}

/// ⟨xᵢ, c⟩ of every row, into `out`.
pub fn rows_dot(rows: Rows<'_>, centre: &[f32], out: &mut Vec<f64>) {
    blocks::map(rows.n(), 1, out, |range, slot| *slot = dot(rows.row(range.start), centre));
}

/// ‖xᵢ − c‖² of every row, into `out`.
pub fn rows_distance2(rows: Rows<'_>, centre: &[f32], out: &mut Vec<f64>) {
    blocks::map(rows.n(), 1, out, |range, slot| *slot = distance2(rows.row(range.start), centre));
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
