"""Several stream orders, memory lengths and betas at once (method.md, section 12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    with workers(num_threads) as pool:
        N = len(as_rows(views))
        text = room(model, N, model.classes)
        stream = open_stream(model, views, None, pool, text)
        shape = (len(permutations), len(wanted), len(sharpness), N, model.classes)
        dynamic = room(model, *shape) if out is None else _checked_out(model, shape, out)
        rows = [check_order(order, N) for order in permutations]
        schedules = [_schedules(model, stream, order, wanted) for order in rows]
        if model.device.type != "cpu" or not _cross(
            model, stream, rows, schedules, wanted, sharpness, block_size, pool, dynamic
        ):
            for o, order in enumerate(rows):
                turned = reorder(stream, order)
                _read_lengths(
                    model, turned, schedules[o], wanted, sharpness, block_size, pool, dynamic[o]
                )
        static = _read_static(model, stream, sharpness, block_size, pool)
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


def _schedules(
    model: Model, stream: Stream, order: np.ndarray, lengths: tuple[int, ...]
) -> list[Schedule]:
    """Return the writes of one order into memories of all lengths."""
    label, entropy = stream.label[order], stream.entropy[order]
    rule, seed = model.entry_rule, model.seed
    return [write_schedule(label, entropy, model.classes, n, rule, seed) for n in lengths]


def _cross(
    model: Model,
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
    longest = lengths.index(max(lengths))
    if not worthwhile(model, [own[longest] for own in schedules]):
        return False
    PairReader(model, stream, permutations, lengths, betas).read(found, pool, size)
    return True


def _read_lengths(
    model: Model,
    stream: Stream,
    schedules: list[Schedule],
    lengths: tuple[int, ...],
    betas: tuple[float, ...],
    size: int,
    pool: Workers,
    found: Tensor,
) -> None:
    """Fill found [lengths, betas, N, C], by row of the views, for one order."""
    nests = model.entry_rule == "entropy"
    ascending = sorted(set(lengths))
    # only the lowest entropies nest: under other rules each length is a memory of its own
    groups = [ascending] if nests else [[length] for length in ascending]
    for group in groups:
        schedule = schedules[lengths.index(group[-1])]
        reader = dynamic_reader(model, stream, schedule, group, pool, betas)
        for start, stop in blocks(len(stream), size):
            part = room(model, len(betas), len(group), stop - start, model.classes)
            reader.read(start, stop, part)
            rows = stream.order[start:stop] if stream.order is not None else slice(start, stop)
            for n, length in enumerate(lengths):
                if length in group:
                    found[n, :, rows] = part[:, group.index(length)]


def _read_static(
    model: Model,
    stream: Stream,
    betas: tuple[float, ...],
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
