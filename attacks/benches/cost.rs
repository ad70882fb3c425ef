//! The cost of each attack beside a plain mean of the honest rows.
//!
//! `cargo bench -p varangian-attacks --bench cost [-- NAME…]`: seconds on one thread (the least of
//! several), and the ratio. The fixed family (those that ask no rule and compare no pairs) should
//! stay within 3 means; drawing noise costs what its normals cost.

#![allow(clippy::print_stdout, clippy::disallowed_methods)] // a benchmark looks at the clock

use std::time::{Duration, Instant};
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
    let base = least(20, || combine::mean(honest, &mut mean));
    println!("  {:<24} {:>9.3} ms", "mean of the honest rows", base.as_secs_f64() * 1e3);
    let mut out = Matrix::zeros(f, d);
    for name in ATTACKS.iter().filter(|name| wanted.is_empty() || wanted.iter().any(|w| w == *name))
    {
        let mut attack = build(name).expect("a known attack");
        let mut step = 0;
        let repeats = if name.starts_with("worst") { 2 } else { 12 };
        let took = least(repeats, || {
            let mut view = View {
                honest,
                own: rows.rows().tail(n - f),
                beside: varangian_base::Rows::new(&[], 0, 0),
                n,
                f,
                step,
                params: &mean,
                previous: &mean,
                server_momentum: &[],
                learning_rate: 0.1,
                probe: &mut Median,
                seed: Seed(1),
            };
            attack.forge(&mut view, out.rows_mut());
            step += 1;
        });
        let (ms, ratio) = (took.as_secs_f64() * 1e3, took.as_secs_f64() / base.as_secs_f64());
        println!("  {name:<24} {ms:>9.3} ms {ratio:>8.2} means");
    }
}

/// The least of some runs after one to warm up.
fn least(runs: usize, mut work: impl FnMut()) -> Duration {
    work();
    let time = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..runs).map(time).min().expect("at least one run")
}
