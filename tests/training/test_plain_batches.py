"""`VAEModule` by hand: a plain Trainer and an ordinary DataLoader, as a Lightning user writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import ToTensor

import vae_lightning as vl
from vae_lightning.data import MNIST5k
from vae_lightning.data.images import Batch, Images
from vae_lightning.errors import UserError
from vae_lightning.models.architectures import MLP
from vae_lightning.models.likelihoods import Bernoulli, Gaussian
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.training.plain_batches import as_batch

SHAPE = (1, 28, 28)
pytestmark = [
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`"),
]


def make_vae(shape: tuple[int, int, int] = SHAPE, likelihood: Any = Bernoulli) -> vl.VAE:
    torch.manual_seed(0)
    return vl.VAE(MLP(hidden=(16,)), Diagonal(2), StandardNormal(2), likelihood(shape))


def make_trainer(folder: Path, **more: Any) -> Trainer:
    return Trainer(
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        default_root_dir=folder,
        **more,
    )


class Pairs(Dataset[Any]):
    """(image, label) pairs, as torchvision's data sets give them: floats in [0, 1]."""

    def __init__(self, images: Images) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images.images[index].float() / 255, int(self.images.labels[index])


@pytest.fixture(scope="module")
def few() -> Images:
    test = MNIST5k().splits()["test"]
    return Images(test.images[:60], test.labels[:60])


@pytest.mark.parametrize("kind", ["pairs", "tensors", "uint8 tensors", "tensors without a channel", "TensorDataset"])
def test_it_trains_on_what_a_lightning_user_has(kind: str, few: Images, tmp_path: Path) -> None:
    loaders: dict[str, Any] = {
        "pairs": Pairs(few),
        "tensors": few.images.float() / 255,
        "uint8 tensors": few.images,
        "tensors without a channel": few.images[:, 0],
        "TensorDataset": TensorDataset(few.images, few.labels),
    }
    loader: Any = DataLoader(loaders[kind], batch_size=20)
    module = vl.VAEModule(make_vae())
    trainer = make_trainer(tmp_path, enable_checkpointing=False)
    trainer.fit(module, loader, loader)
    assert trainer.global_step == 3
    # the same images, whatever their form: the same training and the same metrics
    reference = vl.VAEModule(make_vae())
    other = make_trainer(tmp_path, enable_checkpointing=False)
    other.fit(reference, DataLoader(Pairs(few), batch_size=20), DataLoader(Pairs(few), batch_size=7))
    assert trainer.callback_metrics["val/elbo"] == pytest.approx(float(other.callback_metrics["val/elbo"]))


def test_its_metrics_are_those_of_a_run_on_the_same_images(tmp_path: Path) -> None:
    data = MNIST5k()
    module = vl.VAEModule(make_vae())
    loaders: Any = {name: DataLoader(Pairs(data.splits()[name]), batch_size=90) for name in ("val", "test")}
    by_hand = {**make_trainer(tmp_path).validate(module, loaders["val"], verbose=False)[0]}
    by_hand |= make_trainer(tmp_path).test(module, loaders["test"], verbose=False)[0]
    own = {**make_trainer(tmp_path).validate(module, datamodule=vl.DataModule(data), verbose=False)[0]}
    own |= make_trainer(tmp_path).test(module, datamodule=vl.DataModule(data), verbose=False)[0]
    assert set(own) == set(by_hand) >= {"val/elbo", "test/elbo", "test/kl"}
    assert by_hand == pytest.approx(own, rel=1e-6)


def test_it_trains_on_a_folder_of_pictures(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        for index in range(4):
            Image.new("RGB", (8, 8), (40 * index, 0, 200)).save(tmp_path / name / f"{index}.png")
    loader: Any = DataLoader(ImageFolder(str(tmp_path), transform=ToTensor()), batch_size=4)
    module = vl.VAEModule(make_vae((3, 8, 8), Gaussian))
    assert not module.dynamic
    trainer = make_trainer(tmp_path, enable_checkpointing=False)
    trainer.fit(module, loader)
    assert trainer.global_step == 2
    codes: Any = trainer.predict(module, loader)
    assert torch.cat(codes).shape == (8, 2)


def test_a_checkpoint_of_lightning_is_resumed_and_loaded(few: Images, tmp_path: Path) -> None:
    loader: Any = DataLoader(Pairs(few), batch_size=20)
    checkpoint = ModelCheckpoint(tmp_path, monitor="val/elbo", mode="max", save_last=True)
    module = vl.VAEModule(make_vae(), beta_schedule=2.0)
    make_trainer(tmp_path, callbacks=[checkpoint]).fit(module, loader, loader)
    loaded = vl.VAEModule.load_from_checkpoint(checkpoint.best_model_path, vae=make_vae())
    for name, value in module.state_dict().items():
        assert bool((loaded.state_dict()[name] == value).all())
    trainer = make_trainer(tmp_path, enable_checkpointing=False)
    trainer.fit_loop.max_epochs = 2
    trainer.fit(vl.VAEModule(make_vae()), loader, loader, ckpt_path=checkpoint.last_model_path)
    assert trainer.global_step == 6


def test_a_penalty_learns_the_number_of_training_images(few: Images, tmp_path: Path) -> None:
    objective = vl.objectives.Objective(penalty=vl.objectives.TotalCorrelationPenalty())
    loader: Any = DataLoader(Pairs(few), batch_size=20)
    make_trainer(tmp_path, enable_checkpointing=False).fit(vl.VAEModule(make_vae(), objective), loader)
    assert objective.penalty.train_size == 60


def test_a_batch_of_a_run_costs_nothing(few: Images) -> None:
    batch = few[torch.arange(3)]
    assert vl.VAEModule(make_vae()).on_before_batch_transfer(batch, 0) is batch
    assert as_batch(batch, SHAPE) is batch


def test_images_keep_their_values_and_labels() -> None:
    grey = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    batch = as_batch((grey.float() / 255, torch.tensor([3], dtype=torch.int32)), (1, 16, 16), first=5)
    assert torch.equal(batch.images, grey)
    assert (batch.labels.tolist(), batch.labels.dtype, batch.examples.tolist()) == ([3], torch.int64, [5])
    assert as_batch(grey > 127, (1, 16, 16)).images.unique().tolist() == [0, 255]
    assert as_batch((grey, torch.tensor([0.5])), (1, 16, 16)).labels.tolist() == [-1]
    assert isinstance(as_batch([grey], (1, 16, 16)), Batch)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.zeros(2, 3, 28, 28), r"images of shape \(3, 28, 28\), but the VAE takes \(1, 28, 28\)"),
        (torch.full((2, 1, 28, 28), -1.0), "values from -1 to -1: they must be floats in"),
        (torch.full((2, 1, 28, 28), 255.0), "values from 255 to 255"),
        (torch.full((2, 1, 28, 28), float("nan")), "values from nan to nan"),
        (torch.zeros(2, 1, 28, 28, dtype=torch.int64), "dtype torch.int64: they must be uint8, or floats"),
        ({"image": torch.zeros(2, 1, 28, 28)}, "A batch is a dict, but must be a tensor of images"),
        ([], "A batch is a list"),
    ],
)
def test_what_are_no_images_is_one_sentence(batch: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        as_batch(batch, SHAPE)


def test_an_objective_that_does_not_suit_the_model_is_refused_at_once() -> None:
    vae = vl.VAE(MLP(hidden=(16,)), vl.models.posteriors.PointMass(2), StandardNormal(2), Bernoulli(SHAPE))
    with pytest.raises(UserError, match="iwae"):
        vl.VAEModule(vae, vl.objectives.Objective(vl.objectives.IWAE(5)))
