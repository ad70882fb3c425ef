//! The server of RSA, Byzantine-robust stochastic aggregation (Li, Xu, Chen, Giannakis & Ling 2019,
//! algorithm 1, the ℓ₁ norm): λ times the sum of the signs that were sent.
//!
//! Each worker keeps a copy xᵢ of the parameters and sends sign(x₀ − xᵢ) of the server's x₀
//! (`message = "rsa"`); the server steps by its own regulariser (weight decay) and by λ·Σ sign(x₀ −
//! xᵢ), the gradient of the penalty λ·Σ‖x₀ − xᵢ‖₁. A hostile worker pushes each coordinate by no
//! more than λ, whatever it sends: what is read of a row is its signs.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[1.0, -1.0], [1.0, 0.0], [-9e9, -1.0]]);
//! let mut out = [0.0; 2];
//! build("rsa lambda=0.5", 3, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [0.5, -1.0]);
//! ```

use crate::{Bound, Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};
use varangian_base::{Kind, Param};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "rsa",
    summary: "λ times the sum of the rows' signs: the server of RSA",
    paper: "Li, Xu, Chen, Giannakis & Ling, RSA: Byzantine-Robust Stochastic Aggregation Methods for Distributed Learning from Heterogeneous Datasets, AAAI 2019, arXiv 1811.03761, algorithm 1 and eq. (8)",
    differs: &[
        "workers send the signs that the server would take, at two bits a coordinate; the paper sends their copies",
        "of the ℓp norms ℓ₁ alone",
    ],
    params: &[Param {
        name: "lambda",
        kind: Kind::Real { min: 0.0, max: 1e30 },
        default: "0.01",
        help: "λ, the weight of the penalty; that of message=\"rsa\"",
    }],
    cost: "O(n·d)",
    facts: RuleFacts {
        bound: Bound::majority("Li et al. 2019"),
        claims: Claims { permutation: true, coordinate_wise: true, ..Claims::NONE },
        kappa: Kappa::Open("none: the answer has no length of the rows"),
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |args| {
        let lambda = args.real("lambda").expect("has a default");
        Ok(Box::new(Stage::Rule(Box::new(Rsa { lambda, room: Vec::new() }))))
    },
};

#[derive(Clone)]
struct Rsa {
    lambda: f64,
    room: Vec<f32>,
}

impl Rule for Rsa {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], _: &mut Verdict) {
        out.fill(0.0);
        for i in 0..round.rows.n() {
            let row = round.rows.row(i, &mut self.room);
            let sign = |x: f32| f32::from(i8::from(x > 0.0) - i8::from(x < 0.0));
            out.iter_mut().zip(row).for_each(|(sum, &x)| *sum += sign(x));
        }
        out.iter_mut().for_each(|x| *x = (self.lambda * f64::from(*x)) as f32);
    }

    fn exact(&self, round: &exact::Round<'_>, _: &mut Verdict) -> Result<Vec<f64>, String> {
        let votes = |column: &[f64]| {
            let above = column.iter().filter(|x| **x > 0.0).count() as f64;
            let below = column.iter().filter(|x| **x < 0.0).count() as f64;
            self.lambda * (above - below)
        };
        Ok(exact::by_column(round.rows, votes))
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}
