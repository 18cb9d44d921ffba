"""A wrong command line or file ends with one sentence: what is wrong, with which value, what is allowed."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.running import SHORT, Outcome, Runner, in_process, run_script, train_once
from vae_lightning.data.mnist import FILES

WRONG = [
    # (command line, exit status, part of the sentence)
    ("beta=2 model=cnn", 2, "error: model=cnn: unknown option. Allowed: conv, mlp, resnet, unet_kl."),
    ("+model@here=cnn", 2, "model=cnn: unknown option. Allowed"),
    ("model=convv", 2, "Did you mean 'conv'?"),
    ("modle=conv", 2, "Did you mean 'model'?"),
    ("latent_dims=3", 2, "Did you mean 'latent_dim'?"),
    ("model.hiden=[3]", 2, "Did you mean 'model.hidden'? Keys of model: hidden, activation, init_std."),
    ("hiden=[3]", 2, "unknown key 'hiden'. Did you mean 'hidden'?"),
    ("-m optimizer=adam,sgd optimizer.betas=[0.9,0.9]", 2, "unknown key 'optimizer.betas'"),
    ("++model.width=3", 2, "model.width=3: MLP takes no such argument."),
    ("+width=0 model.hidden=[${width}]", 2, "model.hidden=[0]: must be"),
    ("trainer.max_epoch=3", 2, "Did you mean 'trainer.max_epochs'?"),
    ("experiment=quickstrat", 2, "Did you mean 'quickstart'?"),
    ("beta", 2, "'beta' cannot be read as an override"),
    ("beta=1,2", 2, "add -m"),
    ("-m model=mlp,cnn", 2, "model=cnn: unknown option."),
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
    ("optimizer=sgd optimizer.betas=[0.9,0.9]", 2, "unknown key 'optimizer.betas'"),
    ("beta_schedule=linear beta_schedule.warmup=0", 2, "beta_schedule.warmup=0: must be a finite number above 0"),
    ("beta_schedule=linear beta_schedule.warmup=2", 2, "at most 1"),
    ("beta_schedule=linear beta_schedule.unit=day", 2, "beta_schedule.unit=day: must be one of fraction, epoch, step."),
    ("beta_schedule=cyclical beta_schedule.ratio=0", 2, "beta_schedule.ratio=0"),
    ("beta_schedule.value=2 beta=3", 2, "beta=3 would have no effect"),
    ("likelihood.sigma=1", 2, "unknown key 'likelihood.sigma'"),
    ("likelihood=gaussian likelihood.sigma=0", 2, "likelihood.sigma=0: must be a finite number above 0."),
    ("likelihood=gaussian data.binarize=dynamic", 2, "data.binarize=dynamic: must be auto or none"),
    ("data.binarize=sometimes", 2, "data.binarize=sometimes: must be one of auto, dynamic, static, threshold, none."),
    ("data.batch_size=0", 2, "data.batch_size=0: must be an integer of at least 1."),
    ("data.val_size=1.5", 2, "data.val_size=1.5: must be an integer of at least 1."),
    ("data.val_size=5000", 2, "val_size=5000: must be less than"),
    ("data.root=x", 2, "unknown key 'data.root'"),
    ("data=mnist data.root=nowhere data.download=false", 2, "data=mnist5k"),
    ("model.hidden.0=3", 2, "unknown key 'model.hidden.0'."),
    ("model.hidden=[]", 2, "model.hidden=[]"),
    ("model.hidden=[a]", 2, "model.hidden=[a]: must be"),
    ("model.activation=step", 2, "model.activation=step: must be one of relu"),
    ("objective.bound.samples=0", 2, "objective.bound.samples=0"),
    ("lr_schedule=multistep lr_schedule.milestones=3", 2, "lr_schedule.milestones=3"),
    ("lr_schedule=multistep lr_schedule.gamma=2", 2, "lr_schedule.gamma=2"),
    ("trainer.precision=7", 2, "trainer.precision=7: must be 64, 32, 16, transformer-engine"),
    ("trainer.max_epochs=-5", 2, "trainer.max_epochs=-5: must be an integer of at least 1, or -1 for no limit."),
    ("trainer.strategy=fast", 2, "trainer: "),
    ("callbacks.pictures.every_n_epochs=0", 2, "callbacks.pictures.every_n_epochs=0"),
    ("callbacks.best.mode=most", 2, "callbacks.best.mode=most: must be one of max, min."),
    ("model=null", 2, "model=null: unknown option (~model leaves model out). Allowed: conv, mlp, resnet, unet_kl."),
    ("~model", 2, "model is not set, but a run needs it"),
    ("-sc", 2, "--shell-completion: takes one of install=<shell>"),
    ("-sc beta=3", 2, "--shell-completion: takes one of install=<shell>"),
    ("--experimental-rerun x", 2, "--experimental-rerun: is not supported"),
    ("--hydra-help beta=3", 2, "--hydra-help: takes no overrides: leave beta=3 out."),
    ("--config-path=/nope", 2, "--config-path: is not supported"),
    ("--cfg job --package nope", 2, "--package nope: the configuration has no such node."),
    ("output_dir='~nosuchuser/x'", 2, "output_dir=~nosuchuser/x cannot be accessed (there is no such user)."),
    (f"output_dir={'x/' * 3000}", 2, "cannot be accessed (File name too long)."),
    (f"output_dir={'x/' * 3000} trainer.fast_dev_run=true", 2, "cannot be accessed (File name too long)."),
    (f"data=mnist data.root={'x' * 300}", 2, "cannot be accessed (File name too long)."),
    ("data=mnist data.root='~nosuchuser/x'", 2, "data.root=~nosuchuser/x cannot be accessed (there is no such user)."),
    (f"model.hidden=[{','.join(['8'] * 20001)}]", 2, "cannot be read as an override: it has 40,016 characters, and at most"),
    ("data.num_workers=256", 2, "data.num_workers=256: must be at most"),
    ("trainer.max_time='99999999999:00:00:00'", 2, "each at most 999999, or null."),
    ("trainer.max_time={hours:1e400}", 2, "each at most 999999, or null."),
    ("trainer.max_time={hours:true}", 2, "each at most 999999, or null."),
    ("prior=flow prior.hidden=[4096,4096,4096,4096,4096,4096,4096]", 2, "widths that make at most 10,000,000 weights with"),
    ("posterior=flow posterior.steps=1000 posterior.hidden=[1000]", 2, "widths that make at most 10,000,000 weights with"),
    ("--nonsense", 2, "unrecognized arguments: --nonsense"),
    ("--config-dir=nowhere", 2, "--config-dir nowhere: no such folder."),
    ("--config-name=trian", 2, "there is no configuration file 'trian'."),
    ("+foo=3", 2, "foo=3: unknown key 'foo', and nothing uses it."),
    ("+model.width=3", 2, "model.width=3: MLP takes no such argument. It takes hidden, activation, init_std."),
    ("+trainer.max_epoch=3", 2, "trainer.max_epoch=3: Trainer takes no such argument. Did you mean 'max_epochs'?"),
    ("model._target_=torch.nn.Nope", 2, "model._target_=torch.nn.Nope: cannot be imported"),
    ("model._target_=null", 2, "must be an option, whose _target_"),
    ("data._target_=torch.nn.Identity ~data.val_size ~data.test_size", 2, "data."),
    ("latent_dim=null", 2, "latent_dim=null: must be an integer of at least 1."),
    ("latent_dim='3'", 2, "latent_dim='3': must be an integer"),
    ("latent_dim=1000000000000", 2, "latent_dim=1000000000000: must be an integer of at least 1 and at most 2147483647."),
    ("latent_dim=???", 2, "latent_dim is not set: add latent_dim=…"),
    ("beta=inf", 2, "beta=inf: must be a finite number"),
    ("model.hidden=${nope}", 2, "model: Interpolation key 'nope' not found."),
    ("beta=${oc.env:NOPE_NOT_SET}", 2, "beta: KeyError raised while resolving interpolation"),
    ("output_dir=/dev/null/x", 1, "cannot be created (Not a directory): set output_dir"),
    ("name=a/../../b", 2, "name=a/../../b: must be the name of a folder below output_dir."),
    ("name=/tmp/x", 2, "name=/tmp/x: must be"),
    ("optimizer.lr=null", 2, "optimizer.lr=null: must be a finite number of at least 0."),
    ("optimizer.lr=[1]", 2, "optimizer.lr=[1]: must be a finite number of at least 0."),
    ("optimizer.betas=[0.9]", 2, "optimizer.betas=[0.9]: must be a list of 2, each a finite number."),
    ("optimizer.betas=[0.9,nan]", 2, "optimizer.betas=[0.9,nan]: must be a list of 2"),
    ("optimizer.fused=maybe", 2, "optimizer.fused=maybe: must be true, false or null."),
    ("optimizer.weight_decay=-1", 2, "optimizer.weight_decay=-1: must be a finite number of at least 0."),
    ("optimizer.fused=true optimizer.foreach=true", 2, "optimizer: `fused` and `foreach` cannot be `True` together."),
    ("optimizer=sgd optimizer.nesterov=true optimizer.momentum=0", 2, "Nesterov momentum requires a momentum"),
    ("optimizer=sgd optimizer.momentum=nan", 2, "optimizer.momentum=nan: must be a finite number."),
    ("data.drop_last=true data.batch_size=5000", 2, "data.batch_size=5000: must be at most 4000 with data.drop_last=true"),
    # beyond what libraries or machines can hold
    ("data.batch_size=99999999999999999999", 2, "must be an integer of at least 1 and at most 2147483647."),
    ("data.eval_batch_size=99999999999999999999", 2, "must be an integer of at least 1 and at most 2147483647."),
    ("objective.bound.samples=99999999999999999999", 2, "must be an integer of at least 1 and at most 2147483647."),
    ("trainer.accumulate_grad_batches=99999999999999999999", 2, "must be an integer of at least 1 and at most 2147483647."),
    ("trainer.max_epochs=99999999999999999999", 2, "must be an integer of at least -1 and at most 2147483647."),
    (f"seed={10**50}", 2, f"must be an integer of at least 0 and at most {2**128 - 1}."),
    (f"beta={10**400}", 2, "must be a finite number of at least 0."),
    (f"latent_dim={'9' * 4400}", 2, "cannot be read as an override"),
    ("latent_dim=1000000000", 1, "The model has 770,001,067,280 parameters, which need 6.2 TB"),
    ("model.hidden=[1000000000]", 1, "make it smaller (hidden=[1000000000] latent_dim=16)."),
    ("model=conv model.kernel=1000000", 1, "parameters, which need"),
    ("model=resnet model.blocks=1000000", 2, "model.blocks=1000000: must be an integer of at least 1 and at most 1000."),
    ("posterior=planar posterior.steps=1000000", 2, "must be an integer of at least 1 and at most 1000."),
    ("posterior=flow latent_dim=1000000", 2, "latent_dim=1000000: must be an integer of at least 1 and at most 4096."),
    ("posterior=full_covariance latent_dim=10000000", 1, "parameters, which need"),
    ("posterior=categorical posterior.classes=1000000000", 1, "parameters, which need"),
    ("prior=mixture prior.components=2000000000", 1, "parameters, which need"),
    ("prior=vamp prior.pseudo_inputs=1000000000", 1, "The model has 784,001,079,600 parameters"),
    ("prior=flow prior.hidden=[1000000]", 2, "prior.hidden=[1000000]: must be a list of integers"),
    ("hierarchy=two_layer hierarchy.z1_dim=1000000000", 1, "z1_dim=1000000000"),
    ("hierarchy=ladder hierarchy.dims=[1000000000]", 1, "dims=[1000000000]"),
    ("trainer.accelerator=cpu trainer.devices=999", 2, "trainer.devices=999: must be at most"),
    ("trainer.num_nodes=3", 2, "was not started by SLURM or torchrun"),
    # objects of the wrong kind, and options that do not exist
    *(
        (f"{key}._target_=builtins.dict", 2, f"{key}._target_=builtins.dict: must name a subclass of")
        for key in (
            "data",
            "model",
            "posterior",
            "prior",
            "likelihood",
            "hierarchy",
            "condition",
            "objective",
            "objective.bound",
            "objective.penalty",
            "beta_schedule",
            "lr_schedule",
            "trainer",
            "logger.tensorboard",
        )
    ),
    ("optimizer._target_=builtins.dict", 2, "optimizer: dictionary update sequence"),
    ("data=[mnist5k,sprites]", 2, "data takes one option, not a list. Allowed: arrays, celeba, cifar10"),
    ("model=[mlp,conv]", 2, "model takes one option, not a list."),
    ("~trainer", 2, "trainer is not set, and this command needs it: set it with trainer=…, and leave ~trainer out."),
    ("~latent_dim", 2, "latent_dim is not set, and this command needs it"),
    ("model.hidden={a:3}", 2, "model.hidden={a:3}: must be a list, not a mapping."),
    ("name=1", 2, "name=1: is read as a number, but must be text: quote it (name=\"'1'\")."),
    ("name=nan", 2, "name=nan: is read as a number, but must be text"),
    ("name=true", 2, "name=true: is read as true or false, but must be text"),
    ("output_dir=3", 2, "output_dir=3: is read as a number, but must be text"),
    ("--help modle", 2, "--help modle: unknown group. Did you mean 'model'? Groups: beta_schedule,"),
    ("--help model=cnn", 2, "model=cnn: unknown option. Allowed: conv, mlp, resnet, unet_kl."),
    ("data.num_workers=1000000", 2, "data.num_workers=1000000: must be at most"),
    ("data.test_size=5000", 2, "data.test_size=5000: must be less than the 5000 images"),
    ("trainer.max_epochs=abc", 2, "trainer.max_epochs=abc: must be an integer or null."),
    ("trainer.max_epochs=1.5", 2, "trainer.max_epochs=1.5: must be an integer or null."),
    ("trainer.log_every_n_steps=0", 2, "trainer.log_every_n_steps=0: must be an integer of at least 1."),
    ("trainer.check_val_every_n_epoch=0", 2, "trainer.check_val_every_n_epoch=0: must be an integer of at least 1."),
    ("trainer.limit_train_batches=1.5", 2, "trainer.limit_train_batches=1.5: must be a share"),
    ("trainer.limit_train_batches=0", 2, "trainer.limit_train_batches=0: must be above 0"),
    ("trainer.max_steps=0", 2, "trainer.max_steps=0: must be an integer of at least 1, or -1 for no limit."),
    ("trainer.max_steps=-2", 2, "trainer.max_steps=-2: must be an integer of at least 1, or -1 for no limit."),
    ("trainer.limit_val_batches=many", 2, "trainer.limit_val_batches=many: must be an integer, a finite number or null."),
    ("trainer.val_check_interval=0", 2, "trainer.val_check_interval=0: must be above 0"),
    ("trainer.val_check_interval=1000000", 2, "trainer.val_check_interval=1000000: must be at most 63, the batches of an epoch."),
    ("trainer.num_sanity_val_steps=nan", 2, "trainer.num_sanity_val_steps=nan: must be an integer"),
    ("trainer.devices=1000000000000", 2, "trainer.devices=1000000000000: must be at most"),
    ("trainer.accelerator=abacus", 2, "accelerator='abacus'`. Available names are"),
    ("trainer.precision=64-true", 2, "trainer.precision=64-true: must be one of 32-true, bf16-mixed"),
    ("trainer.gradient_clip_val=-1", 2, "trainer.gradient_clip_val=-1: must be a finite number of at least 0."),
    ("trainer.gradient_clip_val=1 trainer.precision=16-mixed", 2, "set optimizer.fused=false, or trainer.precision=bf16-mixed."),
    ("trainer.min_epochs=9 trainer.max_epochs=3", 2, "trainer.min_epochs=9 would have no effect: trainer.max_epochs=3 ends"),
    ("trainer.min_steps=9 trainer.max_steps=3", 2, "raise trainer.max_steps, or leave trainer.min_steps out."),
    ("trainer.gradient_clip_val=1 trainer.precision=16", 2, "set optimizer.fused=false"),
    ("trainer.max_time=soon", 2, "trainer.max_time=soon: must be text such as '00:00:10:00'"),
    ("trainer.plugins=abc", 2, "trainer.plugins=abc: must be null or a list of mappings"),
    ("trainer.profiler=fast", 2, "trainer: When passing string value for the `profiler`"),
    ("callbacks.best.monitor=loss", 2, "callbacks.best.monitor=loss: must be one of val/elbo"),
    (
        "callbacks=early_stopping callbacks.early_stopping.mode=most",
        2,
        "callbacks.early_stopping.mode=most: must be one of min, max.",
    ),
    (
        "callbacks=early_stopping callbacks.early_stopping.patience=abc",
        2,
        "callbacks.early_stopping.patience=abc: must be an integer.",
    ),
    ("+callbacks.mine=3", 2, "callbacks.mine=3: must be an option, whose _target_"),
    ("+callbacks.mine._target_=vae_lightning.schedules.Constant", 2, "makes a Constant, which is not a Lightning callback."),
    ("logger=csv logger.csv.flush_logs_every_n_steps=0", 2, "logger.csv.flush_logs_every_n_steps=0: must be"),
]


def assert_one_sentence(outcome: Outcome, status: int, sentence: str) -> None:
    assert outcome.status == status, outcome.err
    last = outcome.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert sentence in last
    assert outcome.err.count("\n") == 1
    assert last.rstrip().endswith((".", "?"))


@pytest.mark.parametrize(("line", "status", "sentence"), WRONG, ids=[line for line, _, _ in WRONG])
def test_wrong_command_lines_end_with_one_sentence_and_no_folder(runner: Runner, line: str, status: int, sentence: str) -> None:
    assert_one_sentence(runner("train", *line.split()), status, sentence)
    assert list(runner.cwd.iterdir()) == []


def test_help_on_a_group_lists_its_options(runner: Runner) -> None:
    outcome = runner("train", "--help", "model", "optimizer")
    assert outcome.status == 0, outcome.err
    assert "\nmodel=mlp      Fully connected layers" in outcome.out
    assert "optimizer=adam     torch.optim.Adam" in outcome.out.splitlines()


def test_tasks_of_a_slurm_session_that_nobody_started(runner: Runner) -> None:
    runner.monkeypatch.setenv("SLURM_NTASKS", "4")
    outcome = runner("train", "trainer.fast_dev_run=true")
    assert_one_sentence(outcome, 2, "for one process, put 'env -u SLURM_NTASKS' before the command; for 4 on each node, 'srun")


@pytest.mark.parametrize(
    "line",
    [
        "posterior=full_covariance latent_dim=2048 model.hidden=[2048]",
        f"model.hidden=[{','.join(['2048'] * 1000)}]",
        "model=conv model.channels=[2048,2048] model.kernel=31",
        "model=resnet model.channels=[2048,2048,2048]",
        f"posterior=flow model.hidden=[{','.join(['2048'] * 100)}]",
        f"prior=flow model.hidden=[{','.join(['2048'] * 100)}]",
        "objective=iwae objective.bound.samples=20000 trainer.accelerator=cpu",
    ],
)
def test_what_does_not_fit_into_memory_is_refused_without_making_it(runner: Runner, line: str) -> None:
    """Each number is small; their product is not."""
    runner.monkeypatch.setattr("vae_lightning.config.machine.free_memory", lambda: 10**9)
    outcome = runner("train", *line.split())
    assert_one_sentence(outcome, 1, "GB of memory are free: ")
    assert list(runner.cwd.iterdir()) == []


def test_weights_are_the_same_where_their_memory_was_estimated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from vae_lightning.config import build

    checked = build.check_memory
    monkeypatch.setattr(build, "check_memory", lambda *_: None)
    line = ("train", *SHORT, "trainer.fast_dev_run=true", "posterior=categorical")
    plain = in_process(tmp_path, *line).out
    monkeypatch.setattr(build, "check_memory", checked)
    assert in_process(tmp_path, *line).out == plain


def test_a_wrong_command_line_in_a_separate_process(tmp_path: Path) -> None:
    assert_one_sentence(run_script("train.py", ["optimizer.lr=nan"], tmp_path), 2, "optimizer.lr=nan: must be")
    assert not list(tmp_path.glob("outputs/*"))


# -------------------------------------------------------------------- the user's own files

OWN_FILES = [
    ("experiment/mine.yaml", "# @package _global_\nlatnt_dim: 3", "unknown key 'latnt_dim', and nothing uses it."),
    ("experiment/mine.yaml", "# @package _global_\nmodel: {hiden: [3]}", "MLP takes no such argument. Did you mean 'hidden'?"),
    ("experiment/mine.yaml", "# @package _global_\nbeta: -1", "beta=-1: must be"),
    ("experiment/mine.yaml", "# @package _global_\nmodel: {hidden: [", "while parsing a flow node"),
    ("experiment/mine.yaml", "# @package _global_\ndefaults: [override /model: cnn]", "configuration file 'model/cnn'. Allowed"),
    ("model/mine.yaml", "hidden: [3]", "must be an option, whose _target_ is the dotted name of a class."),
    ("model/mine.yaml", "_target_: no_such_module.Tiny", "cannot be imported (No module named 'no_such_module')."),
    ("model/mine.yaml", "_target_: vae_lightning.models.architectures.MLP\nwidth: 3", "width=3: MLP takes no such argument"),
    ("likelihood/mine.yaml", "_target_: torch.nn.Linear", "likelihood.in_features is not set: Linear needs it"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "text", "sentence"), OWN_FILES)
def test_wrong_files_of_the_user(runner: Runner, path: str, text: str, sentence: str) -> None:
    file = runner.cwd / "mine" / path
    file.parent.mkdir(parents=True)
    file.write_text(text)
    outcome = runner("train", "--config-dir", "mine", f"{file.parent.name}=mine", "trainer.fast_dev_run=true")
    assert_one_sentence(outcome, 2, sentence)


# -------------------------------------------------------------------- data files


def write_mnist(root: Path, side: int = 28, train: int = 40, test: int = 10) -> Path:
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split, count in (("train", train), ("test", test)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = np.broadcast_to(labels[:, None, None] * 20, (count, side, side))
        for name, array in zip(FILES[split], (images, labels), strict=True):
            (raw / name).write_bytes(
                bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
            )
    return raw


LITTLE = (
    "data=mnist",
    "data.root=here",
    "data.download=false",
    "data.val_size=10",
    "trainer.fast_dev_run=true",
    "model.hidden=[4]",
)
IMAGES, LABELS = FILES["train"]


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def bomb(path: Path, header: bytes) -> None:
    """64 MB of zeros, 64 kB when gzipped."""
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(header + bytes(2**26)))
    path.unlink()


def packed(path: Path, size: int | None = None) -> None:
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes())[:size])
    path.unlink()


DATA_FILES: list[tuple[Any, str]] = [
    (lambda raw: cut(raw / IMAGES, 0), "is not an IDX file of unsigned bytes (it has 0 bytes)"),
    (lambda raw: cut(raw / IMAGES, 10), "is not an IDX file"),
    (lambda raw: cut(raw / IMAGES, 1000), "promises 31360 bytes, but only 984 are present: delete it"),
    (lambda raw: cut(raw / LABELS, 20), "promises 40 bytes, but only 12 are present"),
    (lambda raw: (raw / LABELS).unlink(), f"{LABELS} not found in"),
    (lambda raw: shutil.copy(raw / FILES["test"][1], raw / LABELS), "holds 40 images, and"),
    (lambda raw: shutil.copy(raw / LABELS, raw / IMAGES), "holds an array of 1 dimensions instead of 3"),
    (lambda raw: shutil.rmtree(raw), "not found in"),
    (lambda raw: packed(raw / IMAGES, 40), ".gz is damaged (Compressed file ended"),
    (lambda raw: packed(raw / IMAGES, 0), ".gz is not an IDX file of unsigned bytes (it has 0 bytes)"),
    (lambda raw: (raw / f"{IMAGES}.gz").write_bytes(b"plain") and (raw / IMAGES).unlink(),
     ".gz is not an IDX file of unsigned bytes (it has 5 bytes)"),
    (lambda raw: write_mnist(raw / "x", 32) and shutil.copy(raw / "x/MNIST/raw" / FILES["test"][0], raw / FILES["test"][0]),
     "must be non-empty and share one image shape"),
    (lambda raw: (raw / IMAGES).unlink() or (raw / IMAGES).mkdir(), "cannot be read (Is a directory)"),
    (lambda raw: fifo(raw / IMAGES), "is a FIFO, a device or a socket, not an ordinary file"),
    (lambda raw: (raw / IMAGES).unlink() or (raw / IMAGES).symlink_to("/dev/zero"), "is a FIFO, a device or a socket"),
    (lambda raw: bomb(raw / IMAGES, b"\0\0\x08\x03" + struct.pack(">3I", 40, 28, 28)), "31360 bytes, but more are present"),
    (lambda raw: bomb(raw / IMAGES, b"\0\0\x08\x03" + b"\xff" * 12), "more than the 1073741824 that are read: delete it"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "sentence"), DATA_FILES, ids=[sentence for _, sentence in DATA_FILES])
def test_wrong_data_files(runner: Runner, damage: Any, sentence: str) -> None:
    damage(write_mnist(runner.cwd / "here"))
    assert_one_sentence(runner("train", *LITTLE), 2, sentence)


def test_packed_data_files_are_read(runner: Runner) -> None:
    raw = write_mnist(runner.cwd / "here")
    for names in FILES.values():
        for name in names:
            packed(raw / name)
    outcome = runner("train", *LITTLE)
    assert outcome.status == 0, outcome.err
    assert "train 30, val 10, test 10" in outcome.out


# -------------------------------------------------------------------- run folders


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cwd = tmp_path_factory.mktemp("trained")
    write_mnist(cwd / "here")
    return train_once(cwd, *LITTLE[:4], f"data.root={cwd / 'here'}", *SHORT, "trainer.max_epochs=1", "logger=none")


def text_of(name: str, text: str) -> Any:
    return lambda run: (run / name).write_text(text)


def other_weights(run: Path) -> None:
    torch.save({"state_dict": {"vae.encoder.1.weight": torch.zeros(3, 3)}}, run / "checkpoints" / "best.ckpt")


RUN_FILES: list[tuple[Any, list[str], int, str]] = [
    (lambda run: shutil.rmtree(run / "checkpoints"), [], 2, "has no checkpoint best.ckpt in"),
    (lambda run: (run / "checkpoints/last.ckpt").unlink(), ["checkpoint=last"], 2, "has no checkpoint last.ckpt in"),
    (lambda run: (run / "config.yaml").unlink(), [], 2, "is not a run folder: it has no config.yaml."),
    (lambda run: (run / "config.yaml").unlink() or (run / "config.yaml").mkdir(), [], 2, "config.yaml is not a file"),
    (text_of("config.yaml", ""), [], 2, "config.yaml is not the configuration of a run."),
    (text_of("config.yaml", "schema_version: 3"), [], 2, "schema_version=3, but this version of vae-lightning reads 2."),
    (text_of("config.yaml", "{"), [], 1, "config.yaml is damaged and cannot be read."),
    (text_of("results.json", "{"), [], 1, "results.json is damaged and cannot be read: expecting property name"),
    (text_of("results.json", "[" * 10**6), [], 1, "results.json is damaged and cannot be read"),
    (text_of("results.json", "[1]"), [], 1, "results.json is damaged and cannot be read: expected object, got array."),
    (text_of("results.json", '{"test": 3}'), [], 1, "cannot be read: test: expected object, got int."),
    (other_weights, [], 1, "best.ckpt does not match the model that"),
    (lambda run: (write_mnist(run / "big", 32)), ["data.root={run}/big"], 2, "are 1×32×32 (channels × height × width)"),
    (lambda run: (write_mnist(run / "few", 28, 40, 0)), ["data.root={run}/few"], 2, "holds 0 images, and"),
    (lambda run: None, ["data.root={run}/nowhere"], 2, "not found in"),
    (lambda run: None, ["run=[1,2]"], 2, "no such file or folder"),
    (lambda run: None, ["run='a\x00b'"], 2, "must be the path of a run folder"),
    (lambda run: None, ["run=~nosuchuser/x"], 2, "run=~nosuchuser/x cannot be accessed (there is no such user)."),
    (lambda run: None, ["run=" + "a" * 5000], 2, "cannot be accessed (File name too long)"),
    (lambda run: None, ["+nll.sample=3"], 2, "unknown key 'nll.sample', and nothing uses it. Did you mean 'nll.samples'?"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "more", "status", "sentence"), RUN_FILES, ids=[case[-1] for case in RUN_FILES])
def test_wrong_run_folders(runner: Runner, trained: Path, damage: Any, more: list[str], status: int, sentence: str) -> None:
    run = Path(shutil.copytree(trained, runner.cwd / "run"))
    damage(run)
    outcome = runner("evaluate", f"run={run}", "nll.samples=0", *(text.format(run=run) for text in more))
    assert_one_sentence(outcome, status, sentence)


WRONG_FOR_A_RUN: list[tuple[str, int, str]] = [
    ("evaluate batch_size=99999999999999999999", 2, "must be an integer of at least 1 and at most 2147483647."),
    ("evaluate nll.samples=99999999", 2, "nll.samples=99999999: must be an integer of at least 0 and at most 1000000, or null."),
    ("evaluate nll.chunk=99999999", 2, "nll.chunk=99999999: must be an integer of at least 1 and at most 1000000."),
    ("evaluate latents.points=99999999", 2, "latents.points=99999999: must be"),
    ("evaluate ais.chains=99999999 measures=[ais]", 2, "ais.chains=99999999: must be"),
    ("evaluate nll=3", 2, "nll=3: must be a mapping of settings"),
    ("explore file=3", 2, "file=3: must be a path, or null for one in the run folder; quote a number (file=\"'3'\")."),
    ("explore file=folder", 2, "file=folder: must be the path of a file, but this is a folder."),
    ("explore file=file/x", 1, "cannot be written"),
    ("explore images=99999999", 2, "images=99999999: must be an integer of at least 1 and at most 10000."),
    (
        "explore file=config.yaml",
        2,
        "must be a new file, or one that ends in .html or .htm and may be replaced.",
    ),
    ("explore file=fifo.html", 2, "file=fifo.html: must be the path of a file, but this is a device, a FIFO or a broken link."),
    ("explore file=dangling.html", 2, "must be the path of a file, but this is a device, a FIFO or a broken link."),
    (f"explore file={'x' * 300}", 2, "cannot be accessed (File name too long)."),
    ("export folder=fifo.html", 2, "folder=fifo.html: must be the path of a folder, but this is not one."),
    ("export folder=file", 2, "folder=file: must be the path of a folder, but this is not one."),
    ("export folder=file/x formats=[safetensors]", 1, "cannot be written (Not a directory)"),
    ("export formats=[]", 2, "formats=[]: must be a list of formats, such as [onnx]: onnx, safetensors."),
    ("export formats=[[a]]", 2, "formats=[a]: unknown format."),
    ("generate folder=file", 2, "folder=file: must be the path of a folder, but this is not one."),
    ("generate samples.rows=99999999", 2, "samples.rows=99999999: must be an integer of at least 1 and at most 300, or null."),
    (
        "generate samples.rows=300 samples.columns=300 what=samples",
        2,
        "samples.columns: make a picture of 90,000",
    ),
    ("generate interpolations.rows=300 interpolations.columns=300 what=interpolations", 2, "of 90,000 images of 1×28×28 pixels"),
    ("generate reconstructions.count=10000 reconstructions.columns=1", 2, "reconstructions.columns=1: must be at least 34 with"),
    ("generate reconstructions.count=90000 reconstructions.columns=300", 2, "reconstructions.count: make a picture of 180,000"),
    ("generate traversals.reach=1e300", 2, "traversals.reach=1e+300: must be a finite number above 0 and at most 1000."),
    ("generate manifold.side=99999999", 2, "manifold.side=99999999: must be an integer of at least 1 and at most 300."),
]


@pytest.mark.parametrize(("line", "status", "sentence"), WRONG_FOR_A_RUN, ids=[line for line, _, _ in WRONG_FOR_A_RUN])
def test_wrong_command_lines_on_a_run(runner: Runner, trained: Path, line: str, status: int, sentence: str) -> None:
    (runner.cwd / "file").write_text("x")
    (runner.cwd / "config.yaml").write_text("x")
    (runner.cwd / "folder").mkdir()
    os.mkfifo(runner.cwd / "fifo.html")
    (runner.cwd / "dangling.html").symlink_to("nowhere")
    command, *more = line.split()
    assert_one_sentence(runner(command, f"run={trained}", *more), status, sentence)


@pytest.mark.parametrize(
    "line", ["explore images=2 starts=1", "export formats=[safetensors]", "evaluate measures=[reconstructions] per_image=true"]
)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk(runner: Runner, trained: Path, line: str, number: int) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    run = shutil.copytree(trained, runner.cwd / "run")
    runner.monkeypatch.setattr("vae_lightning.files.atomic_path", refuse)
    runner.monkeypatch.setattr("vae_lightning.models.export.atomic_path", refuse)
    command, *more = line.split()
    assert_one_sentence(runner(command, f"run={run}", *more), 1, f"cannot be written ({os.strerror(number)}")


# -------------------------------------------------------------------- random values


def number(low: float, high: float) -> st.SearchStrategy[str]:
    return st.floats(low, high, allow_nan=False).map(lambda x: f"{x:.3g}") | st.sampled_from(
        ["nan", "inf", "0", "-1", "null", "many"]
    )


def whole(low: int, high: int) -> st.SearchStrategy[str]:
    return st.integers(low, high).map(str) | st.sampled_from(["0", "-1", "1.5", "null", "true", "[2]"])


def word(*words: str) -> st.SearchStrategy[str]:
    return st.sampled_from([*words, "other"])


VALUES = {
    "latent_dim": whole(1, 9),
    "beta": number(0, 100),
    "seed": whole(0, 2**70),
    "model": word("mlp", "conv channels=[2]", "resnet channels=[2]", "mlp hidden=[3]", "conv hidden=0", "mlp hidden=[]"),
    "likelihood": word("bernoulli", "gaussian", "gaussian sigma=0.01", "gaussian sigma=-1"),
    "objective.bound.samples": whole(1, 3),
    "beta_schedule": word("constant", "linear warmup=1", "cosine start=3", "cyclical ratio=0.1", "linear unit=x"),
    "lr_schedule": word("cosine", "none", "multistep gamma=1", "multistep milestones=[1,2] unit=step", "cosine final=2"),
    "optimizer": word("adam", "adamw", "adagrad", "sgd", "sgd momentum=2", "adam betas=[1,1]", "adam fused=false"),
    "optimizer.lr": number(0, 0.1),
    "data.binarize": word("auto", "dynamic", "static", "threshold", "none"),
    "data.batch_size": whole(1, 9000),
    "data.val_size": whole(1, 5000),
    "trainer.precision": word("bf16-mixed", "32-true", "16-true"),
    "trainer.gradient_clip_val": number(0, 10),
    "trainer.accumulate_grad_batches": whole(1, 4),
}  # fmt: skip


def arguments(chosen: dict[str, str]) -> list[str]:
    """`{"model": "conv hidden=0"}` as `model=conv model.hidden=0`."""
    lines = []
    for key, value in chosen.items():
        first, *rest = value.split()
        lines += [f"{key}={first}", *(f"{key}.{part}" for part in rest)]
    return lines


@given(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=4, unique=True).flatmap(
    lambda keys: st.fixed_dictionaries({key: VALUES[key] for key in keys})))  # fmt: skip
@settings(max_examples=6, deadline=None, derandomize=True, database=None)
def test_whatever_composes_runs_a_step_or_is_refused(tmp_path_factory: pytest.TempPathFactory, chosen: dict[str, str]) -> None:
    cwd = tmp_path_factory.mktemp("any")
    outcome = in_process(
        cwd, "train", "model.hidden=[4]" if "model" not in chosen else "seed=0", *arguments(chosen), "trainer.fast_dev_run=true"
    )
    assert not list(cwd.glob("outputs/*"))
    if outcome.status == 0:
        rows = [line.split() for line in outcome.out.splitlines() if line.startswith(("elbo", "reconstruction", "kl"))]
        assert len(rows) == 3
        assert all(np.isfinite(float(figure)) for row in rows for figure in row[1:3])
    else:
        assert_one_sentence(outcome, outcome.status, "")
        assert outcome.status in (1, 2)
