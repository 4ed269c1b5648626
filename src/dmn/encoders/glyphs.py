"""Images of digits drawn from matplotlib's own fonts, distorted to resemble 8 x 8 scans.

Each glyph becomes a signed distance field once; a drawing warps that field, thickens it to a
stroke and averages it down to the 8 x 8 cells and 17 levels of the scans.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dmn.encoders.config import GlyphConfig
from dmn.errors import DataError

FIELD = 64
GLYPH = FIELD * 2 / 3
CELLS = 8
FINE = 16
LEVELS = 16
WARP_GRID = 5
FONTS = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-BoldOblique", "-Oblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-BoldOblique", "-Oblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-BoldItalic", "-Italic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "BolIta", "Italic")),
    *(f"cm{style}10" for style in ("b", "r", "ss", "ti", "tt")),
)
Array = np.ndarray[Any, Any]


@cache
def distance_fields() -> tuple[Array, Array]:
    """Return the fields `[fonts, 10, 64, 64]` and the half widths of the strokes `[fonts, 10]`.

    A field is the signed distance to the outline, positive inside; a glyph is two thirds of the
    field high. The unit of both is the glyph's height.
    """
    fields = np.stack([[_field(_outline(font, digit)) for digit in range(10)] for font in FONTS])
    inside = np.clip(fields, 0, None).sum((2, 3)) / (fields > 0).sum((2, 3))
    # across a stroke the distance runs from 0 to the half width, so its mean is half of that
    return fields, 2 * inside


def _outline(font: str, digit: int) -> Array:
    """Draw a digit large and crop it to its box, a boolean array."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"
    try:
        face = ImageFont.truetype(str(path), FIELD, layout_engine=ImageFont.Layout.BASIC)
    except OSError:
        raise DataError(f"cannot read the font {path}; reinstall matplotlib") from None
    canvas = Image.new("L", (3 * FIELD, 3 * FIELD))
    ImageDraw.Draw(canvas).text((FIELD, FIELD), str(digit), font=face, fill=255)
    drawn = np.asarray(canvas) > 127
    rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    return drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _field(outline: Array) -> Array:
    """Return the signed distance field `[64, 64]` of an outline, in units of its height."""
    from scipy.ndimage import distance_transform_edt, map_coordinates

    height, width = outline.shape
    margin = height // 2
    padded = np.pad(outline, margin)
    distance = (distance_transform_edt(padded) - distance_transform_edt(~padded)) / height
    steps = (np.arange(FIELD) + 0.5 - FIELD / 2) * height / GLYPH
    rows = margin + height / 2 - 0.5 + steps
    columns = margin + width / 2 - 0.5 + steps
    grid = np.meshgrid(rows, columns, indexing="ij")
    return map_coordinates(distance, grid, order=1, mode="nearest")


def draw(labels: Array, config: GlyphConfig, generator: np.random.Generator) -> Array:
    """Draw the digits `labels` `[N]` as 8 x 8 cells of 17 levels, uint8 `[N, 8, 8]`, 0 to 16."""
    count = len(labels)
    fields, widths = distance_fields()
    font = generator.integers(len(FONTS), size=count)
    height = _uniform(generator, config.height, count)
    rows, columns = _coordinates(height, config, generator)
    distance = _sample(fields[font, labels], rows, columns)
    half = _uniform(generator, config.stroke, count) / FIELD
    # moving the outline makes the strokes of every font as wide as drawn
    outline = (distance - widths[font, labels][:, None, None]) * height + half
    ink = np.clip(outline * FINE + 0.5, 0.0, 1.0)
    return _scan(ink, config, generator)


def _uniform(generator: np.random.Generator, bounds: tuple[float, float], count: int) -> Array:
    return generator.uniform(*bounds, size=(count, 1, 1))


def _coordinates(
    height: Array, config: GlyphConfig, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Return where in the glyph each fine pixel lies, rows and columns `[N, 16, 16]`."""
    count = len(height)
    steps = (np.arange(FINE) + 0.5) / FINE - 0.5
    down, right = steps[None, :, None], steps[None, None, :]
    moves = generator.uniform(-config.shift, config.shift, size=(2, count, 1, 1))
    warp = _warp(config.warp, count, generator)
    down, right = down - moves[0] + warp[0], right - moves[1] + warp[1]
    angle = np.radians(_uniform(generator, (-config.rotation, config.rotation), count))
    shear = _uniform(generator, (-config.shear, config.shear), count)
    sine, cosine = np.sin(angle), np.cos(angle)
    down, right = cosine * down - sine * right, sine * down + cosine * right
    width = height * _uniform(generator, config.width, count)
    return down / height, (right + shear * down) / width


def _warp(size: float, count: int, generator: np.random.Generator) -> Array:
    """Return smooth displacements `[2, N, 16, 16]` from a coarse grid, interpolated linearly."""
    coarse = generator.uniform(-size, size, size=(2, count, WARP_GRID, WARP_GRID))
    hat = np.linspace(0, WARP_GRID - 1, FINE)[:, None] - np.arange(WARP_GRID)[None, :]
    weights = np.clip(1 - np.abs(hat), 0, None)
    return np.einsum("ri,anij,cj->anrc", weights, coarse, weights, optimize=True)


def _sample(fields: Array, rows: Array, columns: Array) -> Array:
    """Return the fields `[N, 64, 64]` at fractional places `[N, 16, 16]`, linearly."""
    edge = FIELD - 1.001
    rows = np.clip(rows * GLYPH + (FIELD - 1) / 2, 0, edge)
    columns = np.clip(columns * GLYPH + (FIELD - 1) / 2, 0, edge)
    top, left = rows.astype(np.intp), columns.astype(np.intp)
    down, right = rows - top, columns - left
    flat = fields.reshape(-1)
    place = (np.arange(len(fields))[:, None, None] * FIELD + top) * FIELD + left
    above = flat[place] * (1 - right) + flat[place + 1] * right
    below = flat[place + FIELD] * (1 - right) + flat[place + FIELD + 1] * right
    return above * (1 - down) + below * down


def _scan(ink: Array, config: GlyphConfig, generator: np.random.Generator) -> Array:
    """Average the ink `[N, 16, 16]` in cells and give it the tone and noise of a scan."""
    count = len(ink)
    cells = ink.reshape(count, CELLS, FINE // CELLS, CELLS, FINE // CELLS).mean(axis=(2, 4))
    cells = np.minimum(cells * _uniform(generator, config.gain, count), 1.0)
    cells = cells ** _uniform(generator, config.gamma, count)
    spread = _uniform(generator, (0.0, config.noise), count)
    cells = cells + spread * generator.standard_normal(cells.shape)
    return np.rint(np.clip(cells, 0.0, 1.0) * LEVELS).astype(np.uint8)
