"""How time grows with the number of workers, and what a tree of aggregators costs in f.

    python bench/scale.py            # minutes, and 1.3 GB

Needs the wheel, built for release, and numpy. docs/scale.md shows what it printed.
"""

import math
import time

import numpy as np

import varangian


def timed(rule, rows):
    """Seconds of a call, the best of as many as fit into a second and a half."""
    rule(rows)
    best, end = math.inf, time.perf_counter() + 1.5
    while time.perf_counter() < end or best == math.inf:
        begun = time.perf_counter()
        rule(rows)
        best = min(best, time.perf_counter() - begun)
    return best


def growth():
    """Milliseconds a call, and the exponent of n between the last two."""
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(1000, 100_000)).astype(np.float32)
    tall = rng.normal(size=(10_000, 1_000)).astype(np.float32)
    print("| rule | n = 10 | 100 | 1,000 | n grows by 10, time by | n = 10,000, d = 1,000 |")
    print("|---|---|---|---|---|---|")
    names = ("average", "median", "trimmed-mean", "geometric-median", "multi-krum", "nnm | median", "bulyan")
    for name in names:
        cells = []
        for n in (10, 100, 1000):
            f = (n - 3) // 4
            if name == "bulyan" and n > 100:
                cells.append(None)
                continue
            cells.append(timed(varangian.rule(name, f=f), wide[:n]))
        last = timed(varangian.rule(name, f=2400), tall) if name not in ("bulyan", "nnm | median") else None
        shown = ["–" if cell is None else f"{cell * 1e3:.2f}" for cell in cells]
        factor = "–" if cells[2] is None else f"{cells[2] / cells[1]:.1f}"
        far = "–" if last is None else f"{last * 1e3:.0f}"
        print(f"| `{name}` | " + " | ".join(shown) + f" | {factor} | {far} |")


def tree(n, group, hostile, placed, rng, d=200):
    """How far the median of group medians is from honest workers' mean, hostile ones at 100."""
    rows = rng.normal(size=(n, d)).astype(np.float32)
    order = np.arange(n) if placed == "worst" else rng.permutation(n)
    if placed == "worst":
        # Just enough in each group to own it, group after group.
        own = group // 2 + 1
        order = np.array([g * group + k for g in range(n // group) for k in range(own)])
    rows[order[:hostile]] = 100.0
    inner = varangian.rule("median", f=(group - 1) // 2)
    means = np.stack([inner(rows[g : g + group]) for g in range(0, n, group)])
    outer = varangian.rule("median", f=(len(means) - 1) // 2)
    return float(np.abs(outer(means)).max()), float(np.abs(varangian.rule("median", f=(n - 1) // 2)(rows)).max())


def trees():
    """The most hostile workers that each shape bears, by formula and tried."""
    print("\n| n | groups of | one server bears | a tree bears, worst placement: (⌊g/2⌋+1)(⌊m/2⌋+1) − 1 | tried: holds, one more breaks | 40 % hostile, placed by chance: the tree holds in |")
    print("|---|---|---|---|---|---|")
    rng = np.random.default_rng(1)
    for n, group in ((81, 9), (225, 15), (1089, 33), (10_201, 101)):
        groups = n // group
        bears = (group // 2 + 1) * (groups // 2 + 1) - 1
        holds = tree(n, group, bears, "worst", rng)[0] < 10
        breaks = tree(n, group, bears + 1, "worst", rng)[0] > 10
        share = int(0.4 * n)
        tries = 20 if n < 5000 else 5
        chance = sum(tree(n, group, share, "chance", rng)[0] < 10 for _ in range(tries))
        flat = (n - 1) // 2
        print(f"| {n:,} | {group} | {flat:,} | {bears:,} ({bears / n:.1%}) | {'yes' if holds else 'NO'}, {'yes' if breaks else 'NO'} | {chance} of {tries} ({share:,} hostile) |")


if __name__ == "__main__":
    growth()
    trees()
