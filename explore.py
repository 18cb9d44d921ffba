"""Writes a page in which the decoder runs and the latent space can be walked through: `python explore.py run=outputs/…`."""

from vae_lightning.commands.explore import main

if __name__ == "__main__":
    main()
