"""`vl.evaluate(run, measures=["nll"])`, and the measuring that it shares with `evaluate.py`. Imports no torch at first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig

from vae_lightning.api.compose import as_overrides, check_texts, compose_command
from vae_lightning.api.own_code import trusts_run_code
from vae_lightning.api.session import python_session
from vae_lightning.config.compose import without_hydra
from vae_lightning.errors import UserError, check_bool, check_choice, check_int, did_you_mean
from vae_lightning.evaluation.measures import MEASURES, Measure
from vae_lightning.evaluation.metrics import EVALUATION_TABLE
from vae_lightning.evaluation.settings import build_settings
from vae_lightning.runs.write_errors import explain_write_errors
from vae_lightning.subnormals import flush_subnormals

if TYPE_CHECKING:
    from rich.console import Console

    from vae_lightning.runs.folder import Run

RUN_KEYS = ("run", "checkpoint", "trust_run_code")


def evaluate(run: Run | str | Path, *overrides: str, measures: Sequence[str] | None = None, **settings: Any) -> dict[str, Any]:
    """Measure a run as `python evaluate.py` does, and add the values to its `results.json` and TensorBoard events.

    Args:
        run: a run, or the path of a run folder or of a checkpoint in it.
        overrides: settings as typed on the command line, such as `"nll.samples=100"`.
        measures: what to measure besides the ELBO, of nll, latents, reconstructions, probes, disentanglement, ais and samples;
            None: all but the last two.
        settings: the same settings as Python values: `split="val"`, `checkpoint="last"`, `nll={"samples": 100}`,
            `data={"root": "data"}`, `trust_run_code=True` for a path.

    Returns:
        The values by name, such as `elbo` and `nll`, in nats per image; see `vae_lightning/evaluation/metrics.py`.

    Raises:
        UserError: a setting is wrong, or the run does not exist.
        RunError: a file of the run is damaged or cannot be written.

    Example:
        >>> vl.evaluate(run, measures=["nll"], nll={"samples": 1000})["nll"]
        112.9
    """
    from vae_lightning.runs.folder import CHECKPOINTS, Run, find_run

    for name in ("run", "measures"):
        if given := next((text for text in overrides if str(text).startswith(f"{name}=")), None):
            raise UserError(f"{given}: give it to vl.evaluate as its argument {name}.")
    texts = check_texts(overrides, "vl.evaluate")
    texts += as_overrides(settings if measures is None else {"measures": measures, **settings})
    with python_session():
        config = without_hydra(compose_command("evaluate", texts, "vl.evaluate"))
        check_settings(config, texts)
        if not isinstance(run, Run):
            return measure(find_run(run, config.checkpoint, trusts_run_code(config)), config, texts)
        check_choice("checkpoint", config.checkpoint, CHECKPOINTS)
        if any(text.startswith("checkpoint=") for text in texts):
            run = replace(run, checkpoint=run.folder / "checkpoints" / f"{config.checkpoint}.ckpt")
        return measure(run, config, texts)


def check_settings(config: DictConfig, overrides: Sequence[str]) -> list[Measure]:
    """Return the measures that the configuration asks for, after checking its other settings, before torch is imported.

    Raises:
        UserError: a setting is invalid.
    """
    measures = choose_measures(config, overrides)
    check_choice("split", config.split, ("train", "val", "test"))
    check_int("batch_size", config.batch_size)
    check_bool("per_image", config.per_image)
    return measures


@flush_subnormals()
def measure(run: Run, config: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """Measure the ELBO and what `config.measures` lists on one split; print the values and write them to the run folder.

    Args:
        run: the run.
        config: the composed configuration of `evaluate.py`.
        overrides: the overrides that were given.

    Raises:
        UserError: a setting is invalid.
        RunError: a file of the run is damaged or cannot be written.
    """
    measures = check_settings(config, overrides)
    from vae_lightning.runs.console import RunLog, describe_composition, describe_paths, relative_path, results_table
    from vae_lightning.runs.measure import prepare_evaluation, run_measures, save_evaluation

    _ = run.results  # report a damaged file before the work, not after it
    context = prepare_evaluation(run, config.split, config.data, config.batch_size, config.device, config.get("sampler"))
    if config.measures is None:
        measures = [measure for measure in measures if measure.applies_to(context)]
    details = {
        "images": f"{config.split} {len(context.split):,}",
        "device": context.device.type,
        "checkpoint": relative_path(run.checkpoint),
    }
    report = RunLog()
    report.say(describe_composition(run.config, context.vae, details))
    for one in measures:
        announcement = one.announcement(context)
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
    sampled = next((text for text in overrides if text.partition("=")[0].partition(".")[0] == "sampler"), None)
    if sampled is not None and "samples" not in names:
        raise UserError(f"{sampled} would have no effect: samples are not measured; add samples to measures.")
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
