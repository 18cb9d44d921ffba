"""Make an interactive page to explore a run's latent space: `python explore.py run=outputs/…`."""

from vae_lightning.cli.startup import start

if __name__ == "__main__":
    start("explore")
