"""A run's own configuration with overrides as they are typed."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from vae_lightning.config.checks import check_keys, check_option
from vae_lightning.config.compose import compose_config, hydra_composer
from vae_lightning.config.overrides import group_of, is_group, parse, refuse_sweeps
from vae_lightning.errors import UserError


def with_overrides(config: DictConfig, texts: Sequence[str], groups: Sequence[str], config_name: str) -> DictConfig:
    """A copy of a run's configuration with overrides as they are typed: options of `groups`, and keys that are there.

    An option is composed anew, with the keys of its group that the run was given before. UserError for what does not exist.
    """
    changed = config.copy()
    if not texts:
        return changed
    with hydra_composer([]):
        loader = GlobalHydra.instance().config_loader()
        overrides = [parse(text, loader) for text in texts]
        refuse_sweeps(overrides)
        for override in overrides:
            if override.is_delete() or override.is_add() or override.is_force_add():
                raise UserError(f"{override.input_line}: keys of a run can be changed, not added or removed.")
            check_option(override, loader)
        chosen = [override for override in overrides if is_group(override, loader)]
        for override in chosen:
            _choose(changed, override, groups, config_name)
        plain = [override for override in overrides if override not in chosen]
        check_keys(changed, plain, loader)
        for override in plain:
            OmegaConf.update(changed, override.key_or_group, override.value(), merge=False)
    return changed


def _choose(config: DictConfig, override: Override, groups: Sequence[str], config_name: str) -> None:
    """Another option of a group; of groups that are not in `groups`, only the name is noted."""
    group = group_of(override)
    if group in groups:
        given = [*config.get("overrides", []), *(text for entry in config.get("resumes") or [] for text in entry.overrides)]
        keys = [text.lstrip("+").partition("=")[0] for text in given if text.lstrip("+").startswith(f"{group}.")]
        kept = {key: OmegaConf.select(config, key) for key in keys}
        whole = OmegaConf.to_container(compose_config(config_name, [override.input_line or ""])[group], resolve=True)
        config[group] = whole
        for key, value in kept.items():
            if OmegaConf.select(config, key.rpartition(".")[0]) is not None:
                OmegaConf.update(config, key, value, merge=False)
    config.choices[group] = override.value()
