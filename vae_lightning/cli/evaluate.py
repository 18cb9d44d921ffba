"""`python evaluate.py run=outputs/…`: measures a trained run, using the run's own configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig

from vae_lightning.cli.app import run_app, trusts_run_code
from vae_lightning.cli.outputs import explain_write_errors
from vae_lightning.errors import UserError, check_bool, check_choice, check_int, did_you_mean
from vae_lightning.evaluation.measures import MEASURES, Measure
from vae_lightning.evaluation.metrics import EVALUATION_TABLE
from vae_lightning.evaluation.settings import build_settings

if TYPE_CHECKING:
    from rich.console import Console


def main() -> None:
    """Run the command."""
    run_app(evaluate, "evaluate")


def evaluate(config: DictConfig) -> dict[str, Any]:
    """Measure the ELBO and what `config.measures` lists on one split, and write the values to `results.json` and TensorBoard.

    Raises:
        UserError: a setting is invalid, or the run does not exist.
        RunError: a file of the run is damaged or cannot be written.
    """
    measures = choose_measures(config, list(HydraConfig.get().overrides.task))
    check_choice("split", config.split, ("train", "val", "test"))
    check_int("batch_size", config.batch_size)
    check_bool("per_image", config.per_image)
    trusted = trusts_run_code(config)
    from vae_lightning.runs.console import RunLog, describe_composition, describe_paths, relative_path, results_table
    from vae_lightning.runs.folder import find_run
    from vae_lightning.runs.measure import prepare_evaluation, run_measures, save_evaluation

    run = find_run(config.run, config.checkpoint, trusted)
    run.results()  # report a damaged file before the work, not after it
    context = prepare_evaluation(run, config.split, config.data.root, config.batch_size, config.device)
    if config.measures is None:
        measures = [measure for measure in measures if measure.applies_to(context)]
    details = {
        "images": f"{config.split} {len(context.split):,}",
        "device": context.device.type,
        "checkpoint": relative_path(run.checkpoint),
    }
    report = RunLog()
    report.say(describe_composition(run.config, context.vae, details))
    for measure in measures:
        announcement = measure.announcement(context)
        if announcement is not None:
            report.say(announcement)
    found = run_measures(context, measures, progress_bar(report.console))
    for note in found.notes:
        report.say(note)
    report.say(results_table("results", {config.split: found.values}, EVALUATION_TABLE))
    with explain_write_errors(run.folder):
        written = save_evaluation(run, context, found, config.per_image)
    report.say(describe_paths(written))
    return found.values


def choose_measures(config: DictConfig, overrides: Sequence[str]) -> list[Measure]:
    """Return the measures that `config.measures` lists, each with its settings; null: those that are on by default.

    The settings of all measures are checked, and setting one of a measure that is left out is an error.

    Raises:
        UserError: a measure is unknown, or a setting is invalid or would have no effect.
    """
    names = [name for name, measure in MEASURES.items() if measure.by_default]
    if config.measures is not None:
        names = list(config.measures) if isinstance(config.measures, ListConfig) else [config.measures]
    for name in names:
        if name not in MEASURES:
            allowed = ", ".join(MEASURES)
            raise UserError(f"measures={name}: unknown measure.{did_you_mean(str(name), MEASURES)} Allowed: {allowed}.")
    measures = {name: build_settings(measure, name, config.get(name, {})) for name, measure in MEASURES.items()}
    for override in overrides:
        name = override.lstrip("+").partition(".")[0]
        if name in measures and name not in names and not measures[name].is_off:
            raise UserError(f"{override} would have no effect: {name} is not measured; add it to measures.")
    return [measures[name] for name in MEASURES if name in names]


def progress_bar(console: Console) -> Any:
    """Return a progress bar for each measure, where the output is a terminal."""
    from rich.progress import Progress

    @contextmanager
    def show(name: str) -> Iterator[Callable[[int, int], None]]:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task(name, total=None)
            yield lambda images, total: progress.update(task, advance=images, total=total)

    return show


if __name__ == "__main__":
    main()
