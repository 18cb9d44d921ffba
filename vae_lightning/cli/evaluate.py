"""`python evaluate.py run=outputs/…`: measures a trained run, using the run's own configuration."""

from __future__ import annotations

from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vae_lightning.api.evaluate import check_settings, measure
from vae_lightning.api.own_code import trusts_run_code
from vae_lightning.cli.app import run_app


def main() -> None:
    """Run the command."""
    run_app(evaluate, "evaluate")


def evaluate(config: DictConfig) -> dict[str, Any]:
    """Measure the ELBO and what `config.measures` lists on one split, and write the values to `results.json` and TensorBoard.

    Raises:
        UserError: a setting is invalid, or the run does not exist.
        RunError: a file of the run is damaged or cannot be written.
    """
    overrides = list(HydraConfig.get().overrides.task)
    check_settings(config, overrides)
    trusted = trusts_run_code(config)
    from vae_lightning.runs.folder import find_run

    return measure(find_run(config.run, config.checkpoint, trusted), config, overrides)


if __name__ == "__main__":
    main()
