"""train, evaluate and generate as a user runs them, and what they leave in the run folder."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from matplotlib.figure import Figure

from tests.running import REPOSITORY, SHORT, Runner, metrics_rows
from vae_lightning.plots.pictures import PICTURES
from vae_lightning.runs.console import format_metric


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def test_a_run_folder_holds_what_the_design_says(runner: Runner) -> None:
    folder = runner.trained(*SHORT, "name=mine", "beta=2")
    assert folder.parent == runner.cwd / "outputs" / "mine"
    assert (folder / "run.log").read_text().startswith("mine\n")
    assert {p.name for p in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt", "previous.ckpt"}
    in_training = {name for name, picture in PICTURES.items() if picture.in_training}
    assert {p.stem for p in (folder / "figures").glob("*.png")} == in_training - {"manifold", "kl_map"}, (
        "of more than two dimensions, and no grid"
    )
    assert list(folder.glob("events.out.tfevents*"))
    assert (folder / "projector_config.pbtxt").exists()
    assert not list(folder.glob("**/.*")), "nothing half-written is left"
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert (config["schema_version"], config["beta"], config["choices"]["model"]) == (2, 2, "mlp")
    mean = pytest.approx(0.13, abs=0.01)
    size = {"shape": [1, 28, 28], "mean": mean, "train_size": 4000, "classes": 10}
    assert config["data_spec"] == {**size, "kind": "binary", "class_names": None}
    assert config["overrides"] == [*SHORT, "name=mine", "beta=2"]
    assert "${" not in (folder / "config.yaml").read_text()
    found = results(folder)
    assert found["test"]["elbo"] == pytest.approx(-(found["test"]["reconstruction"] + found["test"]["kl"]))
    assert found["train"]["loss"] == pytest.approx(found["train"]["reconstruction"] + 2 * found["train"]["kl"], rel=1e-5)
    assert (found["epochs"], found["steps"], found["seed"]) == (2, 8, 0)
    assert found["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_checkpoints_hold_tensors_and_plain_data_only(runner: Runner) -> None:
    folder = runner.trained(*SHORT, "beta_schedule=linear")
    for path in (folder / "checkpoints").iterdir():
        checkpoint = torch.load(path, weights_only=True)
        assert checkpoint["schedules"] == {"beta": {"steps_per_unit": 8.0}}


def test_metrics_csv_has_one_row_a_figure(runner: Runner) -> None:
    rows = metrics_rows(runner.trained(*SHORT, "trainer.log_every_n_steps=2"))
    assert [(r["kind"], r["step"]) for r in rows] == [
        ("train_step", "2"), ("train_step", "4"), ("val", "4"), ("train", "4"),
        ("train_step", "6"), ("train_step", "8"), ("val", "8"), ("train", "8"),
    ]  # fmt: skip
    epoch = rows[3]
    halves = [float(r["elbo"]) for r in rows[:2]]
    assert float(epoch["elbo"]) == pytest.approx(sum(halves) / 2, rel=1e-6)


def test_the_same_command_gives_the_same_figures(runner: Runner) -> None:
    first, second = (runner.trained(*SHORT) for _ in range(2))
    other = runner.trained(*SHORT, "seed=1")
    assert (first / "metrics.csv").read_text() == (second / "metrics.csv").read_text()
    assert (first / "metrics.csv").read_text() != (other / "metrics.csv").read_text()


def test_neither_workers_nor_evaluation_batches_change_a_figure(runner: Runner) -> None:
    first = runner.trained(*SHORT)
    second = runner.trained(*SHORT, "data.num_workers=1", "data.eval_batch_size=77")
    for a, b in zip(metrics_rows(first), metrics_rows(second), strict=True):
        assert float(a["elbo"]) == pytest.approx(float(b["elbo"]), rel=1e-9 if a["kind"] == "train" else 1e-6)


def test_golden_figures_of_a_short_run(runner: Runner) -> None:
    """Guards against drift: the values of this seeded run when the test was written, up to float32 rounding."""
    folder = runner.trained("trainer.max_epochs=2", "callbacks=minimal", "logger=none")
    test = results(folder)["test"]
    assert test["elbo"] == pytest.approx(GOLDEN["elbo"], abs=0.3)
    assert test["kl"] == pytest.approx(GOLDEN["kl"], abs=0.3)


GOLDEN = {"elbo": -191.14, "kl": 3.01}


def test_grid_sweep_gives_each_job_a_folder_of_its_own(runner: Runner) -> None:
    outcome = runner("train", "-m", *SHORT[1:], "model=mlp,conv", "beta=1,4", "trainer.max_epochs=1", "logger=none")
    assert outcome.status == 0, outcome.err
    folders = runner.runs()
    assert [p.name[:4] for p in folders] == ["000_", "001_", "002_", "003_"]
    assert {p.parent for p in folders} == {folders[0].parent}
    assert folders[0].parents[2] == runner.cwd / "outputs" / "sweeps"
    configs = [yaml.safe_load((p / "config.yaml").read_text()) for p in folders]
    assert [(c["choices"]["model"], c["beta"]) for c in configs] == [("mlp", 1), ("mlp", 4), ("conv", 1), ("conv", 4)]
    assert all((p / "results.json").exists() for p in folders)


def test_evaluate_agrees_with_what_training_wrote_and_with_itself(runner: Runner) -> None:
    folder = runner.trained(*SHORT)
    trained = results(folder)["test"]
    assert runner("evaluate", f"run={folder}", "measures=nll", "nll.samples=20").status == 0
    first = results(folder)["test"]
    best = folder / "checkpoints" / "best.ckpt"
    outcome = runner("evaluate", f"run={best}", "measures=nll", "nll.samples=20", "batch_size=33", "nll.chunk=77")
    assert outcome.status == 0, outcome.err
    second = results(folder)["test"]
    assert first["elbo"] == pytest.approx(trained["elbo"], rel=1e-7)
    assert second["elbo"] == pytest.approx(first["elbo"], rel=1e-6)
    assert second["nll"] == pytest.approx(first["nll"], rel=1e-6)
    assert first["nll"] < -first["elbo"]
    assert f"{format_metric(second['nll'], second['nll_standard_error'])}  nats" in outcome.out


def test_evaluate_other_splits_and_checkpoints_do_not_overwrite(runner: Runner) -> None:
    folder = runner.trained(*SHORT)
    before = results(folder)
    assert runner("evaluate", f"run={folder}", "split=train", "measures=[]").status == 0
    assert runner("evaluate", f"run={folder}", "checkpoint=last", "measures=[]").status == 0
    after = results(folder)
    assert after["test"] == before["test"]
    assert {"test_last"} <= set(after)
    assert "nll" not in after["test_last"]
    (folder / "checkpoints" / "best.ckpt").unlink()  # with callbacks.best=null there is none
    missing = runner("evaluate", f"run={folder}", "measures=[]")
    assert (missing.status, missing.err.count("\n")) == (2, 1)
    assert missing.err.endswith(": use checkpoint=last.\n")


def test_grey_pixels_under_a_bernoulli_have_no_nll(runner: Runner) -> None:
    outcome = runner("train", *SHORT, "data.binarize=none")
    assert outcome.status == 0
    assert "not a likelihood" in outcome.out
    folder = runner.runs()[-1]
    assert "not a likelihood" in runner("evaluate", f"run={folder}", "measures=nll").out
    assert "compare these values only with others made this way" in runner("evaluate", f"run={folder}", "measures=[]").out
    assert "nll" not in results(folder)["test"]


def test_generate_draws_what_is_asked_for(runner: Runner) -> None:
    folder = runner.trained(*SHORT, "latent_dim=2")
    assert runner("generate", f"run={folder}").status == 0
    made = {p.stem for p in (folder / "generated").iterdir()}
    assert made == {name for name, picture in PICTURES.items() if picture.in_generate} - {"training_film", "kl_map"}
    outcome = runner("generate", f"run={folder}", "what=[samples,manifold]", "folder=here", "samples.rows=2", "manifold.side=5")
    assert outcome.status == 0, outcome.err
    assert {p.stem for p in (runner.cwd / "here").iterdir()} == {"samples", "manifold"}


def test_a_split_of_few_images_is_drawn_and_scattered_under_its_own_name(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    from vae_lightning.plots import images as figures

    titles, drawn = [], figures.to_array

    def to_array(figure: Figure) -> np.ndarray:
        titles.append(figure.axes[0].get_title())
        return drawn(figure)

    monkeypatch.setattr(figures, "to_array", to_array)
    folder = runner.trained(*SHORT, "data.val_size=1", "data.test_size=7", "trainer.max_epochs=1", "logger=none")
    assert (folder / "figures" / "latent_scatter.png").exists()
    assert runner("generate", f"run={folder}").status == 0
    assert "Codes E[z|x] of test images, by label" in titles
    outcome = runner("generate", f"run={folder}", "split=val", "what=[reconstructions,interpolations]")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "what=interpolations needs two images, but val has 1." in outcome.err


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        ("evaluate", [], "run is not set"),
        ("evaluate", ["run=nowhere"], "run=nowhere: no such file or folder."),
        ("evaluate", ["run=."], "is not a run folder: it has no config.yaml. The latest run below it is"),
        ("evaluate", ["run={run}", "split=tset"], "split=tset: must be one of train, val, test."),
        ("evaluate", ["run={run}", "checkpoint=first"], "checkpoint=first: must be one of best, last."),
        ("evaluate", ["run={run}", "nll.samples=-1"], "nll.samples=-1"),
        ("evaluate", ["run={run}", "batch_size=0"], "batch_size=0"),
        ("evaluate", ["run={run}", "data.root=x"], "data.root=x would have no effect"),
        ("evaluate", ["run={run}", "nll.sample=3"], "Did you mean 'nll.samples'?"),
        ("evaluate", ["run={run}", "device=tpu"], "device=tpu: must be one of auto, cpu, cuda."),
        ("generate", ["run={run}", "what=sample"], "Did you mean 'samples'?"),
        ("generate", ["run={run}", "what=manifold"], "latent_dim=3"),
        ("generate", ["run={run}", "what=samples", "traversals.reach=2"], "traversals.reach=2 would have no effect"),
        ("generate", ["run={run}", "traversals.reach=0"], "traversals.reach=0"),
        ("generate", ["run={run}", "what=traversals", "traversals.image=500"], "test has only 500"),
    ],
)
def test_wrong_requests_end_with_one_sentence(runner: Runner, command: str, arguments: list[str], sentence: str) -> None:
    folder = runner.trained(*SHORT, "trainer.max_epochs=1", "trainer.limit_train_batches=1", "logger=none")
    outcome = runner(command, *(a.format(run=folder) for a in arguments))
    assert outcome.status == 2
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert sentence in outcome.err


def test_damaged_and_malicious_checkpoints_are_not_read(runner: Runner) -> None:
    import os
    import pickle

    class Evil:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(runner.cwd / "harmed"),)

    folder = runner.trained(*SHORT, "logger=none")
    best = folder / "checkpoints" / "best.ckpt"
    whole = best.read_bytes()
    for content in (whole[:0], whole[:100], whole[: len(whole) // 2], whole[:-1], b"no checkpoint"):
        best.write_bytes(content)
        outcome = runner("evaluate", f"run={folder}", "nll.samples=0")
        assert (outcome.status, outcome.err.count("\n")) == (1, 1), outcome.err
    best.write_bytes(pickle.dumps(Evil()))
    assert runner("evaluate", f"run={folder}").status == 1
    torch.save({"state_dict": Evil()}, best)
    assert runner("evaluate", f"run={folder}").status == 1
    assert not (runner.cwd / "harmed").exists()


def test_a_run_of_another_schema_is_refused(runner: Runner) -> None:
    folder = runner.trained(*SHORT, "logger=none")
    config = (folder / "config.yaml").read_text().replace("schema_version: 2", "schema_version: 9")
    (folder / "config.yaml").write_text(config)
    outcome = runner("evaluate", f"run={folder}")
    assert (outcome.status, "schema_version=9" in outcome.err) == (2, True)


def test_schedules_by_step_go_through_the_trainer(runner: Runner) -> None:
    folder = runner.trained(
        *SHORT, "beta=4", "beta_schedule=linear", "beta_schedule.unit=step", "beta_schedule.warmup=8",
        "lr_schedule=multistep", "lr_schedule.milestones=[4]", "lr_schedule.unit=step", "optimizer.lr=0.01",
        "trainer.log_every_n_steps=1",
    )  # fmt: skip
    steps, epochs = ([r for r in metrics_rows(folder) if r["kind"] == kind] for kind in ("train_step", "train"))
    assert [float(r["beta"]) for r in steps] == [0.5 * i for i in range(8)]
    assert [float(r["lr"]) for r in steps] == pytest.approx([0.01] * 4 + [0.001] * 4)
    # those of the last completed step, not of the next one
    assert [(r["step"], float(r["beta"]), float(r["lr"])) for r in epochs] == [("4", 1.5, 0.01), ("8", 3.5, pytest.approx(0.001))]
    results = json.loads((folder / "results.json").read_text())
    assert (results["beta"], results["train"]["beta"]) == (3.5, 3.5)


def test_beta_by_feedback_is_written_as_the_step_had_it(runner: Runner) -> None:
    folder = runner.trained(*SHORT, "beta_schedule=geco", "beta_schedule.rate=1e-4", "trainer.log_every_n_steps=1", "logger=none")
    betas = [(r["kind"], float(r["beta"])) for r in metrics_rows(folder) if r["kind"] != "val"]
    assert betas[0] == ("train_step", 1.0), "it moves after the first step"
    assert len({beta for _, beta in betas}) == 8
    assert betas[4] == ("train", betas[3][1])
    assert betas[9] == ("train", betas[8][1])


def test_a_loss_that_is_no_longer_finite_is_named(runner: Runner) -> None:
    outcome = runner("train", *SHORT, "optimizer=sgd", "optimizer.lr=1e30", "trainer.log_every_n_steps=1")
    assert outcome.status == 1
    assert "NaN or infinity at step" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["beta_schedule=linear", "lr_schedule=none"],
            "beta_schedule.unit=fraction: must be epoch or step, since the run's length",
        ),
        (["lr_schedule=multistep"], "lr_schedule.unit=fraction: must be epoch or step, since the run's length"),
        ([], "lr_schedule=cosine falls over the whole run, whose length is unknown"),
        (["objective=capacity", "lr_schedule=none"], "objective.kl.capacity.unit=fraction: must be epoch or step"),
        (["posterior=categorical", "lr_schedule=none"], "posterior.temperature.unit=fraction: must be epoch or step"),
    ],
)
def test_a_run_length_that_is_not_known_is_refused(runner: Runner, arguments: list[str], sentence: str) -> None:
    outcome = runner("train", *SHORT, "trainer.max_epochs=-1", *arguments)
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert outcome.err.startswith(f"error: {sentence}")
    assert not list(runner.cwd.glob("outputs/**/*"))


@pytest.mark.parametrize("accumulated", [1, 2])
def test_epochs_are_counted_in_steps_where_only_steps_end_the_run(runner: Runner, accumulated: int) -> None:
    steps = 4 // accumulated  # steps in an epoch
    by_steps = ("trainer.max_epochs=-1", f"trainer.max_steps={2 * steps}", f"trainer.accumulate_grad_batches={accumulated}")
    beta = ("beta_schedule=linear", "beta_schedule.unit=epoch", "beta_schedule.warmup=1")
    lr = ("lr_schedule=multistep", "lr_schedule.unit=epoch", "lr_schedule.milestones=[1]", "optimizer.lr=0.01")
    logs = ("trainer.log_every_n_steps=1", "logger=none")
    rows = [r for r in metrics_rows(runner.trained(*SHORT, *by_steps, *beta, *lr, *logs)) if r["kind"] == "train_step"]
    assert [float(r["beta"]) for r in rows] == [*(step / steps for step in range(steps)), *[1] * steps]
    assert [float(r["lr"]) for r in rows] == pytest.approx([0.01] * steps + [0.001] * steps)


@pytest.mark.parametrize(("algorithm", "order"), [("norm", 2), ("value", float("inf"))])
def test_gradients_are_clipped_in_bf16_though_the_optimizer_is_fused(runner: Runner, algorithm: str, order: float) -> None:
    clip = ("trainer.gradient_clip_val=0.01", f"trainer.gradient_clip_algorithm={algorithm}")
    steps = ("optimizer=sgd", "optimizer.lr=1", "optimizer.momentum=0", "lr_schedule=none")
    folder = runner.trained(*SHORT, "trainer.precision=bf16-mixed", *steps, *clip)
    before, after = (
        torch.nn.utils.parameters_to_vector(torch.load(folder / "checkpoints" / name, weights_only=True)["state_dict"].values())
        for name in ("previous.ckpt", "last.ckpt")
    )
    assert 0.001 < torch.linalg.vector_norm(after - before, order) <= 4 * 0.01 * 1.01, "four steps, each of 0.01 at most"


def test_precision_bf16_trains_and_measures_in_float32(runner: Runner) -> None:
    mixed = runner.trained(*SHORT, "trainer.precision=bf16-mixed")
    exact = runner.trained(*SHORT)
    assert results(mixed)["precision"] == "bf16-mixed"
    assert results(mixed)["test"]["elbo"] == pytest.approx(results(exact)["test"]["elbo"], rel=0.02)
    assert runner("evaluate", f"run={mixed}", "measures=[]").status == 0


def test_trainer_arguments_reach_lightning(runner: Runner) -> None:
    folder = runner.trained(*SHORT, "trainer.max_steps=3", "trainer.gradient_clip_val=1.0", "trainer.accumulate_grad_batches=2")
    assert results(folder)["steps"] == 3


def test_checkpointing_and_progress_can_be_switched_off(runner: Runner) -> None:
    folder = runner.trained(*SHORT, "trainer.enable_checkpointing=false", "callbacks=default")
    assert not (folder / "checkpoints").exists()
    assert results(folder)["checkpoint"] is None
    outcome = runner("evaluate", f"run={folder}")
    assert (outcome.status, "has no checkpoint" in outcome.err) == (2, True)


def test_the_output_bias_starts_at_the_mean_of_the_training_images(runner: Runner) -> None:
    from vae_lightning.data.mnist5k import MNIST5k

    mean = (MNIST5k().splits()["train"].images >= 128).float().mean(0)
    still = ("optimizer.lr=0", "likelihood.bias_from_data=true", "data.binarize=threshold", "trainer.max_epochs=1")
    folder = runner.trained(*SHORT, *still, "logger=none")
    weights = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    expected = mean.flatten().clamp(0.001, 0.999)
    torch.testing.assert_close(weights["vae.decoder.2.bias"].sigmoid(), expected, atol=1e-6, rtol=1e-4)


def test_the_optimal_sigma_is_a_constant_of_the_run(runner: Runner) -> None:
    folder = runner.trained(*SHORT, "likelihood=gaussian_optimal")
    state = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert (state["vae.likelihood.batches"], state["vae.likelihood.mse"] < 0.3) == (8, True)
    trained = results(folder)["test"]
    assert runner("evaluate", f"run={folder}", "nll.samples=5", "batch_size=33").status == 0
    assert results(folder)["test"]["elbo"] == pytest.approx(trained["elbo"], rel=1e-6)


def test_readme_examples_run(runner: Runner) -> None:
    """The README's Python code, in order, with the runs that it mentions."""
    folder = runner.trained(*SHORT)
    outcome = runner("evaluate", f"run={folder}", "measures=[nll]", "nll.samples=2", "per_image=true")
    assert outcome.status == 0, outcome.err
    difference, from_python, reuse, plain_torch = readme_blocks()
    names: dict = {}
    exec(difference.replace("outputs/…", str(folder)), names)  # safe, since the README is ours
    assert np.array_equal(names["gap"], np.zeros(500))  # the difference of a run from itself
    smaller = {
        '"model=conv"': "*SHORT",
        '"beta=1,2,4", "seed=0,1"': '*SHORT, "beta=1,2"',
        '["nll"]': '["nll"], nll={"samples": 2}',
    }
    for ours, small in smaller.items():
        assert ours in from_python
        from_python = from_python.replace(ours, small)
    names = {"SHORT": SHORT}
    exec(from_python, names)
    assert [run.config.beta for run in [names["run"], *names["runs"]]] == [4, 1, 2]
    names = {}
    exec(reuse.replace("outputs/mnist5k-mlp/…", str(folder)), names)
    assert names["x_hat"].shape == names["x"].shape
    exec(plain_torch, names)
    assert all(parameter.grad is not None for parameter in names["vae"].parameters())


def readme_blocks() -> list[str]:
    return [part.split("```", 1)[0] for part in (REPOSITORY / "README.md").read_text().split("```python\n")[1:]]


def test_a_machine_with_apples_gpu_trains_on_its_cpu(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apple's GPUs lack float64, which validation needs for its sums, but Lightning's `auto` would use them."""
    monkeypatch.setattr("torch.backends.mps.is_available", cache(lambda: True))
    monkeypatch.setattr("platform.processor", lambda: "arm")
    folder = runner.trained(*SHORT, "trainer.max_epochs=1", "callbacks=minimal", "logger=none")
    assert json.loads((folder / "results.json").read_text())["test"]["elbo"] < 0
