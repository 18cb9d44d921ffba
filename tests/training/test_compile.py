"""`compile`: a compiled step draws the same noise and has the same losses and gradients as a plain one."""

from __future__ import annotations

import copy
import runpy
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters
from torch.distributions.kl import _KL_MEMOIZE

from tests.running import REPOSITORY, SHORT, Runner, metrics_rows
from vae_lightning.errors import InvalidValue
from vae_lightning.noise import StreamNoise
from vae_lightning.schedules.beta import RunLength
from vae_lightning.training import compile as compiling
from vae_lightning.training.compile import CompiledObjective

compositions = runpy.run_path(str(REPOSITORY / "docs" / "compositions.py"))
Choices = tuple[tuple[str, str], ...]
CPU = torch.device("cpu")
# compiled in pieces: zuko's flows, and a Jacobian that plain torch computes
IN_PIECES = {("posterior", "flow"), ("prior", "flow"), ("objective/penalty", "rae")}
SAMPLE: list[Choices] = [
    (("beta_schedule", "geco"),),
    (("beta_schedule", "linear"),),
    (("prior", "vamp"), ("condition", "label")),
    (("posterior", "joint"), ("model", "conv")),
    (("hierarchy", "two_layer"),),
    (("objective/bound", "iwae"), ("objective/gradient", "dreg")),
    (("objective/penalty", "rae"),),
    (("objective/kl", "capacity"),),
    (("prior", "flow"),),
    (("posterior", "von_mises_fisher"),),
]
Step = tuple[dict[str, Tensor], list[Tensor | None]]


@pytest.fixture
def without_cpp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces and differentiates as the real compiler does, but runs plain torch: fast, and needs no C++ compiler."""
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")


def steps(module: Any, losses_of: Callable[..., dict[str, Tensor]], autocast: bool = False) -> list[Step]:
    """Losses and gradients of three steps with schedules that advance."""
    schedule = copy.deepcopy(module.beta_schedule)
    schedule.begin(RunLength(8, 4))
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)).round()
    taken = []
    for step in range(3):
        module.zero_grad()
        for value in module.scheduled.values():
            value.begin(RunLength(8, 4))
            value.move(step)
        noise = StreamNoise(torch.Generator(), step)
        noise.uniform(images)  # as binarisation does, from the same stream
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            losses = losses_of(module.vae, images, schedule(step), noise, torch.tensor([3, 0, 9, 3]))
        losses["loss"].backward()
        schedule.observe(losses)
        gradients = [None if p.grad is None else p.grad.clone() for p in module.parameters()]
        taken.append(({name: value.detach().clone() for name, value in losses.items()}, gradients))
    return taken


def assert_same(choices: Choices, autocast: bool = False) -> None:
    module = compositions["built"](choices)
    plain = steps(module, module.objective, autocast)
    losses_of = CompiledObjective(module.objective, "default", CPU)
    counters.clear()
    _KL_MEMOIZE.clear()  # forget the formulas that the plain steps looked up
    compiled = steps(module, losses_of, autocast)
    relative, absolute = (1e-2, 1e-2) if autocast else (1e-4, 1e-5)
    torch.testing.assert_close(compiled, plain, rtol=relative, atol=absolute)
    assert counters["stats"]["calls_captured"] > 5
    assert bool(counters["graph_break"]) == bool(IN_PIECES.intersection(choices)), dict(counters["graph_break"])
    if not IN_PIECES.intersection(choices):
        assert counters["stats"]["unique_graphs"] == 1  # though β and capacities move


@pytest.mark.usefixtures("without_cpp")
@pytest.mark.parametrize("choices", SAMPLE)
def test_compiled_steps_are_the_plain_ones(choices: Choices) -> None:
    assert_same(choices)


@pytest.mark.usefixtures("without_cpp")
def test_compiled_steps_are_the_plain_ones_in_bfloat16() -> None:
    assert_same((("model", "mlp"),), autocast=True)


@pytest.mark.slow
@pytest.mark.usefixtures("without_cpp")
@pytest.mark.parametrize("choices", list(compositions["across"]((*compositions["GROUPS"], *compositions["TRAINING"]), 1)))
def test_compiled_steps_are_the_plain_ones_for_every_option(choices: Choices) -> None:
    assert_same(choices)


def test_noise_that_is_handed_over_goes_on_where_it_was() -> None:
    like = torch.empty(5, 3)
    first, second = (StreamNoise(torch.Generator(), 7) for _ in range(2))
    first.uniform(like), second.uniform(like)
    handed = first.hand_to_global_generator()
    torch.testing.assert_close(handed.normal(like, (2,)), second.normal(like, (2,)), rtol=0, atol=0)
    torch.testing.assert_close(handed.uniform(like), second.uniform(like), rtol=0, atol=0)


def test_looking_up_formulas_leaves_the_model_as_it_was() -> None:
    module = compositions["built"]((("model", "conv"),))
    module.vae.encoder.append(torch.nn.BatchNorm1d(8))
    before = copy.deepcopy(module.state_dict())
    CompiledObjective(module.objective, "default", CPU).look_up_formulas(module.vae, torch.rand(4, 1, 8, 8), None)
    assert all(parameter.grad is None for parameter in module.parameters())
    torch.testing.assert_close(dict(module.state_dict()), dict(before), rtol=0, atol=0)


@pytest.mark.usefixtures("without_cpp", "no_pictures")
def test_a_compiled_run_learns_what_a_plain_one_does(runner: Runner) -> None:
    rows = []
    for mode in ("none", "default"):
        outcome = runner(
            "train", *SHORT, f"compile={mode}", f"name={mode}", "beta_schedule=linear", "trainer.log_every_n_steps=1"
        )
        assert outcome.status == 0, outcome.err
        assert (f"compiled ({mode})" in outcome.out) == (mode == "default")
        rows.append([row for row in metrics_rows(runner.runs()[-1]) if row["elbo"]])
    assert len(rows[0]) == len(rows[1]) > 4
    for plain, compiled in zip(*rows, strict=True):
        for name in ("elbo", "loss", "kl"):
            assert not plain[name] or float(compiled[name]) == pytest.approx(float(plain[name]), rel=1e-4)


@pytest.mark.usefixtures("without_cpp", "no_pictures")
def test_a_resumed_run_and_the_jobs_of_a_sweep_can_be_compiled(runner: Runner) -> None:
    folder = runner.trained(*SHORT)
    written = folder / "config.yaml"
    written.write_text(written.read_text().replace("compile: none\n", ""))  # as in a run of an earlier version
    outcome = runner("train", f"resume={folder}", "compile=all", "trainer.max_epochs=3")
    assert outcome.status == 2
    assert outcome.err.strip() == "error: compile=all: must be one of none, default, reduce-overhead."
    outcome = runner("train", f"resume={folder}", "compile=default", "trainer.max_epochs=3")
    assert outcome.status == 0, outcome.err
    assert "compiled (default)" in outcome.out
    assert "\ncompile: default\n" in (folder / "config.yaml").read_text()
    outcome = runner("train", "-m", *SHORT, "compile=default", "seed=0,1", "latent_dim=2", "hydra.sweeper.report=false")
    assert outcome.status == 0, outcome.err
    assert len(list(runner.cwd.glob("outputs/sweeps/*/*/*/results.json"))) == 2


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="the compiler needs a C++ compiler")
def test_the_real_compiler_learns_the_same(runner: Runner) -> None:
    plain, compiled = (metrics_rows(runner.trained(*SHORT, f"compile={mode}")) for mode in ("none", "default"))
    for a, b in zip(plain, compiled, strict=True):
        assert not a["elbo"] or float(b["elbo"]) == pytest.approx(float(a["elbo"]), rel=1e-4)


def test_cuda_graphs_without_a_gpu_are_refused(runner: Runner) -> None:
    outcome = runner("train", *SHORT, "compile=reduce-overhead", "trainer=cpu")
    assert outcome.status == 2
    assert outcome.err.strip() == (
        "error: compile=reduce-overhead: must be default or none on a cpu, since CUDA graphs need a GPU."
    )
    assert runner.runs() == []


def test_another_mode_is_refused(runner: Runner) -> None:
    outcome = runner("train", *SHORT, "compile=true")
    assert (outcome.status, outcome.err.strip()) == (
        2,
        "error: compile=true: must be one of none, default, reduce-overhead.",
    )


def test_what_torch_cannot_compile_is_one_sentence(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def backend(*_: Any) -> Any:
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(compiling, "BACKEND", backend)
    outcome = runner("train", *SHORT, "compile=default")
    assert outcome.status == 1
    assert outcome.err.strip() == (
        "error: compile=default: torch cannot compile this step, set compile=none: No working C++ compiler found."
    )


def test_cuda_graphs_hand_out_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "BACKEND", "eager")
    module = compositions["built"](())
    losses_of = CompiledObjective(module.objective, "reduce-overhead", torch.device("cuda"))
    kept: dict[str, Tensor] = {}
    real = losses_of.compiled
    losses_of.compiled = lambda *arguments: kept.update(real(*arguments)) or kept
    losses = losses_of(module.vae, torch.rand(4, 1, 8, 8), 1.0, StreamNoise(torch.Generator(), 0))
    assert {name: value.item() for name, value in losses.items()} == {name: value.item() for name, value in kept.items()}
    assert not any(losses[name] is value for name, value in kept.items())
    losses["loss"].backward()
    assert all(parameter.grad is not None for parameter in module.vae.parameters())


def test_cuda_graphs_need_a_gpu() -> None:
    module = compositions["built"](())
    with pytest.raises(InvalidValue, match="since CUDA graphs need a GPU"):
        CompiledObjective(module.objective, "reduce-overhead", CPU)
