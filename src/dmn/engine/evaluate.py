"""Exact evaluation of a recorded stream in blocks of images (method.md, section 12)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dmn.engine.readers import Memories
from dmn.engine.recorded import BLOCK, Stream, as_rows, blocks, open_stream, room
from dmn.engine.schedule import Schedule, write_schedule
from dmn.method.model import Model
from dmn.method.text import text_probabilities
from dmn.workers import workers


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


def schedule_of(model: Model, stream: Stream) -> Schedule:
    """Return all writes of the stream into the model's dynamic memory."""
    return write_schedule(
        stream.label,
        stream.entropy,
        model.classes,
        model.length,
        model.entry_rule,
        model.seed,
    )


def evaluate_blocks(
    model: Model,
    views: object,
    order: object = None,
    block_size: int = BLOCK,
    num_threads: int | None = None,
) -> Iterator[Result]:
    """Yield the answers to a stream that starts with an empty memory, block by block."""
    with workers(num_threads) as pool:
        stream = open_stream(model, views, order, pool)
        schedule = schedule_of(model, stream)
        memories = Memories(model, stream, schedule, pool)
        for start, stop in blocks(len(stream), block_size):
            text = text_probabilities(
                stream.x[start:stop], model.columns, model.classes, model.logit_scale
            )
            answers = room(model, memories.count, stop - start, model.classes)
            memories.read(start, stop, answers)
            yield _result(stream, schedule, start, stop, text, answers)


def evaluate(
    model: Model,
    views: object,
    order: object = None,
    block_size: int = BLOCK,
    num_threads: int | None = None,
) -> Result:
    """Return the answers to a stream that starts with an empty memory; see `Result`."""
    N = len(as_rows(views))
    text = room(model, N, model.classes)
    with workers(num_threads) as pool:
        stream = open_stream(model, views, order, pool, text)
        schedule = schedule_of(model, stream)
        memories = Memories(model, stream, schedule, pool)
        answers = room(model, memories.count, N, model.classes)
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
