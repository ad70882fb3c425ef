//! What a rule says about itself, and the ordered list of all rules.

use crate::{Blocks, Post, Pre, Rule};
use varangian_base::{Entry, SpecError};

/// A stage of a pipeline, as its entry builds it.
pub enum Stage {
    /// Rows to rows.
    Pre(Box<dyn Pre>),
    /// Rows to a vector.
    Rule(Box<dyn Rule>),
    /// Rows and a vector to a vector.
    Post(Box<dyn Post>),
    /// All that follows, block by block.
    Blocks(Blocks),
}

/// The entry of a rule or of a stage around it.
pub type RuleEntry = Entry<Stage, RuleFacts>;

/// What only rules say about themselves.
pub struct RuleFacts {
    /// Where in a pipeline it stands.
    pub family: Family,
    /// The bound on n at a given f.
    pub bound: Bound,
    /// What it claims with its default parameters; conformance tries each claim.
    pub claims: Claims,
    /// Choices of a parameter with which it claims something else: "start=mean". Conformance tries
    /// every combination of choices.
    pub variants: &'static [(&'static str, Claims)],
    /// Whether it asks the oracle.
    pub needs_oracle: bool,
    /// Whether it remembers earlier rounds.
    pub has_memory: bool,
    /// Whether its answer is a combination of rows, so that each row's weight is known.
    pub weights: bool,
    /// Why a row got no weight, in few words; `{k}` stands for how many rows got any. Empty where
    /// the stage leaves that to others.
    pub excluded: &'static str,
    /// Whether it has a form for rows that count differently; see [`crate::weights`].
    pub weighted: bool,
    /// Why it must see whole rows; empty where the columns may be dealt to several processes (see
    /// [`Pipeline::check_shards`](crate::Pipeline::check_shards)), each of which gets the bits that
    /// whole rows would give its columns.
    pub whole_rows: &'static str,
    /// Its robustness coefficient κ: ‖F − x̄_S‖² ≤ κ·(1/|S|)·Σ‖xᵢ − x̄_S‖² for every S of n − f
    /// rows. The least possible is f/(n − 2f).
    pub kappa: Kappa,
    /// The largest (standard deviation / norm) of honest gradients for which resilience is proven,
    /// as a function of (n, f), and its formula with source.
    pub variance_norm: Option<(fn(usize, usize) -> f64, &'static str)>,
}

impl RuleFacts {
    /// A rule that says nothing of itself; entries fill in what they can say.
    pub const RULE: RuleFacts = RuleFacts {
        family: Family::Rule,
        bound: Bound::ANY,
        claims: Claims::NONE,
        variants: &[],
        needs_oracle: false,
        has_memory: false,
        weights: false,
        excluded: "",
        weighted: false,
        whole_rows: "it does not say how it works on some of the columns",
        kappa: Kappa::Open("none known"),
        variance_norm: None,
    };
}

/// Where in a pipeline a stage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Before the rule.
    PreAggregation,
    /// The rule.
    Rule,
    /// After the rule.
    MetaAggregation,
}

/// The least n for a given f.
#[derive(Clone, Copy)]
pub struct Bound {
    /// As printed: "n ≥ 2f + 3".
    pub text: &'static str,
    /// The least n at f.
    pub least: fn(usize) -> usize,
    /// Where it comes from: "Blanchard et al. 2017, §3".
    pub source: &'static str,
}

impl Bound {
    /// The largest f that is worked with, and the largest number of rows: far above any crowd of
    /// workers, and small enough that no formula of a bound overflows.
    pub const MOST: usize = 1 << 31;

    /// At least one row.
    pub const ANY: Bound = Bound { text: "n ≥ 1", least: |_| 1, source: "any number of rows" };

    /// A majority of honest rows, n ≥ 2f + 1.
    pub const fn majority(source: &'static str) -> Bound {
        Bound { text: "n ≥ 2f + 1", least: |f| 2 * f + 1, source }
    }

    /// Whether (n, f) satisfies the bound of `name`.
    ///
    /// # Errors
    /// Names the rule, the bound, n and f; n or f above [`Bound::MOST`] is refused before any
    /// arithmetic.
    pub fn check(&self, name: &str, n: usize, f: usize) -> Result<(), SpecError> {
        if n.max(f) > Bound::MOST {
            return Err(SpecError::new(format!(
                "{name} takes n and f up to {}; got n = {n}, f = {f}",
                Bound::MOST
            )));
        }
        if n >= (self.least)(f) && n > 0 {
            return Ok(());
        }
        Err(SpecError::new(format!(
            "{name} needs {}; got n = {n}, f = {f} ({})",
            self.text, self.source
        )))
    }

    /// The same, and then what the parameters demand beyond it, as the missing condition.
    ///
    /// # Errors
    /// As for [`Bound::check`]; or names the rule, the condition, n and f.
    pub(crate) fn admit(
        &self,
        name: &str,
        (n, f): (usize, usize),
        demand: impl FnOnce(usize, usize) -> Result<(), String>,
    ) -> Result<(), SpecError> {
        self.check(name, n, f)?;
        demand(n, f).map_err(|condition| {
            SpecError::new(format!("{name} needs {condition}; got n = {n}, f = {f}"))
        })
    }

    /// Whether some of n rows are honest where f are hostile: asked of what is declared before a
    /// first round, whatever the rule. In a later round fewer than f rows may be there.
    ///
    /// # Errors
    /// Names what was asked for, n and f.
    pub fn declared(name: &str, n: usize, f: usize) -> Result<(), SpecError> {
        match f < n && n <= Bound::MOST {
            true => Ok(()),
            false => Err(SpecError::new(format!(
                "{name} needs f below n, and n up to {}; got n = {n}, f = {f}",
                Bound::MOST
            ))),
        }
    }
}

/// What a rule claims of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The answer does not depend on the order of the rows; where `ties` is set too, only of rows
    /// of which no two are tied.
    pub permutation: bool,
    /// Ties (equal distances, scores, norms) are broken by worker id, so that the order of the rows
    /// decides them.
    pub ties: bool,
    /// F(X + c) = F(X) + c.
    pub translation: bool,
    /// F(a·X) = a·F(X) for every a > 0; nothing is claimed of a < 0.
    pub scale: bool,
    /// F(X·R) = F(X)·R for orthogonal R.
    pub rotation: bool,
    /// Each coordinate depends on that coordinate of the rows alone.
    pub coordinate_wise: bool,
    /// With at most f hostile rows, each coordinate lies within the honest rows' range.
    pub honest_box: bool,
    /// With at most f hostile rows at any distance, the answer stays within a bounded multiple of
    /// the honest rows' spread.
    pub bounded: bool,
    /// n − f equal rows are answered with that row.
    pub majority: bool,
}

impl Claims {
    /// No claim.
    pub const NONE: Claims = Claims {
        permutation: false,
        ties: false,
        translation: false,
        scale: false,
        rotation: false,
        coordinate_wise: false,
        honest_box: false,
        bounded: false,
        majority: false,
    };

    /// What rules that look at nothing but distances claim, if far rows cannot drag them.
    pub const GEOMETRIC: Claims = Claims {
        permutation: true,
        ties: true,
        translation: true,
        scale: true,
        rotation: true,
        bounded: true,
        majority: true,
        ..Claims::NONE
    };

    /// What rules that work coordinate by coordinate claim, if far values cannot drag them.
    pub const COLUMNS: Claims =
        Claims { coordinate_wise: true, ties: false, rotation: false, ..Claims::GEOMETRIC };
}

impl RuleFacts {
    /// What the rule claims with the choices in `chosen`, each as "start=mean".
    pub fn claims_with(&self, chosen: &[String]) -> Claims {
        let other = self.variants.iter().find(|(choice, _)| chosen.iter().any(|c| c == choice));
        other.map_or(self.claims, |(_, claims)| *claims)
    }
}

/// The robustness coefficient of a rule.
#[derive(Clone, Copy)]
pub enum Kappa {
    /// The exact worst case as a function of (n, f), and its formula.
    Exact(fn(usize, usize) -> f64, &'static str),
    /// A published upper bound as a function of (n, f), and its formula with source.
    Bound(fn(usize, usize) -> f64, &'static str),
    /// Of a stage before the rule: a published upper bound on what it makes of a rule's κ, as a
    /// function of (n, f, κ), and its formula with source.
    Through(fn(usize, usize, f64) -> f64, &'static str),
    /// There is none, or none is known: why, and what is known instead.
    Open(&'static str),
}

/// Every rule and stage, in the order in which catalogue and help print them.
pub static ALL: &[&RuleEntry] = &[
    &crate::average::ENTRY,
    &crate::sum::ENTRY,
    &crate::majority::RULE,
    &crate::median::ENTRY,
    &crate::trimmed_mean::ENTRY,
    &crate::phocas::ENTRY,
    &crate::phocas::MEAMED,
    &crate::krum::ENTRY,
    &crate::krum::MULTI,
    &crate::bulyan::ENTRY,
    &crate::mda::ENTRY,
    &crate::smea::ENTRY,
    &crate::caf::ENTRY,
    &crate::dnc::ENTRY,
    &crate::faba::ENTRY,
    &crate::aksel::ENTRY,
    &crate::cge::ENTRY,
    &crate::signguard::ENTRY,
    &crate::gas::ENTRY,
    &crate::lasa::ENTRY,
    &crate::fedseca::ENTRY,
    &crate::monna::ENTRY,
    &crate::geometric_median::ENTRY,
    &crate::rfa::ENTRY,
    &crate::centred_clipping::ENTRY,
    &crate::sequential_clipping::ENTRY,
    &crate::fltrust::ENTRY,
    &crate::zeno::ENTRY,
    &crate::safeguard::ENTRY,
    &crate::safeguard::SINGLE,
    &crate::safeguard::CONVEX,
    &crate::draco::ENTRY,
    &crate::draco_cyclic::ENTRY,
    &crate::reactive::ENTRY,
    &crate::rsa::ENTRY,
    &crate::chain::blocks::ENTRY,
    &crate::nnm::ENTRY,
    &crate::bucketing::ENTRY,
    &crate::clipping::ENTRY,
    &crate::clipping::ARC,
    &crate::exclusion::ENTRY,
    &crate::foundation::ENTRY,
    &crate::ctma::ENTRY,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts at which a doubled, tripled or quadrupled f wraps around.
    const FAR: [usize; 5] = [usize::MAX, usize::MAX / 2, 1 << 63, 1 << 62, usize::MAX / 4];

    #[test]
    fn no_rule_stage_or_filter_takes_an_f_whose_bound_would_overflow() {
        for f in FAR {
            for entry in ALL {
                assert!(entry.facts.bound.check(entry.name, 11, f).is_err(), "{} {f}", entry.name);
                if entry.facts.family == Family::Rule {
                    assert!(crate::build(entry.name, 11, f).is_err(), "{} {f}", entry.name);
                }
            }
            for entry in crate::FILTERS {
                assert!(crate::build_filter(entry.name, 11, f).is_err(), "{} {f}", entry.name);
            }
            for text in ["bucketing s=2 | median", "nnm | krum", "median | ctma"] {
                assert!(crate::build(text, 11, f).is_err(), "{text} {f}");
            }
        }
    }

    #[test]
    fn what_is_declared_leaves_an_honest_row() {
        let error = crate::build("average", 3, 3).err().unwrap().to_string();
        assert_eq!(error, "average needs f below n, and n up to 2147483648; got n = 3, f = 3");
        assert!(crate::build("average", 3, 2).is_ok());
        // In a round, fewer rows than f may come: no defence is promised, and none is refused.
        assert!(crate::Pipeline::parse("average").unwrap().check(2, 3).is_ok());
    }
}
