//! Validation on the server: loss and gradient on data that it holds itself, behind
//! `rules::Oracle`.

use std::sync::{Arc, Mutex};
use varangian_base::{Domain, Rows, Seed, SpecError, blocks, lanes};
use varangian_learn::data::Subset;
use varangian_learn::model::{Model, Place, Prepared, Workspace};
use varangian_learn::{Batch, Dataset};
use varangian_rules::Oracle;

/// Splits `held` samples off a training set, drawn at (`Domain::Oracle`, `purpose`, 0),
/// one of [`varangian_base::lanes::oracle`]: what is left, and what was held. Both keep the order
/// of the training set.
///
/// # Errors
/// If nothing would be left for either.
pub fn hold_out(
    train: &Arc<dyn Dataset>,
    held: usize,
    seed: Seed,
    purpose: u32,
) -> Result<(Arc<dyn Dataset>, Arc<dyn Dataset>), SpecError> {
    let n = train.len();
    if held == 0 || held >= n {
        return Err(SpecError::new(format!(
            "a held-out set takes from 1 to {} of {n} samples; got {held}",
            n.saturating_sub(1)
        )));
    }
    let order = seed.stream(Domain::Oracle, purpose, 0).permutation(n);
    let part = |range: &[u32]| -> Arc<dyn Dataset> {
        let mut indices = range.to_vec();
        indices.sort_unstable();
        Arc::new(Subset::new(Arc::clone(train), indices))
    };
    Ok((part(&order[held..]), part(&order[..held])))
}

/// A worker's number that no worker has: the address of the server's dropout masks.
const SERVER: u32 = u32::MAX;

/// The server's validation data: a fresh batch a refresh, without replacement until all samples
/// were used; losses in inference mode, gradients in training mode.
pub struct Validation {
    model: Arc<dyn Model>,
    data: Arc<dyn Dataset>,
    size: usize,
    seed: Seed,
    drawn: u64,
    /// The model's running statistics, or none.
    statistics: Vec<f32>,
    /// The order of the pass that `order.0` numbers.
    order: (u64, Vec<u32>),
    batch: Batch,
    seats: Mutex<Vec<Seat>>,
}

struct Seat {
    workspace: Workspace,
    prepared: Prepared,
}

impl Validation {
    /// Batches of `size` samples of `data` (all of them where there are fewer).
    ///
    /// # Errors
    /// If there is no data, or a batch of 0 samples is asked.
    pub fn new(
        model: Arc<dyn Model>,
        data: Arc<dyn Dataset>,
        size: usize,
        seed: Seed,
    ) -> Result<Self, SpecError> {
        if size == 0 || data.is_empty() {
            let found = data.len();
            return Err(SpecError::new(format!(
                "validation needs samples and a batch of at least 1; got {found} and {size}"
            )));
        }
        let size = size.min(data.len());
        let (batch, seats) = Default::default();
        let order = (u64::MAX, Vec::new());
        let statistics = model.init_buffers();
        let mut validation =
            Validation { model, data, size, seed, drawn: 0, statistics, order, batch, seats };
        validation.fill();
        Ok(validation)
    }

    /// Fills the batch that `drawn` numbers: a pure function of the seed and that number.
    fn fill(&mut self) {
        let (len, from) = (self.data.len() as u64, self.drawn * self.size as u64);
        let mut indices = Vec::with_capacity(self.size);
        for k in from..from + self.size as u64 {
            if self.order.0 != k / len {
                let mut order = self.seed.stream(Domain::Oracle, lanes::oracle::ORDER, k / len);
                let order = order.permutation(len as usize);
                self.order = (k / len, order);
            }
            indices.push(self.order.1[(k % len) as usize]);
        }
        let mut augment = self.seed.stream(Domain::Oracle, lanes::oracle::AUGMENT, self.drawn);
        self.data.fill(&indices, &mut augment, &mut self.batch);
    }

    fn sit(&self) -> Seat {
        let seat = self.seats.lock().expect("no thread panicked").pop();
        let new = || Seat { workspace: self.model.workspace(), prepared: Box::new(()) };
        seat.unwrap_or_else(new)
    }

    fn rise(&self, seat: Seat) {
        self.seats.lock().expect("no thread panicked").push(seat);
    }

    fn loss_at(&self, params: &[f32]) -> f64 {
        let mut seat = self.sit();
        self.model.prepare_inference(params, &mut seat.prepared);
        let Seat { workspace, prepared } = &mut seat;
        self.model.load_buffers(&self.statistics, prepared);
        let loss = self.model.evaluate(params, prepared, &self.batch, workspace).mean_loss();
        self.rise(seat);
        loss
    }
}

impl Oracle for Validation {
    fn refresh(&mut self) {
        self.drawn += 1;
        self.fill();
    }

    fn loss(&mut self, params: &[f32]) -> f64 {
        self.loss_at(params)
    }

    fn losses(&mut self, candidates: Rows<'_>, out: &mut [f64]) {
        let mut slots = Vec::new();
        let this = &*self;
        blocks::map(candidates.n(), 1, &mut slots, |range, slot| {
            *slot = this.loss_at(candidates.row(range.start));
        });
        out.copy_from_slice(&slots);
    }

    fn gradient(&mut self, params: &[f32], out: &mut [f32]) -> f64 {
        let mut seat = self.sit();
        self.model.prepare(params, &mut seat.prepared);
        let place = Place { seed: self.seed, worker: SERVER, step: self.drawn };
        let Seat { workspace, prepared } = &mut seat;
        let loss = self.model.gradient(params, prepared, &self.batch, place, workspace, out);
        self.rise(seat);
        loss
    }

    fn inform(&mut self, state: &[f32]) {
        self.statistics.copy_from_slice(state);
    }

    fn drawn(&self) -> u64 {
        self.drawn
    }

    fn resume(&mut self, drawn: u64) {
        self.drawn = drawn;
        self.fill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::Matrix;
    use varangian_learn::data::Shape;
    use varangian_learn::model;

    /// Two classes in the plane, told apart by the sign of the first coordinate.
    struct Plane(usize, Vec<u32>);

    impl Dataset for Plane {
        fn len(&self) -> usize {
            self.0
        }

        fn shape(&self) -> Shape {
            Shape { channels: 2, height: 1, width: 1 }
        }

        fn groups(&self) -> Option<&[u32]> {
            Some(&self.1)
        }

        fn classes(&self) -> usize {
            2
        }

        fn label(&self, i: usize) -> u32 {
            (i % 2) as u32
        }

        fn fill(&self, indices: &[u32], _: &mut varangian_base::Stream, batch: &mut Batch) {
            let side = |i: u32| if i.is_multiple_of(2) { -1.0 } else { 1.0 };
            batch.inputs = indices.iter().flat_map(|&i| [side(i), i as f32 / 100.0]).collect();
            let labels = indices.iter().map(|&i| i % 2).collect();
            batch.targets = varangian_learn::Targets::Labels(labels);
            batch.len = indices.len();
        }
    }

    /// Samples 0 and 1 come from file 0, 2 and 3 from file 1, and so on.
    fn plane(samples: usize) -> Plane {
        Plane(samples, (0..samples as u32).map(|i| i / 2).collect())
    }

    fn validation(size: usize) -> (Validation, Vec<f32>) {
        let data: Arc<dyn Dataset> = Arc::new(plane(10));
        let model: Arc<dyn Model> =
            Arc::from(model::build("linear", data.shape(), data.classes()).unwrap());
        let params = model.init(Seed(1));
        (Validation::new(model, data, size, Seed(1)).unwrap(), params)
    }

    #[test]
    fn a_pass_uses_every_sample_once_and_any_batch_can_be_drawn_again() {
        let (mut oracle, params) = validation(4);
        let mut seen = Vec::new();
        let mut losses = Vec::new();
        for _ in 0..5 {
            seen.extend(oracle.batch.inputs.chunks(2).map(|x| (x[1] * 100.0).round() as u32));
            losses.push(oracle.loss(&params));
            oracle.refresh();
        }
        for pass in seen.chunks(10) {
            let mut pass = pass.to_vec();
            pass.sort_unstable();
            assert_eq!(pass, (0..10).collect::<Vec<_>>());
        }
        let (mut again, _) = validation(4);
        again.resume(3);
        assert_eq!((again.loss(&params), again.drawn()), (losses[3], 3));
    }

    #[test]
    fn losses_of_candidates_are_the_single_ones_at_any_number_of_threads() {
        let (mut oracle, params) = validation(10);
        let rows: Vec<Vec<f32>> =
            (0..7).map(|i| params.iter().map(|p| p + i as f32 / 8.0).collect()).collect();
        let x = Matrix::from_rows(&rows);
        let singles: Vec<f64> = rows.iter().map(|row| oracle.loss(row)).collect();
        let mut all = vec![0.0; 7];
        oracle.losses(x.rows(), &mut all);
        assert_eq!(all, singles);
        let mut gradient = vec![0.0; params.len()];
        let loss = oracle.gradient(&params, &mut gradient);
        assert!((loss - oracle.loss(&params)).abs() < 1e-6);
        let step: Vec<f32> = params.iter().zip(&gradient).map(|(p, g)| p - 0.1 * g).collect();
        assert!(oracle.loss(&step) < loss);
    }

    #[test]
    fn a_held_out_split_leaves_disjoint_parts() {
        let train: Arc<dyn Dataset> = Arc::new(plane(10));
        let (rest, held) = hold_out(&train, 3, Seed(5), lanes::oracle::VALIDATION).unwrap();
        assert_eq!((rest.len(), held.len()), (7, 3));
        let mut batch = Batch::default();
        let mut stream = Seed(0).stream(Domain::Test, 0, 0);
        let mut all = Vec::new();
        for part in [rest, held] {
            let files = part.groups().expect("parts know their files").to_vec();
            let indices: Vec<u32> = (0..part.len() as u32).collect();
            part.fill(&indices, &mut stream, &mut batch);
            let own: Vec<u32> =
                batch.inputs.chunks(2).map(|x| (x[1] * 100.0).round() as u32).collect();
            assert_eq!(files, own.iter().map(|i| i / 2).collect::<Vec<_>>());
            all.extend(own);
        }
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        let error =
            hold_out(&train, 10, Seed(5), lanes::oracle::VALIDATION).err().unwrap().to_string();
        assert_eq!(error, "a held-out set takes from 1 to 9 of 10 samples; got 10");
    }
}
