//! The running statistics of batch norm: state that is not learnt, followed from step to step.

use varangian_base::{Memory, SpecError, Value};

/// Whose forward passes move the running statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passes {
    /// Honest workers'.
    #[default]
    Honest,
    /// Hostile workers' too: they pass their own batches forward as honest ones do, whatever they
    /// send instead of the gradient.
    All,
}

/// How far one pass moves the running statistics towards what it measured: PyTorch's momentum.
const SHARE: f64 = 0.1;

/// The running statistics of a model, in the layout of its buffers; none for models without.
#[derive(Clone, Debug, Default)]
pub struct Running {
    values: Vec<f32>,
    sums: Vec<f64>,
}

impl Running {
    /// Statistics that start at these values.
    pub fn new(values: Vec<f32>) -> Self {
        Running { values, sums: Vec::new() }
    }

    /// The statistics now.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// values ← 0.9ᵏ·values + (1 − 0.9ᵏ)·(mean of the k passes), summed in the order given, in
    /// `f64`: as far as the passes would move them one after the other, without a last one that
    /// counts most. (A tenth a step lags ten steps behind; the CIFAR network of Zeno then had an
    /// accuracy of .24 at step 40 where fresh statistics gave .43.) Passes of another length or
    /// with a number that is not finite are left out; none at all moves nothing.
    pub fn follow<'a>(&mut self, passes: impl Iterator<Item = &'a [f32]>) {
        if self.values.is_empty() {
            return;
        }
        self.sums.clear();
        self.sums.resize(self.values.len(), 0.0);
        let mut count = 0;
        for pass in passes.filter(|pass| is_sound(pass, self.values.len())) {
            self.sums.iter_mut().zip(pass).for_each(|(sum, &x)| *sum += f64::from(x));
            count += 1;
        }
        self.move_by(count);
    }

    /// As [`Running::follow`], where up to f of the passes may say anything: of each statistic the
    /// f lowest and the f highest are left out, and what is left moves it. Nothing moves where no
    /// more than 2f passes are sound.
    ///
    /// *Differs:* no published system guards running statistics; Yin et al. 2018's trimmed mean
    /// stands in for the mean here.
    pub fn follow_trimmed<'a>(&mut self, passes: impl Iterator<Item = &'a [f32]>, f: usize) {
        if f == 0 || self.values.is_empty() {
            return self.follow(passes);
        }
        let sound: Vec<&[f32]> = passes.filter(|pass| is_sound(pass, self.values.len())).collect();
        let Some(count) = sound.len().checked_sub(2 * f).filter(|&count| count > 0) else { return };
        self.sums.clear();
        let mut column = Vec::with_capacity(sound.len());
        for k in 0..self.values.len() {
            column.clear();
            column.extend(sound.iter().map(|pass| pass[k]));
            column.sort_by(f32::total_cmp);
            self.sums.push(column[f..f + count].iter().map(|&x| f64::from(x)).sum());
        }
        self.move_by(count);
    }

    /// Moves the values towards the mean of `count` passes with these sums.
    fn move_by(&mut self, count: usize) {
        if count > 0 {
            let keep = (1.0 - SHARE).powi(count as i32);
            for (value, sum) in self.values.iter_mut().zip(&self.sums) {
                let mean = sum / count as f64;
                *value = (keep * f64::from(*value) + (1.0 - keep) * mean) as f32;
            }
        }
    }

    /// Puts the statistics into a checkpoint, where there are any.
    pub(crate) fn save(&self, memory: &mut Memory) {
        if !self.values.is_empty() {
            memory.put("statistics", Value::Floats(self.values.clone()));
        }
    }

    /// Takes them out of a checkpoint again.
    ///
    /// # Errors
    /// If it holds none, or of another model.
    pub(crate) fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        if self.values.is_empty() {
            return Ok(());
        }
        let saved = memory.floats("statistics")?;
        if saved.len() != self.values.len() {
            let (wanted, found) = (self.values.len(), saved.len());
            return Err(SpecError::new(format!(
                "checkpoint: statistics should hold {wanted} floats; found {found}"
            )));
        }
        self.values.copy_from_slice(saved);
        Ok(())
    }
}

fn is_sound(pass: &[f32], len: usize) -> bool {
    pass.len() == len && pass.iter().all(|x| x.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_f_passes_may_lie_the_extremes_of_each_statistic_move_nothing() {
        let honest: [&[f32]; 3] = [&[1.0, 2.0], &[2.0, 3.0], &[3.0, 4.0]];
        let liar: &[f32] = &[1e30, -1e30];
        let (mut guarded, mut mean) = (Running::new(vec![0.0; 2]), Running::new(vec![0.0; 2]));
        guarded.follow_trimmed(honest.into_iter().chain([liar]), 1);
        // Of 1, 2, 3, 1e30 the middle two: as two passes of 2.5 and 2.5.
        assert_eq!(guarded.values(), [0.19 * 2.5, 0.19 * 2.5]);
        guarded.follow_trimmed([honest[0], liar].into_iter(), 1);
        assert_eq!(guarded.values(), [0.19 * 2.5, 0.19 * 2.5], "two of which one may lie");
        mean.follow(honest.into_iter());
        let mut same = Running::new(vec![0.0; 2]);
        same.follow_trimmed(honest.into_iter(), 0);
        assert_eq!(same.values(), mean.values());
    }

    #[test]
    fn each_sound_pass_moves_a_tenth_of_the_way_towards_their_mean() {
        let mut running = Running::new(vec![0.0, 1.0]);
        let bad: [&[f32]; 2] = [&[f32::NAN, 1.0], &[1.0]];
        let good: [&[f32]; 2] = [&[1.0, 2.0], &[3.0, 4.0]];
        running.follow(good.into_iter().chain(bad));
        assert_eq!(running.values(), [0.38, 1.38]);
        running.follow(bad.into_iter());
        running.follow(std::iter::empty());
        assert_eq!(running.values(), [0.38, 1.38]);
    }

    #[test]
    fn checkpoints_keep_them_and_refuse_those_of_another_model() {
        let mut memory = Memory::default();
        Running::new(vec![0.5, 2.0]).save(&mut memory);
        let mut same = Running::new(vec![0.0, 1.0]);
        same.load(&memory).unwrap();
        assert_eq!(same.values(), [0.5, 2.0]);
        let error = Running::new(vec![0.0; 3]).load(&memory).unwrap_err().to_string();
        assert_eq!(error, "checkpoint: statistics should hold 3 floats; found 2");
        assert!(Running::new(vec![0.0]).load(&Memory::default()).is_err());
        Running::default().load(&Memory::default()).unwrap();
    }
}
