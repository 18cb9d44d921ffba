"""What a run writes and prints before its first training step."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae_lightning.capabilities import DENSITY
from vae_lightning.config.builtin import CONFIG_GROUPS
from vae_lightning.errors import plural
from vae_lightning.runs.config_file import write_config
from vae_lightning.runs.console import describe_composition, relative_path
from vae_lightning.training.callbacks.ema import EMA
from vae_lightning.training.compile import NOT_COMPILED
from vae_lightning.training.context import TrainingContext
from vae_lightning.training.loggers import TensorBoard
from vae_lightning.training.module import VAEModule
from vae_lightning.training.resume import ResumePoint


def write_run_header(run: TrainingContext, start: ResumePoint | None = None) -> None:
    """Write `config.yaml` and hyperparameters (unless the run is resumed) and print the chosen options."""
    if start is None:
        write_config(run.folder, run.config)
    if not run.config.trainer.fast_dev_run:
        run.report.keep(run.folder)
    run.report.say(describe_composition(run.config, run.module.vae, circumstances(run, start)))
    if start is not None:
        return
    params = hparams(run.config)
    for logger in run.trainer.loggers:
        if isinstance(logger, TensorBoard):
            logger.log_hparams(params, DENSITY in run.module.vae.posterior.capabilities, first=compared(run.config))
        else:
            logger.log_hyperparams(params)


def circumstances(run: TrainingContext, start: ResumePoint | None) -> dict[str, str]:
    """Return the lines that a run prints below its options, by label: images, batch, device and run folder."""
    config, data, trainer = run.config, run.data.data, run.trainer
    sizes = ", ".join(f"{name} {len(split):,}" for name, split in data.splits().items())
    batch, world = data.batch_size, trainer.world_size
    averages = [callback for callback in trainer.callbacks if isinstance(callback, EMA)]  # type: ignore[attr-defined]
    return {
        "images": f"{sizes} ({pixel_words(run.data.mode, run.module, config.data_spec.kind)})",
        **{f"data {i}" if i > 1 else "data": note for i, note in enumerate(data.notes, 1)},
        **codes_note(run),
        "batch": f"{batch}" if world == 1 else f"{batch} × {world} processes = {batch * world}",
        **({"weights": averages[0].in_words} if averages else {}),
        "device": f"{trainer.strategy.root_device.type}, precision {trainer.precision}, seed {config.seed}" + compiled(config),
        "run": relative_path(run.folder) if not config.trainer.fast_dev_run else "fast_dev_run: nothing is saved",
        **({} if start is None else {"resumes": describe_progress(start)}),
    }


def codes_note(run: TrainingContext) -> dict[str, str]:
    """Say of an auto-encoder that its codes do not follow the prior, and what samples are drawn from then."""
    objective, vae = run.module.objective, run.module.vae
    if DENSITY in vae.posterior.capabilities or objective.penalty.matches_prior:
        return {}
    chosen = run.config.choices.sampler
    drawn = f"samples come from sampler={chosen}, fitted to them when training ends"
    if chosen == "prior":
        drawn = "decoded draws from it rarely look like images; sampler=gmm fits a mixture to the codes"
    return {"codes": f"no KL pulls them to p(z), so they do not follow it: {drawn}"}


def describe_progress(start: ResumePoint) -> str:
    """`at step 80, after 2 epochs`, or `at step 90, in epoch 3` in the middle of one."""
    whole = not start.content["position"]["batch"]
    return f"at step {start.step:,}, " + (f"after {plural(start.epoch, 'epoch')}" if whole else f"in epoch {start.epoch + 1}")


def compiled(config: DictConfig) -> str:
    mode = config.get("compile", NOT_COMPILED)
    return "" if mode == NOT_COMPILED else f", compiled ({mode}): the first step takes a while"


def pixel_words(mode: str, module: VAEModule, kind: str | None = None) -> str:
    if module.vae.standardisation is not None:
        return "numbers, standardised by the training rows"
    pixels = "colour pixels" if kind == "colour" else "grey pixels"
    if mode == "none":
        grey = module.vae.likelihood.support == "binary"
        return "grey pixels with a Bernoulli, which is not a likelihood of them: not comparable" if grey else pixels
    return {"dynamic": "dynamically binarised", "static": "statically binarised", "threshold": "binarised at 128"}[mode]


def hparams(config: DictConfig) -> dict[str, Any]:
    """Return what the HParams tab compares: the option of each config group, the main numbers, and all overrides."""
    params: dict[str, Any] = {group: config.choices[group] for group in CONFIG_GROUPS}
    params |= {"latent_dim": config.latent_dim, "beta": config.beta, "seed": config.seed, "lr": config.optimizer.get("lr")}
    for name, value in overridden(config).items():
        found = OmegaConf.select(config, name)
        params[name] = found if isinstance(found, int | float | str) else value
    return {name: value for name, value in params.items() if isinstance(value, int | float | str)}


def overridden(config: DictConfig) -> dict[str, str]:
    """Return the overrides of the command line and the sweep: key and value."""
    pairs = (override.lstrip("+").partition("=") for override in config.overrides)
    return {name: value for name, _, value in pairs}


def compared(config: DictConfig) -> list[str]:
    """Return the overrides to compare: in a sweep the swept keys, which the label names; otherwise all."""
    label = f" {config.label}" if config.get("label") else None
    return [name for name in overridden(config) if label is None or f" {name}=" in label]
