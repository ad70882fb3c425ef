"""Draws the pictures of the book's concepts from numbers of the product: `varangian aggregate`, `forge` and `run`.

    python3 book/pictures.py PROGRAM        # a minute on two cores; writes book/pictures/*.svg

Plain Python, no library. Every number in a picture is an answer of the program that is named; the experiments stand below.
"""

import csv
import json
import math
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

OUT = Path(__file__).resolve().parent / "pictures"
BLUE, RED, GREEN = "#2f7fd6", "#e0533d", "#2f9e62"
STYLE = ("<style>svg{color:#1f2328}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}"
         "text{fill:currentColor;font:13px system-ui,sans-serif}</style>")
# Nine honest rows of two coordinates, as in the reference's pictures, and two hostile ones.
HONEST = [(-1.6, 0.3), (-1.1, -1.1), (-0.7, 1.2), (-0.3, -0.5), (0.1, 1.5), (0.5, -1.6), (0.8, 0.6), (1.0, -0.7), (1.3, 0.3)]

MOMENTUM = """
name = "momentum"
dataset = "glyphs"
model = "mlp hidden=32"
n = 15
f = 4
batch = 16
steps = 300
evaluate_every = 10
test_samples = 2000
learning_rate = 0.02
momentum = 0.9
momentum_at = ["update", "worker"]
rule = "trimmed-mean"
attack = "alie"
seed = [1, 2, 3]
"""
HETEROGENEITY = """
name = "heterogeneity"
dataset = "glyphs"
model = "mlp hidden=32"
n = 15
f = 3
batch = 16
steps = 300
evaluate_every = 10
test_samples = 2000
learning_rate = 0.1
momentum = 0.9
momentum_at = "worker"
partition = ["dirichlet alpha=100", "dirichlet alpha=1", "dirichlet alpha=0.3", "dirichlet alpha=0.1", "dirichlet alpha=0.03"]
rule = ["median", "nnm | median"]
attack = ["none", "alie", "ipm", "mimic"]
seed = [1, 2, 3]
"""


class Program:
    """The command, in a folder of its own."""

    def __init__(self, path: str, folder: str):
        self.path, self.folder = str(Path(path).resolve()), Path(folder)

    def __call__(self, *words: str) -> str:
        return subprocess.run([self.path, *words], cwd=self.folder, check=True, capture_output=True, text=True).stdout

    def aggregate(self, rule: str, rows: list, f: int) -> list:
        npy(self.folder / "rows.npy", rows)
        return json.loads(self("aggregate", "--rule", rule, "--f", str(f), "--input", "rows.npy", "--json"))["aggregate"]

    def run(self, text: str) -> list:
        name = text.split('"')[1]
        (self.folder / f"{name}.toml").write_text(text)
        self("run", f"{name}.toml", "-q")
        return list(csv.DictReader((self.folder / "runs" / name / "results.csv").open()))


def npy(path: Path, rows: list) -> None:
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({len(rows)}, {len(rows[0])}), }}"
    head = head.ljust(64 * math.ceil((len(head) + 11) / 64) - 11) + "\n"
    numbers = [float(x) for row in rows for x in row]
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + struct.pack(f"<{len(numbers)}f", *numbers))


def read_npy(path: Path) -> list:
    data = path.read_bytes()
    length = struct.unpack("<H", data[8:10])[0]
    shape = eval(data[10:10 + length], {"__builtins__": {}})["shape"]  # noqa: S307: the program's own header
    numbers = struct.unpack(f"<{shape[0] * shape[1]}f", data[10 + length:])
    return [numbers[i * shape[1]:(i + 1) * shape[1]] for i in range(shape[0])]


def svg(name: str, width: int, height: int, parts: list) -> None:
    OUT.mkdir(exist_ok=True)
    text = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{STYLE}\n' + "\n".join(parts) + "\n</svg>\n"
    (OUT / name).write_text(text)


def text(x, y, words, anchor="start", more="") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{words}</text>'


def signed(words: str) -> str:
    return words.replace("-0", "−0").replace("-1", "−1")


def dot(x, y, colour, r=6) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" fill="{colour}"/>'


def curve(points, colour, more="") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="3"{more}/>'


def frame(left, top, right, bottom, xs, ys) -> list:
    """Grid lines and the numbers at them: (place, label) along each side."""
    out = [f'<path d="M{left} {y:.1f}H{right}" stroke="currentColor" opacity=".15"/>' + text(left - 8, y + 4.5, label, "end") for y, label in ys]
    return out + [text(x, bottom + 20, label, "middle") for x, label in xs]


def mean(program: Program) -> None:
    """Where the mean and four rules end when two of eleven lie."""
    hostile = [(12.0, 6.0), (12.4, 5.6)]
    x, y = lambda v: 90 + (v + 2.5) * 34, lambda v: 262 - (v + 2.5) * 26
    parts = [dot(x(a), y(b), "#8a94a0", 5) for a, b in HONEST] + [dot(x(a), y(b), RED) for a, b in hostile]
    parts += [text(x(12.2), y(6.6), "two hostile workers", "end"), text(x(-0.2), y(-2.3), "nine honest workers", "middle")]
    at = program.aggregate("average", HONEST + hostile, 2)
    parts += [f'<path d="M{x(at[0]) - 7:.1f} {y(at[1]):.1f}h14m-7 -7v14" stroke="{RED}" stroke-width="4"/>',
              text(x(at[0]) + 12, y(at[1]) - 12, f"the mean: ({at[0]:.2f}, {at[1]:.2f})")]
    for i, rule in enumerate(["median", "trimmed-mean", "geometric-median", "krum"]):
        at = program.aggregate(rule, HONEST + hostile, 2)
        colour = [BLUE, GREEN, "#a05bd6", "#b7791f"][i]
        parts += [f'<circle cx="{x(at[0]):.1f}" cy="{y(at[1]):.1f}" r="7" fill="none" stroke="{colour}" stroke-width="3"/>',
                  f'<circle cx="392" cy="{192 + 22 * i}" r="7" fill="none" stroke="{colour}" stroke-width="3"/>',
                  text(408, 196.5 + 22 * i, signed(f"{rule}: ({at[0]:.2f}, {at[1]:.2f})"))]
    svg("mean.svg", 640, 280, parts)


def alie(program: Program) -> None:
    """One coordinate of honest rows, and the value that "a little is enough" sends in the midst of them."""
    # The quantiles of a normal distribution: what thirteen honest workers would send at a typical draw.
    honest = [(probit((i + 0.5) / 13) + 1.0,) for i in range(13)]
    npy(program.folder / "honest.npy", honest)
    program("forge", "--attack", "alie z=1.5", "--f", "6", "--input", "honest.npy", "--output", "forged.npy")
    hostile = read_npy(program.folder / "forged.npy")[13][0]
    rows = honest + [(hostile,)] * 6
    answers = [("honest mean", sum(v[0] for v in honest) / 13, "currentColor"),
               ("median", program.aggregate("median", rows, 6)[0], BLUE),
               ("krum", program.aggregate("krum", rows, 6)[0], "#b7791f")]
    x = lambda v: 215 + v * 110
    parts = [f'<path d="M30 150H610" stroke="currentColor" opacity=".3"/>'] + [dot(x(v[0]), 150, "#8a94a0") for v in honest]
    parts += [dot(x(hostile), 150 - 13 * (k + 1), RED) for k in range(6)]
    parts += [text(x(hostile), 56, signed(f"six hostile workers, all at {hostile:.2f}"), "middle"), text(612, 132, "thirteen honest workers", "end")]
    outside = sum(v[0] < hostile for v in honest)
    parts.append(text(14, 182, f"{outside} honest is further out"))
    for k, (name, value, colour) in enumerate(answers):
        parts += [f'<path d="M{x(value):.1f} 158V{188 + 22 * k}" stroke="{colour}" stroke-width="2.5"/>',
                  text(x(value) + 6, 194 + 22 * k, signed(f"{name}: {value:.2f}"))]
    svg("alie.svg", 640, 256, parts)


def probit(p: float) -> float:
    """The quantile of the standard normal distribution, by bisection."""
    low, high = -9.0, 9.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if 0.5 * math.erfc(-middle / math.sqrt(2)) < p else (low, middle)
    return low


def momentum(program: Program) -> list:
    """Accuracy against steps with momentum at the update and at the workers; returns the rows of the run."""
    rows = [row for row in program.run(MOMENTUM) if row["metric"] == "accuracy"]
    x, y = lambda s: 60 + s / 300 * 480, lambda v: 230 - v * 200
    parts = frame(60, 30, 540, 230, [(x(s), s) for s in (0, 100, 200, 300)], [(y(v / 100), f"{v} %") for v in (0, 25, 50, 75, 100)])
    for place, colour, name in (("update", RED, "at the server"), ("worker", BLUE, "at the workers")):
        ends = []
        for seed in "123":
            of = [row for row in rows if row["momentum_at"] == place and row["seed"] == seed]
            points = [(x(float(row["step"])), y(float(row["value"]))) for row in of]
            parts.append(curve(points, colour, ' opacity=".75"' if seed != "1" else ""))
            ends.append(sum(float(row["value"]) for row in of[-10:]) / 10)
        level = sum(ends) / 3
        parts.append(text(548, y(level) + 4, f"{name}:", more=f' style="fill:{colour};font-weight:600"') + text(548, y(level) + 21, f"{100 * level:.1f} %"))
    parts.append(text(300, 272, "step", "middle"))
    svg("momentum.svg", 660, 284, parts)
    return rows


def worst(rows: list) -> None:
    """One curve's best, last and mean of the last ten evaluations."""
    of = [row for row in rows if row["momentum_at"] == "update" and row["seed"] == "1"]
    values = [float(row["value"]) for row in of]
    x, y = lambda s: 60 + s / 300 * 420, lambda v: 230 - v * 200
    points = [(x(float(row["step"])), y(v)) for row, v in zip(of, values)]
    level = sum(values[-10:]) / 10
    parts = frame(60, 30, 480, 230, [(x(s), s) for s in (0, 100, 200, 300)], [(y(v / 100), f"{v} %") for v in (0, 25, 50, 75, 100)])
    parts += [f'<rect x="{points[-10][0]:.1f}" y="30" width="{points[-1][0] - points[-10][0]:.1f}" height="200" fill="{BLUE}" opacity=".14"/>', curve(points, "#8a94a0")]
    best = max(range(len(values)), key=lambda i: values[i])
    parts += [dot(*points[best], GREEN), dot(*points[-1], RED),
              f'<path d="M{points[-10][0]:.1f} {y(level):.1f}H{points[-1][0]:.1f}" stroke="{BLUE}" stroke-width="3"/>']
    for k, (colour, words) in enumerate([(GREEN, f"best: {100 * values[best]:.1f} %"), (RED, f"last: {100 * values[-1]:.1f} %"), (BLUE, f"mean of the last ten: {100 * level:.1f} %")]):
        parts += [dot(500, 60 + 26 * k, colour), text(514, 64.5 + 26 * k, words)]
    parts.append(text(270, 272, "step", "middle"))
    svg("worst.svg", 700, 284, parts)


def heterogeneity(program: Program) -> None:
    """The worst attack of three against how unlike the workers' data are."""
    rows = [row for row in program.run(HETEROGENEITY) if row["metric"] == "accuracy"]
    alphas = ["100", "1", "0.3", "0.1", "0.03"]
    x, y = lambda i: 90 + i * 105, lambda v: 230 - v * 200
    parts = frame(60, 30, 540, 230, [(x(i), a) for i, a in enumerate(alphas)], [(y(v / 100), f"{v} %") for v in (0, 25, 50, 75, 100)])
    def level(rule, attack, alpha):
        of = [row for row in rows if (row["rule"], row["attack"], row["partition"]) == (rule, attack, f"dirichlet alpha={alpha}")]
        seeds = [[float(row["value"]) for row in of if row["seed"] == seed][-10:] for seed in "123"]
        return sum(sum(values) / len(values) for values in seeds) / 3
    label = []
    for rule, colour in (("median", RED), ("nnm | median", BLUE)):
        for attacks, dash, name in ((["none"], ' stroke-dasharray="6 5"', "no attack"), (["alie", "ipm", "mimic"], "", "worst of three")):
            values = [min(level(rule, attack, a) for attack in attacks) for a in alphas]
            parts.append(curve([(x(i), y(v)) for i, v in enumerate(values)], colour, dash))
            label.append((y(values[-1]), f"{rule}, {name}: {100 * values[-1]:.0f} %", colour))
    place = 0.0
    for at, words, colour in sorted(label):
        place = max(at + 4, place + 19)
        parts.append(text(522, place, words, more=f' style="fill:{colour}"'))
    parts.append(text(300, 272, "α of the Dirichlet partition: to the right, data are less alike", "middle"))
    svg("heterogeneity.svg", 780, 284, parts)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = Program(sys.argv[1], folder)
        mean(program)
        alie(program)
        if "--quick" not in sys.argv:
            worst(momentum(program))
            heterogeneity(program)


main()
