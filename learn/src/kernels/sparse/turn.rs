//! Turning a block of sums into rows of a gradient.

use super::{GROUP, TURN};

/// Writes a block of sums, turned: column c of the group's rows to column `first` + c of `out`,
/// whose rows hold `width`, for the rows of `out` that are named.
pub(super) fn turn(
    block: &[f32],
    columns: usize,
    rows: std::ops::Range<usize>,
    first: usize,
    width: usize,
    out: &mut [f32],
) {
    assert!(block.len() >= columns * GROUP && rows.len() <= GROUP && columns <= TURN);
    assert!(first + columns <= width && rows.end * width <= out.len());
    #[cfg(target_arch = "x86_64")]
    if columns == TURN && crate::kernels::isa::active() == crate::kernels::Isa::Avx512 {
        // SAFETY: `isa` answers this only where the processor has these features; the asserts
        // above bound the block and the rows.
        return unsafe { turn_avx512(block, rows, first, width, out) };
    }
    for (o, row) in out.chunks_exact_mut(width).take(rows.end).skip(rows.start).enumerate() {
        let to = &mut row[first..first + columns];
        to.iter_mut().enumerate().for_each(|(c, to)| *to = block[c * GROUP + o]);
    }
}

/// As [`turn`] for 16 columns, in tiles of 16 × 16.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
unsafe fn turn_avx512(
    block: &[f32],
    rows: std::ops::Range<usize>,
    first: usize,
    width: usize,
    out: &mut [f32],
) {
    use std::arch::x86_64::*;
    for tile in (0..rows.len()).step_by(16) {
        // SAFETY: a tile of the block is 16 rows of `GROUP` floats, of which 16 from `tile` on are
        // read; only rows of `out` inside the range are written, 16 floats from `first` on each.
        unsafe {
            let at = block.as_ptr().add(tile);
            let x: [__m512; 16] = std::array::from_fn(|c| _mm512_loadu_ps(at.add(c * GROUP)));
            // Pairs of rows, then of pairs: each quarter holds four rows of one column.
            let y: [__m512; 16] = std::array::from_fn(|i| {
                let (a, b) = (x[i / 4 * 4 + i % 2 * 2], x[i / 4 * 4 + i % 2 * 2 + 1]);
                match i % 4 < 2 {
                    true => _mm512_unpacklo_ps(a, b),
                    false => _mm512_unpackhi_ps(a, b),
                }
            });
            let z: [__m512; 16] = std::array::from_fn(|i| {
                let (four, column) = (i / 4 * 4, i % 4);
                let (a, b) = (y[four + column / 2 * 2], y[four + column / 2 * 2 + 1]);
                let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
                _mm512_castpd_ps(match column % 2 == 0 {
                    true => _mm512_unpacklo_pd(a, b),
                    false => _mm512_unpackhi_pd(a, b),
                })
            });
            // z[4·g + c] has, in quarter q, column 4·q + c of rows 4·g to 4·g + 3.
            for c in 0..4 {
                let (a, b) = (z[c], z[4 + c]);
                let (e, f) = (z[8 + c], z[12 + c]);
                let even = _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b);
                let odd = _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b);
                let even2 = _mm512_shuffle_f32x4::<0b10_00_10_00>(e, f);
                let odd2 = _mm512_shuffle_f32x4::<0b11_01_11_01>(e, f);
                let columns = [
                    _mm512_shuffle_f32x4::<0b10_00_10_00>(even, even2),
                    _mm512_shuffle_f32x4::<0b10_00_10_00>(odd, odd2),
                    _mm512_shuffle_f32x4::<0b11_01_11_01>(even, even2),
                    _mm512_shuffle_f32x4::<0b11_01_11_01>(odd, odd2),
                ];
                for (q, &column) in columns.iter().enumerate() {
                    let o = tile + 4 * q + c;
                    if o < rows.len() {
                        let to = out.as_mut_ptr().add((rows.start + o) * width + first);
                        _mm512_storeu_ps(to, column);
                    }
                }
            }
        }
    }
}
