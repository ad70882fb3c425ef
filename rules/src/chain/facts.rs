//! What is proven of a pipeline, from what its stages state.

use super::{Pipeline, PreStage};
use crate::Kappa;

impl Pipeline {
    /// κ at (n, f), or a bound on it, where one is known of the rule and of what each stage before
    /// it makes of it, and no stage stands after it.
    pub fn kappa(&self, n: usize, f: usize) -> Option<f64> {
        if !self.post.is_empty() || self.check(n, f).is_err() {
            return None;
        }
        self.kappa_from(&self.pre, n, f)
    }

    /// How far rows may move, each by less than this in Euclidean distance, with the rule selecting
    /// the same ones, of the round just aggregated with this f and rows that count alike: a
    /// lower bound on the margin by which a selection would flip. `None` of rules that select no
    /// rows by distances (Krum, Multi-Krum and MoNNA do), where none is left out, behind
    /// stages that make other rows, and by blocks. Cost O(n²·log n).
    pub fn margin(&self, f: usize) -> Option<f64> {
        let whole = self.pre.is_empty() && self.blocks.is_none();
        whole.then(|| self.rule.margin(f)).flatten()
    }

    fn kappa_from(&self, pre: &[PreStage], n: usize, f: usize) -> Option<f64> {
        let Some((first, rest)) = pre.split_first() else {
            self.proven(n, f)?;
            return match self.rule_entry.facts.kappa {
                Kappa::Exact(value, _) | Kappa::Bound(value, _) => Some(value(n, f)),
                Kappa::Through(..) | Kappa::Open(_) => None,
            };
        };
        let (m, g) = first.stage.shape(n, f);
        let inner = self.kappa_from(rest, m, g)?;
        match first.entry.facts.kappa {
            Kappa::Through(value, _) => Some(value(n, f, inner)),
            _ => None,
        }
    }

    /// Whether the rule and (n, f) are those for which the entry's facts are stated.
    fn proven(&self, n: usize, f: usize) -> Option<()> {
        let kept = self.rule_entry.facts.bound.check(self.rule_entry.name, n, f).ok();
        kept.filter(|()| !self.rule.departs())
    }

    /// The largest deviation/norm at which the rule is proven resilient, under the same conditions.
    pub fn variance_norm(&self, n: usize, f: usize) -> Option<f64> {
        let bare = self.is_bare() && self.check(n, f).is_ok();
        self.proven(n, f)?;
        self.rule_entry.facts.variance_norm.filter(|_| bare).map(|(limit, _)| limit(n, f))
    }
}
