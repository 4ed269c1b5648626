"""Several stream orders, memory lengths and betas at once (method.md, section 12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dmn.engine.recorded import BLOCK, room
from dmn.engine.schedule import Schedule, write_schedule
from dmn.engine.together.blockwise import answer_blockwise
from dmn.engine.together.requests import Block, Request
from dmn.errors import ConfigError, FeatureError
from dmn.method.checks import as_views
from dmn.method.model import Model


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
    request = Request.of(model, as_views(views, model.dimension), lengths, betas)
    if None in request.lengths:
        raise ConfigError("the memory is unlimited; name the lengths to compare")
    wanted = tuple(length for length in request.lengths if length is not None)
    N = len(request.views)  # type: ignore[arg-type]
    shape = (len(permutations), len(wanted), len(request.betas), N, model.classes)
    dynamic = room(model, *shape) if out is None else _checked_out(model, shape, out)
    text = room(model, N, model.classes)
    static = None if model.static is None else room(model, len(request.betas), N, model.classes)

    def keep(block: Block) -> None:
        text[block.rows] = block.text
        if static is not None and block.static is not None:
            static[block.beta, block.rows] = block.static
        for o, order in enumerate(block.orders):
            for n, length in enumerate(block.lengths):
                dynamic[order, length, block.beta, block.rows] = block.dynamic[o, n]

    [answered] = answer_blockwise([request], permutations, keep, block_size, num_threads)
    label, entropy = answered
    schedules = [
        [
            write_schedule(
                label[order], entropy[order], model.classes, length, model.entry_rule, model.seed
            )
            for length in wanted
        ]
        for order in map(np.asarray, permutations)
    ]
    return ManyResult(
        text,
        dynamic,
        static,
        torch.from_numpy(label),
        torch.from_numpy(entropy),
        schedules,
        wanted,
        request.betas,
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
