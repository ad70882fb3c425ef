//! `cargo run -- --seeds 1000`: that many seeds, on every core; `--from` says which is the first.
//! `cargo run -- --seed 17`: this one, with all that happens in it.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use varangian_net_sim::one::{self, Outcome};

/// Every so many seeds one is run twice, and the two are compared.
const TWICE: u64 = 50;

/// What all seeds came to.
#[derive(Default)]
struct Sum {
    counts: BTreeMap<String, u64>,
    seconds: f64,
    twice: u64,
    failed: BTreeMap<u64, Vec<String>>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut numbers = BTreeMap::new();
    for pair in words.chunks(2) {
        match pair {
            [word, number] if ["--seed", "--seeds", "--from"].contains(&word.as_str()) => {
                let Ok(number) = number.parse::<u64>() else {
                    eprintln!("{word} takes a whole number; found {number}");
                    return ExitCode::from(2);
                };
                numbers.insert(word.as_str(), number);
            }
            other => {
                eprintln!("--seed N, --seeds N and --from N are known; found {other:?}");
                return ExitCode::from(2);
            }
        }
    }
    quiet();
    match numbers.get("--seed") {
        Some(&seed) => show(seed),
        None => all(
            numbers.get("--from").copied().unwrap_or(0),
            numbers.get("--seeds").copied().unwrap_or(1000),
        ),
    }
}

/// A panic is told with its seed, once.
fn quiet() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// One seed, with its scenario and its history.
fn show(seed: u64) -> ExitCode {
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    println!("{:#?}", varangian_net_sim::scenario::Scenario::draw(seed, None));
    let Outcome { wrong, trace, seconds, .. } = one::play(seed, None);
    println!("{trace}{seconds:.1} s simulated");
    wrong.iter().for_each(|what| println!("wrong: {what}"));
    ExitCode::from(u8::from(!wrong.is_empty()))
}

/// Many seeds.
fn all(from: u64, count: u64) -> ExitCode {
    let next = AtomicU64::new(from);
    let sum = Mutex::new(Sum::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count {
                        break;
                    }
                    run(seed, &sum);
                }
            });
        }
    });
    report(count, &sum.into_inner().expect("no thread panicked"))
}

fn run(seed: u64, sum: &Mutex<Sum>) {
    let mut outcome = one::play(seed, None);
    let twice = seed.is_multiple_of(TWICE);
    if twice {
        let again = one::play(seed, None);
        if again.trace != outcome.trace {
            let mut lines = outcome.trace.lines().zip(again.trace.lines());
            let (a, b) = lines.find(|(a, b)| a != b).unwrap_or(("the end", "the end"));
            outcome.wrong.push(format!("two runs differ: first in {a:?} and {b:?}"));
        }
    }
    let mut sum = sum.lock().expect("no thread panicked");
    sum.seconds += outcome.seconds;
    sum.twice += u64::from(twice);
    for (what, count) in outcome.counts {
        *sum.counts.entry(what).or_default() += count;
    }
    if !outcome.wrong.is_empty() {
        println!("seed {seed}: {}", outcome.wrong[0]);
        println!("    again: (cd net/sim && cargo run --quiet -- --seed {seed})");
        sum.failed.insert(seed, outcome.wrong);
    }
}

fn report(count: u64, sum: &Sum) -> ExitCode {
    let (hours, twice) = (sum.seconds / 3600.0, sum.twice);
    println!("{count} seeds, {hours:.1} simulated hours, {twice} seeds run twice and compared");
    for (what, count) in &sum.counts {
        println!("{count:>9} {what}");
    }
    if sum.failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("{} of {count} seeds fail", sum.failed.len());
    ExitCode::FAILURE
}
