"""All writes of a stream into the dynamic memory, traced at once.

What enters depends on pseudo-labels and entropies only, never on what was read before, so the
whole schedule of writes is known before any read (method.md, sections 4 and 12).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmn.engine.compiled.tracing import trace
from dmn.errors import FeatureError
from dmn.method.checks import check_length
from dmn.method.choices import ENTRY_RULES, check_choice
from dmn.method.dynamic_memory import rule_seed


@dataclass(frozen=True)
class Schedule:
    """Which image sits in which slot over which steps of a stream of N images.

    slot, evicted [N]: slot written at a step (-1 rejected) and the stream index of the image
    overwritten (-1 none); end [N]: the step that overwrites the image, N if it stays to the end,
    -1 if it never entered; label [N]; count [C]; memory_ids and memory_entropy [C, L]: the last
    contents (-1 and 0 where empty). With an unlimited length, L is the largest count.
    """

    slot: np.ndarray
    evicted: np.ndarray
    end: np.ndarray
    label: np.ndarray
    count: np.ndarray
    memory_ids: np.ndarray
    memory_entropy: np.ndarray

    @property
    def stored(self) -> np.ndarray:
        """Return the stream indices of all images that ever enter, ascending."""
        return np.flatnonzero(self.slot >= 0)


def write_schedule(
    pseudo_label: np.ndarray,
    entropy: np.ndarray,
    classes: int,
    length: int | None = 50,
    entry_rule: str = "entropy",
    seed: int = 0,
) -> Schedule:
    """Trace all writes of a stream of pseudo-labels [N] and entropies [N] (section 4).

    `length` None is an unlimited memory. Raises FeatureError, ConfigError.
    """
    rule = ENTRY_RULES.index(check_choice(entry_rule, ENTRY_RULES, "entry_rule"))
    label = np.ascontiguousarray(pseudo_label, dtype=np.int64)
    h = np.ascontiguousarray(entropy)
    if label.shape != h.shape or label.ndim != 1:
        raise FeatureError(
            f"pseudo_label {list(label.shape)} and entropy {list(h.shape)} must both be [N]"
        )
    if len(label) and not (label.min() >= 0 and label.max() < classes):
        raise FeatureError(
            f"pseudo_label has values {label.min()} to {label.max()}; "
            f"for C={classes} classes they must lie in 0 to {classes - 1}"
        )
    if not np.isfinite(h).all():
        raise FeatureError("entropy has NaN or infinite values; check the text features")
    most = int(np.bincount(label, minlength=classes).max()) if len(label) else 0
    limit = check_length(length)
    slots = most if limit is None else limit
    # a memory longer than any class could fill is not allocated in full
    slot, evicted, end, count, ids = trace(
        label, h, classes, min(slots, most), rule, np.uint64(rule_seed(seed))
    )
    ids = np.pad(ids, ((0, 0), (0, slots - ids.shape[1])), constant_values=-1)
    kept = np.where(ids >= 0, h[ids], 0) if len(h) else np.zeros(ids.shape, h.dtype)
    return Schedule(slot, evicted, end, label, count, ids, kept)
