"""ByzFL's clients, server and data distributor, on torch."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset

from varangian.byzfl import _vectors


def _fc_mnist() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10), nn.LogSoftmax(dim=1)
    )


def _cnn_mnist() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10), nn.LogSoftmax(dim=1),
    )


def _logreg_mnist() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Sigmoid())


def _cnn_cifar() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 20, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(20, 100, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(100, 200, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3200, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(),
        nn.Linear(256, 10),
    )


MODELS = {
    "fc_mnist": _fc_mnist,
    "cnn_mnist": _cnn_mnist,
    "logreg_mnist": _logreg_mnist,
    "cnn_cifar": _cnn_cifar,
}


def _given(params: Mapping[str, Any], who: str, *names: str) -> list[Any]:
    """The values of keys that must be there."""
    if not isinstance(params, Mapping):
        raise TypeError(f"{who} takes a dict; got {type(params).__name__}")
    missing = [name for name in names if name not in params]
    if missing:
        raise KeyError(f"{who} needs {', '.join(missing)}")
    return [params[name] for name in names]


def _optimiser(params: Mapping[str, Any], parameters: Any) -> torch.optim.Optimizer:
    name = str(params.get("optimizer_name") or "SGD")
    if not isinstance(getattr(torch.optim, name, None), type):
        raise ValueError(f"optimizer_name is one of torch.optim; got {name!r}")
    found: Any = getattr(torch.optim, name)
    decay = params.get("weight_decay") or 0.0
    more = params.get("optimizer_params", {})
    made: torch.optim.Optimizer = found(
        parameters, lr=params["learning_rate"], weight_decay=decay, **more
    )
    return made


class _Holder:
    """Whoever holds a copy of the model."""

    def __init__(self, params: Mapping[str, Any], who: str) -> None:
        name, device = _given(params, who, "model_name", "device")
        if isinstance(name, str):
            if name not in MODELS:
                known = ", ".join(MODELS)
                raise ValueError(f"unknown model_name {name!r}; known: {known}, or a callable")
            name = MODELS[name]
        self.device = device
        self.model: nn.Module = name().to(device)

    def get_dict_parameters(self) -> OrderedDict[str, torch.Tensor]:
        """The model's state: parameters and buffers."""
        return OrderedDict(self.model.state_dict())

    def get_flat_parameters(self) -> torch.Tensor:
        """Every parameter in one vector."""
        return torch.cat([p.detach().reshape(-1) for p in self.model.parameters()])

    def get_flat_gradients(self) -> torch.Tensor:
        """The gradient of the last batch in one vector."""
        parts = []
        for name, parameter in self.model.named_parameters():
            if parameter.grad is None:
                raise RuntimeError(f"{name} has no gradient: call compute_gradients first")
            parts.append(parameter.grad.reshape(-1))
        return torch.cat(parts)

    def set_parameters(self, flat: Any) -> None:
        """Puts a vector of every parameter into the model."""
        flat = torch.as_tensor(flat, device=self.device)
        at = 0
        with torch.no_grad():
            for parameter in self.model.parameters():
                count = parameter.numel()
                parameter.copy_(flat[at : at + count].view_as(parameter))
                at += count

    def set_gradients(self, flat: Any) -> None:
        """Puts a vector into the gradients, for the optimiser."""
        flat = torch.as_tensor(flat, device=self.device)
        at = 0
        for parameter in self.model.parameters():
            count = parameter.numel()
            parameter.grad = flat[at : at + count].view_as(parameter).clone().to(parameter.dtype)
            at += count

    def set_model_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Takes up the server's model."""
        if not isinstance(state, Mapping):
            raise TypeError(f"a model's state is a dict; got {type(state).__name__}")
        self.model.load_state_dict(state)


class Client(_Holder):
    """An honest client: gradients of its own minibatches, with momentum.

    Parameters
    ----------
    params : dict
        ``model_name`` (or a callable that makes a module), ``device``, ``loss_name`` (of
        ``torch.nn``), ``LabelFlipping``, ``training_dataloader``, ``momentum`` in [0, 1),
        ``nb_labels``; ``store_per_client_metrics`` is False unless it is given. For
        ``compute_model_update`` also ``learning_rate``, and, where they are not SGD's,
        ``optimizer_name``, ``weight_decay`` and ``optimizer_params``.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params, "Client")
        loss, flips, loader, momentum, labels = _given(
            params, "Client", "loss_name", "LabelFlipping", "training_dataloader", "momentum",
            "nb_labels",
        )
        if not hasattr(nn, str(loss)):
            raise ValueError(f"loss_name is a loss of torch.nn; got {loss!r}")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is in [0, 1); got {momentum}")
        if len(loader) == 0:
            raise ValueError("training_dataloader has no batch")
        self.criterion = getattr(nn, loss)()
        self.labelflipping, self.nb_labels = bool(flips), int(labels)
        self.momentum = float(momentum)
        self.training_dataloader = loader
        self.store_per_client_metrics = bool(params.get("store_per_client_metrics", False))
        self.loss_list: list[float] = []
        self.train_acc_list: list[float] = []
        self._batches = iter(loader)
        self._momentum = torch.zeros_like(self.get_flat_parameters())
        self._flipped: torch.Tensor | None = None
        rate = params.get("learning_rate")
        self._optimiser = _optimiser(params, self.model.parameters()) if rate else None

    def _batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        try:
            inputs, targets = next(self._batches)
        except StopIteration:
            self._batches = iter(self.training_dataloader)
            inputs, targets = next(self._batches)
        return inputs.to(self.device), targets.to(self.device)

    def _backward(self, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[float, float]:
        self.model.zero_grad()
        outputs = self.model(inputs)
        loss = self.criterion(outputs, targets)
        loss.backward()
        hits = float((outputs.argmax(dim=1) == targets).float().mean())
        return float(loss.detach()), hits

    def compute_gradients(self) -> float:
        """The gradient of the next minibatch; returns its mean loss."""
        inputs, targets = self._batch()
        self.model.train()
        if self.labelflipping:
            # Running statistics go by the honest pass alone.
            self.model.eval()
            self._backward(inputs, self.nb_labels - 1 - targets)
            self._flipped = self.get_flat_gradients().clone()
            self.model.train()
        loss, hits = self._backward(inputs, targets)
        if self.store_per_client_metrics:
            self.loss_list.append(loss)
            self.train_acc_list.append(hits)
        return loss

    def compute_model_update(self, num_rounds: int) -> float:
        """Takes steps of its own; returns their mean loss. Needs ``learning_rate``."""
        if self._optimiser is None:
            raise ValueError("a client that takes steps of its own needs learning_rate")
        losses = []
        for _ in range(num_rounds):
            losses.append(self.compute_gradients())
            self._optimiser.step()
        return float(np.mean(losses))

    def get_flat_flipped_gradients(self) -> torch.Tensor:
        """The gradient for the last minibatch with its labels flipped."""
        if self._flipped is None:
            raise RuntimeError("LabelFlipping is False, or compute_gradients was not called")
        return self._flipped

    def get_flat_gradients_with_momentum(self) -> torch.Tensor:
        """β·(the last one) + (1 − β)·gradient, a vector of its own."""
        self._momentum = self.momentum * self._momentum + (1 - self.momentum) * self.get_flat_gradients()
        return self._momentum.clone()

    def get_loss_list(self) -> list[float]:
        return self.loss_list

    def get_train_accuracy(self) -> list[float]:
        return self.train_acc_list


def _made(info: Mapping[str, Any], what: str) -> Any:
    """An aggregator or the like by its name and parameters; those that it does not take are left
    out, as a configuration holds those of several."""
    name, parameters = _given(info, what, "name", "parameters")
    found = getattr(_vectors, str(name), None)
    if found is None or str(name) not in _vectors.__all__:
        raise ValueError(f"unknown {what} {name!r}; known: {', '.join(_vectors.__all__)}")
    takes = inspect.signature(found).parameters
    return found(**{key: value for key, value in parameters.items() if key in takes})


class Server(_Holder):
    """The server: aggregates, steps, evaluates.

    Parameters
    ----------
    params : dict
        ``model_name``, ``device``, ``test_loader``, ``optimizer_name`` (of ``torch.optim``),
        ``learning_rate``, ``weight_decay``, ``milestones``, ``learning_rate_decay``,
        ``aggregator_info`` and ``pre_agg_list`` of {"name", "parameters"}; ``validation_loader``
        and ``optimizer_params`` may be given.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params, "Server")
        loader, _, _, _, milestones, gamma, info, before = _given(
            params, "Server", "test_loader", "optimizer_name", "learning_rate", "weight_decay",
            "milestones", "learning_rate_decay", "aggregator_info", "pre_agg_list",
        )
        self.optimizer = _optimiser(params, self.model.parameters())
        self.scheduler = torch.optim.lr_scheduler.MultiStepLR(self.optimizer, milestones, gamma)
        self.test_loader, self.validation_loader = loader, params.get("validation_loader")
        self.aggregator = _made(info, "aggregator")
        self.pre_aggregators = [_made(one, "pre-aggregator") for one in before]

    def aggregate(self, vectors: Sequence[Any]) -> Any:
        """The aggregate of the clients' vectors, after the pre-aggregators."""
        rows: Any = torch.stack(list(vectors)) if isinstance(vectors[0], torch.Tensor) else vectors
        for stage in self.pre_aggregators:
            rows = stage(rows)
        return self.aggregator(rows)

    def update_model_with_gradients(self, gradients: Sequence[Any]) -> None:
        """One step of the optimiser along the aggregate."""
        self.set_gradients(self.aggregate(gradients))
        self.optimizer.step()
        self.scheduler.step()

    update_model = update_model_with_gradients

    def update_model_with_weights(self, weights: Sequence[Any]) -> None:
        """The aggregate becomes the parameters."""
        self.set_parameters(self.aggregate(weights))

    def _accuracy(self, loader: Any) -> float:
        self.model.eval()
        hits = count = 0
        with torch.no_grad():
            for inputs, targets in loader:
                outputs = self.model(inputs.to(self.device))
                hits += int((outputs.argmax(dim=1) == targets.to(self.device)).sum())
                count += len(targets)
        self.model.train()
        return hits / count

    def compute_test_accuracy(self) -> float:
        """The share of test samples that are classified right."""
        return self._accuracy(self.test_loader)

    def compute_validation_accuracy(self) -> float:
        """The same on the validation samples."""
        if self.validation_loader is None:
            raise ValueError("Server was given no validation_loader")
        return self._accuracy(self.validation_loader)


class ByzantineClient:
    """f hostile clients that send one vector.

    Parameters
    ----------
    params : dict
        ``name`` of an attack (or "NoAttack"), ``f``, ``parameters``; of an optimal attack the
        parameters name ``aggregator_info`` and ``pre_agg_list`` as those of a server.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        name, f, parameters = _given(params, "ByzantineClient", "name", "f", "parameters")
        if not isinstance(f, int) or f < 0:
            raise ValueError(f"f is a whole number from 0; got {f!r}")
        self.f = f
        parameters = dict(parameters)
        if str(name).startswith("Optimal_"):
            parameters["agg"] = _made(parameters.pop("aggregator_info"), "aggregator")
            before = parameters.pop("pre_agg_list", [])
            parameters["pre_agg_list"] = [_made(one, "pre-aggregator") for one in before]
            parameters["f"] = f
        self.attack = (
            None if name == "NoAttack" else _made({"name": name, "parameters": parameters}, "attack")
        )

    def apply_attack(self, honest_vectors: Any) -> list[Any]:
        """What each of the f clients sends beside these honest vectors."""
        if self.f == 0:
            return []
        if self.attack is None:
            raise ValueError(f"{self.f} clients are hostile and the attack is NoAttack")
        if isinstance(honest_vectors, list) and isinstance(honest_vectors[0], torch.Tensor):
            honest_vectors = torch.stack(honest_vectors)
        return [self.attack(honest_vectors)] * self.f


class DataDistributor:
    """Splits a data set over clients.

    Parameters
    ----------
    params : dict
        ``data_distribution_name``: "iid", "extreme_niid", "gamma_similarity_niid" or
        "dirichlet_niid"; ``distribution_parameter`` of the last two; ``nb_honest``;
        ``data_loader`` over a data set with ``targets``, or a ``Subset`` of one; ``batch_size``.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        name, clients, loader, batch = _given(
            params, "DataDistributor", "data_distribution_name", "nb_honest", "data_loader",
            "batch_size",
        )
        known = ["iid", "extreme_niid", "gamma_similarity_niid", "dirichlet_niid"]
        if name not in known:
            raise ValueError(f"data_distribution_name is one of {', '.join(known)}; got {name!r}")
        self.data_dist, self.nb_honest, self.batch_size = name, int(clients), int(batch)
        if self.nb_honest < 1 or self.batch_size < 1:
            raise ValueError("nb_honest and batch_size are at least 1")
        self.distribution_parameter = params.get("distribution_parameter")
        if name.startswith(("gamma", "dirichlet")) and self.distribution_parameter is None:
            raise KeyError(f"{name} needs distribution_parameter")
        self.data_loader = loader

    def split_data(self) -> list[Any]:
        """A loader a client; every sample is one client's, and no client is without."""
        subset = isinstance(self.data_loader, Subset)
        dataset = self.data_loader.dataset
        all_targets = np.asarray(torch.as_tensor(dataset.targets))  # type: ignore[attr-defined]
        indices = np.asarray(self.data_loader.indices if subset else np.arange(len(all_targets)))
        targets = all_targets[indices]
        if len(indices) < self.nb_honest:
            raise ValueError(f"{len(indices)} samples are too few for {self.nb_honest} clients")
        shares = [indices[share] for share in self._shares(targets)]
        return [
            DataLoader(Subset(dataset, share.tolist()), batch_size=self.batch_size, shuffle=True)
            for share in shares
        ]

    def _shares(self, targets: np.ndarray) -> list[np.ndarray]:
        n, all_ = self.nb_honest, np.arange(len(targets))
        if self.data_dist == "iid":
            return np.array_split(np.random.permutation(all_), n)
        if self.data_dist == "extreme_niid":
            return np.array_split(np.argsort(targets, kind="stable"), n)
        if self.data_dist == "gamma_similarity_niid":
            alike = int(len(all_) * float(self.distribution_parameter or 0.0))
            mixed = np.random.permutation(all_)
            ordered = mixed[alike:][np.argsort(targets[mixed[alike:]], kind="stable")]
            pairs = zip(np.array_split(mixed[:alike], n), np.array_split(ordered, n), strict=True)
            return [np.concatenate(pair) for pair in pairs]
        parameter = float(self.distribution_parameter or 0.0)
        if parameter <= 0:
            raise ValueError(f"a Dirichlet distribution's parameter is above 0; got {parameter}")
        shares: list[list[int]] = [[] for _ in range(n)]
        for label in np.unique(targets):
            own = np.random.permutation(all_[targets == label])
            cuts = np.cumsum(np.random.dirichlet(np.full(n, parameter)))[:-1]
            for share, part in zip(shares, np.split(own, (cuts * len(own)).astype(int)), strict=True):
                share.extend(part.tolist())
        # Who would have nothing gets a sample of whoever has most.
        for share in shares:
            if not share:
                share.append(max(shares, key=len).pop())
        return [np.array(share) for share in shares]

