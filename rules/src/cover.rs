//! Vertex covers of small graphs: which rows to drop so that no two rows in conflict remain.

/// A graph of conflicts between n rows, as bit sets, with a workspace for the search.
#[derive(Clone, Default)]
pub(crate) struct Cover {
    n: usize,
    words: usize,
    /// Row i's rivals: words i·words … (i + 1)·words.
    rivals: Vec<u64>,
    /// The rows still there, one set for each depth of the search.
    alive: Vec<u64>,
}

impl Cover {
    /// Sets the graph.
    pub(crate) fn conflicts(&mut self, n: usize, rival: impl Fn(usize, usize) -> bool) {
        (self.n, self.words) = (n, n.div_ceil(64));
        self.rivals.clear();
        self.rivals.resize(n * self.words, 0);
        for i in 0..n {
            for j in (0..i).filter(|&j| rival(i, j)) {
                self.rivals[i * self.words + j / 64] |= 1 << (j % 64);
                self.rivals[j * self.words + i / 64] |= 1 << (i % 64);
            }
        }
    }

    /// Whether dropping at most `budget` rows ends all conflicts.
    pub(crate) fn exists(&mut self, budget: usize) -> bool {
        self.alive.clear();
        self.alive.resize((budget + 2) * self.words, 0);
        (0..self.n).for_each(|i| self.alive[i / 64] |= 1 << (i % 64));
        self.search(0, budget)
    }

    /// Of the sets of `size` rows without conflict that drop at most `budget`, the
    /// lexicographically first; there must be one.
    pub(crate) fn first_kept(&mut self, budget: usize, size: usize, kept: &mut Vec<usize>) {
        kept.clear();
        let mut left = budget;
        for i in 0..self.n {
            if kept.len() == size {
                break;
            }
            if !self.clashes(i, kept) && self.exists_with(kept, i, left) {
                kept.push(i);
            } else {
                left -= 1;
            }
        }
    }

    /// Whether row i is a rival of a kept one.
    fn clashes(&self, i: usize, kept: &[usize]) -> bool {
        kept.iter().any(|&j| self.rivals[i * self.words + j / 64] >> (j % 64) & 1 == 1)
    }

    /// Whether `kept` and row i can stay if at most `budget` of the rows after i are dropped.
    fn exists_with(&mut self, kept: &[usize], i: usize, budget: usize) -> bool {
        let words = self.words;
        self.alive.clear();
        self.alive.resize((budget + 2) * words, 0);
        (i + 1..self.n).for_each(|j| self.alive[j / 64] |= 1 << (j % 64));
        let mut dropped = 0;
        for &j in kept.iter().chain([&i]) {
            for w in 0..words {
                let gone = self.alive[w] & self.rivals[j * words + w];
                dropped += gone.count_ones() as usize;
                self.alive[w] &= !gone;
            }
        }
        dropped <= budget && self.search(0, budget - dropped)
    }

    /// Whether at most `budget` of the rows alive at `depth` cover all conflicts among them.
    fn search(&mut self, depth: usize, budget: usize) -> bool {
        let words = self.words;
        let (mut most, mut at, mut ends) = (0, 0, 0);
        for i in 0..self.n {
            if self.alive[depth * words + i / 64] >> (i % 64) & 1 == 0 {
                continue;
            }
            let degree = self.degree(depth, i);
            ends += degree;
            if degree > most {
                (most, at) = (degree, i);
            }
        }
        if most == 0 {
            return true;
        }
        if ends > 2 * budget * most {
            return false; // `budget` rows end at most budget·most conflicts
        }
        if most <= 2 {
            return self.chains(depth) <= budget;
        }
        self.without(depth, &[at]) && self.search(depth + 1, budget - 1)
            || most <= budget
                && self.without_rivals(depth, at)
                && self.search(depth + 1, budget - most)
    }

    fn degree(&self, depth: usize, i: usize) -> usize {
        let alive = &self.alive[depth * self.words..(depth + 1) * self.words];
        let rivals = &self.rivals[i * self.words..(i + 1) * self.words];
        alive.iter().zip(rivals).map(|(a, r)| (a & r).count_ones() as usize).sum()
    }

    /// The next depth's rows: those of this one without `rows`.
    fn without(&mut self, depth: usize, rows: &[usize]) -> bool {
        let words = self.words;
        self.alive.copy_within(depth * words..(depth + 1) * words, (depth + 1) * words);
        for &i in rows {
            self.alive[(depth + 1) * words + i / 64] &= !(1 << (i % 64));
        }
        true
    }

    /// The next depth's rows: those of this one without row i's rivals.
    fn without_rivals(&mut self, depth: usize, i: usize) -> bool {
        let words = self.words;
        for w in 0..words {
            self.alive[(depth + 1) * words + w] =
                self.alive[depth * words + w] & !self.rivals[i * words + w];
        }
        true
    }

    /// The least cover where no row has more than two rivals: paths of e conflicts need ⌊(e + 1)/2⌋
    /// rows, rings of e need ⌈e/2⌉. Uses up the rows at `depth`.
    fn chains(&mut self, depth: usize) -> usize {
        let mut cover = 0;
        for ends in [true, false] {
            for i in 0..self.n {
                let there = self.alive[depth * self.words + i / 64] >> (i % 64) & 1 == 1;
                if there && (!ends || self.degree(depth, i) == 1) {
                    let conflicts = self.walk(depth, i);
                    cover += conflicts.div_ceil(2);
                }
            }
        }
        cover
    }

    /// Removes the path or ring through row i, from there on; returns its number of conflicts.
    fn walk(&mut self, depth: usize, mut i: usize) -> usize {
        let words = self.words;
        let (start, mut conflicts) = (i, 0);
        loop {
            self.alive[depth * words + i / 64] &= !(1 << (i % 64));
            let next = (0..words).find_map(|w| {
                let there = self.alive[depth * words + w] & self.rivals[i * words + w];
                (there != 0).then(|| w * 64 + there.trailing_zeros() as usize)
            });
            match next {
                Some(next) => (i, conflicts) = (next, conflicts + 1),
                // A ring closes where its last row is its first one's rival.
                None => {
                    let closes = conflicts >= 2
                        && self.rivals[i * words + start / 64] >> (start % 64) & 1 == 1;
                    return conflicts + usize::from(closes);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{draws, subsets};

    #[test]
    fn covers_agree_with_enumeration() {
        let mut cover = Cover::default();
        for case in 0..400 {
            let mut draws = draws(case);
            let n = 2 + draws.below(8);
            let density = [0.15, 0.3, 0.6][case as usize % 3];
            let mut edge = vec![false; n * n];
            for i in 0..n {
                for j in 0..i {
                    edge[i * n + j] = draws.coin(density);
                }
            }
            let rival = |i: usize, j: usize| edge[i.max(j) * n + i.min(j)];
            let free =
                |set: &Vec<usize>| set.iter().all(|&i| set.iter().all(|&j| i == j || !rival(i, j)));
            for size in 1..=n {
                cover.conflicts(n, rival);
                let first = subsets(n, size).find(free);
                assert_eq!(cover.exists(n - size), first.is_some(), "n = {n}, size = {size}");
                if let Some(first) = first {
                    let mut kept = Vec::new();
                    cover.first_kept(n - size, size, &mut kept);
                    assert_eq!(kept, first);
                }
            }
        }
    }
}
