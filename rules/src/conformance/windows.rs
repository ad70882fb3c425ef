//! Pipelines on rows of more columns than one window of mixed rows: stages in any order, odd
//! lengths, every instruction set.

use super::families::random;
use super::machinery::specs;
use super::{answer, wide};
use crate::{ALL, Pipeline, Stage, exact};
use varangian_base::kernels::isa::{self, Isa};
use varangian_base::{Matrix, Seed, entry, spec};

/// Stages before a rule.
const STAGES: &[&str] = &["nnm", "arc", "clipping c=30", "bucketing s=2 order=given"];

/// The rows that a stage makes of these, exactly.
fn staged(stage: &str, rows: &[Vec<f64>], f: usize) -> Vec<Vec<f64>> {
    let entry = entry::find("rule", ALL, stage.split(' ').next().unwrap()).unwrap();
    let Stage::Pre(pre) = *entry.make(&spec::parse(stage).unwrap()).unwrap() else {
        panic!("{stage} stands before a rule")
    };
    let ids: Vec<u32> = (0..rows.len() as u32).collect();
    let round =
        exact::Round { rows, ids: &ids, f, weights: None, step: 0, seed: Seed(0), stage: 0 };
    pre.exact(&round).unwrap().iter().map(|blend| blend.of(rows)).collect()
}

#[test]
fn stages_in_any_order_are_those_one_after_the_other() {
    let (n, f) = (17, 2);
    for (d, lane) in [(1, 0), (1023, 1), (2051, 2)] {
        let rows = random(n, d, lane);
        for first in STAGES {
            for second in STAGES {
                let mixed = staged(second, &staged(first, &wide(rows.rows()), f), f);
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
