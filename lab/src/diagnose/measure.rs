//! What is measured of the rows of one step.

use super::Sent;
use varangian_base::blocks;
use varangian_base::kernels::columns;
use varangian_base::kernels::distances::Pairs;

/// What was measured of one row.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Its Euclidean length; the largest double where it is beyond.
    pub norm: f64,
    /// Its distance from the coordinate-wise median of the rows of its step, likewise.
    pub off: f64,
    /// Its cosine with that median; 0 where one of them has no length.
    pub cosine: f64,
    /// The coordinate in which it is farthest from that median.
    pub peak: usize,
    /// The part of the squared distance that lies in that coordinate.
    pub peak_part: f64,
    /// Its value there, and the median's.
    pub at_peak: (f64, f64),
    /// The hash of its bits.
    pub(super) hash: [u8; 32],
}

/// A row a finite row.
pub(super) fn looks(rows: &Sent) -> Vec<Look> {
    let mut looks = Vec::new();
    match rows {
        Sent::Single(matrix) if matrix.n() > 0 => {
            let mut median = vec![0.0f32; matrix.d()];
            columns::median(matrix.rows(), &mut median);
            let median: Vec<f64> = median.into_iter().map(f64::from).collect();
            blocks::map(matrix.n(), 1, &mut looks, |range, slot| {
                let row: Vec<f64> = matrix.row(range.start).iter().map(|&x| f64::from(x)).collect();
                *slot = look(&row, &median);
            });
        }
        Sent::Double(rows) if !rows.is_empty() => {
            let median = column_medians(rows);
            blocks::map(rows.len(), 1, &mut looks, |range, slot| {
                *slot = look(&rows[range.start], &median);
            });
        }
        _ => {}
    }
    looks
}

/// The cosine of row i with the coordinate-wise median of all others.
pub(super) fn cosine_with_others(rows: &Sent, i: usize) -> f64 {
    let wide = |row: &[f32]| row.iter().map(|&x| f64::from(x)).collect();
    let (own, others): (Vec<f64>, Vec<Vec<f64>>) = match rows {
        Sent::Single(matrix) => {
            let others = (0..matrix.n()).filter(|&j| j != i).map(|j| wide(matrix.row(j)));
            (wide(matrix.row(i)), others.collect())
        }
        Sent::Double(rows) => {
            let others = (0..rows.len()).filter(|&j| j != i).map(|j| rows[j].clone());
            (rows[i].clone(), others.collect())
        }
    };
    match others.is_empty() {
        true => 0.0,
        false => look(&own, &column_medians(&others)).cosine,
    }
}

/// The distances between all pairs of rows.
fn between(rows: &Sent) -> Vec<Vec<f64>> {
    match rows {
        Sent::Single(matrix) => {
            let (mut pairs, n) = (Pairs::default(), matrix.n());
            pairs.squared_distances(matrix.rows());
            (0..n).map(|i| (0..n).map(|j| pairs.at(i, j).sqrt()).collect()).collect()
        }
        Sent::Double(rows) => {
            let apart = |a: &[f64], b: &[f64]| {
                let (most, long) = length(|k| a[k] / 2.0 - b[k] / 2.0, a.len());
                most * long
            };
            rows.iter().map(|a| rows.iter().map(|b| apart(a, b)).collect()).collect()
        }
    }
}

/// The places of the rows in the two parts that the longest edge of their shortest spanning tree
/// joins, smaller first, where that edge is twice as long as any other.
pub(super) fn two_groups(rows: &Sent) -> Option<[Vec<usize>; 2]> {
    let apart = between(rows);
    let n = apart.len();
    if n < 2 {
        return None;
    }
    // Prim's: to each row not yet in the tree, the nearest row in it.
    let (mut nearest, mut inside) = (vec![0; n], vec![false; n]);
    inside[0] = true;
    let mut edges = Vec::new();
    for _ in 1..n {
        let outside = (0..n).filter(|&i| !inside[i]);
        let next =
            outside.min_by(|&i, &j| apart[i][nearest[i]].total_cmp(&apart[j][nearest[j]]))?;
        edges.push((apart[next][nearest[next]], next, nearest[next]));
        inside[next] = true;
        for i in (0..n).filter(|&i| !inside[i]) {
            if apart[i][next] < apart[i][nearest[i]] {
                nearest[i] = next;
            }
        }
    }
    edges.sort_by(|a, b| b.0.total_cmp(&a.0));
    let second = edges.get(1).map_or(0.0, |edge| edge.0);
    if edges[0].0 < 2.0 * second || edges[0].0 == 0.0 {
        return None;
    }
    // Without it, what hangs together with one of its ends.
    let mut part = vec![edges[0].1];
    while let Some(more) =
        edges[1..].iter().find_map(|&(_, a, b)| match (part.contains(&a), part.contains(&b)) {
            (true, false) => Some(b),
            (false, true) => Some(a),
            _ => None,
        })
    {
        part.push(more);
    }
    part.sort_unstable();
    let rest: Vec<usize> = (0..n).filter(|i| !part.contains(i)).collect();
    let order = |group: &Vec<usize>| (group.len(), group.first().copied());
    Some(if order(&part) <= order(&rest) { [part, rest] } else { [rest, part] })
}

fn column_medians(rows: &[Vec<f64>]) -> Vec<f64> {
    let mut out = vec![0.0; rows[0].len()];
    blocks::fill(&mut out, 256, |range, out| {
        for (x, k) in out.iter_mut().zip(range) {
            *x = median(rows.iter().map(|row| row[k]).collect());
        }
    });
    out
}

/// The middle of some numbers, or half way between the middle two.
pub(super) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    match numbers.len() {
        0 => f64::NAN,
        n => numbers[(n - 1) / 2] / 2.0 + numbers[n / 2] / 2.0,
    }
}

fn look(row: &[f64], median: &[f64]) -> Look {
    let (most, long) = length(|k| row[k], row.len());
    let (most_median, long_median) = length(|k| median[k], row.len());
    // Halves: no difference of finite numbers overflows.
    let apart = |k: usize| row[k] / 2.0 - median[k] / 2.0;
    let (most_apart, far) = length(apart, row.len());
    let mut cosine = 0.0;
    if most > 0.0 && most_median > 0.0 {
        let products = row.iter().zip(median).map(|(x, m)| (x / most) * (m / most_median));
        cosine = (products.sum::<f64>() / (long * long_median)).clamp(-1.0, 1.0);
    }
    let peak = (0..row.len()).find(|&k| apart(k).abs() == most_apart).unwrap_or(0);
    let mut hasher = blake3::Hasher::new();
    row.iter().for_each(|x| {
        hasher.update(&x.to_bits().to_le_bytes());
    });
    Look {
        norm: (most * long).min(f64::MAX),
        off: (2.0 * (most_apart * far)).min(f64::MAX),
        cosine,
        peak,
        peak_part: if most_apart > 0.0 { 1.0 / (far * far) } else { 0.0 },
        at_peak: (row[peak], median[peak]),
        hash: *hasher.finalize().as_bytes(),
    }
}

/// The largest size of an entry, and the length of the vector over it: their product is the length,
/// whatever the magnitude.
fn length(entry: impl Fn(usize) -> f64, d: usize) -> (f64, f64) {
    let most = (0..d).map(|k| entry(k).abs()).fold(0.0, f64::max);
    if most == 0.0 {
        return (0.0, 0.0);
    }
    (most, (0..d).map(|k| (entry(k) / most).powi(2)).sum::<f64>().sqrt())
}
