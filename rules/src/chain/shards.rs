//! Columns that are dealt to several processes: who answers them as whole rows would be.

use super::Pipeline;
use varangian_base::kernels::distances;
use varangian_base::{SpecError, shard};

impl Pipeline {
    /// Whether each coordinate of the answer depends on that coordinate of the rows alone, and on
    /// nothing that is remembered: so that columns may stand in any order.
    pub fn is_coordinate_wise(&self) -> bool {
        let columns = |entry: &&crate::RuleEntry| entry.facts.claims.coordinate_wise;
        self.entries().iter().all(columns) && !self.has_memory()
    }

    /// Whether n rows of d columns may be dealt to several processes by columns, each with its
    /// [`Shard`](varangian_base::Shard), so that every process gets the bits that whole rows would
    /// give its columns, and the same weights.
    ///
    /// # Errors
    /// Names the stage that needs whole rows, and why.
    pub fn check_shards(&self, n: usize, d: usize) -> Result<(), SpecError> {
        let entries = self.entries();
        let whole = entries.iter().map(|entry| (entry.name, entry.facts.whole_rows));
        let given = self.rule.whole_rows().map(|why| (self.rule_entry.name, why));
        let first = whole.chain(given).find(|(_, why)| !why.is_empty());
        if let Some((name, why)) = first {
            return Err(SpecError::new(format!("{name} needs whole rows: {why}")));
        }
        let columns = |entry: &&crate::RuleEntry| entry.facts.claims.coordinate_wise;
        // One point more than there are rows: the centre of a clipping.
        let block = distances::block(n + 1, d);
        if !entries.iter().all(columns) && !shard::GRAIN.is_multiple_of(block) {
            return Err(SpecError::new(format!(
                "{} sums distances between {n} rows of {d} columns over {block} columns at a \
                 time; shards are cut at multiples of {}",
                self.spec,
                shard::GRAIN
            )));
        }
        Ok(())
    }
}
