"""Dual Memory Networks: a dynamic and a static memory for frozen vision-language models.

Letters used in all shapes: N images, C classes, D feature dimension, V views of an image,
K shots of a class, L slots of a class in the dynamic memory, S slots that a read sees (L+1+K).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmn.engine.evaluate import Result as Result
    from dmn.method.projections import Projections as Projections
    from dmn.network import DualMemoryNetwork as DualMemoryNetwork
    from dmn.network import evaluate_many as evaluate_many

__version__ = "0.1.0"
__all__ = ["DualMemoryNetwork", "Projections", "Result", "__version__", "evaluate_many"]

# loaded at first use, because importing torch takes seconds and many jobs do without it
_HOME = {
    "DualMemoryNetwork": "dmn.network",
    "Projections": "dmn.method.projections",
    "Result": "dmn.engine.evaluate",
    "evaluate_many": "dmn.network",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'dmn' has no attribute {name!r}")
