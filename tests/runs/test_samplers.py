"""Samplers of a run: fitted when training ends or by a command, kept in the run, and read back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import yaml

from tests.hostile.samplers import SAMPLERS
from tests.running import SHORT, Runner, train_once
from vae_lightning import load
from vae_lightning.errors import RunError, UserError
from vae_lightning.noise import StreamNoise
from vae_lightning.plots.explorer import page
from vae_lightning.plots.images import samples_title
from vae_lightning.runs.draw import draw_run, prepare_drawing
from vae_lightning.runs.folder import find_run, load_vae
from vae_lightning.runs.samplers import attach_sampler, fingerprint

AUTO_ENCODER = (*SHORT, "posterior=delta", "trainer.max_epochs=1", "logger=none")
EXPLORED = ("images=4", "starts=2")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An auto-encoder with the default sampler."""
    return train_once(tmp_path_factory.mktemp("trained"), *AUTO_ENCODER)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def stamp(run: Path, name: str = "gmm") -> int:
    return (run / "samplers" / f"{name}.pt").stat().st_mtime_ns


def test_an_auto_encoder_gets_a_mixture_and_says_so(runner: Runner) -> None:
    outcome = runner("train", *AUTO_ENCODER)
    (run,) = runner.runs()
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["choices"]["sampler"] == "gmm"
    assert config["sampler"]["components"] == 10
    head, _, rest = outcome.out.partition("results (of the")
    assert "no KL pulls them to p(z), so they do not follow it: samples come from sampler=gmm" in head
    assert "Samples are drawn from sampler=gmm, fitted to the codes of 4,000 training images: 10 components" in rest
    content = torch.load(run / "samplers" / "gmm.pt", weights_only=True)
    assert content["tensors"]["means"].shape == (10, 3)


def test_a_vae_draws_from_its_prior(runner: Runner) -> None:
    outcome = runner("train", *SHORT, "trainer.max_epochs=1", "logger=none")
    (run,) = runner.runs()
    assert yaml.safe_load((run / "config.yaml").read_text())["choices"]["sampler"] == "prior"
    assert not (run / "samplers").exists()
    assert "no KL pulls them" not in outcome.out
    outcome = runner("train", *AUTO_ENCODER, "sampler=prior")
    assert "decoded draws from it rarely look like images; sampler=gmm fits a mixture" in outcome.out
    assert "no KL pulls them" not in runner("train", *AUTO_ENCODER, "objective=mmd").out


def test_every_command_draws_from_the_fitted_one(runner: Runner, run: Path) -> None:
    before = stamp(run)
    outcome = runner("generate", f"run={run}", "what=samples", "samples.rows=1")
    assert "samples      from sampler=gmm" in " ".join(outcome.out.split()).replace("samples from", "samples      from")
    outcome = runner("evaluate", f"run={run}", "measures=[samples]", "samples.images=100", "samples.classifier_steps=2",
                     f"samples.cache={runner.cwd}")  # fmt: skip
    assert "Samples are drawn from sampler=gmm" in outcome.out, outcome.err
    assert find_run(run).results["test"]["samples_sampler"] == "gmm"
    assert runner("explore", f"run={run}", *EXPLORED).status == 0
    assert '"source":"gmm"' in (run / "explorer.html").read_text()
    assert stamp(run) == before, "fitted again"


def test_another_sampler_is_fitted_once_and_kept(runner: Runner, run: Path) -> None:
    arguments = (f"run={run}", "what=samples", "samples.rows=1", "sampler=gmm", "sampler.components=2")
    before = stamp(run)
    assert "2 components" in runner("generate", *arguments).out
    fitted = stamp(run)
    assert fitted != before
    assert "2 components" in runner("generate", *arguments).out
    assert stamp(run) == fitted
    assert "10 components" in runner("generate", *arguments[:3]).out, "the run's own"
    assert runner("generate", *arguments[:3], "sampler=kde").status == 0
    assert (run / "samplers" / "kde.pt").is_file()
    assert "from the prior" in runner("generate", *arguments[:3], "sampler=prior").out
    outcome = runner("generate", *arguments[:3], "checkpoint=last")
    assert (outcome.status, (run / "samplers" / "gmm_last.pt").is_file()) == (0, True)


def test_fitting_again_gives_the_same(run: Path) -> None:
    first = load(run).sample(5, StreamNoise(torch.Generator(), 0))
    shutil.rmtree(run / "samplers")
    vae = load_vae(find_run(run))
    assert "10 components" in attach_sampler(find_run(run), vae)
    assert torch.equal(vae.sample(5, StreamNoise(torch.Generator(), 0)), first)
    assert not torch.equal(load_vae(find_run(run)).sample(5, StreamNoise(torch.Generator(), 0)), first)


def test_a_loaded_model_draws_from_the_fitted_one_or_warns(run: Path) -> None:
    assert load(run).sampler is not None
    assert find_run(run).vae.sampler is not None
    shutil.rmtree(run / "samplers")
    with pytest.warns(UserWarning, match=r"gmm\.pt is missing .*: python generate\.py run="):
        assert load(run).sampler is None


def test_one_that_was_fitted_to_other_weights_is_not_used(run: Path) -> None:
    for path in (run / "checkpoints").glob("*.ckpt"):
        content = torch.load(path, weights_only=True)
        next(iter(content["state_dict"].values())).mul_(1.01)
        torch.save(content, path)
    before = stamp(run)
    attach_sampler(find_run(run), load_vae(find_run(run)))
    assert stamp(run) != before


def test_the_fingerprint_is_that_of_the_weights(run: Path) -> None:
    vae, again = load_vae(find_run(run)), load_vae(find_run(run))
    assert fingerprint(vae) == fingerprint(again)
    next(vae.decoder.parameters()).data[0] += 1e-3
    assert fingerprint(vae) != fingerprint(again)


def test_from_python(run: Path, tmp_path: Path) -> None:
    from vae_lightning.plots.pictures.samples_picture import SamplesPicture

    assert draw_run(find_run(run), [SamplesPicture(rows=1)], tmp_path, device="cpu", sampler="kde")
    with pytest.raises(UserError, match="sampler=kd: must be"):
        draw_run(find_run(run), [SamplesPicture(rows=1)], tmp_path, device="cpu", sampler="kd")
    vae = prepare_drawing(find_run(run), "test", None, "cpu", 0, {"_target_": "vae_lightning.models.samplers.PriorSampler"}).vae
    assert vae.sampler is None
    assert "need not follow" in samples_title(vae)
    assert "sampler=gmm" in samples_title(load(run))


def test_the_explorer_draws_codes_of_the_sampler(run: Path) -> None:
    import json
    import re

    vae = load(run)
    vae.checks_input = False
    text = page(vae, "x", "y", torch.rand(3, 1, 28, 28), torch.zeros(3, dtype=torch.long), None, starts=2)
    found = re.search(r"const MODEL = (\{.*\});\n", text)
    assert found is not None
    draws = torch.tensor(json.loads(found[1])["draws"])
    assert vae.sampler is not None
    torch.testing.assert_close(draws.mean(0), vae.sampler().mean, atol=float(3 * vae.sampler.scale.max() / 200**0.5), rtol=0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["posterior=von_mises_fisher", "sampler=gmm"], "sampler=gmm is incompatible with posterior=von_mises_fisher: it needs"),
        (["sampler=gmm", "sampler.components=0"], "sampler.components=0: must be an integer of at least 1"),
        (["sampler=flow", "sampler.lr=-1"], "sampler.lr=-1: must be"),
        (["sampler=gmm", "sampler.latent_dim=7"], "sampler.latent_dim"),
        (["sampler=mcmc"], "sampler=mcmc: unknown option."),
    ],
)
def test_what_makes_no_sense_ends_before_training(runner: Runner, arguments: list[str], sentence: str) -> None:
    outcome = runner("train", *SHORT, *arguments)
    assert outcome.status == 2
    assert outcome.err.startswith(f"error: {sentence}"), outcome.err
    assert not runner.runs()


def test_a_setting_that_nothing_uses_is_refused(runner: Runner, run: Path) -> None:
    outcome = runner("evaluate", f"run={run}", "measures=[]", "sampler=gmm")
    assert outcome.err == "error: sampler=gmm would have no effect: samples are not measured; add samples to measures.\n"


def test_a_conditional_vae_has_one_for_each_class(runner: Runner) -> None:
    run = runner.trained(*SHORT, "condition=label", "sampler=gmm", "sampler.components=2", "trainer.max_epochs=1", "logger=none")
    vae = load(run)
    assert vae.sampler is not None
    assert "classes" in attach_sampler(find_run(run), load_vae(find_run(run)))
    assert vae.sample(3, StreamNoise(torch.Generator(), 0), torch.tensor([4, 4, 1])).shape == (3, 1, 28, 28)
    assert len(vae.sampler.state_dict()) == 5 * 10 + 2
    assert runner("generate", f"run={run}", "what=samples").status == 0


@pytest.mark.parametrize(
    "arguments", [("hierarchy=two_layer", "hierarchy.z1_dim=4"), ("posterior=flow",), ("posterior=full_covariance",)]
)
def test_codes_of_other_models(runner: Runner, arguments: tuple[str, ...]) -> None:
    run = runner.trained(*SHORT, *arguments, "sampler=gaussian", "trainer.max_epochs=1", "logger=none")
    assert load(run).sample(2).shape == (2, 1, 28, 28)


def test_a_run_made_before_there_were_samplers_draws_from_its_prior(runner: Runner, run: Path) -> None:
    content = yaml.safe_load((run / "config.yaml").read_text())
    del content["sampler"], content["choices"]["sampler"]
    shutil.rmtree(run / "samplers")
    (run / "config.yaml").write_text(yaml.safe_dump(content))
    assert load(run).sampler is None
    assert "from the prior" in runner("generate", f"run={run}", "what=samples").out
    assert runner("evaluate", f"run={run}", "measures=[]").status == 0
    assert runner("train", f"resume={run}", "trainer.max_epochs=2").status == 0
    assert yaml.safe_load((run / "config.yaml").read_text())["choices"]["sampler"] == "prior"


def test_a_resumed_run_ends_as_one_that_was_not_interrupted(runner: Runner) -> None:
    arguments = (*SHORT, "posterior=delta", "lr_schedule=none", "logger=none")
    whole = runner.trained(*arguments)
    part = runner.trained(*arguments, "trainer.max_epochs=1")
    first = stamp(part)
    assert runner("train", f"resume={part}", "trainer.max_epochs=2").status == 0
    assert stamp(part) != first
    one, other = (torch.load(folder / "samplers" / "gmm.pt", weights_only=True) for folder in (whole, part))
    assert one["model"] == other["model"]
    assert all(torch.equal(one["tensors"][name], other["tensors"][name]) for name in one["tensors"])
    assert (whole / "figures" / "samples.png").read_bytes() == (part / "figures" / "samples.png").read_bytes()


@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - {"a FIFO", "a folder"}))
def test_a_hostile_file_is_refused(run: Path, tmp_path: Path, name: str) -> None:
    SAMPLERS[name](run, tmp_path)
    with pytest.raises(RunError, match=r"delete it, and it is fitted anew\.$"):
        attach_sampler(find_run(run), load_vae(find_run(run)))
    assert not Path("pwned").exists()
