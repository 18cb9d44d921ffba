"""Export a run's encoder and decoder: `python export.py run=outputs/…`."""

from vae_lightning.cli.startup import start

if __name__ == "__main__":
    start("export")
