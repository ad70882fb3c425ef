//! Byz-VR-MARINA and SAGA on a finite sum: whole trajectories against slow replays in f64 from the
//! papers' formulas, and that the bits hold.

use std::sync::Arc;
use varangian_attacks as attacks;
use varangian_base::{Domain, Seed, lanes, spec};
use varangian_learn::data::{Split, load};
use varangian_learn::model::build;
use varangian_learn::optim::{
    Compression, Message, Optimiser, Regulariser, ServerOptimiser, shared_mask,
};
use varangian_learn::partition::{Minibatches, Samples, Sampling, make};
use varangian_learn::{Batch, Dataset, Model, Sampler, Targets};
use varangian_rules::Pipeline;
use varangian_sim::Plan;
use varangian_sim::lockstep::Lockstep;

const N: usize = 5;
const HONEST: usize = 4;
const LAMBDA: f64 = 0.01;
const RATE: f64 = 0.2;
const SEED: Seed = Seed(3);

type Row = Vec<f64>;

fn plan(message: &str, compression: &str, sampling: &str) -> Plan {
    let split = load("logreg", None, Seed(5)).unwrap();
    let Split { train, .. } = &split;
    let model: Arc<dyn Model> = Arc::from(build("logistic", train.shape(), 2).unwrap());
    let iid = make(&spec::parse("iid").unwrap()).unwrap();
    let shares = iid.split(&Samples::of(train.as_ref()), N, SEED).unwrap();
    let sampling = Sampling::make(&spec::parse(sampling).unwrap()).unwrap();
    let sampler = Minibatches::new(shares.samples, 6, sampling, SEED).unwrap();
    let rule = Pipeline::parse("median").unwrap();
    let attack = attacks::build("alie z=1.5").unwrap();
    let optimiser = Optimiser {
        message: Message::parse(message).unwrap(),
        compression: Compression::parse(compression).unwrap(),
        regulariser: Regulariser::HalfSquared(LAMBDA),
        ..Optimiser::sgd(RATE)
    };
    Plan { optimiser, ..Plan::new(model, &split, Arc::new(sampler), (N, 1), rule, attack, SEED) }
}

/// All samples with a 1 behind their numbers, and their labels.
struct Table {
    rows: Vec<Row>,
    labels: Row,
}

impl Table {
    fn of(data: &dyn Dataset) -> Table {
        let (mut batch, all) = (Batch::default(), (0..data.len() as u32).collect::<Vec<_>>());
        data.fill(&all, &mut Seed(0).stream(Domain::Augment, 0, 0), &mut batch);
        let row = |x: &[f32]| x.iter().map(|&x| f64::from(x)).chain([1.0]).collect();
        let Targets::Labels(labels) = &batch.targets else { panic!("classes") };
        Table {
            rows: batch.inputs.chunks_exact(data.shape().len()).map(row).collect(),
            labels: labels.iter().map(|&label| f64::from(label)).collect(),
        }
    }

    /// The gradient of one sample's loss, without the penalty.
    fn one(&self, x: &[f64], sample: u32) -> Row {
        let row = &self.rows[sample as usize];
        let z: f64 = row.iter().zip(x).map(|(a, x)| a * x).sum();
        let slope = 1.0 / (1.0 + (-z).exp()) - self.labels[sample as usize];
        row.iter().map(|a| slope * a).collect()
    }

    /// The mean gradient of some samples, with the penalty.
    fn mean(&self, x: &[f64], samples: &[u32]) -> Row {
        let mut out = scaled(LAMBDA, x);
        for &sample in samples {
            out = add(&out, 1.0 / samples.len() as f64, &self.one(x, sample));
        }
        out
    }
}

fn scaled(c: f64, x: &[f64]) -> Row {
    x.iter().map(|x| c * x).collect()
}

/// x + c·y.
fn add(x: &[f64], c: f64, y: &[f64]) -> Row {
    x.iter().zip(y).map(|(x, y)| x + c * y).collect()
}

/// The row that ALIE makes of the honest ones.
fn alie(honest: &[Row]) -> Row {
    let of = |k: usize| {
        let column: Row = honest.iter().map(|row| row[k]).collect();
        let mean = column.iter().sum::<f64>() / HONEST as f64;
        let square = column.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        mean - 1.5 * (square / (HONEST as f64 - 1.0)).sqrt()
    };
    (0..honest[0].len()).map(of).collect()
}

fn median(rows: &[Row]) -> Row {
    let of = |k: usize| {
        let mut column: Row = rows.iter().map(|row| row[k]).collect();
        column.sort_by(f64::total_cmp);
        column[N / 2]
    };
    (0..rows[0].len()).map(of).collect()
}

/// The median of the honest rows and the one that ALIE makes of them.
fn combined(honest: &[Row]) -> Row {
    let mut rows = honest.to_vec();
    rows.push(alie(honest));
    median(&rows)
}

fn drawn(plan: &Plan, worker: u32, step: u64) -> Vec<u32> {
    let mut out = Vec::new();
    plan.sampler.draw(worker, step, &mut out);
    out
}

fn start(plan: &Plan) -> Row {
    plan.model.init(SEED).iter().map(|&x| f64::from(x)).collect()
}

#[track_caller]
fn agree(plan: Plan, steps: u64, slow: &[f64]) {
    let mut run = Lockstep::new(plan).unwrap();
    for _ in 0..steps {
        assert!(run.step().closed.skipped.is_none());
    }
    let apart: f64 = run.params().iter().zip(slow).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
    let error = (apart / slow.iter().map(|x| x * x).sum::<f64>()).sqrt();
    assert!(error < 1e-5, "{error:e}");
}

fn marina(compression: &str, sampling: &str) {
    let made = || plan("marina p=0.2", compression, sampling);
    let (told, steps) = (made(), 40);
    let table = Table::of(told.train.as_ref());
    let (mut x, d) = (start(&told), told.model.dim());
    let (mut before, mut last) = (x.clone(), vec![0.0; d]);
    let mut wholes = 0;
    for step in 0..steps {
        let mut coin = SEED.lane(Domain::Batch, lanes::batch::ALL, step, lanes::batch::WHOLE);
        let whole = coin.coin(0.2) || step == 0;
        wholes += usize::from(whole);
        let kept = shared_mask(told.optimiser.compression.kept(d), d, SEED, step);
        let honest = (0..HONEST as u32).map(|worker| {
            if whole {
                return table.mean(&x, told.sampler.share(worker));
            }
            let batch = drawn(&told, worker, step);
            let change = add(&table.mean(&x, &batch), -1.0, &table.mean(&before, &batch));
            let short = |k: usize| match kept.contains(&(k as u32)) {
                true => change[k] * d as f64 / kept.len() as f64,
                false => 0.0,
            };
            add(&last, 1.0, &(0..d).map(short).collect::<Row>())
        });
        last = combined(&honest.collect::<Vec<_>>());
        before.clone_from(&x);
        x = add(&x, -RATE, &last);
    }
    assert!((4..20).contains(&wholes), "{wholes}");
    agree(made(), steps, &x);
}

#[test]
fn marina_adds_what_changed_on_a_minibatch_to_the_last_aggregate() {
    marina("none", "with-replacement");
    marina("none", "shared-pool");
}

#[test]
fn marina_shortens_the_difference_and_not_whole_gradients() {
    marina("rand-k keep=0.25 masks=shared", "with-replacement");
}

fn dasha(message: &str, pull: f64, compression: &str) {
    let made = || plan(message, compression, "with-replacement");
    let (told, steps) = (made(), 40);
    let table = Table::of(told.train.as_ref());
    let (mut x, d) = (start(&told), told.model.dim());
    let mut before = x.clone();
    let (mut h, mut g) = (vec![vec![0.0; d]; HONEST], vec![vec![0.0; d]; N]);
    for step in 0..steps {
        let mut coin = SEED.lane(Domain::Batch, lanes::batch::ALL, step, lanes::batch::WHOLE);
        let whole = coin.coin(0.2) || step == 0;
        let kept = shared_mask(told.optimiser.compression.kept(d), d, SEED, step);
        let masked = |row: &[f64], factor: f64| -> Row {
            let of = |k: usize| if kept.contains(&(k as u32)) { factor * row[k] } else { 0.0 };
            (0..d).map(of).collect()
        };
        for worker in 0..HONEST {
            let next = if whole {
                table.mean(&x, told.sampler.share(worker as u32))
            } else {
                let batch = drawn(&told, worker as u32, step);
                let change = add(&table.mean(&x, &batch), -1.0, &table.mean(&before, &batch));
                add(&h[worker], 1.0, &change)
            };
            let lacks = add(&g[worker], -1.0, &h[worker]);
            let message = add(&add(&next, -1.0, &h[worker]), -pull, &lacks);
            g[worker] = add(&g[worker], 1.0, &masked(&message, d as f64 / kept.len() as f64));
            h[worker] = next;
        }
        // What the hostile worker wants kept of it, as far as one message goes: ALIE's row.
        let wanted = alie(&g[..HONEST]);
        g[HONEST] = add(&g[HONEST], 1.0, &masked(&add(&wanted, -1.0, &g[HONEST]), 1.0));
        before.clone_from(&x);
        x = add(&x, -RATE, &median(&g));
    }
    agree(made(), steps, &x);
}

#[test]
fn dasha_sends_what_the_servers_copy_of_its_estimate_lacks() {
    dasha("dasha p=0.2", 1.0, "none");
    dasha("dasha p=0.2 a=0.3", 0.3, "none");
    // ω = d/k − 1; a = 1/(2ω + 1).
    let (made, mask) = (plan("dasha", "none", "with-replacement"), "rand-k keep=0.25 masks=shared");
    let d = made.model.dim();
    let omega = d as f64 / (0.25 * d as f64).ceil() - 1.0;
    dasha("dasha p=0.2", 1.0 / (2.0 * omega + 1.0), mask);
}

#[test]
fn saga_corrects_a_gradient_by_the_last_one_of_each_sample() {
    let made = || plan("saga", "none", "with-replacement");
    let (told, steps) = (made(), 60);
    let table = Table::of(told.train.as_ref());
    let mut x = start(&told);
    let mut kept: Vec<Row> = (0..table.rows.len()).map(|k| table.one(&x, k as u32)).collect();
    for step in 0..steps {
        let mut honest = Vec::new();
        for worker in 0..HONEST as u32 {
            let (share, batch) = (told.sampler.share(worker), drawn(&told, worker, step));
            let mut row = scaled(LAMBDA, &x);
            for &sample in share {
                row = add(&row, 1.0 / share.len() as f64, &kept[sample as usize]);
            }
            for &sample in &batch {
                let change = add(&table.one(&x, sample), -1.0, &kept[sample as usize]);
                row = add(&row, 1.0 / batch.len() as f64, &change);
            }
            batch.iter().for_each(|&sample| kept[sample as usize] = table.one(&x, sample));
            honest.push(row);
        }
        x = add(&x, -RATE, &combined(&honest));
    }
    agree(made(), steps, &x);
}

/// STORM at the workers and AnyTime averaging at the server: μ²-SGD.
fn double_momentum(beta: Option<f64>, gamma: Option<f64>) {
    let made = || {
        let text = |name: &str, key: &str, value: Option<f64>| match value {
            Some(value) => format!("{name} {key}={value}"),
            None => name.to_owned(),
        };
        let mut plan = plan(&text("storm", "beta", beta), "none", "with-replacement");
        plan.optimiser.server = ServerOptimiser::parse(&text("anytime", "gamma", gamma)).unwrap();
        plan
    };
    let (told, steps) = (made(), 30);
    let table = Table::of(told.train.as_ref());
    let mut x = start(&told);
    let (mut w, mut before, mut kept) = (x.clone(), x.clone(), vec![Row::new(); HONEST]);
    for step in 0..steps {
        let mut honest = Vec::new();
        for worker in 0..HONEST as u32 {
            let batch = drawn(&told, worker, step);
            let mut d = table.mean(&x, &batch);
            let own = &mut kept[worker as usize];
            if step > 0 {
                let share = 1.0 - beta.unwrap_or(1.0 / (step + 1) as f64);
                d = add(&d, share, &add(own, -1.0, &table.mean(&before, &batch)));
            }
            own.clone_from(&d);
            honest.push(d);
        }
        before.clone_from(&x);
        let t = (step + 1) as f64;
        // The average itself, not its recursion, where the t-th iterate weighs t.
        let weight = if gamma.is_some() { 1.0 } else { t };
        w = add(&w, -RATE * weight, &combined(&honest));
        x = match gamma {
            Some(gamma) => add(&scaled(1.0 - gamma, &x), gamma, &w),
            // (t + 2)·(t + 1)/2 = 1 + … + (t + 1): the start weighs 1, this iterate t + 1.
            None => add(&scaled(t / (t + 2.0), &x), 2.0 / (t + 2.0), &w),
        };
    }
    agree(made(), steps, &x);
}

#[test]
fn storm_corrects_a_momentum_and_anytime_publishes_the_mean_of_iterates() {
    double_momentum(None, None);
    double_momentum(Some(0.25), Some(0.1));
}

#[test]
fn the_bits_hold_over_threads_and_a_pause() {
    for (message, compression) in [
        ("marina p=0.2", "none"),
        ("marina p=0.2", "quantised levels=3"),
        ("saga", "none"),
        ("storm", "none"),
        ("dasha p=0.2", "rand-k keep=0.3"),
        ("dasha p=0.2", "quantised levels=3"),
    ] {
        let made = || {
            let mut plan = plan(message, compression, "shared-pool");
            if message == "storm" {
                plan.optimiser.server = ServerOptimiser::parse("anytime").unwrap();
            }
            plan
        };
        let step = |run: &mut Lockstep, steps: u64| {
            (0..steps).for_each(|_| assert!(run.step().closed.skipped.is_none()));
        };
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut run = Lockstep::new(made()).unwrap();
                step(&mut run, 14);
                run.params().to_vec()
            })
        };
        let bits = on(1);
        assert_eq!((on(2), on(8)), (bits.clone(), bits.clone()), "{message}");
        let mut first = Lockstep::new(made()).unwrap();
        step(&mut first, 6);
        let mut second = Lockstep::new(made()).unwrap();
        second.load(&first.save()).unwrap();
        step(&mut second, 8);
        assert_eq!(second.params(), bits, "{message} after a pause");
    }
}

#[test]
fn what_they_cannot_go_with_is_refused() {
    struct Nameless;
    impl Sampler for Nameless {
        fn draw(&self, _: u32, _: u64, indices: &mut Vec<u32>) {
            *indices = vec![0];
        }

        fn steps_per_epoch(&self) -> f64 {
            1.0
        }
    }
    let refused = |plan: Plan| Lockstep::new(plan).err().unwrap().to_string();
    let error = refused(Plan { sampler: Arc::new(Nameless), ..plan("saga", "none", "epochs") });
    assert!(error.contains("which this sampler does not name"), "{error}");
    for kept in ["ef21 keep=0.1", "top-k keep=0.1"] {
        let error = refused(plan("marina", kept, "epochs"));
        assert!(error.contains("a compressor without memory"), "{error}");
    }
    let mut several = plan("saga", "none", "epochs");
    several.optimiser.local.steps = 2;
    assert!(refused(several).contains("local_steps=1"));
}
