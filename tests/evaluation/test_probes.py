"""Probes of made-up codes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vae_lightning.evaluation.probes import evaluate_probes

NAMES = ("linear_probe_accuracy", "knn_accuracy", "clustering_nmi")


def planted(size: int, distance: float, seed: int) -> tuple[Tensor, Tensor]:
    """Codes around the corners of a triangle of side `distance`, σ = 1, in 4 dimensions; labels say which corner."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(size) % 3
    corners = torch.zeros(3, 4)
    corners[:, :3] = distance / 2**0.5 * torch.eye(3)
    return corners[labels] + torch.randn(size, 4, generator=generator), labels


def measured(distance: float) -> dict[str, float]:
    return evaluate_probes(*planted(600, distance, 0), *planted(600, distance, 1)).values


def test_codes_that_tell_the_labels_give_one() -> None:
    values = measured(20)
    assert [values[name] for name in NAMES] == pytest.approx([1, 1, 1])
    assert [values[f"{name}_standard_error"] for name in NAMES] == pytest.approx([0, 0, 0], abs=1e-9)


def test_codes_that_tell_nothing_give_chance() -> None:
    values = measured(0)
    assert values["chance_accuracy"] == pytest.approx(1 / 3)
    for name in NAMES[:2]:
        assert values[name] == pytest.approx(1 / 3, abs=4 * values[f"{name}_standard_error"])
        assert values[f"{name}_standard_error"] == pytest.approx((2 / 9 / 600) ** 0.5, rel=0.1)
    assert values["clustering_nmi"] < 0.02


def test_between_the_two_the_linear_probe_is_near_the_best_there_is() -> None:
    values = measured(2)
    # the best rule for corners at distance 2 is to take the nearest one
    x, labels = planted(100_000, 2, 2)
    corners = torch.zeros(3, 4)
    corners[:, :3] = 2 / 2**0.5 * torch.eye(3)
    best = (torch.cdist(x, corners).argmin(1) == labels).float().mean().item()
    assert values["linear_probe_accuracy"] == pytest.approx(best, abs=4 * values["linear_probe_accuracy_standard_error"])
    assert 0.5 < values["knn_accuracy"] < best + 0.06
    assert 0.05 < values["clustering_nmi"] < 0.6


def test_it_is_seeded() -> None:
    assert measured(1) == measured(1)


def test_what_is_learned_comes_from_the_training_codes_alone() -> None:
    train, test = planted(600, 20, 0), planted(600, 20, 1)
    wrong = evaluate_probes(*train, test[0], (test[1] + 1) % 3).values
    assert [wrong[name] for name in NAMES] == pytest.approx([0, 0, 1])


def test_clusters_are_those_of_the_training_codes() -> None:
    """Test codes that lie far apart along a different direction from the training codes."""
    labels = torch.arange(200) % 2
    across = 2.0 * labels - 1
    noise = torch.randn(200, generator=torch.Generator().manual_seed(0))
    train = torch.stack([5 * across + 0.1 * noise, 0.1 * noise], 1)
    test = torch.stack([across, 20 * noise.sign()], 1)
    assert evaluate_probes(train, labels, test, labels).values["clustering_nmi"] == pytest.approx(1)


def test_the_five_nearest_vote_and_chance_is_the_commonest_training_label() -> None:
    train = torch.tensor([[0.0], [0.1], [0.2], [0.3], [0.4], [9.0], [9.1], [9.2], [9.3], [9.4]])
    labels = torch.tensor([1, 0, 0, 0, 1, 0, 0, 0, 0, 1])  # at −1, a 1 is nearest, but three of the five nearest are 0
    values = evaluate_probes(train, labels, torch.tensor([[-1.0], [-1.0], [-1.0], [-1.0]]), torch.tensor([0, 1, 1, 1])).values
    assert (values["knn_accuracy"], values["chance_accuracy"]) == (0.25, 0.25)
    assert values["chance_accuracy_standard_error"] == pytest.approx((0.25 * 0.75 / 4) ** 0.5)


def test_one_label_has_no_probes() -> None:
    codes, labels = planted(30, 1, 0)
    found = evaluate_probes(codes, torch.zeros_like(labels), codes, labels)
    assert (found.values, found.notes[0].startswith("Probes were not")) == ({}, True)
    codes[0, 0] = torch.nan
    assert evaluate_probes(codes, labels, codes, labels).values == {}


def test_images_without_a_label_are_left_out() -> None:
    (x, y), (x_new, y_new) = planted(600, 2, 0), planted(600, 2, 1)
    kept, kept_new = torch.arange(600) % 4 < 2, torch.arange(600) % 5 < 3
    expected = evaluate_probes(x[kept], y[kept], x_new[kept_new], y_new[kept_new])
    found = evaluate_probes(x, torch.where(kept, y, -1), x_new, torch.where(kept_new, y_new, -1))
    assert found.values == expected.values
    assert found.values["chance_accuracy"] == pytest.approx(1 / 3, abs=0.03)  # not the half that have no label


def test_without_labels_there_are_no_probes() -> None:
    x, y = planted(60, 2, 0)
    none = torch.full((60,), -1)
    assert evaluate_probes(x, none, x, y).notes == ["Probes were not measured: the training images have fewer than two labels."]
    assert evaluate_probes(x, y, x, none).notes == ["Probes were not measured: no image of this split has a label."]
