"""The loop without rounds on a grid that runs clients in this process, and mods of clients."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("flwr.serverapp.strategy")

from flower_replies import Nodes, numbers, record, reply  # noqa: E402
from flwr.app import ConfigRecord, Context, Message, RecordDict  # noqa: E402

import varangian  # noqa: E402
from varangian import flower  # noqa: E402
from varangian._entries import CATALOGUE  # noqa: E402

TARGET = np.array([1.0, -2.0, 3.0], np.float32)


def towards(sent: np.ndarray, rate: float = 0.1) -> Any:
    return sent - np.float32(rate) * (sent - TARGET)


def honest(message: Any) -> Any:
    sent = numbers(message.content["arrays"])["w"]
    return reply(message, {"w": towards(sent)})


class Post(Nodes):
    """A grid on which node k answers after k pulls, so that replies are stale and out of order."""

    def __init__(self, clients: list[Any]) -> None:
        super().__init__(len(clients))
        self.clients = dict(zip(self.ids, clients, strict=True))
        self.waiting: dict[str, list[Any]] = {}
        self.pushed = 0

    def push_messages(self, messages: Any) -> list[str]:
        names = []
        for message in messages:
            self.pushed += 1
            name = f"message {self.pushed}"
            message.metadata.__dict__["_message_id"] = name
            delay = self.ids.index(message.metadata.dst_node_id)
            self.waiting[name] = [delay, message]
            names.append(name)
        return names

    def pull_messages(self, names: Any) -> list[Any]:
        answers = []
        for name in names:
            if name not in self.waiting:
                continue
            self.waiting[name][0] -= 1
            if self.waiting[name][0] < 0:
                message = self.waiting.pop(name)[1]
                answer = self.clients[message.metadata.dst_node_id](message)
                if answer is not None:
                    answers.append(answer)
        return answers


def loop(filter: str = "zeno++ rho=0.001 k=1", n: int = 5, f: int = 4, **more: Any) -> Any:
    def gradient(at: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"w": np.float32(0.1) * (at["w"] - TARGET)}

    def loss(at: dict[str, np.ndarray]) -> float:
        return float(((at["w"] - TARGET) ** 2).sum())

    return flower.AsyncLoop(filter, n, f, server_gradient=gradient, server_loss=loss, **more)


def hostile(message: Any) -> Any:
    sent = numbers(message.content["arrays"])["w"]
    return reply(message, {"w": sent + 10 * (sent - TARGET)})


def broken(message: Any) -> Any:
    return reply(message, {"w": np.full(3, np.nan, np.float32)})


def raising(message: Any) -> Any:
    return reply(message, {"v": TARGET})


START = {"w": np.array([10.0, 10.0, 10.0], np.float32)}


@pytest.mark.parametrize("filter", ["zeno++ rho=0.001 k=1", "zeno++ k=3", "zeno+"])
def test_hostile_arrivals_do_not_steer(filter: str, tmp_path: Path) -> None:
    file = tmp_path / "evidence"
    post = Post([honest, hostile, broken, raising, hostile])
    done = loop(filter, evidence=file).start(post, record(START), 400, pause=0.0)
    assert np.abs(numbers(done.arrays)["w"] - TARGET).max() < 0.05
    fates = {a.fate.split(":")[0] for a in done.arrivals if a.node != post.ids[0]}
    assert "step" not in fates and fates == {"reject", "refused"}
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == 400 and {line["worker"] for line in lines} == set(post.ids)
    plain = flower.AsyncLoop("async-sgd", 5, 0).start(
        Post([honest, hostile, hostile, hostile, hostile]), record(START), 50, pause=0.0
    )
    away = numbers(plain.arrays)["w"]
    assert not np.abs(away - TARGET).max() < 5


@pytest.mark.parametrize(
    "filter, f", [("async-sgd", 0), ("kardam", 1), ("kardam-reduced", 1), ("basgd buffers=3", 1),
                  ("weighted", 1)]
)
def test_every_filter_has_a_loop(filter: str, f: int) -> None:
    clients = [honest] * 5 + [broken] * (f > 0) + [honest] * (f == 0)
    done = flower.AsyncLoop(filter, 6, f, learning_rate=0.5).start(
        Post(clients), record(START), 600, pause=0.0
    )
    # Some filters take few arrivals; what is taken leads towards the target.
    assert done.version > 5, done.version
    assert np.abs(numbers(done.arrays)["w"] - TARGET).max() < 6.0
    assert max(a.staleness for a in done.arrivals) > 1


def test_a_loop_that_was_stopped_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "at"
    # One node: nothing is under way between two arrivals.
    whole = loop(n=1, f=0).start(Post([honest]), record(START), 40, pause=0.0)
    loop(n=1, f=0, checkpoint=file).start(Post([honest]), record(START), 25, pause=0.0)
    more = loop(n=1, f=0, resume_from=file).start(Post([honest]), record(START), 40, pause=0.0)
    assert numbers(more.arrays)["w"].tobytes() == numbers(whole.arrays)["w"].tobytes()
    assert more.version == whole.version and len(more.arrivals) == 15
    with pytest.raises(ValueError, match="another model or filter"):
        loop("kardam", 6, 1, resume_from=file).start(Post([honest]), record(START), 40)


def test_silent_nodes_are_asked_again_and_late_replies_are_judged() -> None:
    kept: list[Any] = []

    def silent_once(message: Any) -> Any:
        if not kept:
            kept.append(message)
            return None
        if len(kept) == 1:
            kept.append(None)
            return honest(kept[0])
        return honest(message)

    made = loop(n=2, f=1, reply_timeout=1e-9)
    done = made.start(Post([silent_once, honest]), record(START), 60, pause=0.0)
    assert done.version > 20
    stranger = Message(RecordDict({}), dst_node_id=5, message_type="train")
    arrival = made._judge(reply(stranger, START))
    assert arrival.fate.startswith("refused: it was not asked")


def test_wrong_loops_are_refused() -> None:
    with pytest.raises(ValueError, match="did you mean"):
        flower.AsyncLoop("zen++", 3, 1)
    with pytest.raises(ValueError, match="server_gradient= or server_loss="):
        flower.AsyncLoop("zeno++", 3, 1)
    with pytest.raises(ValueError, match="learning_rate"):
        flower.AsyncLoop("async-sgd", 3, 0, learning_rate=0)
    with pytest.raises(ValueError, match="kardam needs"):
        flower.AsyncLoop("kardam", 3, 2)


# Mods.


def sent(number: int = 1, **config: Any) -> Any:
    told = ConfigRecord({"server-round": number, **config})
    content = RecordDict({"arrays": record(START), "config": told})
    return Message(content, dst_node_id=7, message_type="train")


def context() -> Any:
    return Context(1, 7, {}, RecordDict(), {})


def call(message: Any, _: Any) -> Any:
    return honest(message)


def nearly(k: int, message: Any, _: Any) -> Any:
    return reply(message, {"w": towards(START["w"], 0.1 + 0.01 * k)})


def test_every_attack_is_a_drill(tmp_path: Path) -> None:
    for k in range(5):
        message = sent()
        message.metadata.__dict__["_dst_node_id"] = k
        flower.witness_mod(tmp_path)(
            message, context(), partial(nearly, k)
        )
    assert len(list(tmp_path.glob("0-*.npy"))) == 5
    clean = towards(START["w"])
    changed = 0
    for entry in CATALOGUE["attacks"]:
        facts, name = entry["facts"], entry["name"]
        if facts["sees"]["honest"]:
            with pytest.raises(ValueError, match="give room="):
                flower.hostile_mod(name)
        rule = "median" if facts["sees"]["rule"] else None
        text = "mixed attacks='alie;ipm'" if name == "mixed" else name
        try:
            mod = flower.hostile_mod(text, room=tmp_path, honest=5, rule=rule)
        except ValueError as error:
            assert name == "mixed", error
            continue
        try:
            made = mod(sent(), context(), call)
        except ValueError as error:
            assert "needs" in str(error), (name, error)
            continue
        changed += numbers(made.content["arrays"])["w"].tobytes() != clean.tobytes()
    assert changed > 15
    flip = flower.hostile_mod("sign-flip scale=2")(sent(), context(), call)
    assert np.allclose(numbers(flip.content["arrays"])["w"], START["w"] - 2 * (clean - START["w"]))


def test_labels_are_poisoned_where_a_drill_says_so() -> None:
    given = np.array([0, 1, 2, 9])
    seen = []

    def trains(message: Any, _: Any) -> Any:
        seen.append(flower.labels(message, given, 10).tolist())
        return honest(message)

    flower.hostile_mod("label-flip")(sent(), context(), trains)
    trains(sent(), context())
    assert seen == [[9, 8, 7, 0], [0, 1, 2, 9]]


def test_momentum_is_kept_at_the_client() -> None:
    state, mod = context(), flower.momentum_mod()
    delta = towards(START["w"]) - START["w"]
    for number, share in ((1, 0.1), (2, 0.19)):
        made = mod(sent(number, momentum=0.9), state, call)
        got = numbers(made.content["arrays"])["w"] - START["w"]
        assert np.allclose(got, share * delta, atol=1e-6)
    assert np.allclose(numbers(mod(sent(), state, call).content["arrays"])["w"], START["w"] + delta)
    config = ConfigRecord()
    nodes = Nodes(3)
    flower.RobustStrategy("median", f=1, momentum=0.9).configure_train(1, record(START), config, nodes)
    assert config["momentum"] == 0.9
    assert varangian.__version__
