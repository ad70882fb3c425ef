//! Pipelines on rows of more columns than one window of mixed rows: stages in any order, odd
//! lengths, every instruction set.

use super::families::random;
use super::machinery::specs;
use super::{answer, wide};
use crate::{Pipeline, bucketing, clipping, nnm};
use varangian_base::Matrix;
use varangian_base::kernels::isa::{self, Isa};

type Stage = fn(&[Vec<f64>], usize) -> Vec<Vec<f64>>;

/// Stages and their references.
const STAGES: &[(&str, Stage)] = &[
    ("nnm", nnm::reference),
    ("arc", |x, f| clipping::reference(x, f, None)),
    ("clipping c=30", |x, f| clipping::reference(x, f, Some(30.0))),
    ("bucketing s=2 order=given", |x, _| bucketing::reference(x, 2)),
];

#[test]
fn stages_in_any_order_are_those_one_after_the_other() {
    let (n, f) = (17, 2);
    for (d, lane) in [(1, 0), (1023, 1), (2051, 2)] {
        let rows = random(n, d, lane);
        for (first, make_first) in STAGES {
            for (second, make_second) in STAGES {
                let mixed = make_second(&make_first(&wide(rows.rows()), f), f);
                let narrow: Vec<Vec<f32>> =
                    mixed.iter().map(|row| row.iter().map(|&x| x as f32).collect()).collect();
                let mixed = Matrix::from_rows(&narrow);
                for rule in ["average", "median", "krum", "phocas", "monna", "centred-clipping L=3"]
                {
                    if Pipeline::parse(rule).unwrap().check(mixed.n(), f).is_err() {
                        continue;
                    }
                    let spec = format!("{first} | {second} | {rule}");
                    let expected = answer(rule, mixed.rows(), f).0;
                    let found = answer(&spec, rows.rows(), f).0;
                    for (k, (x, y)) in found.iter().zip(&expected).enumerate() {
                        assert!((x - y).abs() <= 1e-5, "{spec}, d = {d}, {k}: {x}, not {y}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    for spec in specs() {
        let n = Pipeline::parse(&spec).unwrap().least(2).expect("some n suffices").max(9);
        let matrix = random(n, 2051, 9);
        let bits = |isa: Isa| {
            let (out, verdict) = isa::with(isa, || answer(&spec, matrix.rows(), 2));
            let out: Vec<u32> = out.iter().map(|x| x.to_bits()).collect();
            (out, verdict.weights.iter().map(|w| w.to_bits()).collect::<Vec<_>>())
        };
        let portable = bits(Isa::Portable);
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            assert!(bits(isa) == portable, "{spec} on {isa}");
        }
    }
}
