//! Any pipeline by blocks of coordinates: each block of the rows is aggregated as if it were all
//! there is, and the answers stand side by side.
//!
//! A rule that looks at whole rows asks who was hostile; by blocks it asks that of each layer, so a
//! worker whose first layer is off keeps its say in the others, and one that hides a large change
//! of a small layer in a long row is found there. Clipping by layer is what volunteer training
//! does; LASA and layer-wise Krum are rules by layer.
//!
//! What is proven of whole rows holds by blocks where it is about squared lengths: they add up over
//! blocks, so κ stays what it is. What is proven of angles (the largest deviation/norm) does not.
//! What a hostile worker gains is that it may be kept in one block and left out in another: there
//! may be other rows behind each block of the answer. A row's weight is its mean over the
//! coordinates, so by blocks the weights say how much of a row was taken and no longer rebuild the
//! answer.
//!
//! Each block draws what the whole rows would draw: a bucketing cuts all blocks alike.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[1.0, 9.0], [2.0, 8.0], [9.0, 7.0]]);
//! let (mut out, mut verdict) = ([0.0; 2], Verdict::default());
//! let mut rule = build("per-block length=1 | median", 3, 1).unwrap();
//! rule.aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut verdict);
//! assert_eq!(out, [2.0, 8.0]);
//! ```

use super::Pipeline;
use crate::{Family, Kappa, Round, RuleEntry, RuleFacts, Stage, Verdict, exact};
use std::ops::Range;
use varangian_base::{Kind, Memory, Param, SpecError, Value};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "per-block",
    summary: "all that follows, for each block of coordinates by itself: a layer, a tensor, or a given length",
    paper: "practice: clipping by block in volunteer training, rules by layer as in Xu, Zhang & Hu, Achieving Byzantine-Resilient Federated Learning via Layer-Adaptive Sparsified Model Aggregation, WACV 2025, arXiv 2409.01435",
    differs: &[],
    params: &[
        Param {
            name: "by",
            kind: Kind::Choice(&["length", "layer", "tensor"]),
            default: "length",
            help: "what a block is: so many coordinates; a layer of the model, its weights with its biases; or each tensor alone",
        },
        Param {
            name: "length",
            kind: Kind::Count { min: 1, max: usize::MAX },
            default: "4096",
            help: "coordinates of a block of by=length; the last block is what is left",
        },
    ],
    cost: "that of what follows, once a block",
    facts: RuleFacts {
        family: Family::PreAggregation,
        weights: true,
        weighted: true,
        kappa: Kappa::Through(|_, _, kappa| kappa, "κ: squared lengths of blocks add up"),
        whole_rows: "a process holds columns that begin and end inside its blocks",
        ..RuleFacts::RULE
    },
    build: |args| {
        let by = match args.text("by") {
            "layer" => By::Layer,
            "tensor" => By::Tensor,
            _ => By::Length(args.count("length").expect("has a default")),
        };
        if !matches!(by, By::Length(_)) && args.is_given("length") {
            return Err(SpecError::new("length is of use with by=length only; both are given"));
        }
        Ok(Box::new(Stage::Blocks(Blocks::new(by))))
    },
};

/// What a block is.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Length(usize),
    Layer,
    Tensor,
}

/// How rows are cut into blocks, and what aggregates each.
pub struct Blocks {
    by: By,
    /// Where the blocks of a model end, once it is known.
    ends: Vec<usize>,
    /// One pipeline a block where it remembers, else one for all.
    parts: Vec<Pipeline>,
    remembers: bool,
    verdict: Verdict,
}

impl Blocks {
    fn new(by: By) -> Blocks {
        let (ends, parts) = (Vec::new(), Vec::new());
        Blocks { by, ends, parts, remembers: false, verdict: Verdict::default() }
    }

    /// The blocks of d coordinates, in order.
    ///
    /// # Panics
    /// If the model that the blocks are of has another number of parameters.
    pub(super) fn ranges(&self, d: usize) -> impl Iterator<Item = Range<usize>> + use<'_> {
        let count = match self.by {
            By::Length(length) => d.div_ceil(length),
            _ => {
                let all = self.ends.last().copied().unwrap_or(0);
                assert_eq!(all, d, "rows have one coordinate a parameter of the model");
                self.ends.len()
            }
        };
        (0..count).map(move |i| match self.by {
            By::Length(length) => i * length..d.min((i + 1).saturating_mul(length)),
            _ => i.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[i],
        })
    }

    /// Aggregates the round's rows block by block with forks of `whole`.
    pub(super) fn aggregate(
        &mut self,
        whole: &Pipeline,
        round: &mut Round<'_>,
        out: &mut [f32],
        verdict: &mut Verdict,
    ) {
        let d = out.len();
        if self.parts.is_empty() {
            self.remembers = whole.has_memory();
        }
        let count = if self.remembers { self.ranges(d).count() } else { 1 };
        while self.parts.len() < count {
            self.parts.push(whole.fork());
        }
        let (mut parts, mut inner) =
            (std::mem::take(&mut self.parts), std::mem::take(&mut self.verdict));
        for (i, range) in self.ranges(d).enumerate() {
            let part = &mut parts[if self.remembers { i } else { 0 }];
            let rows = round.rows.of(round.rows.sent().columns(range.clone()));
            // There are no parameters outside training.
            let params = round.params.get(range.clone()).unwrap_or(&[]);
            let mut block = Round { rows, params, oracle: None, ..*round };
            part.aggregate(&mut block, &mut out[range.clone()], &mut inner);
            add_up(verdict, &inner, i, range.len() as f64 / d as f64);
        }
        (self.parts, self.verdict) = (parts, inner);
    }

    /// The same by the exact path.
    pub(super) fn exact(
        &self,
        whole: &Pipeline,
        round: &exact::Round<'_>,
        verdict: &mut Verdict,
    ) -> Result<Vec<f64>, SpecError> {
        let (d, mut out, mut inner) = (round.d(), Vec::new(), Verdict::default());
        for (i, range) in self.ranges(d).enumerate() {
            let rows: Vec<Vec<f64>> =
                round.rows.iter().map(|row| row[range.clone()].to_vec()).collect();
            let block = exact::Round { rows: &rows, ..*round };
            out.extend(whole.exact(&block, &mut inner)?);
            add_up(verdict, &inner, i, range.len() as f64 / d as f64);
        }
        Ok(out)
    }

    pub(super) fn fork(&self) -> Blocks {
        let (ends, parts) = (self.ends.clone(), self.parts.iter().map(Pipeline::fork).collect());
        Blocks { ends, parts, remembers: self.remembers, ..Blocks::new(self.by) }
    }

    pub(super) fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.put("blocks", Value::Integers(vec![self.parts.len() as u64]));
        for (i, part) in self.parts.iter().enumerate() {
            memory.absorb(&i.to_string(), part.save());
        }
        memory
    }

    pub(super) fn load(&mut self, whole: &Pipeline, memory: &Memory) -> Result<(), SpecError> {
        let count = memory.integers("blocks")?.first().copied().unwrap_or(0);
        self.parts.clear();
        self.remembers = whole.has_memory();
        for i in 0..count {
            let mut part = whole.fork();
            part.load(&memory.part(&i.to_string()))?;
            self.parts.push(part);
        }
        Ok(())
    }

    /// Why there are no blocks yet.
    pub(super) fn missing(&self) -> Result<(), SpecError> {
        let by = match self.by {
            By::Length(_) => return Ok(()),
            By::Layer => "layer",
            By::Tensor => "tensor",
        };
        match self.ends.is_empty() {
            false => Ok(()),
            true => Err(SpecError::new(format!(
                "per-block by={by} needs a model to say where its {by}s end; there is none here: \
                 take per-block length=K"
            ))),
        }
    }
}

/// Adds what was found in block `i`, which holds this share of the coordinates.
fn add_up(verdict: &mut Verdict, inner: &Verdict, i: usize, share: f64) {
    let n = inner.weights.len();
    match i {
        0 => verdict.uniform(n, 0.0),
        // A block in which nothing is told leaves nothing that could be told of the whole.
        _ if verdict.weights.len() != n => verdict.weights.clear(),
        _ => {}
    }
    verdict.weights.iter_mut().zip(&inner.weights).for_each(|(sum, w)| *sum += share * w);
    if let (None, Some(event)) = (&verdict.event, &inner.event) {
        verdict.event = Some(format!("block {i}: {event}"));
    }
}

impl Pipeline {
    /// Tells where the model's tensors lie in the rows: names as PyTorch's ("conv1.weight") and
    /// numbers of coordinates, in order. What the name's last dot follows is its layer. Of use to
    /// `per-block by=layer` and `by=tensor`, which [`Pipeline::fits`] refuses without; any other
    /// pipeline takes no notice.
    pub fn divide<'a>(&mut self, tensors: impl IntoIterator<Item = (&'a str, usize)>) {
        let Some(blocks) = &mut self.blocks else { return };
        let (mut end, mut last) = (0, None);
        blocks.ends.clear();
        blocks.parts.clear();
        for (name, length) in tensors {
            let layer = name.rsplit_once('.').map_or(name, |(layer, _)| layer);
            let same = blocks.by == By::Layer && last == Some(layer);
            if same || length == 0 {
                end += length;
                if let (true, Some(place)) = (same, blocks.ends.last_mut()) {
                    *place = end;
                }
                continue;
            }
            end += length;
            last = Some(layer);
            blocks.ends.push(end);
        }
    }

    /// Whether it works block by block.
    pub fn is_by_block(&self) -> bool {
        self.blocks.is_some()
    }

    /// Whether it is a rule on whole rows and nothing else.
    pub(super) fn is_bare(&self) -> bool {
        self.blocks.is_none() && self.pre.is_empty() && self.post.is_empty()
    }

    /// The pipeline of one block.
    pub(super) fn of_a_block(&self) -> Pipeline {
        Pipeline { blocks: None, ..self.fork() }
    }

    /// Whether nothing in it is about whole rows, where it is to work block by block.
    pub(super) fn may_be_by_block(&self) -> Result<(), SpecError> {
        let why = match self.is_by_block() {
            true if self.needs_oracle() => "asks for a loss, which is one of whole rows",
            true if self.rule.knows_workers() => "judges whole workers",
            _ => return Ok(()),
        };
        let name = self.rule_entry.name;
        Err(SpecError::new(format!("{name} {why}; it does not work per-block")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::Matrix;

    fn answer(rule: &mut Pipeline, rows: &Matrix, f: usize) -> (Vec<f32>, Verdict) {
        let (mut out, mut verdict) = (vec![0.0; rows.d()], Verdict::default());
        rule.aggregate(&mut Round::of(rows.rows(), f), &mut out, &mut verdict);
        (out, verdict)
    }

    const TENSORS: [(&str, usize); 4] =
        [("a.weight", 3), ("a.bias", 1), ("b.weight", 2), ("b.bias", 1)];

    #[test]
    fn each_block_gets_the_answer_that_its_columns_get() {
        let rows = crate::conformance::families::random(9, 7, 3);
        for (text, cuts) in [
            ("by=layer", &[4, 7][..]),
            ("by=tensor", &[3, 4, 6, 7]),
            ("length=3", &[3, 6, 7]),
            ("length=100", &[7]),
        ] {
            for inner in ["krum", "nnm | trimmed-mean", "clipping c=median | average", "caf | ctma"]
            {
                let mut rule = Pipeline::parse(&format!("per-block {text} | {inner}")).unwrap();
                rule.divide(TENSORS);
                rule.fits(9, 2).unwrap();
                let (out, verdict) = answer(&mut rule, &rows, 2);
                let (mut from, mut weights) = (0, vec![0.0; 9]);
                for &to in cuts {
                    let columns = rows.rows().columns(from..to);
                    let block: Vec<Vec<f32>> = columns.iter().map(<[f32]>::to_vec).collect();
                    let mut alone = Pipeline::parse(inner).unwrap();
                    let (part, of) = answer(&mut alone, &Matrix::from_rows(&block), 2);
                    assert_eq!(part, out[from..to], "{text} | {inner}");
                    let share = (to - from) as f64 / 7.0;
                    weights.iter_mut().zip(&of.weights).for_each(|(sum, w)| *sum += share * w);
                    from = to;
                }
                if !verdict.weights.is_empty() {
                    let off = |(a, b): (&f64, &f64)| (a - b).abs() > 1e-12;
                    assert!(!verdict.weights.iter().zip(&weights).any(off), "{text} | {inner}");
                }
            }
        }
    }

    #[test]
    fn a_rule_remembers_each_block_apart() {
        let mut rule = Pipeline::parse("per-block length=2 | centred-clipping tau=1").unwrap();
        let mut alone = Pipeline::parse("centred-clipping tau=1").unwrap();
        for lane in 0..3 {
            let rows = crate::conformance::families::random(5, 4, lane);
            let (out, _) = answer(&mut rule, &rows, 1);
            let tail: Vec<Vec<f32>> = rows.rows().iter().map(|row| row[2..].to_vec()).collect();
            assert_eq!(answer(&mut alone, &Matrix::from_rows(&tail), 1).0, out[2..]);
        }
        let mut again = Pipeline::parse("per-block length=2 | centred-clipping tau=1").unwrap();
        again.load(&rule.save()).unwrap();
        let rows = crate::conformance::families::random(5, 4, 9);
        assert_eq!(answer(&mut again, &rows, 1).0, answer(&mut rule, &rows, 1).0);
    }

    #[test]
    fn kappa_stays_and_what_cannot_be_by_block_is_refused() {
        let by = |text: &str| Pipeline::parse(&format!("per-block | {text}")).unwrap();
        assert_eq!(by("trimmed-mean").kappa(11, 3), Some(0.6));
        assert_eq!(by("krum").variance_norm(11, 3), None);
        assert!(Pipeline::parse("krum").unwrap().variance_norm(11, 3).is_some());
        let error = |text: &str| match crate::build(text, 9, 1) {
            Ok(_) => panic!("{text} is taken"),
            Err(error) => error.to_string(),
        };
        assert!(error("per-block by=layer | krum").contains("needs a model"));
        assert!(error("per-block by=layer length=3 | krum").contains("by=length only"));
        assert!(error("nnm | per-block | krum").contains("must stand first"));
        assert!(error("per-block | per-block | krum").contains("must stand first"));
        assert!(error("per-block | zeno b=2").contains("whole rows"));
        assert!(error("per-block | safeguard").contains("whole workers"));
        assert!(error("per-block").contains("holds no rule"));
        assert!(by("krum").check_shards(9, 1 << 20).is_err());
        assert!(!by("majority").counts_votes() && by("krum").bare_rule().is_none());
    }
}
