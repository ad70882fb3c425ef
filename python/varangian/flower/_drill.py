"""Clients made hostile on purpose, and momentum at clients: mods of a ``ClientApp``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ConfigRecord

from varangian import _core
from varangian._attack import Attack
from varangian._entries import CATALOGUE
from varangian._federated._layout import Layout
from varangian.flower import _messages

Mod = Callable[[Any, Any, Callable[[Any, Any], Any]], Any]

#: The record by which a mod tells a client, and its state, what is drilled.
DRILL = "varangian.drill"
MOMENTUM = "varangian.momentum"


def hostile_mod(
    attack: str | Attack,
    f: int = 1,
    *,
    colluder: int = 0,
    room: str | os.PathLike[str] | None = None,
    honest: int | None = None,
    wait: float = 60.0,
    rule: Any = None,
    seed: int = 0,
) -> Mod:
    """A mod that makes a client send what an attack has it send.

    An attack sees what its threat model allows and nothing else: its own client's update, and
    where it sees those of the honest, what their :func:`witness_mod` left in ``room``.

    Parameters
    ----------
    attack : str or Attack
        ``varangian attacks`` lists them.
    f, colluder : int
        How many clients collude, and which of them this is, from 0.
    room : folder, optional
        Where honest updates are, for attacks that see them.
    honest : int, optional
        How many of them are waited for.
    wait : float
        Seconds; then the attack makes do with those that are there, or with its own update.
    rule : Rule or str, optional
        For attacks that try rows on the rule.
    """
    made = attack if isinstance(attack, Attack) else None
    text = made.spec if made is not None else str(attack)
    name = text.split()[0] if text else ""
    handle = _core.Attack(text, [] if made is None else made._brought())
    facts = next((e["facts"] for e in CATALOGUE["attacks"] if e["name"] == name), None)
    sees = facts["sees"] if facts else {"honest": True, "rule": False}
    if not 0 <= colluder < f:
        raise ValueError(f"colluder is 0 to f − 1 = {f - 1}; got {colluder}")
    if sees["honest"] and room is None:
        raise ValueError(f"{name} sees what the honest send: give room=, and them witness_mod(room)")
    if sees["rule"] and rule is None:
        raise ValueError(f"{name} tries rows on the rule; give it rule=")
    from varangian._rule import rule as rule_of

    tried = None if rule is None else rule_of(rule, f)._open()

    def mod(message: Any, context: Any, call_next: Callable[[Any, Any], Any]) -> Any:
        if not _trains(message):
            return call_next(message, context)
        if facts is not None and facts["poisons"]:
            about = {"attack": text, "hostile": colluder, "of": f, "seed": seed}
            message.content[DRILL] = ConfigRecord(about)
        model, step = _sent(message), _round(message) - 1
        reply = call_next(message, context)
        if facts is not None and facts["poisons"] and name != "mixed":
            return reply
        layout, before, after, wholes = _rows(model, reply)
        mine = after - before
        seen = _seen(room, step, honest, wait, layout.d) if sees["honest"] else []
        others = np.stack(seen) if seen else np.tile(mine, (2 * f + 1, 1)).astype(np.float32)
        state = context.state.config_records.get(DRILL)
        if state is not None:
            handle.load(state["memory"])
        own = np.tile(mine, (f, 1))
        forged = handle.forge(others, own.astype(np.float32), f, step, seed, tried)[colluder]
        context.state[DRILL] = ConfigRecord({"memory": handle.save()})
        with np.errstate(all="ignore"):
            return _with(reply, layout, before + forged, wholes)

    return mod


def witness_mod(room: str | os.PathLike[str]) -> Mod:
    """A mod by which an honest client of a drill leaves its update where the hostile ones see it."""
    folder = Path(room)

    def mod(message: Any, context: Any, call_next: Callable[[Any, Any], Any]) -> Any:
        if not _trains(message):
            return call_next(message, context)
        model, step = _sent(message), _round(message) - 1
        reply = call_next(message, context)
        _, before, after, _ = _rows(model, reply)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{step}-{message.metadata.dst_node_id}.npy"
        part = target.with_suffix(".part")
        with part.open("wb") as file:
            np.save(file, after - before, allow_pickle=False)
        part.replace(target)
        return reply

    return mod


def momentum_mod(beta: float | None = None) -> Mod:
    """A mod that sends m ← β·m + (1 − β)·Δ in place of the update Δ, and keeps m at the client.

    β is ``momentum`` of the message's config, as :class:`RobustStrategy` sends it, unless given.
    """
    if beta is not None and not 0 <= beta < 1:
        raise ValueError(f"beta is at least 0 and below 1; got {beta}")

    def mod(message: Any, context: Any, call_next: Callable[[Any, Any], Any]) -> Any:
        share = (_told(message) if beta is None else beta) if _trains(message) else 0.0
        if not share:
            return call_next(message, context)
        model = _sent(message)
        reply = call_next(message, context)
        layout, before, after, wholes = _rows(model, reply)
        held = context.state.array_records.get(MOMENTUM)
        kind = layout.dtype
        past = held["m"].numpy() if held is not None else np.zeros(layout.d, kind)
        moved = kind(share) * past + kind(1 - share) * (after - before)
        context.state[MOMENTUM] = _messages.record_of({"m": moved}, {"m": str(moved.dtype)})
        return _with(reply, layout, before + moved, wholes)

    return mod


def labels(message: Any, given: Any, classes: int) -> np.ndarray:
    """The labels that a client trains on: those given, unless a drill poisons them."""
    record = message.content.config_records.get(DRILL)
    if record is None:
        return np.asarray(given)
    from varangian._attack import Listed

    class Named(Listed):
        def __init__(self) -> None:
            self._given, self._spelt = {}, str(record["attack"])
            self._open()

    place = {"hostile": int(record["hostile"]), "of": int(record["of"])}
    return Named().poison(
        given, classes, step=_round(message) - 1, seed=int(record["seed"]), **place
    )


def _trains(message: Any) -> bool:
    return str(message.metadata.message_type).split(".")[0] == "train"


def _round(message: Any) -> int:
    for record in message.content.config_records.values():
        if "server-round" in record:
            return int(record["server-round"])
    return 1


def _told(message: Any) -> float:
    for record in message.content.config_records.values():
        if "momentum" in record:
            return float(record["momentum"])
    return 0.0


def _sent(message: Any) -> dict[str, tuple[str, np.ndarray]]:
    (record,) = message.content.array_records.values()
    return _messages.model_of(record)


def _rows(model: Any, reply: Any) -> tuple[Layout, np.ndarray, np.ndarray, list[np.ndarray]]:
    """What was sent and what comes back, as rows."""
    layout = Layout.of({name: (dtype, array.shape) for name, (dtype, array) in model.items()})
    before, _ = layout.take(list(model), lambda name, dtype, shape: model[name][1])
    (record,) = reply.content.array_records.values()
    after, wholes = layout.take(list(record.keys()), _messages.reader(record))
    return layout, before, after, wholes


def _with(reply: Any, layout: Layout, row: np.ndarray, wholes: list[np.ndarray]) -> Any:
    """The reply with other numbers, finite or not."""
    (name,) = reply.content.array_records
    dtypes = {part.name: part.dtype for part in layout.parts}
    held = layout.give(row, wholes, strict=False)
    reply.content[name] = _messages.record_of(held, dtypes)
    return reply


def _seen(room: Any, step: int, honest: int | None, wait: float, d: int) -> list[np.ndarray]:
    """The honest updates of a round, once as many are there as are waited for."""
    until = time.monotonic() + wait
    while True:
        files = sorted(Path(room).glob(f"{step}-*.npy"))
        if files and (honest is None or len(files) >= honest) or time.monotonic() > until:
            rows = [np.load(file, allow_pickle=False) for file in files]
            return [np.asarray(row, np.float32) for row in rows if row.shape == (d,)]
        time.sleep(0.05)

