//! Whole trajectories of the methods of rounds beside a slow double-precision replay, written from
//! the formulas of their papers alone: DiLoCo, FedOpt, delayed momentum, EF21 with double momentum,
//! RoSDHB, the normalised step; and that their bits hold.

mod common;

use common::{Four, Points, plan};
use varangian_base::Seed;
use varangian_learn::Sampler;
use varangian_learn::optim::{
    Compression, Inner, Local, Momentum, Optimiser, Placement, ServerOptimiser, shared_mask,
};
use varangian_sim::lockstep::Lockstep;
use varangian_sim::{Hostile, Plan};
use varangian_train::Participation;

const D: usize = 70;
const CURVATURE: f64 = 0.5;
const N: usize = 11;
const F: usize = 3;

type Row = Vec<f64>;

fn gradient(theta: &[f64], worker: u32, draw: u64) -> Row {
    let data = Points::random(100, D);
    let mut indices = Vec::new();
    Four { len: 100 }.draw(worker, draw, &mut indices);
    let mut out = vec![0.0; D];
    for &i in &indices {
        let point = &data.points[i as usize * D..][..D];
        for k in 0..D {
            out[k] += CURVATURE * (theta[k] - f64::from(point[k])) / indices.len() as f64;
        }
    }
    out
}

fn start() -> Row {
    (0..D).map(|k| f64::from(k as f32 / 10.0 - 3.0)).collect()
}

/// x + c·y.
fn add(x: &[f64], c: f64, y: &[f64]) -> Row {
    x.iter().zip(y).map(|(x, y)| x + c * y).collect()
}

fn scaled(c: f64, x: &[f64]) -> Row {
    x.iter().map(|x| c * x).collect()
}

/// mean − 1.5·(sample deviation).
fn alie(honest: &[Row]) -> Row {
    let h = honest.len() as f64;
    let of = |k: usize| {
        let mean = honest.iter().map(|row| row[k]).sum::<f64>() / h;
        let square = honest.iter().map(|row| (row[k] - mean).powi(2)).sum::<f64>();
        mean - 1.5 * (square / (h - 1.0)).sqrt()
    };
    (0..D).map(of).collect()
}

fn trimmed(rows: &[Row]) -> Row {
    let of = |k: usize| {
        let mut column: Vec<f64> = rows.iter().map(|row| row[k]).collect();
        column.sort_by(f64::total_cmp);
        column[F..rows.len() - F].iter().sum::<f64>() / (rows.len() - 2 * F) as f64
    };
    (0..D).map(of).collect()
}

/// Honest rows, then those that ALIE makes of them.
fn attacked(mut honest: Vec<Row>) -> Vec<Row> {
    let forged = alie(&honest);
    honest.extend(std::iter::repeat_n(forged, F));
    honest
}

fn attack() -> Plan {
    plan("trimmed-mean", "alie z=1.5", N, F, Optimiser::sgd(0.1))
}

fn after(plan: Plan, steps: u64) -> Vec<f32> {
    let mut run = Lockstep::new(plan).unwrap();
    for _ in 0..steps {
        let record = run.step();
        assert!(record.closed.skipped.is_none(), "{:?}", record.closed.skipped);
        assert!(record.closed.refused.is_empty());
    }
    run.params().to_vec()
}

#[track_caller]
fn agree(fast: &[f32], slow: &[f64]) {
    let apart: f64 = fast.iter().zip(slow).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
    let error = (apart / slow.iter().map(|x| x * x).sum::<f64>()).sqrt();
    assert!(error < 1e-5, "{error:e}");
}

fn momentum(placement: Placement) -> Momentum {
    Momentum { coefficient: 0.9, dampening: 0.9, nesterov: false, placement }
}

fn diloco(hostile: Hostile) -> Plan {
    let optimiser = Optimiser {
        local: Local { steps: 4, rate: Some(0.05) },
        inner: Inner::parse("adamw weight-decay=0.1").unwrap(),
        server: ServerOptimiser::parse("nesterov momentum=0.9").unwrap(),
        ..Optimiser::sgd(0.7)
    };
    Plan { optimiser, hostile, ..attack() }
}

#[test]
fn diloco_keeps_adamw_at_the_worker_and_steps_by_nesterov() {
    let (steps, mut theta, mut outer) = (15, start(), vec![0.0; D]);
    let mut means = vec![(vec![0.0; D], vec![0.0; D], 0); N - F];
    for step in 0..steps {
        let mut deltas = Vec::new();
        for (id, (m, v, t)) in means.iter_mut().enumerate() {
            let mut point = theta.clone();
            for draw in 4 * step..4 * step + 4 {
                let g = gradient(&point, id as u32, draw);
                *t += 1;
                for k in 0..D {
                    m[k] = 0.9 * m[k] + 0.1 * g[k];
                    v[k] = 0.999 * v[k] + 0.001 * g[k] * g[k];
                    let (m, v) = (m[k] / (1.0 - 0.9f64.powi(*t)), v[k] / (1.0 - 0.999f64.powi(*t)));
                    point[k] = (1.0 - 0.05 * 0.1) * point[k] - 0.05 * m / (v.sqrt() + 1e-8);
                }
            }
            deltas.push(add(&theta, -1.0, &point));
        }
        let delta = trimmed(&attacked(deltas));
        outer = add(&delta, 0.9, &outer);
        theta = add(&theta, -0.7, &add(&delta, 0.9, &outer));
    }
    agree(&after(diloco(Hostile::Last), steps), &theta);
}

#[test]
fn the_outer_nesterov_step_publishes_what_the_look_ahead_does() {
    // Two forms of one recursion: θ here is the look-ahead point there, which workers are sent.
    let ahead = Momentum { nesterov: true, dampening: 0.0, ..momentum(Placement::Update) };
    let other = Optimiser {
        momentum: ahead,
        server: ServerOptimiser::Sgd,
        ..diloco(Hostile::Last).optimiser
    };
    let mut other = Lockstep::new(Plan { optimiser: other, ..diloco(Hostile::Last) }).unwrap();
    let mut run = Lockstep::new(diloco(Hostile::Last)).unwrap();
    for _ in 0..12 {
        run.step();
        other.step();
        let pairs = run.params().iter().zip(other.server().broadcast().params);
        assert!(pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) < 1e-4);
    }
}

#[test]
fn fedopt_steps_adaptively_by_the_movement_of_local_descent() {
    let (steps, mut theta) = (20, start());
    let (mut m, mut v) = (vec![0.0; D], vec![1e-6; D]);
    for step in 0..steps {
        let mut moved = Vec::new();
        for id in 0..(N - F) as u32 {
            let (mut point, mut b) = (theta.clone(), vec![0.0; D]);
            for draw in 3 * step..3 * step + 3 {
                b = add(&gradient(&point, id, draw), 0.5, &b);
                point = add(&point, -0.05, &b);
            }
            moved.push(add(&theta, -1.0, &point));
        }
        let delta = trimmed(&attacked(moved));
        for k in 0..D {
            m[k] = 0.9 * m[k] + 0.1 * delta[k];
            v[k] = 0.99 * v[k] + 0.01 * delta[k] * delta[k];
            theta[k] -= 0.1 * m[k] / (v[k].sqrt() + 1e-3);
        }
    }
    let optimiser = Optimiser {
        local: Local { steps: 3, rate: Some(0.05) },
        inner: Inner::parse("sgd momentum=0.5 keep=false send=movement").unwrap(),
        server: ServerOptimiser::parse("adam").unwrap(),
        ..Optimiser::sgd(0.1)
    };
    agree(&after(Plan { optimiser, ..attack() }, steps), &theta);
}

#[test]
fn fedavg_is_the_mean_of_the_workers_models() {
    let local = Local { steps: 3, rate: Some(0.1) };
    let inner = Inner::parse("sgd send=movement").unwrap();
    let models = Optimiser { local, inner, ..Optimiser::sgd(1.0) };
    let sums = Optimiser { local, ..Optimiser::sgd(0.1) };
    let run = |optimiser| after(plan("average", "none", 5, 0, optimiser), 12);
    let (models, sums) = (run(models), run(sums));
    assert!(models.iter().zip(&sums).all(|(a, b)| (a - b).abs() < 1e-5), "{models:?} {sums:?}");
    let mut theta = start();
    for step in 0..12 {
        let model = |id| {
            let descend = |point: Row, draw| add(&point, -0.1, &gradient(&point, id, draw));
            (3 * step..3 * step + 3).fold(theta.clone(), descend)
        };
        let sum = (0..5).map(model).fold(vec![0.0; D], |sum, row| add(&sum, 1.0, &row));
        theta = scaled(0.2, &sum);
    }
    agree(&models, &theta);
}

fn demoa() -> Plan {
    let participation = Participation::parse("chance p=0.3 cache=true", N, F, 1).unwrap();
    let optimiser = Optimiser { momentum: momentum(Placement::Worker), ..Optimiser::sgd(0.3) };
    Plan { participation, optimiser, ..attack() }
}

#[test]
fn delayed_momentum_combines_the_last_momentum_of_every_worker() {
    let (steps, mut theta) = (40, start());
    let mut kept = vec![vec![0.0; D]; N];
    let some = demoa().participation.unwrap();
    for step in 0..steps {
        let drawn = some.draw(N, Seed(3), step);
        for &id in drawn.iter().filter(|&&id| (id as usize) < N - F) {
            let g = gradient(&theta, id, step);
            kept[id as usize] = add(&scaled(0.1, &g), 0.9, &kept[id as usize]);
        }
        // The adversary sees every momentum that will be combined.
        let forged = alie(&kept[..N - F]);
        for &id in drawn.iter().filter(|&&id| (id as usize) >= N - F) {
            kept[id as usize].clone_from(&forged);
        }
        theta = add(&theta, -0.3, &trimmed(&kept));
    }
    let mut run = Lockstep::new(demoa()).unwrap();
    for _ in 0..steps {
        let closed = run.step().closed;
        assert_eq!((closed.n, closed.f, closed.skipped.is_none()), (N, F, true));
    }
    agree(run.params(), &theta);
}

/// All but the k coordinates of largest absolute value set to 0.
fn top(row: &[f64], k: usize) -> Row {
    let mut sizes: Vec<f64> = row.iter().map(|x| x.abs()).collect();
    sizes.sort_by(|a, b| b.total_cmp(a));
    row.iter().map(|&x| if x.abs() >= sizes[k - 1] { x } else { 0.0 }).collect()
}

fn dm21() -> Plan {
    let optimiser = Optimiser {
        momentum: momentum(Placement::WorkerTwice),
        compression: Compression::parse("ef21 keep=0.2").unwrap(),
        ..Optimiser::sgd(0.3)
    };
    Plan { optimiser, ..attack() }
}

#[test]
fn double_momentum_with_ef21_combines_what_the_server_keeps() {
    let (steps, mut theta, k) = (30, start(), D / 5);
    let (mut v, mut u) = (vec![vec![0.0; D]; N - F], vec![vec![0.0; D]; N - F]);
    let mut kept = vec![vec![0.0; D]; N];
    for step in 0..steps {
        for id in 0..N - F {
            let g = gradient(&theta, id as u32, step);
            v[id] = add(&scaled(0.1, &g), 0.9, &v[id]);
            u[id] = add(&scaled(0.1, &v[id]), 0.9, &u[id]);
            kept[id] = add(&kept[id], 1.0, &top(&add(&u[id], -1.0, &kept[id]), k));
        }
        // The adversary wants ALIE's row kept of it, and its messages are as short.
        let wanted = alie(&kept[..N - F]);
        for row in &mut kept[N - F..] {
            *row = add(row, 1.0, &top(&add(&wanted, -1.0, row), k));
        }
        theta = add(&theta, -0.3, &trimmed(&kept));
    }
    agree(&after(dm21(), steps), &theta);
}

fn rosdhb() -> Plan {
    let optimiser = Optimiser {
        momentum: momentum(Placement::Rows),
        compression: Compression::parse("rand-k keep=0.2 masks=shared").unwrap(),
        ..Optimiser::sgd(0.1)
    };
    Plan { optimiser, ..attack() }
}

#[test]
fn rosdhb_keeps_momenta_of_coordinated_coordinates_at_the_server() {
    let (steps, mut theta, k) = (40, start(), D / 5);
    let mut kept = vec![vec![0.0; D]; N];
    for step in 0..steps {
        let mask = shared_mask(k, D, Seed(3), step);
        let masked = |row: &[f64]| -> Row {
            (0..D).map(|i| if mask.contains(&(i as u32)) { row[i] } else { 0.0 }).collect()
        };
        for id in 0..N - F {
            let sent = scaled(D as f64 / k as f64, &masked(&gradient(&theta, id as u32, step)));
            kept[id] = add(&scaled(0.1, &sent), 0.9, &kept[id]);
        }
        let wanted = alie(&kept[..N - F]);
        for row in &mut kept[N - F..] {
            let message = masked(&scaled(10.0, &add(&wanted, -0.9, row)));
            *row = add(&scaled(0.1, &message), 0.9, row);
        }
        theta = add(&theta, -0.1, &trimmed(&kept));
    }
    agree(&after(rosdhb(), steps), &theta);
}

#[test]
fn the_normalised_step_has_the_length_of_the_rate() {
    let (steps, mut theta) = (30, start());
    let mut own = vec![vec![0.0; D]; N - F];
    for step in 0..steps {
        for (id, v) in own.iter_mut().enumerate() {
            *v = add(&scaled(0.1, &gradient(&theta, id as u32, step)), 0.9, v);
        }
        let v = trimmed(&attacked(own.clone()));
        let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        theta = add(&theta, -0.2 / length, &v);
    }
    let optimiser = Optimiser {
        momentum: momentum(Placement::Worker),
        server: ServerOptimiser::Normalised,
        ..Optimiser::sgd(0.2)
    };
    agree(&after(Plan { optimiser, ..attack() }, steps), &theta);
}

fn scaled_sign(feedback: bool) -> Plan {
    let text = format!("scaled-sign feedback={feedback}");
    let server = ServerOptimiser::parse(&text).unwrap();
    Plan { optimiser: Optimiser { server, ..Optimiser::sgd(0.2) }, ..attack() }
}

#[test]
fn scaled_signs_make_up_for_what_they_left_out() {
    for feedback in [true, false] {
        let (steps, mut theta, mut held) = (40, start(), vec![0.0; D]);
        for step in 0..steps {
            let rows = (0..N - F).map(|id| gradient(&theta, id as u32, step)).collect();
            let whole = add(&trimmed(&attacked(rows)), 1.0, &held);
            let length = whole.iter().map(|x| x.abs()).sum::<f64>() / D as f64;
            let told: Row = whole.iter().map(|x| length * x.signum()).collect();
            if feedback {
                held = add(&whole, -1.0, &told);
            }
            theta = add(&theta, -0.2, &told);
        }
        agree(&after(scaled_sign(feedback), steps), &theta);
    }
    let mut plan = scaled_sign(true);
    plan.optimiser.momentum = momentum(Placement::Update);
    assert!(Lockstep::new(plan).err().unwrap().to_string().contains("scaled-sign"));
}

#[test]
fn the_bits_of_every_method_hold_over_threads_and_a_pause() {
    let normalised = || {
        let mut plan = dm21();
        plan.optimiser.server = ServerOptimiser::Normalised;
        plan.optimiser.compression = Compression::parse("quantised levels=3").unwrap();
        plan
    };
    let flipped = || {
        let attack = varangian_attacks::build("sign-flip").unwrap();
        Plan { attack, ..rosdhb() }
    };
    let signed = || scaled_sign(true);
    let methods: [&(dyn Fn() -> Plan + Sync); 7] =
        [&|| diloco(Hostile::Random), &demoa, &dm21, &rosdhb, &normalised, &flipped, &signed];
    for make in methods {
        let run = |run: &mut Lockstep, steps: u64| {
            (0..steps).for_each(|_| assert!(run.step().closed.skipped.is_none()))
        };
        let whole = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut one = Lockstep::new(make()).unwrap();
                run(&mut one, 14);
                one.params().to_vec()
            })
        };
        let bits = whole(1);
        assert_eq!(bits, whole(2));
        assert_eq!(bits, whole(8));
        let mut first = Lockstep::new(make()).unwrap();
        run(&mut first, 6);
        let mut second = Lockstep::new(make()).unwrap();
        second.load(&first.save()).unwrap();
        run(&mut second, 8);
        assert_eq!(second.params(), bits);
    }
}

#[test]
fn an_attack_that_goes_by_its_own_rows_sees_what_an_honest_worker_would_have() {
    // With one worker each, flipped momenta cancel honest ones of the same data exactly: the mean
    // of a row and its negative. A hostile worker whose own row were that of its forgeries would
    // not find it.
    let run = |placement, compression: &str| {
        let optimiser = Optimiser {
            momentum: momentum(placement),
            compression: Compression::parse(compression).unwrap(),
            ..Optimiser::sgd(0.1)
        };
        let mut run = Lockstep::new(plan("average", "sign-flip", 4, 2, optimiser)).unwrap();
        (0..15).for_each(|_| assert!(run.step().closed.skipped.is_none()));
        run.server().aggregate().iter().map(|x| x.abs()).fold(0.0, f32::max)
    };
    let plain = run(Placement::Worker, "none");
    for (placement, compression) in [
        (Placement::Rows, "none"),
        (Placement::Worker, "ef21 keep=1"),
        (Placement::Rows, "rand-k keep=1"),
    ] {
        let kept = run(placement, compression);
        assert!((kept - plain).abs() < 1e-3 * plain, "{placement:?}: {kept} {plain}");
    }
}

#[test]
fn by_chance_rounds_are_of_any_size_and_too_few_rows_are_skipped() {
    let participation = Participation::parse("chance p=0.2", N, F, 1).unwrap();
    let mut run = Lockstep::new(Plan { participation, ..attack() }).unwrap();
    let (mut sizes, mut skipped) = ([0; N + 1], 0);
    for _ in 0..200 {
        let record = run.step();
        let closed = record.closed;
        sizes[closed.n] += 1;
        assert_eq!(closed.f, (closed.n * F).div_ceil(N));
        assert_eq!(closed.skipped.is_some(), closed.n < 2 * closed.f + 1);
        skipped += u64::from(closed.skipped.is_some());
    }
    assert!(sizes[0] > 3 && sizes[4] > 10 && skipped > 20, "{sizes:?} {skipped}");
    assert!(run.params().iter().all(|x| x.is_finite()));
}

#[test]
fn what_keeps_rows_of_all_workers_refuses_what_does_not_go_with_it() {
    let refused = |plan: Plan| Lockstep::new(plan).err().unwrap().to_string();
    let sample = Some(Participation::of(7, 2));
    for (make, key) in [(dm21 as fn() -> Plan, "compression=ef21"), (rosdhb, "momentum_at=rows")] {
        let plan = Plan { participation: sample, ..make() };
        let error = refused(plan);
        assert!(error.starts_with(key) && error.contains("cache=true"), "{error}");
        assert!(refused(Plan { study: Some(1), ..make() }).contains(key));
    }
    let mut plan = dm21();
    plan.optimiser.momentum.placement = Placement::Rows;
    assert!(refused(plan).contains("a momentum of them"));
    let mut plan = rosdhb();
    plan.optimiser.momentum.nesterov = true;
    assert!(refused(plan).contains("no look-ahead point"));
    let mut plan = demoa();
    plan.optimiser.message = varangian_learn::optim::Message::parse("sign").unwrap();
    assert!(refused(plan).contains("keeps rows of numbers"));
    let mut plan = diloco(Hostile::Last);
    plan.optimiser.momentum = momentum(Placement::Update);
    assert!(refused(plan).contains("server_optimiser=nesterov"));
    assert!(varangian_train::Queue::check(&dm21().optimiser).is_err());
    assert!(varangian_train::Queue::check(&rosdhb().optimiser).is_err());
}
