"""Whether all ranks were set up alike: what differs is said on every rank, and none waits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from varangian.torch._collect import Group


def agree(
    group: Group, what: str, mine: Mapping[str, Any], failed: Exception | None = None
) -> None:
    """Refuses settings that are not the same on every rank, or that one of them could not take.

    Every rank calls it at once. ``what`` is what was set up, ``mine`` its settings here, ``failed``
    why it could not be.

    Raises
    ------
    ValueError
        On every rank, with who has what; on a rank whose own settings were refused, that error.
    """
    error = None if failed is None else f"{type(failed).__name__}: {failed}"
    told = [json.loads(text) for text in group.texts(json.dumps([error, dict(mine)]))]
    if failed is not None:
        raise failed
    refused = [f"rank {rank} ({error})" for rank, (error, _) in enumerate(told) if error]
    if refused:
        raise ValueError(f"{what} could not be set up on {', '.join(refused)}")
    differences = []
    for name in mine:
        by_value: dict[str, list[int]] = {}
        for rank, (_, settings) in enumerate(told):
            by_value.setdefault(json.dumps(settings.get(name)), []).append(rank)
        if len(by_value) > 1:
            said = [f"{value} on {_ranks(ranks)}" for value, ranks in by_value.items()]
            differences.append(f"{name} is {', '.join(said)}")
    if differences:
        raise ValueError(f"{what} is set up differently on the ranks: {'; '.join(differences)}")


def digest(settings: Mapping[str, Any]) -> float:
    """A number that tells settings apart, for an exchange of numbers; never below 0."""
    text = json.dumps(dict(settings), sort_keys=True).encode()
    return float(int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "little"))


def _ranks(ranks: list[int]) -> str:
    plural = "s" if len(ranks) > 1 else ""
    return f"rank{plural} {', '.join(map(str, ranks))}"
