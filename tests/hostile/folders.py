"""Run folders and sweeps as a hostile person might send them, made by code.

Each function changes a copy of a small run (`run`) or sweep; `victim` is a folder of somebody else's, which must stay as it is.
"""

from __future__ import annotations

import copy
import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

Hostile = Callable[[Path, Path], None]
RUNS: dict[str, Hostile] = {}
SWEEPS: dict[str, Hostile] = {}
PRECIOUS = "precious.txt"


def hostile_run(name: str) -> Callable[[Hostile], Hostile]:
    def keep(make: Hostile) -> Hostile:
        assert name not in RUNS
        RUNS[name] = make
        return make

    return keep


def hostile_sweep(name: str) -> Callable[[Hostile], Hostile]:
    def keep(make: Hostile) -> Hostile:
        assert name not in SWEEPS
        SWEEPS[name] = make
        return make

    return keep


# -------------------------------------------------------------------- links


def linked(name: str, target: str) -> Hostile:
    """`name` in the run folder is a link to `target` in the victim's."""

    def make(run: Path, victim: Path) -> None:
        path = run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            for part in sorted(path.rglob("*"), reverse=True):
                part.rmdir() if part.is_dir() else part.unlink()
            path.rmdir()
        path.unlink(missing_ok=True)
        path.symlink_to(victim / target)

    return make


def hard_linked(name: str) -> Hostile:
    def make(run: Path, victim: Path) -> None:
        path = run / name
        path.unlink(missing_ok=True)
        os.link(victim / PRECIOUS, path)

    return make


for _name in (
    "run.log", "metrics.csv", "results.json", "explorer.html", "per_image_test.npz", "checkpoints/last.ckpt",
    "checkpoints/previous.ckpt", "checkpoints/best.ckpt", "figures/samples.png", "generated/samples.png",
    "generated/.training_film.gif", "exported/decoder.safetensors", "film/000001.npz", "projector/metadata.tsv",
    "train/events.out.tfevents.1.victim", "events.out.tfevents.1.victim", "hparams.yaml", ".lock", "csv/metrics.csv",
):  # fmt: skip
    RUNS[f"{_name} is a link to a file outside"] = linked(_name, PRECIOUS)
for _name in ("checkpoints", "figures", "film", "generated", "exported", "projector", "train", "val", "csv"):
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


def configured(run: Path, place: str, value: Any) -> None:
    path = run / "config.yaml"
    content = yaml.safe_load(path.read_text())
    node, keys = content, place.split(".")
    for key in keys[:-1]:
        node = node.setdefault(key, {}) or node[key]
    node[keys[-1]] = value
    path.write_text(yaml.safe_dump(content))


def says(place: str, value: Any) -> Hostile:
    """`config.yaml` with a value at a dotted place; VICTIM in it is the victim's folder."""

    def make(run: Path, victim: Path) -> None:
        configured(run, place, json.loads(json.dumps(value).replace("VICTIM", str(victim))))

    return make


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
    ("a batch of a billion", "data.eval_batch_size", 10**12),
):  # fmt: skip
    RUNS[f"config: {_name}"] = says(_place, _value)


@hostile_run("config: another data set, downloaded to the victim's folder")
def _(run: Path, victim: Path) -> None:
    data = {"_target_": "vae_lightning.data.MNIST", "root": str(victim / "data"), "download": True, "val_size": 10,
            "split_seed": 0, "batch_size": 128, "eval_batch_size": 500, "binarize": "auto", "num_workers": 0,
            "drop_last": False}  # fmt: skip
    configured(run, "data", data)


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


# -------------------------------------------------------------------- files that are none


def special(name: str, make: Callable[[Path], object]) -> Hostile:
    def change(run: Path, victim: Path) -> None:
        path = run / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        make(path)

    return change


for _name in ("config.yaml", "results.json", "metrics.csv", "run.log", "checkpoints/last.ckpt", "checkpoints/best.ckpt"):
    RUNS[f"{_name} is a FIFO"] = special(_name, lambda path: os.mkfifo(path))
    RUNS[f"{_name} is a link to /dev/zero"] = special(_name, lambda path: path.symlink_to("/dev/zero"))
for _name in ("results.json", "metrics.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
    RUNS[f"{_name} is a folder"] = special(_name, lambda path: path.mkdir())


@hostile_run("results.json: nested deeply")
def _(run: Path, victim: Path) -> None:
    (run / "results.json").write_text('{"test": ' + "[" * 100_000)


@hostile_run("results.json: a text in place of a number")
def _(run: Path, victim: Path) -> None:
    (run / "results.json").write_text(json.dumps({"steps": "many", "test": {"elbo": "<script>alert(1)</script>"}}))


# -------------------------------------------------------------------- checkpoints


def checkpoint(change: Callable[[dict[str, Any], Path], Any]) -> Hostile:
    """Both checkpoints of the run, changed and written again whole."""

    def make(run: Path, victim: Path) -> None:
        for path in (run / "checkpoints").glob("*.ckpt"):
            content = torch.load(path, weights_only=True)
            change(content, victim)
            torch.save(content, path)

    return make


def _weights(content: dict[str, Any], function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    content["state_dict"] = {
        name: function(value) if value.is_floating_point() else value for name, value in content["state_dict"].items()
    }


def _moments(content: dict[str, Any], function: Callable[[torch.Tensor], Any]) -> None:
    for state in content["optimizer_states"][0]["state"].values():
        for name in list(state):
            if name != "step":
                state[name] = function(state[name])


def _set(content: dict[str, Any], *path: Any) -> None:
    *keys, last, value = path
    node: Any = content
    for key in keys:
        node = node[key]
    node[last] = value


def _states(content: dict[str, Any]) -> list[dict[str, Any]]:
    return list(content["optimizer_states"][0]["state"].values())


def _in_itself() -> list[Any]:
    content: list[Any] = []
    content.append(content)
    return content


for _name, _change in (
    ("moments of another shape", lambda c, v: _moments(c, lambda m: torch.zeros(3))),
    ("moments of another type", lambda c, v: _moments(c, lambda m: m.to(torch.int64))),
    ("moments that are no tensors", lambda c, v: _moments(c, lambda m: "x")),
    ("moments that are not finite", lambda c, v: _moments(c, lambda m: m * float("nan"))),
    ("no optimizer states", lambda c, v: _set(c, "optimizer_states", [])),
    ("an empty optimizer state", lambda c, v: _set(c, "optimizer_states", 0, "state", {})),
    ("other parameter groups", lambda c, v: _set(c, "optimizer_states", 0, "param_groups", [])),
    ("a learning rate that is a text", lambda c, v: _set(c, "optimizer_states", 0, "param_groups", 0, "lr", "x")),
    ("weights that are integers", lambda c, v: _weights(c, lambda w: w.to(torch.int32))),
    ("weights that are complex", lambda c, v: _weights(c, lambda w: w.to(torch.complex64))),
    ("weights in half precision", lambda c, v: _weights(c, lambda w: w.half())),
    ("weights of another shape", lambda c, v: _weights(c, lambda w: w.flatten()[:1])),
    ("weights of 1e38", lambda c, v: _weights(c, lambda w: w * 0 + 1e38)),
    ("weights that are missing", lambda c, v: c["state_dict"].popitem()),
    ("weights that nobody asked for", lambda c, v: _set(c, "state_dict", "vae.x", torch.zeros(2))),
    ("files of the victim's", lambda c, v: _set(c, "files", {str(v / PRECIOUS): 0, f"../victim/{PRECIOUS}": 0})),
    ("files that are no sizes", lambda c, v: _set(c, "files", {"metrics.csv": "x"})),
    ("files with negative sizes", lambda c, v: _set(c, "files", {"metrics.csv": -1})),
    ("no files", lambda c, v: _set(c, "files", {})),
    ("a position before the beginning", lambda c, v: _set(c, "position", "epoch", -3)),
    ("a position that is a text", lambda c, v: _set(c, "position", "batch", "x")),
    ("no ranks", lambda c, v: _set(c, "ranks", [])),
    ("a random state of another size", lambda c, v: _set(c, "ranks", 0, "random", "torch", torch.zeros(3, dtype=torch.uint8))),
    ("a random state that is a text", lambda c, v: _set(c, "ranks", 0, "random", "python", "x")),
    ("a NumPy state of another kind", lambda c, v: _set(c, "ranks", 0, "random", "numpy", [1, 2])),
    ("a recorder of another kind", lambda c, v: _set(c, "recorder", [])),
    ("schedules that are gone", lambda c, v: _set(c, "schedules", {})),
    ("callbacks of another kind", lambda c, v: _set(c, "callbacks", {"best": 3, "last": None})),
    ("loops of another kind", lambda c, v: _set(c, "loops", {})),
    ("a global step that is a text", lambda c, v: _set(c, "global_step", "x")),
    ("a NumPy state that reads beyond its end", lambda c, v: _set(c, "ranks", 0, "random", "numpy", 2, 10**6)),
    ("an endless weight made of one number", lambda c, v: _set(c, "state_dict", "vae.x", torch.zeros(1).expand(2**40))),
    ("an endless moment made of one number", lambda c, v: _moments(c, lambda m: torch.zeros(1).expand(2**40))),
    ("moments of another precision", lambda c, v: _moments(c, lambda m: m.double())),
    ("moments that are sparse", lambda c, v: _moments(c, lambda m: m.to_sparse())),
    ("a moment too many", lambda c, v: _set(c, "optimizer_states", 0, "state", 99, {"exp_avg": torch.zeros(2)})),
    ("a moment of another name", lambda c, v: _states(c)[0].update(x=_states(c)[0].pop("exp_avg"))),
    ("betas that are three", lambda c, v: _set(c, "optimizer_states", 0, "param_groups", 0, "betas", (0.9, 0.9, 0.9))),
    ("an optimizer that maximises", lambda c, v: _set(c, "optimizer_states", 0, "param_groups", 0, "maximize", True)),
    ("parameters in another order", lambda c, v: c["optimizer_states"][0]["param_groups"][0]["params"].reverse()),
    ("a learning rate that is negative", lambda c, v: _set(c, "optimizer_states", 0, "param_groups", 0, "lr", -1.0)),
    ("a learning rate that is infinite", lambda c, v: _set(c, "optimizer_states", 0, "param_groups", 0, "lr", float("inf"))),
    ("a global step beyond 64 bits", lambda c, v: _set(c, "global_step", 10**5000)),
    ("a global step of another run", lambda c, v: _set(c, "global_step", 10**6)),
    ("a position far ahead", lambda c, v: c.update(epoch=10**9, position={**c["position"], "epoch": 10**9})),
    ("a layout without processes", lambda c, v: _set(c, "position", "layout", {})),
    ("a data position of another kind", lambda c, v: _set(c, "VAEDataModule", {"x": 1})),
    ("progress that is negative", lambda c, v: _set(c, "loops", "fit_loop", "epoch_progress", "current", "ready", -5)),
    ("progress that is a text", lambda c, v: _set(c, "loops", "fit_loop", "epoch_progress", "x")),
    ("a version that is none", lambda c, v: _set(c, "pytorch-lightning_version", "x" * 100)),
    ("no version", lambda c, v: c.pop("pytorch-lightning_version")),
    ("a schedule of no length", lambda c, v: _set(c, "schedules", "beta", "steps_per_unit", 0)),
    ("learning rate schedules that nobody has", lambda c, v: _set(c, "lr_schedulers", [{"optimizer": 1}])),
    ("a best score that is a list", lambda c, v: _set(c, "callbacks", "best", "best", [1])),
    ("early stopping that counts in texts", lambda c, v: _set(c, "callbacks", "x", {"wait_count": "1", "patience": 3})),
    ("images that are no number", lambda c, v: _set(c, "images", "x")),
    ("a history of texts", lambda c, v: _set(c, "recorder", "history", {"val": {"elbo": "<script>"}})),
    ("seconds that are negative", lambda c, v: _set(c, "recorder", "seconds", -1.0)),
    ("weights that are texts", lambda c, v: _set(c, "state_dict", dict.fromkeys(c["state_dict"], "x"))),
    ("weights of eight bits", lambda c, v: _weights(c, lambda w: w.to(torch.float8_e4m3fn))),
    ("weights that are not finite", lambda c, v: _weights(c, lambda w: w * float("nan"))),
    ("a million values", lambda c, v: _set(c, "recorder", "shown", {str(i): [0.0] * 100 for i in range(30_000)})),
    ("a list in itself", lambda c, v: _set(c, "extra", _in_itself())),
    ("a list that is a list", lambda c, v: _set(c, "state_dict", [])),
    ("a deep nest", lambda c, v: _set(c, "recorder", {"a": json.loads("[" * 300 + "]" * 300)})),
):
    RUNS[f"checkpoint: {_name}"] = checkpoint(_change)


def archive(change: Callable[[Path], object]) -> Hostile:
    """Both checkpoints of the run, changed as files."""

    def make(run: Path, victim: Path) -> None:
        for path in (run / "checkpoints").glob("*.ckpt"):
            change(path)

    return make


def _compressed(path: Path) -> None:
    with zipfile.ZipFile(path) as old:
        parts = {part.filename: old.read(part) for part in old.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in parts.items():
            new.writestr(name, content)
        new.writestr("archive/data/bomb", bytes(100 * 2**20))


def _overlapping(path: Path) -> None:
    """Many names for the same bytes."""
    with zipfile.ZipFile(path, "a") as file:
        whole = max(file.infolist(), key=lambda part: part.file_size)
        for i in range(50):
            part = copy.copy(whole)
            part.filename = f"archive/data/x{i}"
            file.filelist.append(part)
        file._didModify = True  # type: ignore[attr-defined]


def _huge(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(40 * 2**30)  # a sparse file


RUNS["checkpoint: a compressed archive"] = archive(_compressed)
RUNS["checkpoint: an archive whose parts overlap"] = archive(_overlapping)
RUNS["checkpoint: forty gigabytes of nothing"] = archive(_huge)
RUNS["checkpoint: an empty file"] = archive(lambda path: path.write_bytes(b""))
RUNS["checkpoint: a pickle without an archive"] = archive(
    lambda path: torch.save(torch.load(path, weights_only=True), path, _use_new_zipfile_serialization=False)
)
RUNS["checkpoint: an archive of something else"] = archive(lambda path: zipfile.ZipFile(path, "w").close())


# -------------------------------------------------------------------- sweeps


def sweep_says(change: Callable[[dict[str, Any], Path], None]) -> Hostile:
    def make(sweep: Path, victim: Path) -> None:
        path = sweep / "sweep.json"
        content = json.loads(path.read_text())
        change(content, victim)
        path.write_text(json.dumps(content))

    return make


def job_says(change: Callable[[dict[str, Any], Path], None], number: int = 0) -> Hostile:
    def make(sweep: Path, victim: Path) -> None:
        path = sweep / "jobs" / f"{number:03d}.json"
        content = json.loads(path.read_text())
        change(content, victim)
        path.write_text(json.dumps(content))

    return make


def job_file(name: str, make: Callable[[Path, Path], object]) -> Hostile:
    """A file of the first job's run folder."""

    def change(sweep: Path, victim: Path) -> None:
        job = json.loads((sweep / "sweep.json").read_text())["jobs"][0]["folder"]
        path = sweep / job / name
        path.unlink(missing_ok=True)
        make(path, victim)

    return change


def searched(storage: str) -> Hostile:
    def change(content: dict[str, Any], victim: Path) -> None:
        content["search"] = {
            "study_name": "s", "storage": storage.replace("VICTIM", str(victim)), "metrics": ["val/elbo"],
            "directions": ["maximize"], "pruned_by": None,
        }  # fmt: skip

    return sweep_says(change)


def _append(content: dict[str, Any], *arguments: str) -> None:
    content["arguments"] = [*content["arguments"], *arguments]
    for job in content["jobs"]:
        job["overrides"] = [*job["overrides"], *arguments]


def _unfinished(sweep: Path) -> None:
    for path in (sweep / "jobs").glob("*.json"):
        path.write_text(json.dumps({"state": "waiting"}))


for _name, _arguments in (
    ("a callback that makes a folder", ["+callbacks.x._target_=os.mkdir", "+callbacks.x.path=VICTIM/new"]),
    ("a callback by another prefix", ["++callbacks.x._target_=os.mkdir", "++callbacks.x.path=VICTIM/new"]),
    ("a model of one's own", ["model._target_=os.mkdir", "+model.path=VICTIM/new"]),
    ("a configuration folder of one's own", ["--config-dir", "VICTIM"]),
    ("a search path of one's own", ["hydra.searchpath=[file://VICTIM]"]),
    ("an output folder of one's own", ["output_dir=VICTIM/out"]),
    ("a launcher of one's own", ["hydra.launcher._target_=os.mkdir"]),
    ("an interpolation", ["name=${oc.env:HOME}"]),
    ("a logger that connects", ["+logger.x._target_=lightning.pytorch.loggers.WandbLogger"]),
    ("a profiler that writes elsewhere", ["+trainer.profiler._target_=lightning.pytorch.profilers.SimpleProfiler",
                                         "+trainer.profiler.dirpath=VICTIM"]),
    ("a root for the trainer", ["+trainer.default_root_dir=VICTIM/new"]),
    ("a launcher that runs a shell", ["hydra/launcher=slurm", "hydra.launcher.setup=[touch VICTIM/new]"]),
    ("an object in a list", ["model.hidden=[{_target_: os.mkdir, path: VICTIM/new}]"]),
    ("an object in a mapping", ["callbacks.best={_target_: os.mkdir, path: VICTIM/new}"]),
    ("an object among swept values", ["model.hidden=choice([{_target_: os.mkdir, path: VICTIM/new}],[16])"]),
    ("a folder of Hydra's", ["hydra.sweep.dir=VICTIM/new"]),
    ("a log file of Hydra's", ["+hydra.job_logging.handlers.file.filename=VICTIM/new"]),
    ("a variable of the environment", ["hydra.job.env_set={PYTHONPATH: VICTIM}"]),
    ("a callback of Hydra's", ["+hydra.callbacks.x._target_=os.mkdir", "+hydra.callbacks.x.path=VICTIM/new"]),
    ("a sweeper with arguments of its own", ["+hydra.sweeper.params.model=choice(${oc.env:HOME})"]),
    ("a download", ["data=mnist", "data.root=VICTIM/data", "data.download=true"]),
    ("a package of another place", ["+logger@trainer.plugins=csv"]),
    ("a dry run that deletes its folder", ["trainer.fast_dev_run=true"]),
    ("escape sequences in an argument", ["name=\x1b]0;owned\x07"]),
    ("the folder of another run", ["resume=VICTIM"]),
):  # fmt: skip

    def _with_arguments(sweep: Path, victim: Path, arguments: list[str] = _arguments) -> None:
        given = [argument.replace("VICTIM", str(victim)) for argument in arguments]
        sweep_says(lambda content, _: _append(content, *given))(sweep, victim)
        _unfinished(sweep)

    SWEEPS[f"sweep: {_name}"] = _with_arguments


for _name, _folder in (
    ("a job's folder outside", "../outside/mine"), ("a job's folder is absolute", "VICTIM/folder"),
    ("a job's folder is the sweep", "."), ("a job's folder is its parent", ".."), ("a job's folder has a line break", "a\nb"),
):  # fmt: skip

    def _with_folder(sweep: Path, victim: Path, folder: str = _folder) -> None:
        (sweep.parent / "outside" / "mine").mkdir(parents=True, exist_ok=True)
        sweep_says(lambda content, _: content["jobs"][0].update(folder=folder.replace("VICTIM", str(victim))))(sweep, victim)
        _unfinished(sweep)
        (sweep / "jobs" / "000.json").write_text(json.dumps({"state": "failed"}))

    SWEEPS[f"sweep: {_name}"] = _with_folder


for _name, _storage in (
    ("a database file", "sqlite:///VICTIM/new.db"), ("a database server", "postgresql://u:p@127.0.0.1:9/x"),
    ("a journal outside", "journal:///VICTIM/new.log"), ("a path outside", "VICTIM/new.log"),
):  # fmt: skip
    SWEEPS[f"search: storage is {_name}"] = searched(_storage)
for _name, _change in (
    ("a state that is a script", lambda c, v: c.update(state="<script>document.title='PWNED'</script>")),
    ("an error that is a script", lambda c, v: c.update(state="failed", error="<script>document.title='PWNED'</script>")),
    ("escape sequences", lambda c, v: c.update(state="failed", error="\x1b]0;owned\x07\x1b[2J")),
    ("a formula", lambda c, v: c.update(state="failed", error="=cmd|' /C calc'!A0")),
    ("a state that is a list", lambda c, v: c.update(state=["done"])),
    ("seconds that are a text", lambda c, v: c.update(seconds="long")),
    ("metrics that are a text", lambda c, v: c.update(metrics="x")),
):
    SWEEPS[f"job: {_name}"] = job_says(_change)
SWEEPS["sweep: a label that is a script"] = sweep_says(lambda c, v: c["jobs"][0].update(label="<img src=x onerror=alert(1)>"))
SWEEPS["sweep: a label that is a formula"] = sweep_says(lambda c, v: c["jobs"][0].update(label="=1+1", overrides=["name==1+1"]))
SWEEPS["sweep: a directory of the victim's"] = sweep_says(lambda c, v: c.update(directory=str(v)))
SWEEPS["sweep: jobs that are no list"] = sweep_says(lambda c, v: c.update(jobs="x"))
SWEEPS["sweep: a job without a number"] = sweep_says(lambda c, v: c["jobs"][0].pop("number"))
SWEEPS["sweep: a million jobs"] = sweep_says(lambda c, v: c["jobs"].extend(c["jobs"] * 20_000))
SWEEPS["sweep: summary.csv is a link outside"] = linked("summary.csv", PRECIOUS)
SWEEPS["sweep: report.html is a link outside"] = linked("report.html", "new")
SWEEPS["sweep: jobs/ is a link outside"] = linked("jobs", "folder")
SWEEPS["sweep: study.log is a link outside"] = linked("study.log", PRECIOUS)
SWEEPS["sweep: a job's aliases grow"] = job_file(
    "config.yaml",
    lambda path, _: path.write_text(
        "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    ),
)
SWEEPS["sweep: a job's results are a FIFO"] = job_file("results.json", lambda path, _: os.mkfifo(path))
SWEEPS["sweep: a job's metrics are a link to /dev/zero"] = job_file("metrics.csv", lambda path, _: path.symlink_to("/dev/zero"))
SWEEPS["sweep: a job's configuration is five megabytes"] = job_file(
    "config.yaml", lambda path, _: path.write_text(f"a: '{'x' * 5_000_000}'\n")
)
SWEEPS["sweep: a job's name is a script"] = job_file(
    "config.yaml",
    lambda path, _: path.write_text("schema_version: 2\nname: <script>\nchoices: {data: <script>alert(1)</script>}\n"),
)


def waiting(make: Hostile) -> Hostile:
    """The same with jobs that still have to run."""

    def change(sweep: Path, victim: Path) -> None:
        make(sweep, victim)
        for path in (sweep / "jobs").glob("*.json"):
            path.write_text(json.dumps({"state": "waiting"}))

    return change


def first_job(sweep: Path) -> Path:
    return sweep / json.loads((sweep / "sweep.json").read_text())["jobs"][0]["folder"]


def _moved_outside(sweep: Path, victim: Path) -> None:
    first_job(sweep).rename(victim.parent / "moved")
    first_job(sweep).symlink_to(victim / "folder")


def _failed_outside(sweep: Path, victim: Path) -> None:
    _moved_outside(sweep, victim)
    (sweep / "jobs" / "000.json").write_text('{"state": "failed"}')


def _only_in_its_jobs(sweep: Path, victim: Path) -> None:
    def change(content: dict[str, Any], victim: Path) -> None:
        content["jobs"][0]["overrides"] += ["+callbacks.x._target_=os.mkdir", f"+callbacks.x.path={victim / 'new'}"]

    sweep_says(change)(sweep, victim)


def _code_in_an_interrupted_job(sweep: Path, victim: Path) -> None:
    (first_job(sweep) / "results.json").unlink()
    for path in (first_job(sweep) / "checkpoints").glob("*"):
        path.unlink()
    configured(first_job(sweep), "callbacks.x", {"_target_": "os.mkdir", "path": str(victim / "new")})


def _search_of_its_own(sweep: Path, victim: Path) -> None:
    searched("VICTIM/x")(sweep, victim)
    sweep_says(lambda c, v: c["search"].update(storage=None))(sweep, victim)
    (sweep / "study.log").write_bytes(b'{"op_code": 0, "worker_id": "x"}\n{"op_code": 99}\n\xff\x00' + b"[" * 100_000)


for _name in ("sweep.lock", "multirun.yaml", "jobs/000.lock", "jobs/000.json", "summary.md", "study.log"):
    SWEEPS[f"sweep: {_name} is a link to a file outside, and jobs wait"] = waiting(linked(_name, PRECIOUS))
SWEEPS["sweep: jobs/000.json is a link to a file outside"] = linked("jobs/000.json", PRECIOUS)
for _name in ("sweep.lock", "multirun.yaml", "jobs/000.lock", "study.log", "summary.csv", "jobs/000.json"):
    SWEEPS[f"sweep: {_name} is a hard link to a file outside"] = hard_linked(_name)
for _name in ("sweep.json", "jobs/000.json", "jobs/000.lock", "study.log"):
    SWEEPS[f"sweep: {_name} is a FIFO"] = special(_name, lambda path: os.mkfifo(path))
    SWEEPS[f"sweep: {_name} is a folder"] = special(_name, lambda path: path.mkdir())
SWEEPS["sweep: jobs/000.json is a link to /dev/zero"] = special("jobs/000.json", lambda path: path.symlink_to("/dev/zero"))
SWEEPS["sweep: a job's folder is a link outside"] = _moved_outside
SWEEPS["sweep: a waiting job's folder is a link outside"] = waiting(_moved_outside)
SWEEPS["sweep: a failed job's folder is a link outside"] = _failed_outside
SWEEPS["sweep: code in the overrides of a job only"] = waiting(_only_in_its_jobs)
SWEEPS["sweep: code in an interrupted job's configuration"] = waiting(_code_in_an_interrupted_job)
SWEEPS["sweep: a study that is garbage"] = _search_of_its_own
SWEEPS["sweep: a search whose jobs have no trials"] = waiting(_search_of_its_own)
SWEEPS["sweep: a forged signature"] = sweep_says(lambda c, v: c.update(signature="0" * 64, arguments=["--config-dir", str(v)]))
SWEEPS["sweep: a signature that is no text"] = sweep_says(lambda c, v: c.update(signature=[1], arguments=["--config-dir", "x"]))
SWEEPS["sweep: nested deeply"] = special("sweep.json", lambda path: path.write_text("[" * 200_000))
SWEEPS["sweep: two jobs in one folder"] = sweep_says(lambda c, v: c["jobs"][1].update(folder=c["jobs"][0]["folder"]))
SWEEPS["sweep: a job's results are not UTF-8"] = job_file("results.json", lambda path, _: path.write_bytes(b"\xff\xfe{"))
SWEEPS["sweep: a job's results are huge numbers"] = job_file(
    "results.json", lambda path, _: path.write_text('{"test": {"elbo": 1' + "0" * 400 + '}, "steps": 7}')
)
SWEEPS["sweep: a job's results are nested"] = job_file("results.json", lambda path, _: path.write_text("[" * 100_000))
SWEEPS["sweep: a job's metrics are one huge line"] = job_file(
    "metrics.csv", lambda path, _: path.write_text("kind,epoch,elbo\n" + "1," * 1_000_000)
)
SWEEPS["sweep: a job's metrics hold NUL bytes"] = job_file(
    "metrics.csv", lambda path, _: path.write_bytes(b"kind,epoch,elbo\nval,0,\0\0\nval,1e999,-1\nval,nan,-1\nval,2,-9\n")
)
SWEEPS["sweep: the names of a job's metrics are scripts"] = job_file(
    "metrics.csv", lambda path, _: path.write_text("kind,epoch,<script>alert(1)</script>\nval,0,1\nval,1,2\n")
)


def slug(name: str) -> str:
    return re.sub(r"\W+", "-", name).strip("-")
