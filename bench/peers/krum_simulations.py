"""The simulation of krum 0.9.1 (NIPS 2017) and the same experiment here, on MNIST, side by side.

    python krum_simulations.py DATA --varangian target/release/varangian [--rounds 300] [--seeds 1 2 3]

Wants torch of 2.13 or later and krum 0.9.1, whose package asks for Python 3.12; its simulations also run on 3.11 from the
unpacked wheel (PYTHONPATH). DATA holds MNIST's four .gz files. The setting: 20 workers, 6 of them hostile where an attack
is named, shares of MNIST drawn alike, batches of 32, a 784-100-10 network, rate 0.1, no momentum, no decay. The attacks
of the paper: Gaussian rows of standard deviation 200, and the negated gradient of all data times 100, for which stands
here the negated mean of the honest rows times 100, as no attack of ours reads all data. It prints the accuracy on the
test images at the end, the mean over seeds, and the range.
"""

import argparse
import gzip
import json
import struct
import subprocess
import tempfile
from pathlib import Path

import torch
from krum.primitives.aggregators.average import Average
from krum.primitives.aggregators.krum import Krum
from krum.primitives.aggregators.multikrum import MultiKrum
from krum.primitives.attacks.full_gradient_negation import FullGradientNegationAttack
from krum.primitives.attacks.gaussian import GaussianAttack
from krum.primitives.models.mlp import Krum2017MLPMnist
from krum.simulations.centralised.krum_nips_2017 import KrumSimulation
from torch.utils.data import TensorDataset

N, F, BATCH, RATE = 20, 6, 32, 0.1
# Theirs and ours; what they call m is n − 2f − 3 if nothing is said.
RULES = {
    "average": (Average, "average"),
    "krum": (Krum, "krum"),
    "multi-krum": (MultiKrum, f"multi-krum m={N - 2 * F - 3}"),
}
ATTACKS = {
    "none": (None, {}, "none"),
    "gaussian": (GaussianAttack, {"std": 200.0}, "gaussian sd=200"),
    "negated": (FullGradientNegationAttack, {"kappa": 100.0}, "ipm epsilon=100"),
}


def read(path):
    """An IDX file of bytes."""
    raw = gzip.decompress(path.read_bytes())
    head = 4 + 4 * raw[3]
    return torch.frombuffer(bytearray(raw[head:]), dtype=torch.uint8).reshape(struct.unpack(f">{raw[3]}I", raw[4:head]))


def split(data, name):
    """Images less their mean and divided by their deviation, as torchvision's examples and we have them, and labels."""
    images = read(data / f"{name}-images-idx3-ubyte.gz").float() / 255
    return ((images - 0.1307) / 0.3081).unsqueeze(1), read(data / f"{name}-labels-idx1-ubyte.gz").long()


def theirs(sets, rule, attack, rounds, seed):
    (x, y), test = sets
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    shares = [TensorDataset(x[part], y[part]) for part in order.chunk(N)]
    kind, words, _ = ATTACKS[attack]
    simulation = KrumSimulation(
        model_cls=Krum2017MLPMnist, train_datasets=shares, test_set=TensorDataset(*test), aggregator=RULES[rule][0],
        attack=kind, attack_kwargs=words, n=N, f=F if kind else 0, aggregator_kwargs={"f": F if rule != "average" else 0},
        rounds=rounds, batch_size=BATCH, lr=RATE, seed=seed, device=torch.device("cpu"),
    )
    simulation.setup()
    for _ in range(rounds):
        simulation.step()
    return 100 * simulation.evaluate()[1]


def ours(program, data, rule, attack, rounds, seed):
    text = f"""name = "krum"
dataset = "mnist"
model = "mlp"
n = {N}
f = {F if rule != "average" else 0}
f_real = {F if attack != "none" else 0}
rule = "{RULES[rule][1]}"
attack = "{ATTACKS[attack][2]}"
batch = {BATCH}
learning_rate = {RATE}
momentum = 0.0
steps = {rounds}
evaluate_every = {rounds}
seed = {seed}
"""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "e.toml").write_text(text)
        subprocess.run([program, "run", "e.toml", "--data", data, "--out", "out", "--quiet"], cwd=folder, check=True)
        said = subprocess.run([program, "results", "out", "--json"], cwd=folder, check=True, capture_output=True, text=True)
    return 100 * json.loads(said.stdout)["lines"][0]["last"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--varangian", default="varangian", type=Path)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rules", nargs="+", choices=RULES, default=list(RULES))
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    given = parser.parse_args()
    sets = split(given.data, "train"), split(given.data, "t10k")
    print(f"{'rule':<12}{'attack':<10}{'krum 0.9.1':>24}{'varangian':>24}")
    for rule in given.rules:
        for attack in given.attacks:
            runs = (
                [theirs(sets, rule, attack, given.rounds, seed) for seed in given.seeds],
                [ours(given.varangian.resolve(), given.data.resolve(), rule, attack, given.rounds, seed) for seed in given.seeds],
            )
            shown = [f"{sum(run) / len(run):.1f} ({min(run):.1f} to {max(run):.1f})" for run in runs]
            print(f"{rule:<12}{attack:<10}{shown[0]:>24}{shown[1]:>24}", flush=True)


if __name__ == "__main__":
    main()
