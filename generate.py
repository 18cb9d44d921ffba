"""Draws a trained run: `python generate.py run=outputs/…`."""

from vae_lightning.commands.generate import main

if __name__ == "__main__":
    main()
