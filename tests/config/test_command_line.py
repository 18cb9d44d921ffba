"""A command line is composed once, and each object of a run is built once; Hydra is used through its public API."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl  # only in tests, to compare our own use of Hydra with it
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tests.running import REPOSITORY, SHORT, Runner
from vae_lightning.cli.help import help_text
from vae_lightning.config import instantiate as instantiation
from vae_lightning.config.builtin import option_node
from vae_lightning.config.command_line import JOB_SETTINGS, check_command_line
from vae_lightning.config.compose import compose_config, hydra_composer
from vae_lightning.config.fitting_likelihood import resolve_likelihood
from vae_lightning.config.flags import flag_parser, parse_flags
from vae_lightning.config.messages import one_line
from vae_lightning.errors import UserError


@pytest.fixture
def compositions(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The overrides of every composition that Hydra makes."""
    seen: list[list[str]] = []
    load = ConfigLoaderImpl.load_configuration

    def counted(self: ConfigLoaderImpl, config_name: str, overrides: list[str], *rest: Any, **more: Any) -> Any:
        seen.append(list(overrides))
        return load(self, config_name, overrides, *rest, **more)

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", counted)
    return seen


@pytest.mark.parametrize(
    ("command", "line", "count"),
    [
        ("train", "beta=-1", 1),
        ("train", "experiment=quickstart +optimizer.x=1 ~data.val_size beta=-1", 1),
        ("evaluate", "run=nowhere", 1),
        ("generate", "run=nowhere what=[samples]", 1),
        ("report", "sweep=nowhere", 1),
        ("train", "+hydra.job.env_set.A=b beta=-1", 3),  # Hydra's own main runs it
        ("train", "--cfg job", 2),
        ("train", "latnt_dim=3", 2),  # once with the key, which is refused, and once without it, to name the key
    ],
)
def test_a_command_that_runs_once_composes_once(
    runner: Runner, compositions: list[list[str]], command: str, line: str, count: int
) -> None:
    outcome = runner(command, *line.split())
    assert len(compositions) == count, outcome.err


def test_a_sweep_composes_for_its_check_twice_for_hydra_and_once_for_each_job(compositions: list[list[str]]) -> None:
    check_command_line(["-m", "seed=0,1", "beta=2"], "train")
    assert len(compositions) == 2
    compositions.clear()
    check_command_line(["-m", "model=mlp,conv", "beta=2"], "train")
    assert len(compositions) == 4  # the sweep's own settings, each option, and the whole as Hydra composes it


def test_each_object_of_a_run_is_built_once(
    runner: Runner, compositions: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: Counter[str] = Counter()
    instantiate = instantiation.instantiate

    def counted(node: Any, **more: Any) -> Any:
        built.update([node._target_] if "_target_" in node else [])
        return instantiate(node, **more)

    monkeypatch.setattr(instantiation, "instantiate", counted)
    outcome = runner("train", *SHORT, "trainer.fast_dev_run=true", "objective=factor", "callbacks=default")
    assert outcome.status == 0, outcome.err
    assert len(compositions) == 1
    with hydra_composer():
        config = compose_config("train", [*SHORT, "objective=factor", "callbacks=default"])
    resolve_likelihood(config, "binary")
    config.sampler = option_node("sampler", "prior")
    assert built == Counter(targets(OmegaConf.to_container(config)))


def targets(content: Any) -> list[str]:
    """Every `_target_` in a configuration."""
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    own = [content["_target_"]] if isinstance(content, dict) and "_target_" in content else []
    return own + [target for part in parts for target in targets(part)]


def test_flags_are_those_of_hydra() -> None:
    """As read in Hydra 1.3."""
    mine, hydra = (set(parser_words(text)) for text in (our_usage(), get_args_parser().format_usage()))
    assert mine == hydra
    for line in (
        "beta=4 -m", "-r a=1", "--multirun x=1,2", "-c job -p model --resolve", "--cfg all", "-h", "--hydra-help",
        "-sc query=bash", "-cp a -cn b -cd c", "--experimental-rerun x", "-i", "--info plugins", "--info=searchpath a=1",
    ):  # fmt: skip
        ours, theirs = vars(parse_flags(line.split())), vars(get_args_parser().parse_args(line.split()))
        assert {**ours, "version": None} == {**theirs, "version": None}, line


def test_every_flag_of_hydra_is_in_the_documentation() -> None:
    text = (REPOSITORY / "docs" / "extending.md").read_text(encoding="utf-8").partition("## Hydra's flags")[2]
    listed = set(re.findall(r"`(-[\w-]+)", "".join(line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `"))))
    flags = {name for action in flag_parser()._actions for name in action.option_strings}
    assert listed == flags


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--config-path x", "--config-path: is not supported: add options in a folder of your own with --config-dir."),
        ("--experimental-rerun x", "--experimental-rerun: is not supported"),
        ("--config-name=", "--config-name '': must be a name"),
        ("--config-dir= beta=2", "--config-dir '': must be a name"),
        ("--config-name nope", "there is no configuration file 'nope'"),
        ("--config-dir nope", "--config-dir nope: no such folder."),
        ("--package model", "--package would have no effect"),
        ("--resolve beta=2", "--resolve would have no effect"),
        ("--cfg job -p nope.x", "--package nope.x: the configuration has no such node."),
        ("--cfg job -m beta=1,2", "--multirun and --cfg cannot be combined"),
        ("--run --multirun beta=1,2", "--run and --multirun cannot be combined"),
        ("--hydra-help beta=2", "--hydra-help: takes no overrides"),
        ("--shell-completion", "--shell-completion: takes one of install=<shell>"),
        ("-sc install=bash query=bash", "--shell-completion: takes one of install=<shell>"),
        ("-sc install=tcsh", "--shell-completion install=tcsh: unknown shell. Allowed: bash, zsh, fish."),
        ("-sc install", "--shell-completion install='': unknown shell."),
        ("-sc query=bash", "--shell-completion query=bash: is what the shell itself calls"),
    ],
)
def test_a_flag_that_does_nothing_is_refused(line: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMP_LINE", raising=False)
    with pytest.raises(UserError, match=re.escape(sentence)):
        check_command_line(line.split(), "train")


@pytest.mark.parametrize("line", ["--help --resolve", "--help --package model", "--help --config-path x", "--version --resolve"])
def test_flags_beside_help_are_checked_too(line: str) -> None:
    with pytest.raises(UserError, match=r"would have no effect|is not supported"):
        help_text(line.split(), "train")


def our_usage() -> str:
    return flag_parser().format_usage()


def parser_words(usage: str) -> list[str]:
    return usage.partition("[")[2].replace("[", " ").replace("]", " ").split()


def test_a_job_that_uses_settings_of_hydra_is_left_to_hydra() -> None:
    assert check_command_line(["beta=2"], "train").config is not None
    for line in (
        "+hydra.job.env_set.A=b",
        "hydra/job_logging=default",
        "+hydra.callbacks.a._target_=x",
    ):
        assert check_command_line([line], "train").config is None, line
    with hydra_composer() as composer:
        hydra = composer.compose("train", []).hydra
    assert all(OmegaConf.select(hydra, key) == value for key, value in JOB_SETTINGS.items())


@pytest.mark.parametrize(
    ("command", "line", "reason"),
    [
        (
            "train",
            "hydra.run.dir=/tmp/x",
            "a run goes where output_dir and name say, and other commands write where their own keys",
        ),
        ("train", "-m beta=1,2 hydra.run.dir=/tmp/x", "a run goes where"),
        ("evaluate", "run=x hydra.run.dir=/tmp/x", "a run goes where"),
        ("train", "hydra.job.chdir=true", "a run goes where"),
        ("train", "hydra.output_subdir=x", "the run folder has config.yaml"),
        ("train", "hydra.verbose=true", "Hydra's logging is off"),
        ("train", "hydra.mode=MULTIRUN", "it is a setting of a sweep, which -m or sweep=<option> starts"),
        ("train", "hydra.sweep.dir=x", "it is a setting of a sweep"),
        ("train", "hydra.help.app_name=x", "--help prints a text of its own"),
        ("train", "hydra/hydra_logging=none", "Hydra logs only while it launches a sweep"),
        ("train", "hydra/sweeper=optuna", "it is a setting of a sweep"),
        ("train", "hydra/launcher=basic", "it is a setting of a sweep"),
        ("train", "hydra.sweeper.report=false", "it is a setting of a sweep"),
    ],
)
def test_a_setting_of_hydra_that_nothing_acts_on_is_refused(
    command: str, line: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = line.split()[-1]
    with pytest.raises(UserError, match=re.escape(f"{setting} would have no effect: {reason}")):
        check_command_line(line.split(), command)
    monkeypatch.setenv("LOCAL_RANK", "1")  # Lightning itself adds such settings
    check_command_line(line.split(), command)


def test_a_sweep_may_have_its_settings(tmp_path: Path) -> None:
    for setting in ("hydra.sweep.dir=x", "hydra/launcher=basic", "hydra.sweeper.report=false", "hydra.output_subdir=x"):
        check_command_line(["-m", "beta=1,2", setting], "train")


def test_a_composer_leaves_hydra_as_it_was() -> None:
    before = HydraConfig.instance().cfg
    with hydra_composer() as outer:
        with hydra_composer([str(REPOSITORY / "conf")]) as inner:
            assert inner.options("model") == outer.options("model")
        assert GlobalHydra.instance().config_loader() is outer.loader
        assert outer.options("nothing") == []
    assert not GlobalHydra.instance().is_initialized()
    assert HydraConfig.instance().cfg is before


def test_lines_about_the_place_of_an_error_are_cut_off() -> None:
    """OmegaConf writes these lines into the message; this fails if it writes them differently."""
    with pytest.raises(OmegaConfBaseException) as error:
        OmegaConf.create({"a": {"b": "${nope}"}}).a.b  # noqa: B018
    assert "full_key" in str(error.value)
    assert "object_type" in str(error.value)
    assert one_line(error.value) == "Interpolation key 'nope' not found."


@pytest.mark.parametrize("room", ["config", "cli"])
def test_no_private_part_of_hydra_or_omegaconf_is_used(room: str) -> None:
    """Nothing imports from `_internal`, or calls one of their methods that begin with an underscore."""
    found = []
    for path in sorted((REPOSITORY / "vae_lightning" / room).glob("*.py")):
        found += [f"{path.name}: {use}" for use in private_uses(path)]
    assert found == []


def private_uses(path: Path) -> list[str]:
    tree, found = ast.parse(path.read_text(encoding="utf-8")), []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(
            part.startswith("_") for part in (node.module or "").split(".") if part != "__future__"
        ):
            found.append(f"from {node.module}")
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("_"):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if owner not in ("self", "os"):
                found.append(f"{owner}.{node.attr}")
    return found
