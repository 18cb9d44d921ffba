"""Every picture of a VAE by name: `PICTURES` is the one table that training and `generate.py` read.

To add a picture, write a subclass of `Picture` in a file of its own here, `<name>_picture.py`, and add one line below. If
`generate.py` offers it, its settings and their defaults are also in `conf/generate.yaml`. Imports no torch.
"""

from __future__ import annotations

from vae_lightning.exports import classes_in
from vae_lightning.plots.pictures.base import Picture

# in the order in which they are drawn
_FILES = (
    "samples_picture",
    "reconstructions_picture",
    "traversals_picture",
    "interpolations_picture",
    "latent_scatter_picture",
    "kl_per_dimension_picture",
    "kl_map_picture",
    "manifold_picture",
    "training_film_picture",
)
PICTURES: dict[str, type[Picture]] = {picture.name: picture for picture in classes_in(__name__, _FILES, Picture)}  # type: ignore[type-abstract]

__all__ = ["PICTURES", "Picture"]
