from __future__ import annotations

import pytest
import torch

from vae_lightning.training.ranks import sum_over_ranks
from vae_lightning.training.running_means import Means


def test_means_are_weighted_by_the_number_of_images() -> None:
    means = Means()
    means.add({"loss": torch.tensor(1.0), "kl": torch.tensor(10.0)}, 3)
    means.add({"loss": torch.tensor(2.0), "kl": torch.tensor(30.0)}, 1)
    assert means.means(means.totals()) == pytest.approx({"loss": 1.25, "kl": 15.0})


def test_totals_are_running_sums_whose_differences_are_means_too() -> None:
    means = Means()
    means.add({"loss": torch.tensor(1.0)}, 2)
    first = means.totals()
    assert torch.equal(means.totals(), first)  # reading twice counts once
    means.add({"loss": torch.tensor(4.0)}, 6)
    second = means.totals()
    assert first.tolist() == [2.0, 2.0]
    assert second.tolist() == [26.0, 8.0]
    assert means.means(second - first) == {"loss": 4.0}


def test_values_are_kept_without_their_graph_and_summed_in_float64() -> None:
    means = Means()
    parameter = torch.ones((), requires_grad=True)
    means.add({"loss": parameter * 3}, 1)
    for _ in range(10_000):
        means.add({"loss": torch.tensor(0.1)}, 1)
    totals = means.totals()
    assert totals.dtype == torch.float64
    assert not totals.requires_grad
    assert totals[0].item() == pytest.approx(3 + 10_000 * torch.tensor(0.1).item(), abs=1e-9)


def test_the_sum_over_one_process_is_itself() -> None:
    values = torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert torch.equal(sum_over_ranks(values, torch.device("cpu")), values)
