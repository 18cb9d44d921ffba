"""Images and labels in memory as uint8: data sets, splits, binarisation, and the order of batches."""

from vae_lightning.data.arrays import Arrays
from vae_lightning.data.base import Batch, DataSpec, ImageData, Images, images_from_arrays, pixels, stratified_split
from vae_lightning.data.mnist import MNIST, FashionMNIST
from vae_lightning.data.mnist5k import MNIST5k
from vae_lightning.data.sprites import Sprites

__all__ = [
    "MNIST",
    "Arrays",
    "Batch",
    "DataSpec",
    "FashionMNIST",
    "ImageData",
    "Images",
    "MNIST5k",
    "Sprites",
    "images_from_arrays",
    "pixels",
    "stratified_split",
]
