"""Train and evaluate the runs of docs/variants.md and fill the page: `make docs-variants`, or `python docs/variants.py collapse`.

Finished runs are skipped, so the command can be stopped and restarted. Values go into docs/variants.json, figures into
docs/images/variants/, and tables into the page. All studies together take about an hour on one core.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from studies import STUDIES, Study

from vae_lightning.runs.console import format_metric

DOCS = Path(__file__).parent
FIGURES, PAGE = DOCS / "variants.json", DOCS / "variants.md"
TABLE = re.compile(r"<!-- table (\w+) -->\n(?:\|.*\n)*")
ENTRY = "test_last"  # the last weights, trained with β; the best checkpoint is chosen by the ELBO, at β = 1
Figures = dict[str, dict[str, list[float]]]  # for one study: setting → metric → its value for each seed


def command(name: str, *arguments: str) -> None:
    """Run `python <name>.py <arguments>` in this process: starting Python each time would take as long as a short run."""
    sys.argv = [f"{name}.py", *arguments]
    try:
        import_module(f"vae_lightning.cli.{name}").main()
    except SystemExit as end:
        if end.code:
            raise


def run_folder(output: Path, study: str, setting: str, seed: int) -> Path | None:
    """The folder of a finished run, or None."""
    found = sorted((output / f"{study}-{setting}-{seed}").glob("*/results.json"))
    return found[-1].parent if found else None


def train(output: Path, data: str, name: str, setting: str, seed: int) -> None:
    """Train and evaluate a run, unless that is already done."""
    study = STUDIES[name]
    if run_folder(output, name, setting, seed) is None:
        place = (f"data.root={data}", f"output_dir={output}", f"name={name}-{setting}-{seed}", f"seed={seed}")
        command("train", *study.arguments(setting), *place)
    folder = run_folder(output, name, setting, seed)
    if ENTRY not in results(folder):
        command("evaluate", f"run={folder}", "checkpoint=last", *study.measures)


def results(folder: Path | None) -> dict[str, Any]:
    assert folder is not None
    found: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return found


def gathered(output: Path, name: str) -> Figures:
    """The metrics of all runs of a study."""
    study = STUDIES[name]
    runs = {s: [results(run_folder(output, name, s, seed))[ENTRY] for seed in study.seeds] for s in study.settings}
    return {s: {key: [round(run[key], 5) for run in entries] for key in study.columns.values()} for s, entries in runs.items()}


def table(study: Study, figures: Figures) -> str:
    """One row for each setting: the mean over seeds and, with several seeds, the range or the standard error."""
    words = with_error if study.errors else in_words
    heads = ["settings", *study.columns]
    rows = [[f"`{study.settings[s]}`", *(words(figures[s][key]) for key in study.columns.values())] for s in study.settings]
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows]) + "\n"


def in_words(values: Sequence[float]) -> str:
    """The mean and the range, such as `−103.42 (−103.50 … −103.31)`."""
    texts = [number(value) for value in (fmean(values), min(values), max(values))]
    return texts[0] if len(values) == 1 or texts[1] == texts[2] else f"{texts[0]} ({texts[1]} … {texts[2]})"


def with_error(values: Sequence[float]) -> str:
    """The mean and its standard error over seeds, such as `214.7 ± 3.1`, to two digits of the error."""
    return format_metric(fmean(values), stdev(values) / math.sqrt(len(values))).replace("-", "−")


def number(value: float) -> str:
    places = 4 if abs(value) < 0.1 else 2
    return f"{value:.{0 if float(value).is_integer() else places}f}".replace("-", "−")


def filled(text: str, figures: dict[str, Figures]) -> str:
    """The page with every table updated that has values in `figures`."""

    def made(match: re.Match[str]) -> str:
        name = match[1]
        return f"<!-- table {name} -->\n{table(STUDIES[name], figures[name])}" if name in figures else match[0]

    return TABLE.sub(made, text)


def main(names: Sequence[str], output: Path, data: str) -> None:
    figures = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    for name in names:
        for seed in STUDIES[name].seeds:
            for setting in STUDIES[name].settings:
                train(output, data, name, setting, seed)
        figures[name] = gathered(output, name)
        FIGURES.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        import_module("variant_pictures").draw(name, figures[name], partial(run_folder, output, name))
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), figures), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", choices=[*STUDIES, []], default=[], metavar="study", help=", ".join(STUDIES))
    parser.add_argument("--data", default="../shared/data", help="folder with MNIST/raw")
    parser.add_argument("--output", type=Path, default=Path("outputs/variants"), help="folder for the runs")
    chosen = parser.parse_args()
    main(chosen.studies or list(STUDIES), chosen.output, chosen.data)
