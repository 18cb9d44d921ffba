"""Fill the pages of docs/ with code from the source and with the output of docs/walkthrough.py: `make docs`.

In a page, `<!-- code vae_lightning/models/vae.py VAE.encode -->`, `<!-- cell sample -->` and `<!-- output sample -->` precede a
fenced block, which is replaced with that function, with that cell of docs/walkthrough.py, or with the output of that cell. A link
such as [`VAE.encode`](vae_lightning/models/vae.py#L80), in the READMEs, gets the number of the line where the name is defined.
`--check` changes nothing and fails if a page is out of date (numbers in outputs may differ).
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import sys
import textwrap
from collections.abc import Callable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
WALKTHROUGH = ROOT / "docs" / "walkthrough.py"
LINE_LINK = re.compile(r"\[`([\w.]+)`\]\(([\w/]+\.py)#L\d+\)")
BLOCK = re.compile(r"<!-- (code|cell|output) (.+?) -->\n```(\w+)\n.*?```\n", re.DOTALL)


def definition(text: str, name: str) -> ast.FunctionDef | ast.ClassDef:
    """The node of a function, class or method."""
    node: ast.AST = ast.parse(text)
    for part in name.split("."):
        node = next(child for child in ast.iter_child_nodes(node) if getattr(child, "name", None) == part)
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    return node


def function_source(path: str, name: str) -> str:
    """The source of a function, class or method, dedented."""
    text = (ROOT / path).read_text(encoding="utf-8")
    node = definition(text, name)
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return textwrap.dedent("\n".join(text.splitlines()[first - 1 : node.end_lineno])) + "\n"


def cells() -> dict[str, str]:
    """The cells of docs/walkthrough.py by name."""
    parts = re.split(r"^# %% (.+)\n", WALKTHROUGH.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {name: body.strip("\n") + "\n" for name, body in zip(parts[::2], parts[1::2], strict=True)}


@cache
def outputs() -> dict[str, str]:
    """The output of each cell, from one run of the whole script."""
    namespace: dict[str, object] = {"__name__": "walkthrough"}
    printed = {}
    for name, body in cells().items():
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(body, f"cell {name}", "exec"), namespace)  # the cells are from our own file
        printed[name] = out.getvalue()
    return printed


def filled(text: str, output: Callable[[str], str]) -> str:
    """The page with every block updated; `output` gives the output of a cell."""

    def block(match: re.Match[str]) -> str:
        kind, what, language = match.groups()
        content = {
            "code": lambda: function_source(*what.split()),
            "cell": lambda: cells()[what],
            "output": lambda: output(what),
        }[kind]()
        return f"<!-- {kind} {what} -->\n```{language}\n{content}```\n"

    return BLOCK.sub(block, text)


def linked(text: str) -> str:
    """The page with the line numbers in its links updated."""

    def link(match: re.Match[str]) -> str:
        name, path = match.groups()
        return f"[`{name}`]({path}#L{definition((ROOT / path).read_text(encoding='utf-8'), name).lineno})"

    return LINE_LINK.sub(link, text)


def pages() -> list[Path]:
    """The pages that contain such blocks."""
    return [path for path in sorted((ROOT / "docs").glob("*.md")) if BLOCK.search(path.read_text(encoding="utf-8"))]


def without_figures(text: str) -> str:
    """The text with its numbers masked: they differ slightly between machines."""
    return re.sub(r"[-−+]?\d[\d,.]*", "#", re.sub(r" +", " ", text))


def main(check: bool) -> int:
    stale = []
    for path in pages():
        before = path.read_text(encoding="utf-8")
        after = filled(before, lambda name: outputs()[name])
        if check and without_figures(before) != without_figures(after):
            stale.append(path.name)
        elif not check:
            path.write_text(after, encoding="utf-8")
    for path in (ROOT / "README.md", ROOT / "README.ja.md"):
        before = path.read_text(encoding="utf-8")
        if check and linked(before) != before:
            stale.append(path.name)
        elif not check:
            path.write_text(linked(before), encoding="utf-8")
    if stale:
        sys.stderr.write(f"error: {', '.join(stale)}: out of date; run make docs.\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
