"""The grid that ByzFL's benchmark runs by default, or cells of it, beside the figures of ByzFL's own pages.

    python byzfl_grid.py --data FOLDER --out grid --gamma 0.0 --f 1 2 --aggregators TrMean --seeds 1

MNIST's four files are in FOLDER. A cell is a split and a number of hostile clients beside ten honest
ones; its value the accuracy under the worst of three attacks: of an attack the highest on the mean
curve over seeds. The whole grid is 288 trainings of 800 steps, five minutes of one core each; what is
done is not done again. Wants torch.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np

#: The test heat maps in ByzFL's documentation (docs/_static/plots_example, commit 69bd1ac), three seeds
#: a cell: by aggregator and split's parameter, at one to four hostile clients.
PUBLISHED = {
    "GeometricMedian": {
        0.0: [0.87, 0.56, 0.26, 0.27], 0.33: [0.98, 0.96, 0.94, 0.94],
        0.66: [0.98, 0.97, 0.97, 0.96], 1.0: [0.98, 0.98, 0.98, 0.97],
    },
    "TrMean": {
        0.0: [0.87, 0.61, 0.26, 0.21], 0.33: [0.98, 0.97, 0.94, 0.91],
        0.66: [0.98, 0.97, 0.97, 0.97], 1.0: [0.98, 0.98, 0.98, 0.98],
    },
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="the folder of MNIST's files")
    parser.add_argument("--out", default="byzfl-grid", help="the folder of config.json and results")
    parser.add_argument("--gamma", type=float, nargs="+", default=[1.0, 0.66, 0.33, 0.0])
    parser.add_argument("--f", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--aggregators", nargs="+", default=list(PUBLISHED), choices=list(PUBLISHED))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--jobs", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    from varangian import byzfl

    asked = arguments()
    data = str(Path(asked.data).resolve())
    out = Path(asked.out)
    out.mkdir(parents=True, exist_ok=True)
    os.chdir(out)
    Path("config.json").unlink(missing_ok=True)
    byzfl.run_benchmark()                                # writes the default
    config = json.loads(Path("config.json").read_text())
    about = config["benchmark_config"]
    about |= {"f": asked.f, "nb_training_seeds": asked.seeds, "nb_steps": asked.steps}
    about["data_distribution"][0]["distribution_parameter"] = asked.gamma
    config["aggregator"] = [one for one in config["aggregator"] if one["name"] in asked.aggregators]
    config["evaluation_and_results"] |= {"data_folder": data, "store_per_client_metrics": False}
    Path("config.json").write_text(json.dumps(config, indent=4))
    byzfl.run_benchmark(asked.jobs)
    attacks = [one["name"] for one in config["attack"]]
    print("aggregator       gamma  f  published  worst  " + "  ".join(attacks))
    for aggregator in asked.aggregators:
        for gamma in asked.gamma:
            for f in asked.f:
                found = [best(aggregator, gamma, f, attack, asked.seeds) for attack in attacks]
                told = PUBLISHED[aggregator].get(gamma, [])
                published = f"{told[f - 1]:.2f}" if 0 < f <= len(told) else "-"
                each = "  ".join(f"{value:.3f}".rjust(len(name)) for value, name in zip(found, attacks, strict=True))
                print(f"{aggregator:<16} {gamma:<5}  {f}  {published:>9}  {min(found):.3f}  {each}")


def best(aggregator: str, gamma: float, f: int, attack: str, seeds: int) -> float:
    """The highest accuracy on the test samples, on the mean curve over seeds."""
    folder = Path("results") / (
        f"mnist_cnn_mnist_n_{10 + f}_f_{f}_d_{f}_gamma_similarity_niid_{gamma}_{aggregator}_Clipping_NNM_"
        f"{attack}_lr_0.1_mom_0.9_wd_0.0001"
    )
    files = [folder / f"test_accuracy_tr_seed_{seed}_dd_seed_0.txt" for seed in range(seeds)]
    return float(np.mean([np.loadtxt(file, delimiter=",") for file in files], axis=0).max())


if __name__ == "__main__":
    main()
