//! Bytes to floats through a table, with a list of those that are not 0: images on a black ground.

/// Bytes looked at together.
const RUN: usize = 16;

/// Sets each of `out` to the table's entry for its byte. Lists the places of bytes that are not 0
/// and what their entries add to that of 0, and answers how many there are; both lists have room
/// for 16 more than the bytes.
pub(crate) fn look_up(
    bytes: &[u8],
    table: &[f32; 256],
    out: &mut [f32],
    (columns, values): (&mut [u32], &mut [f32]),
) -> usize {
    assert_eq!(bytes.len(), out.len(), "a float for each byte");
    let room = bytes.len() + RUN;
    assert!(columns.len() >= room && values.len() >= room, "room for all");
    #[cfg(target_arch = "x86_64")]
    if super::isa::active() == super::Isa::Avx512 {
        // SAFETY: `isa` answers this only where the processor has these features; the asserts above
        // give each store of up to 16 entries its room.
        return unsafe { look_up_avx512(bytes, table, out, columns, values) };
    }
    let mut count = 0;
    let runs = bytes.chunks(RUN).zip(out.chunks_mut(RUN));
    for (from, (run, out)) in (0..).step_by(RUN).zip(runs) {
        if run.iter().all(|&byte| byte == 0) {
            out.fill(table[0]);
            continue;
        }
        for (k, (&byte, out)) in run.iter().zip(out).enumerate() {
            *out = table[usize::from(byte)];
            columns[count] = from + k as u32;
            values[count] = *out - table[0];
            count += usize::from(byte != 0);
        }
    }
    count
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
unsafe fn look_up_avx512(
    bytes: &[u8],
    table: &[f32; 256],
    out: &mut [f32],
    columns: &mut [u32],
    values: &mut [f32],
) -> usize {
    use std::arch::x86_64::*;
    let back = _mm512_set1_ps(table[0]);
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let mut count = 0;
    for from in (0..bytes.len()).step_by(RUN) {
        let left = (bytes.len() - from).min(RUN);
        let valid = ((1u32 << left) - 1) as __mmask16;
        // SAFETY: only the `left` bytes and floats are touched; a byte is an index of the table;
        // `count` is at most `from`, so that 16 more entries lie within both lists.
        unsafe {
            let run = _mm_maskz_loadu_epi8(valid, bytes.as_ptr().add(from).cast());
            let other = _mm_test_epi8_mask(run, run);
            let mut x = back;
            if other != 0 {
                let index = _mm512_cvtepu8_epi32(run);
                x = _mm512_mask_i32gather_ps::<4>(back, other, index, table.as_ptr().cast());
                let at = _mm512_add_epi32(lanes, _mm512_set1_epi32(from as i32));
                let by = _mm512_sub_ps(x, back);
                let at = _mm512_maskz_compress_epi32(other, at);
                let by = _mm512_maskz_compress_ps(other, by);
                _mm512_storeu_epi32(columns.as_mut_ptr().add(count).cast(), at);
                _mm512_storeu_ps(values.as_mut_ptr().add(count), by);
                count += other.count_ones() as usize;
            }
            _mm512_mask_storeu_ps(out.as_mut_ptr().add(from), valid, x);
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::isa::{self, Isa};

    #[test]
    fn bytes_are_looked_up_and_listed_on_every_instruction_set() {
        let table: [f32; 256] = std::array::from_fn(|b| b as f32 * 0.5 - 3.0);
        for len in [1, 15, 16, 33, 784] {
            let byte = |k: usize| if (k / 20).is_multiple_of(2) { 0 } else { (k * 31 % 256) as u8 };
            let bytes: Vec<u8> = (0..len).map(byte).collect();
            for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
                let mut out = vec![f32::NAN; len];
                let (mut columns, mut values) = (vec![0; len + 16], vec![0.0; len + 16]);
                let room = (&mut columns[..], &mut values[..]);
                let count = isa::with(isa, || look_up(&bytes, &table, &mut out, room));
                assert!(bytes.iter().zip(&out).all(|(&b, &x)| x == table[usize::from(b)]), "{isa}");
                let listed: Vec<(u32, f32)> = columns.into_iter().zip(values).take(count).collect();
                let wanted = bytes.iter().enumerate().filter(|&(_, &b)| b != 0);
                let wanted = wanted.map(|(k, &b)| (k as u32, table[usize::from(b)] - table[0]));
                assert!(wanted.eq(listed), "{isa} {len}");
            }
        }
    }
}
