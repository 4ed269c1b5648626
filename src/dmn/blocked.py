"""Blocked reading on the CPU: products by the library, all else in compiled loops (section 12)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dmn.biases import Biases
from dmn.dynamic_memory import Schedule
from dmn.exponential import softmax_columns
from dmn.kernels import Rows, read_classes
from dmn.projections import Projections
from dmn.readout import keys, query, values
from dmn.text import LEAST_ROWS

CHUNK_ROWS = 512


class Plan(NamedTuple):
    """All slots that a block reads: `rows` of all classes and their place in the table [R]."""

    rows: Rows
    table: np.ndarray


class Linear(NamedTuple):
    """Tables and queries moved by linear layers; value rows include the output layer."""

    key: Tensor
    value: Tensor
    u: Tensor


class BlockReader:
    """Reads the dynamic memory of a whole stream, or the static memory, for blocks of images.

    fixed [C, F, D]: slots that are always seen; table [C*F + N, D]: these and the stream;
    x [N, D]: the images that ask; schedule None: no slot beyond the fixed ones. Blocks must be
    read in stream order, because a block leaves the products of its new slots to the next.
    """

    def __init__(
        self,
        fixed: Tensor,
        table: Tensor,
        x: Tensor,
        schedule: Schedule | None,
        entropy: np.ndarray,
        projections: Projections,
        *,
        readout: str,
        betas: Sequence[float],
        logit_scale: float,
        lengths: Sequence[int],
        delay: int,
        pool: ThreadPoolExecutor,
    ) -> None:
        self.C, self.F, self.D = fixed.shape
        self.table, self.x, self.pool = table, x, pool
        self.dtype = table.dtype
        self.scalar = np.float64 if self.dtype == torch.float64 else np.float32
        self.betas = [self.scalar(beta) for beta in betas]
        self.scale = self.scalar(logit_scale)
        self.lengths = np.asarray(lengths, dtype=np.int64)
        self.delay = delay
        self.readout = readout
        if readout != "similarity":
            self.betas = [self.scalar(0)]
            projections = Projections(projections.kind)
        self._members(schedule, entropy)
        self.linear = self._linear(projections)
        self.biases = Biases.of(projections, table, x, self._row_class())
        self._gram(fixed, projections)
        self.local = threading.local()

    def _members(self, schedule: Schedule | None, entropy: np.ndarray) -> None:
        """Collect the images that ever enter, by class and entropy; of equals the earlier first."""
        stored = np.zeros(0, np.int64) if schedule is None else schedule.stored
        if schedule is None:
            self.label = self.slot = self.end = self.time = stored
            self.slots = np.zeros(self.C, np.int64)
        else:
            self.time = stored[np.lexsort((stored, entropy[stored], schedule.label[stored]))]
            self.label = schedule.label[self.time]
            self.slot, self.end = schedule.slot[self.time], schedule.end[self.time]
            self.slots = schedule.count
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

    def _gram(self, fixed: Tensor, projections: Projections) -> None:
        """Make room for the products of each class's values and fill in the fixed slots."""
        width = self.F + self.slots
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

    def read(self, start: int, stop: int) -> Tensor:
        """Return probabilities [betas, lengths, b, C] of images start to stop."""
        plan = self._plan(start, stop)
        queries = self._queries(self.x, start, stop)
        u = queries if self.linear is None else self._queries(self.linear.u, start, stop)
        logits = np.empty(
            (len(self.betas), len(self.lengths), self.C, queries.shape[0]), self.scalar
        )
        chunks = self._chunks(plan.rows.start)

        def task(chunk: tuple[int, int]) -> None:
            self._read_chunk(plan, chunk, start, queries, u, logits)

        list(self.pool.map(task, chunks))
        found = torch.empty(*logits.shape[:2], stop - start, self.C, dtype=self.dtype)
        pairs = [(b, n) for b in range(len(self.betas)) for n in range(len(self.lengths))]
        list(self.pool.map(lambda p: softmax_columns(logits[p], found[p].numpy()), pairs))
        return found

    def _queries(self, x: Tensor, start: int, stop: int) -> Tensor:
        part = x[start:stop]
        rows = -(-(stop - start) // LEAST_ROWS) * LEAST_ROWS
        queries = part.new_zeros(rows, self.D)
        queries[: stop - start] = part
        return queries

    def _plan(self, start: int, stop: int) -> Plan:
        """List the slots that any image of the block sees, or that enter in it."""
        seen = np.flatnonzero((self.time < stop) & (self.end + self.delay > start))
        time, label, end = self.time[seen], self.label[seen], self.end[seen]
        counts = self.F + np.bincount(label, minlength=self.C)
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        R = int(first[-1])
        fixed = (first[:-1, None] + np.arange(self.F)).reshape(-1)
        mine = np.arange(len(seen)) + self.F * (label + 1)
        new = time >= start

        def rows(fixed_value: object, own: np.ndarray, dtype: type = np.int64) -> np.ndarray:
            array: np.ndarray = np.empty(R, dtype)
            array[fixed], array[mine] = fixed_value, own
            return array

        slots = Rows(
            start=first,
            place=rows(np.tile(np.arange(self.F), self.C), self.F + self.slot[seen]),
            written=rows(-1, time),
            column=rows(-1, np.where(new, time - start, -1)),
            low=rows(0, np.clip(time + self.delay - start, 0, stop - start)),
            high=rows(stop - start, np.clip(end + self.delay - start, 0, stop - start)),
            stays=rows(True, end + self.delay > stop, np.bool_),
            weight=rows(self._fixed_weight(), self.weight[seen], self.scalar),
        )
        return Plan(slots, rows(np.arange(self.C * self.F), self.C * self.F + time))

    def _fixed_weight(self) -> float:
        return float(np.log(self.C)) if self.readout == "entropy" else 1.0

    def _chunks(self, first: np.ndarray) -> list[tuple[int, int]]:
        """Cut the classes so that each chunk has about CHUNK_ROWS slots, at least one class."""
        chunks, begin = [], 0
        for c in range(1, self.C + 1):
            if c == self.C or first[c + 1] - first[begin] > CHUNK_ROWS:
                chunks.append((begin, c))
                begin = c
        return chunks

    def _read_chunk(
        self,
        plan: Plan,
        chunk: tuple[int, int],
        start: int,
        queries: Tensor,
        u: Tensor,
        logits: np.ndarray,
    ) -> None:
        """Fill the logits of one chunk of classes."""
        c0, c1 = chunk
        r0, r1 = int(plan.rows.start[c0]), int(plan.rows.start[c1])
        rows = Rows(plan.rows.start[c0 : c1 + 1] - r0, *(a[r0:r1] for a in plan.rows[1:]))
        places = plan.table[r0:r1]
        value, extra = self._products("value", self._value_table, places, queries, (c0, c1))
        key = value
        if self.linear is not None:
            key, _ = self._products("key", self.linear.key, places, u, None)
        products = value
        if self.linear is not None and self.linear.value is not self.table:
            products, rows = self._value_products(places, rows)
        offset = self.offset[c0 : c1 + 1]
        gram = self.gram[offset[0] : offset[-1]]
        shift, output = self.biases.chunk(places, c0, c1, start, extra)
        for b, beta in enumerate(self.betas):
            read_classes(
                key, value, products, rows, self.F, beta, shift, self.biases.shifted, output,
                self.biases.biased, gram, offset - offset[0], b == len(self.betas) - 1,
                self.lengths, self.scale, c0, logits[b],
            )  # fmt: skip

    @property
    def _value_table(self) -> Tensor:
        return self.table if self.linear is None else self.linear.value

    def _products(
        self, name: str, table: Tensor, places: np.ndarray, x: Tensor, chunk: tuple | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the products of the table's rows with x, and those of the chunk's biases."""
        more = [] if chunk is None else self.biases.rows(*chunk)
        extra = sum(len(rows) for rows in more)
        R = len(places)
        height = -(-(R + extra) // LEAST_ROWS) * LEAST_ROWS
        left = self._buffer(name + " rows", height, self.D)
        torch.index_select(table, 0, torch.from_numpy(places), out=left[:R])
        if extra:
            torch.cat(more, out=left[R : R + extra])
        left[R + extra :] = 0
        out = self._buffer(name + " products", height, len(x))
        torch.mm(left, x.mT, out=out)
        found = out.numpy()
        return found[:R], found[R : R + extra]

    def _value_products(self, places: np.ndarray, rows: Rows) -> tuple[np.ndarray, Rows]:
        """Return products of all values with those that are new, and the rows that say where."""
        new = np.flatnonzero(rows.column >= 0)
        column = np.full(len(places), -1, np.int64)
        column[new] = np.arange(len(new))
        height = -(-max(len(new), 1) // LEAST_ROWS) * LEAST_ROWS
        right = self._value_table.new_zeros(height, self.D)
        right[: len(new)] = self._value_table[torch.from_numpy(places[new])]
        found, _ = self._products("gram", self._value_table, places, right, None)
        return found, rows._replace(column=column)

    def _buffer(self, name: str, height: int, width: int) -> Tensor:
        """Return a thread's own scratch matrix, kept between chunks."""
        store = self.local.__dict__
        if name not in store or store[name].numel() < height * width:
            store[name] = torch.empty(height * width, dtype=self.dtype)
        return store[name][: height * width].reshape(height, width)
