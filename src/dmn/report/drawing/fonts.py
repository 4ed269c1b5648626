"""Which texts figures can show: matplotlib's own font has no Chinese, Japanese, Korean or emoji.

Texts that the own font can show look the same on every machine. For others a font is taken that is
installed, so their look depends on the machine; where there is none, the caller says it otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OWN = "DejaVu Sans"
# draws a box with a number for everything
NO_FONT = "Last Resort"
LIKED = ("Noto Sans", "Source Han Sans", "WenQuanYi", "Unifont")


@cache
def _characters(path: str) -> frozenset[int]:
    """Return the characters that a font file has outlines for; none where it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (RuntimeError, OSError):
        return frozenset()


@cache
def _own() -> frozenset[int]:
    from matplotlib.font_manager import findfont

    return _characters(findfont(OWN))


def _installed() -> list[tuple[str, str]]:
    """Return name and file of the installed fonts, those that look like ours first."""
    from matplotlib.font_manager import fontManager

    fonts = {
        (font.name, font.fname)
        for font in fontManager.ttflist
        if font.style == "normal" and not font.name.startswith((OWN, NO_FONT))
    }
    return sorted(fonts, key=lambda font: (not font[0].startswith(LIKED), font))


def _missing(text: str) -> frozenset[int]:
    """Return the characters of a text that the own font lacks."""
    shown = (char for char in text if char.isprintable() and not char.isspace())
    return frozenset(map(ord, shown)) - _own()


@cache
def _families(missing: frozenset[int]) -> tuple[str, ...] | None:
    """Return installed fonts that have all of some characters together, None where they do not."""
    left, chosen = missing, []
    for name, path in _installed() if missing else ():
        if left & _characters(path):
            chosen.append(name)
            left -= _characters(path)
        if not left:
            break
    return None if left else tuple(chosen)


def drawable(text: str) -> bool:
    """Say whether a figure can show a text on this machine."""
    return _families(_missing(text)) is not None


def shown_or_index(names: Iterable[str]) -> dict[str, str]:
    """Return for each class name, in the order of the classes, what a figure calls the class."""
    return {name: name if drawable(name) else f"class {index}" for index, name in enumerate(names)}


def complete(figure: Figure) -> None:
    """Give the texts of a figure that need it the fonts that have their characters."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        if families := _families(_missing(text.get_text())):
            text.set_fontfamily([OWN, *families])
