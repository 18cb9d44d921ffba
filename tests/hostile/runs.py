"""Run folders as a hostile person might send them: links, special files, and hostile content of config.yaml and results.json."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from tests.hostile.archives import ARCHIVES
from tests.hostile.changes import PRECIOUS, Hostile, configured, hard_linked, linked, replaced, says, special
from tests.hostile.checkpoints import CHECKPOINTS
from tests.hostile.samplers import SAMPLERS

RUNS: dict[str, Hostile] = {f"checkpoint: {name}": make for name, make in {**CHECKPOINTS, **ARCHIVES}.items()}
RUNS |= {f"sampler: {name}": make for name, make in SAMPLERS.items()}


def hostile_run(name: str) -> Callable[[Hostile], Hostile]:
    def keep(make: Hostile) -> Hostile:
        assert name not in RUNS
        RUNS[name] = make
        return make

    return keep


# -------------------------------------------------------------------- links


for _name in (
    "run.log", "metrics.csv", "results.json", "explorer.html", "per_image_test.npz", "checkpoints/last.ckpt",
    "checkpoints/previous.ckpt", "checkpoints/best.ckpt", "figures/samples.png", "generated/samples.png",
    "generated/.training_film.gif", "exported/decoder.safetensors", "film/000001.npz", "projector/metadata.tsv",
    "train/events.out.tfevents.1.victim", "events.out.tfevents.1.victim", "hparams.yaml", ".lock", "csv/metrics.csv",
    "samplers/gmm.pt",
):  # fmt: skip
    RUNS[f"{_name} is a link to a file outside"] = linked(_name, PRECIOUS)
for _name in ("checkpoints", "figures", "film", "generated", "exported", "projector", "samplers", "train", "val", "csv"):
    RUNS[f"{_name}/ is a link to a folder outside"] = linked(_name, "folder")
for _name in ("run.log", "metrics.csv", "generated/samples.png", "results.json"):
    RUNS[f"{_name} is a link to a file that is not there yet"] = linked(_name, "new")
for _name in ("run.log", "metrics.csv"):
    RUNS[f"{_name} is a hard link to a file outside"] = hard_linked(_name)


@hostile_run("a link that leads outside by way of another one")
def _(run: Path, victim: Path) -> None:
    (run / "innocent").symlink_to(victim)
    (run / "run.log").unlink(missing_ok=True)
    (run / "run.log").symlink_to(Path("innocent") / PRECIOUS)


@hostile_run("a relative link with ..")
def _(run: Path, victim: Path) -> None:
    (run / "metrics.csv").unlink(missing_ok=True)
    (run / "metrics.csv").symlink_to(os.path.relpath(victim / PRECIOUS, run))


# -------------------------------------------------------------------- what config.yaml says

CSV = {"_target_": "lightning.pytorch.loggers.CSVLogger", "prefix": "", "flush_logs_every_n_steps": 1}
PROFILER = {"_target_": "lightning.pytorch.profilers.SimpleProfiler", "filename": "profile", "extended": True}
MLFLOW = {"_target_": "lightning.pytorch.loggers.MLFlowLogger", "experiment_name": "x"}
TENSORBOARD = {"_target_": "vae_lightning.training.loggers.TensorBoard", "projector_images": 5}
for _name, _place, _value in (
    ("the name ends the line", "name", "x\ntouch PWNED #"),
    ("the name holds escape sequences", "name", "\x1b]0;owned\x07"),
    ("the name leads outside", "name", "../../outside"),
    ("the label holds control characters", "label", "a\rb\x1b[2J"),
    ("CSVLogger's name leads outside", "logger", {"csv": {**CSV, "name": "../outside", "version": "Documents"}}),
    ("CSVLogger's version leads outside", "logger", {"csv": {**CSV, "name": "", "version": "../../victim/folder"}}),
    ("CSVLogger's folder is the victim's", "logger", {"csv": {**CSV, "name": "", "save_dir": "VICTIM"}}),
    ("CSVLogger's root_dir is the victim's", "logger", {"csv": {**CSV, "name": "VICTIM", "version": ""}}),
    ("TensorBoard's label leads outside", "logger", {"tensorboard": {**TENSORBOARD, "label": "../../victim"}}),
    ("TensorBoard's save_dir is the victim's", "logger", {"tensorboard": {**TENSORBOARD, "save_dir": "VICTIM"}}),
    ("MLflow connects", "logger", {"mlflow": {**MLFLOW, "tracking_uri": "http://127.0.0.1:9"}}),
    ("MLflow makes a database", "logger", {"mlflow": {**MLFLOW, "tracking_uri": "sqlite:///VICTIM/new.db"}}),
    ("MLflow's artifacts go outside", "logger", {"mlflow": {**MLFLOW, "artifact_location": "VICTIM"}}),
    ("W&B connects", "logger", {"wandb": {"_target_": "lightning.pytorch.loggers.WandbLogger", "project": "x"}}),
    ("the profiler writes outside", "trainer.profiler", {**PROFILER, "dirpath": "VICTIM"}),
    ("the profiler's file leads outside", "trainer.profiler", {**PROFILER, "dirpath": None, "filename": "../../victim/p"}),
    ("the default root is the victim's", "trainer.default_root_dir", "VICTIM"),
    ("data are downloaded to the victim's", "data.download", True),
    ("several nodes", "trainer.num_nodes", 2),
    ("a checkpoint callback writes outside", "callbacks.mine",
     {"_target_": "lightning.pytorch.callbacks.ModelCheckpoint", "dirpath": "VICTIM"}),
    ("code in a list of plugins", "trainer.plugins", [{"_target_": "os.mkdir", "path": "VICTIM/new"}]),
    ("code in the model", "model", {"_target_": "os.mkdir", "path": "VICTIM/new"}),
    ("an interpolation of the environment", "data.root", "${oc.env:HOME}"),
    ("a name that ends the explorer's script", "name", "<!--<script>"),
    ("a billion latents", "posterior.latent_dim", 10**9),
    ("a seed that is a text", "seed", "x"),
    ("a seed beyond all floats", "seed", 10**400),
    ("callbacks that are a text", "callbacks", "x"),
    ("loggers that are a list", "logger", [1]),
    ("resumes that are a number", "resumes", 3),
    ("resumes without overrides", "resumes", [{"time": 1}]),
    ("a mean beyond all floats", "data_spec.mean", 10**400),
    ("images of a gigapixel", "data_spec.shape", [1, 20000, 20000]),
    ("a billion classes", "data_spec.classes", 10**9),
    ("a film of two million samples", "callbacks.film.samples", 2_000_000),
    ("a batch of a billion", "data.eval_batch_size", 10**12),
):  # fmt: skip
    RUNS[f"config: {_name}"] = says(_place, _value)


@hostile_run("config: another data set, downloaded to the victim's folder")
def _(run: Path, victim: Path) -> None:
    data = {"_target_": "vae_lightning.data.MNIST", "root": str(victim / "data"), "download": True, "val_size": 10,
            "split_seed": 0, "batch_size": 128, "eval_batch_size": 500, "binarize": "auto", "num_workers": 0,
            "drop_last": False}  # fmt: skip
    configured(run, "data", data)


for _name, _line in (
    ("a tag with a wrong value", "unused: !!bool maybe"), ("an integer of 6,000 digits", "schema_version: 0x" + "f" * 6000),
    ("a key that is a list", "? [a]\n: 1"), ("a date that is none", "unused: 2001-99-99"),
    ("a merge of nothing", "unused: {<<: 3}"), ("binary data that are none", "unused: !!binary x"),
):  # fmt: skip

    def _with_line(run: Path, victim: Path, line: str = _line) -> None:
        with (run / "config.yaml").open("a") as file:
            file.write(f"{line}\n")

    RUNS[f"config: {_name}"] = _with_line


@hostile_run("config: five megabytes")
def _(run: Path, victim: Path) -> None:
    with (run / "config.yaml").open("a") as file:
        file.write(f"unused: '{'x' * 5_000_000}'\n")


@hostile_run("config: many keys")
def _(run: Path, victim: Path) -> None:
    with (run / "config.yaml").open("a") as file:
        file.write("unused:\n" + "".join(f"  k{i}: {i}\n" for i in range(60_000)))


@hostile_run("config: aliases that grow")
def _(run: Path, victim: Path) -> None:
    rows = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    with (run / "config.yaml").open("a") as file:
        file.write("a0: &a0 [x, x, x]\n" + "\n".join(rows) + "\n")


@hostile_run("config: nested 3,000 levels deep")
def _(run: Path, victim: Path) -> None:
    with (run / "config.yaml").open("a") as file:
        file.write("unused: " + "[" * 3000 + "]" * 3000 + "\n")


# -------------------------------------------------------------------- special files

for _name in ("config.yaml", "results.json", "metrics.csv", "run.log", "checkpoints/last.ckpt", "checkpoints/best.ckpt"):
    RUNS[f"{_name} is a FIFO"] = special(_name, lambda path: os.mkfifo(path))
    RUNS[f"{_name} is a link to /dev/zero"] = special(_name, lambda path: path.symlink_to("/dev/zero"))
for _name in ("results.json", "metrics.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
    RUNS[f"{_name} is a folder"] = special(_name, lambda path: path.mkdir())


for _name in ("events.out.tfevents.1.x", "train/events.out.tfevents.1.x", "checkpoints/previous.ckpt", "csv/metrics.csv"):
    RUNS[f"{_name} is a folder"] = special(_name, lambda path: path.mkdir())
for _name in ("figures", "film", "train", "projector", "csv"):
    RUNS[f"{_name} is a file"] = replaced(_name, lambda path: path.write_text("x"))
    RUNS[f"{_name} is a link to its own folder"] = replaced(_name, lambda path: path.symlink_to("."))
for _name in ("results.json", "exported", "run.log", "film"):
    RUNS[f"{_name} is a link to itself"] = replaced(_name, lambda path: path.symlink_to(path.name))
RUNS["metrics.csv is another file"] = replaced("metrics.csv", lambda path: path.write_text('{"kind": "epoch,step"}\n' * 500))
RUNS["run.log is a link to nothing"] = replaced("run.log", lambda path: path.symlink_to("nothing"))
if sys.platform == "linux":  # other systems have no such names
    RUNS["the name of a log is no UTF-8"] = special(os.fsdecode(b"events.out.tfevents.\xff"), lambda path: path.touch())
RUNS["the name of a log is a markup"] = special("events.out.tfevents.[link=file:x] [/nope]", lambda path: path.touch())
RUNS["the name of a log rings"] = special("events.out.tfevents.\x07\x1b[2J", lambda path: path.touch())


@hostile_run("two links in a circle")
def _(run: Path, victim: Path) -> None:
    (run / "one").symlink_to("other")
    (run / "other").symlink_to("one")


@hostile_run("results.json: ten million lists")
def _(run: Path, victim: Path) -> None:
    (run / "results.json").write_text('{"x": [' + "[]," * 10_000_000 + "[]]}")


@hostile_run("results.json: nested deeply")
def _(run: Path, victim: Path) -> None:
    (run / "results.json").write_text('{"test": ' + "[" * 100_000)


@hostile_run("results.json: a text in place of a number")
def _(run: Path, victim: Path) -> None:
    (run / "results.json").write_text(json.dumps({"steps": "many", "test": {"elbo": "<script>alert(1)</script>"}}))
