"""Each block of Python in README.md and in the book runs as it stands, or is at least Python."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "book").rglob("*.md"))]
# What wants a model, processes or nodes; test_torch_reduce.py and test_flower.py have them.
WANTS = ("varangian.torch", "varangian.flower", "pandas.")


def blocks(page: Path) -> list[str]:
    return [block.split("```")[0] for block in page.read_text().split("```python\n")[1:]]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_every_block_runs(page: Path) -> None:
    space: dict[str, object] = {}
    for block in blocks(page):
        code = compile(block, page.name, "exec")
        if not any(word in block for word in WANTS):
            exec(code, space)  # noqa: S102


def test_there_are_blocks_that_run() -> None:
    ran = [block for page in PAGES for block in blocks(page) if not any(word in block for word in WANTS)]
    assert len(ran) >= 3
