"""Train a VAE: `python train.py model=conv beta=4`; `python train.py --help` lists the options."""

from vae_lightning.cli.startup import start

if __name__ == "__main__":
    start("train")
