"""What meets a stream beside the peers, by name: the network and the remedies of its memory."""

from __future__ import annotations

from dmn.evaluation.contract import Cell

ZERO_SHOT = Cell("zero_shot")
MEMORY = "dmn_dynamic"
# by component and weights
OWN = {
    "text": ("text", "none"),
    MEMORY: ("dynamic", "none"),
    "dmn_fixed": ("fused", "fixed"),
    "dmn_label_free": ("fused", "label_free"),
}
REMEDIES = (
    "abstaining",
    "prior_correction",
    "first_in_first_out",
    "short_memory",
    "confident_entry",
    "reset_at_changes",
)


def kind(method: str) -> tuple[str, str]:
    """Return the component and weights of a method."""
    return OWN.get(method, ("dynamic", "none") if method in REMEDIES else ("peer", "fixed"))
