"""Blocked reading on the CPU: products by the library, all else in compiled loops (section 12)."""

from __future__ import annotations

import threading
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dmn.engine.biases import Biases
from dmn.engine.compiled.kernels import Rows, read_classes
from dmn.engine.compiled.tracing import settle
from dmn.engine.reading import Reading
from dmn.engine.schedule import Schedule
from dmn.method.checks import scalar_type
from dmn.method.products import (
    COLUMNS,
    LEAST_ROWS,
    ROWS,
    fitting_columns,
    fitting_rows,
    padded,
    softmax_of_columns,
)
from dmn.method.projections import Projections
from dmn.method.readout import keys, query, values
from dmn.workers import Workers

# rows and queries of one product: it is still in the cache when it is read
CHUNK_ROWS, PART = 1024, 8 * COLUMNS
# more than any query of a block
FOREVER = 1 << 40


class Part(NamedTuple):
    """Images first to last of a block, from its start on, as queries [b, D] of each product."""

    first: int
    last: int
    queries: dict[str, Tensor]


class Plan(NamedTuple):
    """The slots that a block reads: `rows` of all classes and their table rows [R].

    chunks: first and last class of what is read at once, by one worker, part by part.
    """

    rows: Rows
    table: np.ndarray
    chunks: list[tuple[int, int]]
    parts: list[Part]


class Linear(NamedTuple):
    """Tables and queries moved by linear layers; value rows include the output layer."""

    key: Tensor
    value: Tensor
    u: Tensor


class BlockReader:
    """Reads the dynamic memory of a whole stream, or the static memory, for blocks of images.

    Blocks must be read in stream order, because a block leaves the products of its new slots to
    the next.
    """

    def __init__(self, reading: Reading, pool: Workers) -> None:
        reading = reading.for_readout()
        self.C, self.F, self.D = reading.fixed.shape
        self.table, self.x, self.pool = reading.table, reading.x, pool
        self.dtype = self.table.dtype
        self.scalar = scalar_type(self.dtype)
        self.betas = [self.scalar(beta) for beta in reading.betas]
        self.scale = self.scalar(reading.logit_scale)
        self.lengths = np.asarray(reading.lengths, dtype=self.scalar)
        self.delay, self.readout = reading.delay, reading.readout
        self._members(reading.schedule, reading.entropy)
        self.linear = self._linear(reading.projections)
        self.biases = Biases.of(reading.projections, self.table, self.x, self._row_class())
        self._gram(reading.fixed, reading.projections)
        self.left, self.right = self._operands()
        self.local = threading.local()

    def _members(self, schedule: Schedule | None, entropy: np.ndarray) -> None:
        """Collect the images that ever enter, by class and entropy; of equals the earlier first."""
        if schedule is None:
            self.time = self.label = self.end = self.place = np.zeros(0, np.int64)
            self.places = np.zeros(self.C, np.int64)
        else:
            stored = schedule.stored
            self.time = stored[np.lexsort((stored, entropy[stored], schedule.label[stored]))]
            self.label, self.end = schedule.label[self.time], schedule.end[self.time]
            place, self.places = settle(
                schedule.label, schedule.slot, schedule.evicted, self.C, PART + self.delay
            )
            self.place = place[self.time]
        self.weight = self._row_weights(entropy)

    def _row_weights(self, entropy: np.ndarray) -> np.ndarray:
        """Return the weights of members in the readouts that do not depend on the query."""
        if self.readout == "entropy":
            return (self.scalar(np.log(self.C)) - entropy[self.time]).astype(self.scalar)
        return np.ones(len(self.time), self.scalar)

    def _row_class(self) -> np.ndarray:
        """Return the class of each table row [C*F + N]; rows that never enter get class 0."""
        classes = np.zeros(len(self.table), np.int64)
        classes[: self.C * self.F] = np.repeat(np.arange(self.C), self.F)
        classes[self.C * self.F + self.time] = self.label
        return classes

    def _linear(self, projections: Projections) -> Linear | None:
        """Return the moved tables, or None where no linear layer acts on a read."""
        p = projections
        moved = any(layer is not None for layer in (p.query, p.key, p.value, p.output))
        if p.kind != "linear" or not moved:
            return None
        key = self.table if p.key is None else keys(self.table[None], p)[0]
        value = self.table
        if p.value is not None or p.output is not None:
            value = values(self.table[None], p)[0]
        if p.output is not None:
            value = value + value @ p.output.mT
        return Linear(key, value, self.x if p.query is None else query(self.x, p))

    def _operands(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the factors of the products that a read needs: slots on the left, queries right.

        Under linear layers the keys meet moved queries, and the Gram matrices moved new values,
        in place of the images themselves.
        """
        if self.linear is None:
            return {"value": self.table}, {"value": self.x}
        left = {"value": self.linear.value, "key": self.linear.key}
        right = {"value": self.x, "key": self.linear.u}
        if self.linear.value is not self.table and len(self.time):
            right["gram"] = self.linear.value[self.C * self.F :]
        return left, right

    def _gram(self, fixed: Tensor, projections: Projections) -> None:
        """Make room for the products of each class's values and fill in the fixed slots."""
        width = self.F + self.places
        self.offset = np.concatenate([[0], np.cumsum(width**2)]).astype(np.int64)
        self.gram = np.zeros(self.offset[-1], self.scalar)
        if self.linear is not None:
            v = self.linear.value[: self.C * self.F].reshape(fixed.shape)
        else:
            v = fixed if projections.value is None else values(fixed, projections)
        products = torch.bmm(v, v.mT).numpy()
        for c in range(self.C):
            own = self.gram[self.offset[c] : self.offset[c + 1]].reshape(width[c], width[c])
            own[: self.F, : self.F] = products[c]

    def read(self, start: int, stop: int, found: Tensor) -> None:
        """Fill found [betas, lengths, b, C] with the probabilities of images start to stop."""
        plan = self._plan(start, stop)
        width = plan.parts[-1].first + len(plan.parts[-1].queries["value"])
        logits = np.empty((len(self.betas), len(self.lengths), self.C, width), self.scalar)
        list(self.pool.map(lambda chunk: self._read_chunk(plan, chunk, start, logits), plan.chunks))
        answers = torch.from_numpy(logits)

        def finish(task: tuple[int, int, Part]) -> None:
            b, n, part = task
            # a readout without beta answers all betas alike
            own = answers[min(b, len(answers) - 1), n]
            softmax_of_columns(own, part.first, found[b, n, part.first : part.last])

        list(self.pool.map(finish, product(range(len(found)), range(found.shape[1]), plan.parts)))

    def _parts(self, start: int, stop: int) -> list[Part]:
        """Cut the images start to stop into parts, the last one padded with zeros."""
        parts = []
        for first in range(0, stop - start, PART):
            last = min(first + PART, stop - start)
            own = {
                name: padded(x[start + first : start + last], fitting_columns(last - first))
                for name, x in self.right.items()
            }
            parts.append(Part(first, last, own))
        return parts

    def _plan(self, start: int, stop: int) -> Plan:
        """List the slots that any image of the block sees, or that enter in it."""
        seen = np.flatnonzero((self.time < stop) & (self.end + self.delay > start))
        time, label, end = self.time[seen], self.label[seen], self.end[seen]
        counts = self.F + np.bincount(label, minlength=self.C)
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        R = int(first[-1])
        fixed = (first[:-1, None] + np.arange(self.F)).reshape(-1)
        mine = np.arange(len(seen)) + self.F * (label + 1)

        def rows(fixed_value: object, own: np.ndarray, dtype: type = np.int64) -> np.ndarray:
            array: np.ndarray = np.empty(R, dtype)
            array[fixed], array[mine] = fixed_value, own
            return array

        slots = Rows(
            start=first,
            row=np.zeros(R, np.int64),
            place=rows(np.tile(np.arange(self.F), self.C), self.F + self.place[seen]),
            column=rows(-1, np.maximum(time - start, -1)),
            low=rows(0, np.maximum(time + self.delay - start, 0)),
            high=rows(FOREVER, end + self.delay - start),
            weight=rows(self._fixed_weight(), self.weight[seen], self.scalar),
        )
        table = rows(np.arange(self.C * self.F), self.C * self.F + time)
        return Plan(slots, table, self._chunks(first), self._parts(start, stop))

    def _fixed_weight(self) -> float:
        return float(np.log(self.C)) if self.readout == "entropy" else 1.0

    def _chunks(self, first: np.ndarray) -> list[tuple[int, int]]:
        """Cut the classes into chunks of about CHUNK_ROWS slots, as many for each worker.

        Where one had a chunk more than another, the others would wait for it.
        """
        total, workers = int(first[-1]), self.pool.count
        count = max(2, -(-total // (CHUNK_ROWS * workers))) * workers
        ends = np.searchsorted(first, np.arange(1, count) * (total / count))
        return list(pairwise(np.unique([0, *ends, self.C]).tolist()))

    def _read_chunk(
        self, plan: Plan, chunk: tuple[int, int], start: int, logits: np.ndarray
    ) -> None:
        """Fill the logits of one chunk of classes, part by part of the queries."""
        c0, c1 = chunk
        r0, r1 = int(plan.rows.start[c0]), int(plan.rows.start[c1])
        places = plan.table[r0:r1]
        rows = Rows(plan.rows.start[c0 : c1 + 1] - r0, *(a[r0:r1] for a in plan.rows[1:]))
        stored = Stored.of(places, rows, self.biases.rows(c0, c1), plan.parts)
        rows = rows._replace(row=stored.row)
        offset = self.offset[c0 : c1 + 1]
        gram = self.gram[offset[0] : offset[-1]]
        left = {name: self._gather(name, stored) for name in self.left}
        shift, output = self.biases.slots(places, c0, c1, start)
        for part, window in zip(plan.parts, stored.windows, strict=True):
            found = {
                name: self._product(name, left.get(name, left["value"]), x, window)
                for name, x in part.queries.items()
            }
            value = found["value"]
            shift, output = self.biases.meet(shift, output, value[stored.extra])
            for b, beta in enumerate(self.betas):
                read_classes(
                    found.get("key", value), value, found.get("gram", value), rows, self.F,
                    part.first, part.last, beta, shift, self.biases.shifted, output,
                    self.biases.biased, gram, offset - offset[0], self.lengths, self.scale, c0,
                    logits[b],
                )  # fmt: skip

    def _gather(self, name: str, stored: Stored) -> Tensor:
        """Return the biases and slots of a chunk as one matrix [rows, D], filled up with zeros."""
        height, extra = stored.height, stored.extra
        # a window may begin late and be as long as the least product
        left = self._buffer(name + " rows", fitting_rows(height) + LEAST_ROWS, self.D)
        places = torch.from_numpy(stored.places)
        table = self.left[name]
        torch.index_select(table, 0, places[: extra.start], out=left[: extra.start])
        torch.index_select(table, 0, places[extra.start :], out=left[extra.stop : height])
        if stored.biases:
            torch.cat(stored.biases, out=left[extra])
        left[height:] = 0
        return left

    def _product(self, name: str, left: Tensor, x: Tensor, window: slice) -> np.ndarray:
        """Return the products [rows, b] of a window of the rows with x [b, D]."""
        out = self._buffer(name + " products", len(left), len(x))
        torch.mm(left[window], x.mT, out=out[window])
        return out.numpy()

    def _buffer(self, name: str, height: int, width: int) -> Tensor:
        """Return a thread's own scratch matrix, kept between chunks; it never holds a NaN."""
        store, size = self.local.__dict__, height * width
        if name not in store or store[name].numel() < size:
            store[name] = torch.zeros(size, dtype=self.dtype)
        return store[name][:size].view(height, width)


class Stored(NamedTuple):
    """How the slots of a chunk lie in a matrix: old ones by their end, biases, new by their entry.

    extra: the rows of the biases; places: table rows of the others, in their order; row: where
    each slot of the chunk stands; windows: the rows that any query of a part can see.
    """

    biases: list[Tensor]
    extra: slice
    places: np.ndarray
    row: np.ndarray
    windows: list[slice]

    @classmethod
    def of(cls, places: np.ndarray, rows: Rows, biases: list[Tensor], parts: list[Part]) -> Stored:
        """Order the slots `rows` [R] at table rows `places` [R]."""
        new = rows.column >= 0
        order = np.lexsort((np.where(new, rows.column, rows.high), new))
        old, before = len(order) - int(new.sum()), sum(map(len, biases))
        row = np.empty(len(order), np.int64)
        row[order] = np.arange(len(order)) + before * new[order]
        dead = np.searchsorted(rows.high[order[:old]], [part.first for part in parts], "right")
        needed = np.searchsorted(rows.column[order[old:]], [part.last for part in parts])
        windows = [
            slice(first, first + fitting_rows(last - first))
            for first, last in zip(
                (dead // ROWS * ROWS).tolist(), (needed + old + before).tolist(), strict=True
            )
        ]
        return cls(biases, slice(old, old + before), places[order], row, windows)

    @property
    def height(self) -> int:
        """Return how many rows the matrix has."""
        return len(self.places) + self.extra.stop - self.extra.start
