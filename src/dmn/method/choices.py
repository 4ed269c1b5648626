"""The method's named choices, without torch: configuration and numerics share them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

from dmn.errors import ConfigError, nearest

Setting = Literal["zero_shot", "training_free", "few_shot"]
Readout = Literal["similarity", "entropy", "center"]
EntryRule = Literal["entropy", "fifo", "random", "reservoir"]
Kind = Literal["bias", "linear"]
Position = Literal["query", "key", "value", "qkv", "output", "all"]

SETTINGS: tuple[Setting, ...] = get_args(Setting)
READOUTS: tuple[str, ...] = get_args(Readout)
ENTRY_RULES: tuple[str, ...] = get_args(EntryRule)
KINDS: tuple[str, ...] = get_args(Kind)
NAMES = ("query", "key", "value", "output", "text")
# which projections act at a position (method.md, section 7)
POSITIONS: dict[str, tuple[str, ...]] = {
    "query": ("query",),
    "key": ("key",),
    "value": ("value",),
    "qkv": ("query", "key", "value"),
    "output": ("output", "text"),
    "all": NAMES,
}


def check_choice(name: str, known: Collection[str], what: str) -> str:
    """Return a known name of `what`. Raises ConfigError."""
    if name not in known:
        raise ConfigError(f"{what} {name!r} is unknown; {nearest(name, known)}")
    return name
