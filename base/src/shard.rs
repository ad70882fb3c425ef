//! Rows of which this process holds only some columns, the others being elsewhere: what sums over
//! all columns need so that every process gets the same bits as one that holds the whole rows.
//!
//! Kernels sum in blocks of columns and add the blocks' sums in order. Where columns are cut at
//! multiples of [`GRAIN`], each block lies with one process, so the sums of the blocks can be
//! exchanged and added in the same order everywhere. A sum of sums would round otherwise.

use std::ops::Range;

/// Columns are cut at multiples of this: whole blocks of every kernel that sums over columns.
pub const GRAIN: usize = 16 * 1024;

/// Gives every process the numbers of all.
pub trait Exchange: Sync {
    /// The numbers of every process, in the order of the processes. Each gives as many.
    fn all_gather(&self, mine: &[f64]) -> Vec<f64>;
}

/// Which columns of whole rows a process holds, and how it asks the others.
#[derive(Clone, Copy)]
pub struct Shard<'a> {
    bounds: &'a [usize],
    rank: usize,
    exchange: &'a dyn Exchange,
}

impl<'a> Shard<'a> {
    /// The shard of process `rank`, where process r holds the columns `bounds[r]` to
    /// `bounds[r + 1]`.
    ///
    /// # Panics
    /// If the bounds do not ascend from 0, one between the first and the last that is not the last
    /// is no multiple of [`GRAIN`], or there is no such process.
    pub fn new(bounds: &'a [usize], rank: usize, exchange: &'a dyn Exchange) -> Self {
        assert!(rank + 1 < bounds.len() && bounds[0] == 0, "process {rank} has columns");
        assert!(bounds.is_sorted(), "the columns of processes follow one another");
        let d = bounds[bounds.len() - 1];
        assert!(
            bounds.iter().all(|&at| at == d || at.is_multiple_of(GRAIN)),
            "columns are cut at multiples of {GRAIN}"
        );
        Shard { bounds, rank, exchange }
    }

    /// How `d` columns are dealt to `processes`: the bounds. All get the same number, the least
    /// multiple of [`GRAIN`] that will do, but for the last ones, who get what is left.
    pub fn bounds(d: usize, processes: usize) -> Vec<usize> {
        let width = d.div_ceil(GRAIN).div_ceil(processes.max(1)) * GRAIN;
        (0..=processes).map(|r| (width * r).min(d)).collect()
    }

    /// The number of columns of the whole rows.
    pub fn whole(&self) -> usize {
        self.bounds[self.bounds.len() - 1]
    }

    /// The columns that are here.
    pub fn columns(&self) -> Range<usize> {
        self.bounds[self.rank]..self.bounds[self.rank + 1]
    }

    /// Of sums over blocks of `block` columns, `width` of them a block: those of all blocks, in
    /// the order of the blocks. `mine` holds those of the blocks that are here.
    ///
    /// # Panics
    /// If a block would lie with two processes.
    pub fn blocks(&self, mine: &[f64], width: usize, block: usize) -> Vec<f64> {
        let d = self.whole();
        let cut = |at: usize| at == d || at.is_multiple_of(block);
        assert!(self.bounds.iter().all(|&at| cut(at)), "a block of {block} lies in one shard");
        let count = |r: usize| (self.bounds[r + 1] - self.bounds[r]).div_ceil(block) * width;
        let processes = self.bounds.len() - 1;
        let most = (0..processes).map(count).max().unwrap_or(0);
        assert_eq!(mine.len(), count(self.rank), "{width} sums a block");
        let mut padded = mine.to_vec();
        padded.resize(most, 0.0);
        let all = self.exchange.all_gather(&padded);
        assert_eq!(all.len(), most * processes, "every process gives as many numbers");
        (0..processes).flat_map(|r| &all[r * most..][..count(r)]).copied().collect()
    }
}

impl std::fmt::Debug for Shard<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").field("bounds", &self.bounds).field("rank", &self.rank).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_dealt_in_whole_blocks() {
        assert_eq!(Shard::bounds(10, 3), [0, 10, 10, 10]);
        assert_eq!(Shard::bounds(3 * GRAIN + 5, 2), [0, 2 * GRAIN, 3 * GRAIN + 5]);
        assert_eq!(Shard::bounds(0, 2), [0, 0, 0]);
        for (d, processes) in [(1, 1), (GRAIN, 4), (100 * GRAIN + 1, 7), (GRAIN - 1, 2)] {
            let bounds = Shard::bounds(d, processes);
            assert_eq!((bounds.len(), bounds[0], bounds[processes]), (processes + 1, 0, d));
            let most = bounds.windows(2).map(|b| b[1] - b[0]).max().unwrap();
            assert!(most <= (d.div_ceil(GRAIN)).div_ceil(processes) * GRAIN, "{d} {processes}");
        }
    }
}
