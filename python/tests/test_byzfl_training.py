"""ByzFL's README example, on drawn digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

from varangian.byzfl import ByzantineClient, Client, DataDistributor, Server  # noqa: E402
from varangian.byzfl.utils.misc import set_random_seed  # noqa: E402


class Digits(torch.utils.data.Dataset):  # type: ignore[misc, name-defined]
    """Ten blurred squares at ten places."""

    def __init__(self, count: int, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self.targets = torch.from_numpy(draw.integers(0, 10, count))
        images = draw.normal(0, 0.3, size=(count, 1, 28, 28)).astype(np.float32)
        for image, label in zip(images, self.targets, strict=True):
            y, x = divmod(int(label), 5)
            image[0, 4 + 12 * y : 12 + 12 * y, 5 * x : 5 * x + 6] += 1
        self.images = torch.from_numpy(images)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, i: int) -> Any:
        return self.images[i], int(self.targets[i])


def train(aggregator: str, attack: dict[str, Any], steps: int = 60) -> float:
    set_random_seed(42)
    loaders = DataDistributor({
        "data_distribution_name": "dirichlet_niid", "distribution_parameter": 0.5, "nb_honest": 3,
        "data_loader": DataLoader(Digits(600, 1), shuffle=True), "batch_size": 25,
    }).split_data()
    clients = [
        Client({
            "model_name": "fc_mnist", "device": "cpu", "loss_name": "NLLLoss",
            "LabelFlipping": False, "training_dataloader": loader, "momentum": 0.9,
            "nb_labels": 10,
        })
        for loader in loaders
    ]
    server = Server({
        "device": "cpu", "model_name": "fc_mnist", "test_loader": DataLoader(Digits(300, 2), 100),
        "optimizer_name": "SGD", "learning_rate": 0.1, "weight_decay": 0.0001,
        "milestones": [1000], "learning_rate_decay": 0.25,
        "aggregator_info": {"name": aggregator, "parameters": {"f": 1}},
        "pre_agg_list": [
            {"name": "Clipping", "parameters": {"c": 2.0}}, {"name": "NNM", "parameters": {"f": 1}},
        ],
    })
    hostile = ByzantineClient(attack)
    for _ in range(steps):
        for client in clients:
            client.set_model_state(server.get_dict_parameters())
            client.compute_gradients()
        honest = [client.get_flat_gradients_with_momentum() for client in clients]
        server.update_model(honest + hostile.apply_attack(honest))
    return server.compute_test_accuracy()


IPM = {"name": "InnerProductManipulation", "f": 1, "parameters": {"tau": 3.0}}


def test_the_readme_example_learns_and_repeats_itself() -> None:
    assert train("TrMean", IPM) > 0.9
    assert train("TrMean", IPM, 5) == train("TrMean", IPM, 5)
    best = {
        "name": "Optimal_ALittleIsEnough", "f": 1,
        "parameters": {
            "aggregator_info": {"name": "TrMean", "parameters": {"f": 1}},
            "pre_agg_list": [{"name": "NNM", "parameters": {"f": 1}}],
        },
    }
    assert 0 <= train("TrMean", best, 3) <= 1


@pytest.mark.parametrize(
    ("name", "parameter"),
    [("iid", None), ("extreme_niid", None), ("gamma_similarity_niid", 0.5), ("dirichlet_niid", 0.1)],
)
def test_every_sample_is_one_clients_and_nobody_is_without(name: str, parameter: Any) -> None:
    digits = Digits(200, 1)
    loaders = DataDistributor({
        "data_distribution_name": name, "distribution_parameter": parameter, "nb_honest": 20,
        "data_loader": DataLoader(digits), "batch_size": 5,
    }).split_data()
    shares = [loader.dataset.indices for loader in loaders]
    assert len(shares) == 20 and all(len(share) for share in shares)
    assert sorted(sum(shares, [])) == list(range(200))


def test_what_is_missing_is_named() -> None:
    with pytest.raises(KeyError, match="Client needs loss_name"):
        Client({"model_name": "fc_mnist", "device": "cpu"})
    with pytest.raises(ValueError, match="unknown model_name 'vgg'"):
        Client({"model_name": "vgg", "device": "cpu"})
    with pytest.raises(ValueError, match="unknown attack 'Nothing'"):
        ByzantineClient({"name": "Nothing", "f": 1, "parameters": {}})
    with pytest.raises(ValueError, match="the attack is NoAttack"):
        ByzantineClient({"name": "NoAttack", "f": 1, "parameters": {}}).apply_attack([torch.ones(2)])
