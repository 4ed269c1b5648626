"""Exact evaluation of a recorded stream in blocks of images (method.md, section 12)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from dmn.dynamic_memory import Schedule, write_schedule
from dmn.errors import FeatureError
from dmn.inputs import as_views, check_order, selected_views
from dmn.text import LEAST_ROWS, normalise, predict, text_probabilities

if TYPE_CHECKING:
    from dmn.blocked import BlockReader
    from dmn.network import DualMemoryNetwork

BLOCK = 1024


@dataclass(frozen=True)
class Result:
    """Answers to N images of a stream, in stream order; N is a block's size when in blocks.

    pseudo_label, entropy [N]; text, dynamic, static [N, C] probabilities, static None in
    zero-shot; slot, evicted [N]: slot written (-1 rejected), stream index of the image that was
    overwritten (-1 none). `start` is the stream index of the first image. `schedule` has the
    last contents of the memory; it is None for an online step, which drops the axis N.
    """

    pseudo_label: Tensor
    entropy: Tensor
    text: Tensor
    dynamic: Tensor
    static: Tensor | None
    slot: Tensor
    evicted: Tensor
    start: int = 0
    schedule: Schedule | None = None


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


class Reader(Protocol):
    """Reads memories for images start to stop: probabilities [betas, lengths, b, C]."""

    def read(self, start: int, stop: int) -> Tensor: ...


@contextmanager
def workers(count: int | None) -> Iterator[ThreadPoolExecutor]:
    """Give a pool of `count` threads (torch's number if None), each product on one thread.

    A product's last bits may depend on the threads it runs on, so work is split by tasks.
    """
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(count or before, initializer=torch.set_num_threads, initargs=(1,))
    try:
        torch.set_num_threads(1)
        with pool:
            yield pool
    finally:
        torch.set_num_threads(before)


def blocks(count: int, size: int) -> list[tuple[int, int]]:
    """Return (start, stop) of consecutive blocks of `size` images."""
    return [(start, min(start + size, count)) for start in range(0, count, size)]


def padded(rows: Tensor) -> Tensor:
    """Return rows [B, D] with zero rows appended up to a multiple of 64."""
    missing = -len(rows) % LEAST_ROWS if len(rows) else LEAST_ROWS
    return rows if not missing else torch.cat([rows, rows.new_zeros(missing, rows.shape[1])])


def open_stream(
    network: DualMemoryNetwork,
    views: object,
    order: object = None,
    size: int = BLOCK,
    pool: ThreadPoolExecutor | None = None,
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
    table = torch.empty(
        len(fixed) + N, network.dimension, dtype=network.dtype, device=network.device
    )
    table[: len(fixed)] = fixed
    label = np.empty(N, np.int64)
    entropy = np.empty(N, np.float64 if network.dtype == torch.float64 else np.float32)

    def task(span: tuple[int, int]) -> None:
        start, stop = span
        part = checked[start:stop] if rows is None else checked[rows[start:stop]]
        unit = normalise(part.to(network.device, network.dtype))
        table[len(fixed) + start : len(fixed) + stop] = unit[:, 0]
        found = predict(unit, network.classifier, network.logit_scale, kept)
        label[start:stop] = found.pseudo_label.cpu().numpy()
        entropy[start:stop] = found.entropy.cpu().numpy()
        if text is not None:
            text[start:stop] = found.probability

    # many views make many rows: keep the text stage within the block's memory too
    spans = blocks(N, max(LEAST_ROWS, size // V))
    for _ in map(task, spans) if pool is None else pool.map(task, spans):
        pass
    return Stream(checked, rows, table, len(fixed), label, entropy)


def schedule_of(network: DualMemoryNetwork, stream: Stream) -> Schedule:
    """Return all writes of the stream into the network's dynamic memory."""
    return write_schedule(
        stream.label,
        stream.entropy,
        network.classes,
        network.length,
        network.entry_rule,
        network.seed,
    )


def evaluate_blocks(
    network: DualMemoryNetwork,
    views: object,
    order: object = None,
    block_size: int = BLOCK,
    num_threads: int | None = None,
) -> Iterator[Result]:
    """Yield the answers to a stream that starts with an empty memory, block by block."""
    with workers(num_threads) as pool:
        stream = open_stream(network, views, order, block_size, pool)
        schedule = schedule_of(network, stream)
        read = readers(network, stream, schedule, pool, block_size)
        for start, stop in blocks(len(stream), block_size):
            text = text_probabilities(
                padded(stream.x[start:stop]), network.classifier, network.logit_scale
            )[: stop - start]
            dynamic, static = read(start, stop)
            yield _result(stream, schedule, start, stop, text, dynamic, static)


def evaluate(
    network: DualMemoryNetwork,
    views: object,
    order: object = None,
    block_size: int = BLOCK,
    num_threads: int | None = None,
) -> Result:
    """Return the answers to a stream that starts with an empty memory; see `Result`."""
    N = len(as_rows(views))
    text = torch.empty(N, network.classes, dtype=network.dtype, device=network.device)
    dynamic = torch.empty_like(text)
    static = torch.empty_like(text) if network.static is not None else None
    with workers(num_threads) as pool:
        stream = open_stream(network, views, order, block_size, pool, text)
        schedule = schedule_of(network, stream)
        read = readers(network, stream, schedule, pool, block_size)
        for start, stop in blocks(N, block_size):
            dynamic[start:stop], answer = read(start, stop)
            if static is not None and answer is not None:
                static[start:stop] = answer
    return _result(stream, schedule, 0, N, text, dynamic, static)


def as_rows(views: object) -> Sequence:
    """Return views if they have a length; the full check comes later."""
    return views if hasattr(views, "__len__") else np.asarray(views)  # type: ignore[return-value]


def _result(
    stream: Stream,
    schedule: Schedule,
    start: int,
    stop: int,
    text: Tensor,
    dynamic: Tensor,
    static: Tensor | None,
) -> Result:
    def part(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values[start:stop])

    return Result(
        pseudo_label=part(stream.label),
        entropy=part(stream.entropy),
        text=text,
        dynamic=dynamic,
        static=static,
        slot=part(schedule.slot),
        evicted=part(schedule.evicted),
        start=start,
        schedule=schedule,
    )


def readers(
    network: DualMemoryNetwork,
    stream: Stream,
    schedule: Schedule,
    pool: ThreadPoolExecutor,
    size: int,
) -> Callable[[int, int], tuple[Tensor, Tensor | None]]:
    """Return a function that reads both memories for images start to stop: [b, C] each."""
    own = int(schedule.count.max(initial=0)) if network.length is None else network.length
    shared = shares_static(network)
    dynamic = dynamic_reader(network, stream, schedule, [0, own] if shared else [own], pool)
    static = None
    if network.static is not None and not shared:
        static = static_reader(network, stream, pool)

    def read(start: int, stop: int) -> tuple[Tensor, Tensor | None]:
        found = dynamic.read(start, stop)[0]
        if shared:
            return found[1], found[0]
        return found[0], None if static is None else static.read(start, stop)[0, 0]

    return read


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
    pool: ThreadPoolExecutor,
    betas: Sequence[float] | None = None,
) -> Reader:
    """Return a reader of the dynamic memory for ascending `lengths`, the schedule's own last."""
    return _reader_class(network)(
        network.fixed,
        stream.table,
        stream.x,
        schedule,
        stream.entropy,
        network.projections,
        readout=network.readout,
        betas=[network.beta] if betas is None else betas,
        logit_scale=network.logit_scale,
        lengths=lengths,
        delay=0 if network.update_before_read else 1,
        pool=pool,
    )


def static_reader(
    network: DualMemoryNetwork,
    stream: Stream,
    pool: ThreadPoolExecutor,
    betas: Sequence[float] | None = None,
) -> Reader:
    """Return a reader of the static memory, which is always read by similarity."""
    if network.static is None:
        raise FeatureError("there is no static memory in zero-shot; give shots [C, K, D]")
    return _reader_class(network)(
        network.static,
        network.static.reshape(-1, network.dimension),
        stream.x,
        None,
        stream.entropy,
        network.projections,
        readout="similarity",
        betas=[network.beta] if betas is None else betas,
        logit_scale=network.logit_scale,
        lengths=[0],
        delay=0,
        pool=pool,
    )


def _reader_class(network: DualMemoryNetwork) -> type[BlockReader]:
    # compiled loops take a second to load, and a GPU needs none
    from dmn.blocked import BlockReader

    return BlockReader
