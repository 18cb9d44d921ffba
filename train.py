"""Trains a VAE: `python train.py model=conv beta=4`, `python train.py --help`."""

from vae_lightning.commands.train import main

if __name__ == "__main__":
    main()
