//! Constant rows, zero among them (a free rider; Allen-Zhu et al. 2021, §5).

use crate::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian_base::{Kind, Param, RowsMut};

pub(crate) static ZERO: AttackEntry = AttackEntry {
    name: "zero",
    summary: "hostile workers send zeros: free riders",
    paper: "Allen-Zhu, Ebrahimianghazani, Li & Alistarh, Byzantine-Resilient Non-Convex SGD, ICLR 2021, arXiv 2012.14368, §5",
    differs: &[],
    params: &[],
    cost: "O(f·d)",
    facts: AttackFacts::reads(Sees::NOTHING),
    build: |_| Ok(Box::new(Constant { value: 0.0 })),
};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "constant",
    summary: "every coordinate of every hostile row has the same value",
    paper: "Li, Xu, Chen, Giannakis & Ling, RSA, AAAI 2019, arXiv 1811.03761, §5 (same-value attack)",
    differs: &[],
    params: &[Param {
        name: "value",
        kind: Kind::Real { min: f32::MIN as f64, max: f32::MAX as f64 },
        default: "100",
        help: "the value",
    }],
    cost: "O(f·d)",
    facts: AttackFacts::reads(Sees::NOTHING),
    build: |args| {
        Ok(Box::new(Constant { value: args.real("value").expect("has a default") as f32 }))
    },
};

#[derive(Clone)]
struct Constant {
    value: f32,
}

impl Attack for Constant {
    fn forge(&mut self, _: &mut View<'_>, mut out: RowsMut<'_>) {
        out.iter_mut().for_each(|row| row.fill(self.value));
    }

    fn sees(&self) -> Sees {
        Sees::NOTHING
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use crate::scene::forge_wide;

    #[test]
    fn all_coordinates_are_equal() {
        assert_eq!(forge_wide("constant value=-2.5", 3, 2, 5), [[-2.5; 5]; 2]);
        assert_eq!(forge_wide("zero", 3, 2, 5), [[0.0; 5]; 2]);
    }
}
