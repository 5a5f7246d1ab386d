"""The opener of images: every mode at its right brightness, every broken file one line."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ear.errors import InputError
from ear.images.reading import open_image
from ear.images.rendering import damage

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def saved(path, image, **options):
    image.save(path, **options)
    return path


def opened(path):
    image = open_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def test_a_plain_file_comes_through_byte_for_byte(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert (opened(saved(tmp_path / "a.png", Image.fromarray(pixels))) == pixels).all()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_of_grey_are_as_bright_as_eight(tmp_path, suffix):
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(RAMP.astype(np.uint16) * 257))
    assert (opened(path) == RAMP[..., None]).all()


@pytest.mark.parametrize(("mode", "suffix"), [("LA", "png"), ("1", "png"), ("P", "png"), ("CMYK", "tif")])
def test_every_mode_is_as_bright_as_its_grey(tmp_path, mode, suffix):
    grey = Image.fromarray(np.where(RAMP < 128, 0, 255).astype(np.uint8))
    image = grey.convert("RGB").convert(mode)
    found = opened(saved(tmp_path / f"a.{suffix}", image))
    assert np.abs(found.astype(int) - np.asarray(grey)[..., None]).max() <= 1


def test_what_is_transparent_lies_on_white(tmp_path):
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert np.abs(opened(saved(tmp_path / "half.png", half)).astype(int) - 127).max() <= 1
    palette = Image.new("P", (2, 1))
    palette.putpalette([200, 0, 0, 0, 0, 200])
    palette.putpixel((1, 0), 1)
    path = saved(tmp_path / "palette.png", palette, transparency=0)
    assert opened(path).tolist() == [[[255, 255, 255], [0, 0, 200]]]


def test_a_photograph_is_turned_upright(tmp_path):
    upright = Image.fromarray(np.dstack([RAMP] * 3)[:4])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    path = saved(tmp_path / "a.png", lying, exif=exif)
    assert (opened(path) == np.asarray(upright)).all()


def a_bomb(side):
    """A PNG that says it has side × side pixels, in a few bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def test_a_bomb_is_one_line_and_a_damaged_picture(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(a_bomb(30_000))
    with pytest.raises(InputError, match=r"bomb\.png: found too many pixels, wanted at most 179 million"):
        open_image(path)
    assert damage(path)


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
def test_pixels_without_a_known_white_are_one_line(tmp_path, mode):
    grey = Image.fromarray(RAMP)
    image = Image.merge("LAB", (grey, grey, grey)) if mode == "LAB" else grey.convert(mode)
    path = saved(tmp_path / "a.tif", image)
    with pytest.raises(InputError, match=f"mode {mode}, wanted 8 or 16 bits"):
        open_image(path)


def encoded(kind):
    buffer = io.BytesIO()
    Image.fromarray(np.dstack([RAMP] * 3)).save(buffer, kind)
    return buffer.getvalue()


WHOLE = {kind: encoded(kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")}


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_any_bytes_are_an_image_or_one_line(tmp_path_factory, data):
    content = bytearray(WHOLE[data.draw(st.sampled_from(sorted(WHOLE)))])
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(
        content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    )
    try:
        assert open_image(path).mode == "RGB"
    except InputError as error:
        assert "\n" not in str(error) and str(path) in str(error)
    damage(path)
