//! Sorting networks: Batcher's merge of any two lengths, pruned to the outputs that are read.
//!
//! Also compiled into the build script, which turns the networks of common sizes into
//! straight-line code.

/// What of a comparator's two outputs is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Both.
    Both,
    /// The lesser.
    Least,
    /// The greater.
    Greatest,
}

/// A comparator: afterwards wire `a` holds the lesser of the two and wire `b` the greater.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparator {
    pub(crate) a: usize,
    pub(crate) b: usize,
    pub(crate) read: Read,
}

/// A network over n wires.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    /// The comparators in order.
    pub(crate) comparators: Vec<Comparator>,
    /// order[r] is the wire that ends with the value of rank r (if rank r was asked for).
    pub(crate) order: Vec<usize>,
}

/// The network that puts the ranks `from` to `to` − 1 of n values onto their wires.
///
/// Comparators come depth first: a half is sorted before the other is touched, so that
/// straight-line code of many wires needs few registers at a time.
pub(crate) fn network(n: usize, from: usize, to: usize) -> Network {
    let mut comparators = Vec::new();
    let order = sort(&(0..n).collect::<Vec<_>>(), &mut comparators);
    let mut read = vec![false; n];
    for &wire in &order[from..to] {
        read[wire] = true;
    }
    let mut kept: Vec<Comparator> = Vec::new();
    for &(a, b) in comparators.iter().rev() {
        let what = match (read[a], read[b]) {
            (true, true) => Read::Both,
            (true, false) => Read::Least,
            (false, true) => Read::Greatest,
            (false, false) => continue,
        };
        (read[a], read[b]) = (true, true);
        kept.push(Comparator { a, b, read: what });
    }
    kept.reverse();
    Network { comparators: kept, order }
}

fn sort(wires: &[usize], out: &mut Vec<(usize, usize)>) -> Vec<usize> {
    if wires.len() < 2 {
        return wires.to_vec();
    }
    let (low, high) = wires.split_at(wires.len().div_ceil(2));
    let (low, high) = (sort(low, out), sort(high, out));
    merge(&low, &high, out)
}

/// Batcher's odd-even merge: the even-placed and the odd-placed values of both lists merge apart,
/// then neighbours are compared.
fn merge(x: &[usize], y: &[usize], out: &mut Vec<(usize, usize)>) -> Vec<usize> {
    if x.is_empty() || y.is_empty() {
        return [x, y].concat();
    }
    if x.len() == 1 && y.len() == 1 {
        out.push((x[0], y[0]));
        return vec![x[0], y[0]];
    }
    let every_other = |list: &[usize], from: usize| -> Vec<usize> {
        list.iter().skip(from).step_by(2).copied().collect()
    };
    let even = merge(&every_other(x, 0), &every_other(y, 0), out);
    let odd = merge(&every_other(x, 1), &every_other(y, 1), out);
    let mut merged = vec![even[0]];
    for i in 0..odd.len().max(even.len() - 1) {
        match (odd.get(i), even.get(i + 1)) {
            (Some(&a), Some(&b)) => {
                out.push((a, b));
                merged.extend([a, b]);
            }
            (Some(&a), None) | (None, Some(&a)) => merged.push(a),
            (None, None) => {}
        }
    }
    merged
}
