"""Private parts of libraries are used only in files called `private_apis.py`, and have not changed since they were read."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.fabric.utilities.distributed as fabric_distributed
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, Strategy, StrategyRegistry
from lightning.pytorch.strategies.launchers import multiprocessing, subprocess_script
from tensorboard.summary.writer import event_file_writer
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

import vae_lightning
from vae_lightning.training import compile as compiling
from vae_lightning.training import private_apis

PACKAGE = Path(vae_lightning.__file__).parent
OURS = ("vae_lightning.", "_typeshed.")  # the latter is the documented stub package of type checkers
# names without an underscore that are not documented either
UNDOCUMENTED = {"fit_loop", "epoch_loop", "GlobalHydra", "HydraConfig.instance", "class_name_to_class", "co_filename"}
DOCUMENTED = {"os._exit", "_asdict", "_make", "_replace"}  # the last three are of named tuples
SOURCES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "private_apis.py"]


# ---------------------------------------------------------------- nothing private elsewhere


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("_")  # Hydra's `_target_` is public


def defined(tree: ast.AST) -> set[str]:
    """The private names that a file defines: functions, classes, variables, attributes of `self`, `cls` or a new object."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.id if isinstance(node, ast.Name) else node.attr)
    return names


def private_uses(source: str) -> list[str]:
    """What a file takes from a library's private parts: imports, and attributes that it does not define itself."""
    tree = ast.parse(source)
    own, found = defined(tree), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if any(map(is_private, alias.name.split(".")))]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name for name in names if any(map(is_private, name.split("."))) and not name.startswith(OURS)]
            found += [name for name in names if UNDOCUMENTED & {name.rpartition(".")[2]}]
        elif isinstance(node, ast.Attribute) and UNDOCUMENTED & {node.attr, ast.unparse(node)}:
            found.append(ast.unparse(node))
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            of_super = isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "super"
            written_elsewhere = isinstance(node.ctx, ast.Store) and ast.unparse(node.value) not in ("self", "cls", "new")
            if node.attr not in own or of_super or written_elsewhere:
                found += [] if DOCUMENTED & {node.attr, ast.unparse(node)} else [ast.unparse(node)]
    return found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from lightning.pytorch.launchers import _Launcher", ["lightning.pytorch.launchers._Launcher"]),
        ("import torch._dynamo", ["torch._dynamo"]),
        ("torch._dynamo.reset()", ["torch._dynamo"]),
        ("class A(B):\n    def _f(self): super()._f()", ["super()._f"]),
        ("class A(B):\n    def f(self): return self._kwargs", ["self._kwargs"]),
        ("strategy._launcher = 1", ["strategy._launcher"]),
        ("class A:\n    def f(self): self._a = 1; return self._a", []),
        ("os._exit(1)", []),
        ("from hydra.core.global_hydra import GlobalHydra", ["hydra.core.global_hydra.GlobalHydra"]),
        ("HydraConfig.instance().cfg", ["HydraConfig.instance"]),
        ("trainer.fit_loop.state_dict()", ["trainer.fit_loop"]),
    ],
)
def test_private_uses_are_found(source: str, found: list[str]) -> None:
    assert private_uses(source) == found


def test_no_other_file_uses_private_parts_of_a_library() -> None:
    found = {str(path.relative_to(PACKAGE)): private_uses(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert {path: uses for path, uses in found.items() if uses} == {}


def matched_messages(source: str) -> list[str]:
    """Where a file looks for a text in the message of an error: `"…" in str(error)`, `re.search(…, str(error))`."""

    def is_message(node: ast.AST) -> bool:
        return ast.unparse(node).startswith(("str(error)", "str(cause)", "str(e)"))

    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and any(map(is_message, node.comparators)):
            found.append(ast.unparse(node))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith((".startswith", ".match", ".search")):
            found += [ast.unparse(node)] if any(map(is_message, [node.func, *node.args])) else []
    return found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('"memory" in str(error)', ["'memory' in str(error)"]),
        ('str(error).startswith("x")', ["str(error).startswith('x')"]),
        ('re.search("x", str(error))', ["re.search('x', str(error))"]),
        ("print(str(error))", []),
    ],
)
def test_matched_messages_are_found(source: str, found: list[str]) -> None:
    assert matched_messages(source) == found


def test_no_other_file_matches_the_text_of_an_error() -> None:
    found = {str(path.relative_to(PACKAGE)): matched_messages(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert {path: uses for path, uses in found.items() if uses} == {}


def test_no_class_overrides_a_private_method_of_a_library() -> None:
    found = []
    for info in pkgutil.walk_packages(vae_lightning.__path__, "vae_lightning."):
        if info.name.endswith("__main__"):
            continue
        for owner in vars(importlib.import_module(info.name)).values():
            if isinstance(owner, type) and owner.__module__ == info.name:
                for base in owner.__mro__[1:]:
                    if not base.__module__.startswith("vae_lightning") and base.__module__ not in ("typing", "builtins"):
                        methods = [name for name, value in vars(owner).items() if inspect.isfunction(value)]
                        found += [f"{owner.__name__}.{name}" for name in methods if is_private(name) and name in vars(base)]
    assert found == []


# ---------------------------------------------------------------- the private parts still exist


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_the_launchers_are_those_of_lightning() -> None:
    fork: Any = StrategyRegistry.get("ddp_fork")
    assert inspect.getmodule(private_apis.WorkerLauncher.__mro__[1]) is multiprocessing
    assert inspect.getmodule(private_apis.ScriptLauncher.__mro__[1]) is subprocess_script
    assert parameters(private_apis.WorkerLauncher.launch) == ["self", "function", "args", "trainer", "kwargs"]
    assert parameters(private_apis.ScriptLauncher.launch) == ["self", "function", "args", "trainer", "kwargs"]
    assert parameters(private_apis.WorkerLauncher) == ["strategy", "start_method"]
    assert parameters(private_apis.ScriptLauncher) == ["cluster_environment", "num_processes", "num_nodes"]
    assert parameters(private_apis.ScriptLauncher._call_children_scripts) == ["self"]
    assert parameters(fabric_distributed._set_num_threads_if_needed) == ["num_processes"]
    assert isinstance(Strategy.launcher, property)
    assert isinstance(fork, DDPStrategy)


def test_a_launcher_replaces_that_of_a_strategy() -> None:
    trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp_fork", logger=False, enable_checkpointing=False)
    assert private_apis.forks_or_spawns(trainer.strategy.launcher)
    assert not private_apis.reruns_the_command(trainer.strategy.launcher)
    launcher = private_apis.WorkerLauncher.replacing(trainer.strategy)
    private_apis.set_launcher(trainer.strategy, launcher)
    assert trainer.strategy.launcher is launcher
    assert launcher.is_interactive_compatible, "still forks"


class Counting(LightningModule):
    """Notes the loops' progress at each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.seen: list[tuple[int, int, int, bool]] = []

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return (self.weight * batch).sum()

    def on_train_start(self) -> None:
        private_apis.set_step_limit(self.trainer, 5)
        assert private_apis.step_limit(self.trainer) == 5
        assert private_apis.batches_between_validations(self.trainer) in (None, 3, float("inf"))

    def on_train_batch_end(self, *_: object) -> None:
        of_all, last = private_apis.batches_of_all_epochs(self.trainer), private_apis.on_last_batch(self.trainer)
        self.seen.append((private_apis.epochs_done(self.trainer), private_apis.batches_done(self.trainer), of_all, last))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore")
def test_the_loops_count_as_they_did() -> None:
    trainer = Trainer(accelerator="cpu", max_epochs=3, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    module = Counting()
    trainer.fit(module, torch.utils.data.DataLoader([1.0, 1.0, 1.0]))  # type: ignore[arg-type]
    assert module.seen == [(0, 1, 1, False), (0, 2, 2, False), (0, 3, 3, True), (1, 1, 4, False), (1, 2, 5, False)]
    assert trainer.global_step == 5, "the limit that was set"


@pytest.mark.filterwarnings("ignore")
def test_an_error_while_lightning_restores_is_told_from_one_of_training(tmp_path: Path) -> None:
    options: dict[str, Any] = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "max_epochs": 2}
    trainer = Trainer(default_root_dir=tmp_path, **options)
    loader: Any = torch.utils.data.DataLoader([1.0, 1.0, 1.0])  # type: ignore[arg-type]
    trainer.fit(Counting(), loader)
    assert private_apis.loop_state(trainer)["epoch_progress"]["current"]["processed"] == 2
    path = tmp_path / "bad.ckpt"
    trainer.save_checkpoint(path)
    content = torch.load(path)
    content["optimizer_states"] = [{"wrong": 1}]
    torch.save(content, path)
    with pytest.raises(KeyError) as raised:
        Trainer(**options, enable_checkpointing=False).fit(Counting(), loader, ckpt_path=str(path))
    assert private_apis.raised_while_restoring(raised.value)
    with pytest.raises(TypeError) as raised_in_training:
        Trainer(**options, enable_checkpointing=False).fit(Counting(), torch.utils.data.DataLoader(["x"] * 3))  # type: ignore[arg-type]
    assert not private_apis.raised_while_restoring(raised_in_training.value)


def test_the_compilers_options_and_errors_are_known() -> None:
    from torch._inductor import list_mode_options

    assert private_apis.compiler_errors() == (torch._dynamo.exc.TorchDynamoException,)
    for mode in ("default", "reduce-overhead"):
        assert compiling.options(mode) == {**list_mode_options(mode), "fallback_random": True}


def test_tensorboards_writer_thread_is_known(tmp_path: Path) -> None:
    writer = event_file_writer.EventFileWriter(str(tmp_path))
    assert private_apis.writes_events(writer._async_writer._worker)
    writer.close()
    assert not private_apis.writes_events(None)


def test_ddp_still_says_how_to_find_unused_parameters(tmp_path: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        used, unused = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
        module = torch.nn.ModuleDict({"used": used, "unused": unused})
        module.forward = used.forward
        ddp = DistributedDataParallel(module)
        ddp(torch.ones(1, 1)).sum().backward()
        with pytest.raises(RuntimeError, match=private_apis.UNUSED_PARAMETERS):
            ddp(torch.ones(1, 1))
    finally:
        dist.destroy_process_group()


def test_without_them_lightnings_own_launcher_is_used() -> None:
    """If Lightning has no class of that name, nothing is an instance of the stand-in."""
    assert not private_apis.forks_or_spawns(SimpleNamespace())
    assert not private_apis.reruns_the_command(None)
