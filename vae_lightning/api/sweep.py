"""`vl.sweep("beta=1,2,4")`: what `python train.py -m` does, from Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig

from vae_lightning.api.arguments import as_multirun, quote_paths
from vae_lightning.api.compose import check_texts
from vae_lightning.api.new_run import train_new
from vae_lightning.api.session import python_session
from vae_lightning.api.train import check_given
from vae_lightning.config.command_line import check_command_line, parse_flags, user_folders
from vae_lightning.config.compose import hydra_composer, quote
from vae_lightning.config.plain import plain_texts

if TYPE_CHECKING:
    from vae_lightning.runs.folder import Run
    from vae_lightning.runs.sweep_record import Sweep


IN_PROCESS = ("hydra.mode=MULTIRUN", "hydra/job_logging=none", "hydra/hydra_logging=none")  # the program's logging stays as it is


def sweep(*overrides: str, data: object = None, labels: object = None, targets: object = None) -> list[Run]:
    """Train every combination of the listed values, or search for the best ones, as `python train.py -m` does.

    The jobs run in this process, one after the other, unless `hydra/launcher=…` says otherwise. The folders and the report are
    those that the command makes.

    Args:
        overrides: as typed on the command line: `"beta=1,2,4"` and `"seed=0,1"`, or `"sweep=optuna"`;
            `"resume_sweep=outputs/sweeps/…"` continues a sweep.
        data: the name of a data set, or images as an array or a tensor, see `vl.train`. They are copied once, into the folder of
            the sweep, where all of its jobs read them.
        labels: see `vl.train`.
        targets: see `vl.train`.

    Returns:
        The runs that were trained to the end, in the order of the jobs; those that a search pruned are left out.

    Raises:
        UserError: an override is wrong; nothing is trained.
        JobsFailed: some jobs failed; all were tried. It is a RunError whose `runs` are those that did not fail;
            `"resume_sweep=…"` tries the others again.
        KeyboardInterrupt: Ctrl-C was pressed.

    Example:
        >>> runs = vl.sweep("beta=1,2,4", "seed=0,1")
        >>> max(runs, key=lambda run: run.results["val"]["elbo"])
        <Run outputs/sweeps/mnist5k-mlp/…/001_2b7c: test elbo -107.10>
    """
    from vae_lightning.sweeps.private_apis import make_sweeper
    from vae_lightning.sweeps.register import register_sweepers
    from vae_lightning.sweeps.sweeper import JobsFailed, RecordedSweeper

    texts = check_texts(overrides, "vl.sweep")
    check_given(texts, data, labels, targets)
    with python_session():
        register_sweepers()
        if isinstance(data, str):
            texts.append(f"data={data}")
        given = data is not None and not isinstance(data, str)
        arguments = sweep_arguments(texts) if not given else arguments_with_arrays(texts, data, labels, targets)
        with hydra_composer(user_folders(parse_flags(arguments))) as composer:
            config = composer.loader.load_configuration("train", arguments, run_mode=RunMode.MULTIRUN)
            sweeper = make_sweeper(config, composer.loader, run_job)
            assert isinstance(sweeper, RecordedSweeper)
            try:
                sweeper.run_sweep(plain_texts(config.hydra.overrides.task))
            except JobsFailed as failed:
                failed.runs = finished_runs(sweeper.record)
                raise
        return finished_runs(sweeper.record)


def sweep_arguments(texts: list[str]) -> list[str]:
    """Return the overrides of a sweep, checked, with that of its folder.

    Raises:
        UserError: an override is wrong.
    """
    multirun = as_multirun(texts)
    command = check_command_line(quote_paths(["--multirun", *(text for text in multirun if text != "--multirun")]), "train")
    arguments = [*(text for text in command.arguments if text != "--multirun"), *IN_PROCESS]
    if command.sweep_folder is not None:
        arguments.append(f"hydra.sweep.dir={quote(str(command.sweep_folder))}")
    return arguments


def arguments_with_arrays(texts: list[str], images: object, labels: object, targets: object) -> list[str]:
    """Write arrays into the folder of a new sweep, and return its overrides, with the paths of these files.

    Args:
        texts: the overrides that were given.
        images: see `vl.train`.
        labels: see `vl.train`.
        targets: see `vl.train`.

    Raises:
        UserError: an override is wrong, or the arrays cannot be used; nothing is written.
    """
    from vae_lightning.api.given_arrays import FOLDER, GivenArrays

    arrays = GivenArrays(images, labels, targets)
    arguments = sweep_arguments([*arrays.overrides(), *texts])
    folder = next(text for text in reversed(arguments) if text.startswith("hydra.sweep.dir="))
    place = Path(str(OverridesParser.create().parse_override(folder).value())).absolute() / FOLDER
    arrays.write(place)
    names = dict(zip(arrays.overrides(), arrays.overrides(place), strict=True))
    return [names.get(text, text) for text in arguments]


def run_job(config: DictConfig) -> None:
    """Train one job of a sweep. It is at the top level of a module, so that launchers can send it to other processes."""
    from vae_lightning.sweeps import job

    job.run(train_new, config)


def finished_runs(record: Sweep) -> list[Run]:
    """Return the runs of the jobs that are done, in order."""
    from vae_lightning.runs.config_file import read_config
    from vae_lightning.runs.folder import trained_run

    folders = [record.folder / job.folder for job in record.jobs if record.state(job)["state"] == "done"]
    return [trained_run(folder, read_config(folder / "config.yaml", record.trusted)) for folder in folders if folder.is_dir()]
