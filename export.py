"""Writes a trained encoder and decoder as ONNX and safetensors: `python export.py run=outputs/…`."""

from vae_lightning.commands.export import main

if __name__ == "__main__":
    main()
