//! How often a worker may send where each message is judged as it comes: a bucket of tokens each.
//!
//! Without, whoever sends more often than others has more say: Zeno++'s authors count arrivals and
//! bound nobody. Time is a number that the driver brings.

/// Messages that a worker may send at once after a silence.
const BURST: f64 = 3.0;

/// A bucket of tokens a worker, filled at the same rate.
#[derive(Clone, Debug)]
pub struct Buckets {
    rate: f64,
    /// By worker, the tokens at a time.
    levels: Vec<(f64, f64)>,
}

impl Buckets {
    /// Full buckets of n workers that may send `rate` messages a second each; 0: as many as come.
    pub fn new(n: usize, rate: f64) -> Self {
        Buckets { rate, levels: vec![(BURST, 0.0); n] }
    }

    /// Messages a second and worker.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Takes a token of `worker`'s at `now`, in seconds; whether there was one.
    pub fn take(&mut self, worker: usize, now: f64) -> bool {
        if self.rate == 0.0 {
            return true;
        }
        let (tokens, then) = &mut self.levels[worker];
        *tokens = (*tokens + self.rate * (now - *then).max(0.0)).min(BURST);
        *then = now.max(*then);
        let enough = *tokens >= 1.0;
        if enough {
            *tokens -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_sends_more_often_than_the_rate_whatever_others_do() {
        let mut buckets = Buckets::new(2, 2.0);
        // A flood of a thousand a second for ten seconds, beside a worker that sends once a second.
        let taken = (0..10_000).filter(|k| buckets.take(0, f64::from(*k) / 1000.0)).count();
        assert_eq!(taken, 22, "three at once, then two a second");
        assert!((0..10).all(|k| buckets.take(1, f64::from(k))));
        // A clock that goes back gives nothing.
        assert!(!buckets.take(0, 9.999) && !buckets.take(0, 3.0));
        let mut open = Buckets::new(1, 0.0);
        assert!((0..100).all(|_| open.take(0, 0.0)));
    }
}
