//! Seconds for one worker's gradient, beside the machine's own matrix product.
//!
//! `cargo bench -p varangian-learn --bench gradients [-- NAME… | isas NAME…]`; `isas` times each
//! instruction set on one thread. The same shapes in PyTorch are timed by
//! `bench/peers/gradients.py`: compare on one machine, one after the other, nothing else running.

#![allow(clippy::print_stdout, clippy::disallowed_methods)] // a benchmark looks at the clock

use rayon::prelude::*;
use std::time::{Duration, Instant};
use varangian_base::{Domain, Matrix, Seed};
use varangian_learn::data::Shape;
use varangian_learn::kernels::isa::{self, Isa};
use varangian_learn::model::{self, Model, Place, Prepared, Workspace};
use varangian_learn::{Batch, Targets, kernels};

/// A workload: a model, the batch of a worker, the number of workers.
struct Load {
    name: &'static str,
    model: &'static str,
    shape: [usize; 3],
    classes: usize,
    batch: usize,
    workers: usize,
}

const fn dense(name: &'static str, model: &'static str, batch: usize, workers: usize) -> Load {
    Load { name, model, shape: [1, 28, 28], classes: 10, batch, workers }
}

const fn colour(name: &'static str, model: &'static str, batch: usize, workers: usize) -> Load {
    Load { name, model, shape: [3, 32, 32], classes: 10, batch, workers }
}

const LOADS: &[Load] = &[
    dense("W1", "mlp", 83, 27),
    colour("W2", "empire-cnn", 50, 14),
    colour("W2d", "empire-cnn conv=direct", 50, 14),
    dense("W3", "linear", 32, 20),
    colour("W4", "resnet20 shortcut=conv", 32, 10),
    dense("W5", "mnistnet", 12, 10),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let (isas, wanted): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|word| word == "isas");
    println!("instructions: {}", isa::active());
    println!("product 1024 × 1024 × 1024, 1 thread: {:.0} GFLOP/s", product_speed());
    println!("{}", about_mkl());
    for load in LOADS {
        if wanted.is_empty() || wanted.iter().any(|w| w == load.name || w == load.model) {
            if isas.is_empty() { time(load) } else { time_isas(load) }
        }
    }
}

/// What a comparison with PyTorch owes to the processor's vendor: its linear layers run on MKL.
fn about_mkl() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let vendor = text.lines().find_map(|line| line.strip_prefix("vendor_id"));
    let vendor = vendor.map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let verdict = match vendor {
        "GenuineIntel" => "MKL, under PyTorch's linear layers, runs at full speed here",
        "unknown" => "on processors that are not Intel's, MKL runs at half speed",
        _ => {
            "MKL, under PyTorch's linear layers, runs at half speed on this vendor's processors: \
             part of the ratios of dense models is MKL's, not ours"
        }
    };
    format!("processor of {vendor}: {verdict}")
}

/// Prints one workload on each instruction set, on one thread, in processor time. The products of
/// linear layers choose their instructions themselves.
fn time_isas(load: &Load) {
    let [channels, height, width] = load.shape;
    let shape = Shape { channels, height, width };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let mut widest = f64::NAN;
    for isa in [Isa::Avx512, Isa::Avx2, Isa::Portable] {
        if !isa.available() {
            println!("{} {}: no {} here", load.name, load.model, isa.name());
            continue;
        }
        let model = model::build(load.model, shape, load.classes).expect("a model of the list");
        let small = Load { workers: 2, ..*load };
        let work = || isa::with(isa, || per_gradient(&small, model.as_ref(), shape));
        let (_, busy) = pool.install(work);
        widest = if widest.is_nan() { busy } else { widest };
        println!(
            "{} {}, {}: {:.1} µs a gradient, {:.2} × the widest",
            load.name,
            load.model,
            isa.name(),
            busy * 1e6,
            busy / widest
        );
    }
}

/// Prints one workload at 1 and at 2 threads.
fn time(load: &Load) {
    let [channels, height, width] = load.shape;
    let shape = Shape { channels, height, width };
    let model = model::build(load.model, shape, load.classes).expect("a model of the list");
    let mut seconds = Vec::new();
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        seconds.push(pool.install(|| per_gradient(load, model.as_ref(), shape)));
    }
    let [(one, busy), (two, _)] = seconds[..] else { unreachable!("two runs") };
    println!(
        "{} {}: d = {}, b = {}, {} workers: {:.1} µs a gradient on 1 thread ({:.1} µs of them on \
         the processor), {:.1} µs on 2",
        load.name,
        load.model,
        model.dim(),
        load.batch,
        load.workers,
        one * 1e6,
        busy * 1e6,
        two * 1e6,
    );
}

/// Seconds that this thread has spent on a processor, where the system tells: what a busy machine
/// does not lengthen.
fn busy() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).map_or(f64::NAN, |ns| ns / 1e9)
}

/// Median seconds of a step (preparation and all workers) and mean processor seconds of this
/// thread, divided by the workers.
fn per_gradient(load: &Load, model: &dyn Model, shape: Shape) -> (f64, f64) {
    let mut stream = Seed(1).stream(Domain::Test, 0, 0);
    let batches: Vec<Batch> = (0..load.workers)
        .map(|_| Batch {
            inputs: (0..load.batch * shape.len()).map(|_| stream.normal() as f32).collect(),
            targets: Targets::Labels(
                (0..load.batch).map(|_| stream.below(load.classes) as u32).collect(),
            ),
            len: load.batch,
            ..Batch::default()
        })
        .collect();
    let params = model.init(Seed(1));
    let mut rows = Matrix::zeros(load.workers, model.dim());
    let mut prepared: Prepared = Box::new(());
    let threads = rayon::current_num_threads();
    let mut workspaces: Vec<Workspace> = (0..threads).map(|_| model.workspace()).collect();
    let share = load.workers.div_ceil(threads);
    let mut step = || {
        model.prepare(&params, &mut prepared);
        let mut rows = rows.rows_mut();
        let mut all: Vec<(&Batch, &mut [f32])> = batches.iter().zip(rows.iter_mut()).collect();
        all.par_chunks_mut(share).zip(&mut workspaces).enumerate().for_each(|(w, (part, room))| {
            for (batch, out) in part {
                let place = Place { seed: Seed(1), worker: w as u32, step: 0 };
                model.gradient(&params, &prepared, batch, place, room, out);
            }
        });
    };
    step();
    let mut samples = Vec::new();
    let (begin, before) = (Instant::now(), busy());
    while samples.len() < 5 || begin.elapsed() < Duration::from_secs(1) {
        let start = Instant::now();
        step();
        samples.push(start.elapsed().as_secs_f64() / load.workers as f64);
    }
    let spent = (busy() - before) / (samples.len() * load.workers) as f64;
    samples.sort_by(f64::total_cmp);
    (samples[samples.len() / 2], spent)
}

/// GFLOP/s of processor time of the product under everything, as the machine's own measure.
fn product_speed() -> f64 {
    let n = 1024;
    let (a, b, mut c) = (vec![1.0f32; n * n], vec![1.0f32; n * n], vec![0.0f32; n * n]);
    let (repeats, before) = (30, busy());
    for _ in 0..repeats {
        kernels::multiply(n, n, n, &a, &b, &mut c);
    }
    2.0 * (repeats * n * n * n) as f64 / (busy() - before) / 1e9
}
