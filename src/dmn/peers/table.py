"""The table of peers, one line each: key, file below dmn.peers, name in print, changed options."""

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
    "mta": Entry("image.mta", "MTA"),
    "zero": Entry("image.zero", "ZERO"),
    "dmn_centred": Entry("online.dmn_centred", "DMN, centred"),
    "tda": Entry("online.tda", "TDA"),
    "bca": Entry("online.bca", "BCA"),
    "dota": Entry("online.dota", "DOTA"),
    "ecalp": Entry("online.ecalp", "ECALP"),
    "freetta": Entry("online.freetta", "FreeTTA"),
    "onzeta": Entry("online.onzeta", "OnZeta"),
    "oga": Entry("online.oga", "OGA"),
    "oga_single": Entry("online.oga", "OGA, image by image", {"batch": 1}),
    "stata_batches": Entry("batch.stata", "StatA, batches of 64", {"batch": 64}),
    "stata": Entry("batch.stata", "StatA"),
    "transclip": Entry("batch.transclip", "TransCLIP"),
    "zlap": Entry("batch.zlap", "ZLaP"),
    "transclip_shots": Entry("batch.transclip_shots", "TransCLIP with shots"),
    "tip_adapter": Entry("few_shot.tip_adapter", "Tip-Adapter"),
    "tip_adapter_f": Entry("few_shot.tip_adapter_f", "Tip-Adapter-F"),
    "ape": Entry("few_shot.ape", "APE"),
    "gda": Entry("few_shot.gda", "GDA"),
    "zlap_inductive": Entry("few_shot.zlap_inductive", "ZLaP, inductive"),
    "nearest_class_mean": Entry("few_shot.nearest_mean", "nearest class mean"),
    "linear_probe": Entry("few_shot.linear_probe", "linear probe"),
    "clap": Entry("few_shot.clap", "CLAP"),
}
# the others cost more than the rest of a small run: name them in `studies.peers.methods`
BY_DEFAULT = (
    "zero_shot_clip",
    "dmn_centred",
    "tda",
    "tip_adapter",
    "tip_adapter_f",
    "nearest_class_mean",
    "linear_probe",
)


def module_name(key: str) -> str:
    """Return the dotted name of a peer's module."""
    return f"dmn.peers.{PEERS[key].module}"
