"""What a run measures, draws and writes after its last training step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from vae_lightning.data.binarization import prepare_splits
from vae_lightning.evaluation.elbo import SplitSums
from vae_lightning.evaluation.metrics import VALIDATION_METRICS, better_direction, find_metric, score_metric
from vae_lightning.plots.projector import write_projection
from vae_lightning.runs.checkpoint_files import LAST
from vae_lightning.runs.checkpoint_schema import check_tensors
from vae_lightning.runs.console import describe_paths, results_table
from vae_lightning.runs.folder import CHECKPOINTS, Run, read_checkpoint
from vae_lightning.runs.results import RESULTS_SCHEMA_VERSION, write_results
from vae_lightning.runs.samplers import fit_sampler, source_of
from vae_lightning.training.callbacks.figures import draw_pictures, save_pictures, split_sums
from vae_lightning.training.context import TrainingContext
from vae_lightning.training.loggers import TensorBoard
from vae_lightning.training.module import VAEModule
from vae_lightning.training.provenance import git_commit, hardware, versions
from vae_lightning.training.recorder import check_finite_metrics


def finish(run: TrainingContext) -> float:
    """Measure the best checkpoint on val and test, draw the last pictures, write `results.json` and print a table.

    Returns:
        The validation score, see `score`.
    """
    folder, module, data, loggers = run.folder, run.module, run.data, run.trainer.loggers
    checkpoint = best_checkpoint(folder)
    progress = end_of_training(folder, module, run.trainer)
    if checkpoint is not None:
        weights = read_checkpoint(checkpoint)["state_dict"]
        check_tensors(checkpoint, weights, module.state_dict())
        module.load_state_dict(weights)
    for logger in loggers:
        if isinstance(logger, TensorBoard):
            logger.training_ended()
    vae = module.vae.eval().to(run.trainer.strategy.root_device)
    data.setup("fit")
    sums = {name: split_sums(vae, data.splits[name], name, data.data.eval_batch_size) for name in ("val", "test")}
    metrics = {name: s.metrics() for name, s in sums.items()}
    check_finite_metrics(metrics, checkpoint, progress)
    kept = not run.config.trainer.fast_dev_run
    names = data.data.class_names
    if kept:
        drawn = use_sampler(run, checkpoint)
        pictures = save_pictures(draw_pictures(vae, data.splits["val"], sums["val"], names), folder, loggers, progress["steps"])
        results = {**collect_results(run, sums, progress), "checkpoint": relative_to(checkpoint, folder)}
        log_results(run.trainer, metrics["test"], progress["steps"])
        for logger in loggers:
            if isinstance(logger, TensorBoard) and logger.projector_images > 0:
                write_projection(vae, data.splits["test"], Path(logger.log_dir), logger.projector_images, names)
        write_results(folder, results)  # last, since a run with results counts as finished and is not resumed
    title = f"results (of the {checkpoint.stem} checkpoint)" if checkpoint else "results"
    run.report.say(results_table(title, metrics, VALIDATION_METRICS))
    if kept:
        if drawn is not None:
            run.report.say(drawn)
        run.report.say(closing_paths(folder, checkpoint, pictures))
    return score(metrics["val"])


def use_sampler(run: TrainingContext, checkpoint: Path | None) -> str | None:
    """Fit the run's sampler to the codes of the training images, and let the VAE draw from it; say so, unless it is the prior."""
    data = run.data.data
    vae, name = run.module.vae, "best" if checkpoint is None else checkpoint.stem
    source = source_of(Run(run.folder, run.config, run.folder / f"{name}.ckpt"), vae)
    if not source.sampler.is_fitted:
        return None
    images = prepare_splits({"train": data.splits()["train"]}, run.data.mode, data.split_seed)["train"]
    return f"Samples are drawn from {source.sampler.option}, {fit_sampler(source, vae, images)}."


def score(metrics: dict[str, Any]) -> float:
    """Return the score that a search maximises: the ELBO, or −reconstruction if the model has no ELBO."""
    name = score_metric(metrics)
    assert name is not None  # every model has a reconstruction
    return float(metrics[name] if better_direction(name) == "max" else -metrics[name])


def end_of_training(folder: Path, module: VAEModule, trainer: Trainer) -> dict[str, int]:
    """Return the numbers of epochs and steps; after training in worker processes, read them and the metrics from last.ckpt."""
    last = folder / "checkpoints" / LAST
    if trainer.global_step == 0 and last.exists():
        content = read_checkpoint(last)
        module.recorder.load_state_dict(content["recorder"], None, 0.0)
        return {"epochs": content["position"]["epoch"], "steps": content["global_step"]}
    return {"epochs": trainer.current_epoch, "steps": trainer.global_step}


def best_checkpoint(folder: Path) -> Path | None:
    """Return best.ckpt, or last.ckpt if there was no validation; None if no checkpoint was written."""
    for name in CHECKPOINTS:
        path = folder / "checkpoints" / f"{name}.ckpt"
        if path.exists():
            return path
    return None


def collect_results(run: TrainingContext, sums: dict[str, SplitSums], progress: dict[str, int]) -> dict[str, Any]:
    """Return the content of `results.json`."""
    config, recorder, trainer = run.config, run.module.recorder, run.trainer
    train = recorder.history.get("train", {})
    kept = {name: value for name, value in train.items() if (metric := find_metric(name)) is None or metric.train_results}
    splits = {name: {**s.metrics(), "kl_per_dimension": s.kl_per_dimension()} for name, s in sums.items()}
    return {
        "schema_version": RESULTS_SCHEMA_VERSION,
        "name": config.name,
        **splits,
        "train": kept,
        "beta": recorder.shown.get("beta"),
        "binarization": config.binarization,
        "seed": config.seed,
        **progress,
        "seconds": round(recorder.elapsed(), 2),
        "images_per_second": round(train["images_per_second"]) if "images_per_second" in train else None,
        "device": str(trainer.strategy.root_device),
        "hardware": hardware(trainer.strategy.root_device),
        "precision": str(trainer.precision),
        "versions": versions(),
        "git_commit": git_commit(),
    }


def log_results(trainer: Trainer, metrics: dict[str, Any], step: int) -> None:
    """Log the test metrics to every logger and to the HParams tab."""
    for logger in trainer.loggers:
        logger.log_metrics({f"test/{name}": float(value) for name, value in metrics.items()}, step)
        if isinstance(logger, TensorBoard):
            logger.log_results(metrics, step)
        logger.finalize("success")


def closing_paths(folder: Path, checkpoint: Path | None, pictures: list[Path]) -> str:
    made = [("run", folder), ("results", folder / "results.json")]
    if checkpoint is not None:
        made.append(("checkpoint", checkpoint))
    return describe_paths([*made, *(("picture", path) for path in pictures)])


def relative_to(path: Path | None, folder: Path) -> str | None:
    return None if path is None else str(path.relative_to(folder))
