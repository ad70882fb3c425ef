"""Checks what a folder of built wheels holds: python wheels.py FOLDER [VERSION].

One wheel, for every CPython from 3.10 on; in it the core, the types and a list of what the core is
built from, whose first entry is this wheel's own crate.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path


def faults(folder: Path, version: str | None = None) -> list[str]:
    """What is wrong with the wheels of a folder."""
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        return [f"one wheel serves every CPython from 3.10 on; found {[w.name for w in wheels]}"]
    (wheel,) = wheels
    name, found, *tags = wheel.stem.split("-")
    wrong = []
    if name != "varangian" or (version is not None and found != version):
        wrong.append(f"the wheel is varangian {version or ''}; found {name} {found}")
    if tags[:2] != ["cp310", "abi3"]:
        wrong.append(f"its tag is cp310-abi3; found {'-'.join(tags)}")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for wanted in ("varangian/_core.abi3.so", "varangian/py.typed", "varangian/rules.pyi"):
            if wanted not in names:
                wrong.append(f"it has no {wanted}")
        about = f"varangian-{found}.dist-info/"
        lists = [one for one in names if one.startswith(f"{about}sboms/")]
        if len(lists) != 1:
            wrong.append(f"a list of what it is built from is in {about}sboms; found {lists}")
        else:
            bill = json.loads(archive.read(lists[0]))
            crate = bill.get("metadata", {}).get("component", {})
            parts = {part["name"] for part in bill.get("components", [])}
            if (crate.get("name"), crate.get("version")) != ("varangian-python", found):
                wrong.append(f"{lists[0]} is of {crate.get('name')} {crate.get('version')}")
            if missing := {"varangian-rules", "pyo3", "numpy"} - parts:
                wrong.append(f"{lists[0]} lacks {', '.join(sorted(missing))}")
        metadata = archive.read(f"{about}WHEEL").decode()
        if f"Tag: {'-'.join(tags)}" not in metadata:
            wrong.append(f"its WHEEL says other tags than its name: {metadata!r}")
    return wrong


if __name__ == "__main__":
    folder, *rest = sys.argv[1:]
    said = faults(Path(folder), *rest)
    print("\n".join(f"wheels: {one}" for one in said), file=sys.stderr)
    sys.exit(1 if said else 0)
