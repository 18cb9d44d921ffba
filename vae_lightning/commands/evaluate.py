"""`python evaluate.py run=outputs/…`: test figures of a trained run, from the run's own configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from vae_lightning.cli import find_own_modules, run_app
from vae_lightning.errors import check_bool, check_choice, check_int

ROWS = ("elbo", "reconstruction", "kl", "active_units", "nll", "nll_standard_error", "nll_samples")


def main() -> None:
    run_app(evaluate, "evaluate")


def evaluate(config: DictConfig) -> dict[str, Any]:
    """The ELBO and its terms, active units and the importance-sampled NLL of one split; also written to `results.json`."""
    check_choice("split", config.split, ("train", "val", "test"))
    check_int("batch_size", config.batch_size)
    check_int("nll.samples", config.nll.samples, 0)
    check_int("nll.chunk", config.nll.chunk)
    if config.nll.images is not None:
        check_int("nll.images", config.nll.images)
    if check_bool("trust_run_code", config.trust_run_code):
        find_own_modules()
    from vae_lightning import runs, served
    from vae_lightning.console import Report, composition, paths, relative, results_table
    from vae_lightning.evaluation.elbo import evaluate_elbo

    run = runs.find(config.run, config.checkpoint, config.trust_run_code)
    run.results()  # damaged ones are met before the work, not after
    device = served.choose_device(config.device)
    vae = runs.load_vae(run).to(device)
    split = served.load_split(run, config.split, config.data.root)
    facts = {"images": f"{config.split} {len(split):,}", "device": device.type, "checkpoint": relative(run.checkpoint)}
    report = Report()
    report.say(composition(run.config, vae, facts))

    sums = evaluate_elbo(vae, served.batches(split, config.batch_size, device), config.split)
    metrics = sums.metrics() | _nll(config, run, vae, split, device, report)
    report.say(results_table("results", {config.split: metrics}, ROWS))
    name = config.split if run.checkpoint.stem == "best" else f"{config.split}_{run.checkpoint.stem}"
    path = _write(run, name, metrics | {"kl_per_dimension": sums.kl_per_dimension()})
    report.say(paths([("results", path)]))
    return metrics


def _nll(config: DictConfig, run: Any, vae: Any, split: Any, device: Any, report: Any) -> dict[str, Any]:
    """nll, its standard error and number of samples; nothing where the run has no likelihood or none was asked for."""
    from rich.progress import Progress

    from vae_lightning import served
    from vae_lightning.abilities import DENSITY
    from vae_lightning.evaluation.nll import evaluate_nll

    if config.nll.samples == 0:
        return {}
    if DENSITY not in vae.posterior.abilities:
        report.say(f"No nll: {vae.posterior.option} has no density.")
        return {}
    if served.is_grey_bernoulli(run, vae.likelihood.support):
        report.say("No nll: grey pixels under a Bernoulli are no likelihood (train with data.binarize=auto for one).")
        return {}
    count = len(split) if config.nll.images is None else min(config.nll.images, len(split))
    with Progress(console=report.console, transient=True) as progress:
        task = progress.add_task(f"nll, {config.nll.samples} samples", total=count)
        nll = evaluate_nll(
            vae,
            served.batches(split, config.batch_size, device, count),
            config.split,
            config.nll.samples,
            config.nll.chunk,
            lambda images: progress.advance(task, images),
        )
    found = {"nll": nll.nll, "nll_standard_error": nll.standard_error, "nll_samples": nll.samples}
    return found if count == len(split) else found | {"nll_images": count}


def _write(run: Any, name: str, metrics: dict[str, Any]) -> Path:
    """Adds the split's figures to the run's `results.json`."""
    from vae_lightning.errors import RunError
    from vae_lightning.runs import write_json

    path = run.inside("results.json")
    results = run.results()
    try:
        write_json(path, {**results, name: {**results.get(name, {}), **metrics}})
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error}).") from error
    return path


if __name__ == "__main__":
    main()
