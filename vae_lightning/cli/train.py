"""`python train.py model=conv beta=4`: train a VAE in a new run folder."""

from __future__ import annotations

import os
import sys

from vae_lightning.api.new_run import train_new
from vae_lightning.api.resumed_run import RUN_FOLDER, resume, resumes
from vae_lightning.cli.app import check_current_folder, run_app
from vae_lightning.cli.startup import allow_interrupts, output
from vae_lightning.config.messages import with_messages
from vae_lightning.errors import UserError
from vae_lightning.training.processes.lifetime import end_with_parent


def main() -> None:
    """Train, resume (`resume=<run>`) or sweep (`-m`), as the command line says."""
    if RUN_FOLDER in os.environ:
        with_messages(check_run_folder)
        end_with_parent()  # end together with the process that started the run
    if resumes(sys.argv[1:]):
        allow_interrupts()
        with output():
            with_messages(check_current_folder)
            with_messages(lambda: resume(sys.argv[1:]))
        return
    from vae_lightning.sweeps import job
    from vae_lightning.sweeps.register import register_sweepers

    register_sweepers()
    run_app(train_new, "train", job.run)


def check_run_folder() -> None:
    """UserError where the environment names a run folder that no other process of a run has put there."""
    if "LOCAL_RANK" not in os.environ:
        raise UserError(f"{RUN_FOLDER} is set, as only the processes of one run do for each other: unset it, and try again.")


if __name__ == "__main__":
    main()
