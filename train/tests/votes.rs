//! Votes that stay packed: the same step as the same votes as rows, and the same refusals.

use varangian_base::{Coins, Seed, Signs, ZeroPolicy};
use varangian_learn::optim::Optimiser;
use varangian_rules::Pipeline;
use varangian_train::{NonFinite, Reason, Server, Settings};

const D: usize = 70;

fn server(rule: &str, packs_votes: bool) -> Result<Server, varangian_base::SpecError> {
    let settings = Settings {
        n: 5,
        f: 1,
        weights: None,
        participation: None,
        non_finite: NonFinite::RefuseRow,
        rule: Pipeline::parse(rule).unwrap(),
        optimiser: Optimiser::sgd(0.5),
        steps_per_epoch: 1.0,
        buffers: vec![],
        seed: Seed(9),
        packs_votes,
        silence_is_hostile: false,
    };
    Server::new(settings, vec![0.25; D], None)
}

/// What a worker votes: −1, 0 or +1, or one of two where `ternary` is false.
fn vote(worker: u32, step: u64, ternary: bool) -> Vec<f32> {
    let sides = if ternary { 3 } else { 2 };
    let draw = |k: usize| (k as u64 * 31 + u64::from(worker) * 17 + step * 7) / 3 % sides;
    (0..D).map(|k| [1.0, -1.0, 0.0][draw(k) as usize]).collect()
}

fn packed(row: &[f32], ternary: bool) -> Signs {
    let mut signs = Signs::default();
    let zero = if ternary { ZeroPolicy::Zero } else { ZeroPolicy::PlusOne };
    signs.encode(row, zero, Coins::default());
    signs
}

#[test]
fn packed_votes_make_the_steps_that_rows_make() {
    for rule in ["majority", "majority ties=random margin=1", "majority ties=plus-one"] {
        for ternary in [false, true] {
            let mut rows = server(rule, false).unwrap();
            let mut votes = server(rule, true).unwrap();
            for step in 0..6 {
                // One is silent, another one each time; messages come in another order.
                for worker in (0..5).rev().filter(|worker| u64::from(*worker) != step % 5) {
                    let row = vote(worker, step, ternary);
                    rows.receive(worker, step, &row).unwrap();
                    votes.receive_vote(worker, step, packed(&row, ternary)).unwrap();
                }
                let ids = rows.close().ids.clone();
                let closed = votes.close();
                assert_eq!((&closed.ids, closed.n, &closed.skipped), (&ids, 4, &None));
                assert_eq!(votes.params(), rows.params(), "{rule} {ternary} {step}");
                assert_eq!(votes.aggregate(), rows.aggregate());
            }
            assert!(votes.params().iter().any(|x| *x != 0.25), "it moved");
        }
    }
}

#[test]
fn what_is_no_vote_for_the_step_is_refused_as_a_row_would_be() {
    let mut server = server("majority", true).unwrap();
    let mut send = |worker, step, row: &[f32]| {
        server.receive_vote(worker, step, packed(row, false)).map_err(|refusal| refusal.reason)
    };
    let row = vote(0, 0, false);
    let other: Vec<f32> = row.iter().map(|x| -x).collect();
    assert_eq!(send(0, 0, &row), Ok(()));
    assert_eq!(send(0, 0, &row), Err(Reason::Duplicate));
    assert_eq!(send(1, 0, &row), Ok(()));
    assert_eq!(send(1, 0, &other), Err(Reason::Equivocation));
    assert_eq!(send(1, 0, &row), Err(Reason::Duplicate), "its row is lost for the step");
    assert_eq!(send(2, 1, &row), Err(Reason::WrongStep));
    assert_eq!(send(2, 0, &row[1..]), Err(Reason::WrongLength));
    assert_eq!(send(5, 0, &row), Err(Reason::UnknownWorker));
    assert_eq!(send(3, 0, &row), Ok(()));
    assert_eq!(send(4, 0, &other), Ok(()));
    let closed = server.close();
    assert_eq!((closed.ids.as_slice(), closed.f), (&[0, 3, 4][..], 0));
    // Two against one, by the first message of each.
    assert_eq!(server.aggregate(), row);
}

#[test]
fn rules_that_read_more_than_signs_keep_rows() {
    for rule in ["median", "majority votes=sum", "nnm | majority", "majority | ctma"] {
        let Err(error) = server(rule, true) else { panic!("{rule} counts no votes") };
        let text = error.to_string();
        assert!(text.contains("reads signs alone") && text.contains(rule), "{text}");
    }
}
