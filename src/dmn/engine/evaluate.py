"""Exact evaluation of a recorded stream in blocks of images (method.md, section 12)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dmn.engine.recorded import (
    BLOCK,
    Stream,
    as_rows,
    blocks,
    dynamic_reader,
    open_stream,
    reorder,
    room,
    shares_static,
    static_reader,
)
from dmn.errors import ConfigError, FeatureError
from dmn.method.checks import check_lengths, check_order, check_positive
from dmn.method.dynamic_memory import Schedule, write_schedule
from dmn.method.text import text_probabilities
from dmn.workers import Workers, workers

if TYPE_CHECKING:
    from dmn.network import DualMemoryNetwork


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
        stream = open_stream(network, views, order, pool)
        schedule = schedule_of(network, stream)
        memories = Memories(network, stream, schedule, pool)
        for start, stop in blocks(len(stream), block_size):
            text = text_probabilities(
                stream.x[start:stop], network.columns, network.classes, network.logit_scale
            )
            answers = room(network, memories.count, stop - start, network.classes)
            memories.read(start, stop, answers)
            yield _result(stream, schedule, start, stop, text, answers)


def evaluate(
    network: DualMemoryNetwork,
    views: object,
    order: object = None,
    block_size: int = BLOCK,
    num_threads: int | None = None,
) -> Result:
    """Return the answers to a stream that starts with an empty memory; see `Result`."""
    N = len(as_rows(views))
    text = room(network, N, network.classes)
    with workers(num_threads) as pool:
        stream = open_stream(network, views, order, pool, text)
        schedule = schedule_of(network, stream)
        memories = Memories(network, stream, schedule, pool)
        answers = room(network, memories.count, N, network.classes)
        for start, stop in blocks(N, block_size):
            memories.read(start, stop, answers[:, start:stop])
    return _result(stream, schedule, 0, N, text, answers)


def _result(
    stream: Stream, schedule: Schedule, start: int, stop: int, text: Tensor, answers: Tensor
) -> Result:
    def part(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values[start:stop])

    return Result(
        pseudo_label=part(stream.label),
        entropy=part(stream.entropy),
        text=text,
        dynamic=answers[-1],
        static=answers[0] if len(answers) > 1 else None,
        slot=part(schedule.slot),
        evicted=part(schedule.evicted),
        start=start,
        schedule=schedule,
    )


class Memories:
    """Reads both memories of a network for the images of a stream; `count` is their number."""

    def __init__(
        self,
        network: DualMemoryNetwork,
        stream: Stream,
        schedule: Schedule,
        pool: Workers,
    ) -> None:
        self.count = 1 if network.static is None else 2
        own = int(schedule.count.max(initial=0)) if network.length is None else network.length
        shared = shares_static(network)
        self.dynamic = dynamic_reader(
            network, stream, schedule, [0, own] if shared else [own], pool
        )
        self.static = None
        if network.static is not None and not shared:
            self.static = static_reader(network, stream, pool)

    def read(self, start: int, stop: int, answers: Tensor) -> None:
        """Fill answers [count, b, C] for images start to stop: static, if any, then dynamic."""
        if self.static is None:
            self.dynamic.read(start, stop, answers[None])
            return
        self.static.read(start, stop, answers[None, :1])
        self.dynamic.read(start, stop, answers[None, 1:])


@dataclass(frozen=True)
class ManyResult:
    """Answers to the same images over several orders, lengths and betas, by row of the views.

    dynamic [orders, lengths, betas, N, C]; static [betas, N, C]; text [N, C]. Unlike `Result`,
    row i always belongs to views[i], so that all orders line up. schedules [orders][lengths]
    are the writes; pseudo_label, entropy [N].
    """

    text: Tensor
    dynamic: Tensor
    static: Tensor | None
    pseudo_label: Tensor
    entropy: Tensor
    schedules: list[list[Schedule]]
    lengths: tuple[int, ...]
    betas: tuple[float, ...]


@torch.no_grad()
def evaluate_many(
    network: DualMemoryNetwork,
    views: object,
    permutations: Sequence[object],
    lengths: Sequence[int] | None = None,
    betas: Sequence[float] | None = None,
    block_size: int = BLOCK,
    num_threads: int | None = None,
    out: Tensor | None = None,
) -> ManyResult:
    """Evaluate all combinations of stream orders, memory lengths and betas at once.

    Text prediction and the products of an order serve all lengths and betas: under the entry
    rule `entropy` a memory of length l is the l first of a longer one (section 12). `lengths`
    and `betas` default to the network's own. The dynamic answers go to `out` [orders, lengths,
    betas, N, C] if given: fresh memory for so many can cost more than they do. Raises
    FeatureError, ConfigError.
    """
    wanted = _many_lengths(network, lengths)
    sharpness = tuple(
        [network.beta] if betas is None else [check_positive(b, "beta") for b in betas]
    )
    with workers(num_threads) as pool:
        N = len(as_rows(views))
        text = room(network, N, network.classes)
        stream = open_stream(network, views, None, pool, text)
        shape = (len(permutations), len(wanted), len(sharpness), N, network.classes)
        dynamic = room(network, *shape) if out is None else _checked_out(network, shape, out)
        rows = [check_order(order, N) for order in permutations]
        schedules = [_schedules(network, stream, order, wanted) for order in rows]
        if network.device.type != "cpu" or not _cross(
            network, stream, rows, schedules, wanted, sharpness, block_size, pool, dynamic
        ):
            for o, order in enumerate(rows):
                turned = reorder(stream, order)
                _read_lengths(
                    network, turned, schedules[o], wanted, sharpness, block_size, pool, dynamic[o]
                )
        static = _read_static(network, stream, sharpness, block_size, pool)
    return ManyResult(
        text,
        dynamic,
        static,
        torch.from_numpy(stream.label),
        torch.from_numpy(stream.entropy),
        schedules,
        wanted,
        sharpness,
    )


def _checked_out(network: DualMemoryNetwork, shape: tuple[int, ...], out: Tensor) -> Tensor:
    needed = (shape, network.dtype, network.device.type)
    given = (tuple(out.shape), out.dtype, out.device.type)
    if given != needed or not out.is_contiguous():
        kind = "" if out.is_contiguous() else ", not contiguous"
        raise FeatureError(
            f"out is {list(given[0])} {given[1]} on {given[2]}{kind}; "
            f"needed is a contiguous {list(shape)} {needed[1]} on {needed[2]}"
        )
    return out


def _many_lengths(network: DualMemoryNetwork, lengths: Sequence[int] | None) -> tuple[int, ...]:
    if lengths is None:
        if network.length is None:
            raise ConfigError("the network's memory is unlimited; name the lengths to compare")
        return (network.length,)
    return check_lengths(lengths)


def _schedules(
    network: DualMemoryNetwork, stream: Stream, order: np.ndarray, lengths: tuple[int, ...]
) -> list[Schedule]:
    """Return the writes of one order into memories of all lengths."""
    label, entropy = stream.label[order], stream.entropy[order]
    rule, seed = network.entry_rule, network.seed
    return [write_schedule(label, entropy, network.classes, n, rule, seed) for n in lengths]


def _cross(
    network: DualMemoryNetwork,
    stream: Stream,
    permutations: list[np.ndarray],
    schedules: list[list[Schedule]],
    lengths: tuple[int, ...],
    betas: tuple[float, ...],
    size: int,
    pool: Workers,
    found: Tensor,
) -> bool:
    """Fill found [orders, lengths, betas, N, C] from all pairs of images if that costs less."""
    # compiled loops take a second to load, and a GPU needs none
    from dmn.engine import pairs as crossing

    longest = lengths.index(max(lengths))
    if not crossing.worthwhile(network, [own[longest] for own in schedules]):
        return False
    crossing.PairReader(network, stream, permutations, lengths, betas).read(found, pool, size)
    return True


def _read_lengths(
    network: DualMemoryNetwork,
    stream: Stream,
    schedules: list[Schedule],
    lengths: tuple[int, ...],
    betas: tuple[float, ...],
    size: int,
    pool: Workers,
    found: Tensor,
) -> None:
    """Fill found [lengths, betas, N, C], by row of the views, for one order."""
    nests = network.entry_rule == "entropy"
    ascending = sorted(set(lengths))
    # only the lowest entropies nest: under other rules each length is a memory of its own
    groups = [ascending] if nests else [[length] for length in ascending]
    for group in groups:
        schedule = schedules[lengths.index(group[-1])]
        reader = dynamic_reader(network, stream, schedule, group, pool, betas)
        for start, stop in blocks(len(stream), size):
            part = room(network, len(betas), len(group), stop - start, network.classes)
            reader.read(start, stop, part)
            rows = stream.order[start:stop] if stream.order is not None else slice(start, stop)
            for n, length in enumerate(lengths):
                if length in group:
                    found[n, :, rows] = part[:, group.index(length)]


def _read_static(
    network: DualMemoryNetwork,
    stream: Stream,
    betas: tuple[float, ...],
    size: int,
    pool: Workers,
) -> Tensor | None:
    """Return static probabilities [betas, N, C], None in zero-shot."""
    if network.static is None:
        return None
    reader = static_reader(network, stream, pool, betas)
    found = room(network, len(betas), 1, len(stream), network.classes)
    for start, stop in blocks(len(stream), size):
        reader.read(start, stop, found[:, :, start:stop])
    return found[:, 0]
