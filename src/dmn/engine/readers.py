"""Readers of the dynamic and the static memory of a stream, for the device that it lies on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dmn.engine.reading import Reader, Reading
from dmn.engine.recorded import Stream
from dmn.engine.schedule import Schedule
from dmn.errors import FeatureError
from dmn.method.model import Model
from dmn.workers import Workers


def shares_static(model: Model) -> bool:
    """Say whether the static memory is what the dynamic one reads before any image enters."""
    if model.static is None or model.readout != "similarity":
        return False
    return model.fixed.shape == model.static.shape and torch.equal(model.fixed, model.static)


def dynamic_reader(
    model: Model,
    stream: Stream,
    schedule: Schedule,
    lengths: Sequence[int],
    pool: Workers,
    betas: Sequence[float] | None = None,
) -> Reader:
    """Return a reader of the dynamic memory for ascending `lengths`, the schedule's own last."""
    reading = dynamic_reading(model, stream, schedule, lengths, betas)
    return _reader_class(model)(reading, pool)


def dynamic_reading(
    model: Model,
    stream: Stream,
    schedule: Schedule,
    lengths: Sequence[int],
    betas: Sequence[float] | None = None,
) -> Reading:
    """Return what `dynamic_reader` reads."""
    return Reading(
        model.fixed,
        stream.table,
        stream.x,
        schedule,
        stream.entropy,
        model.projections,
        model.readout,
        [model.beta] if betas is None else betas,
        model.logit_scale,
        lengths,
        delay=0 if model.update_before_read else 1,
    )


def static_reader(
    model: Model,
    stream: Stream,
    pool: Workers,
    betas: Sequence[float] | None = None,
) -> Reader:
    """Return a reader of the static memory, which is always read by similarity."""
    if model.static is None:
        raise FeatureError("there is no static memory in zero-shot; give shots [C, K, D]")
    reading = Reading(
        model.static,
        model.static.reshape(-1, model.dimension),
        stream.x,
        None,
        stream.entropy,
        model.projections,
        "similarity",
        [model.beta] if betas is None else betas,
        model.logit_scale,
        [0],
    )
    return _reader_class(model)(reading, pool)


def _reader_class(model: Model) -> type[Reader]:
    """Return the class whose readers suit the model's device."""
    if model.device.type != "cpu":
        from dmn.engine.gpu import BatchedReader

        return BatchedReader
    # compiled loops take a second to load, and a GPU needs none
    from dmn.engine.cpu import BlockReader

    return BlockReader


class Memories:
    """Reads both memories of a model for the images of a stream; `count` is their number."""

    def __init__(
        self,
        model: Model,
        stream: Stream,
        schedule: Schedule,
        pool: Workers,
    ) -> None:
        self.count = 1 if model.static is None else 2
        own = int(schedule.count.max(initial=0)) if model.length is None else model.length
        shared = shares_static(model)
        self.dynamic = dynamic_reader(model, stream, schedule, [0, own] if shared else [own], pool)
        self.static = None
        if model.static is not None and not shared:
            self.static = static_reader(model, stream, pool)

    def read(self, start: int, stop: int, answers: Tensor) -> None:
        """Fill answers [count, b, C] for images start to stop: static, if any, then dynamic."""
        if self.static is None:
            self.dynamic.read(start, stop, answers[None])
            return
        self.static.read(start, stop, answers[None, :1])
        self.dynamic.read(start, stop, answers[None, 1:])
