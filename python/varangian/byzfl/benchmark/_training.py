"""One training of a benchmark, on MNIST's files."""

from __future__ import annotations

import gzip
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, random_split

from varangian.byzfl._training import MODELS, ByzantineClient, Client, DataDistributor, Server
from varangian.byzfl.benchmark._config import Setting, folder, seeds
from varangian.byzfl.benchmark._files import FileManager
from varangian.byzfl.utils.misc import set_random_seed

#: Mean and standard deviation of MNIST's pixels, as ByzFL's transformation has them.
MEAN, DEVIATION = 0.1307, 0.3081


class Images(Dataset):  # type: ignore[type-arg, misc]
    """Images in memory, with what they show."""

    def __init__(self, images: torch.Tensor, targets: torch.Tensor) -> None:
        self.images, self.targets = images, targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.images[i], self.targets[i]

    def batches(self, indices: Any, size: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Some of the samples in batches, for evaluation."""
        indices = torch.as_tensor(indices)
        parts = [indices[at : at + size] for at in range(0, len(indices), size)]
        return [(self.images[part], self.targets[part]) for part in parts]


def find(folder: str | Path, name: str) -> Path:
    """One of MNIST's files, where torchvision puts it or in the folder itself."""
    root = Path(folder)
    for place in (root / "MNIST" / "raw", root):
        for ending in ("", ".gz"):
            if (place / f"{name}{ending}").is_file():
                return place / f"{name}{ending}"
    raise FileNotFoundError(
        f"{name} (or {name}.gz) is neither in {root / 'MNIST' / 'raw'} nor in {root}: "
        "put MNIST's four files there, as nothing is downloaded"
    )


def numbers(path: Path, dimensions: int) -> np.ndarray:
    """The bytes of an IDX file."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    if content[:4] != bytes([0, 0, 8, dimensions]):
        raise ValueError(f"{path} is no IDX file of bytes in {dimensions} dimensions")
    head = 4 + 4 * dimensions
    shape = [int(size) for size in np.frombuffer(content[4:head], ">u4")]
    if len(content) != head + int(np.prod(shape)):
        raise ValueError(
            f"{path} has {len(content) - head} bytes of data; its head says {shape}"
        )
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)


def mnist(folder: str | Path, part: str) -> Images:
    """MNIST's "train" or "t10k" images, normalised, and their labels."""
    images = numbers(find(folder, f"{part}-images-idx3-ubyte"), 3)
    targets = numbers(find(folder, f"{part}-labels-idx1-ubyte"), 1)
    if len(images) != len(targets):
        raise ValueError(f"{folder}: {len(images)} images and {len(targets)} labels of {part}")
    pixels = torch.from_numpy(images.astype(np.float32) / 255).unsqueeze(1)
    return Images((pixels - MEAN) / DEVIATION, torch.from_numpy(targets.astype(np.int64)))


def check(setting: Setting) -> None:
    """Refuses what no training here can do, before the first begins."""
    model, about = setting["model"], setting["benchmark_config"]
    if model["dataset_name"] != "mnist":
        raise ValueError(f"dataset_name is mnist here; got {model['dataset_name']!r}")
    known = [name for name in MODELS if name.endswith("mnist")]
    if model["name"] not in known:
        raise ValueError(f"a model of mnist is one of {', '.join(known)}; got {model['name']!r}")
    if str(about["device"]).startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device is {about['device']!r} and torch finds none; \"cpu\" is there")
    algorithm, attack = about["training_algorithm"], setting["attack"]["name"]
    if algorithm["name"] not in ("DSGD", "FedAvg"):
        raise ValueError(f"training_algorithm is DSGD or FedAvg; got {algorithm['name']!r}")
    if algorithm["name"] == "FedAvg":
        if attack == "LabelFlipping":
            raise ValueError("LabelFlipping goes by gradients; FedAvg sends models")
        _fed_avg(algorithm.get("parameters") or {})
    if attack == "NoAttack" and about["f"] > 0:
        raise ValueError(f"{about['f']} clients are hostile and the attack is NoAttack")
    if not 0 < float(about["size_train_set"]) <= 1:
        raise ValueError(f"size_train_set is in (0, 1]; got {about['size_train_set']}")
    if about["nb_honest_clients"] < 1:
        raise ValueError(f"a training has an honest client; got {about['nb_honest_clients']}")


def _fed_avg(parameters: Mapping[str, Any]) -> tuple[float, int]:
    share = parameters.get("proportion_selected_clients")
    local = parameters.get("local_steps_per_client")
    if not isinstance(share, (int, float)) or not 0 < share <= 1:
        raise ValueError(f"FedAvg: proportion_selected_clients is in (0, 1]; got {share!r}")
    if not isinstance(local, int) or local < 1:
        raise ValueError(f"FedAvg: local_steps_per_client is a whole number from 1; got {local!r}")
    return float(share), local


class Training:
    """A server, its clients, and what they have come to."""

    def __init__(self, setting: Setting) -> None:
        about, model, clients = (
            setting[key] for key in ("benchmark_config", "model", "honest_clients")
        )
        evaluation = setting["evaluation_and_results"]
        self.about, self.attack_name = about, setting["attack"]["name"]
        set_random_seed(about["data_distribution_seed"])
        train = mnist(evaluation["data_folder"], "train")
        test = mnist(evaluation["data_folder"], "t10k")
        size = int(float(about["size_train_set"]) * len(train))
        kept, held_out = random_split(train, [size, len(train) - size])
        batch = evaluation["batch_size_evaluation"]
        loaders = DataDistributor({
            "data_distribution_name": about["data_distribution"]["name"],
            "distribution_parameter": about["data_distribution"]["distribution_parameter"],
            "nb_honest": about["nb_honest_clients"],
            "data_loader": kept,
            "batch_size": clients["batch_size"],
        }).split_data()
        common = {
            "model_name": model["name"], "device": about["device"],
            "optimizer_name": model.get("optimizer_name", "SGD"),
            "learning_rate": model["learning_rate"], "weight_decay": clients["weight_decay"],
            "milestones": model["milestones"],
            "learning_rate_decay": model["learning_rate_decay"],
        }
        self.clients = [
            Client({
                **common,
                "loss_name": model["loss"],
                "LabelFlipping": self.attack_name == "LabelFlipping",
                "training_dataloader": loader,
                "momentum": clients["momentum"],
                "nb_labels": model["nb_labels"],
                "store_per_client_metrics": evaluation["store_per_client_metrics"],
            })
            for loader in loaders
        ]
        self.server = Server({
            **common,
            "validation_loader": train.batches(held_out.indices, batch) or None,
            "test_loader": test.batches(range(len(test)), batch),
            "aggregator_info": setting["aggregator"],
            "pre_agg_list": setting["pre_aggregators"],
        })
        attack = {
            **setting["attack"]["parameters"],
            "aggregator_info": setting["aggregator"],
            "pre_agg_list": setting["pre_aggregators"],
        }
        self.hostile = ByzantineClient(
            {"name": self.attack_name, "f": about["f"], "parameters": attack}
        )
        self.algorithm = about["training_algorithm"]
        set_random_seed(about["training_seed"])
        self.share()

    def share(self) -> None:
        """Every client takes up the server's model."""
        state = self.server.get_dict_parameters()
        for client in self.clients:
            client.set_model_state(state)

    def step(self) -> float:
        """One step of all; the honest clients' mean loss."""
        loss = self._gradients() if self.algorithm["name"] == "DSGD" else self._models()
        self.share()
        return loss

    def _gradients(self) -> float:
        losses = [client.compute_gradients() for client in self.clients]
        honest = [client.get_flat_gradients_with_momentum() for client in self.clients]
        seen = honest
        if self.attack_name == "LabelFlipping":
            seen = [client.get_flat_flipped_gradients() for client in self.clients]
        self.server.update_model_with_gradients(honest + self.hostile.apply_attack(seen))
        return float(np.mean(losses))

    def _models(self) -> float:
        share, local = _fed_avg(self.algorithm["parameters"])
        honest, f = len(self.clients), self.about["f"]
        count = max(1, int(honest * share))
        # *Differs:* ByzFL stops where a draw has no honest client; it is drawn again.
        while True:
            drawn = np.random.choice(honest + f, size=count, replace=False)
            chosen = [self.clients[i] for i in drawn if i < honest]
            if chosen:
                break
        losses = [client.compute_model_update(local) for client in chosen]
        models = [client.get_flat_parameters() for client in chosen]
        self.hostile.f = count - len(chosen)
        self.server.update_model_with_weights(models + self.hostile.apply_attack(models))
        return float(np.mean(losses))


def train(setting: Setting) -> None:
    """Trains by a setting; its results are in its folder, train_time last."""
    check(setting)
    about, evaluation = setting["benchmark_config"], setting["evaluation_and_results"]
    files = FileManager(Path(evaluation["results_directory"]) / folder(setting))
    files.save_config_dict(setting)
    training, end = Training(setting), seeds(setting)
    server, steps = training.server, about["nb_steps"]
    curves: dict[str, list[float]] = {}

    def evaluate(step: int) -> None:
        if server.validation_loader is not None:
            curves.setdefault("val_accuracy", []).append(server.compute_validation_accuracy())
        if evaluation["evaluate_on_test"]:
            curves.setdefault("test_accuracy", []).append(server.compute_test_accuracy())
        for what, values in curves.items():
            files.write_array_in_file(values, f"{what}_{end}.txt")
        if evaluation["store_models"]:
            files.save_state_dict(server.get_dict_parameters(), end, step)

    losses = np.zeros(steps)
    begun = time.perf_counter()
    for step in range(steps):
        if step % evaluation["evaluation_delta"] == 0:
            evaluate(step)
        losses[step] = training.step()
    seconds = time.perf_counter() - begun
    files.write_array_in_file(losses, f"train_loss_{end}.txt")
    evaluate(steps)
    if evaluation["store_per_client_metrics"]:
        for k, client in enumerate(training.clients):
            files.save_loss(client.get_loss_list(), end, k)
            files.save_accuracy(client.get_train_accuracy(), end, k)
    files.write_array_in_file(np.array(seconds), f"train_time_{end}.txt")
