//! Loops over single floats.

for_each_isa! {
    /// max(x, 0) of each; a NaN stays a NaN.
    pub(crate) fn rectify(values: &mut [f32]) {
        for x in values {
            *x = if *x < 0.0 { 0.0 } else { *x };
        }
    }
}

for_each_isa! {
    /// 0 into each d whose y is not positive.
    pub(crate) fn mask(y: &[f32], d: &mut [f32]) {
        for (d, &y) in d.iter_mut().zip(y) {
            *d = if y > 0.0 { *d } else { 0.0 };
        }
    }
}

for_each_isa! {
    /// Each row of `out` becomes `row`.
    pub(crate) fn repeat(row: &[f32], out: &mut [f32]) {
        for part in out.chunks_exact_mut(row.len()) {
            part.copy_from_slice(row);
        }
    }
}

for_each_isa! {
    /// The sums of the columns of `rows`, in row order, into `out`.
    pub(crate) fn column_sums(rows: &[f32], out: &mut [f32]) {
        out.fill(0.0);
        for row in rows.chunks_exact(out.len()) {
            for (sum, &x) in out.iter_mut().zip(row) {
                *sum += x;
            }
        }
    }
}
