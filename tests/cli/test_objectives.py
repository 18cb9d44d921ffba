"""Objectives and feedback from the command line: what is refused, what is written."""

from __future__ import annotations

import pytest

from tests.running import SHORT, Runner, metrics_rows


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["objective=iwae", "beta=4"],
            ["error: beta=4 would have", "objective=iwae", "β weights nothing; leave it out."],
        ),
        (["objective=capacity", "beta=4"], ["beta=4", "objective=capacity", "β weights nothing"]),
        (["objective=iwae", "beta_schedule=control"], ["beta_schedule=control", "no effect"]),
        (["beta_schedule=geco", "beta=4"], ["beta=4 would have no effect"]),
        (["beta_schedule=control", "beta=4"], ["beta=4 would have no effect"]),
        (["objective=iwae", "objective/kl=free_bits"], ["objective/kl=free_bits is incompatible with objective/bound=iwae"]),
        (["objective=free_bits", "objective.kl.group_size=3"], ["group_size=3", "latent_dim, which is 16"]),
        (["objective=miwae", "objective.bound.groups=5"], ["objective.bound.groups=5", "a divisor of samples, which is 16"]),
        (["objective=capacity", "objective.kl.capacity.warmup=0"], ["objective.kl.capacity.warmup=0"]),
        (["objective=mmd", "objective.penalty.kernel=cubic"], ["objective.penalty.kernel=cubic", "imq, rbf"]),
        (["beta_schedule=control", "beta_schedule.target.value=-1"], ["beta_schedule.target.value=-1"]),
    ],
)
def test_what_has_no_effect_or_no_sense_is_refused(runner: Runner, arguments: list[str], words: list[str]) -> None:
    outcome = runner("train", *arguments)
    assert outcome.status == 2, outcome.out
    assert all(word in outcome.err for word in words), outcome.err
    assert "Traceback" not in outcome.err
    assert not list(runner.cwd.glob("outputs/**/*"))


def test_what_an_objective_reports_is_in_the_metrics(runner: Runner) -> None:
    more = ("trainer.log_every_n_steps=2", "logger=none")
    folder = runner.trained(*SHORT, *more, "objective=factor", "objective.penalty.lr=1e-5", "objective.penalty.hidden=[8]")
    rows = metrics_rows(folder)
    assert list(rows[0])[-2:] == ["total_correlation", "discriminator_loss"]
    trained = [row for row in rows if row["kind"] != "val"]
    assert len(trained) == 6
    assert all(float(row["discriminator_loss"]) > 0 and row["total_correlation"] for row in trained)
    assert {row["kind"] for row in rows} == {"train_step", "train", "val"}
    assert all(float(row["elbo"]) < 0 for row in rows if row["kind"] == "val")

    outcome = runner("evaluate", f"run={folder}", "split=val", "nll.samples=2")
    assert outcome.status == 0, outcome.err
    outcome = runner("generate", f"run={folder}", "what=[samples]")
    assert outcome.status == 0, outcome.err

    folder = runner.trained(*SHORT, *more, "objective=capacity", "beta_schedule=constant")
    capacities = [float(row["capacity"]) for row in metrics_rows(folder) if row["kind"] == "train"]
    # for steps 0 to 3 and 4 to 7, with 25 nats reached at step 2 of 8
    assert capacities == pytest.approx([(0 + 12.5 + 25 + 25) / 4, 25])

    folder = runner.trained(*SHORT, *more, "beta_schedule=geco", "objective=iwae", "objective/bound=elbo")
    betas = [float(row["beta"]) for row in metrics_rows(folder) if row["kind"] == "train"]
    assert 1 > betas[0] > betas[1]
