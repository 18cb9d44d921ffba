from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.pictures import colour, grey, save
from vae_lightning.data.decode import Broken, Decoded, Settings, decode, strict_pillow

GREY, COLOUR = grey(), colour()


def read(path: Path, size: tuple[int, int] | None = None, channels: str = "auto", background: str = "white") -> Decoded:
    with strict_pillow():
        return decode(path, Settings(size, channels, background))


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.bmp", "a.tif", "a.webp"])
def test_formats_without_loss_give_the_pixels_that_were_saved(tmp_path: Path, name: str) -> None:
    options: dict[str, Any] = {"lossless": True} if name.endswith("webp") else {}
    found = read(save(tmp_path / name, COLOUR, **options)).pixels
    assert np.array_equal(found, COLOUR.transpose(2, 0, 1))
    assert np.array_equal(read(save(tmp_path / f"grey-{name}", GREY, **options)).pixels, GREY[None])


def test_a_jpeg_and_a_gif_are_close_to_what_was_saved(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(32), np.arange(32)).astype(np.uint8) * 4
    assert np.abs(read(save(tmp_path / "a.jpg", smooth, quality=95)).pixels[0].astype(int) - smooth).max() < 8
    assert np.array_equal(read(save(tmp_path / "a.gif", smooth)).pixels[0], smooth)


@pytest.mark.parametrize("channels", ["auto", "grey", "rgb"])
def test_a_palette_picture_is_the_picture_in_grey_bit_for_bit(tmp_path: Path, channels: str) -> None:
    order = np.random.default_rng(1).permutation(256).astype(np.uint8)  # so that an index is not its grey
    palette = Image.fromarray(np.argsort(order)[GREY].astype(np.uint8), "L").convert("P")
    palette.putpalette(np.repeat(order, 3).tobytes())
    assert palette.mode == "P"
    found = read(save(tmp_path / "palette.png", palette), channels=channels)
    assert np.array_equal(found.pixels, GREY[None])


def test_a_palette_of_colours(tmp_path: Path) -> None:
    palette = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8), "L").convert("P")
    colours = COLOUR.reshape(48, 3)
    palette.putpalette(colours.tobytes())
    assert np.array_equal(read(save(tmp_path / "a.png", palette)).pixels, COLOUR.transpose(2, 0, 1))


def test_one_bit(tmp_path: Path) -> None:
    bits = GREY > 127
    assert np.array_equal(read(save(tmp_path / "a.png", Image.fromarray(bits))).pixels, bits[None] * np.uint8(255))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_are_scaled(tmp_path: Path, name: str) -> None:
    deep = (GREY.astype(np.uint16) * 257).astype(np.uint16)
    assert np.array_equal(read(save(tmp_path / name, Image.fromarray(deep))).pixels, GREY[None])
    half = np.full((3, 3), 32896, np.uint16)
    assert (read(save(tmp_path / f"half-{name}", Image.fromarray(half))).pixels == 128).all()


def test_floats_are_scaled_from_0_to_1_and_refused_beyond(tmp_path: Path) -> None:
    floats = GREY.astype(np.float32) / 255
    assert np.array_equal(read(save(tmp_path / "a.tif", Image.fromarray(floats))).pixels, GREY[None])
    with pytest.raises(Broken, match=r"from 0 to 3, and must be from 0 to 1"):
        read(save(tmp_path / "b.tif", Image.fromarray(np.linspace(0, 3, 9, dtype=np.float32).reshape(3, 3))))
    with pytest.raises(Broken, match=r"to 70000, and must be from 0 to 65535"):
        read(save(tmp_path / "c.tif", Image.fromarray(np.full((3, 3), 70000, np.int32))))


def test_cmyk(tmp_path: Path) -> None:
    image = Image.new("CMYK", (4, 4), (255, 0, 0, 0))
    assert read(save(tmp_path / "a.tif", image)).pixels[:, 0, 0].tolist() == [0, 255, 255]


def test_a_picture_is_turned_as_its_exif_entry_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    found = read(save(tmp_path / "a.png", GREY, exif=exif)).pixels
    assert np.array_equal(found[0], np.rot90(GREY, -1))


@pytest.mark.parametrize(("background", "below"), [("white", 255), ("black", 0)])
def test_what_is_transparent_is_laid_over_the_background(tmp_path: Path, background: str, below: int) -> None:
    pixels = np.dstack([COLOUR, np.full((6, 8), 255, np.uint8)])
    pixels[0, :, 3] = 0
    pixels[1, :, 3] = 128
    found = read(save(tmp_path / "a.png", pixels), background=background)
    assert found.transparent
    assert (found.pixels[:, 0] == below).all()
    mixed = (COLOUR[1] * (128 / 255) + below * (127 / 255)).T
    assert np.abs(found.pixels[:, 1] - mixed).max() <= 1
    assert np.array_equal(found.pixels[:, 2:], COLOUR.transpose(2, 0, 1)[:, 2:])


def test_transparent_greys_and_palettes(tmp_path: Path) -> None:
    grey_alpha = np.dstack([GREY, np.where(GREY > 127, 255, 0).astype(np.uint8)])
    expected = np.where(GREY > 127, GREY, 255)[None]
    assert np.array_equal(read(save(tmp_path / "a.png", Image.fromarray(grey_alpha, "LA"))).pixels, expected)
    palette = Image.fromarray(np.zeros((2, 2), np.uint8)).convert("P")
    assert (read(save(tmp_path / "b.png", palette, transparency=0)).pixels == 255).all()
    assert (read(save(tmp_path / "c.png", Image.fromarray(np.full((2, 2), 9, np.uint8)), transparency=9)).pixels == 255).all()


def test_an_opaque_alpha_channel_is_not_transparent(tmp_path: Path) -> None:
    found = read(save(tmp_path / "a.png", np.dstack([COLOUR, np.full((6, 8), 255, np.uint8)])), background="black")
    assert not found.transparent
    assert np.array_equal(found.pixels, COLOUR.transpose(2, 0, 1))


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.webp", "a.png"])
def test_of_several_frames_the_first_is_taken(tmp_path: Path, name: str) -> None:
    frames = [Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (40, 200)]
    found = read(save(tmp_path / name, frames[0], save_all=True, append_images=frames[1:]))
    assert found.frames
    assert np.abs(found.pixels.astype(int) - 40).max() <= 2


def test_a_grey_picture_saved_as_rgb_has_no_colour(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.dstack([GREY] * 3))
    assert np.array_equal(read(path).pixels, GREY[None])
    almost = np.dstack([GREY] * 3)
    almost[5, 7, 2] ^= 1
    assert len(read(save(tmp_path / "b.png", almost)).pixels) == 3
    assert len(read(tmp_path / "b.png", channels="grey").pixels) == 1


def test_the_shorter_side_is_resized_and_the_rest_cropped_around_the_centre(tmp_path: Path) -> None:
    wide = np.zeros((8, 32), np.uint8)
    wide[:, 12:20] = 255  # the central square
    assert (read(save(tmp_path / "wide.png", wide), (8, 8)).pixels == 255).all()
    assert (read(save(tmp_path / "tall.png", np.ascontiguousarray(wide.T)), (8, 8)).pixels == 255).all()
    assert read(tmp_path / "wide.png", (4, 10)).pixels.shape == (1, 4, 10)
    assert np.array_equal(read(tmp_path / "wide.png", (8, 32)).pixels[0], wide)  # nothing to do


def test_a_large_jpeg_is_decoded_small_and_looks_the_same(tmp_path: Path) -> None:
    smooth = (np.add.outer(np.arange(512), np.arange(512)) / 4).astype(np.uint8)
    jpeg, png = save(tmp_path / "a.jpg", smooth, quality=95), save(tmp_path / "a.png", smooth)
    difference = read(jpeg, (32, 32)).pixels.astype(int) - read(png, (32, 32)).pixels
    assert np.abs(difference).max() <= 4


def truncated() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(colour(64, 64)).save(buffer, "png")
    return buffer.getvalue()[:2000]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture of a known format"),
        (b"hello", "no picture of a known format"),
        (truncated(), "truncated"),
    ],
)
def test_what_is_no_picture_says_why(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(Broken, match=reason):
        read(tmp_path / "a.png")


def test_a_decompression_bomb_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.png", np.zeros((1500, 1500), np.uint8))
    for limit in (2_000_000, 1_000_000):  # a warning of Pillow's, and an error
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(Broken, match=rf"more than the {limit // 10**6} million pixels"):
            read(path)
