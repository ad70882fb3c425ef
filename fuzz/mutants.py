#!/usr/bin/env python3
"""Draws mutants of the kernels, the rules or the machines of training, and says how many a test catches.

    fuzz/mutants.py kernels                     80 of them, drawn by the seed 28; about half an hour
    fuzz/mutants.py rules --count 200 --seed 1  other ones
    fuzz/mutants.py train -- --in-place         what follows is cargo-mutants' own

A mutant is the code with one thing changed, such as `+` to `*` or a body to `Default::default()`. `cargo mutants`
makes each one, builds it and runs tests; a mutant that fails none has survived. All of them would take days, so
a sample is drawn, uniformly and by a seed. It wants `cargo install cargo-mutants --locked` (seen with 27.1.0), works
on a copy of the clone, and leaves its logs in target/mutants/PART.
"""

import argparse
import json
import math
import random
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Which files are mutated, and what has to notice: packages, and arguments for their tests.
PARTS = {
    "kernels": ("base/src/kernels/**", ["varangian-base"], ["--tests"]),
    "rules": ("rules/src/**", ["varangian-rules"], ["--lib"]),
    "train": ("train/src/**", ["varangian-train", "varangian-sim"], ["--tests"]),
}
# Tests, and the references that tests compare with.
LEFT_OUT = ["**/tests.rs", "**/conformance.rs", "**/conformance/**"]


def cargo(part: str, *more: str) -> list[str]:
    files, packages, _ = PARTS[part]
    words = ["cargo", "mutants", "--workspace", "--file", files, "--test-package", ",".join(packages)]
    return words + [word for left in LEFT_OUT for word in ("--exclude", left)] + list(more)


def drawn(part: str, count: int, seed: int) -> tuple[list[str], int]:
    """The names of as many mutants as asked for, and how many there are."""
    said = subprocess.run(cargo(part, "--list", "--json"), cwd=ROOT, capture_output=True, text=True)
    if said.returncode != 0:
        sys.exit(f"fuzz/mutants.py: cargo mutants could not list its mutants: {said.stderr.strip()}")
    names = sorted(mutant["name"] for mutant in json.loads(said.stdout))
    return random.Random(seed).sample(names, min(count, len(names))), len(names)


def wilson(caught: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share (Wilson 1927), of 95 % with z = 1.96."""
    share = caught / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return middle - half, middle + half


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--count", type=int, default=80, help="how many mutants (80)")
    parser.add_argument("--seed", type=int, default=28, help="which ones (28)")
    parser.add_argument("--only", metavar="TEXT", default="", help="only those whose name holds this text")
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    given, more = parser.parse_args(words[:cut]), words[cut + 1:]
    names, total = drawn(given.part, given.count, given.seed)
    names = [name for name in names if given.only in name]
    if not names:
        sys.exit(f"fuzz/mutants.py: none of the drawn mutants has \"{given.only}\" in its name")
    chosen = "^(" + "|".join(re.escape(name) for name in names) + ")$"
    out = ROOT / "target/mutants" / given.part
    out.mkdir(parents=True, exist_ok=True)
    tests = [word for word in PARTS[given.part][2] for word in ("--cargo-test-arg", word)]
    subprocess.run(cargo(given.part, "--re", chosen, "--output", str(out), *tests, *more), cwd=ROOT)
    outcomes = json.loads((out / "mutants.out/outcomes.json").read_text())["outcomes"]
    found = {o["scenario"]["Mutant"]["name"]: o["summary"] for o in outcomes if isinstance(o["scenario"], dict)}
    count = {word: sum(summary == word for summary in found.values())
             for word in ("CaughtMutant", "MissedMutant", "Timeout", "Unviable")}
    caught = count["CaughtMutant"] + count["Timeout"]
    tested = caught + count["MissedMutant"]
    if tested == 0:
        sys.exit(f"fuzz/mutants.py: no mutant was tested: {count}")
    low, high = wilson(caught, tested)
    print(f"{given.part}: {len(names)} of {total} mutants drawn by seed {given.seed}; {count['Unviable']} do not compile; "
          f"of {tested} others {caught} are caught ({count['Timeout']} by running out of time), "
          f"{100 * caught / tested:.1f} % (95 %: {100 * low:.1f} to {100 * high:.1f} %)")
    for name in sorted(name for name, summary in found.items() if summary == "MissedMutant"):
        print(f"survived: {name}")


if __name__ == "__main__":
    main()
