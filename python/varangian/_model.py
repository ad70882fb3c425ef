"""Networks from Python as models: a ``torch.nn.Module``, or your own gradient in numpy."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from varangian import _arrays, _core
from varangian._entries import CATALOGUE
from varangian._kept import hyphened
from varangian._rule import answered


class Model:
    """A model of your own in numpy: d parameters in, loss and gradient out.

    Define :meth:`start`, :meth:`gradient` and :meth:`evaluate`. A ``torch.nn.Module`` needs none of
    this: give it to :func:`varangian.run` as it is.

    Examples
    --------
    The mean of the inputs by gradient descent, as a regression without targets that matter:

    >>> import numpy, varangian
    >>> class Centre(varangian.Model):
    ...     def start(self, seed):
    ...         return numpy.zeros(3)
    ...     def gradient(self, parameters, inputs, targets):
    ...         off = parameters - inputs
    ...         return 0.5 * (off ** 2).sum(axis=1).mean(), off.mean(axis=0)
    ...     def evaluate(self, parameters, inputs, targets):
    ...         return self.gradient(parameters, inputs, targets)[0], 0
    >>> x = 5 + numpy.random.default_rng(1).normal(size=(300, 3))
    >>> data = varangian.Dataset((x, numpy.zeros(300)), (x, numpy.zeros(300)))
    >>> results = varangian.run(
    ...     {"n": 7, "f": 2, "steps": 40, "learning_rate": 0.2, "rule": "median"},
    ...     model=Centre(), dataset=data,
    ... )
    >>> losses = results[0].curves["test_loss"][1]
    >>> bool(losses[-1] < losses[0] / 10)
    True
    """

    name: ClassVar[str] = ""

    def start(self, seed: int) -> Any:
        """The initial parameters: d numbers, the same for the same seed."""
        raise NotImplementedError(f"{type(self).__name__} defines no start(seed)")

    def gradient(self, parameters: np.ndarray, inputs: np.ndarray, targets: np.ndarray) -> Any:
        """(mean loss over the batch, its gradient of d numbers)."""
        raise NotImplementedError(f"{type(self).__name__} defines no gradient(…)")

    def evaluate(self, parameters: np.ndarray, inputs: np.ndarray, targets: np.ndarray) -> Any:
        """(mean loss over the batch, samples whose class is right; 0 for regression)."""
        raise NotImplementedError(f"{type(self).__name__} defines no evaluate(…)")

    # The border.

    _classes = 0
    _batched = False

    def _accept(self, size: tuple[int, int, int], classes: int) -> None:
        self._classes = classes
        self._d = len(self._init(0))

    def _tensors(self) -> list[tuple[str, list[int]]]:
        return [("parameters", [self._d])]

    def _buffers(self) -> list[tuple[str, list[int]]]:
        return []

    def _init(self, seed: int) -> np.ndarray:
        start = self.start(seed)
        array = _arrays.of_leaf(start, "start") if _arrays.is_leaf(start) else np.asarray(start)
        if array.ndim != 1 or array.size == 0:
            raise ValueError(f"{type(self).__name__}.start answers d numbers; got {array.shape}")
        return answered(array, array.shape, f"{type(self).__name__}.start")

    def _prepare(self, parameters: np.ndarray) -> np.ndarray:
        parameters.setflags(write=False)
        return parameters

    def _gradient(self, params: Any, inputs: Any, targets: Any, place: Any) -> Any:
        loss, gradient = self.gradient(params, inputs, targets)
        if not np.isfinite(np.asarray(gradient)).all():
            # A run that diverges: the intake refuses the row and says so.
            gradient = np.ascontiguousarray(gradient, dtype=np.float32)
        else:
            gradient = answered(gradient, (self._d,), f"{type(self).__name__}.gradient")
        return float(loss), gradient, np.zeros(0, dtype=np.float32)

    def _evaluate(self, params: Any, buffers: Any, inputs: Any, targets: Any) -> Any:
        loss, hits = self.evaluate(params, inputs, targets)
        if int(hits) != hits or not 0 <= hits <= len(inputs):
            name = type(self).__name__
            raise ValueError(f"{name}.evaluate answers 0 to {len(inputs)} right ones; got {hits}")
        return float(loss) * len(inputs), int(hits)


# torch draws dropout masks from one generator for the whole process.
_LOCK = threading.RLock()


def _seed(*words: int) -> int:
    text = ",".join(str(word) for word in words).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "little")


class TorchModel:
    """A ``torch.nn.Module`` as a model.

    Parameters
    ----------
    module : torch.nn.Module, or a callable that makes one
        A module starts every seed from the parameters that it has. A class or function is called
        for each seed, with torch's generator set by the seed: each seed its own start.
    loss : callable, optional
        (outputs, targets) to the mean loss; cross-entropy for classes, else the mean square.
    batched : bool, optional
        Whether the gradients of all workers of a step are one call of ``torch.func.vmap``: always,
        never, or by default where that can be. It cannot where the module draws (dropout), has
        running statistics (batch norm) or does what vmap does not; :attr:`why` says so then.

    A gradient is that of one worker's minibatch. Dropout draws at (seed, worker, step), as built-in
    models do. Running statistics of batch norm go by the workers' statistics, as for those, with
    the house's factor 0.9.
    """

    def __init__(
        self,
        module: Any,
        loss: Callable[[Any, Any], Any] | None = None,
        batched: bool | None = None,
    ) -> None:
        import torch

        if batched not in (None, True, False):
            raise TypeError(f"batched is True, False or None; got {batched!r}")
        self._wanted, self._batched = batched, False
        #: Why gradients are taken worker by worker; empty where they are not.
        self.why = "batched=False" if batched is False else ""

        self._torch = torch
        self._make = None if isinstance(module, torch.nn.Module) else module
        self._module = module if self._make is None else self._made(0)
        self._loss = loss
        self._trains = self._module.training
        self.name = hyphened(type(self._module).__name__)
        self._sizes = [(n, list(p.shape)) for n, p in self._module.named_parameters()]
        frozen = [n for n, p in self._module.named_parameters() if not p.requires_grad]
        if frozen:
            raise ValueError(f"every parameter is learnt; {', '.join(frozen)} require no grad")
        if not self._sizes:
            raise ValueError(f"{type(self._module).__name__} has no parameters")
        for name, parameter in self._module.named_parameters():
            if parameter.dtype is not torch.float32:
                raise TypeError(f"parameters are float32; {name} is {parameter.dtype}")
        self._device = next(self._module.parameters()).device
        self._running = self._find_running()
        self._start = self._flat(self._module) if self._make is None else None

    def _made(self, seed: int) -> Any:
        assert self._make is not None
        with _LOCK:
            before = self._torch.get_rng_state()
            self._torch.manual_seed(_seed(seed, 1))
            try:
                module = self._make()
            finally:
                self._torch.set_rng_state(before)
        if not isinstance(module, self._torch.nn.Module):
            raise TypeError(f"a model is a torch.nn.Module; got {type(module).__name__}")
        return module

    def _flat(self, module: Any) -> np.ndarray:
        parts = [p.detach().cpu().reshape(-1) for p in module.parameters()]
        flat: np.ndarray = self._torch.cat(parts).numpy().astype(np.float32)
        return flat

    def _find_running(self) -> list[tuple[str, list[int], float | None]]:
        """Running means and variances, with each module's momentum."""
        norm = self._torch.nn.modules.batchnorm._NormBase
        found = []
        for path, module in self._module.named_modules():
            if isinstance(module, norm) and module.track_running_stats:
                for name in ("running_mean", "running_var"):
                    buffer = getattr(module, name)
                    full = f"{path}.{name}" if path else name
                    found.append((full, list(buffer.shape), module.momentum))
        return found

    def _accept(self, size: tuple[int, int, int], classes: int) -> None:
        self._classes = classes
        channels, height, width = size
        shape = (2, channels) if (height, width) == (1, 1) else (2, *size)
        torch = self._torch
        with _LOCK, torch.no_grad():
            self._module.eval()
            try:
                out = self._module(torch.zeros(shape, device=self._device))
            except (RuntimeError, TypeError, ValueError) as error:
                name = type(self._module).__name__
                raise ValueError(f"{name} does not take inputs of shape {shape}: {error}") from error
            finally:
                self._module.train(self._trains)
        # Accuracy is told by them, whatever the loss is.
        if classes > 0 and tuple(out.shape) != (2, classes):
            raise ValueError(
                f"{type(self._module).__name__} answers {classes} numbers a sample, one a class; "
                f"got shape {tuple(out.shape)} for 2 samples"
            )
        if self._wanted is not False:
            self.why = self._hindrance(shape, tuple(out.shape))
            self._batched = not self.why
            if self._wanted and self.why:
                name = type(self._module).__name__
                raise ValueError(f"{name} cannot be batched (batched=None goes without): {self.why}")

    def _hindrance(self, shape: tuple[int, ...], answers: tuple[int, ...]) -> str:
        """Why the gradients of several workers are no one call; empty where they are."""
        if self._running:
            return "it has running statistics, which each worker measures for itself"
        draw = np.random.default_rng(0)
        inputs = [draw.normal(size=shape).astype(np.float32) for _ in range(2)]
        targets: list[np.ndarray] = [
            draw.integers(self._classes, size=2)
            if self._classes
            else draw.normal(size=answers).astype(np.float32).reshape(-1)
            for _ in range(2)
        ]
        flat = self._torch.from_numpy(self._flat(self._module)).to(self._device)
        try:
            _, found = self._gradients(flat, inputs, targets)
        except (RuntimeError, TypeError, ValueError) as error:
            return str(error).split("\n")[0]
        alone = [self._gradient(flat, *pair, (0, 0, 0))[1] for pair in zip(inputs, targets, strict=True)]
        if not np.allclose(found, alone, rtol=1e-3, atol=1e-5, equal_nan=True):
            return "its gradients are others when workers are batched"
        return ""

    def _tensors(self) -> list[tuple[str, list[int]]]:
        return self._sizes

    def _buffers(self) -> list[tuple[str, list[int]]]:
        return [(name, shape) for name, shape, _ in self._running]

    def _init(self, seed: int) -> np.ndarray:
        if self._start is not None:
            return self._start
        return self._flat(self._made(seed))

    def _init_buffers(self) -> np.ndarray:
        named = dict(self._module.named_buffers())
        parts = [named[name].detach().cpu().reshape(-1) for name, _, _ in self._running]
        flat: np.ndarray = self._torch.cat(parts).numpy().astype(np.float32)
        return flat

    def _prepare(self, parameters: np.ndarray) -> Any:
        return self._torch.from_numpy(parameters.copy()).to(self._device)

    def _split(self, flat: Any, sizes: Any) -> dict[str, Any]:
        out, at = {}, 0
        for name, shape, *_ in sizes:
            count = int(np.prod(shape))
            out[name] = flat[at : at + count].view(shape)
            at += count
        return out

    def _targets(self, targets: np.ndarray, outputs: Any) -> Any:
        return self._shaped(self._torch.from_numpy(targets).to(self._device), outputs)

    def _shaped(self, given: Any, outputs: Any) -> Any:
        if self._classes:
            return given
        # A loss of one's own may want fewer targets than outputs.
        fits = given.numel() == outputs.numel()
        return given.view(outputs.shape) if fits else given.view(len(outputs), -1)

    def _mean_loss(self, outputs: Any, targets: Any) -> Any:
        functional = self._torch.nn.functional
        if self._loss is not None:
            return self._loss(outputs, targets)
        return (functional.cross_entropy if self._classes else functional.mse_loss)(outputs, targets)

    def _gradient(self, flat: Any, inputs: np.ndarray, targets: np.ndarray, place: Any) -> Any:
        torch = self._torch
        with _LOCK:
            before = torch.get_rng_state()
            torch.manual_seed(_seed(*place, 2))
            try:
                self._module.train()
                leaf = flat.detach().requires_grad_()
                state = self._split(leaf, self._sizes)
                # From zero, one pass leaves momentum · statistics. What else a pass writes to is a
                # copy, counts of batches from zero too: the module stays as it was.
                seen = {name: buffer.clone() for name, buffer in self._module.named_buffers()}
                for name in seen:
                    if name.endswith("num_batches_tracked"):
                        seen[name] = torch.zeros_like(seen[name])
                for name, shape, _ in self._running:
                    seen[name] = torch.zeros(shape, device=self._device)
                x = torch.from_numpy(inputs).to(self._device)
                outputs = torch.func.functional_call(self._module, {**state, **seen}, (x,))
                loss = self._mean_loss(outputs, self._targets(targets, outputs))
                (gradient,) = torch.autograd.grad(loss, leaf)
            finally:
                torch.set_rng_state(before)
                self._module.train(self._trains)
        parts = [
            (seen[name] / (1.0 if momentum is None else momentum)).reshape(-1)
            for name, _, momentum in self._running
        ]
        told = torch.cat(parts).cpu().numpy() if parts else np.zeros(0, dtype=np.float32)
        return float(loss.detach()), gradient.cpu().numpy(), told

    def _gradients(
        self, flat: Any, inputs: list[np.ndarray], targets: list[np.ndarray]
    ) -> tuple[list[float], np.ndarray]:
        """The losses and gradients of several workers, whose minibatches are of one length."""
        torch = self._torch

        def loss(state: Any, x: Any, y: Any) -> Any:
            outputs = torch.func.functional_call(self._module, state, (x,))
            return self._mean_loss(outputs, self._shaped(y, outputs))

        # What draws would draw for all workers at once, at no worker's address.
        every = torch.func.vmap(
            torch.func.grad_and_value(loss), in_dims=(None, 0, 0), randomness="error"
        )
        with _LOCK:
            self._module.train()
            try:
                x, y = (torch.from_numpy(np.stack(z)).to(self._device) for z in (inputs, targets))
                gradients, losses = every(self._split(flat, self._sizes), x, y)
            finally:
                self._module.train(self._trains)
        parts = [gradients[name].reshape(len(inputs), -1) for name, *_ in self._sizes]
        return losses.tolist(), torch.cat(parts, dim=1).cpu().contiguous().numpy()

    def _evaluate(self, flat: Any, buffers: np.ndarray, inputs: np.ndarray, targets: np.ndarray) -> Any:
        torch = self._torch
        with _LOCK, torch.no_grad():
            self._module.eval()
            state = self._split(flat, self._sizes)
            running = self._split(torch.from_numpy(buffers).to(self._device), self._running)
            x = torch.from_numpy(inputs).to(self._device)
            outputs = torch.func.functional_call(self._module, {**state, **running}, (x,))
            given = self._targets(targets, outputs)
            loss = float(self._mean_loss(outputs, given)) * len(inputs)
            hits = int((outputs.argmax(dim=-1) == given).sum()) if self._classes else 0
            self._module.train(self._trains)
        return loss, hits


def brought(model: Any, loss: Any, batched: bool | None) -> tuple[Any, str, TorchModel | None]:
    """The entry of a model, what tells it from another of its name, and the torch model."""
    if isinstance(model, Model):
        if batched is not None:
            raise TypeError("batched is for a torch model")
        name = _free(getattr(model, "name", "") or hyphened(type(model).__name__))
        told = hashlib.blake2b(np.ascontiguousarray(model._init(0)).tobytes(), digest_size=8)
        return _core.model(model, name, "a model from Python"), told.hexdigest(), None
    adapted = TorchModel(model, loss, batched)
    start = adapted._init(0).tobytes()
    told = hashlib.blake2b(start, digest_size=8)
    words = f"{getattr(loss, '__qualname__', repr(loss))} batched={batched}"
    entry = _core.model(adapted, _free(adapted.name), "a torch module")
    return entry, f"{told.hexdigest()} {words}", adapted


def _free(name: str) -> str:
    """The name, unless one of the list has it."""
    taken = any(entry["name"] == name for entry in CATALOGUE["models"])
    return f"{name}-of-python" if taken else name
