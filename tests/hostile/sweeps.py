"""Sweeps as a hostile person might send them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.changes import PRECIOUS, Hostile, configured, hard_linked, linked, special

SWEEPS: dict[str, Hostile] = {}


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


def with_arguments(*arguments: str) -> Hostile:
    """Append the arguments to those of the sweep and of each job, and make all jobs wait."""

    def change(sweep: Path, victim: Path) -> None:
        given = [argument.replace("VICTIM", str(victim)) for argument in arguments]
        sweep_says(lambda content, _: _append(content, *given))(sweep, victim)
        _unfinished(sweep)

    return change


def configuration_line(line: str) -> Hostile:
    """Replace the line with this key in the first job's config.yaml by one at the end."""
    key = line.partition(":")[0]

    def change(path: Path, _: Path) -> None:
        kept = [old for old in path.with_name("old.yaml").read_text().splitlines() if not old.startswith(f"{key}:")]
        path.write_text("\n".join([*kept, line, ""]))

    def make(sweep: Path, victim: Path) -> None:
        (first_job(sweep) / "config.yaml").rename(first_job(sweep) / "old.yaml")
        change(first_job(sweep) / "config.yaml", victim)

    return make


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
    SWEEPS[f"sweep: {_name}"] = with_arguments(*_arguments)
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


for _name, _override in (
    ("an integer of 5,000 digits", "beta=" + "9" * 5000),
    ("an integer beyond all floats", "beta=" + "9" * 400),
    ("lists nested 3,000 levels deep", "beta=" + "[" * 3000),
    ("a trillion values", "seed=range(0,1000000000000)"),
    ("a trillion values, shuffled", "seed=shuffle(range(0,1000000000000))"),
    ("a short step", "seed=range(0,1e300,1e-300)"),
):
    SWEEPS[f"sweep: {_name} in the arguments"] = with_arguments(_override)
    SWEEPS[f"sweep: {_name} in a finished job"] = sweep_says(lambda c, v, text=_override: c["jobs"][0].update(overrides=[text]))  # type: ignore[misc]
for _name, _line in (
    ("a variable of the environment", "beta: ${oc.env:VAE_LIGHTNING_CONFIG}"), ("an interpolation of nothing", "beta: ${nope}"),
    ("a date", "beta: 2020-01-01"), ("a tag with a wrong value", "beta: !!bool maybe"), ("an empty integer", "beta: !!int ''"),
    ("a key that is a list", "? [a]\n: 1"), ("a target that is a list", "likelihood: {_target_: [a]}"),
    ("an integer beyond all floats", "beta: " + "9" * 400), ("a huge integer", "schema_version: 0x" + "f" * 6000),
    ("a key that is a mapping", "? {a: 1}\n: 1"), ("a likelihood that is a text", "likelihood: x"),
    ("binary data", "beta: !!binary x"), ("a set", "beta: !!set {a, b}"), ("pairs", "beta: !!omap [1]"),
):  # fmt: skip
    SWEEPS[f"sweep: a job's configuration has {_name}"] = configuration_line(_line)
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
SWEEPS["sweep: ten thousand arguments"] = sweep_says(lambda c, v: _append(c, *["beta=1"] * 10_000))
SWEEPS["sweep: a million lists"] = sweep_says(lambda c, v: c.update(extra=[[]] * 1_000_000))
SWEEPS["sweep: sweep.json is a link to itself"] = special("sweep.json", lambda path: path.symlink_to("sweep.json"))
SWEEPS["sweep: a job's results are a million lists"] = job_file(
    "results.json", lambda path, _: path.write_text('{"x": [' + "[]," * 1_000_000 + "[]]}")
)
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
for _name, _content in (
    ("the name of a metric is half a surrogate pair", '{"test": {"elbo": -1.0, "a\\ud800": 1.0}, "steps": 1}'),
    ("the name of a metric holds escape sequences", '{"test": {"elbo": -1.0, "a\\u001b]0;x": 1.0}, "steps": 1}'),
    ("a metric is an integer of 5,000 digits", '{"test": {"elbo": 1' + "0" * 5000 + '}, "steps": 1}'),
    ("a metric is true", '{"test": {"elbo": true}, "steps": 1}'),
):
    SWEEPS[f"sweep: {_name}"] = job_file("results.json", lambda path, _, text=_content: path.write_text(text))  # type: ignore[misc]
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
