//! Fuzzes every rule on stable Rust: `cargo run --release --example fuzz -- ANSWERS [SEED]`.
//!
//! A case is 512 random bytes; each goes through every rule, variant and composition that its n and
//! f allow. One answer of one rule counts as one. A failure panics with the rule, the rows and f.

#![allow(clippy::print_stdout)]

#[path = "../tests/fuzz/case.rs"]
mod case;

use rand::Rng;
use varangian_base::{Domain, Seed};

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let answers: u64 = arguments.next().unwrap_or(1_000_000);
    let seed = Seed(arguments.next().unwrap_or(0));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    pool.install(|| {
        let mut fuzzer = case::Fuzzer::default();
        let mut bytes = [0u8; 512];
        let mut cases = 0;
        while fuzzer.answers < answers {
            seed.stream(Domain::Test, 1, cases).fill_bytes(&mut bytes);
            fuzzer.run(&bytes);
            cases += 1;
        }
        println!(
            "{} answers of {} pipelines on {cases} rounds, seed {}: all finite, none outside its claims",
            fuzzer.answers,
            fuzzer.pipelines(),
            seed.0
        );
    });
}
