"""Writes the .pyi files of the modules whose classes are made from the lists of entries.

python stubs.py            writes them
python stubs.py --check    says whether they are what the lists say
"""

from __future__ import annotations

import pathlib
import sys

from varangian._entries import CATALOGUE, argument, class_name

HERE = pathlib.Path(__file__).parent / "varangian"
# A text may be a number, as `hidden=100`, or several with commas between them.
TYPES = {"int": "int", "float": "float", "bool": "bool", "str": "str | float"}


def annotation(kind: dict) -> str:
    if kind["is"] == "choice":
        return "Literal[" + ", ".join(f'"{word}"' for word in kind["of"]) + "]"
    if kind["is"] == "int":
        return "int"
    return TYPES[kind["is"]]


def stub(entries: list[dict], base: str, source: str, first: str) -> str:
    literal = any(p["kind"]["is"] == "choice" for e in entries for p in e["params"])
    lines = ["# Made by stubs.py from the lists of entries."]
    if literal:
        lines += ["from typing import Literal", ""]
    lines += [f"from {source} import {base}", ""]
    for entry in sorted(entries, key=lambda entry: class_name(entry["name"])):
        arguments = ["self"] + ([first] if first else [])
        if entry["params"]:
            arguments.append("*")
        for param in entry["params"]:
            arguments.append(f"{argument(param['name'])}: {annotation(param['kind'])} | None = None")
        lines += [
            f"class {class_name(entry['name'])}({base}):",
            f"    \"\"\"{entry['summary'][:1].upper()}{entry['summary'][1:]}.\"\"\"",
            "",
            "    def __init__(",
            *(f"        {one}," for one in arguments),
            "    ) -> None: ...",
            "",
        ]
    names = sorted(class_name(entry["name"]) for entry in entries)
    lines += ["__all__ = [", *(f'    "{name}",' for name in names), "]", ""]
    return "\n".join(lines)


def stubs() -> dict[str, str]:
    rules = CATALOGUE["rules"]
    f = "f: int | None = None"
    made = {
        "rules": stub(
            [e for e in rules if e["facts"]["family"] == "rule"], "Listed", "varangian._rule", f
        ),
        "stages": stub(
            [e for e in rules if e["facts"]["family"] != "rule"], "Listed", "varangian._rule", f
        ),
        "attacks": stub(CATALOGUE["attacks"], "Listed", "varangian._attack", ""),
    }
    for kind in ("filters", "models", "datasets", "partitions"):
        made[kind] = stub(CATALOGUE[kind], "Variant", "varangian._entries", "")
    return made


def main() -> int:
    stale = []
    for name, text in stubs().items():
        path = HERE / f"{name}.pyi"
        if "--check" in sys.argv:
            if not path.is_file() or path.read_text() != text:
                stale.append(path.name)
        else:
            path.write_text(text)
    if stale:
        print(f"not what the lists say: {', '.join(stale)}; python stubs.py writes them")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
