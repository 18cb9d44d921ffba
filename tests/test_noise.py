from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from vae_lightning.noise import _GOLDEN, ExampleNoise, StreamNoise, _mix, _signed, derive_seed
from vae_lightning.training.module import VAEModule

EXAMPLES = torch.arange(40)


def noise(examples: torch.Tensor = EXAMPLES, seed: int = 3, first_sample: int = 0) -> ExampleNoise:
    return ExampleNoise(examples, seed, first_sample)


def like(rows: int = 40, *event: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.zeros(rows, *(event or (5,)), dtype=dtype)


def test_key_is_stable() -> None:
    assert derive_seed(0, "train", 0, 0) == 6175816549783189190


def test_keys_are_distinct_and_fit_a_generator() -> None:
    parts = [(1, 23), (12, 3), (123,), ("1", 23), ("1", "23"), (1, "train", 0), (1, "train", 1), (1, "val", 0), ()]
    keys = [derive_seed(*p) for p in parts] + [
        derive_seed(seed, "train", rank, step) for seed in range(5) for rank in range(5) for step in range(40)
    ]
    assert len(set(keys)) == len(keys)
    assert all(0 <= k < 2**63 for k in keys)
    assert len({k & 0xFFFFFFFF for k in keys}) == len(keys)  # a CPU generator uses the low half only


def test_the_mixer_is_splitmix64() -> None:
    """The published first outputs for the seed 1234567."""
    states = torch.arange(1, 6) * _GOLDEN + _signed(1234567)
    outputs = [value % 2**64 for value in _mix(states).tolist()]
    assert outputs == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@pytest.mark.parametrize("kind", ["normal", "uniform"])
@pytest.mark.parametrize("samples", [(), (3,), (2, 3)])
def test_shape_dtype_and_device_are_those_asked_for(kind: str, samples: tuple[int, ...]) -> None:
    for source in (noise(), StreamNoise(torch.Generator(), 0)):
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            drawn = getattr(source, kind)(like(40, 2, 3, dtype=dtype), samples)
            assert drawn.shape == (*samples, 40, 2, 3)
            assert drawn.dtype == dtype


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_permuting_examples_permutes_the_noise(kind: str) -> None:
    order = torch.randperm(40)
    straight, permuted = noise(), noise(EXAMPLES[order])
    for _ in range(2):
        a, b = getattr(straight, kind)(like(), (3,)), getattr(permuted, kind)(like(), (3,))
        assert torch.equal(a[:, order], b)


def test_batching_changes_nothing() -> None:
    whole = noise().normal(like(), (3,))
    parts = [noise(part).normal(like(len(part)), (3,)) for part in EXAMPLES.split(7)]
    assert torch.equal(torch.cat(parts, 1), whole)


def test_chunks_over_samples_make_the_whole() -> None:
    whole = noise().normal(like(40, 2, 3), (10,))
    chunks = [noise(first_sample=first).normal(like(40, 2, 3), (size,)) for first, size in ((0, 4), (4, 5), (9, 1))]
    assert torch.equal(torch.cat(chunks), whole)


def test_every_number_is_its_own() -> None:
    source = noise()
    numbers = torch.cat([source.uniform(like(), (50,)).flatten() for _ in range(3)])
    assert len(numbers.unique()) == len(numbers) == 3 * 50 * 40 * 5


def test_uniform_is_uniform_in_its_half_open_interval() -> None:
    u = noise(torch.arange(2000)).uniform(like(2000, 10)).numpy()
    assert stats.kstest(u.ravel(), "uniform").pvalue > 1e-3
    assert stats.kstest(u[:, 0], "uniform").pvalue > 1e-3  # over examples alone
    assert stats.kstest(noise(torch.tensor([7])).uniform(like(1, 5000)).numpy().ravel(), "uniform").pvalue > 1e-3


def test_normal_is_normal() -> None:
    epsilon = noise(torch.arange(2000)).normal(like(2000, 10)).numpy().ravel()
    n = epsilon.size
    assert stats.kstest(epsilon, "norm").pvalue > 1e-3
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((epsilon**power).mean() - moment) < 4 * np.sqrt(variance / n)
    quantiles = stats.norm.ppf(noise().uniform(like()).numpy())
    np.testing.assert_allclose(noise().normal(like()).numpy(), quantiles, rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_uniform_stays_below_one_when_rounded(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExampleNoise, "_uniform", lambda *_: torch.tensor([2.0**-53, 1 - 2.0**-53], dtype=torch.float64))
    u = noise().uniform(torch.zeros(2, dtype=dtype))
    assert (u >= 0).all()
    assert (u < 1).all()
    assert torch.isfinite(noise().normal(torch.zeros(2, dtype=dtype))).all()


def test_seeds_draws_examples_and_samples_are_uncorrelated() -> None:
    n, source = 10_000, noise(torch.arange(2))
    first, second = source.normal(like(2, n), (2,)), source.normal(like(2, n), (2,))
    other_seed = noise(torch.arange(2), seed=4).normal(like(2, n), (2,))
    streams = torch.cat([first.flatten(0, 1), second.flatten(0, 1), other_seed.flatten(0, 1)])
    correlation = torch.corrcoef(streams) - torch.eye(len(streams))
    assert correlation.abs().max() < 5 / np.sqrt(n)
    lagged = torch.corrcoef(torch.stack([streams[0, 1:], streams[0, :-1]]))[0, 1]
    assert abs(lagged) < 5 / np.sqrt(n)


def test_a_stream_is_a_function_of_its_seed() -> None:
    a, b, c = (StreamNoise(torch.Generator(), seed) for seed in (derive_seed(1), derive_seed(1), derive_seed(2)))
    first = a.normal(like())
    assert torch.equal(first, b.normal(like()))
    assert not torch.equal(first, a.normal(like()))
    assert not torch.equal(first, c.normal(like()))
    u = StreamNoise(torch.Generator(), 0).uniform(like(1000))
    assert 0 <= u.min() < 0.01
    assert 0.99 < u.max() < 1


def test_a_stream_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    StreamNoise(torch.Generator(), 0).normal(like())
    assert torch.equal(torch.get_rng_state(), before)


def test_training_noise_is_its_own_in_each_seed_process_epoch_and_batch() -> None:
    def drawn(seed: int, rank: int, epoch: int, batch: int) -> tuple[float, ...]:
        module: Any = SimpleNamespace(seed=seed, global_rank=rank, current_epoch=epoch, generator=torch.Generator())
        return tuple(VAEModule.training_noise(module, None, batch).normal(torch.zeros(1, 4)).flatten().tolist())  # type: ignore[arg-type]

    places = list(itertools.product(range(3), repeat=4))
    assert len({drawn(*place) for place in places}) == len(places)
    assert drawn(0, 1, 2, 0) == drawn(0, 1, 2, 0)
