"""Measures a trained run: `python evaluate.py run=outputs/…`."""

from vae_lightning.starting import start

if __name__ == "__main__":
    start("evaluate")
