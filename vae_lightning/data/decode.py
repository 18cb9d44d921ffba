"""One picture file as uint8 pixels: every mode that a format has, turned, cropped and resized as a person would expect."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from vae_lightning.errors import printable

# never EPS and the like, for which Pillow runs other programs; importing a plugin registers its formats
PLUGINS = (
    BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin,
)  # fmt: skip
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF")
CHANNELS = ("auto", "rgb", "grey")
BACKGROUNDS = {"white": 255, "black": 0}
SIXTEEN_BITS = 65535
TRANSPARENT = ("RGBA", "LA", "PA", "RGBa", "La")


class Settings(NamedTuple):
    """How pictures are decoded.

    Args:
        size: (height, width) to which the shorter side is resized, and the rest cropped around the centre; None: as they are.
        channels: grey turns colours into greys; rgb and auto keep them.
        background: white or black, which shows through where a picture is transparent.
    """

    size: tuple[int, int] | None
    channels: str
    background: str


class Decoded(NamedTuple):
    """A picture.

    Attributes:
        pixels: uint8, (3, height, width), or (1, height, width) for a picture without colour.
        transparent: whether some of it was.
        frames: whether it has more than one, of which the first was taken.
    """

    pixels: np.ndarray
    transparent: bool = False
    frames: bool = False


class Broken(Exception):
    """The picture cannot be decoded; the message says why, without a full stop."""


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Pillow's warning of a decompression bomb is an error inside the block, and its other warnings are not shown.

    For all threads: enter it once, around them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode(path: Path, settings: Settings) -> Decoded:
    """The first frame of a picture file. Call it inside `strict_pillow`.

    Raises:
        Broken: it is no picture, is damaged, is larger than Pillow decodes, or has pixels of an unknown range.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            frames = getattr(image, "is_animated", False) and image.format != "MPO"
            if settings.size is not None:  # a JPEG is decoded at an eighth, a quarter or half of its size if that is enough
                side = 2 * max(settings.size)
                image.draft(None, (side, side))
            image.load()
            with suppress(Exception):  # an EXIF entry that cannot be read turns nothing
                ImageOps.exif_transpose(image, in_place=True)
            pixels, transparent = _pixels(image, settings)
            return Decoded(pixels, transparent, frames)
    except Broken:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = Image.MAX_IMAGE_PIXELS or 0
        raise Broken(f"it has more than the {limit / 1e6:,.0f} million pixels that are decoded") from error
    except Image.UnidentifiedImageError as error:
        raise Broken("it is no picture of a known format" if path.stat().st_size else "it is empty") from error
    except PermissionError as error:
        raise Broken("it cannot be read (Permission denied)") from error
    except Exception as error:  # what Pillow's parsers raise for damaged files: OSError, SyntaxError, struct.error, ValueError …
        raise Broken(printable(str(error)).strip().rstrip(".")[:150] or type(error).__name__) from error


def _pixels(image: Image.Image, settings: Settings) -> tuple[np.ndarray, bool]:
    """Pixels (channels, height, width), and whether any of them was transparent."""
    image = _eight_bits(image)
    transparent = False
    if image.mode in TRANSPARENT or image.has_transparency_data:
        image, transparent = _over(image.convert("RGBA"), BACKGROUNDS[settings.background])
    colour = image.mode not in ("1", "L")
    image = image.convert("RGB" if colour else "L")
    if colour and settings.channels == "grey":
        image = image.convert("L")
    if settings.size is not None and (image.height, image.width) != settings.size:
        image = ImageOps.fit(image, settings.size[::-1], Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if len(pixels) == 3 and (pixels[0] == pixels[1]).all() and (pixels[0] == pixels[2]).all():
        pixels = pixels[:1]
    return np.ascontiguousarray(pixels), transparent


def _over(image: Image.Image, grey: int) -> tuple[Image.Image, bool]:
    """An RGBA picture laid over a grey, and whether anything of that shows."""
    if image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB"), False
    below = Image.new("RGBA", image.size, (grey, grey, grey, 255))
    below.alpha_composite(image)
    return below.convert("RGB"), True


def _eight_bits(image: Image.Image) -> Image.Image:
    """Pictures of 16 bits and of floats in [0, 1], scaled to 8 bits; others as they are.

    Raises:
        Broken: integers of more than 16 bits, or floats outside of [0, 1], whose range nobody knows.
    """
    if image.mode != "F" and not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.float64)
    low, high = values.min(), values.max()
    most = 1 if image.mode == "F" else SIXTEEN_BITS
    if not (low >= 0 and high <= most):
        raise Broken(f"its pixels go from {low:g} to {high:g}, and must be from 0 to {most} to be scaled")
    return Image.fromarray((values * (255 / most)).round().astype(np.uint8))
