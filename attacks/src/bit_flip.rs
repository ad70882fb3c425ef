//! Bit flip: chosen bits of chosen coordinates are inverted, as a faulty memory or a silent data
//! corruption would. Zeno's first experiments flip bits 22, 29, 30 and 31 of the first 500
//! coordinates of one gradient that all hostile workers send:
//! `bit-flip bits=22,29,30,31 first=500 of=first`.

use crate::write::{copies, purpose};
use crate::{Attack, AttackEntry, AttackFacts, Ground, Sees, View};
use varangian_base::spec::Args;
use varangian_base::{Domain, Kind, Param, RowsMut, SpecError, Stream};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "bit-flip",
    summary: "chosen bits of random tiles of the worker's own gradient are inverted",
    paper: "Xie, Koyejo & Gupta, Zeno, ICML 2019, arXiv 1805.10032 (code); silent data corruption in Ma et al. 2025, arXiv 2502.12340",
    differs: &[],
    params: &[
        Param {
            name: "bits",
            kind: Kind::Text,
            default: "30",
            help: "bits of the float to invert, 0 (lowest of the fraction) to 31 (sign), separated by commas",
        },
        Param {
            name: "rate",
            kind: Kind::Real { min: 0.0, max: 1.0 },
            default: "0.001",
            help: "the probability that a tile is hit",
        },
        Param {
            name: "tile",
            kind: Kind::Count { min: 1, max: usize::MAX },
            default: "1",
            help: "coordinates that are hit together",
        },
        Param {
            name: "first",
            kind: Kind::Count { min: 0, max: usize::MAX },
            default: "auto",
            help: "hit the first so many coordinates in place of random tiles; auto is random tiles",
        },
        Param {
            name: "of",
            kind: Kind::Choice(&["own", "first"]),
            default: "own",
            help: "whose gradient: each worker's own, or the first hostile worker's for all",
        },
    ],
    cost: "O(f·d)",
    facts: AttackFacts { wild: true, ..AttackFacts::reads(Sees::OWN) },
    build,
};

fn build(args: &Args) -> Result<Box<dyn Attack>, SpecError> {
    let mut mask = 0u32;
    for bit in args.text("bits").split(',') {
        match bit.trim().parse::<u32>() {
            Ok(bit) if bit < 32 => mask |= 1 << bit,
            _ => {
                let why = format!("bits takes numbers from 0 to 31; found \"{bit}\"");
                return Err(SpecError::new(why));
            }
        }
    }
    let first = args.count("first");
    if first.is_some() && (args.is_given("rate") || args.is_given("tile")) {
        return Err(SpecError::new("first takes the place of rate and tile; give one kind"));
    }
    Ok(Box::new(BitFlip {
        mask,
        rate: args.real("rate").expect("has a default"),
        tile: args.count("tile").expect("has a default"),
        first,
        shared: args.text("of") == "first",
    }))
}

#[derive(Clone)]
struct BitFlip {
    mask: u32,
    rate: f64,
    tile: usize,
    first: Option<usize>,
    shared: bool,
}

impl BitFlip {
    fn flip(&self, part: &mut [f32]) {
        for x in part {
            *x = f32::from_bits(x.to_bits() ^ self.mask);
        }
    }

    fn hit(&self, stream: &mut Stream, row: &mut [f32]) {
        if let Some(first) = self.first {
            let first = first.min(row.len());
            return self.flip(&mut row[..first]);
        }
        if self.rate == 0.0 {
            return;
        }
        let tiles = row.len().div_ceil(self.tile);
        let mut t = self.gap(stream);
        while t < tiles {
            let from = t * self.tile;
            let to = (from + self.tile).min(row.len());
            self.flip(&mut row[from..to]);
            t = t.saturating_add(1).saturating_add(self.gap(stream));
        }
    }

    /// Tiles passed over before the next one that is hit: geometric.
    fn gap(&self, stream: &mut Stream) -> usize {
        if self.rate == 1.0 {
            return 0;
        }
        ((1.0 - stream.uniform_f64()).ln() / (-self.rate).ln_1p()) as usize
    }
}

impl Attack for BitFlip {
    fn forge(&mut self, view: &mut View<'_>, mut out: RowsMut<'_>) {
        let lane = u64::from(purpose::BITS) << 32;
        let stream = |worker| view.seed.lane(Domain::Attack, worker, view.step, lane);
        if self.shared {
            return copies(out, |row| {
                row.copy_from_slice(view.own.row(0));
                self.hit(&mut stream(view.own.id(0)), row);
            });
        }
        crate::none::honest(view, out.reborrow());
        for (i, row) in out.iter_mut().enumerate() {
            self.hit(&mut stream(view.own.id(i)), row);
        }
    }

    fn sees(&self) -> Sees {
        Sees::OWN
    }

    fn fits(&self, ground: Ground<'_>) -> Result<(), String> {
        let d = ground.d;
        match self.first {
            Some(first) if first > d => Err(format!("first ≤ d = {d}; first = {first}")),
            None if self.tile > d => Err(format!("tile ≤ d = {d}; tile = {}", self.tile)),
            _ => Ok(()),
        }
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use crate::scene::{HAND, forge, forge_wide};

    #[test]
    fn the_chosen_bits_are_inverted() {
        let own: &[&[f32]] = &[&[1.0, -2.0, 3.0]];
        assert_eq!(forge("bit-flip bits=31 rate=1", HAND, own, 1), [[-1.0, 2.0, -3.0]]);
        assert_eq!(forge("bit-flip bits=31 first=2", HAND, own, 1), [[-1.0, 2.0, 3.0]]);
        assert_eq!(forge("bit-flip rate=0", HAND, own, 1), [[1.0, -2.0, 3.0]]);
        let zeno = forge("bit-flip bits=22,29,30,31 first=1 of=first", HAND, own, 1);
        assert_eq!(zeno[0][0].to_bits(), 1f32.to_bits() ^ 0xe040_0000);
        assert!(crate::build("bit-flip bits=32").is_err());
    }

    #[test]
    fn the_rate_of_tiles_is_kept() {
        let (plain, hit) = (forge_wide("none", 3, 2, 40_000), "bit-flip bits=31 rate=0.1 tile=4");
        for (row, own) in forge_wide(hit, 3, 2, 40_000).iter().zip(&plain) {
            let flipped = |t: usize| row[4 * t..4 * t + 4] != own[4 * t..4 * t + 4];
            let hits = (0..10_000).filter(|&t| flipped(t)).count();
            assert!((880..1120).contains(&hits), "{hits}");
            assert!((0..10_000).filter(|&t| flipped(t)).all(|t| row[4 * t + 1] == -own[4 * t + 1]));
        }
    }
}
