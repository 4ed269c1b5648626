"""Several stream orders, memory lengths and betas at once (method.md, section 12).

Answers can leave block by block, so that nothing of size N x C is kept for an order or a length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dmn.engine.pairs import PairReader, worthwhile
from dmn.engine.readers import dynamic_reader, static_reader
from dmn.engine.recorded import BLOCK, Stream, as_rows, blocks, open_stream, reorder, room
from dmn.engine.schedule import Schedule, write_schedule
from dmn.errors import ConfigError, FeatureError
from dmn.method.checks import check_lengths, check_order, check_positive
from dmn.method.model import Model
from dmn.workers import Workers, workers

Give = Callable[[np.ndarray | slice, Sequence[int], Tensor], None]


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


class Block(NamedTuple):
    """Answers to b images in some orders, valid until what takes them returns.

    rows [b] of the views; orders: their numbers; text [b, C]; static [betas, b, C], None in
    zero-shot; dynamic [orders, lengths, betas, b, C].
    """

    rows: np.ndarray
    orders: Sequence[int]
    text: Tensor
    static: Tensor | None
    dynamic: Tensor


@dataclass(frozen=True)
class Answered:
    """What all orders of a stream have in common: as the fields of `ManyResult`."""

    text: Tensor
    static: Tensor | None
    pseudo_label: np.ndarray
    entropy: np.ndarray


@torch.no_grad()
def answer_many(
    model: Model,
    views: object,
    permutations: Sequence[object],
    lengths: Sequence[int],
    betas: Sequence[float],
    take: Callable[[Block], None],
    block_size: int = BLOCK,
    num_threads: int | None = None,
) -> Answered:
    """Give the dynamic answers of all combinations to `take`, block by block, and return the rest.

    `take` is called by several threads at once, with each row once for each order. Raises
    FeatureError, ConfigError.
    """
    with workers(num_threads) as pool:
        N = len(as_rows(views))
        text = room(model, N, model.classes)
        stream = open_stream(model, views, None, pool, text)
        orders = [check_order(order, N) for order in permutations]
        static = _read_static(model, stream, betas, block_size, pool)

        def give(rows: np.ndarray | slice, numbers: Sequence[int], dynamic: Tensor) -> None:
            own = None if static is None else static[:, rows]
            places = np.arange(N)[rows]
            take(Block(places, numbers, text[rows], own, dynamic))

        if not _cross(model, stream, orders, lengths, betas, block_size, pool, give):
            for o, order in enumerate(orders):
                _in_order(model, stream, order, o, lengths, betas, block_size, pool, give)
    return Answered(text, static, stream.label, stream.entropy)


@torch.no_grad()
def evaluate_many(
    model: Model,
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
    and `betas` default to the model's own. The dynamic answers go to `out` [orders, lengths,
    betas, N, C] if given: fresh memory for so many can cost more than they do. Raises
    FeatureError, ConfigError.
    """
    wanted = _many_lengths(model, lengths)
    sharpness = tuple([model.beta] if betas is None else [check_positive(b, "beta") for b in betas])
    shape = (len(permutations), len(wanted), len(sharpness), len(as_rows(views)), model.classes)
    dynamic = room(model, *shape) if out is None else _checked_out(model, shape, out)

    def take(block: Block) -> None:
        for o, answers in zip(block.orders, block.dynamic, strict=True):
            dynamic[o][:, :, block.rows] = answers

    found = answer_many(
        model, views, permutations, wanted, sharpness, take, block_size, num_threads
    )
    return ManyResult(
        found.text,
        dynamic,
        found.static,
        torch.from_numpy(found.pseudo_label),
        torch.from_numpy(found.entropy),
        [
            [_schedule(model, found.pseudo_label, found.entropy, np.asarray(o), n) for n in wanted]
            for o in permutations
        ],
        wanted,
        sharpness,
    )


def _checked_out(model: Model, shape: tuple[int, ...], out: Tensor) -> Tensor:
    needed = (shape, model.dtype, model.device.type)
    given = (tuple(out.shape), out.dtype, out.device.type)
    if given != needed or not out.is_contiguous():
        kind = "" if out.is_contiguous() else ", not contiguous"
        raise FeatureError(
            f"out is {list(given[0])} {given[1]} on {given[2]}{kind}; "
            f"needed is a contiguous {list(shape)} {needed[1]} on {needed[2]}"
        )
    return out


def _many_lengths(model: Model, lengths: Sequence[int] | None) -> tuple[int, ...]:
    if lengths is None:
        if model.length is None:
            raise ConfigError("the memory is unlimited; name the lengths to compare")
        return (model.length,)
    return check_lengths(lengths)


def _schedule(
    model: Model, label: np.ndarray, entropy: np.ndarray, order: np.ndarray, length: int
) -> Schedule:
    """Return the writes of one order into a memory of one length; label, entropy [N] by row."""
    rule, seed = model.entry_rule, model.seed
    return write_schedule(label[order], entropy[order], model.classes, length, rule, seed)


def _cross(
    model: Model,
    stream: Stream,
    permutations: list[np.ndarray],
    lengths: Sequence[int],
    betas: Sequence[float],
    size: int,
    pool: Workers,
    give: Give,
) -> bool:
    """Answer all orders from all pairs of images if that costs less."""
    if model.device.type != "cpu":
        return False
    longest = min(max(lengths), _most(stream))
    schedules = [
        _schedule(model, stream.label, stream.entropy, order, longest) for order in permutations
    ]
    if not worthwhile(model, schedules):
        return False
    reader = PairReader(model, stream, permutations, lengths, betas)
    numbers = range(len(permutations))
    reader.read(pool, size, lambda rows, answers: give(rows, numbers, answers))
    return True


def _most(stream: Stream) -> int:
    """Return how many images the fullest class has: no memory holds more of one."""
    return max(1, int(np.bincount(stream.label).max(initial=1)))


def _in_order(
    model: Model,
    stream: Stream,
    order: np.ndarray,
    number: int,
    lengths: Sequence[int],
    betas: Sequence[float],
    size: int,
    pool: Workers,
    give: Give,
) -> None:
    """Answer one order, in stream order, for all lengths."""
    turned = reorder(stream, order)
    limits = [min(length, _most(stream)) for length in lengths]
    ascending = sorted(set(limits))
    # only the lowest entropies nest: under other rules each length is a memory of its own
    groups = [ascending] if model.entry_rule == "entropy" else [[length] for length in ascending]
    readers = []
    for group in groups:
        schedule = _schedule(model, stream.label, stream.entropy, order, group[-1])
        readers.append(dynamic_reader(model, turned, schedule, group, pool, betas))
    for start, stop in blocks(len(turned), size):
        answers = room(model, 1, len(lengths), len(betas), stop - start, model.classes)
        for group, reader in zip(groups, readers, strict=True):
            part = room(model, len(betas), len(group), stop - start, model.classes)
            reader.read(start, stop, part)
            for n, limit in enumerate(limits):
                if limit in group:
                    answers[0, n] = part[:, group.index(limit)]
        give(order[start:stop], [number], answers)


def _read_static(
    model: Model,
    stream: Stream,
    betas: Sequence[float],
    size: int,
    pool: Workers,
) -> Tensor | None:
    """Return static probabilities [betas, N, C], None in zero-shot."""
    if model.static is None:
        return None
    reader = static_reader(model, stream, pool, betas)
    found = room(model, len(betas), 1, len(stream), model.classes)
    for start, stop in blocks(len(stream), size):
        reader.read(start, stop, found[:, :, start:stop])
    return found[:, 0]
