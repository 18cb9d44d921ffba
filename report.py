"""Summarise a sweep: `python report.py sweep=outputs/sweeps/…`."""

from vae_lightning.cli.startup import start

if __name__ == "__main__":
    start("report")
