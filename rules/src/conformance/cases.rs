//! Every entry against its exact path in f64, over all families.

use super::families::FAMILIES;
use super::{answer, exactly, truth, wide};
use crate::*;

type Reference = fn(&[Vec<f64>], usize) -> Vec<f64>;

/// Specifications that are held against their exact path.
pub(super) const CASES: &[&str] = &[
    "average",
    "sum",
    "majority",
    "majority ties=plus-one",
    "majority ties=random",
    "majority margin=2",
    "median",
    "median middle=lower",
    "median middle=upper",
    "trimmed-mean",
    "trimmed-mean beta=0.2",
    "trimmed-mean beta=0.4",
    "phocas",
    "meamed",
    "meamed middle=lower",
    "krum",
    "krum variant=byzfl",
    "krum variant=distributed-momentum",
    "krum variant=bucketing",
    "krum below-bound=allow",
    "krum variant=byzfl below-bound=allow",
    "multi-krum variant=distributed-momentum below-bound=allow",
    "multi-krum below-bound=allow",
    "multi-krum",
    "multi-krum m=2",
    "multi-krum m=1 variant=byzfl",
    "multi-krum variant=byzfl",
    "multi-krum variant=distributed-momentum",
    "bulyan",
    "bulyan m=1",
    "bulyan variant=classic",
    "bulyan variant=reference",
    "bulyan variant=reference m=1",
    "bulyan variant=one-shot",
    "centred-clipping",
    "centred-clipping tau=2 L=3",
    "centred-clipping start=median quantile=0.7 L=2",
    "centred-clipping start=mean",
    "centred-clipping start=mean tau=2 L=3",
    "centred-clipping start=zero L=2",
    "sequential-clipping",
    "sequential-clipping tau=2 s=2",
    "mda",
    "smea",
    "caf",
    "caf variant=byzfl",
    "dnc",
    "dnc T=2 b=5",
    "dnc b=3 c=0.5",
    "faba",
    "aksel",
    "aksel mode=n-f middle=lower",
    "cge",
    "signguard",
    "signguard share=1 bandwidth=0.3",
    "fedseca",
    "fedseca gamma=0.3",
    "lasa",
    "lasa keep=0.4 norm=1.3 sign=1.1",
    "per-block length=4 | lasa keep=0.5",
    "gas",
    "gas p=3 base=krum",
    "gas p=2 base=trimmed-mean",
    "monna",
    "monna pivot=2",
    "rfa",
    "rfa T=5 nu=0.1 start=mean",
    "rfa T=3 nu=0.1 start=zero",
    "safeguard",
    "safeguard t0=2",
    STRICT,
    FIXED,
    "safeguard mode=theory v=0.01 norm=unnormalised drop-immediately=true",
    "safeguard mode=calibrated",
    "single-safeguard",
    "single-safeguard mode=fixed th=0.2 drop-immediately=true nu=0.01",
    "byzantine-sgd",
    "byzantine-sgd v=3 times=1",
    "byzantine-sgd v=2 divide=good",
    "rsa",
    "rsa lambda=3",
    "draco",
    "draco r=5",
    "draco-cyclic",
    "draco-cyclic r=5",
    "reactive",
    "reactive chance=1 r=5",
    "nnm | average",
    "nnm | trimmed-mean",
    "nnm | krum",
    "bucketing s=2 order=given | median",
    "bucketing s=3 | median",
    "bucketing | nnm | multi-krum",
    "clipping c=1.5 | average",
    "clipping c=median | average",
    "clipping c=median | nnm | trimmed-mean",
    "per-block length=3 | clipping c=median | average",
    "per-block length=2 | nnm | krum",
    "per-block length=5 | bucketing s=2 | median",
    "per-block length=1 | mda",
    "foundation | median",
    "foundation m=2 | trimmed-mean",
    "exclusion | average",
    "exclusion c=1.5 | krum",
    "nnm | exclusion c=1 | trimmed-mean",
    "exclusion c=2 | bucketing s=2 order=given | median | ctma",
    "arc | average",
    "arc | trimmed-mean",
    "clipping c=1.5 | krum",
    "arc | nnm | trimmed-mean | ctma",
    "nnm | arc | median",
    "bucketing s=2 order=given | clipping c=2 | trimmed-mean",
    "arc | centred-clipping tau=2 L=3",
    "average | ctma",
    "median | ctma",
    "nnm | median | ctma",
    "nnm | caf | ctma",
];

/// Rules whose exact path searches or decomposes as the kernel's does, and plainer references: by
/// enumeration, by full decompositions in d dimensions.
const PLAIN: &[(&str, Reference)] = &[
    ("majority", |x, _| majority::reference(x, 0.0)),
    ("majority ties=plus-one", |x, _| majority::reference(x, 1.0)),
    ("mda", mda::reference),
    ("smea", smea::reference),
    ("caf", |x, f| caf::reference(x, f, false)),
    ("caf variant=byzfl", |x, f| caf::reference(x, f, true)),
    ("dnc", dnc::reference),
    ("faba", faba::reference),
    ("fltrust", |x, _| {
        let root: Vec<f64> = (0..x[0].len()).map(|k| f64::from(truth(k))).collect();
        fltrust::reference(x, &root)
    }),
];

/// Entries that cannot be compared coordinate by coordinate, and the test that holds them instead.
const ELSEWHERE: &[(&str, &str)] =
    &[("geometric-median", "geometric_median::tests"), ("zeno", "zeno::tests")];

/// Families on which a formula leaves the answer open, as rounding decides: rows that are equally
/// far along the top singular vector in exact arithmetic; mixed rows that differ by less than the
/// least float; rows that are equally far from a mean, or exactly at a threshold, of which the
/// kernels keep a float and the exact path a double.
const OPEN: &[(&str, &[&str])] = &[
    ("dnc", &["ties"]),
    ("dnc T=2 b=5", &["ties", "duplicates"]),
    ("dnc b=3 c=0.5", &["ties", "duplicates"]),
    ("arc | nnm | trimmed-mean | ctma", &["denormal"]),
    ("clipping c=median | nnm | trimmed-mean", &["denormal"]),
    ("average | ctma", &["ties", "largest"]),
    (STRICT, &["ties", "collinear", "denormal"]),
    (FIXED, &["ties", "collinear"]),
    ("single-safeguard mode=fixed th=0.2 drop-immediately=true nu=0.01", &["ties"]),
];

/// Safeguards that judge in their first round.
const STRICT: &str = "safeguard t0=3 patience=0 mult=0.7 drop-immediately=true";
const FIXED: &str = "safeguard mode=fixed th0=0.3 th1=0.4 drop-immediately=true";

/// (n, f, d): the bound of `spec` for f = 0, 1, 2, and roomier shapes.
fn shapes(spec: &str) -> Vec<(usize, usize, usize)> {
    let least = |f| Pipeline::parse(spec).unwrap().least(f);
    let mut shapes = vec![(7, 0, 3), (11, 2, 1), (12, 2, 7), (25, 5, 33)];
    for f in [0, 1, 2] {
        for d in [1, 2, 40] {
            shapes.extend(least(f).map(|n| (n, f, d)));
        }
    }
    shapes.retain(|&(n, f, d)| {
        let slow = ["mda", "smea", "caf variant=byzfl"].contains(&spec);
        let small = n <= 12 && d <= 7;
        build(spec, n, f).is_ok() && (small || !slow)
    });
    shapes
}

/// Differences allowed in coordinate k: rounding of the answer and of mixed rows to f32, and of the
/// sums over the rows in f64.
fn allowed(rows: &[Vec<f64>], f: usize, expected: &[f64], k: usize) -> f64 {
    let size = |x: &Vec<f64>| x.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    let mut sizes: Vec<f64> = rows.iter().map(size).collect();
    sizes.sort_by(f64::total_cmp);
    let (typical, largest) = (sizes[sizes.len().saturating_sub(1 + f)], sizes[sizes.len() - 1]);
    2e-7 * expected[k].abs() + 1e-7 * typical + 1e-13 * largest + f64::from(f32::from_bits(2))
}

/// Compares the kernels' answers to what `expected` says, over all shapes and families.
fn compare(spec: &str, expected: impl Fn(&[Vec<f64>], usize) -> Vec<f64>) {
    for (n, f, d) in shapes(spec) {
        for (lane, (family, generate)) in FAMILIES.iter().enumerate() {
            if OPEN.iter().any(|(of, open)| *of == spec && open.contains(family)) {
                continue;
            }
            let matrix = generate(n, d, (lane * 100 + n + d) as u64);
            let (out, _) = answer(spec, matrix.rows(), f);
            let rows = wide(matrix.rows());
            // Only a sum leaves the range of the rows, and stops at the largest float.
            let reach = |x: f64| x.clamp(f64::from(f32::MIN), f64::from(f32::MAX));
            let expected: Vec<f64> = expected(&rows, f).into_iter().map(reach).collect();
            for k in 0..d {
                let difference = (f64::from(out[k]) - expected[k]).abs();
                assert!(
                    difference <= allowed(&rows, f, &expected, k),
                    "{spec} on {family}, n = {n}, f = {f}, d = {d}: \
                     coordinate {k} is {} and should be {}",
                    out[k],
                    expected[k]
                );
            }
        }
    }
}

#[test]
fn every_rule_agrees_with_its_exact_path_on_every_family() {
    for spec in CASES {
        compare(spec, |rows, f| exactly(spec, rows, f).0);
    }
}

#[test]
fn the_exact_path_gives_the_verdict_of_the_kernels() {
    for spec in CASES {
        for (n, f, d) in shapes(spec) {
            let matrix = super::families::random(n, d, (n + d) as u64);
            let (_, kernels) = answer(spec, matrix.rows(), f);
            let (_, exact) = exactly(spec, &wide(matrix.rows()), f);
            assert_eq!(exact.weights.len(), kernels.weights.len(), "{spec}");
            for (a, b) in exact.weights.iter().zip(&kernels.weights) {
                assert!((a - b).abs() < 1e-6, "{spec}, n = {n}, f = {f}, d = {d}: {a}, not {b}");
            }
            assert_eq!((exact.expelled, exact.event), (kernels.expelled, kernels.event), "{spec}");
        }
    }
}

#[test]
fn rules_that_search_agree_with_plain_references_on_every_family() {
    for (spec, reference) in PLAIN {
        compare(spec, reference);
    }
}

#[test]
fn every_entry_has_a_case() {
    for entry in ALL {
        let names = |spec: &str| spec.split_whitespace().any(|word| word == entry.name);
        let known = CASES.iter().any(|spec| names(spec))
            || PLAIN.iter().any(|(spec, _)| names(spec))
            || ELSEWHERE.iter().any(|(name, _)| *name == entry.name);
        assert!(
            known,
            "{} has no line in CASES of rules/src/conformance/cases.rs, which holds it against \
             its exact path",
            entry.name
        );
    }
}
