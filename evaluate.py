"""Measures a trained run: `python evaluate.py run=outputs/…`."""

from vae_lightning.commands.evaluate import main

if __name__ == "__main__":
    main()
