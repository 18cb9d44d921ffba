from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from vae_lightning.data.images import Images
from vae_lightning.data.mnist5k import MNIST5k
from vae_lightning.training.datamodule import VAEDataModule


def served(mnist5k: dict[str, Images], mode: str, seed: int) -> VAEDataModule:
    data = MNIST5k(batch_size=50)
    data.load = lambda: mnist5k  # type: ignore[method-assign]
    module = VAEDataModule(data, mode, seed)
    module.setup("fit")
    return module


@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_runs_of_other_seeds_see_the_same_images_in_another_order(mnist5k: dict[str, Images], mode: str) -> None:
    one, two = (served(mnist5k, mode, seed) for seed in (0, 1))
    for split in ("train", "val", "test"):
        assert torch.equal(one.splits[split].images, two.splits[split].images)
    first, second = (next(iter(module.train_dataloader())) for module in (one, two))
    assert not torch.equal(first.examples, second.examples)
    assert torch.equal(first.images, one.splits["train"].images[first.examples])
    assert [len(batch.images) for batch in one.val_dataloader()] == [500]
    assert torch.equal(next(iter(one.val_dataloader())).images, one.splits["val"].images)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_memory_is_pinned_for_a_trainer_on_a_gpu_only(
    mnist5k: dict[str, Images], device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on a machine that has a GPU: pinning memory would initialise CUDA."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    module = served(mnist5k, "dynamic", 0)
    strategy = SimpleNamespace(root_device=torch.device(device))
    module.trainer = SimpleNamespace(strategy=strategy, global_rank=0, world_size=1)  # type: ignore[assignment]
    assert module.val_dataloader().pin_memory == (device == "cuda")
