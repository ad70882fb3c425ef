//! Who exchanges models with whom: undirected graphs over the ids of all nodes.

use varangian_base::{Domain, Kind, Param, Seed, SpecError, spec};

/// The worker at which graphs are drawn in `Domain::Participation`; who takes part in a round is
/// drawn at 0, and no run has both.
const GRAPH: u32 = 1;

/// A family of graphs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Everybody with everybody.
    Complete,
    /// Each node with the `reach` next ones on either side.
    Ring {
        /// Neighbours on a side.
        reach: usize,
    },
    /// A grid whose ends meet, as square as n allows; each node has four neighbours, or fewer where
    /// a side is shorter than three.
    Torus,
    /// Each pair with probability p (Erdős–Rényi).
    Random {
        /// The probability of an edge.
        p: f64,
    },
}

const REACH: &[Param] = &[Param {
    name: "reach",
    kind: Kind::Count { min: 1, max: 1 << 20 },
    default: "1",
    help: "neighbours on either side",
}];
const CHANCE: &[Param] = &[Param {
    name: "p",
    kind: Kind::Real { min: 0.0, max: 1.0 },
    default: "0.5",
    help: "probability of an edge",
}];

/// The families by name, with a summary and parameters each.
pub static SHAPES: &[(&str, &str, &[Param])] = &[
    ("complete", "everybody with everybody", &[]),
    ("ring", "each with the next ones on either side", REACH),
    ("torus", "a grid whose ends meet", &[]),
    ("erdos-renyi", "each pair by a coin of its own", CHANCE),
];

impl Shape {
    /// Reads `complete`, `ring reach=2`, `torus` or `erdos-renyi p=0.5`.
    ///
    /// # Errors
    /// If the name or a parameter is unknown or out of range.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let spec = spec::parse(text)?;
        let Some((name, _, params)) = SHAPES.iter().find(|(name, ..)| *name == spec.name) else {
            let known: Vec<&str> = SHAPES.iter().map(|(name, ..)| *name).collect();
            return Err(SpecError::unknown("graph", &spec.name, &known));
        };
        let args = spec.args(params)?;
        Ok(match *name {
            "ring" => Shape::Ring { reach: args.count("reach").expect("has a default") },
            "torus" => Shape::Torus,
            "erdos-renyi" => Shape::Random { p: args.real("p").expect("has a default") },
            _ => Shape::Complete,
        })
    }

    /// The graph of n nodes that is drawn at `step`.
    pub fn draw(self, n: usize, seed: Seed, step: u64) -> Graph {
        let mut edges = vec![false; n * n];
        let mut join = |a: usize, b: usize| {
            if a != b {
                (edges[a * n + b], edges[b * n + a]) = (true, true);
            }
        };
        match self {
            Shape::Complete => (0..n).for_each(|a| (0..a).for_each(|b| join(a, b))),
            Shape::Ring { reach } => {
                let reach = reach.min(n / 2);
                (0..n).for_each(|a| (1..=reach).for_each(|k| join(a, (a + k) % n)));
            }
            Shape::Torus => {
                let rows = (1..=n).rev().find(|r| r * r <= n && n.is_multiple_of(*r)).unwrap_or(1);
                let columns = n / rows;
                for a in 0..n {
                    let (row, column) = (a / columns, a % columns);
                    join(a, row * columns + (column + 1) % columns);
                    join(a, (row + 1) % rows * columns + column);
                }
            }
            Shape::Random { p } => {
                let mut stream = seed.stream(Domain::Participation, GRAPH, step);
                (0..n).for_each(|a| {
                    (0..a).for_each(|b| {
                        if stream.coin(p) {
                            join(a, b);
                        }
                    });
                });
            }
        }
        let of = |a: usize| (0..n as u32).filter(|&b| edges[a * n + b as usize]).collect();
        Graph { neighbours: (0..n).map(of).collect() }
    }
}

/// An undirected graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// Of each node its neighbours, ascending, itself not among them.
    neighbours: Vec<Vec<u32>>,
}

impl Graph {
    /// The neighbours of a node, ascending.
    pub fn neighbours(&self, node: u32) -> &[u32] {
        &self.neighbours[node as usize]
    }

    /// Metropolis' weight of the edge between two neighbours: 1/(1 + the larger degree). With what
    /// is left at the node itself, these are symmetric and of sum 1.
    pub fn weight(&self, a: u32, b: u32) -> f64 {
        1.0 / (1 + self.neighbours(a).len().max(self.neighbours(b).len())) as f64
    }

    /// The mean number of neighbours.
    pub fn degree(&self) -> f64 {
        let all: usize = self.neighbours.iter().map(Vec::len).sum();
        all as f64 / self.neighbours.len().max(1) as f64
    }

    /// Whether one can go from each of `nodes` to each other along edges among them.
    pub fn connects(&self, nodes: &[u32]) -> bool {
        let Some(&first) = nodes.first() else { return true };
        let (mut seen, mut open) = (vec![first], vec![first]);
        while let Some(node) = open.pop() {
            for &other in self.neighbours(node) {
                if nodes.contains(&other) && !seen.contains(&other) {
                    seen.push(other);
                    open.push(other);
                }
            }
        }
        seen.len() == nodes.len()
    }

    /// The eigenvalues of the Laplacian of the graph among `nodes`, ascending: the second is its
    /// algebraic connectivity μ₂. By Jacobi's rotations; cost O(k³) a sweep for k nodes.
    pub fn laplacian(&self, nodes: &[u32]) -> Vec<f64> {
        let k = nodes.len();
        let mut a = vec![0.0; k * k];
        for (i, &node) in nodes.iter().enumerate() {
            for (j, other) in nodes.iter().enumerate() {
                if self.neighbours(node).contains(other) {
                    a[i * k + j] = -1.0;
                    a[i * k + i] += 1.0;
                }
            }
        }
        for _ in 0..60 {
            let off: f64 =
                (0..k * k).filter(|at| at / k != at % k).map(|at| a[at] * a[at]).sum::<f64>();
            if off < 1e-20 {
                break;
            }
            for p in 0..k {
                for q in p + 1..k {
                    rotate(&mut a, k, p, q);
                }
            }
        }
        let mut out: Vec<f64> = (0..k).map(|i| a[i * k + i]).collect();
        out.sort_by(f64::total_cmp);
        out
    }
}

/// One rotation that sets the entry (p, q) of a symmetric matrix to 0.
fn rotate(a: &mut [f64], k: usize, p: usize, q: usize) {
    let apq = a[p * k + q];
    if apq == 0.0 {
        return;
    }
    let theta = (a[q * k + q] - a[p * k + p]) / (2.0 * apq);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let t = if theta == 0.0 { 1.0 } else { t };
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for i in 0..k {
        let (x, y) = (a[i * k + p], a[i * k + q]);
        (a[i * k + p], a[i * k + q]) = (c * x - s * y, s * x + c * y);
    }
    for i in 0..k {
        let (x, y) = (a[p * k + i], a[q * k + i]);
        (a[p * k + i], a[q * k + i]) = (c * x - s * y, s * x + c * y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(text: &str, n: usize, step: u64) -> Graph {
        Shape::parse(text).unwrap().draw(n, Seed(3), step)
    }

    #[test]
    fn each_family_has_its_edges() {
        assert_eq!(draw("ring", 5, 0).neighbours(0), [1, 4]);
        assert_eq!(draw("ring reach=2", 7, 0).neighbours(6), [0, 1, 4, 5]);
        assert_eq!(draw("ring reach=9", 5, 0), draw("complete", 5, 0));
        let torus = draw("torus", 12, 0);
        assert_eq!((torus.neighbours(0), torus.degree()), (&[1, 3, 4, 8][..], 4.0));
        assert_eq!(draw("torus", 2, 0).neighbours(1), [0]);
        let random = draw("erdos-renyi p=0.4", 60, 0);
        assert!((0.4 * 59.0 - random.degree()).abs() < 3.0, "{}", random.degree());
        for a in 0..60 {
            assert!(random.neighbours(a).iter().all(|&b| random.neighbours(b).contains(&a)));
        }
        assert_ne!(random, draw("erdos-renyi p=0.4", 60, 1));
        assert!(Shape::parse("rings").unwrap_err().to_string().contains("did you mean \"ring\""));
    }

    #[test]
    fn connectivity_is_known_of_rings_and_complete_graphs() {
        let nodes: Vec<u32> = (0..8).collect();
        let ring = draw("ring", 8, 0);
        let found = ring.laplacian(&nodes);
        for (k, wanted) in [(0, 0.0), (1, 2.0 - 2f64.sqrt()), (7, 4.0)] {
            assert!((found[k] - wanted).abs() < 1e-9, "{k}: {} {wanted}", found[k]);
        }
        let found = draw("complete", 8, 0).laplacian(&nodes);
        assert!(found[0].abs() < 1e-9 && found[1..].iter().all(|x| (x - 8.0).abs() < 1e-9));
        assert!(ring.connects(&nodes) && ring.connects(&[0, 1, 7]));
        assert!(!ring.connects(&[0, 2]) && !ring.connects(&[0, 1, 4]));
    }
}
