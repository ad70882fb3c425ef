//! What every attack is held to: rounds of all shapes and sizes, with what it does not see taken
//! away.
//!
//! [`check`] tries an attack from anywhere, and says what failed:
//!
//! ```
//! use varangian_attacks::{ALL, build, conformance};
//! let alie = ALL.iter().find(|entry| entry.name == "alie").unwrap();
//! let report = conformance::check(|| build("alie").unwrap(), &alie.facts);
//! assert!(report.passed(), "{report}");
//! assert!(report.tried.contains(&"reads"));
//! ```

use crate::scene::{Rule, Scene};
use crate::{Attack, AttackFacts, Labels, Sees};
use varangian_base::{Domain, Matrix, Report, Seed};

type Outcome = Result<(), String>;

/// Tries the attack that `make` makes, afresh for each trial: rows that are finite whatever the
/// honest ones are (unless its facts say that it is wild), nothing read beyond what it says, labels
/// within their classes, forks and saved memory, the same bits at any number of threads, and
/// rounds of one hostile and one honest worker. A panic is a failure of that check.
///
/// Cost: some hundred calls on a few rows, and two on 7 rows of 40,000.
pub fn check(make: impl Fn() -> Box<dyn Attack>, facts: &AttackFacts) -> Report {
    let make: &dyn Fn() -> Box<dyn Attack> = &make;
    let mut report = Report::default();
    report.run("finite", || if facts.wild { tame(make) } else { finite(make) });
    report.run("reads", || reads(make));
    report.run("labels", || labels(make, facts.poisons));
    report.run("memory", || memory(make));
    report.run("threads", || threads(make));
    report
}

fn bits(rows: &[Vec<f32>]) -> Vec<Vec<u32>> {
    rows.iter().map(|row| row.iter().map(|x| x.to_bits()).collect()).collect()
}

/// A round with the rule that the attack may see.
fn scene(attack: &dyn Attack, (h, f, d): (usize, usize, usize), seed: u64) -> Scene {
    let rule = if attack.sees().rule { Rule::Median } else { Rule::None };
    Scene { rule, ..Scene::random(h, f, d, seed) }
}

/// Honest and hostile workers, and coordinates of rows.
const SHAPES: [(usize, usize, usize); 6] =
    [(1, 1, 5), (2, 1, 1), (2, 2, 5), (4, 3, 5), (9, 3, 40), (9, 3, 1)];

/// What is done to the honest rows, by name.
const FAMILIES: [(&str, fn(&mut f32)); 7] = [
    ("normal rows", |_| {}),
    ("zeros", |x| *x = 0.0),
    ("equal rows", |x| *x = 1.5),
    ("rows of 1e30", |x| *x *= 1e30),
    ("rows of 1e-38", |x| *x *= 1e-38),
    ("rows of 3.4e38", |x| *x = 3.4e38),
    ("rows of ±3.4e38", |x| *x = x.signum() * 3.4e38),
];

/// Every row is finite, in every round whose workers are enough.
fn finite(make: &dyn Fn() -> Box<dyn Attack>) -> Outcome {
    for (name, change) in FAMILIES {
        for shape in SHAPES {
            let Some(rows) = forged(make, shape, change)? else { continue };
            if let Some(x) = rows.iter().flatten().find(|x| !x.is_finite()) {
                return Err(format!("h, f, d = {shape:?}, {name}: it sent {x}"));
            }
        }
    }
    Ok(())
}

/// Nothing but a panic is a fault of who may send anything.
fn tame(make: &dyn Fn() -> Box<dyn Attack>) -> Outcome {
    for (_, change) in FAMILIES {
        SHAPES.iter().try_for_each(|&shape| forged(make, shape, change).map(|_| ()))?;
    }
    Ok(())
}

/// Three rounds of this shape; nothing where the workers are not enough for the attack.
fn forged(
    make: &dyn Fn() -> Box<dyn Attack>,
    shape: (usize, usize, usize),
    change: fn(&mut f32),
) -> Result<Option<Vec<Vec<f32>>>, String> {
    let (h, f, _) = shape;
    let mut attack = make();
    if let Err(condition) = attack.check(h, f, f) {
        return match condition.trim() {
            "" => Err(format!("h = {h}, f = {f}: it refuses and does not say what it needs")),
            _ => Ok(None),
        };
    }
    let mut rows = Vec::new();
    for step in 0..3 {
        let mut scene = scene(attack.as_ref(), shape, 8 + step);
        scene.step = step;
        for rows in [&mut scene.honest, &mut scene.own] {
            rows.rows_mut().iter_mut().for_each(|row| row.iter_mut().for_each(change));
        }
        rows = scene.forge(attack.as_mut());
    }
    Ok(Some(rows))
}

/// Replaces what is not seen by NaN and the rule by one that panics.
fn blind(scene: &mut Scene, sees: Sees) {
    let spoil = |rows: &mut Matrix| rows.rows_mut().iter_mut().for_each(|x| x.fill(f32::NAN));
    if !sees.own {
        spoil(&mut scene.own);
    }
    if !sees.honest {
        spoil(&mut scene.honest);
    }
    if !sees.server {
        scene.previous.fill(f32::NAN);
        scene.momentum.fill(f32::NAN);
    }
    scene.rule = if sees.rule { Rule::Median } else { Rule::None };
}

/// It sends the same whatever stands where it says that it does not look, and does so again.
fn reads(make: &dyn Fn() -> Box<dyn Attack>) -> Outcome {
    let (mut open, mut closed) = (make(), make());
    let sees = open.sees();
    if open.check(9, 3, 3).is_err() {
        return Ok(());
    }
    for step in 0..4 {
        let mut scene = Scene::random(9, 3, 40, 1 + step);
        (scene.step, scene.rule) = (step, Rule::Median);
        let sent = scene.forge(open.as_mut());
        blind(&mut scene, sees);
        if bits(&sent) != bits(&scene.forge(closed.as_mut())) {
            return Err(format!("at step {step} it read more than it says: {sees:?}"));
        }
    }
    Ok(())
}

/// Labels stay below the number of classes, and as they are where the attack leaves them alone.
fn labels(make: &dyn Fn() -> Box<dyn Attack>, poisons: bool) -> Outcome {
    let attack = make();
    for classes in [2, 10] {
        let before: Vec<u32> = (0..40).map(|i| i % classes).collect();
        for step in 0..3 {
            let mut after = before.clone();
            let labels = Labels { labels: &mut after, classes, hostile: 1, of: 2, step };
            attack.poison(labels, &mut Seed(4).stream(Domain::Attack, 1, step));
            if let Some(label) = after.iter().find(|&&label| label >= classes) {
                return Err(format!("a label became {label}; there are {classes} classes"));
            }
            if !poisons && after != before {
                return Err("it changed labels; its facts say that it leaves them alone".into());
            }
        }
    }
    Ok(())
}

/// A fork, and one that loads what was saved, go on as the first does.
fn memory(make: &dyn Fn() -> Box<dyn Attack>) -> Outcome {
    let mut first = make();
    if first.check(9, 3, 3).is_err() {
        return Ok(());
    }
    let at = |attack: &mut dyn Attack, step: u64| {
        let mut scene = scene(attack, (9, 3, 40), 1 + step);
        scene.step = step;
        bits(&scene.forge(attack))
    };
    for step in 0..3 {
        at(first.as_mut(), step);
    }
    let (mut fork, mut loaded) = (first.fork(), make());
    loaded.load(&first.save()).map_err(|error| error.to_string())?;
    for step in 3..6 {
        let sent = at(first.as_mut(), step);
        for (who, other) in [("a fork", &mut fork), ("what was saved", &mut loaded)] {
            if at(other.as_mut(), step) != sent {
                return Err(format!("{who} goes on otherwise at step {step}"));
            }
        }
    }
    Ok(())
}

/// The same bits on one thread and on three.
fn threads(make: &dyn Fn() -> Box<dyn Attack>) -> Outcome {
    if make().check(5, 2, 2).is_err() {
        return Ok(());
    }
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| error.to_string())?;
        let mut attack = make();
        let mut scene = scene(attack.as_ref(), (5, 2, 40_000), 3);
        Ok::<_, String>(pool.install(move || bits(&scene.forge(attack.as_mut()))))
    };
    match run(1)? == run(3)? {
        true => Ok(()),
        false => Err("three threads send other bits than one".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::forge_wide;
    use crate::{ALL, View, build};
    use varangian_base::kernels::norms;
    use varangian_base::{RowsMut, Stream};

    /// Every entry by its name, and specifications that make it see more or otherwise.
    fn specs() -> Vec<String> {
        let more = [
            "sign-flip of=mean",
            "sign-flip of=first",
            "sign-flip of=sum",
            "gaussian around=own",
            "non-finite every=2",
            "alie knowledge=own",
            "alie search=on",
            "alie search=reference knowledge=own",
            "alie search=byzfl sign=positive",
            "ipm search=on",
            "empire search=reference",
            "ipm search=byzfl",
            "alie start=1",
            "alie start=2 knowledge=own",
            "bit-flip of=first rate=0.1",
            "mimic warmup=2",
            "mimic target=3",
            "min-max direction=unit",
            "min-sum direction=sign",
            "min-sum limit=min",
            "fang against=krum",
            "fang against=krum centre=mean",
            "fang knowledge=own",
            "single-coordinate search=on",
            "delayed-gradient delay=2",
            "stale-signs delay=2",
            "time-coupled-alie sides=first",
            "poisoned-fl period=1",
            "kill zero-start=text by=one",
            "worst budget=10 objective=inner-product",
            "worst budget=10 objective=drift",
            "worst budget=10 objective=loss",
            "mixed groups=\"2 delayed-gradient delay=1; * mimic warmup=2\"",
            "mixed groups=\"2 alie search=on; 1 gaussian\"",
            "alie jitter=0.01",
        ];
        ALL.iter().map(|entry| entry.name).chain(more).map(str::to_owned).collect()
    }

    #[test]
    fn every_attack_holds_to_the_suite() {
        for spec in specs() {
            let name = spec.split(' ').next().unwrap();
            let entry = ALL.iter().find(|entry| entry.name == name).unwrap();
            let report = check(|| build(&spec).unwrap(), &entry.facts);
            assert!(report.passed(), "{spec}: {report}");
        }
        for entry in ALL {
            assert_eq!(entry.facts.sees, build(entry.name).unwrap().sees(), "{}", entry.name);
        }
    }

    /// Each kind of fault that the suite is there to find.
    #[derive(Clone)]
    enum Faulty {
        Looks,
        Breaks,
        Forgets(u64),
        Mislabels,
        Panics,
    }

    impl Attack for Faulty {
        fn poison(&self, labels: Labels<'_>, _: &mut Stream) {
            if matches!(self, Faulty::Mislabels) {
                labels.labels[0] = labels.classes;
            }
        }

        fn forge(&mut self, view: &mut View<'_>, mut out: RowsMut<'_>) {
            let x = match self {
                Faulty::Looks => view.honest.row(0)[0],
                Faulty::Breaks => view.own.row_sum() * 1e30,
                Faulty::Forgets(calls) => {
                    *calls += 1;
                    *calls as f32
                }
                Faulty::Mislabels => 0.0,
                Faulty::Panics => panic!("on purpose"),
            };
            out.iter_mut().for_each(|row| row.fill(x));
        }

        fn sees(&self) -> Sees {
            Sees::OWN
        }

        fn fork(&self) -> Box<dyn Attack> {
            Box::new(match self {
                Faulty::Forgets(_) => Faulty::Forgets(0),
                other => other.clone(),
            })
        }
    }

    trait RowSum {
        fn row_sum(&self) -> f32;
    }

    impl RowSum for varangian_base::Rows<'_> {
        fn row_sum(&self) -> f32 {
            self.row(0).iter().sum()
        }
    }

    #[test]
    fn each_fault_is_found_by_its_check() {
        let facts = AttackFacts::reads(Sees::OWN);
        let failed = |attack: Faulty| -> Vec<&'static str> {
            let report = check(|| Box::new(attack.clone()), &facts);
            report.failures.iter().map(|failure| failure.check).collect()
        };
        assert_eq!(failed(Faulty::Looks), ["reads"]);
        assert_eq!(failed(Faulty::Breaks), ["finite"]);
        assert_eq!(failed(Faulty::Forgets(0)), ["memory"]);
        assert_eq!(failed(Faulty::Mislabels), ["labels"]);
        assert_eq!(failed(Faulty::Panics), ["finite", "reads", "memory", "threads"]);
    }

    #[test]
    fn jitter_separates_copies_by_little() {
        let plain = forge_wide("alie z=1", 6, 3, 1000);
        let rows = forge_wide("alie z=1 jitter=0.01", 6, 3, 1000);
        for (i, row) in rows.iter().enumerate() {
            assert_ne!(row, &rows[(i + 1) % 3]);
            let relative = norms::distance2(row, &plain[0]) / norms::norm2(&plain[0]);
            assert!((0.8e-4..1.2e-4).contains(&relative), "{relative}");
        }
        assert_eq!(forge_wide("alie start=1", 6, 3, 50), forge_wide("none", 6, 3, 50));
    }
}
