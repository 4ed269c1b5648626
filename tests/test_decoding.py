"""Pictures as they occur in the field become the RGB that they show, or are refused by name."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from awkward_images import colour_pixels, grey_pixels, lossless, saved, tiff, turned
from dmn.datasets.archives import IMAGE_SUFFIXES, decode
from dmn.datasets.archives.decoding import FORMATS
from dmn.errors import DataError

PICTURES = lossless()


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_of_any_mode_becomes_the_rgb_that_it_shows(name: str) -> None:
    content, shown = PICTURES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = decode(content, name)
    assert picture.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(picture), shown)


def test_a_grey_tiff_of_twelve_bits_is_scaled_by_its_own_depth() -> None:
    deep = grey_pixels().astype(np.uint16) << 4
    pairs = deep.reshape(-1, 2).astype(np.int64)
    packed = np.stack(
        [pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], -1
    )
    content = tiff(packed.astype(np.uint8).tobytes(), 12, "II")
    np.testing.assert_array_equal(np.asarray(decode(content, "x"))[..., 0], grey_pixels())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (saved(grey_pixels().astype(np.int32), "TIFF"), "whole numbers of 32 bits"),
        (saved(grey_pixels().astype(np.float32), "TIFF"), "fractions of 32 bits"),
        (tiff(grey_pixels().astype("<i2").tobytes(), 16, "II", sample=2), "whole numbers"),
        (saved(colour_pixels(), "PNG")[:70], "not a whole image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "it is a HEIF photograph; the forms that are read"),
        (b"<svg xmlns='x'/>", "it is an SVG drawing"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is a PostScript file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"\n<!DOCTYPE html><p>Sorry", "it is a web page"),
        (b"hello", "it is of no form that is read"),
    ],
)
def test_what_cannot_be_shown_is_refused_by_name(content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=f"^birds.zip:x .*{words}"):
        decode(content, "birds.zip:x")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_says_unless_it_is_to_stay(orientation: int) -> None:
    content = turned(orientation)
    np.testing.assert_array_equal(np.asarray(decode(content, "x")), colour_pixels())
    stored = np.asarray(decode(content, "x", upright=False))
    assert (stored.shape[0] == 32) == (orientation >= 5)
    assert (orientation == 1) == np.array_equal(stored, colour_pixels())


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "TIFF"])
def test_exif_is_followed_in_every_form_that_has_it(form: str) -> None:
    difference = np.asarray(decode(turned(6, form), "x")).astype(int) - colour_pixels()
    assert np.abs(difference).mean() < 12


def test_damaged_exif_does_not_cost_the_picture() -> None:
    for exif in (b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b""):
        content = saved(colour_pixels(), "JPEG", exif=exif)
        assert decode(content, "x").size == (32, 24)


def test_cmyk_shows_the_colours_that_it_was_made_from() -> None:
    for form, options in (("JPEG", {"quality": 100}), ("TIFF", {})):
        picture = Image.fromarray(colour_pixels()).convert("CMYK")
        shown = np.asarray(decode(saved(picture, form, **options), "x")).astype(int)
        assert np.abs(shown - colour_pixels()).mean() < 12


def test_every_form_that_is_read_has_its_endings() -> None:
    endings = {ending for ending, form in Image.registered_extensions().items() if form in FORMATS}
    for rare in (".apng", ".avifs", ".j2c", ".jpc", ".jpf", ".jpx", ".icb", ".vda", ".vst", ".pfm"):
        endings.discard(rare)
    assert endings <= IMAGE_SUFFIXES
    assert decode(saved(colour_pixels(), "AVIF"), "x").size == (32, 24)
    assert Image.open(io.BytesIO(saved(colour_pixels(), "AVIF"))).format in FORMATS
