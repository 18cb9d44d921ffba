"""Writes a trained encoder and decoder as ONNX and safetensors: `python export.py run=outputs/…`."""

from vae_lightning.cli.startup import start

if __name__ == "__main__":
    start("export")
