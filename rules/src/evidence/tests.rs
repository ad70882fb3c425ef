//! Cases worked by hand, other versions, rows of any magnitude, and many pipelines by chance.

use super::*;
use crate::conformance::{draws, families::FAMILIES};
use crate::{ALL, Family, build};
use varangian_base::{Matrix, Seed};

const LINE: [f32; 5] = [0.0, 1.0, 2.0, 3.0, 10.0];

/// The evidence of `rule` on rows of one coordinate, in f32.
fn of(rule: &str, rows: &[f32], f: usize, masses: Option<&[f64]>) -> Vec<Evidence> {
    let rows: Vec<[f32; 1]> = rows.iter().map(|&x| [x]).collect();
    let matrix = Matrix::from_rows(&rows);
    let mut rule = build(rule, rows.len(), f).unwrap();
    let (mut out, mut verdict) = ([0.0], Verdict::default());
    let mut round = Round { weights: masses, ..Round::of(matrix.rows(), f) };
    rule.aggregate(&mut round, &mut out, &mut verdict);
    verdict.evidence(&rule, &round, &out)
}

/// The same in f64, by the exact path.
fn exactly(rule: &str, rows: &[f64], f: usize, masses: Option<&[f64]>) -> Vec<Evidence> {
    let rows: Vec<Vec<f64>> = rows.iter().map(|&x| vec![x]).collect();
    let ids: Vec<u32> = (0..rows.len() as u32).collect();
    let rule = build(rule, rows.len(), f).unwrap();
    let mut verdict = Verdict::default();
    let round = exact::Round {
        rows: &rows,
        ids: &ids,
        f,
        weights: masses,
        step: 0,
        seed: Seed(0),
        stage: 0,
    };
    let out = rule.exact(&round, &mut verdict).unwrap();
    verdict.exact_evidence(&rule, &round, &out)
}

/// What is expected of a row: its share, its distance, its standing, its reason.
type Expected<'a> = (Option<f64>, f64, Standing, Option<&'a str>);

#[track_caller]
fn gives(rule: &str, rows: &[f32], f: usize, masses: Option<&[f64]>, expected: &[Expected<'_>]) {
    let wide: Vec<f64> = rows.iter().map(|&x| x.into()).collect();
    for (path, found) in
        [("f32", of(rule, rows, f, masses)), ("f64", exactly(rule, &wide, f, masses))]
    {
        assert_eq!(found.len(), expected.len());
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            let place = format!("{rule}, {path}, row {i}: {found:?}");
            match (found.weight, expected.0) {
                (Some(a), Some(b)) => assert!((a - b).abs() < 1e-6, "{place}"),
                (a, b) => assert_eq!(a, b, "{place}"),
            }
            assert!((found.distance.unwrap() - expected.1).abs() < 1e-6, "{place}");
            assert_eq!(found.norm, Some(f64::from(rows[i].abs())), "{place}");
            assert_eq!((found.standing, found.reason.as_deref()), (expected.2, expected.3));
            assert_eq!((found.worker, found.step, found.d), (i as u64, 0, 1));
            assert_eq!((found.n, found.f), (rows.len(), f));
        }
    }
}

#[test]
fn rules_that_choose_rows() {
    use Standing::{Excluded, Kept};
    // Scores 5, 2, 2, 5, 113: a tie of rows 1 and 2.
    let why = Some("not the row of least score");
    let out = |distance| (Some(0.0), distance, Excluded, why);
    gives(
        "krum",
        &LINE,
        1,
        None,
        &[out(1.0), (Some(1.0), 0.0, Kept, None), out(1.0), out(2.0), out(9.0)],
    );
    let why = Some("not among the 2 rows of least score");
    let out = |distance| (Some(0.0), distance, Excluded, why);
    let kept = |distance| (Some(0.5), distance, Kept, None);
    gives("multi-krum m=2", &LINE, 1, None, &[out(1.5), kept(0.5), kept(0.5), out(1.5), out(8.5)]);
    let all = |distance| (Some(0.2), distance, Kept, None);
    gives("average", &LINE, 1, None, &[all(3.2), all(2.2), all(1.2), all(0.2), all(6.8)]);
    // Coefficients of a sum are 1 each; shares are not.
    gives(
        "sum",
        &[1.0, 3.0],
        0,
        None,
        &[(Some(0.5), 3.0, Kept, None), (Some(0.5), 1.0, Kept, None)],
    );
}

#[test]
fn rules_that_choose_in_each_coordinate_tell_no_weights() {
    let kept = |distance, why| (None, distance, Standing::Kept, Some(why));
    let why = "trimmed-mean answers coordinate by coordinate and tells no weights of rows";
    let all = [2.0, 1.0, 0.0, 1.0, 8.0].map(|distance| kept(distance, why));
    gives("trimmed-mean", &LINE, 1, None, &all);
    let why = "median answers coordinate by coordinate and tells no weights of rows";
    gives("median", &LINE, 1, None, &[2.0, 1.0, 0.0, 1.0, 8.0].map(|far| kept(far, why)));
    let found = of("nnm | bulyan", &[0.0, 1.0, 2.0, 3.0, 10.0, 2.5, 1.5], 1, None);
    assert!(found.iter().all(|row| row.weight.is_none() && row.standing == Standing::Kept));
    assert_eq!(found[0].reason.as_deref(), Some("bulyan tells no weights of rows"));
}

#[test]
fn rules_that_shorten_rows() {
    use Standing::{Kept, Reduced};
    // From 0: (0 + 1 + 2 + 4)/4 = 1.75. The last row counts 4/1000 of a quarter.
    let sum = 0.75 + 0.001;
    let kept = |distance| (Some(0.25 / sum), distance, Kept, None);
    let why = Some("clipped to radius 4.0000: 0.0040 of an equal share");
    gives(
        "centred-clipping tau=4",
        &[0.0, 1.0, 2.0, 1000.0],
        1,
        None,
        &[kept(1.75), kept(0.75), kept(0.25), (Some(0.001 / sum), 998.25, Reduced, why)],
    );
    // 90 is cut to 4: (1 + 2 + 3 + 4 + 4)/5 = 2.8.
    let sum = 0.8 + 4.0 / 450.0;
    let kept = |distance| (Some(0.2 / sum), distance, Kept, None);
    let last = (Some(4.0 / 450.0 / sum), 87.2, Reduced, Some("clipped to length 4.0000"));
    let rows = [1.0, 2.0, 3.0, 4.0, 90.0];
    gives("arc | average", &rows, 1, None, &[kept(1.8), kept(0.8), kept(0.2), kept(1.2), last]);
    let sum = 0.2 * (1.0 + 1.0 + 2.0 / 3.0 + 0.5 + 2.0 / 90.0);
    let cut =
        |x: f64| (Some(0.2 * 2.0 / x / sum), x - 1.8, Reduced, Some("clipped to length 2.0000"));
    let kept = |distance| (Some(0.2 / sum), distance, Kept, None);
    gives(
        "clipping c=2 | average",
        &rows,
        1,
        None,
        &[kept(0.8), kept(0.2), cut(3.0), cut(4.0), cut(90.0)],
    );
}

#[test]
fn a_rule_from_outside_may_take_a_row_away() {
    let matrix = Matrix::from_rows(&[[1.0f32], [2.0], [3.0]]);
    let rule = build("average", 3, 0).unwrap();
    let with = |weights: [f64; 3]| {
        let verdict = Verdict { weights: weights.to_vec(), ..Verdict::default() };
        verdict.evidence(&rule, &Round::of(matrix.rows(), 0), &[1.0])
    };
    let found = with([3.0, -1.0, 0.0]);
    let weights: Vec<_> = found.iter().map(|row| row.weight).collect();
    assert_eq!(weights, [Some(1.5), Some(-0.5), Some(0.0)]);
    assert_eq!(found[1].standing, Standing::Reduced);
    assert_eq!(found[1].reason.as_deref(), Some("-1.0000 of an equal share"));
    // What rounding leaves below 0 is nothing; what has no sum is no share.
    assert_eq!(with([1.0, 1.0, -1e-17])[2].standing, Standing::Excluded);
    assert_eq!(with([1.0, -1.0, 0.0])[0].weight, None);
    assert_eq!(with([0.0, 0.0, 0.0])[0].weight, Some(0.0));
}

#[test]
fn the_geometric_median_of_a_triangle() {
    // At (t, t) with t = (3 − √3)/6, so that the weights are 1 − 2t, t, t.
    let t = (3.0 - 3f64.sqrt()) / 6.0;
    let matrix = Matrix::from_rows(&[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]);
    let mut rule = build("geometric-median", 3, 1).unwrap();
    let (mut out, mut verdict) = ([0.0; 2], Verdict::default());
    let mut round = Round { step: 7, ..Round::of(matrix.rows(), 1) };
    rule.aggregate(&mut round, &mut out, &mut verdict);
    let found = verdict.evidence(&rule, &round, &out);
    let weights = [1.0 - 2.0 * t, t, t];
    let distances = [t * 2f64.sqrt(), (1.0 - t).hypot(t), (1.0 - t).hypot(t)];
    for (i, row) in found.iter().enumerate() {
        assert!((row.weight.unwrap() - weights[i]).abs() < 1e-6, "{row:?}");
        assert!((row.distance.unwrap() - distances[i]).abs() < 1e-6, "{row:?}");
        assert_eq!((row.step, row.p), (7, None));
    }
    assert_eq!(found[0].standing, Standing::Kept);
    assert_eq!(found[1].standing, Standing::Reduced);
    assert_eq!(found[1].reason, Some(format!("{:.4} of an equal share", 3.0 * t)));
}

#[test]
fn weights_are_carried_back_to_the_rows_that_were_sent() {
    use Standing::{Excluded, Kept};
    // Each of the first four rows becomes the mean 1.5 of the four; Krum takes one of these.
    let quarter = |distance| (Some(0.25), distance, Kept, None);
    let why = Some("in none of the mixed rows that were taken");
    gives(
        "nnm | krum",
        &LINE,
        1,
        None,
        &[quarter(1.5), quarter(0.5), quarter(0.5), quarter(1.5), (Some(0.0), 8.5, Excluded, why)],
    );
    // A row that counts three times has three times the share, and neither is reduced.
    let rows = [0.0, 4.0];
    let counted = [(Some(0.75), 1.0, Kept, None), (Some(0.25), 3.0, Kept, None)];
    gives("average", &rows, 0, Some(&[3.0, 1.0]), &counted);
    gives("average", &rows, 0, Some(&[300.0, 100.0]), &counted);
}

#[test]
fn distances_are_right_at_any_magnitude() {
    for scale in [1e-300, 1e-170, 1e-30, 1.0, 1e30, 1e170, 1e300] {
        let rows: Vec<f64> = LINE.iter().map(|&x| f64::from(x) * scale).collect();
        for (row, expected) in
            exactly("average", &rows, 1, None).iter().zip([3.2, 2.2, 1.2, 0.2, 6.8])
        {
            assert!((row.distance.unwrap() / scale - expected).abs() < 1e-12, "{row:?}");
            assert_eq!(row.norm, Some(rows[row.worker as usize]));
        }
        if !(1e-31..1e31).contains(&scale) {
            continue;
        }
        let rows = LINE.map(|x| x * scale as f32);
        for (row, expected) in of("average", &rows, 1, None).iter().zip([3.2, 2.2, 1.2, 0.2, 6.8]) {
            assert!((row.distance.unwrap() / scale - expected).abs() < 1e-5, "{row:?}");
        }
    }
    // Beyond the range of f64: its largest number, and no infinity, which JSON does not have.
    let far = exactly("average", &[f64::MAX, -f64::MAX, 0.0], 0, None);
    let rows = [vec![f64::MAX; 4], vec![0.0; 4], vec![1.0; 4]];
    let rule = build("median", 3, 1).unwrap();
    let round = exact::Round {
        rows: &rows,
        ids: &[2, 5, 9],
        f: 1,
        weights: None,
        step: 0,
        seed: Seed(0),
        stage: 0,
    };
    let found = Verdict::default().exact_evidence(&rule, &round, &[1.0; 4]);
    assert_eq!((found[0].norm, found[0].worker), (Some(f64::MAX), 2));
    assert_eq!((found[1].norm, found[2].norm), (Some(0.0), Some(2.0)));
    assert!(far.iter().all(|row| row.distance.unwrap().is_finite()));
}

#[test]
fn a_line_is_what_the_page_says() {
    let found = of("krum", &LINE, 1, None);
    let p = found[4].p.unwrap();
    let line = serde_json::to_string(&found[4]).unwrap();
    let expected = format!(
        "{{\"format\":\"varangian-evidence\",\"version\":1,\"rule\":\"krum\",\"n\":5,\"f\":1,\
         \"d\":1,\"step\":0,\"worker\":4,\"weight\":0.0,\"norm\":10.0,\"distance\":9.0,\
         \"verdict\":\"excluded\",\"reason\":\"not the row of least score\",\"p\":{p}}}"
    );
    assert_eq!(line, expected);
    // Distances from the median 2 are 2, 1, 0, 1, 8: their median 1, MAD 1, z = 7/1.4826.
    let by_hand = 2.0 * (1.4826f64 / 7.0).atan() / std::f64::consts::PI;
    assert!((p - by_hand).abs() < 1e-12);
    let gone =
        Evidence::refused("krum", (4, 0, 12), 3, 1_u32, "wrong length: 10, wanted 12".to_owned());
    let line = serde_json::to_string(&gone).unwrap();
    assert!(line.contains("\"weight\":0.0,\"norm\":null,\"distance\":null"), "{line}");
    assert!(line.ends_with("\"reason\":\"wrong length: 10, wanted 12\",\"p\":null}"), "{line}");
    for evidence in found.iter().chain([&gone]) {
        let back: Evidence =
            serde_json::from_str(&serde_json::to_string(evidence).unwrap()).unwrap();
        assert_eq!(&back, evidence);
    }
}

#[test]
fn other_versions_and_formats_are_refused() {
    let line = serde_json::to_string(&of("krum", &LINE, 1, None)[0]).unwrap();
    let refused = |line: &str| serde_json::from_str::<Evidence>(line).unwrap_err().to_string();
    // What a later version holds is not looked at.
    let later = "{\"format\":\"varangian-evidence\",\"version\":2,\"who\":[1]}";
    let error = refused(later);
    assert!(
        error.starts_with("varangian-evidence of version 1 is read; found version 2"),
        "{error}"
    );
    let error = refused(&line.replace("varangian-evidence", "something"));
    assert!(error.contains("varangian-evidence is read; found \"something\""), "{error}");
    assert!(refused(&line.replace("\"version\":1,", "")).contains("missing field `version`"));
    let more = line.replace("\"step\":0", "\"step\":0,\"new\":[1]");
    assert!(serde_json::from_str::<Evidence>(&more).is_ok(), "a field more is passed over");
}

/// A pipeline by chance that takes (n, f), its parameters by default.
fn pipeline(draws: &mut varangian_base::Stream, n: usize, f: usize) -> Option<Pipeline> {
    let mut pick = |family: Family| {
        let all: Vec<&str> = ALL
            .iter()
            .filter(|e| e.facts.family == family && !e.facts.needs_oracle)
            .map(|e| e.name)
            .collect();
        all[draws.below(all.len())]
    };
    let (one, two) = (pick(Family::PreAggregation), pick(Family::PreAggregation));
    let (rule, last) = (pick(Family::Rule), pick(Family::MetaAggregation));
    let text = match draws.below(5) {
        0 => rule.to_owned(),
        1 => format!("{one} | {rule}"),
        2 => format!("{one} | {two} | {rule}"),
        3 => format!("{rule} | {last}"),
        _ => format!("{one} | {rule} | {last}"),
    };
    build(&text, n, f).ok()
}

#[test]
fn hundreds_of_pipelines_on_hostile_rows() {
    let mut draws = draws(5);
    let (mut met, mut weighed) = (0, 0);
    while met < 400 {
        let (n, d) = (1 + draws.below(12), 1 + draws.below(6));
        let f = draws.below(n / 2 + 1);
        let (family, generate) = FAMILIES[draws.below(FAMILIES.len())];
        let Some(mut rule) = pipeline(&mut draws, n, f) else { continue };
        let matrix = generate(n, d, met);
        let place = format!("{} on {family}, n = {n}, f = {f}, d = {d}", rule.spec());
        let (mut out, mut verdict) = (vec![0.0; d], Verdict::default());
        let mut round = Round::of(matrix.rows(), f);
        rule.aggregate(&mut round, &mut out, &mut verdict);
        let found = verdict.evidence(&rule, &round, &out);
        assert_eq!(found.len(), n, "{place}");
        let told = !verdict.weights.is_empty();
        let sum: f64 = found.iter().filter_map(|row| row.weight).sum();
        assert!(!told || (sum - 1.0).abs() < 1e-9 || verdict.weights.iter().all(|&w| w == 0.0));
        weighed += usize::from(told);
        for (i, row) in found.iter().enumerate() {
            let apart = |k: usize| f64::from(matrix.row(i)[k]) - f64::from(out[k]);
            // Squares of f32 stay within f64's range.
            let naive = (0..d).map(|k| apart(k).powi(2)).sum::<f64>().sqrt();
            let distance = row.distance.unwrap();
            assert!((distance - naive).abs() <= 1e-12 * naive, "{place}: {distance}, {naive}");
            assert!(row.p.is_none_or(|p| (0.0..=1.0).contains(&p)), "{place}");
            assert_eq!(row.weight.is_some(), told, "{place}");
            let nothing = row.weight == Some(0.0);
            assert_eq!(nothing, row.standing == Standing::Excluded, "{place}");
            assert_eq!(row.reason.is_none(), told && row.standing == Standing::Kept, "{place}");
            let line = serde_json::to_string(row).unwrap();
            let back: Evidence = serde_json::from_str(&line).unwrap();
            assert_eq!((back.standing, &back.reason), (row.standing, &row.reason), "{place}");
        }
        met += 1;
    }
    assert!(weighed > 100, "{weighed}");
}

#[test]
fn the_same_bits_at_any_number_of_threads() {
    let matrix = crate::conformance::families::random(11, 40_000, 3);
    let found = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut rule = build("nnm | geometric-median", 11, 3).unwrap();
            let (mut out, mut verdict) = (vec![0.0; 40_000], Verdict::default());
            let mut round = Round::of(matrix.rows(), 3);
            rule.aggregate(&mut round, &mut out, &mut verdict);
            verdict.evidence(&rule, &round, &out)
        })
    };
    let one = found(1);
    assert!([2, 8].into_iter().all(|threads| found(threads) == one));
}
