//! Aksel (Boussetta, El Mhamdi, Guerraoui, Maurer & Rouault 2021): the mean of the k rows nearest
//! to the coordinate-wise median, k = ⌊(n + 1)/2⌋ (`mid`) or n − f. Ties go to the lower id.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0], [1.0], [2.0], [3.0], [100.0]]);
//! let mut out = [0.0];
//! build("aksel", 5, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [2.0]);
//! ```

use crate::median::{MIDDLE, Middle};
use crate::select::sort_by_key;
use crate::{Bound, Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};
use varangian_base::kernels::{columns, combine, norms};
use varangian_base::{Kind, Param};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "aksel",
    summary: "mean of the rows nearest to the coordinate-wise median",
    paper: "Boussetta, El Mhamdi, Guerraoui, Maurer & Rouault, AKSEL: Fast Byzantine SGD, OPODIS 2020",
    differs: &[],
    params: &[
        Param {
            name: "mode",
            kind: Kind::Choice(&["mid", "n-f"]),
            default: "mid",
            help: "rows averaged: ⌊(n + 1)/2⌋, or n − f",
        },
        MIDDLE,
    ],
    cost: "O(n·d)",
    facts: RuleFacts {
        bound: Bound::majority("Boussetta et al. 2020"),
        claims: Claims { rotation: false, ..Claims::GEOMETRIC },
        weights: true,
        excluded: "not among the {k} rows nearest to the median",
        kappa: Kappa::Open("none known"),
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |args| {
        let (half, middle) = (args.text("mode") == "mid", Middle::of(args));
        let (squared, order) = Default::default();
        Ok(Box::new(Stage::Rule(Box::new(Aksel { half, middle, squared, order }))))
    },
};

#[derive(Clone)]
struct Aksel {
    half: bool,
    middle: Middle,
    squared: Vec<f64>,
    order: Vec<usize>,
}

impl Rule for Aksel {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        let n = round.rows.n();
        match self.middle {
            Middle::Lower => columns::lower_median(round.rows, out),
            _ => columns::median(round.rows, out),
        }
        norms::rows_distance2(round.rows, out, &mut self.squared);
        sort_by_key(&self.squared, &mut self.order);
        let keep = if self.half { n.div_ceil(2) } else { n - round.f };
        verdict.selection(n, &self.order[..keep]);
        combine::combine(round.rows, &verdict.weights, out);
    }

    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        let n = round.n();
        let centre = crate::median::exact(round.rows, self.middle);
        let order = exact::in_order(&exact::distances2(round.rows, &centre));
        let keep = if self.half { n.div_ceil(2) } else { n - round.f };
        Ok(verdict.blend(round.rows, &exact::Blend::selection(n, &order[..keep])))
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}
