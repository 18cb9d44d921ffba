"""Answers a sweep: `python report.py sweep=outputs/sweeps/…`, `python report.py --help`."""

from vae_lightning.commands.report import main

if __name__ == "__main__":
    main()
