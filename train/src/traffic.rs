//! Bytes on the wire: what a worker sends and is told in a step.

use varangian_base::Signs;
use varangian_learn::optim::Optimiser;
use varangian_rules::Pipeline;

/// Where the server stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerAt {
    /// Apart: every worker sends and is told.
    #[default]
    Apart,
    /// Beside worker 0, which needs no wire.
    WorkerZero,
}

/// Bytes of payload a worker and step, without headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// From a worker to the server.
    pub up: usize,
    /// From the server to a worker: the aggregate, as signs where the rule answers signs.
    pub down: usize,
}

impl Traffic {
    /// The traffic of d parameters under what workers send and this rule.
    pub fn of(d: usize, optimiser: &Optimiser, rule: &Pipeline) -> Self {
        let down = rule.answers_signs().map_or(4 * d, |ternary| Signs::wire_len(d, ternary));
        Traffic { up: optimiser.wire_len(d), down }
    }

    /// Bytes a step of all of `workers`, both ways.
    pub fn step(&self, workers: usize, server: ServerAt) -> usize {
        let remote = match server {
            ServerAt::Apart => workers,
            ServerAt::WorkerZero => workers.saturating_sub(1),
        };
        remote * (self.up + self.down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::{Coins, mv32};
    use varangian_learn::optim::Message;

    fn traffic(d: usize, message: &str, rule: &str) -> Traffic {
        let message = Message::parse(message).unwrap();
        let optimiser = Optimiser { message, ..Optimiser::sgd(0.1) };
        Traffic::of(d, &optimiser, &Pipeline::parse(rule).unwrap())
    }

    #[test]
    fn bytes_are_those_of_the_encoded_messages_and_of_the_papers_models() {
        let models =
            [(881, 112), (922, 116), (79_510, 9_940), (580_810, 72_604), (1_310_922, 163_868)];
        for (d, bytes) in models {
            for (zero, planes) in [("plus-one", 1), ("random", 1), ("zero", 2)] {
                let message = Message::parse(&format!("sign zero={zero}")).unwrap();
                let (mut row, mut ballot) = (vec![-0.5; d], Signs::default());
                message.apply(&mut row, Coins::default(), &mut ballot);
                let mut sent = Vec::new();
                ballot.write(&mut sent);
                let told =
                    traffic(d, &format!("sign zero={zero}"), &format!("majority ties={zero}"));
                assert_eq!(
                    (sent.len(), told.up, told.down),
                    (bytes * planes, bytes * planes, bytes * planes)
                );
                if planes == 1 {
                    assert_eq!(4 * mv32::encode(&ballot).len(), bytes);
                }
            }
        }
    }

    #[test]
    fn a_step_costs_both_ways_and_a_server_at_home_saves_one_worker() {
        let signs = traffic(36_489_290, "sign zero=plus-one", "majority ties=plus-one");
        assert_eq!(signs.step(64, ServerAt::Apart), 2 * 64 * 4_561_164);
        assert_eq!(signs.step(64, ServerAt::WorkerZero), 2 * 63 * 4_561_164);
        assert_eq!(traffic(922, "vector", "average"), Traffic { up: 3_688, down: 3_688 });
        let mixed = traffic(922, "sign", "krum");
        assert_eq!(mixed, Traffic { up: 232, down: 3_688 });
    }
}
