"""`init_from=` and `freeze=`: another run's weights, kept bit for bit where they should be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.running import SHORT, Runner, train_once
from vae_lightning.runs.folder import find_run, load_vae, read_checkpoint


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_once(tmp_path_factory.mktemp("first"), *SHORT, "trainer.max_epochs=1")


def only_run(runner: Runner, *overrides: str) -> Path:
    before = set(runner.cwd.glob("outputs/*/*"))
    outcome = runner("train", *SHORT, "trainer.max_epochs=1", *overrides)
    assert outcome.status == 0, outcome.err
    (folder,) = set(runner.cwd.glob("outputs/*/*")) - before
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(read_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"])


def test_without_a_step_the_elbo_is_that_of_the_other_run(runner: Runner, first: Path) -> None:
    folder = only_run(runner, f"init_from={first}", "optimizer.lr=0", "seed=7")
    source, started = load_vae(find_run(first)), load_vae(find_run(folder))
    assert all(torch.equal(a, b) for a, b in zip(source.state_dict().values(), started.state_dict().values(), strict=True))
    there, here = (find_run(f).results["test"]["elbo"] for f in (first, folder))
    assert here == there
    assert find_run(folder).config.init_from == str(first)


def test_frozen_parts_stay_and_the_others_move(runner: Runner, first: Path) -> None:
    folder = only_run(runner, f"init_from={first}", "freeze=[encoder]")
    old, new = dict(read_checkpoint(find_run(first).checkpoint)["state_dict"]), weights(folder)
    encoder = [name for name in new if name.startswith("vae.encoder.")]
    assert encoder
    assert all(torch.equal(old[name], new[name]) for name in encoder)
    assert not any(torch.equal(old[name], new[name]) for name in new if name.startswith("vae.decoder."))


def test_a_frozen_run_is_resumed_from_its_own_weights(runner: Runner, first: Path) -> None:
    """Without the other run, which may be gone by then."""
    folder = only_run(runner, f"init_from={first}", "freeze=decoder")
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace(str(first), "/nowhere"))
    decoder = {name: value for name, value in weights(folder).items() if name.startswith("vae.decoder.")}
    outcome = runner("train", f"resume={folder}", "trainer.max_epochs=2", "trust_run_code=true")
    assert outcome.status == 0, outcome.err
    assert all(torch.equal(value, weights(folder)[name]) for name, value in decoder.items())


def test_what_does_not_fit_is_named(runner: Runner, first: Path) -> None:
    outcome = runner("train", *SHORT, "trainer.max_epochs=1", f"init_from={first}", "latent_dim=5")
    assert outcome.status == 0, outcome.err
    assert "so new: encoder." in outcome.out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["init_from=nowhere"], "run=nowhere: no such file or folder"),
        (["freeze=[encodr]"], "freeze=encodr: must be parts of this model that have weights: encoder, decoder"),
        (["freeze=[encoder,decoder]"], "freeze=[encoder,decoder]: leaves no weight to train"),
        (["freeze=3"], "freeze=3: must be parts of this model"),
    ],
)
def test_wrong_settings_end_in_a_sentence(runner: Runner, overrides: list[str], message: str) -> None:
    outcome = runner("train", *SHORT, *overrides)
    assert outcome.status == 2
    assert message in outcome.err
    assert not (runner.cwd / "outputs").exists()


def test_nothing_that_fits_is_an_error(runner: Runner, first: Path) -> None:
    outcome = runner("train", *SHORT, f"init_from={first}", "model.hidden=[7]", "latent_dim=5")
    assert outcome.status == 2
    assert "none of its weights fit this model" in outcome.err
