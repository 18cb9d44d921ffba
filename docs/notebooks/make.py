"""Make the notebooks of this folder from their scripts, with their outputs: `make notebooks` (minutes on one core).

A script is cut into cells at `# %%`. Its cells are run in an empty folder; the pictures among the outputs are made smaller, and
what differs from one run to the next without meaning anything (times of execution, the name of the folder) is left out.
"""

from __future__ import annotations

import base64
import io
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image

HERE = Path(__file__).parent
SCRIPTS = tuple(path for path in sorted(HERE.glob("*.py")) if path.name != Path(__file__).name)
LARGEST = 500_000  # bytes of a notebook
SHOWN_FOLDER = "/home/me/vae"  # in place of the temporary folder
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
PNG = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")


def cells(script: Path) -> Any:
    """The notebook of a script, without outputs; its cells are named by their order."""
    notebook = jupytext.reads(script.read_text(encoding="utf-8"), fmt="py:percent")
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", {}
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return notebook


def executed(script: Path) -> Any:
    """The notebook of a script with its outputs."""
    notebook = cells(script)
    os.environ["PYTHONPATH"] = str(HERE.parents[1])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/.cache"
        NotebookClient(notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
        for cell in notebook.cells:
            cell.metadata = {}
            for output in cell.get("outputs", []):
                tidy(output, folder)
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return notebook


def tidy(output: Any, folder: str) -> None:
    """Make the pictures of an output smaller, and leave out the name of the folder."""
    if "text" in output:
        output.text = output.text.replace(folder, SHOWN_FOLDER)
    output.get("data", {}).pop("image/jpeg", None)  # which IPython adds to a PNG
    for kind, content in output.get("data", {}).items():
        if kind == "image/png":
            output.data[kind] = smaller(content)
        elif isinstance(content, str):
            output.data[kind] = PNG.sub(lambda found: f"data:image/png;base64,{smaller(found[1])}", content).replace(
                folder, SHOWN_FOLDER
            )


def smaller(content: str) -> str:
    """A PNG in base64 with a palette of 64 colours."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        picture.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def main() -> None:
    for script in SCRIPTS:
        text = nbformat.writes(executed(script)) + "\n"
        if len(text.encode()) > LARGEST:
            sys.exit(f"error: {script.stem}.ipynb would have {len(text.encode()):,} bytes, of {LARGEST:,} at most.")
        script.with_suffix(".ipynb").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
