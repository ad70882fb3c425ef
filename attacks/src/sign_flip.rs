//! Sign flip: each hostile worker sends −s times its own gradient (Allen-Zhu et al. 2021, §5; called
//! bit flip by Karimireddy et al. 2022).

use crate::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian_base::{Kind, Param, RowsMut};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "sign-flip",
    summary: "each hostile worker sends its own gradient times −scale",
    paper: "Allen-Zhu, Ebrahimianghazani, Li & Alistarh, Byzantine-Resilient Non-Convex SGD, ICLR 2021, arXiv 2012.14368, §5",
    differs: &[],
    params: &[Param {
        name: "scale",
        kind: Kind::Real { min: 0.0, max: 1e30 },
        default: "1",
        help: "the factor; Zeno++'s authors use 10",
    }],
    cost: "O(f·d)",
    facts: AttackFacts {
        sees: Sees { own: true, honest: false, rule: false, server: false },
        poisons: false,
        has_memory: false,
    },
    build: |args| {
        let scale = args.real("scale").expect("has a default") as f32;
        Ok(Box::new(SignFlip { scale }))
    },
};

#[derive(Clone)]
struct SignFlip {
    scale: f32,
}

impl Attack for SignFlip {
    fn forge(&mut self, view: &mut View<'_>, mut out: RowsMut<'_>) {
        for i in 0..out.n() {
            for (out, &x) in out.row_mut(i).iter_mut().zip(view.own.row(i)) {
                *out = -self.scale * x;
            }
        }
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }
}
