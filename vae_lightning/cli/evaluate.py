"""`python evaluate.py run=outputs/…`: test figures of a trained run, from the run's own configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig

from vae_lightning.cli.app import run_app, trusts_run_code
from vae_lightning.errors import UserError, check_bool, check_choice, check_int, check_number, did_you_mean

CHEAP = ("nll", "latents", "reconstructions", "probes", "disentanglement")  # measured unless `measures` says otherwise
MEASURES = (*CHEAP, "ais", "samples")
LEAST = {"nll.samples": 0, "samples.seed": 0, "samples.images": 100, "latents.images": 2, "disentanglement.images": 100}
MAY_BE_NULL = ("nll.samples", "nll.images", "latents.images", "probes.images", "disentanglement.images", "samples.cache")
ROWS = (
    "elbo", "reconstruction", "kl", "nll", "nll_samples", "nll_effective_samples", "bits_per_dim", "elbo_bits_per_dim",
    "ais", "ais_minus_nll", "ais_gap", "active_units", "mutual_information", "mutual_information_upper", "marginal_kl",
    "total_correlation", "dimension_wise_kl", "aggregate_correlation", "mse",
    "ssim", "linear_probe_accuracy", "knn_accuracy", "chance_accuracy",
    "clustering_nmi", "mig", "modularity", "sap", "dci_disentanglement", "dci_completeness", "dci_informativeness",
    "factor_vae_score", "beta_vae_score", "frechet_distance", "frechet_distance_floor", "precision", "precision_floor",
    "recall", "recall_floor",
)  # fmt: skip


def main() -> None:
    run_app(evaluate, "evaluate")


def evaluate(config: DictConfig) -> dict[str, Any]:
    """The ELBO and what `config.measures` lists, on one split; also written to `results.json` and TensorBoard."""
    chosen = _chosen(config.measures)
    _check(config, CHEAP if chosen is None else chosen, list(HydraConfig.get().overrides.task))
    trusted = trusts_run_code(config)
    from vae_lightning.capabilities import REAL_SPACE
    from vae_lightning.evaluation.codes import add_bits_per_dim, elbo_metrics, encode_split
    from vae_lightning.evaluation.latents import unit_metrics
    from vae_lightning.runs.console import RunLog, describe_composition, describe_paths, relative_path, results_table
    from vae_lightning.runs.folder import find_run, load_vae
    from vae_lightning.runs.images import choose_device, is_grey_bernoulli, iterate_batches, load_data, load_split
    from vae_lightning.runs.measure import EvaluationContext
    from vae_lightning.runs.results import add_to_results, add_to_tensorboard, write_per_image

    run = find_run(config.run, config.checkpoint, trusted)
    run.results()  # damaged ones are met before the work, not after
    device = choose_device(config.device)
    vae = load_vae(run).to(device)
    data = load_data(run, config.data.root)
    split = load_split(run, config.split, data=data)
    details = {"images": f"{config.split} {len(split):,}", "device": device.type, "checkpoint": relative_path(run.checkpoint)}
    report = RunLog()
    report.say(describe_composition(run.config, vae, details))

    codes = encode_split(vae, iterate_batches(split, config.batch_size, device), config.split)
    found = elbo_metrics(codes)
    found.notes += _warnings(vae, is_grey_bernoulli(run, vae.likelihood.support))
    found.update(unit_metrics(codes, REAL_SPACE in vae.posterior.capabilities))
    subject = EvaluationContext(run, config, vae, device, data, split, codes)
    names = [n for n in CHEAP if n != "disentanglement" or split.factors is not None] if chosen is None else chosen
    for name in names:
        if name != "nll" or config.nll.samples != 0:
            found.update(_measured(name, subject, report))
    add_bits_per_dim(found, vae)

    for note in [*found.notes, *_by_samples(found.values)]:
        report.say(note)
    report.say(results_table("results", {config.split: found.values}, ROWS))
    entry = config.split if run.checkpoint.stem == "best" else f"{config.split}_{run.checkpoint.stem}"
    made = [("results", add_to_results(run, entry, found.values))]
    add_to_tensorboard(run, entry)
    if config.per_image:
        made.append(("per image", write_per_image(run, entry, subject.per_image())))
    report.say(describe_paths(made))
    return found.values


def _warnings(vae: Any, grey: bool) -> list[str]:
    """What figures of this composition do not mean."""
    given = (
        f"With {vae.condition.option} every figure is given the label: elbo and nll are of p(x|c), and probes learn from codes "
        "of an encoder that was told it."
    )
    tutorial = "Grey pixels under a Bernoulli are no likelihood: what they give compares with figures made alike only."
    return [*([given] if vae.condition.classes else []), *([tutorial] if grey else [])]


def _by_samples(figures: dict[str, Any]) -> list[str]:
    """The last steps of k with their nll, by which one sees whether it has converged."""
    curve = list(figures.get("nll_by_samples", {}).items())[-4:]
    if len(curve) < 2:
        return []
    samples, values = zip(*curve, strict=True)
    return [f"nll with {', '.join(samples)} samples: {', '.join(f'{value:.2f}' for value in values)}."]


def _measured(name: str, subject: Any, report: Any) -> Any:
    """What one measure gives; where the composition lacks what it takes, a sentence."""
    from rich.progress import Progress

    from vae_lightning.evaluation.measure_result import MeasureResult
    from vae_lightning.runs.measure import MEASURES as measures

    with Progress(console=report.console, transient=True, disable=not report.console.is_terminal) as progress:
        task = progress.add_task(name, total=None)

        def advance(images: int, total: int) -> None:
            progress.update(task, advance=images, total=total)

        subject.advance = advance
        try:
            found: MeasureResult = measures[name](subject)
        except NotImplementedError:
            return MeasureResult(notes=[f"No {name}: this composition has no density, or another thing that it takes."])
    return found


def _chosen(measures: Any) -> list[str] | None:
    """The list that `measures` names; None for all that are cheap."""
    if measures is None:
        return None
    names = list(measures) if isinstance(measures, ListConfig) else [measures]
    for name in names:
        if name not in MEASURES:
            raise UserError(
                f"measures={name}: no such measure.{did_you_mean(str(name), MEASURES)} Allowed: {', '.join(MEASURES)}."
            )
    return sorted(names, key=MEASURES.index)  # what one measure takes of another is there: ais compares itself with the nll


def _check(config: DictConfig, names: Sequence[str], overrides: Sequence[str]) -> None:
    """Numbers in range, and no key set of what will not be measured."""
    check_choice("split", config.split, ("train", "val", "test"))
    check_int("batch_size", config.batch_size)
    check_bool("per_image", config.per_image)
    for override in overrides:
        name = override.lstrip("+").partition(".")[0]
        if name in MEASURES and name not in names and override != "nll.samples=0":
            raise UserError(f"{override} would have no effect: {name} is not measured; add it to measures.")
    for name in MEASURES:
        for key, value in config.get(name, {}).items():
            path = f"{name}.{key}"
            if key == "cache":
                continue
            if key == "seconds":
                check_number(path, value, 0, above=True)
            elif value is not None or path not in MAY_BE_NULL:
                check_int(path, value, LEAST.get(path, 1))


if __name__ == "__main__":
    main()
