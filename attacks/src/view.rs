//! The threat model as a value: everything that an attack can see, and nothing else.

use crate::Sees;
use varangian_base::{Memory, Rows, RowsMut, Seed, SpecError, Stream};

/// A trial aggregation: what the server would answer to these rows. The rule's memory is a copy.
pub trait Probe {
    /// Aggregates all n rows (honest and hostile, in worker order) into `out`.
    fn aggregate(&mut self, rows: Rows<'_>, out: &mut [f32]);

    /// For rules that see only distances: the weights that the rule gives to rows at these squared
    /// distances. False where the rule needs more.
    fn weigh(
        &mut self,
        squared: &varangian_base::kernels::distances::Pairs,
        weights: &mut [f64],
    ) -> bool {
        let _ = (squared, weights);
        false
    }

    /// The loss at `params − learning_rate·aggregate` on data that the attacker holds, where it
    /// holds any.
    fn loss_after(&mut self, aggregate: &[f32]) -> Option<f64> {
        let _ = aggregate;
        None
    }
}

/// What the hostile workers know when they write their rows. They act as one mind.
pub struct View<'a> {
    /// What the honest workers send this step (after their momentum and clipping), by worker id.
    pub honest: Rows<'a>,
    /// What the hostile workers would have sent had they been honest, by worker id; their labels
    /// may be poisoned.
    pub own: Rows<'a>,
    /// What other hostile workers with another attack send this step (the groups before this one in
    /// `mixed`); else no rows.
    pub beside: Rows<'a>,
    /// The number of workers.
    pub n: usize,
    /// The number of hostile workers that the server was told of.
    pub f: usize,
    /// The step, from 0.
    pub step: u64,
    /// The parameters at which the gradients were taken.
    pub params: &'a [f32],
    /// The server's last aggregate (zeros at step 0): what everyone can infer from the model.
    pub previous: &'a [f32],
    /// The server's momentum buffer, where it keeps one; else empty.
    pub server_momentum: &'a [f32],
    /// The learning rate of this step.
    pub learning_rate: f32,
    /// A copy of the rule to try rows on.
    pub probe: &'a mut dyn Probe,
    /// The run's seed; an attack draws at (`Domain::Attack`, worker, step).
    pub seed: Seed,
}

impl<'a> View<'a> {
    /// A round at step 0 and learning rate 1, in which f is the number of hostile workers. `params`
    /// are the parameters and stand in for the last aggregate, d numbers. Fields are public: set
    /// what should differ.
    pub fn of(
        honest: Rows<'a>,
        own: Rows<'a>,
        params: &'a [f32],
        probe: &'a mut dyn Probe,
    ) -> Self {
        View {
            honest,
            own,
            beside: Rows::new(&[], 0, 0),
            n: honest.n() + own.n(),
            f: own.n(),
            step: 0,
            params,
            previous: params,
            server_momentum: &[],
            learning_rate: 1.0,
            probe,
            seed: Seed(0),
        }
    }
}

/// Where an attack is to act: what an index or a count among its parameters may reach.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// The ids of the honest workers, ascending.
    pub honest: &'a [u32],
    /// The number of coordinates of a row.
    pub d: usize,
    /// The number of classes of the labels; `None` where there are no labels.
    pub classes: Option<usize>,
    /// Channels, height and width of an input; `None` where there are no inputs to change.
    pub image: Option<[usize; 3]>,
}

/// Labels that an attack may change before a hostile worker computes its gradient.
pub struct Labels<'a> {
    /// The minibatch's labels.
    pub labels: &'a mut [u32],
    /// The number of classes.
    pub classes: u32,
    /// The worker's place among the hostile workers, from 0 in ascending worker id.
    pub hostile: usize,
    /// The number of hostile workers.
    pub of: usize,
    /// The step, from 0.
    pub step: u64,
}

/// Samples that an attack may change before a hostile worker computes its gradient.
pub struct Samples<'a> {
    /// The minibatch's inputs, one sample a row, packed: channels × height × width.
    pub inputs: &'a mut [f32],
    /// Channels, height and width of an input.
    pub shape: [usize; 3],
    /// Their labels.
    pub labels: Labels<'a>,
}

/// A patch of pixels in the lower right corner, in every channel, and the class that it is to be
/// taken for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trigger {
    /// The class.
    pub target: u32,
    /// Rows and columns of the patch.
    pub size: usize,
    /// What its pixels are set to.
    pub value: f32,
}

impl Trigger {
    /// Stamps the patch on an image of channels × height × width; one that is larger than the image
    /// covers it. Cost: the patch.
    pub fn stamp(&self, image: &mut [f32], [channels, height, width]: [usize; 3]) {
        for channel in image.chunks_exact_mut((height * width).max(1)).take(channels) {
            for row in channel.chunks_exact_mut(width).skip(height.saturating_sub(self.size)) {
                row[width.saturating_sub(self.size)..].fill(self.value);
            }
        }
    }
}

/// An attack of f_real colluding workers.
pub trait Attack: Send + Sync {
    /// Changes the labels of a hostile worker's minibatch. Workers are computed in parallel, hence
    /// `&self`.
    fn poison(&self, labels: Labels<'_>, stream: &mut Stream) {
        let _ = (labels, stream);
    }

    /// Changes the samples of a hostile worker's minibatch, labels and inputs; unless an attack
    /// says otherwise, the labels alone.
    fn taint(&self, samples: Samples<'_>, stream: &mut Stream) {
        self.poison(samples.labels, stream);
    }

    /// What a model that learnt from its samples is to answer to, where it hides such a thing.
    fn trigger(&self) -> Option<Trigger> {
        None
    }

    /// Whether the gradients of its own that the hostile worker at place `hostile` of `of` holds
    /// went through its momentum, where honest workers' do.
    fn keeps_momentum(&self, hostile: usize, of: usize) -> bool {
        let _ = (hostile, of);
        true
    }

    /// Writes what the hostile workers send: one row each, in worker order. `out` may hold anything
    /// on entry. Not called when there are no hostile workers.
    fn forge(&mut self, view: &mut View<'_>, out: RowsMut<'_>);

    /// What it reads with its parameters. Everything, unless it says otherwise.
    fn sees(&self) -> Sees {
        Sees::ALL
    }

    /// The rule on which it tries its rows in the place of the server's, where it names one.
    fn tries(&self) -> Option<&str> {
        None
    }

    /// An independent copy with the same memory.
    fn fork(&self) -> Box<dyn Attack>;

    /// What the parameters demand of the round, as the missing condition: h honest and `hostile`
    /// hostile workers, f declared.
    ///
    /// # Errors
    /// The condition, such as "at least 2 honest workers".
    fn check(&self, honest: usize, hostile: usize, f: usize) -> Result<(), String> {
        let _ = (honest, hostile, f);
        Ok(())
    }

    /// Whether every worker, coordinate and class among the parameters exists there, as the missing
    /// condition.
    ///
    /// # Errors
    /// The condition, such as "coordinate < d = 2; coordinate = 7".
    fn fits(&self, ground: Ground<'_>) -> Result<(), String> {
        let _ = ground;
        Ok(())
    }

    /// Saves the attack's memory.
    fn save(&self) -> Memory {
        Memory::default()
    }

    /// Restores what `save` returned.
    ///
    /// # Errors
    /// If the memory is not of this attack.
    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let _ = memory;
        Ok(())
    }
}
