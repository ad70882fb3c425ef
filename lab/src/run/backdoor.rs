//! How often a model answers a backdoor's patch with the class that the attack wants.

use std::sync::Arc;
use varangian_learn::Model;
use varangian_learn::model::Prepared;
use varangian_sim::Course;
use varangian_train::{Evaluator, Triggered};

/// The test samples of a run under a backdoor, stamped.
pub(super) struct Backdoor {
    model: Arc<dyn Model>,
    samples: Triggered,
    evaluator: Evaluator,
    prepared: Prepared,
}

impl Backdoor {
    /// The backdoor of a run, where its attack hides one and there are samples to show it by: of
    /// the test samples of an evaluation, those of another class than the target.
    pub(super) fn of(course: &Course) -> Option<Self> {
        let (attack, model, test, count, f_real) = match course {
            Course::Lockstep(plan) | Course::Rounds(plan, _) | Course::Gossip(plan, _) => {
                (&plan.attack, &plan.model, &plan.test, plan.test_samples, plan.f_real)
            }
            Course::Swarm(plan) => {
                (&plan.attack, &plan.model, &plan.test, plan.test_samples, plan.f_real)
            }
        };
        let trigger = attack.trigger().filter(|_| f_real > 0 && test.classes() > 0)?;
        let samples = Triggered::new(Arc::clone(test), trigger, count);
        if varangian_learn::Dataset::is_empty(&samples) {
            return None;
        }
        let evaluator = Evaluator::new(&samples, count);
        Some(Backdoor { model: Arc::clone(model), samples, evaluator, prepared: Box::new(()) })
    }

    /// The share of stamped samples that the model takes for the target, 0 to 1.
    pub(super) fn rate(&mut self, params: &[f32], statistics: &[f32]) -> f64 {
        let Backdoor { model, samples, evaluator, prepared } = self;
        model.prepare(params, prepared);
        model.load_buffers(statistics, prepared);
        evaluator.run(model.as_ref(), params, prepared, samples).accuracy()
    }
}

#[cfg(test)]
mod tests {
    use crate::Experiment;
    use crate::run::Silent;

    #[test]
    fn the_rate_is_measured_under_a_backdoor_and_rises_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let rates = |attack: &str| -> Vec<f64> {
            let text = format!(
                "model = 'mlp hidden=16'\nn = 5\nf = 2\nrule = 'average'\nattack = '{attack}'\n\
                 batch = 32\nsteps = 60\nevaluate_every = 30\ntest_samples = 200\n\
                 learning_rate = 0.1"
            );
            let mut experiment = Experiment::from_text(&text).unwrap();
            experiment.how.out = Some(folder.path().join(attack.replace([' ', '='], "-")));
            let outcome = experiment.run(&mut Silent).unwrap().remove(0);
            outcome.curve("backdoor_rate").iter().map(|point| point.1).collect()
        };
        assert_eq!(rates("label-flip"), [0.0; 0]);
        // Nothing is stamped: how often the patch is taken for the target by chance.
        let (chance, open) = (rates("backdoor fraction=0"), rates("backdoor"));
        assert_eq!((chance.len(), open.len()), (3, 3));
        assert_eq!(chance[0], open[0], "the untrained model");
        assert!(open[2] > 0.8 && chance[2] < 0.4, "{open:?} {chance:?}");
    }
}
