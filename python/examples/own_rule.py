"""A rule of one's own, against ALIE: beside the mean, and after a stage of the list."""

import numpy as np

import varangian
from varangian import attacks, rules, stages


class Midrange(varangian.Rule):
    """Each coordinate halfway between the least and the greatest value without f at either end."""

    def aggregate(self, rows, f):
        ordered = np.sort(rows, axis=0)
        return (ordered[f] + ordered[-1 - f]) / 2


mine = Midrange(f=2)
rows = np.random.default_rng(1).normal(size=(11, 4)).astype("float32")
print(mine(rows), mine.verdict[0]["norm"])

results = varangian.run({
    "n": 11, "f": 2, "steps": 60, "model": "mlp hidden=32",
    "rule": [rules.Average(), mine, stages.NNM(f=2) | mine],
    "attack": attacks.ALIE(),
})
for run in results:
    print(f"{run.rule:<15} {100 * run.last:.1f} % after 60 steps under ALIE")
