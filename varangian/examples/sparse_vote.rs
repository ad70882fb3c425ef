//! A round of volunteer training in which peers send the signs of their largest coordinates: six
//! peers, of which one names the same coordinate twice, one sends two different messages, and one
//! votes against all others.
//!
//! `cargo run --release -p varangian --example sparse_vote`
#![allow(clippy::print_stdout)]

use varangian::base::sparse::{Message, Vote};

/// The indices and signs of the `most` largest entries of a gradient.
fn largest(gradient: &[f32], most: usize) -> (Vec<u32>, Vec<i8>) {
    let mut order: Vec<u32> = (0..gradient.len() as u32).collect();
    order.sort_by(|&a, &b| gradient[b as usize].abs().total_cmp(&gradient[a as usize].abs()));
    order.truncate(most);
    let signs = order.iter().map(|&k| if gradient[k as usize] < 0.0 { -1 } else { 1 }).collect();
    (order, signs)
}

fn main() {
    let gradient = [0.1f32, -3.0, 0.2, 5.0, 0.0, -0.3, 2.0, 0.1];
    let (most, f) = (3, 1);
    let honest = largest(&gradient, most);
    let against: Vec<i8> = honest.1.iter().map(|sign| -sign).collect();
    let twice = (vec![0, 0], vec![1, 1]);
    let other = (vec![7], vec![1]);
    let sent = [
        (0, &honest.0, &honest.1),
        (1, &honest.0, &honest.1),
        (2, &honest.0, &honest.1),
        (3, &honest.0, &against),
        (4, &twice.0, &twice.1),
        (5, &honest.0, &honest.1),
        (5, &other.0, &other.1),
    ];
    let messages = sent.map(|(worker, indices, signs)| Message { worker, indices, signs });
    let outcome = Vote { d: gradient.len() as u32, f, most }.count(&messages);
    println!("decided: {:?}", outcome.signs);
    for ballot in &outcome.ballots {
        let votes =
            format!("{} with, {} against, {} open", ballot.with, ballot.against, ballot.open);
        println!("peer {}: {}", ballot.worker, ballot.refused.as_deref().unwrap_or(&votes));
    }
    assert_eq!(outcome.signs, [(1, -1), (3, 1), (6, 1)]);
}
