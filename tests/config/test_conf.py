"""The configuration: each yaml lists every argument of its constructor, and each option trains."""

from __future__ import annotations

import copy
import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from omegaconf import OmegaConf

from tests.data.pictures import write_classes
from tests.data.test_mnist import write_files
from tests.data.tiny import SETS
from tests.running import REPOSITORY, Runner
from vae_lightning.config.builtin import CONFIG_GROUPS
from vae_lightning.data.images import pixels
from vae_lightning.noise import StreamNoise
from vae_lightning.reports.published.recipe_settings import recipe_config
from vae_lightning.schedules.beta import RunLength
from vae_lightning.training.build import assemble

CONF = REPOSITORY / "conf"
GROUPS = sorted({str(p.parent.relative_to(CONF)) for p in CONF.glob("*/**/*.yaml")})
GROUPS = [group for group in GROUPS if group.partition("/")[0] not in ("hydra", "sweep")]
# arguments that the program passes to constructors
GIVEN = {
    "condition": {"classes"},
    "likelihood": {"shape"},
    "objective": {"latent_dim"},
    "objective/penalty": {"latent_dim"},
    "prior": {"shape", "mean", "numbers", "grid"},
    "sampler": {"latent_dim"},
    "logger": {"save_dir", "dir", "id", "anonymous", "experiment", "checkpoint_name", "add_file_policy"},
    "optimizer": {"params"},
    "trainer": {
        "logger",
        "callbacks",
        "default_root_dir",
        "use_distributed_sampler",  # our samplers split the images between the processes themselves
        "limit_test_batches",  # test metrics are those of the whole test set
        "limit_predict_batches",  # nothing predicts
        "barebones",  # forbids loggers, callbacks and checkpoints
        "enable_autolog_hparams",  # we log them
        "model_registry",  # for a hosted service
    },
}
# defaults that differ from the library's on purpose
OWN_DEFAULTS = {
    "torch.optim.Adam": {"fused", "lr"},
    "torch.optim.AdamW": {"fused", "lr"},
    "torch.optim.Adagrad": {"lr"},
    "torch.optim.SGD": {"fused", "lr", "momentum"},
    "lightning.pytorch.Trainer": {
        "max_epochs", "log_every_n_steps", "num_sanity_val_steps", "enable_model_summary", "accelerator", "strategy", "devices",
    },
    "vae_lightning.schedules.Constant": {"value"},
    "vae_lightning.schedules.Linear": {"value"},
    "vae_lightning.training.callbacks.EarlyStopping": {"monitor", "mode", "patience"},
    "lightning.pytorch.profilers.SimpleProfiler": {"filename"},
    "lightning.pytorch.loggers.CSVLogger": {"name", "version"},
    "lightning.pytorch.loggers.WandbLogger": {"project"},
    "lightning.pytorch.loggers.MLFlowLogger": {"experiment_name", "tracking_uri"},
}  # fmt: skip


def options(group: str) -> list[str]:
    return sorted(p.stem for p in (CONF / group).glob("*.yaml"))


def composed(path: Path) -> dict[str, Any]:
    """The content of a file, with the files in its folder that its defaults list names."""
    content = yaml.safe_load(path.read_text()) or {}
    whole: dict[str, Any] = {}
    for base in content.pop("defaults", []):
        if isinstance(base, dict):  # an option of a group below
            below = {group: option for group, option in base.items() if not group.startswith("override ")}
            whole |= {group: composed(path.parent / group / f"{option}.yaml") for group, option in below.items()}
        elif base != "_self_":
            whole |= composed(path.with_name(f"{base}.yaml"))
    return whole | content


def nodes(content: Any) -> list[dict[str, Any]]:
    if not isinstance(content, dict):
        return []
    own = [content] if content.get("_target_") else []  # likelihood=auto has none
    return own + [node for value in content.values() for node in nodes(value)]


ALL_NODES = [
    pytest.param(group, node, id=f"{group}={option}:{node['_target_']}")
    for group in GROUPS
    for option in options(group)
    for node in nodes(composed(CONF / group / f"{option}.yaml"))
]


@pytest.mark.parametrize(("group", "node"), ALL_NODES)
def test_yaml_lists_every_argument_with_its_default(group: str, node: dict[str, Any]) -> None:
    module, _, name = node["_target_"].rpartition(".")
    signature = inspect.signature(getattr(import_module(module), name).__init__).parameters
    named = {n: p for n, p in signature.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    arguments = {n: p for n, p in named.items() if n != "self" and n not in GIVEN.get(group, set())}
    keys = {key for key in node if not key.startswith("_")}
    assert keys == set(arguments)
    for key in keys - OWN_DEFAULTS.get(node["_target_"], set()):
        value, default = node[key], arguments[key].default
        if isinstance(value, dict) and "_target_" in value:
            continue  # a part that the program builds first
        if isinstance(value, str) and value.startswith("${"):
            continue
        assert (tuple(value) if isinstance(value, list) else value) == default, key


def test_every_group_of_the_design_is_there() -> None:
    assert {"data", "model", "likelihood", "prior", "posterior", "objective", "beta_schedule", "optimizer"} <= set(GROUPS)
    assert {"mnist5k", "mnist", "fashion_mnist", "sprites", *SETS} <= set(options("data"))
    assert {"constant", "linear", "cyclical", "cosine"} <= set(options("beta_schedule"))


def tiny_data(option: str, folder: Path) -> list[str]:
    """Writes a few images in the published layout of a data set; the settings with which they are enough."""
    if option == "shapes3d":
        pytest.importorskip("h5py")
    root = folder / "published"
    root.mkdir()
    write, arguments = SETS[option]
    write(root)
    return [f"data.root={root}", *(f"data.{name}={value}" for name, value in arguments.items())]


# options that need another option
ALONG = {
    ("prior", "uniform_sphere"): "posterior=von_mises_fisher",
    ("prior", "uniform_categorical"): "posterior=categorical",
    ("prior", "product"): "posterior=joint",
}
NOT_HERE = {("trainer", "gpu"), ("trainer", "ddp"), ("logger", "wandb"), ("logger", "mlflow")}


@pytest.mark.parametrize(
    ("group", "option"),
    [
        (group, option)
        for group in GROUPS
        for option in options(group)
        if (group, option) not in NOT_HERE and group != "experiment"
    ],
)
def test_every_option_trains_a_step(
    runner: Runner, request: pytest.FixtureRequest, tmp_path: Path, group: str, option: str
) -> None:
    more = [ALONG[group, option]] if (group, option) in ALONG else []
    if option in ("mnist", "fashion_mnist"):
        more = [f"data.root={request.getfixturevalue('data_root')}"]
    if group == "debug":
        more = ["trainer.max_epochs=1"]
    if option in SETS:
        more = tiny_data(option, tmp_path)
    if option == "folder":
        more = [f"data.root={write_classes(runner.cwd / 'pictures')}", f"data.cache={runner.cwd / 'cache'}"]
    if option == "sprites":
        more = ["data.images=3000", "data.val_size=300", "data.test_size=300"]
    if option == "arrays":
        np.save("x.npy", np.arange(60 * 36, dtype=np.uint8).reshape(60, 6, 6))
        more = ["data.images=x.npy"]
    quick = [] if group in ("callbacks", "debug") else ["callbacks=minimal"]  # pictures take as long as everything else
    outcome = runner("train", *quick, f"{group}={option}", *more, "trainer.fast_dev_run=true")
    assert outcome.status == 0, outcome.err
    assert option in outcome.out or group.partition("/")[0] in ("logger", "callbacks", "debug")
    assert not list(runner.cwd.glob("outputs/**/*"))


@pytest.mark.parametrize("option", ["wandb", "mlflow"])
def test_loggers_that_are_extras_run_or_are_named(runner: Runner, option: str) -> None:
    outcome = runner("train", f"logger={option}", "trainer.max_epochs=1", "trainer.limit_train_batches=1", "callbacks=minimal")
    try:
        import_module(option)
    except ModuleNotFoundError:
        assert outcome.status == 2
        assert f"vae-lightning[{option}]" in outcome.err
    else:
        assert outcome.status == 0, outcome.err


@pytest.fixture(scope="session")
def few_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MNIST and FashionMNIST with a few synthetic images, in the official file layout."""
    root = tmp_path_factory.mktemp("data")
    for name in ("MNIST", "FashionMNIST"):
        write_files(root / name / "raw")
    return root


def given_data(experiment: str, root: Path) -> list[str]:
    """Overrides that point an experiment that reads files to these few images."""
    return [f"data.root={root}", "data.val_size=10"] if "download" in recipe_config(experiment)["data"] else []


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_experiment_takes_a_step(few_images: Path, experiment: str) -> None:
    """Without the command and Lightning, which take seconds each (see `test_every_experiment_runs`, slow except for one)."""
    config = OmegaConf.create(copy.deepcopy(recipe_config(experiment)))
    config.merge_with_dotlist(given_data(experiment, few_images))
    config.choices = dict.fromkeys(CONFIG_GROUPS, "constant")  # only named in messages
    module, data = assemble(config)
    data.setup("fit")
    batch = data.splits["train"][torch.arange(4)]
    x, noise = pixels(batch.images).round(), StreamNoise(torch.Generator(), 0)
    loss = module.objective(module.vae, x, 0.5, noise, batch.labels)["loss"]
    loss.backward()
    assert torch.isfinite(loss)
    optimizer = module.make_optimizer(module.parameter_groups())
    assert optimizer.param_groups[0]["lr"] == config.optimizer.lr
    module.lr_schedule.build(optimizer, RunLength(100.0, 10.0))
    optimizer.step()
    assert all(torch.isfinite(parameter).all() for parameter in module.parameters())


@pytest.mark.parametrize(
    "experiment",
    [e if e == "quickstart" else pytest.param(e, marks=pytest.mark.slow) for e in options("experiment")],
)
def test_every_experiment_runs(runner: Runner, few_images: Path, experiment: str) -> None:
    short = ("trainer.max_epochs=1", "trainer.limit_train_batches=2", "logger=none")
    folder = runner.trained(f"experiment={experiment}", *short, *given_data(experiment, few_images))
    assert (folder / "results.json").exists()
    assert folder.parent.name == experiment
