//! A vote over messages of indices and signs: what workers send that keep the largest few
//! coordinates of a transformed gradient and one bit of each.
//!
//! A sum of such messages followed by its sign, as volunteer training codes it, lets one peer
//! decide every coordinate that nobody else named. Here a coordinate is decided where one sign has
//! more than f votes more than the other, so that whatever f workers send, **each sign that is
//! given is the sign of the sum of the honest votes there**: f hostile votes change that sum by at
//! most f. (A count, by nothing but arithmetic; no paper is followed.)
//!
//! What arrives may be anything. A message is refused, with the reason, if an index lies beyond
//! the coordinates or stands twice, if a sign is neither −1 nor +1, if there is not one sign an
//! index, or if it names more coordinates than are allowed. A worker counts once: the same message
//! again is passed over, and where two differ both are refused, as they prove it hostile.
//!
//! ```
//! use varangian_base::sparse::{Message, Vote};
//! let vote = Vote { d: 10, f: 1, most: 3 };
//! let outcome = vote.count(&[
//!     Message { worker: 0, indices: &[2, 7], signs: &[1, -1] },
//!     Message { worker: 1, indices: &[7, 2], signs: &[-1, 1] },
//!     Message { worker: 2, indices: &[2, 5], signs: &[1, 1] },
//!     Message { worker: 3, indices: &[5, 5], signs: &[-1, -1] },
//! ]);
//! assert_eq!(outcome.signs, [(2, 1), (7, -1)]); // 5 has one vote, and the last is refused
//! let ballots = &outcome.ballots;
//! assert_eq!((ballots[2].with, ballots[2].against, ballots[2].open), (1, 0, 1));
//! assert_eq!(ballots[3].refused.as_deref(), Some("index 5 stands twice"));
//! ```

/// One worker's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Who sent it, as the connection says, never as the message does.
    pub worker: u64,
    /// The coordinates that it names, from 0, in any order.
    pub indices: &'a [u32],
    /// −1 or +1 of each.
    pub signs: &'a [i8],
}

/// How messages are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The number of coordinates.
    pub d: u32,
    /// The number of workers that may be hostile: a sign needs more than f votes more than its
    /// opposite.
    pub f: u32,
    /// The most coordinates that a message may name.
    pub most: usize,
}

/// What came of a vote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The coordinates that were decided, ascending, and their signs, −1 or +1. All others stay 0.
    pub signs: Vec<(u32, i8)>,
    /// What became of each message, in the order of the messages.
    pub ballots: Vec<Ballot>,
}

/// What became of a message: the evidence against its worker, or for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ballot {
    /// Who sent it.
    pub worker: u64,
    /// Votes that the outcome shares.
    pub with: usize,
    /// Votes whose opposite won.
    pub against: usize,
    /// Votes on coordinates that stayed open.
    pub open: usize,
    /// Why none of it was counted, in few words; `None` where it was.
    pub refused: Option<String>,
}

impl Vote {
    /// Counts messages. Cost O(K·log K) for K votes in all, whatever d is.
    pub fn count(&self, messages: &[Message<'_>]) -> Outcome {
        let votes: Vec<Result<Vec<(u32, i8)>, String>> =
            messages.iter().map(|message| self.read(message)).collect();
        let again = repeated(messages, &votes);
        let counted = |i: usize| votes[i].as_ref().ok().filter(|_| again[i].is_none());
        let mut all: Vec<(u32, i8)> =
            (0..messages.len()).filter_map(counted).flatten().copied().collect();
        all.sort_unstable();
        let won = |votes: &[(u32, i8)]| {
            let sum: i64 = votes.iter().map(|(_, sign)| i64::from(*sign)).sum();
            (sum.unsigned_abs() > u64::from(self.f)).then(|| (votes[0].0, sum.signum() as i8))
        };
        let signs: Vec<(u32, i8)> = all.chunk_by(|a, b| a.0 == b.0).filter_map(won).collect();
        let ballot = |(i, message): (usize, &Message<'_>)| {
            let mut ballot = Ballot { worker: message.worker, ..Ballot::default() };
            match (&votes[i], again[i]) {
                (Err(why), _) => ballot.refused = Some(why.clone()),
                (_, Some(why)) => ballot.refused = Some(why.to_owned()),
                (Ok(votes), None) => votes.iter().for_each(|&(index, sign)| {
                    match signs.binary_search_by_key(&index, |(index, _)| *index) {
                        Ok(place) if signs[place].1 == sign => ballot.with += 1,
                        Ok(_) => ballot.against += 1,
                        Err(_) => ballot.open += 1,
                    }
                }),
            }
            ballot
        };
        let ballots = messages.iter().enumerate().map(ballot).collect();
        Outcome { signs, ballots }
    }

    /// The votes of a message by ascending index.
    fn read(&self, message: &Message<'_>) -> Result<Vec<(u32, i8)>, String> {
        let (indices, signs) = (message.indices, message.signs);
        if indices.len() != signs.len() {
            return Err(format!("{} signs for {} indices", signs.len(), indices.len()));
        }
        if indices.len() > self.most {
            return Err(format!("{} coordinates named, of at most {}", indices.len(), self.most));
        }
        if let Some(index) = indices.iter().find(|index| **index >= self.d) {
            return Err(format!("index {index} of {} coordinates", self.d));
        }
        if let Some(sign) = signs.iter().find(|sign| ![-1, 1].contains(*sign)) {
            return Err(format!("a sign of {sign}; it is -1 or 1"));
        }
        let mut votes: Vec<(u32, i8)> =
            indices.iter().copied().zip(signs.iter().copied()).collect();
        votes.sort_unstable();
        match votes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(format!("index {} stands twice", pair[0].0)),
            None => Ok(votes),
        }
    }
}

/// Why a message that can be read is not counted because of others of its worker's.
fn repeated(
    messages: &[Message<'_>],
    votes: &[Result<Vec<(u32, i8)>, String>],
) -> Vec<Option<&'static str>> {
    let mut order: Vec<usize> = (0..messages.len()).collect();
    order.sort_by_key(|&i| messages[i].worker);
    let mut again = vec![None; messages.len()];
    for of_one in order.chunk_by(|&a, &b| messages[a].worker == messages[b].worker) {
        let (first, others) = of_one.split_first().expect("a chunk has a message");
        if others.iter().any(|&i| votes[i] != votes[*first]) {
            of_one.iter().for_each(|&i| again[i] = Some("its worker sent another message too"));
        } else {
            others.iter().for_each(|&i| again[i] = Some("sent before"));
        }
    }
    again
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Domain, Seed};

    fn message<'a>(worker: u64, indices: &'a [u32], signs: &'a [i8]) -> Message<'a> {
        Message { worker, indices, signs }
    }

    fn refused(vote: Vote, messages: &[Message<'_>]) -> Vec<Option<String>> {
        vote.count(messages).ballots.into_iter().map(|ballot| ballot.refused).collect()
    }

    #[test]
    fn what_is_no_vote_is_refused_by_name_and_counts_nowhere() {
        let vote = Vote { d: 4, f: 0, most: 2 };
        let bad = [
            message(1, &[0, 4], &[1, 1]),
            message(2, &[3, 3], &[1, 1]),
            message(3, &[0, 1], &[1]),
            message(4, &[0, 1, 2], &[1, 1, 1]),
            message(5, &[0], &[0]),
            message(6, &[u32::MAX], &[-128]),
        ];
        let outcome = vote.count(&bad);
        assert!(outcome.signs.is_empty());
        let why: Vec<String> =
            outcome.ballots.iter().map(|ballot| ballot.refused.clone().unwrap()).collect();
        assert_eq!(
            why,
            [
                "index 4 of 4 coordinates",
                "index 3 stands twice",
                "1 signs for 2 indices",
                "3 coordinates named, of at most 2",
                "a sign of 0; it is -1 or 1",
                "index 4294967295 of 4 coordinates",
            ]
        );
        assert_eq!(vote.count(&[]), Outcome::default());
    }

    #[test]
    fn a_worker_counts_once_and_not_at_all_where_it_contradicts_itself() {
        let vote = Vote { d: 4, f: 1, most: 2 };
        let thrice = [message(1, &[0], &[1]), message(1, &[0], &[1]), message(1, &[0], &[1])];
        assert!(vote.count(&thrice).signs.is_empty(), "one vote is not more than f");
        let before = Some("sent before".to_owned());
        assert_eq!(refused(vote, &thrice), [None, before.clone(), before]);
        let two = [message(1, &[0], &[1]), message(2, &[0], &[1]), message(1, &[0], &[-1])];
        let other = Some("its worker sent another message too".to_owned());
        assert_eq!(refused(vote, &two), [other.clone(), None, other.clone()]);
        // The order within a message says nothing; a message that cannot be read is another one.
        let same = [message(1, &[0, 1], &[1, -1]), message(1, &[1, 0], &[-1, 1])];
        assert_eq!(refused(vote, &same), [None, Some("sent before".to_owned())]);
        let odd = [message(1, &[0], &[1]), message(1, &[9], &[1])];
        assert_eq!(refused(vote, &odd)[0], other);
    }

    #[test]
    fn each_sign_given_is_that_of_the_honest_votes_whatever_f_workers_send() {
        let mut draws = Seed(5).stream(Domain::Test, 0, 0);
        let (d, honest, mut decided) = (12, 7, 0);
        for trial in 0..300 {
            let f = 1 + trial % 3;
            let mut sent: Vec<(Vec<u32>, Vec<i8>)> = Vec::new();
            for worker in 0..honest + f {
                let mut indices: Vec<u32> = (0..d).collect();
                draws.shuffle(&mut indices);
                indices.truncate(6);
                // Honest workers lean to + on even coordinates; hostile ones oppose them.
                let sign = |k: &u32| match worker < honest {
                    true => 1 - 2 * (*k as i8 % 2),
                    false => 2 * (*k as i8 % 2) - 1,
                };
                let mut signs: Vec<i8> = indices.iter().map(sign).collect();
                if worker < honest {
                    signs.iter_mut().for_each(|s| *s *= if draws.coin(0.3) { -1 } else { 1 });
                }
                sent.push((indices, signs));
            }
            let messages: Vec<Message<'_>> = (0..)
                .zip(&sent)
                .map(|(worker, (indices, signs))| message(worker, indices, signs))
                .collect();
            let outcome = Vote { d, f: f as u32, most: 6 }.count(&messages);
            for (index, sign) in outcome.signs {
                let votes = sent[..honest].iter().flat_map(|(indices, signs)| {
                    indices.iter().zip(signs).filter(|(k, _)| **k == index).map(|(_, s)| *s)
                });
                assert_eq!(votes.sum::<i8>().signum(), sign, "coordinate {index}");
                decided += 1;
            }
        }
        assert!(decided > 300, "{decided}");
    }
}
