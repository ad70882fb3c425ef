//! Distances, norms, combinations and mixes against plain f64 loops: odd shapes, hostile values,
//! every instruction set.

use varangian_base::kernels::distances::Pairs;
use varangian_base::kernels::isa::{self, Isa};
use varangian_base::kernels::{combine, norms};
use varangian_base::{Domain, Matrix, Seed};

fn random(n: usize, d: usize, scale: f32, offset: f32) -> Matrix {
    let mut stream = Seed(1).stream(Domain::Test, n as u32, d as u64);
    let mut matrix = Matrix::zeros(n, d);
    for i in 0..n {
        matrix.row_mut(i).fill_with(|| stream.normal() as f32 * scale + offset);
    }
    matrix
}

fn instruction_sets() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.available())
}

fn distance2(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
}

fn close(got: f64, want: f64, tolerance: f64) -> bool {
    (got - want).abs() <= tolerance * want.abs()
}

fn distances_agree(x: &Matrix, tolerance: f64) {
    for set in instruction_sets() {
        let mut pairs = Pairs::default();
        isa::with(set, || pairs.squared_distances(x.rows()));
        for i in 0..x.n() {
            for j in 0..x.n() {
                let (got, want) = (pairs.at(i, j), distance2(x.row(i), x.row(j)));
                let (n, d) = (x.n(), x.rows().d());
                assert!(
                    close(got, want, tolerance),
                    "{set}, n = {n}, d = {d}, ({i}, {j}): {got:e} for {want:e}"
                );
            }
        }
    }
}

#[test]
fn distances_of_few_coordinates_are_those_of_f64() {
    for n in 1..=23 {
        distances_agree(&random(n, 37, 1.0, 0.0), 1e-13);
    }
    for (n, d) in [(2, 1), (51, 100), (6, 8192)] {
        distances_agree(&random(n, d, 1.0, 0.0), 1e-12);
    }
}

#[test]
fn distances_of_many_coordinates_are_near_those_of_f64() {
    for (n, d) in [(1, 9000), (2, 8193), (5, 20_001), (13, 8207), (11, 40_000)] {
        distances_agree(&random(n, d, 1.0, 0.0), 2e-7);
        distances_agree(&random(n, d, 1e-3, 4096.0), 2e-7);
    }
}

#[test]
fn distances_beyond_the_range_of_squares_in_f32_are_finite_and_right() {
    for scale in [1e-30, 1e-44, 1e25, 3e37] {
        distances_agree(&random(5, 9001, scale, 0.0), 1e-12);
    }
    // One giant row, one that differs from another by a denormal, two that are equal.
    let mut x = random(8, 9001, 1.0, 0.0);
    x.row_mut(6).fill(-3e38);
    let equal = x.row(2).to_vec();
    x.row_mut(7).copy_from_slice(&equal);
    x.row_mut(3).copy_from_slice(&equal);
    x.row_mut(2)[8500] = 0.0;
    x.row_mut(3)[8500] = 1e-40;
    x.row_mut(7)[8500] = -0.0;
    distances_agree(&x, 2e-7);
    let mut pairs = Pairs::default();
    pairs.squared_distances(x.rows());
    assert_eq!(pairs.at(2, 7), 0.0);
    assert!(pairs.at(2, 3) > 0.0 && pairs.at(0, 6).is_finite());
}

#[test]
fn instruction_sets_agree_to_the_bit_where_they_say_so() {
    let x = random(7, 20_003, 1.0, 0.0);
    let few = Matrix::from_rows(&(0..7).map(|i| &x.row(i)[..5000]).collect::<Vec<_>>());
    let run = |isa: Isa, x: &Matrix| {
        isa::with(isa, || {
            let (mut pairs, mut out) = (Pairs::default(), vec![0.0; x.rows().d()]);
            pairs.squared_distances(x.rows());
            let (mut all, mut one) = (Vec::new(), Vec::new());
            norms::rows_distance2(x.rows(), x.row(1), &mut all);
            norms::rows_norm2(x.rows(), &mut one);
            all.extend_from_slice(&one);
            norms::rows_dot(x.rows(), x.row(2), &mut one);
            all.extend_from_slice(&one);
            combine::combine(x.rows(), &[0.1, 0.0, -3.0, 1e-3, 7.0, 0.3, 0.9], &mut out);
            all.extend(out.iter().map(|&x| f64::from(x)));
            combine::mean(x.rows(), &mut out);
            all.extend(out.iter().map(|&x| f64::from(x)));
            let mut mixed = Matrix::default();
            let coefficients: Vec<f64> = (0..21).map(|c| f64::from(c % 5 - 1) * 0.3).collect();
            combine::mix(x.rows(), &coefficients, 3, &mut mixed);
            (0..3).for_each(|i| all.extend(mixed.row(i).iter().map(|&x| f64::from(x))));
            let pairs: Vec<f64> = (0..7).flat_map(|i| pairs.row(i).to_vec()).collect();
            (pairs, all)
        })
    };
    let portable = (run(Isa::Portable, &x), run(Isa::Portable, &few));
    let fused: Vec<_> = instruction_sets().skip(1).map(|isa| run(isa, &x).0).collect();
    assert!(fused.windows(2).all(|pair| pair[0] == pair[1]), "fused distances agree");
    for set in instruction_sets() {
        assert!(run(set, &x).1 == portable.0.1, "{set}: sums of f64");
        assert!(run(set, &few) == portable.1, "{set}: few coordinates");
    }
}

#[test]
fn norms_are_those_of_f64_and_the_same_alone_and_among_rows() {
    for (n, d) in [(1, 1), (3, 15), (5, 16), (4, 17_000), (2, 40_001)] {
        let x = random(n, d, 1.0, 0.5);
        let centre = x.row(n - 1);
        for set in instruction_sets() {
            isa::with(set, || {
                let (mut norms2, mut far, mut dots) = (Vec::new(), Vec::new(), Vec::new());
                norms::rows_norm2(x.rows(), &mut norms2);
                norms::rows_distance2(x.rows(), centre, &mut far);
                norms::rows_dot(x.rows(), centre, &mut dots);
                for i in 0..n {
                    let row = x.row(i);
                    assert_eq!(norms2[i], norms::norm2(row));
                    assert_eq!(far[i], norms::distance2(row, centre));
                    assert_eq!(dots[i], norms::dot(row, centre));
                    assert!(close(norms2[i], distance2(row, &vec![0.0; d]), 1e-12));
                    assert!(close(far[i], distance2(row, centre), 1e-12));
                    let dot: f64 =
                        row.iter().zip(centre).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
                    assert!((dots[i] - dot).abs() <= 1e-12 * norms2[i].max(norms2[n - 1]));
                }
            });
        }
    }
    let huge = [3e38f32, -3e38, 1e-45];
    assert!(norms::norm2(&huge).is_finite() && norms::norm2(&huge[2..]) > 0.0);
}

#[test]
fn combinations_are_those_of_f64_rounded_once() {
    for (n, d) in [(1, 1), (3, 15), (5, 513), (9, 5000), (51, 130)] {
        let x = random(n, d, 1.0, 0.0);
        let weights: Vec<f64> =
            (0..n).map(|i| if i % 3 == 1 { 0.0 } else { i as f64 - 2.0 }).collect();
        let want = |k: usize, weights: &[f64]| {
            let sum: f64 = (0..n).map(|i| weights[i] * f64::from(x.row(i)[k])).sum();
            sum as f32
        };
        let (mut out, mut mixed) = (vec![0.0; d], Matrix::default());
        for set in instruction_sets() {
            isa::with(set, || {
                combine::combine(x.rows(), &weights, &mut out);
                let both: Vec<f64> = weights.iter().copied().chain(vec![0.25; n]).collect();
                combine::mix(x.rows(), &both, 2, &mut mixed);
            });
            for k in 0..d {
                assert_eq!(out[k], want(k, &weights), "{set}, n = {n}, d = {d}, column {k}");
                assert_eq!(mixed.row(0)[k], out[k]);
                assert_eq!(mixed.row(1)[k], want(k, &vec![0.25; n]));
            }
        }
    }
}

#[test]
fn rows_of_weight_0_are_not_read_and_huge_rows_do_not_overflow() {
    let x = Matrix::from_rows(&[[f32::NAN; 40], [3e38; 40], [3e38; 40], [-3e38; 40]]);
    for set in instruction_sets() {
        isa::with(set, || {
            let (mut out, mut mixed) = (vec![0.0; 40], Matrix::default());
            combine::combine(x.rows(), &[0.0, 1.0, 1.0, 1.5], &mut out);
            let want = (2.0 * f64::from(3e38f32) - 1.5 * f64::from(3e38f32)) as f32;
            assert_eq!(out, [want; 40]);
            combine::mix(x.rows(), &[0.0, 1.0, 1.0, 1.5], 1, &mut mixed);
            assert_eq!(mixed.row(0), [want; 40]);
        });
    }
}

#[test]
fn dense_mixes_are_those_of_f64_rounded_once() {
    for (n, d) in [(3, 1), (5, 511), (9, 1100), (30, 4613)] {
        let x = random(n, d, 1.0, 0.0);
        // Rows of one coefficient, rows of many, and rows that repeat an earlier one.
        let coefficient = |i: usize, j: usize| match i % 3 {
            0 => 0.125,
            1 => (i * 7 + j * 3) as f64 * 0.1 - 1.0,
            _ => {
                if j == 0 {
                    0.0
                } else {
                    0.5
                }
            }
        };
        let all: Vec<f64> = (0..n * n).map(|c| coefficient(c / n, c % n)).collect();
        for set in instruction_sets() {
            let mut mixed = Matrix::default();
            isa::with(set, || combine::mix(x.rows(), &all, n, &mut mixed));
            for i in 0..n {
                for k in 0..d {
                    let row = |j: usize| coefficient(i, j) * f64::from(x.row(j)[k]);
                    let want = (0..n).map(row).sum::<f64>() as f32;
                    let got = mixed.row(i)[k];
                    let near = (got - want).abs() <= 1e-6 * want.abs().max(1e-3);
                    assert!(near, "{set}, n = {n}, d = {d}, ({i}, {k}): {got} for {want}");
                }
            }
        }
    }
}
