"""Measure a trained run: `python evaluate.py run=outputs/…`."""

from vae_lightning.cli.startup import start

if __name__ == "__main__":
    start("evaluate")
