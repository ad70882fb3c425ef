"""The strategy for Flower, against replies made by hand."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import varangian

pytest.importorskip("flwr.serverapp.strategy")

from flower_replies import Nodes, begun, bomb, forged, numbers, record, reply, report  # noqa: E402
from flwr.app import (  # noqa: E402
    Array,
    ArrayRecord,
    ConfigRecord,
    Error,
    Message,
    MetricRecord,
    RecordDict,
)

from varangian import flower  # noqa: E402
from varangian.flower import RobustStrategy  # noqa: E402

MODEL: dict[str, Any] = {
    "w": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "b": np.float32(0.25),
    "steps": np.int64(7),
}


def updates(n: int, model: dict[str, Any] = MODEL, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    made = []
    for k in range(n):
        one = {}
        for name, array in model.items():
            array = np.asarray(array)
            noise = rng.normal(size=array.shape) if array.dtype.kind == "f" else k
            one[name] = (array + noise).astype(array.dtype)
        made.append(one)
    return made


def row(model: dict[str, Any], dtype: Any = np.float32) -> np.ndarray:
    parts = [np.asarray(a) for a in model.values() if np.asarray(a).dtype.kind == "f"]
    return np.concatenate([part.astype(dtype).ravel() for part in parts])


def raw(array: np.ndarray) -> bytes:
    return bytes(Array(np.asarray(array)).data)


def with_array(mine: dict[str, Any], name: str, array: Any) -> Any:
    made = record(mine)
    made[name] = array
    return made


def hostile_replies() -> dict[str, tuple[Any, bool]]:
    """By case: what a node replies to a message, from its honest model; and whether it proves it."""
    w = np.asarray(MODEL["w"])

    def arrays(change: Any) -> Any:
        return lambda m, mine: reply(m, change(dict(mine)))

    def lying(data: bytes, **said: Any) -> Any:
        return lambda m, mine: reply(m, with_array(mine, "w", forged(w, data, **said)))

    def valued(value: float) -> Any:
        return arrays(lambda mine: {**mine, "w": np.full_like(w, value)})

    head = raw(w)[:128]
    twice = lambda m, mine: reply(m, mine, other=record(mine))  # noqa: E731
    error = lambda m, mine: Message(Error(code=1, reason="crashed"), reply_to=m)  # noqa: E731
    nothing = lambda m, mine: Message(RecordDict({}), reply_to=m)  # noqa: E731
    return {
        "other array name": (arrays(lambda mine: {"v": mine.pop("w"), **mine}), True),
        "one array more": (arrays(lambda mine: {**mine, "x": w}), True),
        "one array less": (arrays(lambda mine: {"w": w}), True),
        "other shape": (arrays(lambda mine: {**mine, "w": w.T}), True),
        "one number": (arrays(lambda mine: {**mine, "w": np.float32(0)}), True),
        "float64 for float32": (arrays(lambda mine: {**mine, "w": w.astype("f8")}), True),
        "string dtype": (arrays(lambda mine: {**mine, "w": np.full(w.shape, "x")}), True),
        "complex": (arrays(lambda mine: {**mine, "w": w.astype("c8")}), True),
        "two records": (twice, True),
        "no record": (nothing, True),
        "header bomb": (lying(bomb()), True),
        "header bomb in float16": (lying(bomb("(3, 4)", "<f2")), True),
        "negative shape": (lying(bomb("(-3, -4)")), True),
        "endless shape": (lying(bomb("(" + "9" * 500 + ",)")), True),
        "header of 64 KiB": (lying(b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535), True),
        "nested header": (lying(b"\x93NUMPY\x01\x00\x00\x08" + b"(" * 2048), True),
        "version 9": (lying(b"\x93NUMPY\x09\x00" + raw(w)[8:]), True),
        "cut short": (lying(raw(w)[:-1]), True),
        "too long": (lying(raw(w) + b"x"), True),
        "far too long": (lying(raw(w) + bytes(10**6)), True),
        "no header": (lying(b""), True),
        "a header alone": (lying(head), True),
        "object array": (lying(head.replace(b"<f4", b"|O ") + pickle.dumps([1] * 12)), True),
        "a pickle": (lying(pickle.dumps(w)), True),
        "serialised otherwise": (lying(raw(w), stype="pickle"), True),
        "claims another dtype": (lying(raw(w), dtype="float64"), True),
        "claims another shape": (lying(raw(w), shape=(4, 3)), True),
        "NaN": (valued(np.nan), True),
        "Inf": (valued(np.inf), True),
        "vast": (
            arrays(lambda mine: {**mine, "w": np.where(w < 0, 3.4e38, -3.4e38).astype("f4")}), False,
        ),
        "an error": (error, False),
    }


CASES = hostile_replies()


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("rule", ["median", "krum", "nnm | trimmed-mean"])
def test_a_hostile_reply_ends_no_run_and_steers_none(case: str, rule: str, tmp_path: Path) -> None:
    make, proven = CASES[case]
    nodes, file = Nodes(6), tmp_path / "evidence.jsonl"
    strategy = RobustStrategy(rule, f=1, evidence=file)
    messages, models = begun(strategy, MODEL, nodes), updates(6)
    replies = [reply(m, mine) for m, mine in zip(messages, models, strict=True)]
    replies[2] = make(messages[2], models[2])
    made, metrics = strategy.aggregate_train(1, reversed(replies))
    assert strategy.last is not None and made is not None and strategy.last.kept is None
    if case == "vast":
        # Finite: the rule's business.
        assert metrics["accepted"] == 6 and np.abs(row(numbers(made)) - row(MODEL)).max() < 4
        return
    assert metrics["accepted"] == 5 and metrics["refused"] == 1 and metrics["silent"] == 0
    assert strategy.last.f == (0 if proven else 1)
    sent = row(MODEL)
    rows = np.stack([row(mine) - sent for k, mine in enumerate(models) if k != 2])
    expected = sent + varangian.rule(rule, f=strategy.last.f)(rows)
    assert row(numbers(made)).tobytes() == expected.tobytes()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["worker"] for line in lines] == nodes.ids
    assert [line["verdict"] == "refused" for line in lines] == [k == 2 for k in range(6)]


def test_what_nobody_foresaw_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes, strategy = Nodes(6), RobustStrategy("median", f=1)
    messages, models = begun(strategy, MODEL, nodes), updates(6)
    offer = strategy.engine.offer

    def short_of_memory(node: int, *rest: Any) -> Any:
        if node == nodes.ids[2]:
            raise MemoryError("here, and no fault of the node's")
        return offer(node, *rest)

    monkeypatch.setattr(strategy.engine, "offer", short_of_memory)
    replies = [reply(m, mine) for m, mine in zip(messages, models, strict=True)]
    strategy.aggregate_train(1, replies)
    last = strategy.last
    assert last is not None and last.f == 1 and "MemoryError" in last.refused[nodes.ids[2]]


def test_evidence_is_read_by_the_command(tmp_path: Path) -> None:
    nodes, file = Nodes(7), tmp_path / "evidence.jsonl"
    strategy = RobustStrategy("multi-krum", f=1, evidence=file)
    for number in range(1, 4):
        messages, models = begun(strategy, MODEL, nodes, number), updates(7, seed=number)
        replies = [reply(m, mine) for m, mine in zip(messages, models, strict=True)][1:]
        replies[3] = reply(messages[4], {**models[4], "w": np.full((3, 4), np.nan, "f4")})
        strategy.aggregate_train(number, replies)
    done = subprocess.run(
        [sys.executable, "-m", "varangian", "evidence", str(file)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert str(nodes.ids[4]) in done.stdout and "NaN at coordinate 0, in w" in done.stdout
    first = [json.loads(line) for line in file.read_text().splitlines()][0]
    assert first["worker"] == nodes.ids[0] and first["reason"] == "nothing came"


def test_silence_and_strangers_and_doubles() -> None:
    nodes = Nodes(5)
    strategy = RobustStrategy("median", f=1)
    messages, models = begun(strategy, MODEL, nodes), updates(5)
    replies = [reply(m, mine) for m, mine in zip(messages, models, strict=True)]
    # The same again counts once; another one is proof; who was never asked is nobody.
    foreign = reply(messages[0], models[0])
    foreign.metadata.__dict__["_src_node_id"] = 5
    given = [*replies[:4], replies[1], reply(messages[3], models[0]), foreign]
    _, metrics = strategy.aggregate_train(1, given)
    last = strategy.last
    assert last is not None and last.used == nodes.ids[:3] and last.silent == nodes.ids[4:]
    assert set(last.refused) == {nodes.ids[3], 5} and "two different" in last.refused[nodes.ids[3]]
    assert last.refused[5] == "it was not asked" and last.f == 0
    assert metrics["kept-model"] == 0


def test_too_few_replies_keep_the_model_and_say_why() -> None:
    nodes = Nodes(5)
    strategy = RobustStrategy("krum", f=1)
    messages, models = begun(strategy, MODEL, nodes), updates(5)
    made, metrics = strategy.aggregate_train(
        1, [reply(m, mine) for m, mine in zip(messages[:4], models[:4], strict=True)]
    )
    assert made is None and metrics["kept-model"] == 1 and strategy.last is not None
    with pytest.raises(ValueError) as refused:
        varangian.rule("krum", f=1)(np.zeros((4, 2), np.float32))
    assert strategy.last.kept == str(refused.value)
    begun(strategy, MODEL, nodes, 2)
    made, metrics = strategy.aggregate_train(2, [])
    assert made is None and metrics["silent"] == 5


@pytest.mark.parametrize("dtype", ["float64", "float16", "float32"])
@pytest.mark.parametrize("rows", ["deltas", "models"])
def test_the_answer_has_the_bits_of_the_rule(dtype: str, rows: str) -> None:
    model = {"a": np.linspace(-2, 2, 10).reshape(2, 5).astype(dtype), "b": np.zeros(3, dtype)}
    strategy = RobustStrategy("nnm | multi-krum", f=1, rows=rows)
    messages, models = begun(strategy, model, Nodes(7)), updates(7, model)
    made, _ = strategy.aggregate_train(
        1, [reply(m, mine) for m, mine in zip(messages, models, strict=True)]
    )
    wide = np.float64 if dtype == "float64" else np.float32
    sent = row(model, wide)
    taken = np.stack([row(mine, wide) for mine in models])
    rule = varangian.rule("nnm | multi-krum", f=1)
    expected = sent + rule(taken - sent) if rows == "deltas" else rule(taken)
    assert row(numbers(made), dtype).tobytes() == expected.astype(dtype).tobytes()
    assert {name: array.dtype for name, array in numbers(made).items()} == {
        "a": np.dtype(dtype), "b": np.dtype(dtype),
    }


def test_a_model_of_two_widths_is_exact() -> None:
    model = {"a": np.ones(3, np.float64), "b": np.ones(2, np.float32), "flag": np.array([True, False])}
    strategy = RobustStrategy("trimmed-mean", f=1)
    messages, models = begun(strategy, model, Nodes(4)), updates(4, {"a": model["a"], "b": model["b"]})
    for k, one in enumerate(models):
        one["flag"] = np.array([k > 0, k > 2])
    made, _ = strategy.aggregate_train(
        1, [reply(m, mine) for m, mine in zip(messages, models, strict=True)]
    )
    sent = np.ones(5)
    rows = np.stack([row(mine, np.float64) for mine in models]) - sent
    expected = sent + varangian.rule("trimmed-mean", f=1)(rows)
    assert numbers(made)["a"].tobytes() == expected[:3].tobytes()
    assert numbers(made)["b"].tobytes() == expected[3:].astype(np.float32).tobytes()
    assert numbers(made)["flag"].tolist() == [True, False]


def test_bfloat16_is_widened_and_cast_back() -> None:
    from varangian._federated._npy import narrowed, widened

    wide = np.array([1.0, -2.5, 3.1415927, 1e-40, 65504.0], np.float32)
    assert np.abs(widened(narrowed(wide)) / wide - 1)[[0, 1, 2, 4]].max() < 2**-8
    halves = np.array([0x3F800000 + 0x8000, 0x3F810000 + 0x8000], np.uint32).view(np.float32)
    assert narrowed(halves).view(np.uint16).tolist() == [0x3F80, 0x3F82], "ties go to even"
    data = narrowed(wide)

    def array(values: np.ndarray) -> Any:
        return Array("bfloat16", values.shape, "numpy.ndarray", raw(values))

    strategy, nodes = RobustStrategy("median", f=1), Nodes(3)
    messages = list(
        strategy.configure_train(1, ArrayRecord({"w": array(data)}), ConfigRecord(), nodes)
    )
    replies = [reply(m, ArrayRecord({"w": array(data)})) for m in messages]
    made, _ = strategy.aggregate_train(1, replies)
    assert made["w"].dtype == "bfloat16" and made["w"].numpy().tobytes() == data.tobytes()


def test_whole_numbers_are_what_somebody_sent() -> None:
    strategy = RobustStrategy("median", f=1)
    messages, models = begun(strategy, MODEL, Nodes(5)), updates(5)
    models[4]["steps"] = np.array(2**63 - 1)
    made, _ = strategy.aggregate_train(
        1, [reply(m, mine) for m, mine in zip(messages, models, strict=True)]
    )
    assert numbers(made)["steps"] == 9


def test_weights_are_the_servers() -> None:
    nodes = Nodes(5)
    sizes = {node: float(k + 1) for k, node in enumerate(nodes.ids)}
    for given in (sizes, sizes.__getitem__):
        strategy = RobustStrategy("trimmed-mean", f=1, weights=given)
        messages, models = begun(strategy, MODEL, nodes), updates(5)
        replies = [
            reply(m, mine, {"num-examples": 10**9}) for m, mine in zip(messages, models, strict=True)
        ]
        made, _ = strategy.aggregate_train(1, replies)
        sent = row(MODEL)
        rows = np.stack([row(mine) - sent for mine in models])
        expected = sent + varangian.rule("trimmed-mean", f=1)(rows, [1.0, 2.0, 3.0, 4.0, 5.0])
        assert row(numbers(made)).tobytes() == expected.tobytes()


def test_declared_weights_are_bounded_and_forged_ones_refused() -> None:
    nodes = Nodes(9)
    strategy = RobustStrategy("trimmed-mean", f=2, weights="declared", weight_cap=3.0)
    messages, models = begun(strategy, MODEL, nodes), updates(9)
    claims: list[Any] = [10, 20, 30, 10**18, 10**400, float("nan"), -5, [10], 0]
    replies = []
    for m, mine, claim in zip(messages, models, claims, strict=True):
        made = reply(m, mine)
        made.content["metrics"].__dict__["_data"]["num-examples"] = claim
        replies.append(made)
    made, _ = strategy.aggregate_train(1, replies)
    last = strategy.last
    assert last is not None and last.used == nodes.ids[:4] and last.f == 0
    assert last.weights is not None and list(last.weights.values()) == [10, 20, 30, 75]
    assert last.refused[nodes.ids[8]] == "it has no samples"
    lacking = reply(messages[0], models[0], {"loss": 1.0})
    begun(strategy, MODEL, nodes, 2)
    strategy.aggregate_train(2, [lacking])
    assert "num-examples" in strategy.last.refused[nodes.ids[0]]  # type: ignore[union-attr]


def test_evaluations_are_guarded_and_robust() -> None:
    nodes = Nodes(7)
    strategy = RobustStrategy("median", f=2)
    messages = sorted(
        strategy.configure_evaluate(1, record(MODEL), ConfigRecord(), nodes),
        key=lambda message: message.metadata.dst_node_id,
    )
    honest = [report(m, {"accuracy": 0.8 + 0.01 * k, "hits": [1, 2]}) for k, m in enumerate(messages)]
    for lie in (
        {"accuracy": float("nan"), "hits": [1, 2]}, {"accuracy": "1", "hits": [1, 2]},
        {"accuracy": 10**400, "hits": [1, 2]}, {"accuracy": True, "hits": [1, 2]},
        {"accuracy": {}, "hits": [1, 2]}, {"accuracy": 0.8, "hits": [float("inf"), 2]},
    ):
        made = strategy.aggregate_evaluate(1, [*honest[:6], report(messages[6], lie)])
        # f = 1 of 6 is left.
        assert made["accuracy"] == pytest.approx(np.mean([0.81, 0.82, 0.83, 0.84])), lie
        assert made["hits"] == [1.0, 2.0]
    loud = [report(m, {"accuracy": 1e30, "own": 3.0}) for m in messages[5:]]
    made = strategy.aggregate_evaluate(1, [*honest[:5], *loud])
    assert 0.8 <= made["accuracy"] <= 0.84 and "own" not in made
    error = Message(Error(code=1, reason="crashed"), reply_to=messages[6])
    empty = Message(RecordDict({}), reply_to=messages[5])
    two = Message(RecordDict({"a": MetricRecord({}), "b": MetricRecord({})}), reply_to=messages[4])
    made = strategy.aggregate_evaluate(1, [*honest[:4], two, empty, error])
    assert 0.8 <= made["accuracy"] <= 0.83
    assert strategy.aggregate_evaluate(1, []) is None
    assert strategy.aggregate_evaluate(1, [error, empty, two]) is None


def test_wrong_configuration_is_refused_with_the_commands_text() -> None:
    def says(text: str, **options: Any) -> None:
        with pytest.raises(ValueError, match=text):
            RobustStrategy(**{"rule": "median", "f": 1, **options})

    says("medain.*did you mean", rule="medain")
    says("how many rows may be hostile", f=None)
    says("no form for rows that count differently", rule="bulyan", weights={})
    says("weight_cap", weights="declared")
    says("declared", weights="claimed")
    says("rows are", rows="gradients")
    says("momentum", momentum=1.0)
    says("server_update= or server_loss=", rule="fltrust")
    says("server_optimiser", server_optimiser="adam")
    says("no rule alone", rule="nnm")
    with pytest.raises(ValueError, match="m takes a whole number from 1"):
        flower.MultiKrum(num_malicious_nodes=1, num_nodes_to_select=0)
    with pytest.raises(ValueError, match="not finite"):
        begun(RobustStrategy("median", f=1), {"w": np.array([np.nan], "f4")}, Nodes(3))


def test_drop_ins_take_flowers_arguments_and_answer_alike() -> None:
    import inspect

    import flwr.serverapp.strategy as theirs

    nodes = Nodes(11)
    named: list[tuple[str, dict[str, Any]]] = [
        ("Krum", {"num_malicious_nodes": 2}), ("Bulyan", {"num_malicious_nodes": 2}),
        ("MultiKrum", {"num_malicious_nodes": 2, "num_nodes_to_select": 4}),
        ("FedMedian", {}), ("FedTrimmedAvg", {"beta": 0.2}),
    ]
    for name, options in named:
        ours, own = getattr(flower, name), getattr(theirs, name, None)
        if own is None:
            continue
        mine = [key for key in inspect.signature(ours).parameters if key != "robust"]
        assert mine == list(inspect.signature(own).parameters), name
        strategy, other = ours(**options), own(**options)
        messages, models = begun(strategy, MODEL, nodes), updates(11)
        for one in models:
            del one["steps"]
            one["steps"] = np.float32(0)
        model = {**MODEL, "steps": np.float32(0)}
        messages = begun(strategy, model, nodes)
        replies = [reply(m, mine) for m, mine in zip(messages, models, strict=True)]
        made, _ = strategy.aggregate_train(1, replies)
        if name != "Bulyan":
            expected, _ = other.aggregate_train(1, replies)
            assert np.allclose(row(numbers(made)), row(numbers(expected)), atol=1e-5), name
    assert flower.Krum(0.5, 0.5, 5).min_train_nodes == 5
    with pytest.raises(ValueError, match="beta"):
        flower.FedTrimmedAvg(beta=0.5)
    with pytest.raises(ValueError, match="selection_rule"):
        flower.Bulyan(selection_rule=len)
    with pytest.raises(TypeError, match="by place and by name"):
        flower.Krum(0.5, fraction_train=0.5)


def test_fltrust_and_zeno_ask_the_servers_data() -> None:
    model = {"w": np.array([3.0, 4.0], np.float32)}
    target = np.zeros(2, np.float32)
    towards = [{"w": model["w"] * np.float32(0.9)} for _ in range(2)]
    away = [{"w": model["w"] * np.float32(5)} for _ in range(3)]

    def trained(sent: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"w": sent["w"] - np.float32(0.1) * (sent["w"] - target)}

    def loss(at: dict[str, np.ndarray]) -> float:
        return float(((at["w"] - target) ** 2).sum())

    for strategy in (
        flower.FLTrust(trained, 3), flower.Zeno(loss, 3), flower.Zeno(loss, 3, rho=1e-4),
    ):
        messages = begun(strategy, model, Nodes(5))
        replies = [reply(m, mine) for m, mine in zip(messages, away + towards, strict=True)]
        made, _ = strategy.aggregate_train(1, replies)
        assert numbers(made)["w"] == pytest.approx([2.7, 3.6], abs=1e-5)
    broken = flower.Zeno(lambda at: 1 / 0, 1)
    messages = begun(broken, model, Nodes(5))
    with pytest.raises(ZeroDivisionError):
        broken.aggregate_train(1, [reply(m, away[0]) for m in messages])


def test_server_optimisers_are_flowers() -> None:
    import flwr.serverapp.strategy as theirs

    model, nodes = {"w": MODEL["w"]}, Nodes(5)
    for name in ("FedAvgM", "FedAdam", "FedYogi", "FedAdagrad"):
        options = {"server_momentum": 0.9, "server_learning_rate": 0.5} if name == "FedAvgM" else {}
        ours = RobustStrategy("average", f=0, server_optimiser=getattr(flower, name)(**options))
        own = getattr(theirs, name)(**options)
        mine, yours = record(model), record(model)
        for number in range(1, 4):
            sent = begun(ours, numbers(mine), nodes, number)
            theirs_sent = list(own.configure_train(number, yours, ConfigRecord(), nodes))
            models = updates(5, numbers(mine), number)
            mine, _ = ours.aggregate_train(
                number, [reply(m, one) for m, one in zip(sent, models, strict=True)]
            )
            yours, _ = own.aggregate_train(
                number, [reply(m, one) for m, one in zip(theirs_sent, models, strict=True)]
            )
            assert np.allclose(numbers(mine)["w"], numbers(yours)["w"], atol=2e-5), (name, number)


class Link(Nodes):
    """Runs a client for each message, in this process."""

    def __init__(self, n: int, client: Any, stop: int | None = None) -> None:
        super().__init__(n)
        self.client, self.calls, self.stop = client, 0, stop

    def send_and_receive(self, messages: Any, *, timeout: float | None = None) -> list[Any]:
        messages = list(messages)
        self.calls += bool(messages)
        if self.calls == self.stop:
            raise KeyboardInterrupt
        return [self.client(message) for message in messages]


def client(message: Any) -> Any:
    sent = numbers(message.content["arrays"])
    number = message.content["config"]["server-round"]
    rng = np.random.default_rng([number, message.metadata.dst_node_id % 1000])
    moved = {k: (a * 0.9 + 0.1 * rng.normal(size=a.shape)).astype(a.dtype) for k, a in sent.items()}
    return reply(message, moved)


@pytest.mark.parametrize("rule", ["median", "centred-clipping", "bucketing s=2 | median", "safeguard"])
def test_a_run_that_was_killed_ends_on_the_same_bits(rule: str, tmp_path: Path) -> None:
    def strategy(**more: Any) -> Any:
        optimiser = flower.FedAdam(eta=0.05)
        return RobustStrategy(
            rule, f=1, fraction_evaluate=0.0, seed=3, server_optimiser=optimiser, **more
        )

    model = {"w": MODEL["w"]}
    whole = strategy().start(Link(7, client), record(model), num_rounds=6)
    file = tmp_path / "round"
    with pytest.raises(KeyboardInterrupt):
        strategy(checkpoint=file).start(Link(7, client, stop=4), record(model), num_rounds=6)
    kept = strategy(checkpoint=file, resume_from=file)
    seen: list[int] = []
    again = kept.start(
        Link(7, client), record(model), num_rounds=6, evaluate_fn=lambda k, _: seen.append(k)
    )
    assert seen == [3, 4, 5, 6]
    assert numbers(again.arrays)["w"].tobytes() == numbers(whole.arrays)["w"].tobytes()
    assert sorted(again.train_metrics_clientapp) == [4, 5, 6]
    done = strategy(resume_from=file).start(Link(7, client), record(model), num_rounds=6)
    assert numbers(done.arrays)["w"].tobytes() == numbers(whole.arrays)["w"].tobytes()


def test_other_peoples_checkpoints_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "round"
    RobustStrategy("median", f=1, fraction_evaluate=0.0, checkpoint=file).start(
        Link(3, client), record({"w": MODEL["w"]}), num_rounds=1
    )

    def resumed(path: Path, model: Any) -> None:
        strategy = RobustStrategy("median", f=1, resume_from=path)
        strategy.start(Link(3, client), record(model), num_rounds=2)

    with pytest.raises(ValueError, match="of another model: its v is None"):
        resumed(file, {"v": MODEL["w"]})
    with pytest.raises(ValueError, match="there is no"):
        resumed(tmp_path / "none", {"w": MODEL["w"]})
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(ValueError, match="no checkpoint, or damaged"):
        resumed(file, {"w": MODEL["w"]})
    file.write_bytes(pickle.dumps({"about": 1}))
    with pytest.raises(ValueError, match="no checkpoint, or damaged"):
        resumed(file, {"w": MODEL["w"]})
