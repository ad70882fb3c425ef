//! Matrix products on one thread, through the `gemm` crate, with checked bounds.

/// A matrix inside a slice: entry (i, j) stands at i·`down` + j·`across`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mat<'a> {
    data: &'a [f32],
    down: usize,
    across: usize,
}

impl<'a> Mat<'a> {
    /// Rows packed, `columns` floats each.
    pub(crate) fn rows(data: &'a [f32], columns: usize) -> Self {
        Mat { data, down: columns, across: 1 }
    }

    /// The transpose.
    pub(crate) fn t(self) -> Self {
        Mat { data: self.data, down: self.across, across: self.down }
    }

    /// Whether an r × c matrix of this layout lies within the slice.
    fn holds(&self, r: usize, c: usize) -> bool {
        r == 0 || c == 0 || (r - 1) * self.down + (c - 1) * self.across < self.data.len()
    }
}

/// c = a·b, or c += a·b where `add`; a is m × k, b is k × n, c is m × n with rows packed.
pub(crate) fn product(m: usize, n: usize, k: usize, a: Mat, b: Mat, c: &mut [f32], add: bool) {
    product_into(m, n, k, a, b, c, n, add);
}

/// As [`product`] with the rows of c starting `down` floats apart.
pub(crate) fn product_into(
    m: usize,
    n: usize,
    k: usize,
    a: Mat,
    b: Mat,
    c: &mut [f32],
    down: usize,
    add: bool,
) {
    assert!(a.holds(m, k) && b.holds(k, n), "{m} × {k} times {k} × {n} lies in its slices");
    assert!(down >= n && (m == 0 || c.len() >= (m - 1) * down + n), "{m} × {n} fits");
    // SAFETY: the asserts above bound every entry of the three matrices by its slice; c is
    // borrowed exclusively, so it overlaps neither a nor b.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            down as isize,
            add,
            a.data.as_ptr(),
            a.across as isize,
            a.down as isize,
            b.data.as_ptr(),
            b.across as isize,
            b.down as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::{Domain, Seed};

    #[test]
    fn products_of_odd_shapes_agree_with_f64() {
        let mut stream = Seed(1).stream(Domain::Test, 0, 0);
        for (m, n, k) in [(1, 1, 1), (3, 5, 7), (17, 10, 33), (83, 100, 65), (1, 33, 200)] {
            let mut draw =
                |len: usize| -> Vec<f32> { (0..len).map(|_| stream.normal() as f32).collect() };
            let (a, b, c0) = (draw(m * k), draw(k * n), draw(m * n));
            for (transposed, add) in [(false, false), (false, true), (true, false), (true, true)] {
                let (x, y) = match transposed {
                    false => (Mat::rows(&a, k), Mat::rows(&b, n)),
                    true => (Mat::rows(&a, m).t(), Mat::rows(&b, k).t()),
                };
                let mut c = c0.clone();
                product(m, n, k, x, y, &mut c, add);
                for i in 0..m {
                    for j in 0..n {
                        let term = |t: usize| match transposed {
                            false => f64::from(a[i * k + t]) * f64::from(b[t * n + j]),
                            true => f64::from(a[t * m + i]) * f64::from(b[j * k + t]),
                        };
                        let old = if add { f64::from(c0[i * n + j]) } else { 0.0 };
                        let want = old + (0..k).map(term).sum::<f64>();
                        let error = (f64::from(c[i * n + j]) - want).abs();
                        assert!(error < 2e-5, "{m}×{n}×{k} {transposed} {add}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "lies in its slices")]
    fn a_matrix_that_leaves_its_slice_is_refused() {
        product(2, 2, 2, Mat::rows(&[1.0; 3], 2), Mat::rows(&[1.0; 4], 2), &mut [0.0; 4], false);
    }
}
