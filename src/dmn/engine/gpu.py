"""Blocked reading with tensor operations only, for GPUs (method.md, section 12)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dmn.engine.reading import Reading
from dmn.method.projections import Projections
from dmn.method.readout import keys, query, values
from dmn.workers import Workers

# elements of the largest scratch tensor: 0.5 GB in float32
BUDGET = 1 << 27


class PaddedSlots(NamedTuple):
    """Slots of a chunk of classes, padded to R a class: table row, first and last step [C, R].

    A padded slot has first > last, so that no image sees it.
    """

    row: Tensor
    first: Tensor
    last: Tensor
    weight: Tensor


class BatchedReader:
    """Same answers as `dmn.engine.cpu.BlockReader`, within rounding."""

    def __init__(self, reading: Reading, pool: Workers) -> None:
        del pool  # the device has its own
        reading = reading.for_readout()
        schedule, entropy = reading.schedule, reading.entropy
        self.C, self.F, self.D = reading.fixed.shape
        self.table, self.x, self.readout = reading.table, reading.x, reading.readout
        self.scale, self.lengths = reading.logit_scale, list(reading.lengths)
        self.betas, self.delay = list(reading.betas), reading.delay
        self.projections = reading.projections
        stored = np.zeros(0, np.int64) if schedule is None else schedule.stored
        label = stored if schedule is None else schedule.label[stored]
        by_class = np.lexsort((stored, entropy[stored], label))
        self.time, self.label = stored[by_class], label[by_class]
        self.end = self.time if schedule is None else schedule.end[self.time]
        self.entropy = entropy[self.time]
        self.log_c = float(np.log(self.C))

    def read(self, start: int, stop: int, found: Tensor) -> None:
        """Fill found [betas, lengths, b, C] with the probabilities of images start to stop."""
        seen = np.flatnonzero((self.time < stop) & (self.end + self.delay > start))
        most = self.F + int(np.bincount(self.label[seen], minlength=self.C).max(initial=0))
        step = max(1, BUDGET // max(1, most * max(stop - start, self.D)))
        parts = [
            self._chunk(seen, c0, min(c0 + step, self.C), most, start, stop)
            for c0 in range(0, self.C, step)
        ]
        # a readout without beta answers all betas alike
        found.copy_(torch.softmax(torch.cat(parts, dim=-1), dim=-1).expand_as(found))

    def _slots(self, seen: np.ndarray, c0: int, c1: int, most: int) -> PaddedSlots:
        mine = seen[(self.label[seen] >= c0) & (self.label[seen] < c1)]
        label = self.label[mine] - c0
        counts = np.bincount(label, minlength=c1 - c0)
        place = self.F + np.arange(len(mine)) - np.repeat(np.cumsum(counts) - counts, counts)
        shape = (c1 - c0, most)
        row, weight = np.zeros(shape, np.int64), np.zeros(shape)
        first, last = np.full(shape, 1, np.int64), np.zeros(shape, np.int64)
        row[:, : self.F] = np.arange(c0 * self.F, c1 * self.F).reshape(c1 - c0, self.F)
        first[:, : self.F], last[:, : self.F] = -1, np.iinfo(np.int64).max
        weight[:, : self.F] = self.log_c if self.readout == "entropy" else 1
        row[label, place] = self.C * self.F + self.time[mine]
        first[label, place] = self.time[mine] + self.delay
        last[label, place] = self.end[mine] + self.delay
        own = self.log_c - self.entropy[mine] if self.readout == "entropy" else 1
        weight[label, place] = own
        device = self.table.device
        moved = [torch.from_numpy(a).to(device) for a in (row, first, last, weight)]
        return PaddedSlots(moved[0], moved[1], moved[2], moved[3].to(self.table.dtype))

    def _chunk(
        self, seen: np.ndarray, c0: int, c1: int, most: int, start: int, stop: int
    ) -> Tensor:
        """Return logits [betas, lengths, b, chunk] of the classes c0 to c1."""
        slots = self._slots(seen, c0, c1, most)
        p = self.projections.of_classes(slice(c0, c1))
        x, R = self.x[start:stop], self.table[slots.row]
        v = values(R, p)
        if p.kind == "linear" and p.output is not None:
            v = v + v @ p.output.mT
        k = v if p.key is None and p.value is None and p.output is None else keys(R, p)
        similarity = k @ query(x, p).mT
        numerator = similarity if k is v and p.query is None else v @ x.mT
        gram = v @ v.mT
        step = torch.arange(start, stop, device=x.device)
        mask = (slots.first[..., None] <= step) & (step < slots.last[..., None])
        counts = mask[:, self.F :].cumsum(dim=1)
        found = []
        for beta in self.betas:
            w = slots.weight[..., None].expand_as(similarity)
            if self.readout == "similarity":
                w = torch.exp(-beta * (1 - similarity))
            found.append(
                torch.stack([
                    self._logits(w, mask, counts, length, numerator, gram, v, x, p)
                    for length in self.lengths
                ])
            )  # fmt: skip
        return torch.stack(found)

    def _logits(
        self,
        w: Tensor,
        mask: Tensor,
        counts: Tensor,
        length: int,
        numerator: Tensor,
        gram: Tensor,
        v: Tensor,
        x: Tensor,
        p: Projections,
    ) -> Tensor:
        """Return logits [b, chunk] of a memory of one length: norms from Gram matrices."""
        if length != self.lengths[-1]:
            mask = mask.clone()
            mask[:, self.F :] &= counts <= length
        w = w * mask
        square = (w * (gram @ w)).sum(dim=1)
        inverse = torch.where(square > 0, square.clamp_min(0).rsqrt(), torch.zeros_like(square))
        cosine = (w * numerator).sum(dim=1) * inverse
        if p.kind == "bias" and p.output is not None:
            along = ((v @ p.output[..., None])[..., 0][..., None] * w).sum(dim=1) * inverse
            extra = (p.output * p.output).sum(dim=-1, keepdim=True)
            norm = ((square > 0) + 2 * along + extra).clamp_min(0).sqrt()
            cosine = (cosine + p.output @ x.mT) / norm
        return (self.scale * cosine).mT
