"""The command line: what is refused, how it says so, and how quickly."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.running import SHORT, Runner, run_script
from vae_lightning.cli import quote_paths

WRONG = [
    # (command line, status, what the sentence holds)
    ("model=cnn", 2, "model=cnn: no such option. Allowed: conv, mlp, resnet."),
    ("model=convv", 2, "Did you mean 'conv'?"),
    ("modle=conv", 2, "Did you mean 'model'?"),
    ("latent_dims=3", 2, "Did you mean 'latent_dim'?"),
    ("model.hiden=[3]", 2, "Did you mean 'model.hidden'? Keys of model: hidden, activation."),
    ("trainer.max_epoch=3", 2, "Did you mean 'trainer.max_epochs'?"),
    ("experiment=quickstrat", 2, "Did you mean 'quickstart'?"),
    ("beta", 2, "'beta' cannot be read as an override"),
    ("beta=1,2", 2, "add -m"),
    ("-m model=mlp,cnn", 2, "model=cnn: no such option."),
    ("-m bet=1,2", 2, "Did you mean 'beta'?"),
    ("latent_dim=0", 2, "latent_dim=0: must be an integer of at least 1."),
    ("latent_dim=2.5", 2, "latent_dim=2.5"),
    ("latent_dim=many", 2, "latent_dim=many"),
    ("beta=-1", 2, "beta=-1: must be a finite number of at least 0."),
    ("beta=nan", 2, "beta=nan"),
    ("beta=true", 2, "beta=true: must be"),
    ("seed=-1", 2, "seed=-1"),
    ("name=../elsewhere", 2, "name=../elsewhere"),
    ("name=", 2, "name="),
    ("optimizer.lr=-1", 2, "optimizer.lr=-1"),
    ("optimizer.lr=nan", 2, "optimizer.lr=nan"),
    ("optimizer.betas=[2,0.9]", 2, "optimizer: Invalid beta parameter"),
    ("optimizer=sgd optimizer.betas=[0.9,0.9]", 2, "there is no key 'optimizer.betas'"),
    ("beta_schedule=linear beta_schedule.warmup=0", 2, "beta_schedule.warmup=0: must be a finite number above 0"),
    ("beta_schedule=linear beta_schedule.warmup=2", 2, "at most 1"),
    ("beta_schedule=linear beta_schedule.unit=day", 2, "beta_schedule.unit=day: must be one of fraction, epoch, step."),
    ("beta_schedule=cyclical beta_schedule.ratio=0", 2, "beta_schedule.ratio=0"),
    ("beta_schedule.value=2 beta=3", 2, "beta=3 would have no effect"),
    ("likelihood.sigma=1", 2, "there is no key 'likelihood.sigma'"),
    ("likelihood=gaussian likelihood.sigma=0", 2, "likelihood.sigma=0: must be a finite number above 0."),
    ("likelihood=gaussian data.binarize=dynamic", 2, "data.binarize=dynamic: must be auto or none"),
    ("data.binarize=sometimes", 2, "data.binarize=sometimes: must be one of auto, dynamic, static, threshold, none."),
    ("data.batch_size=0", 2, "data.batch_size=0: must be an integer of at least 1."),
    ("data.val_size=1.5", 2, "data.val_size=1.5: must be an integer of at least 1."),
    ("data.val_size=5000", 2, "val_size=5000: must be less than"),
    ("data.root=x", 2, "there is no key 'data.root'"),
    ("data=mnist data.root=nowhere data.download=false", 1, "data=mnist5k"),
    ("model.hidden=[]", 2, "model.hidden=[]"),
    ("model.hidden=[a]", 2, "model.hidden=[a]: must be"),
    ("model.activation=step", 2, "model.activation=step: must be one of relu"),
    ("objective.samples=0", 2, "objective.samples=0"),
    ("lr_schedule=multistep lr_schedule.milestones=3", 2, "lr_schedule.milestones=3"),
    ("lr_schedule=multistep lr_schedule.gamma=2", 2, "lr_schedule.gamma=2"),
    ("trainer.precision=7", 2, "trainer.precision=7: must be 64, 32, 16, transformer-engine"),
    ("trainer.max_epochs=-5", 2, "trainer.max_epochs=-5: must be an integer of at least -1."),
    ("trainer.strategy=fast", 2, "trainer: "),
    ("callbacks.pictures.every_n_epochs=0", 2, "callbacks.pictures.every_n_epochs=0"),
    ("callbacks.best.mode=most", 2, "callbacks.best.mode=most: must be one of max, min."),
]


@pytest.mark.parametrize(("line", "status", "sentence"), WRONG, ids=[line for line, _, _ in WRONG])
def test_wrong_command_lines_end_with_one_sentence_and_no_folder(runner: Runner, line: str, status: int, sentence: str) -> None:
    outcome = runner("train", *line.split())
    assert outcome.status == status
    assert outcome.err.startswith("error: ")
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1
    assert not list(runner.cwd.glob("outputs/**/*"))


def test_full_errors_on_request(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    from vae_lightning.errors import UserError

    with pytest.raises(UserError, match="model=cnn"):
        runner("train", "model=cnn")


@pytest.mark.parametrize("arguments", [["--help"], ["model=cnn"], ["latnt_dim=3"], ["beta=-1"], ["--cfg", "job"]])
def test_answers_without_torch(arguments: list[str], tmp_path: Path) -> None:
    """Help, completion and mistakes must not wait for torch, let alone Lightning."""
    code = (
        f"import sys; sys.argv = ['train.py', *{arguments!r}]\n"
        "from vae_lightning.commands.train import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules and 'lightning' not in sys.modules, 'heavy imports'\n"
        "print('quick')"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "quick" in done.stdout, done.stderr


def test_help_lists_every_group(tmp_path: Path) -> None:
    outcome = run_script("train.py", ["--help"], tmp_path)
    assert outcome.status == 0
    for line in ("model: conv, mlp, resnet", "data: fashion_mnist, mnist, mnist5k", "train: groups and their options"):
        assert line in outcome.out


def test_paths_are_taken_as_typed() -> None:
    assert quote_paths(["run=outputs/beta=4", "beta=2"]) == ["run='outputs/beta=4'", "beta=2"]
    assert quote_paths(["run='quoted'", "run=null"]) == ["run='quoted'", "run=null"]
    assert quote_paths(["-m", "run=a b,c"]) == ["-m", "run='a b','c'"]
    assert quote_paths(["resume=it's"]) == [r"resume='it\'s'"]


def test_a_run_is_found_under_an_odd_name(runner: Runner) -> None:
    folder = runner.trained(*SHORT, "name='beta=4, two words'")
    assert "beta=4, two words" in str(folder)
    outcome = runner("evaluate", f"run={folder}", "nll.samples=2")
    assert outcome.status == 0, outcome.err


def test_options_of_ones_own_folder_are_known(runner: Runner) -> None:
    """--config-dir adds options, which the checks have to see too."""
    (runner.cwd / "mine" / "model").mkdir(parents=True)
    (runner.cwd / "mine" / "model" / "tiny.yaml").write_text(
        "_target_: vae_lightning.architectures.MLP\nhidden: [4]\nactivation: tanh\n"
    )
    outcome = runner("train", "--config-dir", "mine", "model=tiny", "trainer.fast_dev_run=true")
    assert outcome.status == 0, outcome.err
    assert "tiny" in outcome.out
    assert "Did you mean 'tiny'" in runner("train", "--config-dir", "mine", "model=tinny").err
