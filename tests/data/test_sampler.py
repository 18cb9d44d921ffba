from __future__ import annotations

import pytest
import torch

from vae_lightning.data.sampler import OrderedBatches, ShuffledBatches


def test_an_epoch_is_a_permutation() -> None:
    batches = list(ShuffledBatches(103, 10, seed=0))
    assert [len(batch) for batch in batches] == [10] * 10 + [3]
    assert sorted(torch.cat(batches).tolist()) == list(range(103))
    assert torch.cat(batches).tolist() != list(range(103))


def test_the_permutation_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return torch.cat(list(ShuffledBatches(100, 10, seed, epoch))).tolist()

    assert order(0, 0) == order(0, 0)
    orders = [order(seed, epoch) for seed in range(3) for epoch in range(3)]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])
    moved = ShuffledBatches(100, 10, seed=1)
    torch.randn(7)  # the global generator does not matter
    moved.set_epoch(2)
    assert torch.cat(list(moved)).tolist() == order(1, 2)


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("size", [120, 125])
def test_ranks_see_together_the_batches_of_one_process(world: int, size: int) -> None:
    single = list(ShuffledBatches(size, 8 * world, seed=4, epoch=1))
    ranks = [list(ShuffledBatches(size, 8, seed=4, epoch=1, rank=rank, world=world)) for rank in range(world)]
    assert len({len(batches) for batches in ranks}) == 1
    together = [torch.cat(parts).tolist() for parts in zip(*ranks, strict=True)]
    seen = [place for batch in together for place in batch]
    assert len(seen) == len(set(seen)) == size // world * world
    for one, union in zip(single, together, strict=False):  # the single process's last batch may hold a few more
        assert set(union) <= set(one.tolist())
        assert len(union) in (len(one), len(one) // world * world)
    for parts in zip(*ranks, strict=True):
        assert len({len(part) for part in parts}) == 1


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("size", "world"), [(100, 1), (103, 1), (103, 2), (7, 1), (7, 8)])
def test_the_length_is_the_number_of_batches(size: int, world: int, drop_last: bool) -> None:
    for rank in range(world):
        sampler = ShuffledBatches(size, 10, 0, rank=rank, world=world, drop_last=drop_last)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        if drop_last:
            assert len(sampler) == size // world // 10
            assert all(len(batch) == 10 for batch in batches)


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [1, 100, 103])
def test_ordered_batches_cover_each_image_once_over_the_ranks(size: int, world: int) -> None:
    ranks = [OrderedBatches(size, 10, rank, world) for rank in range(world)]
    assert all(len(list(rank)) == len(rank) for rank in ranks)
    batches = [batch for rank in ranks for batch in rank]
    assert sorted(torch.cat(batches).tolist()) == list(range(size))


def test_ordered_batches_are_in_order() -> None:
    assert [batch.tolist() for batch in OrderedBatches(7, 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [batch.tolist() for batch in OrderedBatches(7, 3, rank=1, world=2)] == [[1, 3, 5]]
