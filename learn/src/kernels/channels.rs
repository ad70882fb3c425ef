//! Loops over pixels whose floats are channels: sums a channel, and affine maps a channel.

/// Channels that are summed together.
const LANES: usize = 64;
/// Pixels whose sums stay in f32 before they meet in f64.
const PIXELS: usize = 128;

/// Sums `term(position)` over the pixels of each channel: blocks of pixels in f32, blocks in f64.
#[inline(always)]
fn sums(len: usize, channels: usize, out: &mut [f64], term: impl Fn(usize, usize) -> f32) {
    let pixels = len / channels;
    for from in (0..channels).step_by(LANES) {
        let width = LANES.min(channels - from);
        let mut totals = [0.0f64; LANES];
        for first in (0..pixels).step_by(PIXELS) {
            let mut block = [0.0f32; LANES];
            for pixel in first..(first + PIXELS).min(pixels) {
                let at = pixel * channels + from;
                if width == LANES {
                    for (lane, sum) in block.iter_mut().enumerate() {
                        *sum += term(at + lane, from + lane);
                    }
                } else {
                    for (lane, sum) in block[..width].iter_mut().enumerate() {
                        *sum += term(at + lane, from + lane);
                    }
                }
            }
            for (total, &sum) in totals.iter_mut().zip(&block) {
                *total += f64::from(sum);
            }
        }
        out[from..from + width].copy_from_slice(&totals[..width]);
    }
}

for_each_isa! {
    /// The sum of each channel.
    pub(crate) fn channel_sums(x: &[f32], out: &mut [f64]) {
        sums(x.len(), out.len(), out, |k, _| x[k]);
    }
}

for_each_isa! {
    /// The sum of each channel, as f32: the gradient by a bias.
    pub(crate) fn bias_gradient(x: &[f32], out: &mut [f32]) {
        let mut totals = vec![0.0f64; out.len()];
        sums(x.len(), out.len(), &mut totals, |k, _| x[k]);
        out.iter_mut().zip(&totals).for_each(|(out, &total)| *out = total as f32);
    }
}

for_each_isa! {
    /// Σ (x − centre)² of each channel.
    pub(crate) fn squared_sums(x: &[f32], centre: &[f32], out: &mut [f64]) {
        assert_eq!(centre.len(), out.len());
        sums(x.len(), centre.len(), out, |k, c| (x[k] - centre[c]) * (x[k] - centre[c]));
    }
}

for_each_isa! {
    /// Σ d·(x − centre) and Σ d of each channel, in one pass.
    pub(crate) fn product_sums(
        d: &[f32],
        x: &[f32],
        centre: &[f32],
        products: &mut [f64],
        plain: &mut [f64],
    ) {
        let c = centre.len();
        assert_eq!((d.len(), products.len(), plain.len()), (x.len(), c, c));
        products.fill(0.0);
        plain.fill(0.0);
        // Blocks of pixels in f32, blocks in f64, as in `sums`.
        let mut block = vec![0.0f32; 2 * c];
        for (d, x) in d.chunks(PIXELS * c).zip(x.chunks(PIXELS * c)) {
            block.fill(0.0);
            let (one, two) = block.split_at_mut(c);
            for (d, x) in d.chunks_exact(c).zip(x.chunks_exact(c)) {
                let pixel = d.iter().zip(x).zip(centre);
                let totals = one.iter_mut().zip(two.iter_mut());
                for (((&d, &x), &centre), (one, two)) in pixel.zip(totals) {
                    *one += d * (x - centre);
                    *two += d;
                }
            }
            for k in 0..c {
                products[k] += f64::from(one[k]);
                plain[k] += f64::from(two[k]);
            }
        }
    }
}

for_each_isa! {
    /// a·x + b a channel, into `out`.
    pub(crate) fn affine(x: &[f32], a: &[f32], b: &[f32], out: &mut [f32]) {
        let c = a.len();
        for (out, x) in out.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
            for (((out, &x), &a), &b) in out.iter_mut().zip(x).zip(a).zip(b) {
                *out = x * a + b;
            }
        }
    }
}

for_each_isa! {
    /// d·a + x·p + q a channel, into `out`; added to it where `add`.
    pub(crate) fn affine_two(
        d: &[f32],
        x: &[f32],
        factors: [&[f32]; 3],
        out: &mut [f32],
        add: bool,
    ) {
        let [a, p, q] = factors;
        let c = a.len();
        let rows = out.chunks_exact_mut(c).zip(d.chunks_exact(c)).zip(x.chunks_exact(c));
        for ((out, d), x) in rows {
            if add {
                for k in 0..c {
                    out[k] += d[k] * a[k] + x[k] * p[k] + q[k];
                }
            } else {
                for k in 0..c {
                    out[k] = d[k] * a[k] + x[k] * p[k] + q[k];
                }
            }
        }
    }
}

for_each_isa! {
    /// The mean pixel of each image of `pixels` pixels, into `out`: one pixel an image.
    pub(crate) fn mean_pixels(x: &[f32], channels: usize, out: &mut [f32]) {
        let images = out.len() / channels;
        let each = x.len() / images;
        let scale = channels as f32 / each as f32;
        for (image, out) in x.chunks_exact(each).zip(out.chunks_exact_mut(channels)) {
            out.fill(0.0);
            for pixel in image.chunks_exact(channels) {
                out.iter_mut().zip(pixel).for_each(|(sum, &x)| *sum += x);
            }
            out.iter_mut().for_each(|sum| *sum *= scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_a_channel_and_exact_on_small_integers() {
        for channels in [1, 3, 64, 70] {
            let x: Vec<f32> = (0..300 * channels).map(|k| (k % 11) as f32).collect();
            let (mut found, mut squares) = (vec![0.0; channels], vec![0.0; channels]);
            channel_sums(&x, &mut found);
            squared_sums(&x, &vec![5.0; channels], &mut squares);
            for c in 0..channels {
                let all = x.iter().skip(c).step_by(channels).map(|&x| f64::from(x));
                assert_eq!(found[c], all.clone().sum::<f64>());
                assert_eq!(squares[c], all.map(|x| (x - 5.0) * (x - 5.0)).sum::<f64>());
            }
        }
    }

    #[test]
    fn a_long_sum_does_not_drift() {
        let x = vec![0.1f32; 1 << 20];
        let mut out = [0.0];
        bias_gradient(&x, &mut out);
        assert!((out[0] - 104_857.6).abs() < 0.5, "{}", out[0]);
    }
}
