"""The slots of a memory as keys and values, projected once a write (method.md, section 7, step 2).

An image changes one slot at most, and a memory of a thousand classes has tens of thousands: to
project and normalise all of them for each image would cost ten times the read itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dmn.method.dynamic_memory import DynamicMemory
from dmn.method.projections import Projections
from dmn.method.readout import keys, values


class Slots(NamedTuple):
    """Keys and values [C, S, D] of a memory's slots, and which are filled [C, S].

    Without projections of either, both are one tensor.
    """

    key: Tensor
    value: Tensor
    filled: Tensor

    @classmethod
    def of(cls, features: Tensor, filled: Tensor, projections: Projections) -> Slots:
        """Project slots of unit features [C, S, D]."""
        key = keys(features, projections)
        shared = projections.key is None and projections.value is None
        return cls(key, key if shared else values(features, projections), filled)


class LiveSlots:
    """The slots of a dynamic memory, then the fixed ones [C, F, D]; follows what is written."""

    def __init__(self, fixed: Tensor, projections: Projections) -> None:
        self.fixed, self.projections = fixed, projections
        self._features: Tensor | None = None

    def of(self, memory: DynamicMemory) -> Slots:
        """Return the slots [C, L+F, D] as the memory is now; valid until it is asked again."""
        if self._features is not memory.features:
            # another memory, or one that grew or was resumed
            self._build(memory)
        # an image is in a slot once, so an index tells whether the slot was written since
        classes, slots = np.nonzero(self._ids != memory.ids)
        if len(classes):
            self._follow(memory, torch.from_numpy(classes), torch.from_numpy(slots))
        return self._slots

    def _build(self, memory: DynamicMemory) -> None:
        always = torch.ones(self.fixed.shape[:2], dtype=torch.bool, device=self.fixed.device)
        self._slots = Slots.of(
            torch.cat([memory.features, self.fixed], dim=1),
            torch.cat([memory.filled, always], dim=1),
            self.projections,
        )
        self._features, self._ids = memory.features, memory.ids.copy()

    def _follow(self, memory: DynamicMemory, classes: Tensor, slots: Tensor) -> None:
        written = Slots.of(
            memory.features[classes, slots][:, None],
            memory.filled[classes, slots][:, None],
            self.projections.of_classes(classes),
        )
        for own, new in zip(self._slots, written, strict=True):
            own[classes, slots] = new[:, 0]
        self._ids = memory.ids.copy()
