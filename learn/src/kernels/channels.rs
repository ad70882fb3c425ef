//! Loops over pixels whose floats are channels: moments and sums a channel, affine maps a channel,
//! and the rectifiers that stand beside them, in one pass over memory each.
//!
//! Channels are taken in runs of a fixed length, so that the compiler keeps a run in registers.

use super::per_isa;

/// Pixels whose sums stay in f32 before they meet in f64.
const PIXELS: usize = 64;
/// Pixels from whose mean the moments are measured, spread over all.
const PIVOTS: usize = 64;

/// Which rectifier stands beside batch norm and is computed with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Gate {
    /// None.
    #[default]
    Open,
    /// One behind it: y = max(a·x + b, 0).
    Behind,
    /// One before it, whose output x is: the gradient by what stands before it passes where
    /// x > 0.
    Before,
}

/// N floats of x from number k on.
#[inline(always)]
fn run<const N: usize>(x: &[f32], k: usize) -> &[f32; N] {
    x[k..k + N].try_into().expect("N floats")
}

/// N floats of x from number k on.
#[inline(always)]
fn run_mut<const N: usize>(x: &mut [f32], k: usize) -> &mut [f32; N] {
    (&mut x[k..k + N]).try_into().expect("N floats")
}

/// Visits every run of N of `len` floats with c channels: number of the first float, its channel.
/// A macro, as a closure that is not inlined would lose the instruction set of the loop.
macro_rules! runs {
    ($n:ident, $len:expr, $c:expr, |$k:ident, $channel:ident| $visit:block) => {
        if $c == $n {
            // The channel is always 0, so that factors stay in registers.
            let $channel = 0;
            for $k in (0..$len).step_by($n) $visit
        } else {
            for pixel in (0..$len).step_by($c) {
                for $channel in (0..$c).step_by($n) {
                    let $k = pixel + $channel;
                    $visit
                }
            }
        }
    };
}

/// Adds two terms of every float to the sums of its channel, given as runs: blocks of pixels in
/// f32, blocks in f64.
macro_rules! two_sums {
    ($n:ident, $len:expr, $one:ident, $two:ident,
     |$k:ident, $channel:ident, $a:ident, $b:ident| $term:block) => {
        let c = $one.len();
        $one.fill(0.0);
        $two.fill(0.0);
        for first in (0..$len).step_by(PIXELS * c) {
            let end = (first + PIXELS * c).min($len);
            for $channel in (0..c).step_by($n) {
                let (mut $a, mut $b) = ([0.0f32; $n], [0.0f32; $n]);
                for $k in (first + $channel..end).step_by(c) $term
                for i in 0..$n {
                    $one[$channel + i] += f64::from($a[i]);
                    $two[$channel + i] += f64::from($b[i]);
                }
            }
        }
    };
}

/// Calls `$body::<N>` with the longest run that divides the channels.
macro_rules! by_run {
    ($c:expr, $body:ident($($arg:expr),*)) => {
        match $c {
            c if c % 32 == 0 => $body::<32>($($arg),*),
            c if c % 16 == 0 => $body::<16>($($arg),*),
            _ => $body::<1>($($arg),*),
        }
    };
}

#[inline(always)]
fn moments_body<const N: usize>(x: &[f32], mean: &mut [f64], variance: &mut [f64]) {
    let c = mean.len();
    let pixels = x.len() / c;
    let (mut pivot, taken) = (vec![0.0f32; c], pixels.min(PIVOTS));
    for pixel in (0..taken).map(|i| i * pixels / taken) {
        pivot.iter_mut().zip(&x[pixel * c..]).for_each(|(sum, &x)| *sum += x / taken as f32);
    }
    two_sums!(N, x.len(), mean, variance, |k, channel, sum, square| {
        let (x, pivot) = (run::<N>(x, k), run::<N>(&pivot, channel));
        for i in 0..N {
            let gap = x[i] - pivot[i];
            sum[i] += gap;
            square[i] += gap * gap;
        }
    });
    let count = pixels as f64;
    for k in 0..c {
        let off = mean[k] / count;
        variance[k] = (variance[k] / count - off * off).max(0.0);
        mean[k] = f64::from(pivot[k]) + off;
    }
}

per_isa! {
    /// Mean and variance (over all pixels, not one less) of each channel, in one pass: moments
    /// about the mean of a few pixels, so that what is subtracted is small. A channel with a
    /// number that is not finite gives no finite mean.
    pub(crate) fn moments(x: &[f32], mean: &mut [f64], variance: &mut [f64]) {
        assert_eq!((mean.len(), x.len() % mean.len()), (variance.len(), 0));
        by_run!(mean.len(), moments_body(x, mean, variance))
    }
}

#[inline(always)]
fn sums_body<const N: usize>(x: &[f32], sums: &mut [f64]) {
    let mut none = vec![0.0; sums.len()];
    two_sums!(N, x.len(), sums, none, |k, channel, sum, idle| {
        let x = run::<N>(x, k);
        for i in 0..N {
            sum[i] += x[i];
            idle[i] += 0.0;
        }
    });
}

per_isa! {
    /// The sum of each channel, as f32: the gradient by a bias.
    pub(crate) fn bias_gradient(x: &[f32], out: &mut [f32]) {
        let mut totals = vec![0.0f64; out.len()];
        by_run!(out.len(), sums_body(x, &mut totals));
        out.iter_mut().zip(&totals).for_each(|(out, &total)| *out = total as f32);
    }
}

#[inline(always)]
fn product_body<const N: usize>(
    d: &[f32],
    x: &[f32],
    line: [&[f32]; 2],
    behind: bool,
    centre: &[f32],
    products: &mut [f64],
    plain: &mut [f64],
) {
    two_sums!(N, x.len(), products, plain, |k, channel, product, sum| {
        let (d, x, centre) = (run::<N>(d, k), run::<N>(x, k), run::<N>(centre, channel));
        let (a, b) = (run::<N>(line[0], channel), run::<N>(line[1], channel));
        for i in 0..N {
            let open = !behind || x[i] * a[i] + b[i] > 0.0;
            let d = if open { d[i] } else { 0.0 };
            product[i] += d * (x[i] - centre[i]);
            sum[i] += d;
        }
    });
}

per_isa! {
    /// Σ d·(x − centre) and Σ d of each channel, over the floats where a·x + b > 0 if the gate
    /// stands behind.
    pub(crate) fn product_sums(
        d: &[f32],
        x: &[f32],
        line: [&[f32]; 2],
        gate: Gate,
        centre: &[f32],
        products: &mut [f64],
        plain: &mut [f64],
    ) {
        let (c, behind) = (centre.len(), gate == Gate::Behind);
        assert_eq!((d.len(), products.len(), plain.len()), (x.len(), c, c));
        if behind {
            by_run!(c, product_body(d, x, line, true, centre, products, plain))
        } else {
            by_run!(c, product_body(d, x, line, false, centre, products, plain))
        }
    }
}

#[inline(always)]
fn affine_body<const N: usize>(x: &[f32], a: &[f32], b: &[f32], rectify: bool, out: &mut [f32]) {
    let c = a.len();
    runs!(N, x.len(), c, |k, channel| {
        let (x, out) = (run::<N>(x, k), run_mut::<N>(out, k));
        let (a, b) = (run::<N>(a, channel), run::<N>(b, channel));
        for i in 0..N {
            let y = x[i] * a[i] + b[i];
            out[i] = if rectify && y < 0.0 { 0.0 } else { y };
        }
    });
}

per_isa! {
    /// a·x + b a channel, into `out`; 0 for what is below 0 where `rectify`.
    pub(crate) fn affine(x: &[f32], a: &[f32], b: &[f32], rectify: bool, out: &mut [f32]) {
        assert_eq!((x.len(), x.len() % a.len()), (out.len(), 0));
        if rectify {
            by_run!(a.len(), affine_body(x, a, b, true, out))
        } else {
            by_run!(a.len(), affine_body(x, a, b, false, out))
        }
    }
}

#[inline(always)]
fn two_body<const N: usize>(
    d: &[f32],
    x: &[f32],
    factors: [&[f32]; 3],
    line: [&[f32]; 2],
    gate: Gate,
    out: &mut [f32],
    add: bool,
) {
    let [a, p, q] = factors;
    let c = a.len();
    runs!(N, x.len(), c, |k, channel| {
        let (d, x, out) = (run::<N>(d, k), run::<N>(x, k), run_mut::<N>(out, k));
        let (a, p, q) = (run::<N>(a, channel), run::<N>(p, channel), run::<N>(q, channel));
        let (slope, start) = (run::<N>(line[0], channel), run::<N>(line[1], channel));
        for i in 0..N {
            let open = gate != Gate::Behind || x[i] * slope[i] + start[i] > 0.0;
            let d = if open { d[i] } else { 0.0 };
            let mut sum = d * a[i] + x[i] * p[i] + q[i];
            if gate == Gate::Before {
                sum = if x[i] > 0.0 { sum } else { 0.0 };
            }
            out[i] = if add { out[i] + sum } else { sum };
        }
    });
}

per_isa! {
    /// d·a + x·p + q a channel, into `out`; added to it where `add`. A gate behind takes d as 0
    /// where slope·x + start is not above 0; a gate before takes the result as 0 where x is not.
    pub(crate) fn affine_two(
        d: &[f32],
        x: &[f32],
        factors: [&[f32]; 3],
        line: [&[f32]; 2],
        gate: Gate,
        out: &mut [f32],
        add: bool,
    ) {
        let c = factors[0].len();
        assert_eq!((x.len(), x.len() % c), (out.len(), 0));
        match (gate, add) {
            (Gate::Open, false) => {
                by_run!(c, two_body(d, x, factors, line, Gate::Open, out, false))
            }
            (Gate::Open, true) => by_run!(c, two_body(d, x, factors, line, Gate::Open, out, true)),
            (Gate::Behind, false) => {
                by_run!(c, two_body(d, x, factors, line, Gate::Behind, out, false))
            }
            (Gate::Behind, true) => {
                by_run!(c, two_body(d, x, factors, line, Gate::Behind, out, true))
            }
            (Gate::Before, _) => {
                by_run!(c, two_body(d, x, factors, line, Gate::Before, out, add))
            }
        }
    }
}

per_isa! {
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
    use varangian_base::{Domain, Seed};

    #[test]
    fn moments_are_those_of_the_channel_even_far_from_zero() {
        for channels in [1, 3, 16, 64, 70] {
            let x: Vec<f32> = (0..300 * channels).map(|k| 1000.0 + (k % 11) as f32).collect();
            let (mut mean, mut variance) = (vec![0.0; channels], vec![0.0; channels]);
            moments(&x, &mut mean, &mut variance);
            for c in 0..channels {
                let all = || x.iter().skip(c).step_by(channels).map(|&x| f64::from(x));
                let want = all().sum::<f64>() / 300.0;
                let spread = all().map(|x| (x - want).powi(2)).sum::<f64>() / 300.0;
                assert!((mean[c] - want).abs() < 1e-6, "{} {want}", mean[c]);
                assert!((variance[c] - spread).abs() < 1e-5 * spread, "{} {spread}", variance[c]);
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

    /// Every gate against the passes that it stands for, on channels of every run.
    #[test]
    fn a_gate_is_the_rectifier_that_it_stands_for() {
        let mut stream = Seed(3).stream(Domain::Test, 0, 0);
        for c in [3, 16, 96] {
            let mut draw =
                |len: usize| -> Vec<f32> { (0..len).map(|_| stream.normal() as f32).collect() };
            let (x, d, old) = (draw(7 * c), draw(7 * c), draw(7 * c));
            let factors = [draw(c), draw(c), draw(c), draw(c), draw(c)];
            let [a, b, p, q, centre] = factors.each_ref().map(Vec::as_slice);
            let y: Vec<f32> = (0..x.len()).map(|k| x[k] * a[k % c] + b[k % c]).collect();
            let mut out = vec![f32::NAN; x.len()];
            affine(&x, a, b, true, &mut out);
            assert!(out.iter().zip(&y).all(|(&out, &y)| out == y.max(0.0)));
            for gate in [Gate::Open, Gate::Behind, Gate::Before] {
                let behind = |k: usize| {
                    if gate == Gate::Behind && y[k] <= 0.0 { 0.0 } else { d[k] }
                };
                let (mut products, mut plain) = (vec![9.0; c], vec![9.0; c]);
                product_sums(&d, &x, [a, b], gate, centre, &mut products, &mut plain);
                for add in [false, true] {
                    out.copy_from_slice(&old);
                    affine_two(&d, &x, [a, p, q], [a, b], gate, &mut out, add);
                    for k in 0..x.len() {
                        let sum = behind(k) * a[k % c] + x[k] * p[k % c] + q[k % c];
                        let shut = gate == Gate::Before && x[k] <= 0.0;
                        let start = if add { old[k] } else { 0.0 };
                        let want = start + if shut { 0.0 } else { sum };
                        assert!((out[k] - want).abs() < 1e-5, "{c} {gate:?} {add}");
                    }
                }
                for k in 0..c {
                    let own = || (k..x.len()).step_by(c);
                    let sum: f32 = own().map(behind).sum();
                    let product: f32 = own().map(|i| behind(i) * (x[i] - centre[k])).sum();
                    assert!((plain[k] - f64::from(sum)).abs() < 1e-5);
                    assert!((products[k] - f64::from(product)).abs() < 1e-4);
                }
            }
        }
    }
}
