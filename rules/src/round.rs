//! What a rule is given, what it answers, and the three stages that a pipeline is made of.

use crate::{Bound, Oracle, exact};
use varangian_base::kernels::distances::Pairs;
use varangian_base::{Memory, Mixed, Seed, Signs, SpecError};

/// One round, as the server hands it to a rule: n finite rows, of which at most f are hostile.
pub struct Round<'a> {
    /// The gradients, finite, in ascending worker id; for what stands after a pre-aggregation, as
    /// that mixes them.
    pub rows: Mixed<'a>,
    /// The declared number of hostile rows among them.
    pub f: usize,
    /// How much each row counts, where they do not count alike: declared by the caller, checked by
    /// [`Pipeline::check_weights`](crate::Pipeline::check_weights), and of any sum; a rule sees
    /// them with the sum 1.
    pub weights: Option<&'a [f64]>,
    /// The step, from 0.
    pub step: u64,
    /// The parameters at which the gradients were taken (empty outside training).
    pub params: &'a [f32],
    /// The learning rate of this step (1 outside training).
    pub learning_rate: f32,
    /// The server's validation data, where there is any.
    pub oracle: Option<&'a mut dyn Oracle>,
    /// The run's seed; a rule draws at (`Domain::Rule`, purpose, step, lane), purposes as in
    /// [`varangian_base::lanes::rule`].
    pub seed: Seed,
    /// The place of the stage in its pipeline, from 0: two stages of one kind draw apart.
    pub stage: u64,
}

impl<'a> Round<'a> {
    /// A round outside training: step 0, no parameters, no oracle.
    pub fn of(rows: impl Into<Mixed<'a>>, f: usize) -> Self {
        let (rows, params) = (rows.into(), &[]);
        let (weights, oracle) = (None, None);
        Round {
            rows,
            f,
            weights,
            step: 0,
            params,
            learning_rate: 1.0,
            oracle,
            seed: Seed(0),
            stage: 0,
        }
    }
}

/// What a rule says of a round beside the aggregate. Reused from round to round.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// The weight of each row in the aggregate, where the rule is a combination of rows; else
    /// empty. Weights need not sum to 1 (clipping).
    pub weights: Vec<f64>,
    /// Workers that the rule has expelled for good (SafeguardSGD), by id.
    pub expelled: Vec<u32>,
    /// The radius to which rows were clipped around the rule's centre, where it does that.
    pub radius: Option<f64>,
    /// One line for the record where something unusual happened.
    pub event: Option<String>,
}

impl Verdict {
    /// Forgets the last round; keeps the memory.
    pub fn clear(&mut self) {
        self.weights.clear();
        self.expelled.clear();
        self.radius = None;
        self.event = None;
    }

    /// Sets n weights of `weight` each.
    pub fn uniform(&mut self, n: usize, weight: f64) {
        self.weights.clear();
        self.weights.resize(n, weight);
    }

    /// Sets the weights to those of an exact combination, and answers it.
    pub(crate) fn blend(&mut self, rows: &[Vec<f64>], blend: &exact::Blend) -> Vec<f64> {
        self.weights = blend.weights();
        blend.of(rows)
    }

    /// Sets the weights of a mean over the `selected` of n rows.
    pub fn selection(&mut self, n: usize, selected: &[usize]) {
        self.uniform(n, 0.0);
        for &i in selected {
            self.weights[i] = 1.0 / selected.len() as f64;
        }
    }
}

/// Which work is repeated: that of groups of consecutive workers, in all steps or in some.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Redundancy {
    /// Workers of a group, which draw the same minibatch.
    pub times: usize,
    /// Whether the rule was given that number, and does not work it out from f, which falls in a
    /// round where a row is refused.
    pub given: bool,
    /// The chance that a step is one in which they do; `None`: each is.
    pub chance: Option<f64>,
    /// Whether they send coded sums of `times` gradients each, and draw minibatches of their own.
    pub coded: bool,
}

/// A gradient aggregation rule: rows to one vector.
pub trait Rule: Send {
    /// Aggregates the round's rows into `out` (d floats) and says what got in.
    ///
    /// The bound on (n, f) was checked before; the rows are finite. The answer is finite, does not
    /// depend on the number of threads, and the second round allocates nothing.
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict);

    /// Counts packed votes instead of rows, one a worker in ascending id, with the same answer as
    /// on rows of −1, 0 and +1. Only where [`Rule::counts_votes`].
    fn count(&mut self, votes: &[Signs], step: u64, seed: Seed, out: &mut [f32]) {
        let _ = (votes, step, seed, out);
        unreachable!("asked of rules that count votes alone");
    }

    /// Whether the rule reads nothing of a row but its signs and can count them packed.
    fn counts_votes(&self) -> bool {
        false
    }

    /// An independent copy with the same memory: what an attacker may try rows on.
    fn fork(&self) -> Box<dyn Rule>;

    /// The answer to a first round of f64 rows, from the formula and without a kernel; sets the
    /// verdict as [`Rule::aggregate`] does.
    ///
    /// # Errors
    /// Why there is none, as a rule that asks for a loss has.
    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        let _ = (round, verdict);
        Err("it has no exact path".to_owned())
    }

    /// The bound on (n, f) that the parameters put in the place of the entry's, where they do.
    fn bound(&self) -> Option<Bound> {
        None
    }

    /// Whether the parameters make this another rule than the one whose κ and largest
    /// deviation/norm the entry states.
    fn departs(&self) -> bool {
        false
    }

    /// Whether the entry's form for rows that count differently, where it has one, is there with
    /// these parameters too.
    fn weighted(&self) -> bool {
        true
    }

    /// Whether it finds in passing whether rows that count alike are finite (see
    /// [`varangian_base::Watch`]), and bears those that are not: what it answers to them is
    /// nobody's.
    fn watches(&self) -> bool {
        false
    }

    /// Why the parameters make it need whole rows where the entry's facts say that it does not.
    fn whole_rows(&self) -> Option<&'static str> {
        None
    }

    /// Whether it remembers each worker by id, so that every row must be some worker's.
    fn knows_workers(&self) -> bool {
        false
    }

    /// How the workers must repeat each other's work for the rule to say anything; f is the
    /// declared number of hostile ones. `None`: they need not.
    fn redundancy(&self, f: usize) -> Option<Redundancy> {
        let _ = f;
        None
    }

    /// What the parameters demand of n and f beyond the entry's bound, as the missing condition.
    ///
    /// # Errors
    /// The condition, such as "m ≤ n − f − 2; m = 9".
    fn check(&self, n: usize, f: usize) -> Result<(), String> {
        let _ = (n, f);
        Ok(())
    }

    /// What the parameters demand of the whole number of workers and of f, as the missing
    /// condition: an index or a count beyond them. Asked once, before round 0; rows that are
    /// missing in a later round change nothing.
    ///
    /// # Errors
    /// The condition, such as "pivot < n; pivot = 9".
    fn fits(&self, n: usize, f: usize) -> Result<(), String> {
        let _ = (n, f);
        Ok(())
    }

    /// Whether the answer is nothing but signs, so that one bit a coordinate carries it (two where
    /// 0 is among them, then `Some(true)`): a vote. `None`: a vector.
    fn answers_signs(&self) -> Option<bool> {
        None
    }

    /// How the answer to a first round differs from later ones, for rules that learn from earlier
    /// rounds; on one matrix alone, that is all they say.
    fn first_round(&self) -> Option<&'static str> {
        None
    }

    /// For rules that look at nothing but distances between rows: the weights of the rows at these
    /// squared distances. Returns false where the rule needs more.
    fn weigh(&mut self, squared: &Pairs, f: usize, weights: &mut [f64]) -> bool {
        let _ = (squared, f, weights);
        false
    }

    /// How far rows may move, each by less than this, with the same ones selected, of the round
    /// just aggregated with this f. `None` where it selects none, or does not say.
    fn margin(&self, f: usize) -> Option<f64> {
        let _ = f;
        None
    }

    /// Saves the rule's memory.
    fn save(&self) -> Memory {
        Memory::default()
    }

    /// Restores what `save` returned.
    ///
    /// # Errors
    /// If the memory is not of this rule.
    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let _ = memory;
        Ok(())
    }
}

/// Pre-aggregation as a linear map: row i of the result is Σⱼ `C[i][j]`·xⱼ.
#[derive(Clone, Debug, Default)]
pub struct Mixing {
    /// The m × n coefficients, rows packed.
    pub coefficients: Vec<f64>,
    /// The number of rows of the result.
    pub m: usize,
}

impl Mixing {
    /// Makes this an m × n matrix of zeros.
    pub fn resize(&mut self, m: usize, n: usize) {
        self.m = m;
        self.coefficients.clear();
        self.coefficients.resize(m * n, 0.0);
    }
}

/// A stage before the rule: rows to rows (bucketing, nearest-neighbour mixing, clipping).
///
/// It says what linear map it is. Nothing is written: whoever reads the rows next mixes a window of
/// columns at a time, or multiplies its weights through.
pub trait Pre: Send {
    /// Sets `mixing` to the linear map that this stage applies to the round's rows.
    fn mix(&mut self, round: &mut Round<'_>, mixing: &mut Mixing);

    /// The rows that come out of f64 rows, each as a combination of them, from the formula and
    /// without a kernel.
    ///
    /// # Errors
    /// Why there are none.
    fn exact(&self, round: &exact::Round<'_>) -> Result<Vec<exact::Blend>, String> {
        let _ = round;
        Err("it has no exact path".to_owned())
    }

    /// The number of rows and of hostile rows that come out when (n, f) go in.
    fn shape(&self, n: usize, f: usize) -> (usize, usize) {
        (n, f)
    }

    /// Of m rows that came out of a round of (n, f), how many may be hostile. A stage whose m
    /// depends on the rows lowers both alike, so that the bounds of what follows still hold.
    fn hostile(&self, n: usize, f: usize, m: usize) -> usize {
        let _ = m;
        self.shape(n, f).1
    }

    /// What the parameters demand of the whole number of workers and of f, as the missing
    /// condition: an index or a count beyond them. Asked once, before round 0; rows that are
    /// missing in a later round change nothing.
    ///
    /// # Errors
    /// The condition, such as "s ≤ n; s = 9".
    fn fits(&self, n: usize, f: usize) -> Result<(), String> {
        let _ = (n, f);
        Ok(())
    }

    /// The length to which this stage cuts rows of these lengths, of which f may be hostile, if
    /// that is what it does.
    fn cut(&self, norms: &[f64], f: usize) -> Option<f64> {
        let _ = (norms, f);
        None
    }

    /// The rows of these lengths, of which f may be hostile, that this stage leaves out.
    fn left_out(&self, norms: &[f64], f: usize) -> Vec<usize> {
        let _ = (norms, f);
        Vec::new()
    }

    /// As [`Rule::watches`], of the rows that were sent.
    fn watches(&self) -> bool {
        false
    }

    /// Whether row i that comes out still stands for the worker of row i.
    fn keeps_workers(&self) -> bool {
        true
    }

    /// An independent copy with the same memory.
    fn fork(&self) -> Box<dyn Pre>;
}

/// A stage after the rule: the rows that the rule saw and its answer to a new answer (CTMA).
pub trait Post: Send {
    /// Replaces `out` and the weights in `verdict`.
    fn refine(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict);

    /// The same for f64 rows and the rule's answer to them, from the formula and without a kernel.
    ///
    /// # Errors
    /// Why there is no answer.
    fn exact(
        &self,
        round: &exact::Round<'_>,
        answer: Vec<f64>,
        verdict: &mut Verdict,
    ) -> Result<Vec<f64>, String> {
        let _ = (round, answer, verdict);
        Err("it has no exact path".to_owned())
    }

    /// An independent copy with the same memory.
    fn fork(&self) -> Box<dyn Post>;
}
