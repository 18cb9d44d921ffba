"""One training run, from a complete configuration to `results.json`."""

from __future__ import annotations

import platform
import subprocess
import time
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint, ProgressBar
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from omegaconf import DictConfig, OmegaConf

from vae_lightning import build, quiet, runs  # noqa: F401
from vae_lightning.abilities import DENSITY
from vae_lightning.callbacks.figures import draw_all, publish
from vae_lightning.callbacks.step_limit import StepLimit
from vae_lightning.checkpoint_files import LAST
from vae_lightning.console import Report, composition, paths, relative, results_table
from vae_lightning.data.base import Images
from vae_lightning.data.binarization import resolve
from vae_lightning.data.datamodule import VAEDataModule
from vae_lightning.data.sampler import OrderedBatches
from vae_lightning.errors import InvalidValue, UserError
from vae_lightning.evaluation.elbo import SplitSums, evaluate_elbo
from vae_lightning.faults import explained, go_on, quiet_writers
from vae_lightning.hardware import hardware
from vae_lightning.interrupts import Interrupted, interrupts
from vae_lightning.lean import NoProfiler, lean_steps
from vae_lightning.loggers import MetricsCSV, TensorBoard, set_aside
from vae_lightning.module import VAEModule
from vae_lightning.noise import key
from vae_lightning.processes import sole_owner
from vae_lightning.resume import Start, take_up
from vae_lightning.sweeps.callbacks import callbacks_of
from vae_lightning.sweeps.ddp import strategy_in_sweep

TABLE_ROWS = ("elbo", "reconstruction", "kl", "active_units")


def fit(config: DictConfig, folder: Path, in_sweep: bool, start: Start | None = None) -> float:
    """Trains, evaluates the best checkpoint on val and test, draws and writes; the best validation figure (see `score`).

    Goes on from `start`, if it is given. Processes that DDP starts come through here too; the first one alone prints and writes.
    """
    report = Report(quiet=in_sweep)  # a sweep says itself what becomes of its jobs
    with interrupts.watched(), quiet_writers(), sole_owner(folder) if is_first_process() else nullcontext():
        try:
            # twice, since a signal tells of a dead worker, perhaps while the first error is being explained
            with explained(folder), explained(folder):
                return _fit(config, folder, in_sweep, start, report)
        except Interrupted as interrupted:
            if is_first_process():
                report.say(f"Stopped by {interrupted.signal}.{go_on(folder)}")
            raise
        finally:
            report.close()


def _fit(config: DictConfig, folder: Path, in_sweep: bool, start: Start | None, report: Report) -> float:
    began = time.perf_counter()
    module, data = assemble(config)
    module.recorder.began = began
    notes = [] if start is None or not is_first_process() else take_up(start)
    trainer = make_trainer(config, folder, in_sweep, start)
    if is_first_process():
        begin(config, folder, module, data, trainer, report, start)
        for note in notes:
            report.say(note)
    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoard):
                logger.let_go()
    with lean_steps(), interrupts.forwarded(trainer.strategy.launcher):
        trainer.fit(module, datamodule=data, ckpt_path=start and folder / "checkpoints" / LAST)
    if not trainer.is_global_zero:
        val = module.recorder.history.get("val")
        return score(val) if val else float("nan")
    return finish(config, folder, module, data, trainer, report)


def assemble(config: DictConfig) -> tuple[VAEModule, VAEDataModule]:
    """Data and model, with weights drawn from the run's seed; `config` learns what it takes to rebuild them."""
    data = build.build_data(config)
    facts = data.facts()
    torch.manual_seed(key(config.seed, "weights"))
    vae = build.build_vae(config, facts)
    try:
        mode = resolve(data.binarize, vae.likelihood.support == "binary")
    except InvalidValue as error:
        raise UserError(f"data.binarize={error.value}: must be {error.allowed}.") from error
    config.facts, config.schema_version, config.binarization = facts.as_dict(), runs.SCHEMA_VERSION, mode
    if DENSITY not in vae.posterior.abilities:
        watch_reconstruction(config)
    vae.latent_prior.start(data.splits()["train"].images)
    module = build.build_module(config, vae, dynamic=mode == "dynamic")
    served = VAEDataModule(data, mode, config.seed)
    if vae.likelihood.bias_from_data:
        served.setup("fit")
        vae.start_at(mean_image(served.splits["train"]))
    return module, served


def mean_image(images: Images) -> torch.Tensor:
    """The mean of a split's images, (channels, height, width), float32 in [0, 1]."""
    return (images.images.sum(0).double() / (255 * len(images))).float()


def watch_reconstruction(config: DictConfig) -> None:
    """Callbacks that watch val/elbo watch val/reconstruction instead, since there is no ELBO (a plain auto-encoder)."""
    for callback in config.callbacks.values():
        if callback.get("monitor") == "val/elbo":
            callback.monitor, callback.mode = "val/reconstruction", "min"


def make_trainer(config: DictConfig, folder: Path, in_sweep: bool, start: Start | None = None) -> Trainer:
    loggers = build.build_loggers(config, folder)
    for logger in loggers:
        if start is not None and is_first_process():
            set_aside(logger)
        if start is not None and hasattr(logger, "go_on_from"):
            logger.go_on_from(start.step)
    callbacks = make_callbacks(config, folder)
    if in_sweep:
        callbacks = [*(c for c in callbacks if not isinstance(c, ProgressBar)), *callbacks_of(folder)]
    more: dict[str, Any] = {
        # else Lightning adds its own
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
        **({"profiler": NoProfiler()} if config.trainer.profiler is None else {}),
        "enable_progress_bar": any(isinstance(callback, ProgressBar) for callback in callbacks),
    }
    if in_sweep:
        more["strategy"] = strategy_in_sweep(config.trainer.strategy)
    limit = config.trainer.max_steps
    if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0:
        callbacks.append(StepLimit(limit))
        more |= {"max_steps": -1, "max_epochs": -1 if config.trainer.max_epochs is None else config.trainer.max_epochs}
    return build.build_trainer(config, folder, [MetricsCSV(folder), *loggers], callbacks, **more)


def make_callbacks(config: DictConfig, folder: Path) -> list[Callback]:
    """The callbacks of the configuration, without those that the trainer's arguments switch off."""
    off: list[type] = []
    if config.trainer.enable_checkpointing is False or config.trainer.fast_dev_run:
        off.append(Checkpoint)
    if config.trainer.enable_progress_bar is False:
        off.append(ProgressBar)
    callbacks = build.build_callbacks(config)
    callbacks = [callback for callback in callbacks if not isinstance(callback, tuple(off))]
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint):  # one's own, beside ours
            callback.dirpath = str(folder / "checkpoints")
    return callbacks


def is_first_process() -> bool:
    return bool(rank_zero_only.rank == 0)  # type: ignore[attr-defined]


def begin(
    config: DictConfig,
    folder: Path,
    module: VAEModule,
    data: VAEDataModule,
    trainer: Trainer,
    report: Report,
    start: Start | None = None,
) -> None:
    """Writes `config.yaml` (of a run that goes on it is there) and prints what was composed."""
    if start is None:
        runs.write_text(folder / "config.yaml", OmegaConf.to_yaml(config))
    if not config.trainer.fast_dev_run:
        report.keep(folder)
    sizes = {name: len(split) for name, split in data.data.splits().items()}
    per_process = data.data.batch_size
    world = trainer.world_size
    report.say(
        composition(
            config,
            module.vae,
            {
                "images": ", ".join(f"{name} {size:,}" for name, size in sizes.items()) + f" ({pixel_words(data.mode, module)})",
                "batch": f"{per_process}" if world == 1 else f"{per_process} × {world} processes = {per_process * world}",
                "device": f"{trainer.strategy.root_device.type}, precision {trainer.precision}, seed {config.seed}",
                "run": relative(folder) if not config.trainer.fast_dev_run else "fast_dev_run: nothing is kept",
                **({} if start is None else {"goes on": f"at step {start.step}, after {start.epoch} epochs"}),
            },
        )
    )
    if start is not None:
        return
    params = hparams(config)
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoard):
            logger.log_hparams(params, DENSITY in module.vae.posterior.abilities)
        else:
            logger.log_hyperparams(params)


def pixel_words(mode: str, module: VAEModule) -> str:
    if mode == "none":
        grey = module.vae.likelihood.support == "binary"
        return "grey pixels under a Bernoulli: no likelihood, not comparable" if grey else "grey pixels"
    return {"dynamic": "dynamically binarised", "static": "statically binarised", "threshold": "binarised at 128"}[mode]


def hparams(config: DictConfig) -> dict[str, Any]:
    """What the HParams tab compares: the option of each axis, the numbers, and whatever was overridden."""
    params: dict[str, Any] = {axis: config.choices[axis] for axis in build.AXES}
    params |= {"latent_dim": config.latent_dim, "beta": config.beta, "seed": config.seed, "lr": config.optimizer.lr}
    for override in config.overrides:
        name, _, value = override.lstrip("+").partition("=")
        found = OmegaConf.select(config, name)
        params[name] = found if isinstance(found, int | float | str) else value
    return {name: value for name, value in params.items() if isinstance(value, int | float | str)}


def finish(
    config: DictConfig,
    folder: Path,
    module: VAEModule,
    data: VAEDataModule,
    trainer: Trainer,
    report: Report,
) -> float:
    """Val and test figures of the best checkpoint, the last pictures, `results.json` and the closing table."""
    checkpoint = best_checkpoint(folder)
    progress = end_of_training(folder, module, trainer)
    if checkpoint is not None:
        weights = runs.read_checkpoint(checkpoint)["state_dict"]
        module.load_state_dict(weights)
    vae = module.vae.eval().to(trainer.strategy.root_device)
    data.setup("fit")
    sums = {name: split_sums(vae, data.splits[name], name, data.data.eval_batch_size) for name in ("val", "test")}
    metrics = {name: s.metrics() for name, s in sums.items()}
    step = progress["steps"]
    if not config.trainer.fast_dev_run:
        pictures = publish(draw_all(vae, data.splits["val"], sums["val"]), folder, trainer.loggers, step)
        results = collect_results(config, module, trainer, sums, progress)
        runs.write_json(folder / "results.json", {**results, "checkpoint": relative_to(checkpoint, folder)})
        log_results(trainer, metrics["test"], step)
    report.say(results_table("results (of the best checkpoint)" if checkpoint else "results", metrics, TABLE_ROWS))
    if not config.trainer.fast_dev_run:
        report.say(closing_paths(folder, checkpoint, pictures))
    return score(metrics["val"])


def score(metrics: dict[str, Any]) -> float:
    """What a search maximises: the ELBO; −reconstruction where there is none."""
    return float(metrics["elbo"] if "elbo" in metrics else -metrics["reconstruction"])


def end_of_training(folder: Path, module: VAEModule, trainer: Trainer) -> dict[str, int]:
    """Epochs and steps done. Where training ran in processes of its own, they and the figures are in its last checkpoint."""
    last = folder / "checkpoints" / LAST
    if trainer.global_step == 0 and last.exists():
        content = runs.read_checkpoint(last)
        module.recorder.load_state_dict(content["recorder"], None, 0.0)
        return {"epochs": content["position"]["epoch"], "steps": content["global_step"]}
    return {"epochs": trainer.current_epoch, "steps": trainer.global_step}


def best_checkpoint(folder: Path) -> Path | None:
    """best.ckpt; last.ckpt where nothing was validated; None where no checkpoint was written."""
    for name in runs.CHECKPOINTS:
        path = folder / "checkpoints" / f"{name}.ckpt"
        if path.exists():
            return path
    return None


def split_sums(vae: Any, split: Images, name: str, batch_size: int) -> SplitSums:
    device = next(vae.parameters()).device
    batches = (split[places].to(device) for places in OrderedBatches(len(split), batch_size))
    return evaluate_elbo(vae, batches, name)


def collect_results(
    config: DictConfig, module: VAEModule, trainer: Trainer, sums: dict[str, SplitSums], progress: dict[str, int]
) -> dict[str, Any]:
    """What `results.json` holds."""
    train = module.recorder.history.get("train", {})
    splits = {name: {**s.metrics(), "kl_per_dimension": s.kl_per_dimension()} for name, s in sums.items()}
    return {
        "schema_version": runs.SCHEMA_VERSION,
        "name": config.name,
        **splits,
        "train": {k: v for k, v in train.items() if k not in ("images_per_second", "lr")},
        "beta": module.recorder.shown.get("beta"),
        "binarization": config.binarization,
        "seed": config.seed,
        **progress,
        "seconds": round(module.recorder.elapsed(), 2),
        "images_per_second": round(train["images_per_second"]) if "images_per_second" in train else None,
        "device": str(trainer.strategy.root_device),
        "hardware": hardware(trainer.strategy.root_device),
        "precision": str(trainer.precision),
        "versions": versions(),
        "git_commit": git_commit(),
    }


def versions() -> dict[str, str]:
    packages = ("vae-lightning", "torch", "lightning", "hydra-core", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def git_commit() -> str | None:
    """The commit of the source that ran, with `+` where it was changed since; None outside of a repository."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def log_results(trainer: Trainer, metrics: dict[str, Any], step: int) -> None:
    """Test figures into every logger, and into the HParams tab."""
    for logger in trainer.loggers:
        logger.log_metrics({f"test/{name}": float(value) for name, value in metrics.items()}, step)
        if isinstance(logger, TensorBoard):
            logger.log_results(metrics, step)
        logger.finalize("success")


def closing_paths(folder: Path, checkpoint: Path | None, pictures: list[Path]) -> str:
    made = [("run", folder), ("results", folder / "results.json")]
    if checkpoint is not None:
        made.append(("checkpoint", checkpoint))
    return paths([*made, *(("picture", path) for path in pictures)])


def relative_to(path: Path | None, folder: Path) -> str | None:
    return None if path is None else str(path.relative_to(folder))
