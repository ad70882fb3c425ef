"""A process that trains: settings come in as lines of JSON, what became of each goes out."""

from __future__ import annotations

import contextlib
import json
import sys


def main() -> None:
    """Trains until there are no more settings."""
    answers, sys.stdout = sys.stdout, sys.stderr
    import torch

    from varangian.byzfl.benchmark._training import train

    for line in sys.stdin:
        order = json.loads(line)
        torch.set_num_threads(order["threads"])
        answer = {"error": ""}
        try:
            train(order["setting"])
        except Exception as error:  # noqa: BLE001
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    # The one who started it tells of the interruption.
    with contextlib.suppress(KeyboardInterrupt):
        main()
