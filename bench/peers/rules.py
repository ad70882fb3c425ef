"""Times aggregation rules of varangian, byzfl and byzpy on the same rows, and prints the ratios."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = {"byzfl": "byzfl==0.0.11", "byzpy": "byzpy==0.1.4"}
RULES = {
    "plain mean": "average",
    "median": "median",
    "trimmed mean": "trimmed-mean",
    "MeaMed": "meamed",
    "Krum": "krum",
    "geometric median": "geometric-median",
    "centred clipping": "centred-clipping tau=100 L=5",
    "NNM": "nnm | average",
    "CAF": "caf",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", nargs=3, type=int, default=[25, 5, 1_310_922], metavar=("N", "F", "D"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", type=Path, default=ROOT / "target" / "peers")
    parser.add_argument("--bench", help="our bench where it is built already, instead of cargo bench")
    parser.add_argument("--only", choices=["varangian", *PEERS], help="run no more than this one")
    parser.add_argument("--child", choices=PEERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    n, f, d = options.shape
    rows = options.work / f"rows-{n}-{f}-{d}.npy"
    if options.child:
        print(json.dumps(CHILDREN[options.child](rows, f, options.threads, options.repeats)))
        return
    options.work.mkdir(parents=True, exist_ok=True)
    if not rows.exists():
        write_rows(rows, n, f, d)
    found = {}
    for name in ["varangian", *PEERS]:
        if options.only in (None, name):
            found[name] = varangian(rows, f, options) if name == "varangian" else peer(name, options)
    report(found, n, f, d, options.threads)


def write_rows(path, n, f, d):
    """A .npy file of noise around a common vector, the last f rows at three times its negative.

    Written without numpy, which the caller's Python need not have."""
    import array
    import random

    draw = random.Random(1)
    # 65,536 bell-shaped numbers, read from another place in each row: enough for timing.
    pool = array.array("f", (draw.gauss(0.0, 1.0) for _ in range(65_536)))
    common = array.array("f", (0.3 * draw.gauss(0.0, 1.0) for _ in range(65_536)))
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (n, d)
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(path, "wb") as out:
        out.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
        for i in range(n):
            sign = -3.0 if i >= n - f else 1.0
            left = d
            while left > 0:
                shift = draw.randrange(65_536)
                part = array.array(
                    "f", (sign * c + pool[(k + shift) & 65_535] for k, c in enumerate(common[:left]))
                )
                part.tofile(out)
                left -= len(part)


def varangian(rows, f, options):
    """Milliseconds of each rule by our own bench."""
    command = ["cargo", "bench", "-q", "-p", "varangian-rules", "--bench", "rules", "--"]
    if options.bench:
        command = [options.bench, "--bench"]
    command += ["--csv", "--npy", str(rows), "--f", str(f), "--threads", str(options.threads)]
    for spec in RULES.values():
        command += ["--spec", spec]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    table = [line.split(",") for line in lines if line.count(",") == 9]
    times = {row[0]: float(row[6]) for row in table[1:]}
    return {rule: times[spec] for rule, spec in RULES.items() if spec in times}


def peer(name, options):
    """Milliseconds of each rule of a peer, in its own environment and process."""
    home = options.work / name
    python = home / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", PEERS[name]], check=True)
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads), MKL_NUM_THREADS=str(options.threads))
    command = [str(python), str(Path(__file__).resolve()), "--child", name, "--work", str(options.work)]
    command += ["--threads", str(options.threads), "--repeats", str(options.repeats)]
    command += ["--shape", *map(str, options.shape)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ran.returncode != 0:
        print(f"{name} failed:\n{ran.stderr}", file=sys.stderr)
        return {}
    return json.loads(ran.stdout.splitlines()[-1])


def timed(call, repeats):
    """Median milliseconds of `call` after one warm-up, or None where it raises."""
    try:
        call()
        samples = []
        for _ in range(repeats):
            start = time.perf_counter()
            call()
            samples.append((time.perf_counter() - start) * 1e3)
    except Exception as error:  # A peer's failure is a finding, not ours to hide.
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return None
    return statistics.median(samples)


def fastest(paths):
    times = [time for time in paths if time is not None]
    return min(times) if times else None


def byzfl_times(path, f, threads, repeats):
    import byzfl
    import numpy
    import torch

    torch.set_num_threads(threads)
    rows = numpy.load(path)
    inputs = [rows, torch.from_numpy(rows)]
    rules = {
        "plain mean": byzfl.Average(),
        "median": byzfl.Median(),
        "trimmed mean": byzfl.TrMean(f=f),
        "MeaMed": byzfl.Meamed(f=f),
        "Krum": byzfl.Krum(f=f),
        "geometric median": byzfl.GeometricMedian(),
        "centred clipping": byzfl.CenteredClipping(L=5, tau=100.0),
        "NNM": byzfl.NNM(f=f),
        "CAF": byzfl.CAF(f=f),
    }
    return {name: fastest(timed(lambda: rule(x), repeats) for x in inputs) for name, rule in rules.items()}


def byzpy_times(path, f, threads, repeats):
    import numpy
    import torch
    from byzpy.aggregators.coordinate_wise import CoordinateWiseMedian, CoordinateWiseTrimmedMean, MeanOfMedians
    from byzpy.aggregators.geometric_wise import GeometricMedian, Krum
    from byzpy.aggregators.norm_wise import CAF, CenteredClipping
    from byzpy.pre_aggregators import NearestNeighborMixing

    torch.set_num_threads(threads)
    rows = list(torch.from_numpy(numpy.load(path)))
    makers = {
        "median": lambda: CoordinateWiseMedian().aggregate,
        "trimmed mean": lambda: CoordinateWiseTrimmedMean(f=f).aggregate,
        "MeaMed": lambda: MeanOfMedians(f=f).aggregate,
        "Krum": lambda: Krum(f=f).aggregate,
        "geometric median": lambda: GeometricMedian().aggregate,
        "centred clipping": lambda: CenteredClipping(c_tau=100.0, M=5).aggregate,
        "NNM": lambda: NearestNeighborMixing(f=f).pre_aggregate,
        "CAF": lambda: CAF(f=f).aggregate,
    }
    return {name: timed(lambda: make()(rows), repeats) for name, make in makers.items()}


CHILDREN = {"byzfl": byzfl_times, "byzpy": byzpy_times}


def report(found, n, f, d, threads):
    print(f"n = {n}, f = {f}, d = {d}, {threads} threads; milliseconds")
    names = list(found)
    print(f"{'':<18}" + "".join(f"{name:>12}" for name in names) + f"{'ratio':>9}")
    for rule in RULES:
        times = {name: found[name].get(rule) for name in names}
        peers = [time for name, time in times.items() if name != "varangian" and time is not None]
        ours = times.get("varangian")
        ratio = f"{min(peers) / ours:8.1f}x" if ours and peers else f"{'–':>9}"
        cells = "".join(f"{time:12.2f}" if time is not None else f"{'–':>12}" for time in times.values())
        print(f"{rule:<18}{cells}{ratio}")


if __name__ == "__main__":
    main()
