"""Times the wheel beside byzfl, byzpy and qora-fl on the same rows, call by call in turn.

    python wheel.py [--shape N F D]... [--kind numpy|torch]... [--repeats 5] [--share SITE]

Each library runs in a virtual environment and a process of its own, on two threads; one call of each in
turn, so that a noisy moment hits all alike, and the median counts. Rows are bell-shaped noise around a
common vector, the last f far off. The table's ratio is that of the fastest peer's time to ours; the plain
mean tells what reading the rows costs. --peaks also prints how much more memory a call of ours had at its
peak than before it, as a share of the rows: what a copy of them would show as 1 (Linux). byzfl and
byzpy want torch: --share names a site-packages folder that has it, to be shared in place of two more of
several gigabytes. krum 0.9.1 needs Python 3.12 and is left out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = {"byzfl": "byzfl==0.0.11", "byzpy": "byzpy==0.1.4", "qora": "qora-fl==0.4.0"}
SHAPES = [[11, 2, 1_000], [25, 5, 1_310_922], [51, 12, 79_510]]
RULES = ["mean", "median", "trimmed mean", "MeaMed", "Krum", "NNM", "geometric median"]


def varangian_calls(f):
    from varangian import rules, stages

    return {
        "mean": rules.Average(),
        "median": rules.Median(f=f),
        "trimmed mean": rules.TrimmedMean(f=f),
        "MeaMed": rules.MeaMed(f=f),
        "Krum": rules.Krum(f=f),
        "NNM": stages.NNM(f=f),
        "geometric median": rules.GeometricMedian(f=f),
    }


def byzfl_calls(f):
    import byzfl

    return {
        "mean": byzfl.Average(),
        "median": byzfl.Median(),
        "trimmed mean": byzfl.TrMean(f),
        "MeaMed": byzfl.Meamed(f),
        "Krum": byzfl.Krum(f),
        "NNM": byzfl.NNM(f),
        "geometric median": byzfl.GeometricMedian(),
    }


def byzpy_calls(f):
    import numpy as np
    import torch
    from byzpy.aggregators import coordinate_wise, geometric_wise
    from byzpy.pre_aggregators import NearestNeighborMixing

    def over(made, method="aggregate"):
        # It takes a list of tensors; splitting is no work of the rule.
        return lambda rows: getattr(made, method)(
            list(torch.from_numpy(rows) if isinstance(rows, np.ndarray) else rows)
        )

    return {
        "median": over(coordinate_wise.CoordinateWiseMedian()),
        "trimmed mean": over(coordinate_wise.CoordinateWiseTrimmedMean(f=f)),
        "MeaMed": over(coordinate_wise.MeanOfMedians(f=f)),
        "Krum": over(geometric_wise.Krum(f=f)),
        "NNM": over(NearestNeighborMixing(f=f), "pre_aggregate"),
        "geometric median": over(geometric_wise.GeometricMedian()),
    }


def qora_calls(f, n):
    import qora

    def over(name):
        made = qora.ByzantineAggregator(name, f / n)
        return lambda rows: made.aggregate([row.reshape(1, -1) for row in rows], None, None)

    found = {}
    for name, text in [
        ("median", "median"),
        ("trimmed mean", "trimmed_mean"),
        ("Krum", f"krum:{f}"),
        ("geometric median", "geometric_median"),
    ]:
        try:
            found[name] = over(text)
        except Exception as error:  # noqa: BLE001
            print(f"qora {name}: {error}", file=sys.stderr)
    return found


CALLS = {
    "varangian": varangian_calls,
    "byzfl": byzfl_calls,
    "byzpy": byzpy_calls,
    "qora": qora_calls,
}


def rows_of(n, f, d):
    import numpy as np

    draw = np.random.default_rng(1)
    rows = (draw.normal(size=d) + draw.normal(size=(n, d))).astype(np.float32)
    rows[n - f :] += 100
    return rows


def resident(what):
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{what}:")[1].split()[0]) * 1024


def peak(call, rows):
    """Bytes that a call adds to what the process holds, at the most."""
    call(rows)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    call(rows)
    return resident("VmHWM") - before


def child(name):
    """Answers orders, a line each: the seconds of a call, or why there are none."""
    for line in sys.stdin:
        order = json.loads(line)
        n, f, d = order["shape"]
        if order["do"] == "rows":
            rows = rows_of(n, f, d)
            if order["kind"] == "torch":
                import torch

                torch.set_num_threads(order["threads"])
                rows = torch.from_numpy(rows)
            calls = CALLS[name](f, n) if name == "qora" else CALLS[name](f)
            answer = sorted(calls)
        else:
            call = calls.get(order["rule"])
            try:
                if call is None:
                    raise LookupError("it has none")
                if order["do"] == "peak":
                    answer = peak(call, rows) / (4 * n * d)
                else:
                    begun = time.perf_counter()
                    for _ in range(order["loops"]):
                        call(rows)
                    answer = (time.perf_counter() - begun) / order["loops"]
            except Exception as error:  # noqa: BLE001
                answer = f"{type(error).__name__}: {error}"[:80]
        print(json.dumps(answer), flush=True)


class Process:
    def __init__(self, name, python, threads):
        names = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS"]
        self.run = subprocess.Popen(
            [python, __file__, "--child", name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **dict.fromkeys(names, str(threads))},
        )

    def ask(self, **order):
        try:
            self.run.stdin.write(json.dumps(order) + "\n")
            self.run.stdin.flush()
        except BrokenPipeError:
            return "it ended"
        line = self.run.stdout.readline()
        if not line:
            return "it ended"
        return json.loads(line)


def environment(name, options):
    if name == "varangian":
        return sys.executable
    where = options.work / name
    python = where / "bin" / "python"
    if not (where / "whole").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", where], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if options.share:
            site = next(where.glob("lib/python*/site-packages"))
            (site / "shared.pth").write_text(str(options.share.resolve()) + "\n")
        subprocess.run([*pip, "numpy", PEERS[name]], check=True)
        (where / "whole").touch()
    return python


def seconds(x):
    return x if isinstance(x, str) else f"{x * 1e3:.2f} ms" if x > 1e-3 else f"{x * 1e6:.1f} µs"


def compare(kind, shape, options):
    n, f, d = shape
    print(f"\n{kind}, n = {n}, f = {f}, d = {d:,}, {options.threads} threads\n")
    print(f"| rule | varangian | {' | '.join(PEERS)} | fastest peer / ours |")
    print("|---" * (len(PEERS) + 3) + "|")
    running = {
        name: Process(name, environment(name, options), options.threads)
        for name in ["varangian", *PEERS]
    }
    for process in running.values():
        process.ask(do="rows", shape=shape, kind=kind, threads=options.threads)
    for rule in RULES:
        times = {name: [] for name in running}
        for k in range(options.repeats + 1):
            for name, process in running.items():
                last = times[name][-1] if times[name] else 0
                if isinstance(last, str) or (k > 1 and last > options.limit):
                    continue
                loops = 200 if n * d < 100_000 and (k == 0 or last < 1e-2) else 1
                found = process.ask(do="call", shape=shape, rule=rule, loops=loops)
                times[name].append(found)
        # The first call warms up, unless it is the only one.
        middle = {
            name: all_[-1] if isinstance(all_[-1], str) else statistics.median(all_[1:] or all_)
            for name, all_ in times.items()
        }
        peers = [middle[name] for name in PEERS if not isinstance(middle[name], str)]
        ours = middle["varangian"]
        ratio = f"{min(peers) / ours:.1f}×" if peers and not isinstance(ours, str) else "–"
        cells = " | ".join(seconds(middle[name]) for name in running)
        print(f"| {rule} | {cells} | {ratio} |", flush=True)
    if options.peaks:
        ask = running["varangian"].ask
        peaks = [f"{rule} {ask(do='peak', shape=shape, rule=rule):.2f}" for rule in RULES]
        print(f"\npeak memory of ours, as a share of the rows: {', '.join(peaks)}", flush=True)
    for process in running.values():
        process.run.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", nargs=3, type=int, action="append", metavar=("N", "F", "D"))
    parser.add_argument("--kind", choices=["numpy", "torch"], action="append")
    parser.add_argument("--peaks", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, default=ROOT / "target" / "peers")
    parser.add_argument("--share", type=Path, help="a site-packages folder with torch")
    parser.add_argument("--limit", type=float, default=60, help="seconds after which a rule is timed once")
    parser.add_argument("--child", choices=list(CALLS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return child(options.child)
    options.work.mkdir(parents=True, exist_ok=True)
    for kind in options.kind or ["numpy"]:
        for shape in options.shape or SHAPES:
            compare(kind, shape, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
