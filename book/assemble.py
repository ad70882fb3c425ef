"""Puts the book's pages together: chapters, the pages of docs/, formulas as MathML, and the table of contents.

    python book/assemble.py target/book

Links in the sources are those of the repository, so that they work where it is browsed; here each one is led to
the place of the same thing in the site. A source file that is linked becomes a page. A link to nothing ends it.
"""

import html
import json
import re
import sys
from pathlib import Path
from posixpath import normpath, relpath

from latex2mathml.converter import convert

ROOT = Path(__file__).resolve().parent.parent
# Where a file of the repository stands in the site, unless it is a chapter or one of docs/.
PLACES = {
    "README.md": "index.md",
    "CATALOGUE.md": "reference/index.md",
    "ARCHITECTURE.md": "project/architecture.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "python/README.md": "python.md",
    "deploy/README.md": "deploy.md",
    "experiments/methods": "measured/methods-rounds.md",
}
# Notebooks are pages too: their text and their cells, without what the cells put out.
NOTEBOOKS = "python/examples/notebooks/"
# The table of contents: titles and pages; what stands in docs/ and is named nowhere goes to "Measured".
CONTENTS = [
    ("Start", ["index.md", ("I compare rules", "start-rules.md"), ("My training has a bad rank", "start-rank.md"),
               ("I run a federation", "start-federation.md"), ("Three walks", "walks.md")]),
    ("Concepts", ["concepts.md"]),
    ("Choose a rule", ["choose.md"]),
    ("The four systems", ["systems/index.md", ("Sign votes", "systems/signs.md"), ("Momentum", "systems/momentum.md"),
                          ("Zeno and Zeno++", "systems/zeno.md"), ("SafeguardSGD", "systems/safeguard.md")]),
    ("Use it", [("Python", "python.md"), ("Notebook: a rule of your own", "notebooks/own_rule.md"),
                ("Notebook: a bad rank", "notebooks/bad_rank.md"),
                ("Notebook: reading results", "notebooks/read_results.md"), ("Rust", "rust.md"), ("Torch", "measured/bad-rank.md"),
                ("Flower, NVFlare, Ray", "measured/federation.md"), ("Server", "measured/network.md"),
                ("Deploy", "deploy.md"), ("Reading results", "measured/reading.md"),
                ("Evidence", "measured/evidence.md"), ("Certificates", "measured/certificates.md"),
                ("Threats", "measured/threats.md"),
                ("Adding a rule", "adding.md"), ("FAQ", "faq.md")]),
    ("Reference", ["reference/index.md", ("Bounds and κ", "reference/bounds.md"),
                   ("Rules", "reference/rules/index.md"), ("Filters", "reference/filters/index.md"),
                   ("Attacks", "reference/attacks/index.md"), ("Models", "reference/models/index.md"),
                   ("Data sets", "reference/datasets/index.md"), ("Partitions", "reference/partitions/index.md"),
                   ("Keys of a file", "reference/keys/index.md")]),
    ("Measured", ["measured/index.md"]),
    ("The project", [("Architecture", "project/architecture.md"), ("Contributing", "project/contributing.md"),
                     ("Changelog", "project/changelog.md"), ("Security", "project/security.md")]),
]
LANGUAGES = {".rs": "rust", ".py": "python", ".toml": "toml", ".sh": "sh", ".proto": "proto", ".c": "c"}


def place(path: str) -> str:
    """The site's path of a file of the repository."""
    if path in PLACES:
        return PLACES[path]
    if path.startswith("book/"):
        return path.removeprefix("book/")
    if path.startswith("docs/"):
        return "measured/" + path.removeprefix("docs/").replace("README.md", "index.md")
    if path.startswith(NOTEBOOKS) and path.endswith(".ipynb"):
        return "notebooks/" + path.removeprefix(NOTEBOOKS).replace(".ipynb", ".md")
    return f"files/{path}.md"


class Site:
    """The pages that are written, and what they link to on the way."""

    def __init__(self, out: Path):
        self.pages = out / "pages"
        self.wanted: list[str] = []
        self.dead: list[str] = []

    def write(self, path: str, text: str) -> None:
        file = self.pages / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def page(self, path: str) -> None:
        """A Markdown file of the repository, with its links led on."""
        text = (ROOT / path).read_text()
        here = place(path)
        if path.endswith(".ipynb"):
            self.copy(path, here.replace(".md", ".ipynb"))
            text = notebook(Path(path).name, json.loads(text))
        text = re.sub(r"<!-- where (\S+): (.*?) -->", self.shown, text)
        folder = path.rsplit("/", 1)[0] if "/" in path else ""
        # Blocks and code in lines are left alone.
        parts = re.split(r"(^```.*?^```|`[^`\n]+`)", text, flags=re.M | re.S)
        for i in range(0, len(parts), 2):
            parts[i] = re.sub(r"(\]\()([^)\s]+)(\))", lambda m: m[1] + self.link(path, folder, here, m[2]) + m[3], parts[i])
            if path.startswith("book/"):
                parts[i] = re.sub(r"^!\[([^\]]*)\]\((\S+\.svg)\)$", lambda m: self.drawn(here, m), parts[i], flags=re.M)
        text = "".join(bare_pipes(parts))
        self.write(here, formulas(text) if path.startswith("book/") else text)

    @staticmethod
    def shown(found: re.Match) -> str:
        """What is said only where a file is there."""
        return found[2] if (ROOT / found[1]).exists() else ""

    def link(self, page: str, folder: str, here: str, target: str) -> str:
        if re.match(r"[a-z]+:|#", target):
            return target
        target, mark, anchor = target.partition("#")
        path = normpath(f"{folder}/{target}" if folder else target)
        if path.startswith("book/reference/"):
            there = path.removeprefix("book/")
            if not (self.pages / there).exists():
                self.dead.append(f"{page}: {target}")
        elif not (ROOT / path).exists():
            self.dead.append(f"{page}: {target}")
            return target
        else:
            there = place(path)
            if Path(path).suffix in (".png", ".svg", ".html"):
                there = there.removesuffix(".md")
                self.copy(path, there)
            elif there.startswith("files/") and path not in self.wanted:
                self.wanted.append(path)
        back = relpath(there, here.rsplit("/", 1)[0] if "/" in here else ".")
        return back + mark + anchor

    def copy(self, path: str, there: str) -> None:
        file = self.pages / there
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((ROOT / path).read_bytes())

    def drawn(self, here: str, found: re.Match) -> str:
        """A drawing of ours stands in the page itself, where it takes the page's colours."""
        folder = here.rsplit("/", 1)[0] if "/" in here else ""
        svg = (self.pages / normpath(f"{folder or '.'}/{found[2]}")).read_text()
        svg = re.sub(r"<style>.*?</style>", "", svg, flags=re.S)
        svg = svg.replace("<svg ", f'<svg class="drawn" role="img" aria-label="{html.escape(found[1])}" ', 1)
        return f"<figure>{re.sub(chr(10) + '+', ' ', svg)}</figure>"

    def source(self, path: str) -> None:
        """A source file as a page, or a folder as a list of its files."""
        file = ROOT / path
        if file.is_dir():
            names = sorted(p.relative_to(ROOT).as_posix() for p in file.rglob("*") if p.suffix in LANGUAGES)
            lines = [f"- [{name}]({relpath('files/' + name + '.md', 'files/' + path.rsplit('/', 1)[0])})" for name in names]
            self.wanted += [name for name in names if name not in self.wanted]
            return self.write(place(path), f"# {path}\n\n" + "\n".join(lines) + "\n")
        text = file.read_text().replace("\t", "    ").rstrip()
        fence = "`" * 4
        self.write(place(path), f"# {path}\n\n{fence}{LANGUAGES.get(file.suffix, 'text')}\n{text}\n{fence}\n")


def notebook(name: str, book: dict) -> str:
    """A notebook as a page, with the file itself below its title."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in book["cells"]]
    parts = [text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in cells]
    top, rest = parts[0].split("\n", 1)
    # Markup, so that it stays a link to the file and does not become one to this page.
    file = f'This page is a notebook: <a href="{name}" download>{name}</a> is the file for Jupyter.'
    return "\n\n".join([top, file, rest.strip(), *parts[1:]]) + "\n"


def formulas(text: str) -> str:
    """TeX between dollars as MathML, which browsers draw and screen readers read without any script."""
    parts = re.split(r"(^```.*?^```|`[^`\n]+`)", text, flags=re.M | re.S)
    for i in range(0, len(parts), 2):
        block = lambda m: f'<div class="formula" tabindex="0" markdown="0">{mathml(m[1], "block")}</div>'
        parts[i] = re.sub(r"\$\$\s*(.+?)\s*\$\$", block, parts[i], flags=re.S)
        parts[i] = re.sub(r"\$([^$\n]+)\$", lambda m: mathml(m[1], "inline"), parts[i])
    return "".join(bare_pipes(parts))


def bare_pipes(parts: list[str]) -> list[str]:
    """Code in a table's cell keeps its backslash before a pipe with this generator, and needs none."""
    code = lambda part: part.startswith("`") and not part.startswith("```")
    return [part.replace("\\|", "|") if code(part) else part for part in parts]


# What the converter does not know, or what few fonts have, in words that it knows.
WORDS = [(r"\\arg\\(min|max)", r"\\text{arg \1}"), (r"\\setminus", r"\\backslash"), (r"\\bar (\w)", r"\\overline{\1}")]


def mathml(tex: str, display: str) -> str:
    for old, new in WORDS:
        tex = re.sub(old, new, tex)
    out = convert(tex, display=display)
    if re.search(r"\\[a-zA-Z]", html.unescape(out)):
        sys.exit(f"no formula: {tex}")
    # What Markdown would take for its own.
    for sign in "*_`|":
        out = out.replace(sign, f"&#x{ord(sign):x};")
    return out


def title(path: Path) -> str:
    first = next(line for line in path.read_text().splitlines() if line.startswith("# "))
    return first.removeprefix("# ").replace("`", "")


def main() -> None:
    out = Path(sys.argv[1])
    site = Site(out)
    for svg in (ROOT / "book").rglob("*.svg"):
        site.copy(f"book/{svg.relative_to(ROOT / 'book')}", str(svg.relative_to(ROOT / "book")))
    for name in ("style/book.css", "style/book.js"):
        site.copy(f"book/{name}", name)
    for page in sorted(site.pages.rglob("reference/**/*.md")):
        page.write_text(formulas(page.read_text()))
    families = [("rules", "Rules and the stages around them"), ("filters", "Filters of asynchronous training"),
                ("attacks", "Attacks"), ("models", "Models"), ("datasets", "Data sets"),
                ("partitions", "Partitions of the training set"), ("keys", "Keys of an experiment file")]
    count = {name: len(list((site.pages / "reference" / name).glob("*.md"))) - 1 for name, _ in families}
    rows = [f"| [{text}]({name}/index.md) | {count[name]} |" for name, text in families]
    site.write("reference/index.md", "# Reference\n\nEverything that has a name, as it says of itself: formula, paper, "
               "bound, cost, parameters and what differs from the paper. The pages are written by `varangian catalogue "
               "--pages`.\n\n| | pages |\n|---|---|\n" + "\n".join(rows) + "\n\n[Bounds and κ of all rules](bounds.md) in one table.\n")
    docs = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").rglob("*.md"))
    chapters = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "book").rglob("*.md"))
    others = [path for path in PLACES if path.endswith(".md") and path not in ("README.md", "CATALOGUE.md")]
    notebooks = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / NOTEBOOKS).glob("*.ipynb"))
    for path in chapters + docs + others + notebooks:
        site.page(path)
    placed = {page for _, pages in CONTENTS for page in (p if isinstance(p, str) else p[1] for p in pages)}
    rest = [(title(ROOT / path), place(path)) for path in docs if place(path) not in placed]
    links = [f"- [{name}]({relpath(there, 'measured')})" for name, there in sorted(rest)]
    site.write("measured/index.md", "# Measured\n\nWhat was run, with the command beside each number, published numbers "
               "beside ours, and what was not run.\n\n" + "\n".join(links) + "\n")
    for path in site.wanted:
        site.source(path)
    if site.dead:
        sys.exit("dead links:\n" + "\n".join(sorted(site.dead)))
    nav = []
    for name, pages in CONTENTS:
        pages = pages + sorted(rest) if name == "Measured" else pages
        entries = [page if isinstance(page, str) else {page[0]: page[1]} for page in pages]
        nav.append({name: entries[0] if len(entries) == 1 else entries})
    config = {"INHERIT": str(ROOT / "book/mkdocs.yml"), "docs_dir": "pages", "site_dir": "site", "nav": nav}
    (out / "mkdocs.yml").write_text(json.dumps(config, ensure_ascii=False))


main()
