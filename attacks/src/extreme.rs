//! The edges of the number format: NaN, infinities, the largest, smallest and denormal floats. The
//! cheapest attack, and one that breaks many implementations.

use crate::{Attack, AttackEntry, AttackFacts, Ground, Sees, View};
use varangian_base::{Kind, Param, RowsMut};

pub(crate) static NON_FINITE: AttackEntry = AttackEntry {
    name: "non-finite",
    summary: "hostile workers send NaN or infinities",
    paper: "the default attack of El Mhamdi, Guerraoui & Rouault, Distributed Momentum for Byzantine-resilient SGD, ICLR 2021, arXiv 2003.00010 (code)",
    differs: &[],
    params: &[
        Param {
            name: "value",
            kind: Kind::Choice(&["nan", "inf", "minus-inf", "mixed"]),
            default: "nan",
            help: "what is sent; mixed takes turns by coordinate",
        },
        Param {
            name: "every",
            kind: Kind::Count { min: 1, max: usize::MAX },
            default: "1",
            help: "only each every-th coordinate is replaced, the others are the worker's own",
        },
    ],
    cost: "O(f·d)",
    facts: AttackFacts { wild: true, ..AttackFacts::reads(Sees::NOTHING) },
    build: |args| {
        let values: &[f32] = match args.text("value") {
            "nan" => &[f32::NAN],
            "inf" => &[f32::INFINITY],
            "minus-inf" => &[f32::NEG_INFINITY],
            _ => &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY],
        };
        Ok(Box::new(Extreme { values, every: args.count("every").expect("has a default") }))
    },
};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "extreme",
    summary: "hostile workers send finite numbers at the edges of the float format",
    paper: "folklore",
    differs: &[],
    params: &[
        Param {
            name: "value",
            kind: Kind::Choice(&[
                "huge",
                "minus-huge",
                "max",
                "alternating",
                "tiny",
                "denormal",
                "negative-zero",
            ]),
            default: "huge",
            help: "1e38; −1e38; the largest float; the largest of either sign in turn; 1e-38; the smallest denormal; −0",
        },
        Param {
            name: "every",
            kind: Kind::Count { min: 1, max: usize::MAX },
            default: "1",
            help: "only each every-th coordinate is replaced, the others are the worker's own",
        },
    ],
    cost: "O(f·d)",
    facts: AttackFacts::reads(Sees::NOTHING),
    build: |args| {
        let values: &[f32] = match args.text("value") {
            "huge" => &[1e38],
            "minus-huge" => &[-1e38],
            "max" => &[f32::MAX],
            "alternating" => &[f32::MAX, f32::MIN],
            "tiny" => &[1e-38],
            "denormal" => &[1e-45],
            _ => &[-0.0],
        };
        Ok(Box::new(Extreme { values, every: args.count("every").expect("has a default") }))
    },
};

#[derive(Clone)]
struct Extreme {
    values: &'static [f32],
    every: usize,
}

impl Attack for Extreme {
    fn forge(&mut self, view: &mut View<'_>, mut out: RowsMut<'_>) {
        if self.every > 1 {
            crate::none::honest(view, out.reborrow());
        }
        for row in out.iter_mut() {
            for (turn, x) in row.iter_mut().step_by(self.every).enumerate() {
                *x = self.values[turn % self.values.len()];
            }
        }
    }

    fn sees(&self) -> Sees {
        if self.every > 1 { Sees::OWN } else { Sees::NOTHING }
    }

    fn fits(&self, ground: Ground<'_>) -> Result<(), String> {
        let (every, d) = (self.every, ground.d);
        (every <= d).then_some(()).ok_or_else(|| format!("every ≤ d = {d}; every = {every}"))
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use crate::scene::forge_wide;

    #[test]
    fn the_edges_are_what_they_say() {
        let first = |spec| forge_wide(spec, 3, 2, 4)[1].clone();
        assert!(first("non-finite").iter().all(|x| x.is_nan()));
        assert_eq!(first("non-finite value=minus-inf"), [f32::NEG_INFINITY; 4]);
        assert_eq!(first("non-finite value=mixed")[1..3], [f32::INFINITY, f32::NEG_INFINITY]);
        assert_eq!(first("extreme value=alternating"), [f32::MAX, f32::MIN, f32::MAX, f32::MIN]);
        assert!(first("extreme value=denormal")[0].is_subnormal());
        assert!(first("extreme value=negative-zero")[0].to_bits() == 1 << 31);
        let sparse = first("non-finite every=3");
        assert!(sparse[0].is_nan() && sparse[3].is_nan());
        assert_eq!(sparse[1..3], forge_wide("none", 3, 2, 4)[1][1..3]);
    }
}
