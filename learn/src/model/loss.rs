//! Losses: mean over a batch, with gradients by the model's outputs.

use super::Tally;
use crate::Targets;
use crate::kernels::exp::exp_all;

/// What the outputs mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// One logit a class; −log softmax at the label.
    CrossEntropy,
    /// One logit; log(1 + eᶻ) − label·z, labels 0 and 1.
    Logistic,
    /// (y − t)², mean over samples and outputs.
    Squares,
}

impl Loss {
    /// The mean loss over the rows of `outputs` (`width` floats each); replaces them by the
    /// gradient of that mean.
    ///
    /// # Panics
    /// If the targets are not of this loss's kind or not one a row.
    pub fn gradient(self, outputs: &mut [f32], width: usize, targets: &Targets) -> f64 {
        let samples = outputs.len() / width;
        let scale = 1.0 / samples as f32;
        let mut tally = Tally::default();
        match (self, targets) {
            (Loss::CrossEntropy, Targets::Labels(labels)) => {
                soften(outputs, width, labels, &mut tally);
                for (row, &label) in outputs.chunks_exact_mut(width).zip(labels) {
                    let scale = scale / row.iter().sum::<f32>();
                    row.iter_mut().for_each(|p| *p *= scale);
                    row[label as usize] -= 1.0 / samples as f32;
                }
            }
            (Loss::Logistic, Targets::Labels(labels)) => {
                for (z, &label) in outputs.iter_mut().zip(labels) {
                    tally.add(logistic(*z, label));
                    *z = (sigmoid(*z) - label as f32) * scale;
                }
            }
            (Loss::Squares, Targets::Values(values)) => {
                for (y, &t) in outputs.iter_mut().zip(values) {
                    let r = *y - t;
                    tally.loss += f64::from(r) * f64::from(r) / width as f64;
                    *y = 2.0 * r * scale / width as f32;
                }
            }
            _ => panic!("{self:?} does not go with these targets"),
        }
        tally.loss / samples as f64
    }

    /// Loss and hits over the rows of `outputs`, which it may overwrite. `first` is the position
    /// of the first row among the targets.
    ///
    /// # Panics
    /// If the targets are not of this loss's kind.
    pub fn tally(
        self,
        outputs: &mut [f32],
        width: usize,
        targets: &Targets,
        first: usize,
    ) -> Tally {
        let samples = outputs.len() / width;
        let mut tally = Tally::default();
        match (self, targets) {
            (Loss::CrossEntropy, Targets::Labels(labels)) => {
                soften(outputs, width, &labels[first..first + samples], &mut tally);
            }
            (Loss::Logistic, Targets::Labels(labels)) => {
                let labels = &labels[first..first + samples];
                outputs.iter().zip(labels).for_each(|(&z, &label)| tally.add(logistic(z, label)));
            }
            (Loss::Squares, Targets::Values(values)) => {
                let values = &values[first * width..(first + samples) * width];
                let square = |(&y, &t): (&f32, &f32)| f64::from(y - t).powi(2);
                tally.loss = outputs.iter().zip(values).map(square).sum::<f64>() / width as f64;
            }
            _ => panic!("{self:?} does not go with these targets"),
        }
        tally.count = samples as u64;
        tally
    }
}

/// Replaces each row by exp(row − its maximum) and tallies −log softmax and hits. The first of
/// equal maxima is the answer; a row with a NaN answers nothing.
fn soften(outputs: &mut [f32], width: usize, labels: &[u32], tally: &mut Tally) {
    assert_eq!(outputs.len(), width * labels.len(), "one label a sample");
    for (row, &label) in outputs.chunks_exact_mut(width).zip(labels) {
        let top = row.iter().fold(f32::NEG_INFINITY, |a, &x| if x > a { x } else { a });
        let first = row.iter().position(|&x| x == top);
        let sound = row.iter().all(|x| !x.is_nan());
        tally.hits += u64::from(sound && first == Some(label as usize));
        tally.loss += f64::from(top - row[label as usize]);
        row.iter_mut().for_each(|x| *x -= top);
    }
    exp_all(outputs);
    for row in outputs.chunks_exact(width) {
        tally.loss += f64::from(row.iter().sum::<f32>()).ln();
    }
    tally.count += labels.len() as u64;
}

/// log(1 + eᶻ) − label·z, and whether the sign of z is right (0 counts as class 0).
fn logistic(z: f32, label: u32) -> Tally {
    assert!(label < 2, "a logistic model has labels 0 and 1; found {label}");
    let z64 = f64::from(z);
    let loss = z64.max(0.0) - f64::from(label) * z64 + (-z64.abs()).exp().ln_1p();
    Tally { loss, hits: u64::from((z > 0.0) == (label == 1) && !z.is_nan()), count: 1 }
}

fn sigmoid(z: f32) -> f32 {
    let e = (-z.abs()).exp();
    if z >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropy_is_stable_and_its_gradient_sums_to_zero() {
        let mut out = vec![1000.0, 0.0, -1000.0, 1.0, 1.0, 1.0];
        let labels = Targets::Labels(vec![1, 0]);
        let tally = Loss::CrossEntropy.tally(&mut out.clone(), 3, &labels, 0);
        assert!((tally.loss - (1000.0 + 3f64.ln())).abs() < 1e-6);
        assert_eq!((tally.hits, tally.count), (1, 2));
        let mean = Loss::CrossEntropy.gradient(&mut out, 3, &labels);
        assert!((mean - tally.loss / 2.0).abs() < 1e-9);
        assert_eq!(out[..3], [0.5, -0.5, 0.0]);
        assert!(out[3..].iter().sum::<f32>().abs() < 1e-7);
    }

    #[test]
    fn a_row_with_nan_is_no_hit_and_its_loss_is_nan() {
        let labels = Targets::Labels(vec![0]);
        let tally = Loss::CrossEntropy.tally(&mut [1.0, f32::NAN], 2, &labels, 0);
        assert!(tally.hits == 0 && tally.loss.is_nan());
    }

    #[test]
    fn squares_and_logistic_by_hand() {
        let mut y = [1.0, 2.0, 3.0, 5.0];
        let loss = Loss::Squares.gradient(&mut y, 2, &Targets::Values(vec![0.0, 2.0, 3.0, 3.0]));
        assert_eq!((loss, y), (1.25, [0.5, 0.0, 0.0, 1.0]));
        let mut z = [0.0, 80.0];
        let loss = Loss::Logistic.gradient(&mut z, 1, &Targets::Labels(vec![1, 0]));
        assert!((loss - (2f64.ln() + 80.0) / 2.0).abs() < 1e-9);
        assert_eq!(z, [-0.25, 0.5]);
    }
}
