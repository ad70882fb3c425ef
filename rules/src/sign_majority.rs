//! Majority of signs over rows (Bernstein et al. 2019, algorithm 1): per coordinate, the sign of the sum
//! of the rows' signs.
//!
//! The answer is −1, 0 or 1 whatever the rows' lengths. Workers that send packed signs are
//! tallied by the vote of the same name; this rule takes rows of floats.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[3.0, 1.0], [-0.1, -2.0], [9.0, 0.0]]);
//! let mut out = [0.0; 2];
//! build("sign-majority", 3, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [1.0, 0.0]);
//! ```

use crate::{Bound, Claims, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict};
use varangian_base::kernels::ballots;
use varangian_base::{Kind, Param};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "sign-majority",
    summary: "coordinate-wise sign of the sum of the rows' signs",
    paper: "Bernstein, Zhao, Azizzadenesheli & Anandkumar, signSGD with Majority Vote, ICLR 2019, arXiv 1810.05291, algorithm 1",
    differs: &[
        "ties = zero lets a worker abstain with 0 and leaves tied coordinates at 0; one-bit workers cannot",
    ],
    params: &[Param {
        name: "ties",
        kind: Kind::Choice(&["zero", "plus-one"]),
        default: "zero",
        help: "what a zero and a tied vote count as: 0, or +1 as in the paper's one-bit code",
    }],
    cost: "O(n·d)",
    facts: RuleFacts {
        bound: Bound::majority("Bernstein et al. 2019, theorem 2"),
        claims: Claims { permutation: true, coordinate_wise: true, ..Claims::NONE },
        ..RuleFacts::RULE
    },
    build: |args| {
        let tie = i32::from(args.text("ties") == "plus-one");
        Ok(Box::new(Stage::Rule(Box::new(SignMajority { tie }))))
    },
};

#[derive(Clone)]
struct SignMajority {
    tie: i32,
}

impl Rule for SignMajority {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], _: &mut Verdict) {
        let tie = self.tie;
        ballots::sign_sums(round.rows, tie, out, |sum| match sum {
            0 => tie as f32,
            sum => sum.signum() as f32,
        });
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}

/// Zeros and ties count as `tie`.
#[cfg(test)]
pub(crate) fn reference(rows: &[Vec<f64>], tie: f64) -> Vec<f64> {
    let sign = |x: f64| if x == 0.0 { tie } else { x.signum() };
    crate::conformance::by_column(rows, |column| sign(column.iter().map(|&x| sign(x)).sum()))
}
