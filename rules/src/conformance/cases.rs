//! Every entry against its slow reference in f64, over all families.

use super::families::FAMILIES;
use super::{answer, truth, wide};
use crate::conformance::mean;
use crate::*;
use varangian_base::{Domain, Seed};

type Reference = fn(&[Vec<f64>], usize) -> Vec<f64>;

/// Specifications and their references.
pub(super) const CASES: &[(&str, Reference)] = &[
    ("average", |x, _| average::reference(x)),
    ("sum", |x, _| sum::reference(x)),
    ("majority", |x, _| majority::reference(x, 0.0)),
    ("majority ties=plus-one", |x, _| majority::reference(x, 1.0)),
    ("majority ties=plus-one", |x, _| majority::reference(x, 1.0)),
    ("median", |x, _| median::reference(x, false)),
    ("median middle=lower", |x, _| median::reference(x, true)),
    ("trimmed-mean", trimmed_mean::reference),
    ("phocas", |x, f| phocas::reference(x, x.len() - f, &trimmed_mean::reference(x, f))),
    ("meamed", |x, f| phocas::reference(x, x.len() - f, &median::reference(x, false))),
    ("meamed middle=lower", |x, f| phocas::reference(x, x.len() - f, &median::reference(x, true))),
    ("krum", |x, f| krum::reference(x, x.len() - f - 2, false, 1)),
    ("krum variant=byzfl", |x, f| krum::reference(x, x.len() - f - 1, false, 1)),
    ("krum variant=distributed-momentum", |x, f| krum::reference(x, x.len() - f - 1, true, 1)),
    ("multi-krum", |x, f| krum::reference(x, x.len() - f - 2, false, x.len() - f - 2)),
    ("multi-krum m=1 variant=byzfl", |x, f| krum::reference(x, x.len() - f - 1, false, 1)),
    ("multi-krum variant=byzfl", |x, f| krum::reference(x, x.len() - f - 1, false, x.len() - f)),
    ("multi-krum variant=distributed-momentum", |x, f| {
        krum::reference(x, x.len() - f - 1, true, x.len() - f - 2)
    }),
    ("bulyan", |x, f| bulyan::reference(x, f, 0)),
    ("bulyan variant=classic", |x, f| bulyan::reference(x, f, 1)),
    ("bulyan variant=reference", |x, f| bulyan::reference(x, f, 2)),
    ("centred-clipping", |x, _| centred_clipping::reference(x, vec![0.0; x[0].len()], Err(0.5), 1)),
    ("centred-clipping tau=2 L=3", |x, _| {
        centred_clipping::reference(x, vec![0.0; x[0].len()], Ok(2.0), 3)
    }),
    ("centred-clipping start=median quantile=0.7 L=2", |x, _| {
        centred_clipping::reference(x, median::reference(x, false), Err(0.7), 2)
    }),
    ("mda", mda::reference),
    ("smea", smea::reference),
    ("caf", caf::reference),
    ("dnc", dnc::reference),
    ("faba", faba::reference),
    ("aksel", |x, _| ctma::reference(x, x.len().div_ceil(2), &median::reference(x, false))),
    ("aksel mode=n-f middle=lower", |x, f| {
        ctma::reference(x, x.len() - f, &median::reference(x, true))
    }),
    ("cge", cge::reference),
    ("monna", |x, f| ctma::reference(x, x.len() - f, &x[0])),
    ("monna pivot=2", |x, f| ctma::reference(x, x.len() - f, &x[if x.len() > 2 { 2 } else { 0 }])),
    ("rfa", |x, _| rfa::reference(x, median::reference(x, false), 3, 1e-6)),
    ("rfa T=5 nu=0.1 start=mean", |x, _| rfa::reference(x, mean(x.iter()), 5, 0.1)),
    ("rfa T=3 nu=0.1 start=zero", |x, _| rfa::reference(x, vec![0.0; x[0].len()], 3, 0.1)),
    ("fltrust", |x, _| {
        let root: Vec<f64> = (0..x[0].len()).map(|k| f64::from(truth(k))).collect();
        fltrust::reference(x, &root)
    }),
    ("nnm | average", |x, f| mean(nnm::reference(x, f).iter())),
    ("nnm | trimmed-mean", |x, f| trimmed_mean::reference(&nnm::reference(x, f), f)),
    ("nnm | krum", |x, f| krum::reference(&nnm::reference(x, f), x.len() - f - 2, false, 1)),
    ("bucketing s=2 order=given | median", |x, _| {
        median::reference(&bucketing::reference(x, 2), false)
    }),
    ("bucketing s=3 | median", |x, _| {
        median::reference(&bucketing::reference(&shuffled(x), 3), false)
    }),
    ("clipping c=1.5 | average", |x, f| mean(clipping::reference(x, f, Some(1.5)).iter())),
    ("arc | average", |x, f| mean(clipping::reference(x, f, None).iter())),
    ("arc | trimmed-mean", |x, f| trimmed_mean::reference(&clipping::reference(x, f, None), f)),
    ("clipping c=1.5 | krum", |x, f| {
        krum::reference(&clipping::reference(x, f, Some(1.5)), x.len() - f - 2, false, 1)
    }),
    ("arc | nnm | trimmed-mean | ctma", |x, f| {
        let mixed = nnm::reference(&clipping::reference(x, f, None), f);
        ctma::reference(&mixed, x.len() - f, &trimmed_mean::reference(&mixed, f))
    }),
    ("nnm | arc | median", |x, f| {
        median::reference(&clipping::reference(&nnm::reference(x, f), f, None), false)
    }),
    ("bucketing s=2 order=given | clipping c=2 | trimmed-mean", |x, f| {
        trimmed_mean::reference(&clipping::reference(&bucketing::reference(x, 2), f, Some(2.0)), f)
    }),
    ("arc | centred-clipping tau=2 L=3", |x, f| {
        let mixed = clipping::reference(x, f, None);
        centred_clipping::reference(&mixed, vec![0.0; x[0].len()], Ok(2.0), 3)
    }),
    ("median | ctma", |x, f| ctma::reference(x, x.len() - f, &median::reference(x, false))),
    ("nnm | median | ctma", |x, f| {
        let mixed = nnm::reference(x, f);
        ctma::reference(&mixed, x.len() - f, &median::reference(&mixed, false))
    }),
];

/// Entries that cannot be compared coordinate by coordinate, and the test that holds them instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("geometric-median", "geometric_median::tests"),
    ("zeno", "zeno::tests"),
    ("safeguard", "safeguard::tests"),
    ("single-safeguard", "safeguard::tests"),
];

/// Families on which a formula leaves the answer open: rows that are equally far along the top
/// singular vector in exact arithmetic are told apart by rounding, and so are mixed rows that
/// differ by less than the least float.
const OPEN: &[(&str, &str)] = &[("dnc", "ties"), ("arc | nnm | trimmed-mean | ctma", "denormal")];

/// The order in which bucketing takes the rows at seed 0, step 0.
fn shuffled(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    Seed(0).stream(Domain::Rule, 0, 0).shuffle(&mut order);
    order.iter().map(|&i| rows[i].clone()).collect()
}

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
        let enumerated = spec == "mda" || spec == "smea";
        let small = n <= 12 && d <= 7;
        Pipeline::parse(spec).unwrap().check(n, f).is_ok() && (small || !enumerated)
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

#[test]
fn every_rule_agrees_with_its_reference_on_every_family() {
    for (spec, reference) in CASES {
        for (n, f, d) in shapes(spec) {
            for (lane, (family, generate)) in FAMILIES.iter().enumerate() {
                if OPEN.contains(&(spec, family)) {
                    continue;
                }
                let matrix = generate(n, d, (lane * 100 + n + d) as u64);
                let (out, _) = answer(spec, matrix.rows(), f);
                let rows = wide(matrix.rows());
                let expected = reference(&rows, f);
                for k in 0..d {
                    let difference = (f64::from(out[k]) - expected[k]).abs();
                    assert!(
                        difference <= allowed(&rows, f, &expected, k),
                        "{spec} on {family}, n = {n}, f = {f}, d = {d}: coordinate {k} is {} and should be {}",
                        out[k],
                        expected[k]
                    );
                }
            }
        }
    }
}

#[test]
fn every_entry_has_a_case() {
    for entry in ALL {
        let known = CASES.iter().any(|(spec, _)| spec.split_whitespace().any(|w| w == entry.name))
            || ELSEWHERE.iter().any(|(name, _)| *name == entry.name);
        assert!(known, "{} has no reference", entry.name);
    }
}
