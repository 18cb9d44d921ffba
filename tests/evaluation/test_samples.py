from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.linear_gaussian import LinearGaussian
from vae_lightning.data.images import Images
from vae_lightning.evaluation import features
from vae_lightning.evaluation.features import load_classifier, train_classifier, weights_hash
from vae_lightning.evaluation.samples import compare_features, draw_features, frechet_distance, frechet_with_error, within_cloud
from vae_lightning.files import cache_folder


def test_the_distance_of_two_gaussians() -> None:
    """|μ|² + tr(A + B − 2 (A B)^½), with A and B that do not commute."""
    rng = np.random.default_rng(0)
    root_a, root_b, shift = rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), np.array([1.0, 0, -2])
    a, b = rng.normal(size=(200_000, 3)) @ root_a, rng.normal(size=(200_000, 3)) @ root_b + shift
    cross = np.sqrt(np.linalg.eigvals(root_a.T @ root_a @ root_b.T @ root_b).real).sum()
    exact = 5 + (root_a**2).sum() + (root_b**2).sum() - 2 * cross
    assert frechet_distance(a, b) == pytest.approx(exact, rel=0.02)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-8)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))


def test_the_error_of_the_distance_is_its_spread_over_other_images() -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(400, 4)), rng.normal(size=(400, 4)) * 1.5 + 0.5) for _ in range(60)]
    found = [frechet_with_error(a, b) for a, b in pairs]
    assert np.mean([error for _, error in found]) == pytest.approx(np.std([value for value, _ in found]), rel=0.3)
    assert np.isnan(frechet_with_error(pairs[0][0][:19], pairs[0][1][:19])[1])


def test_classes_drawn_in_turn_do_not_swell_the_error() -> None:
    """With condition=label, a jackknife of ten groups in order would leave out one of the ten classes at a time."""
    rng, places = np.random.default_rng(0), np.arange(1000)
    real, drawn = (rng.normal(size=(1000, 3)) + 5 * np.eye(10, 3)[places % 10] for _ in range(2))
    shuffled = drawn[rng.permutation(1000)]
    assert frechet_with_error(real, drawn)[1] == pytest.approx(frechet_with_error(real, shuffled)[1], rel=0.6)


def test_a_point_lies_within_a_cloud_up_to_its_third_neighbours() -> None:
    cloud = torch.tensor([[0.0], [1.0], [2.0], [3.0], [100.0]])  # third neighbours at 3, 2, 2, 3, 99
    points = torch.tensor([[-3.0], [-3.1], [2.5], [6.0], [6.1], [0.9], [200.0], [0.5]])
    expected = [True, False, True, True, True, True, False, True]  # 6.1 and 0.5 are within 99 of 100
    assert within_cloud(points, cloud).tolist() == expected


def planted(seed: int, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(1200, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale + shift


def test_what_is_drawn_from_the_data_is_at_the_floor() -> None:
    values = compare_features(planted(0), planted(1), planted(2)).values
    for name in ("frechet_distance", "precision", "recall"):
        error = values[f"{name}_standard_error"] + values[f"{name}_floor_standard_error"]
        assert values[name] == pytest.approx(values[f"{name}_floor"], abs=3 * error)
    assert values["precision"] > 0.9
    assert values["samples_images"] == 1200


def test_narrow_samples_are_precise_and_wide_ones_recall() -> None:
    narrow = compare_features(planted(0), planted(1, 0.3), planted(2)).values
    assert narrow["precision"] > 0.98
    assert narrow["recall"] < 0.3
    wide = compare_features(planted(0), planted(1, 3.0), planted(2)).values
    assert wide["precision"] < 0.4
    assert wide["recall"] > 0.98
    elsewhere = compare_features(planted(0), planted(1, 1.0, 50.0), planted(2)).values
    assert (elsewhere["precision"], elsewhere["recall"]) == (0, 0)
    assert elsewhere["frechet_distance"] == pytest.approx(4 * 50**2, rel=0.01)
    assert elsewhere["frechet_distance_floor"] < 0.1


def test_drawn_features_depend_on_seed_and_place_alone() -> None:
    vae = LinearGaussian().vae
    whole = draw_features(vae, lambda x: x.flatten(1), 20, 0, 20)
    torch.testing.assert_close(draw_features(vae, lambda x: x.flatten(1), 20, 0, 7), whole)
    torch.testing.assert_close(draw_features(vae, lambda x: x.flatten(1), 8, 0, 7), whole[:8])
    assert not torch.equal(draw_features(vae, lambda x: x.flatten(1), 20, 1, 20), whole)
    assert 0 <= whole.min() <= whole.max() <= 1


@pytest.fixture
def quarters() -> Images:
    """Noise with one bright quarter, which the label names."""
    images = torch.randint(0, 120, (400, 1, 12, 12), dtype=torch.uint8)
    labels = torch.arange(400) % 4
    for i, label in enumerate(labels.tolist()):
        images[i, 0, label // 2 * 6 : label // 2 * 6 + 6, label % 2 * 6 : label % 2 * 6 + 6] += 120
    return Images(images, labels)


def test_the_classifier_learns_and_is_the_same_each_time(quarters: Images) -> None:
    state = torch.get_rng_state()
    first, second = (train_classifier(quarters, 60) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert weights_hash(first.state_dict()) == weights_hash(second.state_dict())
    assert weights_hash(first.state_dict()) != weights_hash(train_classifier(quarters, 59).state_dict())
    x = quarters.images.float() / 255
    assert (first(x).argmax(1) == quarters.labels).float().mean() > 0.95
    assert first.features(x).shape == (400, 64)
    assert first.features(x).dtype == torch.float64


def test_images_without_a_label_do_not_train_the_classifier(quarters: Images) -> None:
    few = torch.arange(len(quarters)) % 2 == 0
    half = Images(quarters.images, torch.where(few, quarters.labels, -1))
    labelled = Images(quarters.images[few], quarters.labels[few])
    assert weights_hash(train_classifier(half, 20).state_dict()) == weights_hash(train_classifier(labelled, 20).state_dict())


def test_the_classifier_is_trained_once_for_each_data_set(
    quarters: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []
    train = features.train_classifier

    def counted(images: Images, steps: int) -> features.Classifier:
        trained.append(steps)
        return train(images, steps)

    monkeypatch.setattr(features, "train_classifier", counted)
    model, digest = load_classifier(quarters, 3, tmp_path / "kept")
    again, same = load_classifier(quarters, 3, tmp_path / "kept")
    assert (len(trained), same) == (1, digest)
    assert weights_hash(again.state_dict()) == weights_hash(model.state_dict()) == digest
    (path,) = (tmp_path / "kept").iterdir()
    # damaged, half-written, or with weights that do not match its hash: trained again
    kept = torch.load(path, weights_only=True)
    kept["weights"]["head.bias"] += 1
    torch.save(kept, path)
    assert load_classifier(quarters, 3, tmp_path / "kept")[1] == digest
    for content in (b"", path.read_bytes()[:500], b"nothing"):
        path.write_bytes(content)
        assert load_classifier(quarters, 3, tmp_path / "kept")[1] == digest
    assert len(trained) == 5
    other = Images(quarters.images, quarters.labels.flip(0))
    load_classifier(other, 3, tmp_path / "kept")
    load_classifier(quarters, 4, tmp_path / "kept")
    assert len(trained) == 7
    assert len(list((tmp_path / "kept").iterdir())) == 3


def test_a_cache_that_cannot_be_written_to_stops_nothing(quarters: Images, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert len(load_classifier(quarters, 2, tmp_path / "file")[1]) == 64


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder(None) == tmp_path / "vae_lightning"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder(None) == Path.home() / ".cache" / "vae_lightning"
    assert cache_folder("x") == Path("x").absolute()
