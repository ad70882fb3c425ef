#!/usr/bin/env python3
"""Draws mutants of the kernels, the rules or the machines of training, and says how many a test catches.

    fuzz/mutants.py kernels                     80 of them, drawn by the seed 28
    fuzz/mutants.py rules --count 200 --seed 1  other ones
    fuzz/mutants.py train --only states.rs      of those drawn, the ones in that file
    fuzz/mutants.py rules --again               those that survived last time, with today's code and tests

A mutant is the code with one thing changed, such as `+` to `*` or a body to `Default::default()`. `cargo mutants`
lists them (`cargo install cargo-mutants --locked`; seen with 27.1.0). A sample is drawn, uniformly and by a seed, as all
of them would take days; each is made in a copy of the clone, built, and tested until a test fails. A mutant that
fails none has survived. Its own runner is not used, as it tests all struct fields whatever was drawn. What is found
is kept after each mutant in target/mutants/PART.json, and the same command goes on where it was stopped.
"""

import argparse
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "target/mutants"
# Which files are mutated, and what has to notice: arguments of `cargo test`, one after the other.
PARTS = {
    "kernels": ("base/src/kernels/**", ["-p varangian-base --tests"]),
    "rules": ("rules/src/**", ["-p varangian-rules --lib", "-p varangian-rules --tests"]),
    "train": ("train/src/**", ["-p varangian-train --tests", "-p varangian-sim --tests"]),
}
# Tests, and the references that tests compare with.
LEFT_OUT = ["**/tests.rs", "**/conformance.rs", "**/conformance/**"]
# Seconds for one command's tests, which take a quarter of that at most; a mutant that takes longer is caught.
PATIENCE = 240


def drawn(part: str, count: int, seed: int) -> tuple[list[dict], int]:
    """As many mutants as asked for, and how many there are."""
    words = ["cargo", "mutants", "--workspace", "--file", PARTS[part][0], "--list", "--json"]
    words += [word for left in LEFT_OUT for word in ("--exclude", left)]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if said.returncode != 0:
        sys.exit(f"fuzz/mutants.py: cargo mutants could not list its mutants: {said.stderr.strip()}")
    mutants = sorted(json.loads(said.stdout), key=lambda mutant: mutant["name"])
    return random.Random(seed).sample(mutants, min(count, len(mutants))), len(mutants)


def changed(text: str, mutant: dict) -> str:
    """The file with what the mutant replaces; lines and columns count characters from 1."""
    lines = text.split("\n")
    place = lambda at: sum(len(line) + 1 for line in lines[:at["line"] - 1]) + at["column"] - 1
    start, end = (place(mutant["span"][word]) for word in ("start", "end"))
    if mutant["genre"] == "StructField" and text[end:end + 1] == ",":
        end += 1
    return text[:start] + mutant["replacement"] + text[end:]


def cargo(words: list[str], patience: float | None = None) -> int | None:
    """What the command answers in the copy, or None where it ran out of time."""
    env = dict(os.environ, CARGO_TARGET_DIR=str(WORK / "build"), CARGO_TERM_COLOR="never")
    with open(WORK / "log.txt", "ab") as log:
        run = subprocess.Popen(["cargo", *words], cwd=WORK / "copy", env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            return run.wait(patience)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            return None


def tried(part: str) -> str:
    for test in PARTS[part][1]:
        if cargo(["test", "--quiet", "--no-run", *test.split()]) != 0:
            return "unviable"
        answer = cargo(["test", "--quiet", *test.split()], PATIENCE)
        if answer != 0:
            return "timeout" if answer is None else "caught"
    return "missed"


def wilson(caught: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share (Wilson 1927), of 95 % with z = 1.96."""
    share = caught / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return middle - half, middle + half


def report(part: str, total: int, seed: int, found: dict[str, str]) -> None:
    count = {word: list(found.values()).count(word) for word in ("caught", "timeout", "missed", "unviable")}
    caught = count["caught"] + count["timeout"]
    tested = caught + count["missed"]
    if tested == 0:
        sys.exit(f"fuzz/mutants.py: no mutant was tested: {count}")
    low, high = wilson(caught, tested)
    print(f"{part}: {len(found)} of {total} mutants drawn by seed {seed}; {count['unviable']} do not compile; "
          f"of {tested} others {caught} are caught ({count['timeout']} by running out of time), "
          f"{100 * caught / tested:.1f} % (95 %: {100 * low:.1f} to {100 * high:.1f} %)")
    for name in sorted(name for name, answer in found.items() if answer == "missed"):
        print(f"survived: {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--count", type=int, default=80, help="how many mutants (80)")
    parser.add_argument("--seed", type=int, default=28, help="which ones (28)")
    parser.add_argument("--only", metavar="TEXT", default="", help="only those whose name holds this text")
    parser.add_argument("--again", action="store_true", help="those once more that survived")
    given = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    kept = WORK / f"{given.part}.json"
    before = json.loads(kept.read_text()) if kept.exists() else {}
    mutants, total = before.get("mutants"), before.get("total", 0)
    # What was drawn stays what it was, whatever became of the code since: its line may be another.
    if not mutants or (before["seed"], before["count"]) != (given.seed, given.count):
        mutants, total = drawn(given.part, given.count, given.seed)
    names = {mutant["name"] for mutant in mutants}
    found = {name: answer for name, answer in before.get("found", {}).items() if name in names}
    shutil.rmtree(WORK / "copy", ignore_errors=True)
    leave = shutil.ignore_patterns("target", ".git", "node_modules", "__pycache__")
    shutil.copytree(ROOT, WORK / "copy", ignore=leave, symlinks=True)
    # What was built last may hold a mutant, if it was stopped there.
    for mutant in mutants:
        (WORK / "copy" / mutant["file"]).touch()
    for test in PARTS[given.part][1]:
        if cargo(["test", "--quiet", *test.split()]) != 0:
            sys.exit(f"fuzz/mutants.py: without a mutant `cargo test {test}` fails: see {WORK / 'log.txt'}")
    for mutant in mutants:
        name = mutant["name"]
        due = found.get(name) == "missed" if given.again else name not in found
        if not due or given.only not in name:
            continue
        file = WORK / "copy" / mutant["file"]
        text = file.read_text()
        if given.again and "text" in mutant and mutant["text"] != text.split("\n")[mutant["span"]["start"]["line"] - 1]:
            print(f"no longer there: {name}", flush=True)
            continue
        mutant["text"] = text.split("\n")[mutant["span"]["start"]["line"] - 1]
        file.write_text(changed(text, mutant))
        found[name] = tried(given.part)
        file.write_text(text)
        print(f"{found[name]}: {name}", flush=True)
        state = {"seed": given.seed, "count": given.count, "total": total, "mutants": mutants, "found": found}
        fresh = kept.with_suffix(".part")
        fresh.write_text(json.dumps(state))
        fresh.replace(kept)
    report(given.part, total, given.seed, found)


if __name__ == "__main__":
    main()
