"""Check that the optional packages that a sweep's launcher and sweeper need are installed."""

from __future__ import annotations

from importlib.util import find_spec

from omegaconf import DictConfig

from vae_lightning.errors import UserError

LAUNCHERS = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit", "slurm": "submitit", "ray": "ray"}


def check_launcher(launcher: str) -> None:
    """Refuse a launcher whose plugin is not installed (UserError), naming the extra that installs it."""
    extra = LAUNCHERS.get(launcher)
    if extra is not None and not _is_there(f"hydra_plugins.hydra_{extra}_launcher"):
        raise UserError(f"hydra/launcher={launcher} {_missing(extra)}")


def check_sweeper(hydra: DictConfig) -> None:
    """Refuse a sweeper that keeps no record, and a search if Optuna is not installed (UserError)."""
    if not str(hydra.sweeper.get("_target_")).startswith("hydra_plugins.vae_lightning."):
        raise UserError(f"hydra/sweeper={hydra.runtime.choices['hydra/sweeper']}: unknown sweeper. Allowed: grid, optuna.")
    if "sampler" in hydra.sweeper and not _is_there("optuna"):
        raise UserError(f"hydra/sweeper={hydra.runtime.choices['hydra/sweeper']} {_missing('sweep')}")


def _missing(extra: str) -> str:
    return f"needs a package that is not installed: pip install 'vae-lightning[{extra}]'."


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
