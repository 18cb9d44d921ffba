"""Overrides given in Python, composed and checked as on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike

from omegaconf import DictConfig, ListConfig

from vae_lightning.api.arguments import as_multirun, quote_paths
from vae_lightning.config.command_line import JOB_SETTINGS, check_command_line
from vae_lightning.config.compose import quote, without_hydra
from vae_lightning.config.messages import as_user_errors
from vae_lightning.errors import InvalidValue, UserError, format_value


def compose(*overrides: str) -> DictConfig:
    """Return the configuration of a run, checked as `train.py` checks it. Hydra's global state stays as it was.

    Args:
        overrides: as typed on the command line, such as `"model=conv"` and `"beta=4"`.

    Returns:
        Every key with its value, as `python train.py --cfg job` prints it. Interpolations such as `${beta}` are kept.

    Raises:
        UserError: an option or key is unknown, or an override cannot be parsed.

    Example:
        >>> vl.compose("model=conv", "beta=4").model.channels
        [32, 64]
    """
    with as_user_errors():
        return without_hydra(compose_run(overrides, "vl.compose"))


def compose_run(overrides: Sequence[str], caller: str) -> DictConfig:
    """Return the configuration of one run, with its node `hydra`.

    Raises:
        UserError: see `compose`; also, the overrides ask for a sweep.
    """
    texts = check_texts(overrides, caller)
    if as_multirun(texts) != texts:
        asked = next(text for text in texts if text.startswith(("sweep=", "resume_sweep=")))
        raise UserError(f"{asked} trains several runs: use vl.sweep.")
    return compose_command("train", texts, caller)


def compose_command(name: str, texts: Sequence[str], caller: str) -> DictConfig:
    """Return the configuration of the command `name`, with its node `hydra`.

    Args:
        name: the command.
        texts: the overrides.
        caller: the Python function that is called, for messages.

    Raises:
        UserError: see `compose`; also, an override is a setting of `hydra` that only Hydra's own main uses.
    """
    config = check_command_line(quote_paths(texts), name).config
    if config is None:
        bad = next((text for text in texts if text.lstrip("+~").startswith(("hydra.", "hydra/"))), "hydra.…")
        raise UserError(f"{bad}: {caller} ignores settings of Hydra's jobs ({', '.join(JOB_SETTINGS)}); leave it out.")
    return config


def check_texts(overrides: Sequence[str], caller: str) -> list[str]:
    """Return the overrides as a list, after checking that they are overrides.

    Raises:
        InvalidValue: one of them is not text.
        UserError: one of them is a flag, such as `-m`.
    """
    for text in overrides:
        if not isinstance(text, str):
            raise InvalidValue("overrides", text, f"text such as 'beta=4', in {caller}(…)")
        if text.startswith("-"):
            more = "use vl.sweep" if text in ("-m", "--multirun") else "leave it out"
            raise UserError(f"{text}: {caller} takes overrides only; {more}.")
    return list(overrides)


def as_overrides(settings: Mapping[str, object]) -> list[str]:
    """Write settings given as Python values as overrides: `{"nll": {"samples": 100}}` becomes `nll.samples=100`.

    Raises:
        InvalidValue: a configuration cannot contain one of the values.
    """
    texts = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            texts += as_overrides({f"{key}.{name}": part for name, part in value.items()})
        else:
            texts.append(f"{key}={_as_text(key, value)}")
    return texts


def _as_text(key: str, value: object) -> str:
    """Write a value in the grammar of overrides."""
    if isinstance(value, str | PathLike):
        return quote(str(value))
    if isinstance(value, Sequence | ListConfig):
        return "[" + ",".join(_as_text(key, part) for part in value) + "]"
    if value is None or isinstance(value, bool | int | float):
        return format_value(value)
    raise InvalidValue(key, value, "a number, true, false, text, None, or a list or mapping of these")
