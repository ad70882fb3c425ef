//! A short fuzz run over every rule; `cargo run --release --example fuzz 10000000` is the long one.

mod case;

use rand::Rng;
use varangian_base::{Domain, Seed};

#[test]
fn no_bytes_make_a_rule_answer_what_it_does_not_claim() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        let mut fuzzer = case::Fuzzer::default();
        let mut bytes = [0u8; 512];
        for number in 0..600 {
            Seed(3).stream(Domain::Test, 0, number).fill_bytes(&mut bytes);
            fuzzer.run(&bytes);
        }
        assert!(fuzzer.pipelines() > 40 && fuzzer.answers > 10_000);
    });
}
