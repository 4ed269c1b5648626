"""What a reader of a memory reads, and what every reader does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from torch import Tensor

from dmn.engine.schedule import Schedule
from dmn.method.projections import Projections
from dmn.workers import Workers


@dataclass(frozen=True)
class Reading:
    """What a reader reads, and how.

    fixed [C, F, D]: slots that are always seen; table [C*F + N, D]: these and the stream;
    x [N, D]: the images that ask; schedule None: no slot beyond the fixed ones; entropy [N].
    lengths ascend, the schedule's own last; delay 1: an image enters after it is answered.
    """

    fixed: Tensor
    table: Tensor
    x: Tensor
    schedule: Schedule | None
    entropy: np.ndarray
    projections: Projections
    readout: str
    betas: Sequence[float]
    logit_scale: float
    lengths: Sequence[int]
    delay: int = 0

    def for_readout(self) -> Reading:
        """Return the same without projections and betas where its readout has no use for them."""
        if self.readout == "similarity":
            return self
        return replace(self, betas=[0.0], projections=self.projections.for_readout(self.readout))


class Reader(Protocol):
    """Fills found [betas, lengths, b, C] with the probabilities of images start to stop."""

    def __init__(self, reading: Reading, pool: Workers) -> None: ...

    def read(self, start: int, stop: int, found: Tensor) -> None: ...
