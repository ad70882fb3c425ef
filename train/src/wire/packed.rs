//! Rows of few coordinates or levels, packed: coordinates that all know, and multiples of a unit.

use super::{Malformed, floats};
use varangian_learn::optim::level_bits;

/// The values at these places, ascending.
pub(super) fn pack_masked(row: &[f32], mask: &[u32], out: &mut Vec<u8>) {
    // A row that is broken shows it, wherever it is.
    match row.iter().find(|x| !x.is_finite()) {
        Some(broken) => mask.iter().for_each(|_| floats(&[*broken], out)),
        None => mask.iter().for_each(|&at| floats(&[row[at as usize]], out)),
    }
}

/// Reads what `pack_masked` wrote; the length was checked.
pub(super) fn unpack_masked(body: &[u8], mask: &[u32], row: &mut [f32]) {
    row.fill(0.0);
    for (&at, x) in mask.iter().zip(body.chunks_exact(4)) {
        row[at as usize] = f32::from_le_bytes(x.try_into().expect("four bytes"));
    }
}

/// The unit of a row of its multiples and, of each coordinate, level + the most of them in as many
/// bits as that takes, lowest bits first.
pub(super) fn pack_levels(row: &[f32], levels: u32, out: &mut Vec<u8>) {
    let (unit, of) = match row.iter().find(|x| !x.is_finite()) {
        Some(broken) => (*broken, None),
        None => (unit_of(row, levels), Some(row)),
    };
    floats(&[unit], out);
    let bits = level_bits(levels);
    let (mut word, mut filled) = (0u32, 0);
    for k in 0..row.len() {
        let level = match of {
            // Whatever is not finite stays so in every multiple but 0.
            None => levels as i32,
            Some(_) if unit == 0.0 => 0,
            Some(row) => {
                let level = (f64::from(row[k]) / f64::from(unit)).round();
                level.clamp(-f64::from(levels), f64::from(levels)) as i32
            }
        };
        word |= ((level + levels as i32) as u32) << filled;
        filled += bits;
        while filled >= 8 {
            out.push(word as u8);
            (word, filled) = (word >> 8, filled - 8);
        }
    }
    if filled > 0 {
        out.push(word as u8);
    }
}

/// Reads what `pack_levels` wrote; the length was checked.
pub(super) fn unpack_levels(body: &[u8], levels: u32, row: &mut [f32]) -> Result<(), Malformed> {
    let (unit, packed) = body.split_at(4);
    let unit = f32::from_le_bytes(unit.try_into().expect("four bytes"));
    let bits = level_bits(levels);
    let (mut word, mut filled, mut next) = (0u32, 0, packed.iter());
    for x in row {
        while filled < bits {
            word |= u32::from(*next.next().expect("the length was checked")) << filled;
            filled += 8;
        }
        let code = word & ((1 << bits) - 1);
        (word, filled) = (word >> bits, filled - bits);
        if code > 2 * levels {
            let most = 2 * levels;
            return Err(Malformed(format!("a level is coded as at most {most}; found {code}")));
        }
        let level = code as i32 - levels as i32;
        *x = if level == 0 { 0.0 } else { unit * level as f32 };
    }
    Ok(())
}

/// A unit of which all coordinates are multiples by at most `levels`: their greatest common
/// divisor, where the row was quantised so; of other rows the largest over `levels`.
fn unit_of(row: &[f32], levels: u32) -> f32 {
    let parts = |x: f32| {
        let bits = x.to_bits();
        let (exponent, mantissa) = ((bits >> 23 & 255) as i32, u64::from(bits & 0x7f_ffff));
        match exponent {
            0 => (mantissa, -149),
            _ => (mantissa | 1 << 23, exponent - 150),
        }
    };
    let stripped = |x: f32| {
        let (mantissa, exponent) = parts(x);
        let zeros = mantissa.trailing_zeros();
        (mantissa >> zeros, exponent + zeros as i32)
    };
    let others = || row.iter().copied().filter(|x| *x != 0.0);
    let Some(lowest) = others().map(|x| stripped(x).1).min() else { return 0.0 };
    let largest = others().fold(0.0f32, |most, x| most.max(x.abs()));
    let mut common = 0u64;
    for x in others() {
        let (mantissa, exponent) = stripped(x);
        let shift = exponent - lowest;
        if shift > 39 {
            return largest / levels as f32;
        }
        let (mut a, mut b) = (mantissa << shift, common);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        common = a;
    }
    let unit = (common as f64 * f64::from(lowest).exp2()) as f32;
    match f64::from(largest) / f64::from(unit) <= f64::from(levels) {
        true => unit,
        false => largest / levels as f32,
    }
}
