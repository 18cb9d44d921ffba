"""Make pictures from a trained run: `python generate.py run=outputs/…`."""

from vae_lightning.cli.startup import start

if __name__ == "__main__":
    start("generate")
