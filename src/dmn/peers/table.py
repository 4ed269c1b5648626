"""The table of peers, one line each: key, file below dmn.peers, how it is called, changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Entry:
    """Where a peer's module is, its name in print, and options that make it a variant."""

    module: str
    title: str
    changes: Mapping[str, Any] = field(default_factory=dict)


PEERS = {
    "zero_shot_clip": Entry("image.zero_shot", "zero-shot CLIP"),
    "tda": Entry("online.tda", "TDA"),
    "tip_adapter": Entry("few_shot.tip_adapter", "Tip-Adapter"),
    "tip_adapter_f": Entry("few_shot.tip_adapter_f", "Tip-Adapter-F"),
    "nearest_class_mean": Entry("few_shot.nearest_mean", "nearest class mean"),
    "linear_probe": Entry("few_shot.linear_probe", "linear probe"),
}


def module_name(key: str) -> str:
    """Return the dotted name of a peer's module."""
    return f"dmn.peers.{PEERS[key].module}"
