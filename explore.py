"""Writes a page in which the decoder runs and the latent space can be walked through: `python explore.py run=outputs/…`."""

from vae_lightning.cli.startup import start

if __name__ == "__main__":
    start("explore")
