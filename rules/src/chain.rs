//! A pipeline: any pre-aggregations, one rule, any meta-aggregations, left to right.
//!
//! ```
//! use varangian_base::Matrix;
//! use varangian_rules::{Round, Verdict, build};
//! let mut rule = build("krum", 5, 1).unwrap();
//! let rows = Matrix::from_rows(&[[0.0], [1.0], [2.0], [3.0], [10.0]]);
//! let (mut out, mut verdict) = ([0.0], Verdict::default());
//! rule.aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut verdict);
//! assert_eq!((out, verdict.weights), ([1.0], vec![0.0, 1.0, 0.0, 0.0, 0.0]));
//! ```

pub(crate) mod blocks;
mod double;
mod facts;
mod shards;
mod stages;
mod votes;
mod watching;

pub use blocks::Blocks;
pub use stages::Stages;

use crate::{ALL, Bound, Mixing, Post, Pre, Round, Rule, RuleEntry, Stage, Verdict};
use varangian_base::{Memory, Mixed, Recipe, SpecError, entry, spec};

/// A pipeline of stages, ready to aggregate.
pub struct Pipeline {
    spec: String,
    /// How the rows are cut before all else, where they are.
    blocks: Option<Blocks>,
    pre: Vec<PreStage>,
    rule: Box<dyn Rule>,
    rule_entry: &'static RuleEntry,
    post: Vec<(Box<dyn Post>, &'static RuleEntry)>,
    /// The round's weights with the sum 1.
    masses: Vec<f64>,
}

struct PreStage {
    stage: Box<dyn Pre>,
    entry: &'static RuleEntry,
    mixing: Mixing,
    /// This stage's map after those of all stages before it.
    recipe: Recipe,
}

/// Reads `text` and checks it for n rows of which f are declared hostile.
///
/// # Errors
/// If a stage or parameter is unknown, the order of stages is wrong, or (n, f) violates a bound.
pub fn build(text: &str, n: usize, f: usize) -> Result<Pipeline, SpecError> {
    let pipeline = Pipeline::parse(text)?;
    pipeline.check(n, f)?;
    pipeline.fits(n, f)?;
    Ok(pipeline)
}

impl Pipeline {
    /// Reads `text` without checking it against any n and f.
    ///
    /// # Errors
    /// If a stage or parameter is unknown or the order of stages is wrong.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        Pipeline::parse_among(text, &[])
    }

    /// A rule from outside, alone. To compose it with stages, give it to
    /// [`Pipeline::parse_among`].
    pub fn own(rule: Box<dyn Rule>, entry: &'static RuleEntry) -> Self {
        let (spec, pre, post, masses) = (entry.name.to_owned(), vec![], vec![], vec![]);
        Pipeline { spec, blocks: None, pre, rule, rule_entry: entry, post, masses }
    }

    /// Reads `text`, in which entries of `own` may stand beside those of [`ALL`]: a rule or a stage
    /// from outside, under a name of its own.
    ///
    /// # Errors
    /// As [`Pipeline::parse`]; or if an own entry has the name of another.
    pub fn parse_among(text: &str, own: &[&'static RuleEntry]) -> Result<Self, SpecError> {
        let all = entry::among("rule", ALL, own)?;
        let specs = spec::parse_chain(text)?;
        let spec = specs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
        let (mut blocks, mut pre, mut rule, mut post) = (None, Vec::new(), None, Vec::new());
        for stage in &specs {
            let entry = entry::find("rule", &all, &stage.name)?;
            match (*entry.make(stage)?, rule.is_some()) {
                (Stage::Blocks(found), false) if pre.is_empty() && blocks.is_none() => {
                    blocks = Some(found);
                }
                (Stage::Blocks(_), _) => {
                    let why = "must stand first: it cuts the rows for all that follows";
                    return Err(SpecError::new(format!("in \"{text}\", {} {why}", entry.name)));
                }
                (Stage::Pre(stage), false) => {
                    let (mixing, recipe) = Default::default();
                    pre.push(PreStage { stage, entry, mixing, recipe });
                }
                (Stage::Rule(stage), false) => rule = Some((stage, entry)),
                (Stage::Post(stage), true) => post.push((stage, entry)),
                (Stage::Pre(_), true) => return Err(misplaced(text, entry.name, "before")),
                (Stage::Post(_), false) => return Err(misplaced(text, entry.name, "after")),
                (Stage::Rule(_), true) => {
                    let why = format!("\"{text}\" holds two rules; a pipeline has one");
                    return Err(SpecError::new(why));
                }
            }
        }
        let (rule, rule_entry) = rule.ok_or_else(|| {
            SpecError::new(format!(
                "\"{text}\" holds no rule; end it with one, as in \"… | average\""
            ))
        })?;
        let nameless = pre.iter().find(|stage| !stage.stage.keeps_workers());
        if let Some(stage) = nameless.filter(|_| rule.knows_workers()) {
            return Err(SpecError::new(format!(
                "{} remembers each worker by id, and {} hands it rows that are no one worker's",
                rule_entry.name, stage.entry.name
            )));
        }
        let catches = rule.redundancy(0).is_some_and(|redundancy| redundancy.chance.is_some());
        if let Some(stage) = pre.first().filter(|_| catches) {
            return Err(SpecError::new(format!(
                "{} catches whoever did not send what others sent, bit by bit; {} before it hands on \
                 other rows than were sent",
                rule_entry.name, stage.entry.name
            )));
        }
        let pipeline = Pipeline { spec, blocks, pre, rule, rule_entry, post, masses: Vec::new() };
        pipeline.may_be_by_block()?;
        Ok(pipeline)
    }

    /// Whether every stage accepts what reaches it when n rows, f of them hostile, go in.
    ///
    /// # Errors
    /// Names the stage, its bound, and the n and f that reach it.
    pub fn check(&self, mut n: usize, mut f: usize) -> Result<(), SpecError> {
        for stage in &self.pre {
            stage.entry.facts.bound.check(stage.entry.name, n, f)?;
            (n, f) = stage.stage.shape(n, f);
        }
        let entry = self.rule_entry;
        let bound = self.rule.bound().unwrap_or(entry.facts.bound);
        bound.admit(entry.name, (n, f), |n, f| self.rule.check(n, f))?;
        for (_, entry) in &self.post {
            entry.facts.bound.check(entry.name, n, f)?;
        }
        Ok(())
    }

    /// Whether every index and count among the parameters exists where n workers, f of them
    /// hostile, are all there. [`build`] asks it; rows that are missing in a later round change
    /// nothing.
    ///
    /// # Errors
    /// Names the stage, the condition, and the n and f that reach it.
    pub fn fits(&self, n: usize, f: usize) -> Result<(), SpecError> {
        Bound::declared(self.rule_entry.name, n, f)?;
        self.blocks.as_ref().map_or(Ok(()), Blocks::missing)?;
        let (mut n, mut f) = (n, f);
        let refused = |name: &str, n: usize, f: usize, condition: String| {
            SpecError::new(format!("{name} needs {condition}; got n = {n}, f = {f}"))
        };
        for PreStage { stage, entry, .. } in &self.pre {
            stage.fits(n, f).map_err(|why| refused(entry.name, n, f, why))?;
            (n, f) = stage.shape(n, f);
        }
        self.rule.fits(n, f).map_err(|why| refused(self.rule_entry.name, n, f, why))
    }

    /// How the answer to a first round differs from later ones, with the name of the rule that
    /// learns from earlier rounds; `None` where it does not.
    pub fn first_round(&self) -> Option<(&'static str, &'static str)> {
        self.rule.first_round().map(|text| (self.rule_entry.name, text))
    }

    /// The least n that every stage accepts at f, or `None` below a thousand rows.
    pub fn least(&self, f: usize) -> Option<usize> {
        (1..1000).find(|&n| self.check(n, f).is_ok())
    }

    /// The specification in its one spelling.
    pub fn spec(&self) -> &str {
        &self.spec
    }

    /// The entry of the rule in the middle.
    pub fn entry(&self) -> &'static RuleEntry {
        self.rule_entry
    }

    /// The entries of all stages, left to right.
    pub fn entries(&self) -> Vec<&'static RuleEntry> {
        let blocks = self.blocks.iter().map(|_| &blocks::ENTRY);
        let pre = blocks.chain(self.pre.iter().map(|stage| stage.entry));
        pre.chain([self.rule_entry]).chain(self.post.iter().map(|(_, entry)| *entry)).collect()
    }

    /// Whether a stage asks the oracle.
    pub fn needs_oracle(&self) -> bool {
        self.entries().iter().any(|entry| entry.facts.needs_oracle)
    }

    /// Whether rows with these weights, one each, may go in, f of them hostile; see
    /// [`crate::weights`].
    ///
    /// # Errors
    /// If a stage has no form for them, there is not one finite weight above 0 a row, or the f
    /// heaviest rows hold half of the weight.
    pub fn check_weights(&self, weights: &[f64], n: usize, f: usize) -> Result<(), SpecError> {
        if let Some(entry) = self.entries().iter().find(|entry| !entry.facts.weighted) {
            let with = ALL.iter().filter(|entry| entry.facts.weighted);
            let with: Vec<&str> = with.map(|entry| entry.name).collect();
            return Err(SpecError::new(format!(
                "{} has no form for rows that count differently; these have: {}",
                entry.name,
                with.join(", ")
            )));
        }
        if !self.rule.weighted() {
            return Err(SpecError::new(format!(
                "{} has no form for rows that count differently with these parameters: {}",
                self.rule_entry.name, self.spec
            )));
        }
        crate::weights::check(weights, n, f)
    }

    /// Whether a stage remembers earlier rounds.
    pub fn has_memory(&self) -> bool {
        self.entries().iter().any(|entry| entry.facts.has_memory)
    }

    /// How workers must repeat each other's work for the rule to say anything, where they must.
    pub fn redundancy(&self, f: usize) -> Option<crate::Redundancy> {
        self.rule.redundancy(f)
    }

    /// Whether the answer is nothing but signs, so that one bit a coordinate carries it (two where
    /// 0 is among them, then `Some(true)`); `None` where it is a vector.
    pub fn answers_signs(&self) -> Option<bool> {
        self.rule.answers_signs().filter(|_| self.post.is_empty())
    }

    /// Aggregates the round's rows into `out`. The verdict's weights are those of the rows that
    /// went in, carried back through the pre-aggregations.
    ///
    /// # Panics
    /// If `out` has not d coordinates, or the rows count differently and a stage has no form for
    /// that. The bound is the caller's to check.
    pub fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        debug_assert!(round.rows.is_finite(), "the intake lets no other rows through");
        self.unproven(round, out, verdict);
        debug_assert!(out.iter().all(|x| x.is_finite()), "{} answers finite", self.spec);
    }

    fn unproven(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        assert_eq!(out.len(), round.rows.d(), "the output has d coordinates");
        verdict.clear();
        if let Some(mut blocks) = self.blocks.take() {
            blocks.aggregate(self, round, out, verdict);
            self.blocks = Some(blocks);
            return;
        }
        let Pipeline { pre, rule, post, masses, .. } = self;
        if let Some(weights) = round.weights {
            let takes = |entry: &RuleEntry| entry.facts.weighted;
            let all = pre.iter().all(|p| takes(p.entry)) && post.iter().all(|p| takes(p.1));
            assert!(
                all && takes(self.rule_entry) && rule.weighted(),
                "{} takes no weights",
                self.spec
            );
            assert_eq!(weights.len(), round.rows.n(), "one weight a row");
            let sum: f64 = weights.iter().sum();
            masses.clear();
            masses.extend(weights.iter().map(|w| w / sum));
        }
        let weights = round.weights.is_some().then_some(masses.as_slice());
        let oracle = crate::oracle::lent(&mut round.oracle);
        let mut round = Round { weights, oracle, ..*round };
        run(pre, rule.as_mut(), post, &mut round, out, verdict);
        if let Some(last) = pre.last_mut().filter(|_| !verdict.weights.is_empty()) {
            last.recipe.pull_back(&mut verdict.weights);
        }
    }

    /// An independent copy with the same memory.
    pub fn fork(&self) -> Pipeline {
        let pre = self.pre.iter().map(|p| PreStage {
            stage: p.stage.fork(),
            entry: p.entry,
            mixing: Mixing::default(),
            recipe: Recipe::default(),
        });
        Pipeline {
            spec: self.spec.clone(),
            blocks: self.blocks.as_ref().map(Blocks::fork),
            pre: pre.collect(),
            rule: self.rule.fork(),
            rule_entry: self.rule_entry,
            post: self.post.iter().map(|(post, entry)| (post.fork(), *entry)).collect(),
            masses: Vec::new(),
        }
    }

    /// The rule in the middle, if the pipeline is nothing else.
    pub fn bare_rule(&mut self) -> Option<&mut dyn Rule> {
        self.is_bare().then_some(self.rule.as_mut())
    }

    /// Saves the rule's memory.
    pub fn save(&self) -> Memory {
        self.blocks.as_ref().map_or_else(|| self.rule.save(), Blocks::save)
    }

    /// Restores the rule's memory.
    ///
    /// # Errors
    /// If the memory is of another rule.
    pub fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let Some(mut blocks) = self.blocks.take() else { return self.rule.load(memory) };
        let loaded = blocks.load(self, memory);
        self.blocks = Some(blocks);
        loaded
    }
}

fn misplaced(text: &str, name: &str, side: &str) -> SpecError {
    SpecError::new(format!("in \"{text}\", {name} must stand {side} the rule"))
}

/// Runs the stages from left to right: each pre-aggregation hands its map of the rows to the rest.
fn run(
    pre: &mut [PreStage],
    rule: &mut dyn Rule,
    post: &mut [(Box<dyn Post>, &'static RuleEntry)],
    round: &mut Round<'_>,
    out: &mut [f32],
    verdict: &mut Verdict,
) {
    let Some((first, rest)) = pre.split_first_mut() else {
        rule.aggregate(round, out, verdict);
        for (stage, _) in post {
            stage.refine(round, out, verdict);
        }
        return;
    };
    first.stage.mix(round, &mut first.mixing);
    if round.rows.sent().known_odd() {
        return;
    }
    let Mixing { coefficients, m } = &first.mixing;
    first.recipe.set(coefficients, *m, round.rows, first.stage.keeps_workers());
    let f = first.stage.hostile(round.rows.n(), round.f, first.mixing.m);
    let oracle = crate::oracle::lent(&mut round.oracle);
    let mut inner = Round {
        rows: Mixed::new(round.rows.sent(), &first.recipe),
        f,
        weights: round.weights,
        step: round.step,
        params: round.params,
        learning_rate: round.learning_rate,
        oracle,
        seed: round.seed,
        stage: round.stage + 1,
    };
    run(rest, rule, post, &mut inner, out, verdict);
}
