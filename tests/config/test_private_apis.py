"""Fails when Hydra, OmegaConf, torch or safetensors change what `config/private_apis.py` relies on: each error is a real one."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from vae_lightning.config import private_apis
from vae_lightning.config.builtin import conf_dir
from vae_lightning.config.messages import one_sentence


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("train", list(overrides), return_hydra_config=True)


def raised_by(action: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as raised:
        action()
    return raised.value


def test_hydra_is_set_aside_and_restored() -> None:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        outer = private_apis.config_loader()
        with private_apis.hydra_set_aside(), initialize_config_dir(str(conf_dir()), version_base="1.3"):
            assert private_apis.config_loader() is not outer
        assert private_apis.config_loader() is outer
        assert "conv" in outer.get_group_options("model")


def test_hydra_config_is_that_of_the_block() -> None:
    before, config = HydraConfig.instance().cfg, composed("hydra.job.name=inner")
    with private_apis.as_hydra_config(config):
        assert HydraConfig.get().job.name == "inner"
    assert HydraConfig.instance().cfg is before


@pytest.mark.parametrize("struct", [False, True])
@pytest.mark.parametrize("read", [lambda c: c["other"], lambda c: c.other], ids=["item", "attribute"])
def test_omegaconf_says_which_key_is_missing(struct: bool, read: Callable[[DictConfig], object]) -> None:
    config = OmegaConf.create({"key": 1})
    OmegaConf.set_struct(config, struct)
    error = raised_by(lambda: read(config))
    assert isinstance(error, OmegaConfBaseException)
    assert private_apis.is_missing_key(error)
    assert "\n" in str(error), "with the lines that are left out"
    assert "full_key" not in private_apis.message_of(error)
    assert "object_type" not in private_apis.message_of(error)
    assert "other" in private_apis.message_of(error)


def test_another_error_of_omegaconf_is_not_a_missing_key() -> None:
    assert not private_apis.is_missing_key(raised_by(lambda: OmegaConf.create({"key": "${other}"}).key))


def test_hydra_says_which_override_it_cannot_merge() -> None:
    error = raised_by(lambda: composed("model.hidden={a:3}"))
    assert isinstance(error, HydraException)
    assert private_apis.refused_override(error) == "model.hidden={a:3}"
    assert private_apis.MAPPING_FOR_LIST in one_sentence(error)
    assert private_apis.refused_override(ValueError("x")) is None


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Linear(2**23, 2**23),  # 256 TiB
        lambda: nn.Linear(2**31 - 1, 2**31 - 1),
        lambda: torch.empty(2**70),
        lambda: np.zeros((2**62, 4)),
        lambda: np.zeros(2**55),
        lambda: float(10**400),
    ],
    ids=["allocation", "storage", "side", "array", "memory", "number"],
)
def test_what_is_too_large_is_told_from_other_errors(build: Callable[[], object]) -> None:
    assert private_apis.is_too_large(raised_by(build))


def test_an_error_that_only_mentions_memory_is_another_error() -> None:
    for error in (RuntimeError("pin_memory is wrong"), ValueError("memory_format: overflow"), KeyError("memory")):
        assert not private_apis.is_too_large(error)


def test_matplotlib_says_that_it_has_no_such_backend() -> None:
    from matplotlib.rcsetup import validate_backend

    assert private_apis.is_unknown_backend(raised_by(lambda: validate_backend("nope")))
    assert not private_apis.is_unknown_backend(ValueError("another"))


def test_safetensors_quotes_the_number_of_an_error_of_the_disk(tmp_path: Path) -> None:
    error = raised_by(lambda: save_file({"a": torch.ones(2)}, tmp_path / "none" / "x.safetensors"))
    assert isinstance(error, SafetensorError)
    found = private_apis.quoted_disk_error(error)
    assert found is not None
    assert found.errno == errno.ENOENT
    assert private_apis.quoted_disk_error(ValueError("no number")) is None
