"""Images and labels as uint8, in memory or in a memory map: data sets, splits, binarisation, and the order of batches."""

from vae_lightning.data.base import Batch, DataSpec, ImageData, Images, images_from_arrays, pixels, stratified_split
from vae_lightning.data.folder import Folder
from vae_lightning.data.mnist import MNIST, FashionMNIST
from vae_lightning.data.mnist5k import MNIST5k
from vae_lightning.data.sprites import Sprites

__all__ = [
    "MNIST",
    "Batch",
    "DataSpec",
    "FashionMNIST",
    "Folder",
    "ImageData",
    "Images",
    "MNIST5k",
    "Sprites",
    "images_from_arrays",
    "pixels",
    "stratified_split",
]
