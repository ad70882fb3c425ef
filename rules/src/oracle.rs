//! Loss on data that the server holds, as far as a rule may know it.

/// The server's own view of the loss: a held-out batch that is the same for all candidates of a
/// round. Rules that validate (Zeno, FLTrust) ask it; `train` implements it.
pub trait Oracle {
    /// Draws the next validation batch.
    fn refresh(&mut self);

    /// Mean loss at `params` on the current batch.
    fn loss(&mut self, params: &[f32]) -> f64;

    /// Mean loss at each candidate; the default asks one by one, an engine may batch.
    fn losses(&mut self, candidates: varangian_base::Rows<'_>, out: &mut [f64]) {
        for i in 0..candidates.n() {
            out[i] = self.loss(candidates.row(i));
        }
    }

    /// Loss at `params` and its gradient, into `out`.
    fn gradient(&mut self, params: &[f32], out: &mut [f32]) -> f64;

    /// Takes the model's state that is not learnt (running statistics), with which losses are to
    /// be measured from now on.
    fn inform(&mut self, state: &[f32]) {
        let _ = state;
    }

    /// The number of the current batch: what a checkpoint keeps.
    fn drawn(&self) -> u64 {
        0
    }

    /// Goes to the batch of this number.
    fn resume(&mut self, drawn: u64) {
        let _ = drawn;
    }
}

/// Why a rule that asks an oracle has no answer to f64 rows.
pub(crate) const SINGLE: &str =
    "it asks for a loss or a gradient on the server's data, and models compute in f32";

/// f(x) = ‖x‖²/2 as the server's validation loss: every figure can be checked by hand.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct Bowl {
    /// How many batches were drawn.
    pub(crate) refreshed: u64,
    /// How many gradients were taken.
    pub(crate) gradients: u64,
}

#[cfg(test)]
impl Oracle for Bowl {
    fn refresh(&mut self) {
        self.refreshed += 1;
    }

    fn loss(&mut self, params: &[f32]) -> f64 {
        params.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / 2.0
    }

    fn gradient(&mut self, params: &[f32], out: &mut [f32]) -> f64 {
        self.gradients += 1;
        out.copy_from_slice(params);
        self.loss(params)
    }
}

/// The oracle for a shorter while.
pub(crate) fn lent<'a>(oracle: &'a mut Option<&mut dyn Oracle>) -> Option<&'a mut dyn Oracle> {
    match oracle {
        Some(oracle) => Some(&mut **oracle),
        None => None,
    }
}
