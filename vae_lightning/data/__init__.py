"""Images and labels as uint8, in memory or in a memory map: data sets, splits, binarisation, and the order of batches."""

from vae_lightning.data.arrays import Arrays
from vae_lightning.data.base import DataSpec, ImageData, stratified_split
from vae_lightning.data.celeba import CelebA
from vae_lightning.data.cifar import CIFAR10, CIFAR100
from vae_lightning.data.dsprites import DSprites
from vae_lightning.data.emnist import EMNIST
from vae_lightning.data.folder import Folder
from vae_lightning.data.frey import Frey
from vae_lightning.data.images import Batch, Images, images_from_arrays, pixels
from vae_lightning.data.medmnist import MedMNIST
from vae_lightning.data.mnist import KMNIST, MNIST, FashionMNIST
from vae_lightning.data.mnist5k import MNIST5k
from vae_lightning.data.omniglot import Omniglot
from vae_lightning.data.qmnist import QMNIST
from vae_lightning.data.shapes3d import Shapes3D
from vae_lightning.data.smallnorb import SmallNORB
from vae_lightning.data.sprites import Sprites
from vae_lightning.data.stl10 import STL10
from vae_lightning.data.svhn import SVHN
from vae_lightning.data.usps import USPS

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "EMNIST",
    "KMNIST",
    "MNIST",
    "QMNIST",
    "STL10",
    "SVHN",
    "USPS",
    "Arrays",
    "Batch",
    "CelebA",
    "DSprites",
    "DataSpec",
    "FashionMNIST",
    "Folder",
    "Frey",
    "ImageData",
    "Images",
    "MNIST5k",
    "MedMNIST",
    "Omniglot",
    "Shapes3D",
    "SmallNORB",
    "Sprites",
    "images_from_arrays",
    "pixels",
    "stratified_split",
]
