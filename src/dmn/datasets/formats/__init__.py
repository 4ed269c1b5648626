"""The forms in which features are shared: one module a format, one table of them all."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

from dmn.datasets.formats import (
    clip_benchmark,
    ecalp,
    oga,
    plain,
    rs_transclip,
    sus_x,
    tip_adapter,
    zlap,
)
from dmn.datasets.formats.rules import Found, check_clashes, where
from dmn.errors import FeatureError, nearest, some

FORMATS: dict[str, ModuleType] = {
    "plain": plain,
    "tip_adapter": tip_adapter,
    "zlap": zlap,
    "oga": oga,
    "clip_benchmark": clip_benchmark,
    "sus_x": sus_x,
    "rs_transclip": rs_transclip,
    "ecalp": ecalp,
}
# its names fit any .pt, so it is meant only where nothing else is
LAST_RESORT = "ecalp"


def find(format_name: str, names: Iterable[str]) -> Found:
    """Return what is where in files of one format, by data set and backbone."""
    if format_name not in FORMATS:
        raise FeatureError(f"no format {format_name!r}; {nearest(format_name, FORMATS)}")
    found = where(FORMATS[format_name].RULES, names)
    check_clashes(found)
    return found


def recognise(names: Iterable[str]) -> tuple[str, Found]:
    """Return the format of files by their names, and what is where in them.

    It is the one that takes the most files. Raises FeatureError where none fits.
    """
    names = list(names)
    best, most, chosen = "", 0, Found()
    for name in FORMATS:
        if best and name == LAST_RESORT:
            continue
        found = where(FORMATS[name].RULES, names)
        taken = {file for by in found.values() for one in by.values() for file in one.files()}
        if len(taken) > most:
            best, most, chosen = name, len(taken), found
    if not best:
        raise unrecognised(names)
    check_clashes(chosen)
    return best, chosen


def unrecognised(names: Iterable[str]) -> FeatureError:
    """Return the error of files that are of no known form."""
    listed = some(sorted(names), 5) or "no files"
    forms = "; ".join(module.TITLE for module in FORMATS.values())
    return FeatureError(f"no features in a known form among {listed}; known: {forms}")
