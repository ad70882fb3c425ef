//! Sub-addresses: what is drawn where inside a [`Domain`](crate::Domain).
//!
//! An address has a worker, a step and a lane. Where a domain has several purposes, one of these
//! tells them apart: its numbers stand here, each once, never reused. Changing a number changes old
//! results.

/// Lanes of `Domain::Data`: drawn sets, and tables whose test samples are drawn.
pub mod data {
    /// The weights behind a drawn set.
    pub const WEIGHTS: u64 = 0;
    /// Its features.
    pub const FEATURES: u64 = 1;
    /// Its noise.
    pub const NOISE: u64 = 2;
    /// Which samples of a table are for testing.
    pub const TEST: u64 = 3;
}

/// Lanes of `Domain::Partition`.
pub mod partition {
    /// The order in which samples, files or shards are dealt out.
    pub const ORDER: u64 = 0;
    /// The order of a class's samples; the step is the class.
    pub const POOL: u64 = 1;
    /// How a class is shared out over workers; the step is the class.
    pub const CLASS: u64 = 2;
    /// How a worker's share is made up of classes.
    pub const WORKER: u64 = 3;
    /// Which samples are held out for training alone.
    pub const HELD: u64 = 4;
    /// How many samples each worker gets.
    pub const AMOUNT: u64 = 5;
}

/// Lanes of `Domain::Batch`.
pub mod batch {
    /// The order of an epoch; the step is the epoch.
    pub const EPOCH: u64 = 0;
    /// Draws with replacement.
    pub const REPLACED: u64 = 1;
    /// Whether a step takes whole gradients; the worker is that of [`ALL`].
    pub const WHOLE: u64 = 2;
    /// The worker of what all workers draw alike: no worker has this number.
    pub const ALL: u32 = u32::MAX;
}

/// Lanes of `Domain::Attack`, of a hostile worker and step.
pub mod attack {
    /// Which labels are changed to what, before the gradient. Noise of the rows that are written
    /// draws at lanes from 0, a block or a purpose each, which never come so far.
    pub const POISON: u64 = u64::MAX;
}

/// Workers of `Domain::Rule`, which is the server's: lanes are stages or blocks.
pub mod rule {
    /// The order in which rows are cut into buckets; the lane is the stage's place.
    pub const BUCKETS: u32 = 0;
    /// Random projections and sampled coordinates; the lane is the iteration.
    pub const SKETCH: u32 = 1;
    /// Coordinates whose signs are looked at; the lane is the stage's place.
    pub const SIGNS: u32 = 2;
    /// The order in which coordinates are dealt into groups; the lane is the stage's place.
    pub const GROUPS: u32 = 3;
    /// Who of a cluster goes into which bucket; the lane is the stage's place.
    pub const CLUSTERS: u32 = 4;
    /// Whether the work of a step is checked: drawn by the server and by its workers alike.
    pub const CHECK: u32 = 5;
    /// Random projections of coded rows; the lane is the projection.
    pub const CODE: u32 = 6;
}

/// Workers of `Domain::Noise`, which is the server's: lanes are blocks of coordinates.
pub mod noise {
    /// What SafeguardSGD adds to each step.
    pub const STEP: u32 = 0;
    /// Perturbations of parameters where the aggregate is short; lane 0 is the length.
    pub const PERTURBATION: u32 = 1;
}

/// Workers of `Domain::Oracle`, which is the server's.
pub mod oracle {
    /// The order of validation samples in a pass; the step is the pass.
    pub const ORDER: u32 = 0;
    /// Which training samples the server holds to validate.
    pub const VALIDATION: u32 = 1;
    /// How validation samples are changed at random.
    pub const AUGMENT: u32 = 2;
    /// Which training samples are held out to be judged on.
    pub const JUDGED: u32 = 3;
}

/// Lanes of `Domain::Network`: what happens to one computation of a worker and its message.
pub mod network {
    /// How long it computes.
    pub const COMPUTE: u64 = 0;
    /// How long the model takes to come.
    pub const DOWN: u64 = 1;
    /// What goes wrong.
    pub const FATE: u64 = 2;
    /// How long the message takes.
    pub const UP: u64 = 3;
    /// How long one takes that is overtaken, beyond that.
    pub const OVERTAKEN: u64 = 4;
    /// What computes meanwhile.
    pub const MEANWHILE: u64 = 5;
    /// How long a worker is down.
    pub const DOWNTIME: u64 = 6;
    /// How long the second copy of a message takes.
    pub const AGAIN: u64 = 7;
    /// The worker at which it is drawn who is slow and who is silent: no worker has this number.
    pub const TEMPERAMENTS: u32 = u32::MAX;
}

/// Lanes of `Domain::Compress`, of a worker's message; the worker of coordinates that all send is
/// `u32::MAX`.
pub mod compress {
    /// Which coordinates are sent.
    pub const MASK: u64 = 0;
    /// Whether a coordinate is rounded up or down.
    pub const COINS: u64 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_purposes_of_a_domain_share_an_address() {
        use network as n;
        use partition as p;
        let lanes: [&[u64]; 7] = [
            &[data::WEIGHTS, data::FEATURES, data::NOISE, data::TEST],
            &[p::ORDER, p::POOL, p::CLASS, p::WORKER, p::HELD, p::AMOUNT],
            &[batch::EPOCH, batch::REPLACED, batch::WHOLE],
            &[compress::MASK, compress::COINS],
            &[rule::BUCKETS, rule::SKETCH, rule::SIGNS, rule::GROUPS, rule::CLUSTERS, rule::CHECK]
                .map(u64::from),
            &[oracle::ORDER, oracle::VALIDATION, oracle::AUGMENT, oracle::JUDGED].map(u64::from),
            &[
                n::COMPUTE,
                n::DOWN,
                n::FATE,
                n::UP,
                n::OVERTAKEN,
                n::MEANWHILE,
                n::DOWNTIME,
                n::AGAIN,
            ],
        ];
        for all in lanes {
            for (i, lane) in all.iter().enumerate() {
                assert!(!all[..i].contains(lane), "{lane} in {all:?}");
            }
        }
    }
}
