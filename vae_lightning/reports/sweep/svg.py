"""Matplotlib figures as inline SVG with the page's own colours and fonts, so that one drawing works in light and dark mode."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import XAxis
from matplotlib.figure import Figure

# placeholder colours, replaced by the page's CSS variables
INK, GRID, MUTED = "#f0f00a", "#f0f00b", "#f0f00c"
SERIES = tuple(f"#f0f0e{i}" for i in range(8))
_VARIABLES = {INK: "--ink", GRID: "--grid", MUTED: "--muted"} | {colour: f"--c{i}" for i, colour in enumerate(SERIES)}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "vae_lightning",  # ids that are not random, so that the same runs give the same page
    "text.parse_math": False,  # a $ in a name is just a dollar sign
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "lines.linewidth": 1.6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "figure.constrained_layout.use": True,
}


def new_figure(width: float = 3.3, height: float = 2.5) -> Figure:
    """Return a figure of this size in inches. Draw on it and convert it to SVG within `drawing()`."""
    return Figure(figsize=(width, height))


def drawing() -> AbstractContextManager[None]:
    """Return a context with the style of the page's charts."""
    return rc_context(STYLE)  # type: ignore[arg-type]  # keys of rcParams


def to_svg(figure: Figure, label: str) -> str:
    """Convert a figure to inline SVG, with `label` for screen readers and without metadata, namespaces or other addresses."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    text = text.replace("xlink:href", "href")
    text = re.sub(r'(<svg [^>]*?)width="([\d.]+)pt" height="[\d.]+pt"', r'\1style="max-width:\2pt"', text, count=1)
    text = re.sub(r"font: ([\w .]*?)([\d.]+px) [^;\"]*", r"font: \1\2 var(--font)", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    text = re.sub(r"<[^>]*>", _rounded, text)
    prefix = _fresh_prefix()
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}\1)", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{_attribute(label)}" ', 1)


def _rounded(tag: re.Match[str]) -> str:
    """Round coordinates to hundredths of a point."""
    return re.sub(r"(\d+\.\d{2})\d+", r"\1", tag.group())


_count = 0


def _fresh_prefix() -> str:
    """Return a prefix that keeps the ids of the drawings on one page distinct."""
    global _count
    _count += 1
    return f"d{_count}-"


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def near_limits(ax: Axes, values: Sequence[float]) -> None:
    """Cut off the few values that lie far from the rest, and say how many runs are off scale."""
    low, high = np.quantile(values, [0.25, 0.75])
    reach = 4 * (high - low)
    inside = [value for value in values if low - reach <= value <= high + reach]
    outside = len(values) - len(inside)
    if outside == 0 or reach == 0:
        return
    margin = 0.08 * (max(inside) - min(inside)) or 1.0
    ax.set_ylim(min(inside) - margin, max(inside) + margin)
    above = sum(value > high + reach for value in values)
    for count, y, va in ((above, 0.99, "top"), (outside - above, 0.01, "bottom")):
        if count:
            text = f"{count} run{'s' if count > 1 else ''} off scale"
            ax.text(0.99, y, text, transform=ax.transAxes, ha="right", va=va, fontsize=7.5, color=INK)


def spaced(values: Sequence[float]) -> bool:
    """Whether the values are positive and span enough for a logarithmic axis."""
    return len(values) > 0 and min(values) > 0 and max(values) / min(values) >= 15


def apart(values: Sequence[float], log: bool = False) -> bool:
    """Whether the values are few and far apart enough on their axis for each to have a label."""
    positions = np.sort(np.log(np.unique(values)) if log else np.unique(values))
    return len(positions) <= 8 and (len(positions) < 2 or bool(np.diff(positions).min() >= (positions[-1] - positions[0]) / 9.5))


def log_axis(axis: XAxis, values: Sequence[float]) -> None:
    """Make an axis logarithmic, with a tick at each value if they are far enough `apart`."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

    distinct = sorted(set(values))
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_locator(FixedLocator(distinct) if apart(distinct, log=True) else LogLocator(10, (1.0, 3.0), numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
