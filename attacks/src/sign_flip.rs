//! Sign flip: the hostile workers send −s times a gradient (Allen-Zhu et al. 2021, §5; called bit
//! flip by Karimireddy et al. 2022).
//!
//! Whose gradient: each worker's own (the paper), the honest mean, the first hostile worker's own
//! for all (Zeno's code: a collusive copy), or the sum of all n gradients (Zeno's "omniscient").

use crate::write::{colluders, nearest};
use crate::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian_base::blocks::{self, BLOCK};
use varangian_base::spec::Args;
use varangian_base::{Kind, Param, Rows, RowsMut, SpecError};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "sign-flip",
    summary: "each hostile worker sends its own gradient times −scale",
    paper: "Allen-Zhu, Ebrahimianghazani, Li & Alistarh, Byzantine-Resilient Non-Convex SGD, ICLR 2021, arXiv 2012.14368, §5",
    differs: &[],
    params: &[
        Param {
            name: "scale",
            kind: Kind::Real { min: 0.0, max: 1e30 },
            default: "1",
            help: "the factor; Zeno++'s authors use 10, Zeno's omniscient attack 1e10",
        },
        Param {
            name: "of",
            kind: Kind::Choice(&["own", "mean", "first", "sum"]),
            default: "own",
            help: "what is flipped: the worker's own gradient, the honest mean, the first hostile worker's own for all (Zeno's code), the sum of all n gradients",
        },
    ],
    cost: "O(f·d); of=mean and of=sum O(n·d)",
    facts: AttackFacts::reads(Sees::OWN),
    build,
};

pub(crate) static BLIND: AttackEntry = AttackEntry {
    name: "blind-inversion",
    summary: "each hostile worker negates what it would have sent, signs or momentum",
    paper: "Akoun & Meyer, SignSGD: Fault-Tolerance to Blind and Byzantine Adversaries, 2022, arXiv 2202.02085, §2",
    differs: &[],
    params: &[],
    cost: "O(f·d)",
    facts: AttackFacts::reads(Sees::OWN),
    build: |_| Ok(Box::new(SignFlip { scale: 1.0, of: Of::Own })),
};

fn build(args: &Args) -> Result<Box<dyn Attack>, SpecError> {
    let scale = args.real("scale").expect("has a default");
    let of = match args.text("of") {
        "own" => Of::Own,
        "mean" => Of::Mean,
        "first" => Of::First,
        _ => Of::Sum,
    };
    Ok(Box::new(SignFlip { scale, of }))
}

#[derive(Clone, Copy)]
enum Of {
    Own,
    Mean,
    First,
    Sum,
}

#[derive(Clone)]
struct SignFlip {
    scale: f64,
    of: Of,
}

impl SignFlip {
    fn flip(&self, row: &[f32], out: &mut [f32]) {
        let scale = -self.scale as f32;
        blocks::fill(out, BLOCK, |range, part| {
            for (out, &x) in part.iter_mut().zip(&row[range]) {
                *out = scale * x;
            }
        });
    }

    fn flip_sum(&self, parts: [Rows<'_>; 2], out: &mut [f32]) {
        blocks::fill(out, BLOCK, |range, part| {
            for (k, out) in range.zip(part) {
                let rows = parts.iter().flat_map(Rows::iter);
                let sum: f64 = rows.map(|row| f64::from(row[k])).sum();
                *out = nearest(-self.scale * sum);
            }
        });
    }
}

impl Attack for SignFlip {
    fn forge(&mut self, view: &mut View<'_>, mut out: RowsMut<'_>) {
        match self.of {
            Of::Own => {
                for (row, own) in out.iter_mut().zip(view.own.iter()) {
                    self.flip(own, row);
                }
            }
            Of::First => {
                colluders(out, |range, part| self.flip(&view.own.row(0)[range], part));
            }
            Of::Sum => colluders(out, |range, part| {
                let parts = [view.honest, view.own].map(|rows| rows.columns(range.clone()));
                self.flip_sum(parts, part);
            }),
            Of::Mean => colluders(out, |range, part| {
                crate::write::scaled_mean(view.honest.columns(range), -self.scale, part);
            }),
        }
    }

    fn sees(&self) -> Sees {
        match self.of {
            Of::Own | Of::First => Sees::OWN,
            Of::Mean => Sees::HONEST,
            Of::Sum => Sees::OWN.or(Sees::HONEST),
        }
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }

    fn check(&self, honest: usize, _: usize, _: usize) -> Result<(), String> {
        match self.of {
            Of::Mean if honest == 0 => Err("at least 1 honest worker".into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::scene::{HAND, forge};

    #[test]
    fn each_kind_flips_what_it_says() {
        let own: &[&[f32]] = &[&[1.0, -2.0], &[5.0, 0.5]];
        let send = |spec| forge(spec, HAND, own, 2);
        assert_eq!(send("sign-flip"), [[-1.0, 2.0], [-5.0, -0.5]]);
        assert_eq!(send("blind-inversion"), send("sign-flip"));
        assert_eq!(send("sign-flip scale=10"), [[-10.0, 20.0], [-50.0, -5.0]]);
        assert_eq!(send("sign-flip of=first"), [[-1.0, 2.0]; 2]);
        assert_eq!(send("sign-flip of=mean scale=2"), [[-4.0, -2.0]; 2]);
        assert_eq!(send("sign-flip of=sum"), [[-12.0, -1.5]; 2]);
    }
}
