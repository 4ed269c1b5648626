"""What studies draw: the forms, their panels, style and fonts.

The forms of `dmn.report.drawing.figures` by name, loaded when the first is drawn: a study's module
names them at its top, and the jobs that measure it draw nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmn.report.drawing.figures import (
        dots,
        gallery,
        heatmap,
        landscape,
        lines,
        reliability,
        scatter,
    )

__all__ = ["dots", "gallery", "heatmap", "landscape", "lines", "reliability", "scatter"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dmn.report.drawing import figures

    return getattr(figures, name)
