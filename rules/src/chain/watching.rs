//! Rows that nobody has looked at yet: aggregated, and found finite or not, in one pass over them.

use super::Pipeline;
use crate::{Round, Verdict};
use varangian_base::Watch;

impl Pipeline {
    /// Aggregates rows of which nobody knows whether they are finite, and says whether they are: in
    /// one pass over them, for the rules that can. If not, the answer is nobody's.
    ///
    /// Returns `None`, and does nothing, where the pipeline cannot: where neither its first stage
    /// nor, without stages, its rule finds it in passing; with weights, a memory, blocks, or a
    /// stage behind the rule.
    ///
    /// # Panics
    /// As [`Pipeline::aggregate`].
    pub fn aggregate_watching(
        &mut self,
        round: &mut Round<'_>,
        out: &mut [f32],
        verdict: &mut Verdict,
    ) -> Option<bool> {
        let watches = self.pre.first().map_or(self.rule.watches(), |first| first.stage.watches());
        let plain = self.post.is_empty() && round.weights.is_none() && !self.has_memory();
        if !watches || !plain || self.is_by_block() || round.rows.recipe().is_some() {
            return None;
        }
        let watch = Watch::default();
        let rows = round.rows.sent().watched(&watch).into();
        let oracle = crate::oracle::lent(&mut round.oracle);
        self.unproven(&mut Round { rows, oracle, ..*round }, out, verdict);
        Some(watch.found().unwrap_or_else(|| round.rows.is_finite()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ALL;
    use varangian_base::{Matrix, Rows};

    /// Every rule that watches, with another convention or two.
    fn watching() -> Vec<Pipeline> {
        let more = [
            "median middle=lower",
            "median middle=upper",
            "trimmed-mean beta=0.3",
            "nnm | median",
            "nnm | nnm | multi-krum below-bound=allow",
        ];
        let names = ALL.iter().map(|entry| entry.name).chain(more);
        let pipelines = names.filter_map(|name| Pipeline::parse(name).ok());
        let found = pipelines.filter(|made| match made.pre.first() {
            Some(first) => first.stage.watches(),
            None => made.rule.watches(),
        });
        let found: Vec<Pipeline> = found.collect();
        assert!(found.len() >= 8, "{}", found.len());
        found
    }

    fn rows(n: usize, d: usize) -> Vec<f32> {
        (0..n * d).map(|k| ((k * 37 % 1009) as f32 - 500.0) * 0.01).collect()
    }

    #[test]
    fn finite_rows_get_the_same_bits_and_others_are_found_wherever_they_stand() {
        for (n, d) in [(5, 9000), (7, 1), (70, 300)] {
            let mut data = rows(n, d);
            for mut made in watching() {
                let (mut out, mut same, mut verdict) =
                    (vec![0.0; d], vec![0.0; d], Verdict::default());
                made.aggregate(&mut Round::of(Rows::new(&data, n, d), 1), &mut same, &mut verdict);
                let weights = verdict.weights.clone();
                let mut ask = |data: &[f32], out: &mut [f32]| {
                    let mut round = Round::of(Rows::new(data, n, d), 1);
                    made.aggregate_watching(&mut round, out, &mut verdict)
                };
                assert_eq!(ask(&data, &mut out), Some(true));
                assert!(out.iter().zip(&same).all(|(a, b)| a.to_bits() == b.to_bits()));
                for place in [0, d - 1, n / 2 * d + d / 2, n * d - 1] {
                    for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                        let before = std::mem::replace(&mut data[place], odd);
                        assert_eq!(ask(&data, &mut out), Some(false), "{odd} at {place}");
                        data[place] = before;
                    }
                }
                data.fill(f32::NAN);
                assert_eq!(ask(&data, &mut out), Some(false));
                data = rows(n, d);
                assert_eq!(ask(&data, &mut out), Some(true));
                assert_eq!(verdict.weights, weights);
            }
        }
    }

    #[test]
    fn what_cannot_watch_does_nothing() {
        let matrix = Matrix::from_rows(&[[f32::NAN], [1.0], [2.0], [3.0], [4.0]]);
        let (mut out, mut verdict) = ([7.0], Verdict::default());
        for text in ["sum", "arc | median", "median | ctma", "centred-clipping"] {
            let mut made = Pipeline::parse(text).unwrap();
            let mut round = Round::of(matrix.rows(), 1);
            assert_eq!(made.aggregate_watching(&mut round, &mut out, &mut verdict), None, "{text}");
        }
        let weights = [1.0; 5];
        let mut round = Round { weights: Some(&weights), ..Round::of(matrix.rows(), 1) };
        let mut median = Pipeline::parse("median").unwrap();
        assert_eq!(median.aggregate_watching(&mut round, &mut out, &mut verdict), None);
        assert_eq!(out, [7.0]);
    }
}
