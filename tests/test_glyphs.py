import numpy as np
import pytest

from dmn.encoders import glyphs
from dmn.encoders.config import GlyphConfig
from dmn.encoders.glyphs import FONTS, distance_fields, draw
from dmn.errors import DataError
from dmn.randomness import generator

STILL = GlyphConfig(rotation=0, shear=0, shift=0, warp=0, noise=0, width=(1, 1), height=(1, 1))


def test_fields_are_positive_inside_the_glyph():
    fields, widths = distance_fields()
    assert fields.shape == (len(FONTS), 10, 64, 64)
    assert widths.shape == (len(FONTS), 10)
    zero = fields[0, 0]
    assert zero[32, 32] < 0, "the middle of a zero is a hole"
    assert zero.max() > 0
    assert (fields[:, :, 0, 0] < 0).all()
    assert ((widths > 0.02) & (widths < 0.2)).all()


def test_equal_generators_draw_equal_glyphs():
    digits = np.arange(10)
    first = draw(digits, GlyphConfig(), generator(0, "test"))
    np.testing.assert_array_equal(first, draw(digits, GlyphConfig(), generator(0, "test")))
    assert (first != draw(digits, GlyphConfig(), generator(1, "test"))).any()


def test_glyphs_are_scans_of_seventeen_levels():
    cells = draw(np.repeat(np.arange(10), 20), GlyphConfig(), generator(0, "test"))
    assert cells.shape == (200, 8, 8)
    assert cells.dtype == np.uint8
    assert cells.max() == 16
    assert 3.5 < cells.mean() < 6, "about as much ink as in the scans"


def test_glyphs_of_a_digit_resemble_one_another_most():
    labels = np.tile(np.arange(10), 40)
    cells = draw(labels, STILL, generator(0, "test")).reshape(400, -1).astype(float)
    means = np.stack([cells[labels == digit].mean(0) for digit in range(10)])
    found = ((cells[:, None] - means[None]) ** 2).sum(-1).argmin(1)
    assert (found == labels).mean() > 0.9


def test_wider_strokes_make_more_ink():
    thin, thick = (
        draw(np.arange(10), STILL.model_copy(update={"stroke": (w, w)}), generator(0, "test"))
        for w in (3.0, 7.0)
    )
    assert thick.mean() > 1.3 * thin.mean()


def test_a_missing_font_is_named(monkeypatch):
    monkeypatch.setattr(glyphs, "FONTS", ("NoSuchFont",))
    with pytest.raises(DataError, match=r"cannot read the font .*NoSuchFont.ttf; reinstall"):
        glyphs._outline("NoSuchFont", 1)
