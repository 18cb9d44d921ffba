"""Measuring a trained run: for evaluate.py and from Python alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from vae_lightning.capabilities import REAL_SPACE
from vae_lightning.config.fitting_sampler import as_config
from vae_lightning.evaluation.codes import add_bits_per_dim, elbo_metrics
from vae_lightning.evaluation.context import EvaluationContext
from vae_lightning.evaluation.latents import unit_metrics
from vae_lightning.evaluation.measure_result import MeasureResult
from vae_lightning.evaluation.measures import MEASURES, Measure
from vae_lightning.runs.folder import Run, load_vae
from vae_lightning.runs.load_images import Moved, choose_device, is_grey_bernoulli, load_data, load_split
from vae_lightning.runs.results import add_to_results, add_to_tensorboard, write_per_image
from vae_lightning.runs.samplers import attach_sampler

Advance = Callable[[int, int], None]  # advance(images, total): that many more images, of a total, are done
Progress = Callable[[str], AbstractContextManager[Advance]]


def evaluate_run(
    run: Run,
    split: str = "test",
    measures: Sequence[Measure] | None = None,
    *,
    moved: Moved = None,
    batch_size: int = 100,
    device: str = "auto",
    sampler: str | Mapping[str, Any] | None = None,
) -> MeasureResult:
    """Measure a run without writing its results.

    Args:
        run: a run, from `find_run`.
        split: `train`, `val` or `test`.
        measures: what to measure besides the ELBO; None: every measure that evaluate.py measures by default.
        moved: where the data are now, see `load_data`.
        batch_size: images in a batch; it does not change the values.
        device: `auto`, `cpu` or `cuda`.
        sampler: what `SamplesMeasure` draws from, such as `"gmm"`, or a node of the configuration; None: the run's own. One that
            is not in the run yet is fitted and kept there.

    Returns:
        The values by name (see `evaluation/metrics.py`), and notes on what was left out.

    Raises:
        UserError: the run, the split or the device does not exist.
        RunError: a file of the run is damaged.

    Example:
        >>> evaluate_run(find_run("outputs/…"), "val", [NLLMeasure(samples=100)]).values["nll"]
    """
    return run_measures(prepare_evaluation(run, split, moved, batch_size, device, sampler), measures)


def prepare_evaluation(
    run: Run, split: str, moved: Moved, batch_size: int, device: str, sampler: str | Mapping[str, Any] | None = None
) -> EvaluationContext:
    """Load the run's VAE and images, and its sampler once a measure needs it; the arguments are those of `evaluate_run`."""
    torch_device = choose_device(device)
    vae = load_vae(run).to(torch_device)
    vae.checks_input = False  # images come from the data set
    data = load_data(run, moved)
    images = load_split(run, split, data=data)
    grey = is_grey_bernoulli(run, vae.likelihood.support)
    return EvaluationContext(
        vae,
        torch_device,
        data,
        images,
        split,
        lambda name: load_split(run, name, data=data),
        batch_size,
        grey,
        attach_sampler=lambda: attach_sampler(run, vae, as_config(sampler), moved),
    )


def default_measures(context: EvaluationContext) -> list[Measure]:
    """Return every measure that applies and is on by default, with its default settings."""
    measures = [measure() for measure in MEASURES.values() if measure.by_default]
    return [measure for measure in measures if measure.applies_to(context)]


def run_measures(
    context: EvaluationContext,
    measures: Sequence[Measure] | None = None,
    progress: Progress = lambda name: nullcontext(lambda images, total: None),
) -> MeasureResult:
    """Return the ELBO, active units and each of `measures`, in the order of `MEASURES`.

    Args:
        context: from `prepare_evaluation`.
        measures: see `evaluate_run`.
        progress: maps a measure's name to a context manager to measure it in; its value is called to report progress.
    """
    vae = context.vae
    found = elbo_metrics(context.codes)
    found.notes += interpretation_notes(context)
    found.update(unit_metrics(context.codes, REAL_SPACE in vae.posterior.capabilities))
    add_bits_per_dim(found, vae)
    order = list(MEASURES)
    chosen = default_measures(context) if measures is None else measures
    for measure in sorted(chosen, key=lambda m: order.index(m.name) if m.name in order else len(order)):
        if measure.is_off:
            continue
        with progress(measure.name) as context.advance:
            try:
                found.update(measure.measure(context))
            except NotImplementedError:
                found.notes.append(
                    f"{measure.name} was not measured: it is not defined for this model (for example, the model has no density)."
                )
    return found


def interpretation_notes(context: EvaluationContext) -> list[str]:
    """Return notes on how not to read the values of this composition."""
    condition, notes = context.vae.condition, []
    if condition.classes:
        notes.append(
            f"With {condition.option} all values are conditional on the label: elbo and nll refer to p(x|c), and probes are "
            "fitted to codes of an encoder that sees the label."
        )
    if context.grey:
        notes.append("A Bernoulli is not a likelihood of grey pixels: compare these values only with others made this way.")
    return notes


def save_evaluation(
    run: Run, context: EvaluationContext, found: MeasureResult, per_image: bool = False
) -> list[tuple[str, Path]]:
    """Add the values to the run's `results.json` and TensorBoard events.

    The entry is named after the split, and also after the checkpoint unless that is the best one: `test_last`.

    Args:
        run: the run that was measured.
        context: the images that it was measured on.
        found: the values.
        per_image: whether to also write `per_image_<entry>.npz`.

    Returns:
        What was written, as (label, path).

    Raises:
        RunError: a file cannot be written.
    """
    entry = context.split_name if run.checkpoint.stem == "best" else f"{context.split_name}_{run.checkpoint.stem}"
    written = [("results", add_to_results(run, entry, found.values))]
    add_to_tensorboard(run, entry)
    if per_image:
        written.append(("per image", write_per_image(run, entry, context.per_image())))
    return written
