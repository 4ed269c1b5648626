"""The dynamic memory: what it keeps of a stream, one image at a time (method.md, section 4)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dmn.errors import FeatureError
from dmn.method.checks import check_length
from dmn.method.choices import ENTRY_RULES, check_choice
from dmn.randomness import derive_seed

MASK = (1 << 64) - 1


def draw(seed: int, step: int) -> int:
    """Return 64 random bits for one step of a stream (SplitMix64), the same in any run."""
    z = (seed + (step + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def rule_seed(seed: int) -> int:
    """Return the seed that the draws of the entry rules random and reservoir start from."""
    return derive_seed(seed, "entry rule")


class DynamicMemory:
    """The memory of a live stream: features [C, L, D], entropies and stream indices [C, L].

    With length None, L grows as classes fill up.
    """

    FIRST_SLOTS = 8

    def __init__(
        self,
        classes: int,
        dimension: int,
        length: int | None = 50,
        entry_rule: str = "entropy",
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.length = check_length(length)
        self.entry_rule = check_choice(entry_rule, ENTRY_RULES, "entry_rule")
        self._seed = rule_seed(seed)
        slots = self.FIRST_SLOTS if self.length is None else self.length
        self.features = torch.zeros(classes, slots, dimension, dtype=dtype, device=device)
        self.entropy = torch.zeros(classes, slots, dtype=dtype, device=device)
        self.ids = np.full((classes, slots), -1, dtype=np.int64)
        self.count = np.zeros(classes, dtype=np.int64)
        self.seen = np.zeros(classes, dtype=np.int64)
        self.steps = 0

    def update(self, x: Tensor, label: int, entropy: Tensor) -> tuple[int, int]:
        """Offer an image's unit feature x [D]; return (slot, evicted), each -1 for none.

        Section 4: an empty slot is filled; else the slot of the largest entropy is overwritten
        if the new entropy is strictly smaller (of equal entropies the latest goes first).
        """
        step, y = self.steps, int(label)
        self.steps += 1
        self.seen[y] += 1
        slot = self._slot(y, entropy, step)
        if slot < 0:
            return -1, -1
        evicted = int(self.ids[y, slot])
        self.count[y] += evicted < 0
        self.features[y, slot] = x
        self.entropy[y, slot] = entropy
        self.ids[y, slot] = step
        return slot, evicted

    def _slot(self, y: int, entropy: Tensor, step: int) -> int:
        """Return the slot that the entry rule gives an image of class y, -1 if it rejects it."""
        if self.length is None and self.count[y] == self.features.shape[1]:
            self._grow()
        L = self.features.shape[1]
        if self.count[y] < L:
            return int(self.count[y])
        if self.entry_rule == "fifo":
            return int(self.ids[y].argmin())
        if self.entry_rule == "random":
            return draw(self._seed, step) % L
        if self.entry_rule == "reservoir":
            place = draw(self._seed, step) % int(self.seen[y])
            return place if place < L else -1
        stored = self.entropy[y].cpu().numpy()
        worst = int(np.lexsort((self.ids[y], stored))[-1])
        return worst if float(entropy) < float(stored[worst]) else -1

    def _grow(self) -> None:
        """Double the number of slots of every class."""
        self.features = torch.cat([self.features, torch.zeros_like(self.features)], dim=1)
        self.entropy = torch.cat([self.entropy, torch.zeros_like(self.entropy)], dim=1)
        self.ids = np.concatenate([self.ids, np.full_like(self.ids, -1)], axis=1)

    @property
    def filled(self) -> Tensor:
        """Return which slots hold an image, [C, L]."""
        return torch.from_numpy(self.ids >= 0).to(self.features.device)

    def state(self) -> dict[str, np.ndarray]:
        """Return all that a later run needs to go on, as arrays."""
        return {
            "features": self.features.cpu().numpy(),
            "entropy": self.entropy.cpu().numpy(),
            "ids": self.ids,
            "count": self.count,
            "seen": self.seen,
            "steps": np.array([self.steps], dtype=np.int64),
        }

    def resume(self, state: dict[str, np.ndarray]) -> None:
        """Take over a state that `state` gave. Raises FeatureError if it does not fit."""
        C, L, D = self.features.shape
        c, l, d = state["features"].shape  # noqa: E741 - the letters of the project
        if (c, d) != (C, D):
            raise FeatureError(
                f"the saved memory has C={c} classes and D={d} dimensions, this network C={C} and "
                f"D={D}; resume it with the text features that it was saved with"
            )
        if self.length is not None and l != L:
            raise FeatureError(
                f"the saved memory has L={l} slots a class, this network L={L}; "
                f"make the network with length={l}"
            )
        like = self.features
        self.features = torch.from_numpy(state["features"]).to(like.device, like.dtype)
        self.entropy = torch.from_numpy(state["entropy"]).to(like.device, like.dtype)
        self.ids, self.count = state["ids"].copy(), state["count"].copy()
        self.seen, self.steps = state["seen"].copy(), int(state["steps"][0])
