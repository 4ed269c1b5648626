"""Pictures as they occur in the field, each beside the plain RGB that it shows."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

ORIENTATION = 0x0112


def grey_pixels() -> np.ndarray:
    """Return every grey of 8 bits, uint8 [24, 32]."""
    return (np.arange(24 * 32).reshape(24, 32) % 256).astype(np.uint8)


def colour_pixels() -> np.ndarray:
    """Return three different channels, uint8 [24, 32, 3]."""
    grey = grey_pixels()
    return np.stack([grey, np.roll(grey, 9, axis=1), grey[::-1]], axis=-1)


def saved(pixels: np.ndarray | Image.Image, form: str, **options: Any) -> bytes:
    """Return the bytes of an image file."""
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def png16(pixels: np.ndarray, colour_type: int) -> bytes:
    """Return a PNG of 16 bits a channel, which Pillow cannot write in colour."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = struct.pack(">II5B", width, height, 16, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def tiff(pixels: bytes, bits: int, order: str, photometric: int = 1, sample: int = 1) -> bytes:
    """Return a grey TIFF [24, 32] of any depth; sample format 1 unsigned, 2 signed."""
    end = "<" if order == "II" else ">"
    entries = [(256, 32), (257, 24), (258, bits), (259, 1), (262, photometric), (273, 8)]
    entries += [(277, 1), (278, 24), (279, len(pixels)), (339, sample)]
    table = struct.pack(f"{end}H", len(entries))
    table += b"".join(struct.pack(f"{end}HHII", tag, 4, 1, value) for tag, value in entries)
    start = order.encode() + struct.pack(f"{end}HI", 42, 8 + len(pixels))
    return start + pixels + table + struct.pack(f"{end}I", 0)


def lossless() -> dict[str, tuple[bytes, np.ndarray]]:
    """Return pictures whose RGB is known to the bit, each with it."""
    grey, colour = grey_pixels(), colour_pixels()
    deep, deep_colour = grey.astype(np.uint16) * 257, colour.astype(np.uint16) * 257
    shown = np.repeat(grey[..., None], 3, axis=-1)
    opaque = np.full_like(grey, 255)[..., None]
    palette = Image.fromarray(colour).quantize(16)
    dark = grey > 99
    pgm = b"P5 32 24 65535\n" + deep.astype(">u2").tobytes()
    return {
        "grey8.png": (saved(grey, "PNG"), shown),
        "grey16.png": (png16(deep, 0), shown),
        "grey16 odd low bytes.png": (png16(deep ^ 0x55, 0), shown),
        "colour16.png": (png16(deep_colour, 2), colour),
        "grey16 alpha.png": (png16(np.stack([deep, deep], -1), 4), shown),
        "colour16 alpha.png": (png16(np.dstack([deep_colour, deep]), 6), colour),
        "grey16.tif": (saved(Image.fromarray(deep), "TIFF"), shown),
        "grey16 big endian.tif": (tiff(deep.astype(">u2").tobytes(), 16, "MM"), shown),
        "white is zero.tif": (tiff(deep.astype("<u2").tobytes(), 16, "II", 0), 255 - shown),
        "white is zero 8.tif": (tiff(grey.tobytes(), 8, "II", 0), 255 - shown),
        "grey16.jp2": (saved(Image.fromarray(deep), "JPEG2000", irreversible=False), shown),
        "grey16.pgm": (pgm, shown),
        "grey12.pgm": (b"P5 32 24 4095\n" + (deep >> 4).astype(">u2").tobytes(), shown),
        "colour16.ppm": (b"P6 32 24 65535\n" + deep_colour.astype(">u2").tobytes(), colour),
        "palette.png": (saved(palette, "PNG"), np.asarray(palette.convert("RGB"))),
        "clear palette.png": (
            saved(palette, "PNG", transparency=bytes(range(16))),
            np.asarray(palette.convert("RGB")),
        ),
        "palette.gif": (saved(palette, "GIF"), np.asarray(palette.convert("RGB"))),
        "two colours.png": (saved(dark, "PNG"), np.repeat(dark[..., None], 3, -1) * np.uint8(255)),
        "alpha.png": (saved(np.dstack([colour, opaque]), "PNG"), colour),
        "clear.png": (saved(np.dstack([colour, 0 * opaque]), "PNG"), colour),
        "colour.WEBP": (saved(colour, "WEBP", lossless=True), colour),
        "colour.bmp": (saved(colour, "BMP"), colour),
        "colour.tga": (saved(colour, "TGA"), colour),
        "two frames.gif": (
            saved(palette, "GIF", save_all=True, append_images=[palette.rotate(180)]),
            np.asarray(palette.convert("RGB")),
        ),
    }


def turned(orientation: int, form: str = "PNG") -> bytes:
    """Return a picture that is stored turned, and says so, so that it shows `colour_pixels`."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    picture = Image.fromarray(colour_pixels())
    stored = picture.transpose(undo[orientation]) if orientation in undo else picture
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"quality": 100, "subsampling": 0} if form == "JPEG" else {}
    return saved(stored, form, exif=exif, **options)
