//! How far each row is from one vector and how far it goes along another, in one pass over few
//! columns.
//!
//! Inside everything is f32, at twice the speed of [`super::norms`] and half the reading, with a
//! bound on what rounding does: 16 interleaved sums of at most 128 terms each, without fused
//! multiplications, folded in f64. Bits agree on every instruction set.

use crate::Rows;
use crate::kernels::isa;
use crate::kernels::lanes::Lanes;
use crate::kernels::norms;

/// The most columns of a call.
pub const MOST: usize = 2048;

/// What rounding may take from a sum or add to it, as a share of the sum of its terms' sizes: a
/// difference, its square and 128 additions, each within 2⁻²⁴, and a few more for good measure.
pub const LOSS: f64 = 144.0 / (1u64 << 24) as f64;

/// Interleaved sums.
const LANES: usize = 16;

/// Sums of squares that f32 holds with nothing lost at either end; what is beyond them is summed
/// again in f64. What is lost below, 2048 products of 2⁻¹⁴⁹, is far below [`LOSS`] of the least.
const RANGE: std::ops::Range<f64> = LEAST..1.0 / (LEAST * LEAST);

/// 2⁻⁶⁰.
const LEAST: f64 = 1.0 / (1u64 << 60) as f64;

/// Both sums of a row: ‖x − c‖² and ⟨x, a⟩.
pub type Beside = [f64; 2];

/// ‖xᵢ − c‖² and ⟨xᵢ, a⟩ of every row, into `out`, with errors of at most [`LOSS`] times ‖xᵢ − c‖²
/// and ‖xᵢ‖·‖a‖, or as [`norms`] has them where ‖xᵢ − c‖² or ‖a‖² is below 2⁻⁶⁰ or above 2¹²⁰;
/// returns ‖a‖² of f64. Cost O(n·d).
///
/// # Panics
/// If there are more than [`MOST`] columns, or a vector has not as many as the rows.
pub fn rows_beside(rows: Rows<'_>, centre: &[f32], along: &[f32], out: &mut Vec<Beside>) -> f64 {
    let d = rows.d();
    assert!(d <= MOST && centre.len() == d && along.len() == d, "as many columns, and few");
    out.clear();
    out.resize(rows.n(), [0.0; 2]);
    add(isa::active(), rows, centre, along, out);
    let size = norms::norm2(along);
    let long = RANGE.contains(&size) || size == 0.0;
    for (i, sums) in out.iter_mut().enumerate() {
        if !(long && RANGE.contains(&sums[0]) && sums[1].is_finite()) {
            let row = rows.row(i);
            *sums = [norms::distance2(row, centre), norms::dot(row, along)];
        }
    }
    size
}

kernel! {
    fn add(@isa; rows: Rows<'_>, centre: &[f32], along: &[f32], out: &mut [Beside]) = all_rows;
}

/// # Safety
/// The processor has `V`; the vectors have the rows' columns.
#[inline(always)]
unsafe fn all_rows<V: Lanes>(rows: Rows<'_>, centre: &[f32], along: &[f32], out: &mut [Beside]) {
    // SAFETY: passed on from the caller.
    unsafe {
        match V::WIDTH {
            16 => groups::<V, 4>(rows, centre, along, out),
            8 => groups::<V, 2>(rows, centre, along, out),
            _ => groups::<V, 1>(rows, centre, along, out),
        }
    }
}

/// Rows in groups of N, as many as have their sums in registers.
///
/// # Safety
/// The processor has `V`; the vectors have the rows' columns.
#[inline(always)]
unsafe fn groups<V: Lanes, const N: usize>(
    rows: Rows<'_>,
    centre: &[f32],
    along: &[f32],
    out: &mut [Beside],
) {
    let (whole, rest) = out.as_chunks_mut::<N>();
    let alone = whole.len() * N;
    // SAFETY: passed on from the caller.
    unsafe {
        for (g, out) in whole.iter_mut().enumerate() {
            group::<V, N>(std::array::from_fn(|s| rows.row(g * N + s)), centre, along, out);
        }
        for (i, out) in rest.iter_mut().enumerate() {
            group::<V, 1>([rows.row(alone + i)], centre, along, std::array::from_mut(out));
        }
    }
}

/// # Safety
/// The processor has `V`; the rows and both vectors have the same length.
#[inline(always)]
unsafe fn group<V: Lanes, const N: usize>(
    rows: [&[f32]; N],
    centre: &[f32],
    along: &[f32],
    out: &mut [Beside; N],
) {
    let whole = centre.len() / LANES * LANES;
    let tail = |x: &[f32]| {
        let mut padded = [0.0f32; LANES];
        padded[..x.len() - whole].copy_from_slice(&x[whole..]);
        padded
    };
    // SAFETY: passed on from the caller; padded ends have 16 floats.
    unsafe {
        let mut sums = [[[V::splat(0.0); LANES / 4]; 2]; N];
        let at = rows.map(<[f32]>::as_ptr);
        lanes::<V, N>(at, [centre.as_ptr(), along.as_ptr()], whole, &mut sums);
        if whole < centre.len() {
            let (tails, ends) = (rows.map(tail), [tail(centre), tail(along)]);
            let at = tails.each_ref().map(|tail| tail.as_ptr());
            lanes::<V, N>(at, ends.each_ref().map(|end| end.as_ptr()), LANES, &mut sums);
        }
        for (out, sums) in out.iter_mut().zip(&sums) {
            *out = [folded::<V>(&sums[0]), folded::<V>(&sums[1])];
        }
    }
}

/// Adds `len` columns.
///
/// # Safety
/// The processor has `V`; rows and vectors have `len` columns, a multiple of 16.
#[inline(always)]
unsafe fn lanes<V: Lanes, const N: usize>(
    rows: [*const f32; N],
    [centre, along]: [*const f32; 2],
    len: usize,
    sums: &mut [[[V; LANES / 4]; 2]; N],
) {
    // SAFETY: passed on from the caller; part · WIDTH + WIDTH ≤ 16.
    unsafe {
        for k in (0..len).step_by(LANES) {
            for part in 0..LANES / V::WIDTH {
                let at = k + part * V::WIDTH;
                let (c, a) = (V::load(centre.add(at)), V::load(along.add(at)));
                for s in 0..N {
                    let x = V::load(rows[s].add(at));
                    let apart = x.sub(c);
                    sums[s][0][part] = sums[s][0][part].add(apart.mul(apart));
                    sums[s][1][part] = sums[s][1][part].add(x.mul(a));
                }
            }
        }
    }
}

/// The sum of all lanes in f64, folded pairwise.
///
/// # Safety
/// The processor has `V`.
#[inline(always)]
unsafe fn folded<V: Lanes>(parts: &[V; LANES / 4]) -> f64 {
    let mut lanes = [0.0f32; LANES];
    for (part, lanes) in parts.iter().zip(lanes.chunks_exact_mut(V::WIDTH)) {
        // SAFETY: passed on from the caller; a chunk has `WIDTH` floats.
        unsafe { part.store(lanes.as_mut_ptr()) }
    }
    norms::Sums(lanes.map(f64::from)).fold()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::isa::Isa;
    use crate::{Domain, Matrix, Seed};

    /// Rows of both kinds of columns, far from and near the centre, at this scale.
    fn drawn(n: usize, d: usize, scale: f32, offset: f32) -> Matrix {
        let mut stream = Seed(3).stream(Domain::Test, n as u32, d as u64);
        let mut matrix = Matrix::zeros(n, d);
        for i in 0..n {
            matrix.row_mut(i).fill_with(|| (stream.normal() as f32 + offset) * scale);
        }
        matrix
    }

    #[test]
    fn sums_are_those_of_f64_within_the_loss_at_any_scale_and_alike_everywhere() {
        let mut out = Vec::new();
        for (n, d) in [(1, 1), (3, 15), (4, 16), (7, 2048), (11, 2047), (2, 0)] {
            for scale in [1.0, 1e-9, 1e-25, 1e-40, 1e12, 1e25, 1e36] {
                for offset in [0.0, 64.0] {
                    agrees(&drawn(n + 2, d, scale, offset), &mut out);
                }
            }
        }
    }

    /// The last two rows are the vectors.
    fn agrees(x: &Matrix, out: &mut Vec<Beside>) {
        let n = x.n() - 2;
        let (rows, centre, along) = (x.rows().head(n), x.row(n), x.row(n + 1));
        let mut first: Option<Vec<Beside>> = None;
        for set in Isa::ALL.into_iter().filter(|set| set.available()) {
            let size = isa::with(set, || rows_beside(rows, centre, along, out));
            assert_eq!(size, norms::norm2(along));
            for (i, &[apart, product]) in out.iter().enumerate() {
                let row = rows.row(i);
                let want = [norms::distance2(row, centre), norms::dot(row, along)];
                let most = (norms::norm2(row) * size).sqrt();
                assert!((apart - want[0]).abs() <= LOSS * want[0], "{set}: {apart:e}, {want:?}");
                assert!((product - want[1]).abs() <= LOSS * most, "{set}: {product:e}, {want:?}");
            }
            assert_eq!(first.get_or_insert_with(|| out.clone()), out, "{set}");
        }
    }
}
