"""Answers of several models, in several stream orders and memory lengths, block by block.

Nothing of size N x C is kept for an order or a length: a sink sees a block of answers while it is
in the cache and keeps what it needs of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dmn.engine.readers import dynamic_reader, static_reader
from dmn.engine.recorded import BLOCK, Stream, blocks, predict_images, reorder, room, stream_of
from dmn.engine.schedule import write_schedule
from dmn.engine.together.pairs import PairReader, worthwhile
from dmn.engine.together.requests import Answered, Block, Request, Sink
from dmn.errors import FeatureError
from dmn.method.checks import as_views, check_order
from dmn.method.text import text_probabilities
from dmn.workers import Workers, workers


@torch.no_grad()
def answer_blockwise(
    requests: Sequence[Request],
    permutations: Sequence[object],
    sink: Sink,
    block_size: int = BLOCK,
    num_threads: int | None = None,
    rows: np.ndarray | None = None,
) -> list[Answered]:
    """Give all answers to `sink`, block by block; return what each model made of the images.

    All requests are for the same images: view 0 of each is the same. What orders, lengths and
    models have in common is computed once. The sink is called by several threads at once, with
    each row once for each request, beta, order and length; with those among `rows` at least, if
    given. Raises FeatureError, ConfigError.
    """
    with workers(num_threads) as pool:
        x, answered = _predict(requests, pool)
        orders = [check_order(order, len(x)) for order in permutations]
        asked = np.arange(len(x)) if rows is None else rows
        together = worthwhile(requests, answered, orders, len(asked))
        if together:
            reader = PairReader(requests, answered, together, x, orders)
            reader.read(asked, sink, pool, block_size)
        for place in sorted(set(range(len(requests))) - set(together)):
            _answer_in_turn(place, requests, answered, x, orders, sink, block_size, pool)
    return answered


def _predict(requests: Sequence[Request], pool: Workers) -> tuple[Tensor, list[Answered]]:
    """Return view 0 of all images [N, D], of unit norm, and what each model makes of them."""
    checked = [as_views(request.views, request.model.dimension) for request in requests]
    first = requests[0].model
    x = room(first, len(checked[0]), first.dimension)
    answered: list[Answered] = []
    for place, (request, views) in enumerate(zip(requests, checked, strict=True)):
        if views.shape[::2] != checked[0].shape[::2] or request.model.dtype != first.dtype:
            raise FeatureError(
                f"request {place} has views {list(views.shape)} in {request.model.dtype}, the "
                f"first {list(checked[0].shape)} in {first.dtype}; ask for the same images"
            )
        same = (
            answered[i]
            for i in range(place)
            if checked[i].shape == views.shape and _same_text(requests[i], request)
        )
        known = next(same, None)
        if known is None:
            target = None if place else x
            found = predict_images(request.model, views, None, target, None, pool)
            known = Answered(*found)
        answered.append(known)
    return x, answered


def _same_text(a: Request, b: Request) -> bool:
    """Say whether two models predict alike from text."""
    one, other = a.model, b.model
    return (
        (one.view_share, one.logit_scale) == (other.view_share, other.logit_scale)
        and (a.views is b.views)
        and torch.equal(one.columns, other.columns)
    )


def _answer_in_turn(
    place: int,
    requests: Sequence[Request],
    answered: Sequence[Answered],
    x: Tensor,
    orders: Sequence[np.ndarray],
    sink: Sink,
    size: int,
    pool: Workers,
) -> None:
    """Answer one request, one order after the other; the static answers [betas, N, C] are kept."""
    request, model = requests[place], requests[place].model
    stream = stream_of(model, x, *answered[place])
    static = _static(request, stream, size, pool)
    for o, order in enumerate(orders):
        turned = reorder(stream, order)
        for numbers in _groups(request):
            _answer_order(place, request, turned, o, numbers, static, sink, size, pool)


def _groups(request: Request) -> list[list[int]]:
    """Return the numbers of the lengths that one reader serves, ascending in length.

    Here only the lowest entropies nest; under other rules each length is a memory of its own.
    """
    limits = [float("inf") if length is None else length for length in request.lengths]
    ascending = [int(n) for n in np.argsort(limits, kind="stable")]
    return [ascending] if request.model.entry_rule == "entropy" else [[n] for n in ascending]


def _answer_order(
    place: int,
    request: Request,
    stream: Stream,
    order: int,
    numbers: Sequence[int],
    static: Tensor | None,
    sink: Sink,
    size: int,
    pool: Workers,
) -> None:
    """Answer one request in one order for the lengths of these numbers, ascending in length."""
    model, assert_order = request.model, stream.order
    assert assert_order is not None
    schedule = write_schedule(
        stream.label, stream.entropy, model.classes, request.lengths[numbers[-1]],
        model.entry_rule, model.seed,
    )  # fmt: skip
    most = int(schedule.count.max(initial=0))
    lengths = [most if (limit := request.lengths[n]) is None else limit for n in numbers]
    reader = dynamic_reader(model, stream, schedule, lengths, pool, request.betas)
    for start, stop in blocks(len(stream), size):
        part = room(model, len(request.betas), len(lengths), stop - start, model.classes)
        reader.read(start, stop, part)
        rows = assert_order[start:stop]
        text = text_probabilities(
            stream.x[start:stop], model.columns, model.classes, model.logit_scale
        )
        for b in range(len(request.betas)):
            own = None if static is None else static[b, rows]
            sink(Block(place, b, rows, [order], numbers, text, own, part[b][None]))


def _static(request: Request, stream: Stream, size: int, pool: Workers) -> Tensor | None:
    """Return static probabilities [betas, N, C], None in zero-shot."""
    model = request.model
    if model.static is None:
        return None
    reader = static_reader(model, stream, pool, request.betas)
    found = room(model, len(request.betas), 1, len(stream), model.classes)
    for start, stop in blocks(len(stream), size):
        reader.read(start, stop, found[:, :, start:stop])
    return found[:, 0]
