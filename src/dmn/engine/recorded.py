"""A recorded stream after its text prediction, and readers of the memories it meets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from dmn.errors import FeatureError
from dmn.method.checks import as_views, check_order, scalar_type, selected_views
from dmn.method.dynamic_memory import Schedule
from dmn.method.projections import Projections
from dmn.method.text import normalise, predict
from dmn.workers import Workers

if TYPE_CHECKING:
    from dmn.network import DualMemoryNetwork

BLOCK = 2304
# probabilities [images, V, C] of one step of the text stage: on a CPU they stay in the cache
TEXT_NUMBERS, DEVICE_TEXT_NUMBERS = 1 << 18, 1 << 26


@dataclass(frozen=True)
class Stream:
    """A recorded stream after its text prediction.

    views [N, V, D] by row, order [N]; table [C*F + N, D]: the fixed slots, then view 0 of each
    image in stream order, of unit norm; label, entropy [N] in stream order.
    """

    views: Tensor
    order: np.ndarray | None
    table: Tensor
    offset: int
    label: np.ndarray
    entropy: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    @property
    def x(self) -> Tensor:
        """Return view 0 of each image [N, D], in stream order."""
        return self.table[self.offset :]


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

    def read(self, start: int, stop: int, found: Tensor) -> None: ...


def room(network: DualMemoryNetwork, *shape: int) -> Tensor:
    """Return an uninitialised tensor for answers, in the network's dtype and on its device.

    On a CPU it is numpy's, which asks for large pages: a gigabyte of small ones costs seconds.
    """
    if network.device.type != "cpu":
        return torch.empty(*shape, dtype=network.dtype, device=network.device)
    return torch.from_numpy(np.empty(shape, scalar_type(network.dtype)))


def blocks(count: int, size: int) -> list[tuple[int, int]]:
    """Return (start, stop) of consecutive blocks of `size` images."""
    return [(start, min(start + size, count)) for start in range(0, count, size)]


def open_stream(
    network: DualMemoryNetwork,
    views: object,
    order: object = None,
    pool: Workers | None = None,
    text: Tensor | None = None,
) -> Stream:
    """Check the views, predict from text and return the stream, ready to be traced.

    Text probabilities go to `text` [N, C] if given. Raises FeatureError.
    """
    checked = as_views(views, network.dimension)
    N, V, _ = checked.shape
    kept = selected_views(V, network.view_share)
    rows = None if order is None else check_order(order, N)
    fixed = network.fixed.reshape(-1, network.dimension)
    table = room(network, len(fixed) + N, network.dimension)
    table[: len(fixed)] = fixed
    label = np.empty(N, np.int64)
    entropy = np.empty(N, scalar_type(network.dtype))

    def task(span: tuple[int, int]) -> None:
        start, stop = span
        part = checked[start:stop] if rows is None else checked[rows[start:stop]]
        unit = normalise(part.to(network.device, network.dtype))
        table[len(fixed) + start : len(fixed) + stop] = unit[:, 0]
        found = predict(unit, network.columns, network.classes, network.logit_scale, kept)
        label[start:stop] = found.pseudo_label.cpu().numpy()
        entropy[start:stop] = found.entropy.cpu().numpy()
        if text is not None:
            text[start:stop] = found.probability

    numbers = TEXT_NUMBERS if network.device.type == "cpu" else DEVICE_TEXT_NUMBERS
    spans = blocks(N, max(1, numbers // (network.classes * V)))
    for _ in map(task, spans) if pool is None else pool.map(task, spans):
        pass
    return Stream(checked, rows, table, len(fixed), label, entropy)


def as_rows(views: object) -> Sequence:
    """Return views if they have a length; the full check comes later."""
    return views if hasattr(views, "__len__") else np.asarray(views)  # type: ignore[return-value]


def reorder(stream: Stream, rows: np.ndarray) -> Stream:
    """Return the stream in another order; the text prediction of an image does not change."""
    table = stream.table.clone()
    torch.index_select(
        stream.x, 0, torch.from_numpy(rows).to(table.device), out=table[stream.offset :]
    )
    return Stream(
        stream.views, rows, table, stream.offset, stream.label[rows], stream.entropy[rows]
    )


def shares_static(network: DualMemoryNetwork) -> bool:
    """Say whether the static memory is what the dynamic one reads before any image enters."""
    if network.static is None or network.readout != "similarity":
        return False
    return network.fixed.shape == network.static.shape and torch.equal(
        network.fixed, network.static
    )


def dynamic_reader(
    network: DualMemoryNetwork,
    stream: Stream,
    schedule: Schedule,
    lengths: Sequence[int],
    pool: Workers,
    betas: Sequence[float] | None = None,
) -> Reader:
    """Return a reader of the dynamic memory for ascending `lengths`, the schedule's own last."""
    reading = dynamic_reading(network, stream, schedule, lengths, betas)
    return _reader_class(network)(reading, pool)


def dynamic_reading(
    network: DualMemoryNetwork,
    stream: Stream,
    schedule: Schedule,
    lengths: Sequence[int],
    betas: Sequence[float] | None = None,
) -> Reading:
    """Return what `dynamic_reader` reads."""
    return Reading(
        network.fixed,
        stream.table,
        stream.x,
        schedule,
        stream.entropy,
        network.projections,
        network.readout,
        [network.beta] if betas is None else betas,
        network.logit_scale,
        lengths,
        delay=0 if network.update_before_read else 1,
    )


def static_reader(
    network: DualMemoryNetwork,
    stream: Stream,
    pool: Workers,
    betas: Sequence[float] | None = None,
) -> Reader:
    """Return a reader of the static memory, which is always read by similarity."""
    if network.static is None:
        raise FeatureError("there is no static memory in zero-shot; give shots [C, K, D]")
    reading = Reading(
        network.static,
        network.static.reshape(-1, network.dimension),
        stream.x,
        None,
        stream.entropy,
        network.projections,
        "similarity",
        [network.beta] if betas is None else betas,
        network.logit_scale,
        [0],
    )
    return _reader_class(network)(reading, pool)


def _reader_class(network: DualMemoryNetwork) -> Any:
    """Return the class whose readers suit the network's device."""
    if network.device.type != "cpu":
        from dmn.engine.gpu import BatchedReader

        return BatchedReader
    # compiled loops take a second to load, and a GPU needs none
    from dmn.engine.cpu import BlockReader

    return BlockReader
