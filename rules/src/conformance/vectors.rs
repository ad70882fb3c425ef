//! Published and hand-checked vectors, and the inputs on which other implementations go wrong.

use super::answer;
use varangian_base::Matrix;

fn line(values: &[f32]) -> Matrix {
    Matrix::from_rows(&values.iter().map(|&x| [x]).collect::<Vec<_>>())
}

#[track_caller]
fn gives(spec: &str, rows: &Matrix, f: usize, expected: &[f64]) {
    let out = answer(spec, rows.rows(), f).0;
    let close =
        out.iter().zip(expected).all(|(&x, y)| (f64::from(x) - y).abs() < 1e-6 * (1.0 + y.abs()));
    assert!(close, "{spec}: {out:?}, not {expected:?}");
}

#[test]
fn distributed_momentum_vectors() {
    let a = line(&[0.0, 1.0, 2.0, 3.0, 100.0]);
    let b = line(&[0.0, 1.0, 2.0, 4.0, 8.0, 100.0]);
    let c = line(&[0.0, 1.0, 2.0, 4.0, 7.0, 11.0, -50.0]);
    let d = line(&[0.0, 1.0, 3.0, 6.0, 10.0, 15.0, 21.0, 28.0, 36.0, 1000.0, -1000.0]);
    let dm = "multi-krum variant=distributed-momentum";
    let cases: &[(&str, &Matrix, usize, f64)] = &[
        ("average", &a, 1, 21.2),
        ("median", &a, 1, 2.0),
        ("trimmed-mean", &a, 1, 2.0),
        ("phocas", &a, 1, 1.5),
        ("meamed", &a, 1, 1.5),
        (dm, &a, 1, 1.5),
        ("median middle=lower", &b, 1, 2.0),
        ("trimmed-mean", &b, 1, 3.75),
        ("phocas", &b, 1, 3.0),
        ("meamed middle=lower", &b, 1, 3.0),
        (dm, &b, 1, 7.0 / 3.0),
        ("median middle=lower", &b, 2, 2.0),
        ("trimmed-mean", &b, 2, 3.0),
        ("phocas", &b, 2, 1.75),
        ("meamed middle=lower", &b, 2, 1.75),
        ("median", &c, 1, 2.0),
        ("trimmed-mean", &c, 1, 2.8),
        ("phocas", &c, 1, 25.0 / 6.0),
        ("meamed", &c, 1, 25.0 / 6.0),
        (dm, &c, 1, 1.75),
        (dm, &c, 2, 7.0 / 3.0),
        ("mda", &a, 1, 1.5),
        ("mda", &b, 1, 3.0),
        ("mda", &b, 2, 1.75),
        ("mda", &c, 1, 25.0 / 6.0),
        ("mda", &d, 2, 40.0 / 3.0),
        ("aksel", &a, 1, 2.0),
        ("aksel mode=n-f", &a, 1, 1.5),
        ("aksel middle=lower", &b, 1, 1.0),
        ("aksel", &c, 1, 1.75),
        ("aksel mode=n-f", &c, 1, 25.0 / 6.0),
        ("aksel", &d, 2, 35.0 / 6.0),
        ("cge", &a, 1, 1.5),
        ("cge", &b, 1, 3.0),
        ("cge", &b, 2, 1.75),
        ("cge", &c, 1, 25.0 / 6.0),
        ("cge", &d, 2, 40.0 / 3.0),
        ("bulyan variant=reference", &c, 1, 1.75),
        ("bulyan variant=reference m=2", &c, 1, 1.0),
        ("bulyan variant=reference m=1", &c, 1, 1.0),
        ("bulyan", &c, 1, 1.75),
        // The median of the selected 1, 4, 2, 7, 0 is 2, and 0 and 4 tie: the smaller one is kept.
        ("bulyan variant=classic", &c, 1, 1.0),
        ("median", &d, 2, 10.0),
        ("trimmed-mean", &d, 2, 12.0),
        ("phocas", &d, 2, 40.0 / 3.0),
        ("meamed", &d, 2, 40.0 / 3.0),
        (dm, &d, 2, 8.0),
        ("bulyan variant=reference", &d, 2, 8.0),
        ("bulyan", &d, 2, 7.6666667),
        ("bulyan variant=classic", &d, 2, 10.3333333),
    ];
    for (spec, rows, f, expected) in cases {
        gives(spec, rows, *f, &[*expected]);
    }
    let krums = line(&[0.0, 1.0, 2.0, 4.0, 7.0, 8.0, 11.0]);
    gives("multi-krum variant=distributed-momentum", &krums, 2, &[7.0 / 3.0]);
    gives("multi-krum", &krums, 2, &[1.0]);
}

#[test]
fn distributed_momentum_vectors_in_the_plane() {
    let rows = [(0., 0.), (1., 0.), (0., 1.), (1., 1.), (10., 10.), (0.5, 0.5), (-20., 3.)];
    let e = Matrix::from_rows(&rows.map(|(x, y)| [x, y]));
    gives("median", &e, 1, &[0.5, 1.0]);
    gives("trimmed-mean", &e, 1, &[0.5, 1.1]);
    gives("phocas", &e, 1, &[25.0 / 12.0, 11.0 / 12.0]);
    gives("meamed", &e, 1, &[25.0 / 12.0, 11.0 / 12.0]);
    gives("multi-krum variant=distributed-momentum", &e, 1, &[0.625, 0.625]);
    gives("bulyan variant=reference", &e, 1, &[0.375, 0.375]);
    gives("mda", &e, 1, &[25.0 / 12.0, 25.0 / 12.0]);
    gives("aksel", &e, 1, &[0.375, 0.625]);
    gives("aksel mode=n-f", &e, 1, &[25.0 / 12.0, 25.0 / 12.0]);
    gives("cge", &e, 1, &[25.0 / 12.0, 25.0 / 12.0]);
}

#[test]
fn classical_vectors() {
    let rows = line(&[0.0, 1.0, 2.0, 3.0, 10.0]);
    gives("krum", &rows, 1, &[1.0]);
    gives("multi-krum m=2", &rows, 1, &[1.5]);
    let rows = line(&[-10.0, 1.0, 2.0, 3.0, 100.0]);
    gives("trimmed-mean", &rows, 1, &[2.0]);
    gives("trimmed-mean", &rows, 2, &[2.0]);
    gives("phocas", &rows, 1, &[-1.0]);
    gives("median", &line(&[1.0, 2.0, 3.0, 10.0]), 1, &[2.5]);
    gives("median middle=upper", &line(&[10.0, 2.0, 1.0, 3.0]), 1, &[3.0]);
    gives("median middle=upper", &line(&[10.0, 2.0, 1.0, 3.0, 9.0]), 2, &[3.0]);
    let upper = crate::build("median middle=upper", 4, 1).unwrap();
    assert!(upper.kappa(4, 1).is_none() && upper.variance_norm(4, 1).is_none());
}

#[test]
fn four_krums_are_told_apart() {
    let sets: [(&[f32], [f64; 3]); 3] = [
        (&[4., 12., 10., 0., 5.], [4., 5., 5.]),
        (&[2., 11., 7., 13., 6., 4.], [4., 6., 6.]),
        (&[9., 3., 6., 14., 13.], [13., 9., 9.]),
    ];
    gives("krum", &line(sets[0].0), 1, &[4.0]);
    gives("krum variant=byzfl", &line(sets[0].0), 1, &[5.0]);
    gives("krum", &line(sets[1].0), 1, &[4.0]);
    gives("krum variant=distributed-momentum", &line(sets[1].0), 1, &[6.0]);
    gives("krum", &line(sets[2].0), 1, &[13.0]);
    // What the code of Karimireddy et al. 2022 answers, beside Krum.
    for (set, theirs, krum) in [
        ([11., 12., 3., 9., 1., 5., 0.], 5.0, 3.0),
        ([10., 2., 13., 8., 3., 0., 14.], 8.0, 10.0),
        ([13., 5., 6., 14., 0., 8., 9.], 9.0, 8.0),
    ] {
        gives("krum variant=bucketing", &line(&set), 1, &[theirs]);
        gives("krum", &line(&set), 1, &[krum]);
    }
}

#[test]
fn krum_below_its_bound_is_that_of_the_peers() {
    let allowed = |spec: &str| format!("{spec} below-bound=allow");
    // What ByzFL 0.0.11 answers.
    let sets: [(&[f32], usize, f64, f64); 4] = [
        (&[0., 1., 3., 7.], 1, 1.0, 4.0 / 3.0),
        (&[0., 1., 3.], 1, 0.0, 0.5),
        (&[5., 0., 1., 7., 3.], 2, 1.0, 3.0),
        (&[4., 12., 10., 0.], 1, 10.0, 26.0 / 3.0),
    ];
    for (values, f, one, many) in sets {
        gives(&allowed("krum variant=byzfl"), &line(values), f, &[one]);
        gives(&allowed("multi-krum variant=byzfl"), &line(values), f, &[many]);
        // Of one neighbour each: the first of the two rows nearest to each other.
        if values.len() < 5 {
            let first = if values[0] == 4.0 { 12.0 } else { 0.0 };
            gives(&allowed("krum"), &line(values), f, &[first]);
        }
        for spec in ["krum", "multi-krum"] {
            let refused = crate::build(spec, values.len(), f).err().unwrap().to_string();
            assert!(refused.starts_with(&format!("{spec} needs n ≥ 2f + 3")), "{refused}");
        }
    }
    let rule = crate::build(&allowed("krum"), 5, 2).unwrap();
    assert!(rule.kappa(5, 2).is_none() && rule.variance_norm(5, 2).is_none());
    assert!(rule.kappa(7, 2).is_some() && rule.variance_norm(7, 2).is_some());
    let refused = crate::build(&allowed("krum"), 4, 2).err().unwrap().to_string();
    assert_eq!(refused, "krum needs n ≥ 2f + 1; got n = 4, f = 2 (below-bound = allow)");
}

#[test]
fn bulyan_computes_its_scores_again() {
    let rows: [[f32; 2]; 7] =
        [[2., -2.6], [0.4, -0.6], [-0.5, -0.2], [-2., -0.2], [-0.9, 3.3], [0.2, -0.4], [3.7, 3.3]];
    let rows = Matrix::from_rows(&rows);
    gives("bulyan variant=classic", &rows, 1, &[-0.4, -0.8 / 3.0]);
    gives("bulyan variant=reference m=1", &rows, 1, &[0.2, -0.4]);
    gives("bulyan variant=classic", &line(&[-9., -6., 6., 3., 8., 0., 2.]), 1, &[3.0]);
}

#[test]
fn bulyan_of_one_shot_is_that_of_flower() {
    let rows: [[f32; 2]; 11] = [
        [-0.8, -1.32],
        [-0.25, 0.42],
        [1.14, 0.11],
        [-0.55, -0.78],
        [0.75, 1.63],
        [0.27, -1.23],
        [-0.96, 1.6],
        [0.2, -1.73],
        [-0.08, -1.16],
        [-0.63, -0.49],
        [-0.71, 0.55],
    ];
    // By Flower's formula in NumPy.
    gives("bulyan variant=one-shot", &Matrix::from_rows(&rows), 2, &[-0.63, -0.81]);
    // 6, 3, 8, 0 and 2 are selected; of 0 and 6, equally far from their median, the lesser is
    // taken here, and either by Flower (then 11/3). Repeated Krum selects others, and answers 3.
    let rows = line(&[-9., -6., 6., 3., 8., 0., 2.]);
    gives("bulyan variant=one-shot", &rows, 1, &[5.0 / 3.0]);
    assert!(crate::build("bulyan variant=one-shot m=1", 7, 1).is_err());
}

#[test]
fn centred_clipping_from_the_mean_and_from_zero() {
    let rows = line(&[0.0, 1.0, 2.0, 1000.0]);
    gives("centred-clipping tau=4 start=mean", &rows, 1, &[248.75]);
    gives("centred-clipping tau=100 L=3 start=mean", &rows, 1, &[100.75]);
    gives("centred-clipping tau=4 L=2 start=zero", &rows, 1, &[2.1875]);
    let told = answer("centred-clipping tau=4 start=mean", rows.rows(), 1).1.weights;
    assert!((told.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{told:?}");
}

#[test]
fn a_trimmed_mean_is_no_difference_of_sums() {
    gives("trimmed-mean", &line(&[1.0, 2.0, 3.0, 1e9]), 1, &[2.5]);
    let mut values = vec![0.0; 29];
    values.extend([1e6; 15]);
    gives("trimmed-mean", &line(&values), 15, &[0.0]);
    // 15 of 44: a product of floats falls short of 15, and Flower's code drops 14.
    gives("trimmed-mean beta=0.340909090909", &line(&values), 15, &[0.0]);
    gives("trimmed-mean beta=0.33", &line(&values), 14, &[1e6 / 16.0]);
    let few = crate::build("trimmed-mean beta=0.2", 9, 2).err().unwrap().to_string();
    let why =
        "trimmed-mean needs ⌊beta·n⌋ ≥ f; beta = 0.2 drops 1 on either side; got n = 9, f = 2";
    assert_eq!(few, why);
    assert!(crate::build("trimmed-mean beta=0.2", 10, 2).unwrap().kappa(10, 2).is_none());
}

/// What reaches a rule of five rows when one was refused: four rows, f lowered by one.
fn x5() -> Matrix {
    Matrix::from_rows(&[[1.0, 1.0], [1.1, 1.0], [0.9, 1.0], [1.0, 1.1]])
}

#[test]
fn a_refused_row_leaves_a_sane_answer_to_every_rule() {
    for entry in crate::ALL {
        let spec = super::machinery::bare(entry.facts.family, entry.name);
        if crate::build(&spec, 4, 0).is_ok()
            && !spec.contains("clipping")
            && !entry.facts.needs_oracle
        {
            let out = answer(&spec, x5().rows(), 0).0;
            // Four rows are left; all but the sums answer something like one of them.
            let scale = match entry.name {
                "sum" => 4.0,
                "rsa" => 0.04,
                _ => 1.0,
            };
            let sane = out.iter().all(|x| (0.8 * scale..=1.2 * scale).contains(x));
            assert!(sane, "{spec}: {out:?}");
        }
    }
}

#[test]
fn close_rows_far_from_the_origin_keep_their_order() {
    // Nine rows around a common vector with spread 1e-4, two with 3e-4: by norms minus inner
    // products in f32 the distances are noise.
    let mut draws = super::draws(9);
    let common: Vec<f64> = (0..20_000).map(|_| draws.normal()).collect();
    let mut rows = vec![];
    for spread in [1e-4; 9].into_iter().chain([3e-4; 2]) {
        let row = common.iter().map(|c| (c + spread * draws.normal()) as f32);
        rows.push(row.collect::<Vec<f32>>());
    }
    let rows = Matrix::from_rows(&rows);
    let krum = answer("krum", rows.rows(), 2).1.weights;
    assert!(krum[..9].contains(&1.0), "{krum:?}");
    let multi = answer("multi-krum variant=byzfl", rows.rows(), 2).1.weights;
    assert_eq!((multi[9], multi[10]), (0.0, 0.0));
    let nearest = answer("nnm | average", rows.rows(), 2).1.weights;
    assert!(nearest[9] <= 1.0 / 99.0 + 1e-12 && nearest[10] <= 1.0 / 99.0 + 1e-12, "{nearest:?}");
}

#[test]
fn caf_in_the_loop_of_byzfl() {
    // ByzFL 0.0.11's loop with exact eigenvectors in place of its random ones.
    let rows = [[0., 0.], [1., 0.], [0., 1.], [1., 1.], [9., 3.]];
    gives("caf", &Matrix::from_rows(&rows), 1, &[0.518_143_01, 0.505_336_18]);
    gives("caf variant=byzfl", &Matrix::from_rows(&rows), 1, &[0.518_758_02, 0.505_575]);
    let rows: [[f32; 3]; 7] = [
        [6., 4., 4.],
        [-2., 7., -7.],
        [1., 4., 7.],
        [0., -2., -4.],
        [-1., 0., 4.],
        [7., -8., 8.],
        [1., -3., 3.],
    ];
    let rows = Matrix::from_rows(&rows);
    gives("caf", &rows, 3, &[-0.471_327_19, -0.643_000_79, 3.771_872_53]);
    gives("caf variant=byzfl", &rows, 3, &[-0.708_520_36, -0.231_639_77, 3.914_394_83]);
}

#[test]
fn caf_ends_whatever_the_length_of_a_row() {
    let mut rows: Vec<Vec<f32>> =
        super::families::random(9, 4, 3).rows().iter().map(<[f32]>::to_vec).collect();
    for length in [1e4, 1e6, 1e10, 1e15, 3e38] {
        rows.push(vec![length; 4]);
        for spec in ["caf", "caf variant=byzfl"] {
            let with = answer(spec, Matrix::from_rows(&rows).rows(), 3).0;
            assert!(with.iter().all(|x| x.abs() < 2.0), "{spec}, {length}: {with:?}");
        }
        rows.pop();
    }
}

#[test]
fn thresholds_are_relative_so_tiny_rows_are_told_apart() {
    // Rows of length about 1e-8, outliers of 1e-6: an absolute tolerance returns the plain mean.
    let rows = super::families::random(11, 3, 8);
    let small: Vec<Vec<f32>> = (0..11)
        .map(|i| {
            rows.row(i)
                .iter()
                .map(|x| x * if i < 2 { 1e-6 } else { 1e-8 } + if i < 2 { 1e-5 } else { 0.0 })
                .collect()
        })
        .collect();
    let small = Matrix::from_rows(&small);
    for spec in ["caf", "geometric-median", "smea", "dnc", "mda", "faba"] {
        let out = answer(spec, small.rows(), 2).0;
        assert!(out.iter().all(|x| x.abs() < 3e-8), "{spec}: {out:?}");
    }
}

#[test]
fn equal_rows_and_no_hostile_ones_are_no_special_case() {
    let equal = Matrix::from_rows(&[[2.0, -1.0]; 9]);
    for entry in crate::ALL {
        let spec = super::machinery::bare(entry.facts.family, entry.name);
        for f in [0, 1] {
            if entry.facts.claims.majority {
                assert_eq!(answer(&spec, equal.rows(), f).0, [2.0, -1.0], "{spec}");
            }
        }
    }
    gives("smea", &equal, 4, &[2.0, -1.0]);
    gives("caf", &equal, 4, &[2.0, -1.0]);
}

#[test]
fn the_exact_search_for_the_least_diameter_is_quick() {
    for (n, f) in [(51, 5), (30, 10), (51, 24), (65, 32)] {
        let rows = super::families::random(n, 20, n as u64);
        let weights = answer("mda", rows.rows(), f).1.weights;
        assert_eq!(weights.iter().filter(|w| **w > 0.0).count(), n - f);
    }
}
