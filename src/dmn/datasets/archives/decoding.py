"""From the bytes of an image file to RGB, or words that say why not."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from dmn.datasets.archives.forms import known_form
from dmn.datasets.archives.limits import Limits
from dmn.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

# Pillow knows more, but some of them run programs (EPS) or only look like pictures
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "AVIF", "TGA")
IMAGE_SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "dib", "tif", "tiff"),
        *("ppm", "pgm", "pbm", "pnm", "jp2", "j2k", "avif", "tga"),
    )
)
# tags of TIFF, and of EXIF, which has the form of TIFF
BITS_PER_SAMPLE, PHOTOMETRIC, ORIENTATION = 258, 262, 274
WHITE_IS_ZERO = 0


def decode(
    content: bytes, place: str, pixels: int = Limits.pixels, upright: bool = True
) -> Image.Image:
    """Decode an image to RGB, turned as its EXIF says where `upright`.

    Of more than 8 bits a channel the upper 8 are kept, as Pillow does with colour; transparency is
    ignored, as CLIP's own transform does. DataError names `place` for a corrupt or over-large
    image and for numbers whose range nobody knows.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > pixels:
                raise DataError(
                    f"{place} is {width} x {height} pixels; the limit is {pixels} in all"
                )
            turned = ImageOps.exif_transpose(picture) if upright else picture
            return _rgb(turned, picture, place)
    except Image.DecompressionBombError as error:
        raise DataError(f"{place} is too large: {error}") from None
    except UnidentifiedImageError:
        form = known_form(content) or "of no form that is read"
        raise DataError(
            f"{place} is not a whole image: it is {form}; the forms that are read are "
            f"{', '.join(FORMATS)}"
        ) from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DataError(f"{place} is not a whole image ({error}); get it again") from None


def _rgb(picture: Image.Image, source: Image.Image, place: str) -> Image.Image:
    """Return a picture of any mode as RGB; `source` is as the file has it."""
    if picture.mode.startswith("I;16") or (picture.mode == "I" and source.format == "PPM"):
        return _eight_bits(picture, source).convert("RGB")
    if picture.mode in ("I", "F"):
        number = "whole numbers" if picture.mode == "I" else "fractions"
        raise DataError(
            f"{place} holds {number} of 32 bits a pixel, whose black and white nobody knows; save "
            "it with 8 or 16 bits"
        )
    if picture.mode == "P" and "transparency" in picture.info:
        # the same colours without a warning for each picture
        picture = picture.convert("RGBA")
    return picture.convert("RGB")


def _eight_bits(picture: Image.Image, source: Image.Image) -> Image.Image:
    """Return the upper 8 bits of grey of up to 16 bits; Pillow itself would cut off at 255."""
    from PIL import Image

    tags = getattr(source, "tag_v2", {})
    depth = tags.get(BITS_PER_SAMPLE, 16)
    bits = depth[0] if isinstance(depth, tuple) else depth
    grey = (np.asarray(picture).astype(np.int64) >> (bits - 8)).astype(np.uint8)
    # Pillow inverts this kind of TIFF with 8 bits, but not with 16
    return Image.fromarray(255 - grey if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else grey)
