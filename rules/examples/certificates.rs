//! Holds certificates to attacked steps whose honest rows are known:
//! `cargo run --release --example certificates -- STEPS [SEED]`.
//!
//! A step is one answer of one rule under one attack, certified twice. It ends with the counts, and
//! with an error if any answer left its certificate.

#![allow(clippy::print_stdout)]

#[path = "../tests/certificates/case.rs"]
mod case;

use varangian_base::Seed;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let steps: u64 = arguments.next().unwrap_or(1_000_000);
    let seed = Seed(arguments.next().unwrap_or(0));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    let mut tally = case::Tally::default();
    pool.install(|| {
        for number in 0.. {
            case::step(seed, number, &mut tally);
            if tally.steps >= steps {
                println!("{} rounds, seed {}", number + 1, seed.0);
                break;
            }
        }
    });
    let [radius, promise, descent] = tally.violations;
    println!(
        "{} answers, each with a fast and a sharp certificate\n\
         farther from the honest mean than the radius: {radius}\n\
         farther than κ promises, of {} promises: {promise}\n\
         no descent where it was certified, of {}: {descent}",
        tally.steps, tally.promises, tally.descents
    );
    let [fast, sharp] = tally.shares.map(|share| share / tally.steps as f64);
    println!("distance over radius, mean: fast {fast:.3}, sharp {sharp:.3}");
    assert_eq!(tally.violations, [0; 3], "an answer left its certificate");
}
