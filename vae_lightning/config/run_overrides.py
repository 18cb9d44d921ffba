"""Apply overrides, as typed, to the configuration of an existing run (for `resume=`)."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from vae_lightning.config.compose import Composer, hydra_composer
from vae_lightning.config.overrides import group_of, is_group, parse, refuse_sweeps
from vae_lightning.config.unknown_keys import check_keys, check_option
from vae_lightning.errors import UserError


def with_overrides(config: DictConfig, texts: Sequence[str], groups: Sequence[str], config_name: str) -> DictConfig:
    """Return a copy of a run's configuration with overrides applied: options of `groups`, and existing keys.

    A newly chosen option is composed as for a new run, but keeps the keys of its group that the run was started with.

    Raises:
        UserError: an option or key is unknown, or an override adds, removes or lists values.
    """
    changed = config.copy()
    if not texts:
        return changed
    with hydra_composer() as composer:
        overrides = [parse(text, composer.loader) for text in texts]
        refuse_sweeps(overrides)
        for override in overrides:
            if override.is_delete() or override.is_add() or override.is_force_add():
                raise UserError(f"{override.input_line}: keys of a run can be changed, not added or removed.")
            check_option(override, composer)
        chosen = [override for override in overrides if is_group(override, composer)]
        for override in chosen:
            _choose(changed, override, groups, config_name, composer)
        plain = [override for override in overrides if override not in chosen]
        check_keys(changed, plain, composer.groups)
        for override in plain:
            OmegaConf.update(changed, override.key_or_group, override.value(), merge=False)
    return changed


def _choose(config: DictConfig, override: Override, groups: Sequence[str], config_name: str, composer: Composer) -> None:
    """Replace the option of a group; for a group that is not in `groups`, only note its name."""
    group = group_of(override)
    if group in groups:
        given = [*config.get("overrides", []), *(text for entry in config.get("resumes") or [] for text in entry.overrides)]
        keys = [text.lstrip("+").partition("=")[0] for text in given if text.lstrip("+").startswith(f"{group}.")]
        kept = {key: OmegaConf.select(config, key) for key in keys}
        below = [text for text in given if text.lstrip("+").startswith(f"{group}/")]
        whole = composer.compose(config_name, [override.input_line or "", *below])
        config[group] = OmegaConf.to_container(whole[group], resolve=True)
        for key, value in kept.items():
            if OmegaConf.select(config, key.rpartition(".")[0]) is not None:
                OmegaConf.update(config, key, value, merge=False)
    config.choices[group] = override.value()
