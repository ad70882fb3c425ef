//! The policy of a round: who is waited for, until when, and how few rows are too few.
//!
//! A round closes when everyone who is waited for has answered, or at its deadline. Where fewer
//! rows are in by then than the rule accepts at the declared f, it is extended once by as much
//! again and closes with what there is: the server skips the step if that is still too little.
//! Missing rows never lower f: an honest worker can be slow.
//!
//! Time is a number that the driver brings: seconds of a clock, or of a simulation.

/// What a round waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Seconds that a round stays open, and by which it is extended.
    pub deadline: f64,
    /// Rows that the rule needs at the declared f.
    pub least: usize,
    /// Whether a worker that misses rounds is waited for in fewer of them: after k misses in a row
    /// in every 2ᵏ-th round, up to every 16th, and in few at all where many waited for it in vain
    /// of late. Its rows count whenever they come in time. Without,
    /// one that never answers makes every round last until its deadline.
    pub backs_off: bool,
}

/// The most rounds between two that wait for a worker that missed the last one, as a power of two.
const RAREST: u32 = 4;
/// Rounds that may wait for a worker in vain before it is waited for more rarely whatever it does
/// in between: one that answers now and then would hold up all others for nothing.
const PATIENCE: f64 = 4.0;
/// What each round gives back of that: in the long run every 16th may wait for one worker in vain.
const REGAINED: f64 = 1.0 / 16.0;

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Takes part in the open round.
    invited: bool,
    /// Takes part, and the round does not close before it answers.
    awaited: bool,
    /// Something for the open round came of it, admitted or refused.
    answered: bool,
    /// A row of it stands.
    admitted: bool,
    /// Rounds in a row that it was waited for in vain.
    misses: u32,
    /// Rounds that waited for it in vain, less what was regained since.
    vain: f64,
    /// The round from which on it is waited for again.
    again: u64,
    /// The round from which on it was waited for as it had come back.
    back: u64,
}

/// One round after the other: told of answers and of time, it says when a round is over.
#[derive(Debug)]
pub struct Gathering {
    policy: Policy,
    places: Vec<Place>,
    round: u64,
    taken: usize,
    end: f64,
    extended: bool,
}

impl Gathering {
    /// Rounds of `n` workers, none open yet.
    pub fn new(policy: Policy, n: usize) -> Self {
        let places = vec![Place::default(); n];
        Gathering { policy, places, round: 0, taken: 0, end: 0.0, extended: false }
    }

    /// Opens a round at `now`, in which the workers take part that `takes_part` names.
    pub fn open(&mut self, now: f64, takes_part: impl Fn(usize) -> bool) {
        self.round += 1;
        for (place, state) in self.places.iter_mut().enumerate() {
            (state.answered, state.admitted) = (false, false);
            state.vain = (state.vain - REGAINED).max(0.0);
            let asked = self.round >= state.again && state.vain < PATIENCE;
            let asked = asked || !self.policy.backs_off;
            state.invited = takes_part(place);
            state.awaited = asked && state.invited;
        }
        (self.taken, self.extended) = (0, false);
        self.end = now + self.policy.deadline;
    }

    /// Something for the open round came of this worker; `admitted`, if it is a row of it.
    pub fn answered(&mut self, place: usize, admitted: bool) {
        let state = &mut self.places[place];
        state.answered = true;
        if admitted {
            (state.misses, state.again, state.admitted) = (0, 0, true);
        }
        self.taken += usize::from(admitted);
    }

    /// The row of this worker, if one stands, stands no more: it is proven hostile.
    pub fn withdrawn(&mut self, place: usize) {
        self.taken -= usize::from(std::mem::take(&mut self.places[place].admitted));
    }

    /// Something came that is not for the open round; `admitted`, if it counts as a row all the
    /// same.
    pub fn heard(&mut self, admitted: bool) {
        self.taken += usize::from(admitted);
    }

    /// The round no longer waits for this worker: it left, or its identity was taken from it. As
    /// long as the rows are too few the round stays open all the same, until its end: it may come
    /// back in time, and a round that is skipped is lost.
    pub fn without(&mut self, place: usize) {
        self.places[place].awaited = false;
    }

    /// This worker is here anew, as after a time without a connection, or was only late: the next
    /// round waits for it, unless many waited in vain of late. Who comes back all the time is
    /// waited for in every second round at most.
    pub fn returned(&mut self, place: usize) {
        let state = &mut self.places[place];
        let from = (self.round + 1).max(state.back + 2);
        if from < state.again {
            (state.again, state.back) = (from, from);
        }
    }

    /// Whether everyone who is waited for has answered, and, as long as the rows are too few,
    /// everyone who takes part.
    pub fn is_complete(&self) -> bool {
        let too_few = self.taken < self.policy.least;
        let waited = |state: &Place| if too_few { state.invited } else { state.awaited };
        self.places.iter().all(|state| state.answered || !waited(state))
    }

    /// Until when the round stays open.
    pub fn end(&self) -> f64 {
        self.end
    }

    /// Rows of the open round.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// The deadline has come: whether the round is over. Otherwise it was extended.
    pub fn is_over(&mut self) -> bool {
        if self.taken < self.policy.least && !self.extended {
            self.extended = true;
            self.end += self.policy.deadline;
            return false;
        }
        true
    }

    /// Closes the round: who was waited for in vain, ascending.
    pub fn close(&mut self) -> Vec<usize> {
        let mut missed = Vec::new();
        for (place, state) in self.places.iter_mut().enumerate() {
            if state.awaited && !state.answered {
                missed.push(place);
                state.misses += 1;
                state.vain += 1.0;
                state.again = self.round + (1 << state.misses.min(RAREST));
            }
            state.awaited = false;
        }
        missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathering(least: usize, backs_off: bool) -> Gathering {
        Gathering::new(Policy { deadline: 2.0, least, backs_off }, 4)
    }

    #[test]
    fn a_round_closes_when_all_who_are_waited_for_have_answered() {
        let mut round = gathering(3, false);
        round.open(10.0, |place| place != 3);
        assert_eq!((round.is_complete(), round.end()), (false, 12.0));
        [0, 1].into_iter().for_each(|place| round.answered(place, true));
        assert!(!round.is_complete());
        round.answered(2, false);
        assert!(round.is_complete() && round.taken() == 2);
        assert!(round.close().is_empty());
    }

    #[test]
    fn too_few_rows_extend_it_once() {
        let mut round = gathering(3, false);
        round.open(0.0, |_| true);
        round.answered(0, true);
        assert!(!round.is_over());
        assert_eq!(round.end(), 4.0);
        assert!(round.is_over(), "once");
        assert_eq!(round.close(), [1, 2, 3]);
        round.open(4.0, |_| true);
        (0..3).for_each(|place| round.answered(place, true));
        assert!(round.is_over(), "enough at the deadline");
        assert_eq!(round.close(), [3]);
    }

    #[test]
    fn a_row_that_is_withdrawn_counts_no_more() {
        let mut round = gathering(3, false);
        round.open(0.0, |_| true);
        (0..3).for_each(|place| round.answered(place, true));
        round.withdrawn(2);
        round.withdrawn(2);
        round.withdrawn(3);
        assert_eq!(round.taken(), 2);
        assert!(!round.is_over(), "too few: extended");
    }

    #[test]
    fn who_leaves_is_not_waited_for() {
        let mut round = gathering(1, false);
        round.open(0.0, |_| true);
        (0..3).for_each(|place| round.answered(place, true));
        assert!(!round.is_complete());
        round.without(3);
        assert!(round.is_complete() && round.close().is_empty());
        // Where every row is needed, it may come back before the end.
        let mut round = gathering(4, false);
        round.open(0.0, |_| true);
        (0..3).for_each(|place| round.answered(place, true));
        round.without(3);
        assert!(!round.is_complete());
        round.answered(3, true);
        assert!(round.is_complete());
    }

    #[test]
    fn a_round_that_waits_for_nobody_in_particular_waits_for_enough_rows() {
        let mut round = gathering(2, true);
        round.open(0.0, |_| true);
        round.close();
        round.open(0.0, |_| true);
        assert!(!round.is_complete(), "all missed the last round, and no row is in");
        round.answered(0, true);
        assert!(!round.is_complete());
        round.answered(3, true);
        assert!(round.is_complete(), "enough, and nobody else is waited for");
    }

    #[test]
    fn who_comes_back_is_waited_for_at_once_but_not_in_every_round() {
        let mut waited = Vec::new();
        for comes_back in [false, true] {
            let mut round = gathering(1, true);
            waited.push(Vec::new());
            for k in 1..=20 {
                if comes_back && k > 8 {
                    round.returned(3);
                    round.returned(3);
                }
                round.open(0.0, |_| true);
                (0..3).for_each(|place| round.answered(place, true));
                if !round.close().is_empty() {
                    waited.last_mut().unwrap().push(k);
                }
            }
        }
        assert_eq!(waited, [vec![1, 3, 7, 15], vec![1, 3, 7, 9, 11, 18]]);
    }

    #[test]
    fn who_answers_now_and_then_does_not_hold_up_every_other_round() {
        let mut round = gathering(1, true);
        let (mut vain, mut counted) = (0, 0);
        for k in 0..1600 {
            round.open(0.0, |_| true);
            let rare = k % 2 == 0;
            (0..3).for_each(|place| round.answered(place, true));
            // In the rounds that wait for it nothing comes, in the others it is in time.
            if rare || !round.places[3].awaited {
                round.answered(3, !round.places[3].awaited || rare);
                counted += 1;
            }
            vain += round.close().len();
        }
        assert!((90..=110).contains(&vain), "{vain} rounds of 1600 waited in vain");
        assert!(counted > 1400, "its rows count where they come in time: {counted}");
    }

    #[test]
    fn one_that_never_answers_is_waited_for_ever_more_rarely_and_forgiven_at_once() {
        let mut round = gathering(1, true);
        let mut waited = Vec::new();
        let mut pass = |round: &mut Gathering, k: u32, answers: bool| {
            round.open(0.0, |_| true);
            (0..3).for_each(|place| round.answered(place, true));
            if answers {
                round.answered(3, true);
            }
            if !round.close().is_empty() {
                waited.push(k);
            }
        };
        (1..=60).for_each(|k| pass(&mut round, k, false));
        pass(&mut round, 61, true);
        pass(&mut round, 62, false);
        assert_eq!(waited, [1, 3, 7, 15, 31, 47, 62]);
    }
}
