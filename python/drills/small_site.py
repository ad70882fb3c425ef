"""A small site among nine sends its update times 1,000: how far is the aggregate from that of the
others, in lengths of it? Sizes are known to the server.

    python python/drills/small_site.py
"""

from __future__ import annotations

import numpy as np

import varangian

SIZES = [0.6, 22.0, 18.0, 15.0, 12.4, 11.0, 9.0, 7.0, 5.0]
RULES = [
    "average", "median", "trimmed-mean", "geometric-median", "centred-clipping", "clipping c=1 | average",
    "krum", "multi-krum", "nnm | trimmed-mean",
]


def error(rule: str, scale: float, weighted: bool, seed: int) -> float:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=2000)
    rows = (common + 0.5 * rng.normal(size=(9, 2000))).astype(np.float32)
    right = np.average(rows[1:].astype(float), axis=0, weights=SIZES[1:])
    rows[0] *= np.float32(scale)
    made = varangian.rule(rule, f=0 if rule.endswith("average") else 1)
    out = made(rows, SIZES if weighted else None)
    return float(np.linalg.norm(out - right) / np.linalg.norm(right))


def main() -> None:
    print("| rule | weighted by size, honest | weighted by size, ×1000 | equal weights, ×1000 |")
    print("|---|---|---|---|")
    for rule in RULES:
        cells = []
        for scale, weighted in ((1.0, True), (1000.0, True), (1000.0, False)):
            try:
                cells.append(f"{np.median([error(rule, scale, weighted, k) for k in range(5)]):.3g}")
            except ValueError as refusal:
                assert "no form" in str(refusal), refusal
                cells.append("no weighted form")
        print(f"| `{rule}` | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
