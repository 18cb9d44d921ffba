"""How a `Run` is shown in Python and in notebooks: its pictures, one line, and a page of its results."""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from vae_lightning.errors import RunError, UserError, did_you_mean, printable
from vae_lightning.evaluation.metrics import EVALUATION_TABLE, unit_of
from vae_lightning.evaluation.settings import build_settings
from vae_lightning.plots.pictures import PICTURES
from vae_lightning.runs.console import format_metric, relative_path

if TYPE_CHECKING:
    from vae_lightning.runs.folder import Run

SHOWN_PICTURES = ("samples", "reconstructions")  # in a notebook
SHOWN_SPLITS = ("val", "test")
LARGEST_PICTURE = 20_000_000  # bytes of a file that is embedded in a page


def figure(run: Run, name: str, settings: Mapping[str, Any]) -> Image.Image:
    """Return a picture of the run; the arguments are those of `Run.figure`."""
    file = picture_file(run, name)
    if file is not None and not settings:
        return read_picture(file)
    if name not in PICTURES:
        files = [path.stem for path in sorted((run.folder / "figures").glob("*.png"))]
        known = list(dict.fromkeys([*files, *PICTURES]))
        if file is not None:
            raise UserError(f"{', '.join(settings)}: {name} has no settings; leave them out.")
        shown = f"figure={printable(str(name))}: unknown picture.{did_you_mean(str(name), known)}"
        raise UserError(f"{shown} Allowed: {', '.join(known)}.")
    picture = build_settings(PICTURES[name], name, settings)
    from vae_lightning.runs.draw import choose_pictures, prepare_drawing, save_pictures_of

    context = prepare_drawing(run, "test", None, "auto", seed=0)
    with tempfile.TemporaryDirectory(prefix="vae-lightning-") as folder:
        (path,) = save_pictures_of(context, choose_pictures(context, [picture]), Path(folder))
        return read_picture(path)


def picture_file(run: Run, name: str) -> Path | None:
    """Return the path of `figures/<name>.png` of the run; None if there is no such file."""
    if not isinstance(name, str) or not name or Path(name).name != name or printable(name) != name:
        return None
    path = run.inside(f"figures/{name}.png")
    return path if path.is_file() else None


def read_picture(path: Path) -> Image.Image:
    """Read the picture in a PNG or GIF file.

    Raises:
        RunError: it is damaged.
    """
    try:
        return Image.open(io.BytesIO(path.read_bytes()), formats=("PNG", "GIF"))
    except (OSError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise RunError(f"{path} is damaged and cannot be read as a picture.") from error


def in_one_line(run: Run) -> str:
    """Describe a run in one line: `<Run outputs/mnist5k-mlp/…: test elbo -107.42>`."""
    try:
        elbo = run.results.get("test", {}).get("elbo")
    except UserError:
        elbo = None
    return f"<Run {relative_path(run.folder)}{'' if elbo is None else f': test elbo {format_metric(elbo)}'}>"


def as_html(run: Run) -> str:
    """Return HTML with the name and folder of the run, a table of its results, and its pictures, without links to files."""
    title = f"<b>{escape(str(run.config.get('name')))}</b> <code>{escape(relative_path(run.folder))}</code>"
    try:
        parts = [title, _results_table(run.results), *(_embedded(run, name) for name in SHOWN_PICTURES)]
    except UserError as error:
        parts = [title, f"<p>{escape(str(error))}</p>"]
    return "<div>" + "".join(parts) + "</div>"


def _results_table(results: Mapping[str, Any]) -> str:
    """Return a table of metrics (rows) and splits (columns), as the commands print it."""
    splits = [split for split in SHOWN_SPLITS if split in results]
    if not splits:
        return "<p>There are no results yet.</p>"
    rows = []
    for metric in EVALUATION_TABLE:
        if any(metric in results[split] for split in splits):
            cells = [format_metric(results[s].get(metric), results[s].get(f"{metric}_standard_error")) for s in splits]
            rows.append("".join(f"<td>{escape(cell)}</td>" for cell in [metric, *cells, unit_of(metric)]))
    head = "".join(f"<th>{name}</th>" for name in ["", *splits, "unit"])
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def _embedded(run: Run, name: str) -> str:
    """Return the picture as an `<img>` that contains its bytes; an empty text if there is none."""
    path = picture_file(run, name)
    if path is None or path.stat().st_size > LARGEST_PICTURE:
        return ""
    content = path.read_bytes()
    if not content.startswith(b"\x89PNG"):
        return ""
    data = base64.b64encode(content).decode()
    return f'<img alt="{name}" style="max-width: 48%; vertical-align: top" src="data:image/png;base64,{data}">'
