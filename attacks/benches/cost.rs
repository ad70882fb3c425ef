//! The cost of each attack beside a plain mean of the honest rows.
//!
//! `cargo bench -p varangian-attacks --bench cost [-- NAME…]`: milliseconds on one thread beside
//! those of the mean, run in turns, and the ratio. The fixed family (those that ask no rule and
//! compare no pairs) should stay within 3 means; drawing noise costs what its normals cost.

#![allow(clippy::print_stdout, clippy::disallowed_methods)] // a benchmark looks at the clock

use std::time::Instant;
use varangian_attacks::{Probe, View, build};
use varangian_base::kernels::{columns, combine};
use varangian_base::{Domain, Matrix, Rows, Seed};

/// (n, f, d): the distributed-momentum and bucketing settings on the small and a larger network.
const SHAPES: [(usize, usize, usize); 3] = [(51, 24, 79_510), (25, 5, 79_510), (25, 5, 1_310_922)];

const ATTACKS: [&str; 19] = [
    "sign-flip",
    "sign-flip of=mean",
    "zero",
    "alie",
    "variance",
    "ipm",
    "empire",
    "safeguard-attack",
    "time-coupled-alie",
    "relocation",
    "poisoned-fl",
    "min-sum",
    "anti-cge",
    "mimic target=0",
    "mimic",
    "kill",
    "min-max",
    "gaussian",
    "worst budget=64",
];

/// A coordinate-wise median to probe.
struct Median;

impl Probe for Median {
    fn aggregate(&mut self, rows: Rows<'_>, out: &mut [f32]) {
        let middle = rows.n() / 2;
        columns::sorted(rows, out, |x| x[middle]);
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    for (n, f, d) in SHAPES {
        println!("n = {n}, f = {f}, d = {d}");
        pool.install(|| shape(n, f, d, &wanted));
    }
}

fn shape(n: usize, f: usize, d: usize, wanted: &[String]) {
    let mut stream = Seed(1).stream(Domain::Test, 0, 0);
    let mut rows = Matrix::zeros(n, d);
    for i in 0..n {
        rows.row_mut(i).iter_mut().for_each(|x| *x = stream.uniform() - 0.4);
    }
    let honest = rows.rows().head(n - f);
    let mut mean = vec![0.0; d];
    combine::mean(honest, &mut mean);
    println!("  {:<24} {:>9} {:>12} {:>7}", "", "ms", "mean, ms", "ratio");
    let mut out = Matrix::zeros(f, d);
    for name in ATTACKS.iter().filter(|name| wanted.is_empty() || wanted.iter().any(|w| w == *name))
    {
        let mut attack = build(name).expect("a known attack");
        let mut step = 0;
        let repeats = if name.starts_with("worst") { 1 } else { 25 };
        let mut room = vec![0.0; d];
        let mut plain = || combine::mean(honest, &mut room);
        let (ms, base, ratio) = beside(repeats, &mut plain, || {
            let (probe, learning_rate) = (&mut Median, 0.1);
            let round = View::of(honest, rows.rows().tail(n - f), &mean, probe);
            let mut view = View { step, learning_rate, seed: Seed(1), ..round };
            attack.forge(&mut view, out.rows_mut());
            step += 1;
        });
        println!("  {name:<24} {ms:>9.3} {base:>12.3} {ratio:>7.2}");
    }
}

/// Milliseconds of the attack and of the mean, and their ratio: medians over neighbouring runs,
/// which a busy machine disturbs least, after one run of each to warm up.
fn beside(runs: usize, mean: &mut dyn FnMut(), mut attack: impl FnMut()) -> (f64, f64, f64) {
    let ms = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64() * 1e3
    };
    mean();
    attack();
    let samples: Vec<(f64, f64)> = (0..runs).map(|_| (ms(&mut attack), ms(mean))).collect();
    let median = |of: &dyn Fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        values[runs / 2]
    };
    (median(&|s| s.0), median(&|s| s.1), median(&|s| s.0 / s.1))
}
