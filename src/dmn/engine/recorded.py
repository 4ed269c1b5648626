"""A recorded stream after its text prediction: what is known of it before any read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dmn.method.checks import as_views, check_order, scalar_type, selected_views
from dmn.method.model import Model
from dmn.method.text import normalise, predict
from dmn.workers import Workers

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


def room(model: Model, *shape: int) -> Tensor:
    """Return an uninitialised tensor for answers, in the model's dtype and on its device.

    On a CPU it is numpy's, which asks for large pages: a gigabyte of small ones costs seconds.
    """
    if model.device.type != "cpu":
        return torch.empty(*shape, dtype=model.dtype, device=model.device)
    return torch.from_numpy(np.empty(shape, scalar_type(model.dtype)))


def blocks(count: int, size: int) -> list[tuple[int, int]]:
    """Return (start, stop) of consecutive blocks of `size` images."""
    return [(start, min(start + size, count)) for start in range(0, count, size)]


def open_stream(
    model: Model,
    views: object,
    order: object = None,
    pool: Workers | None = None,
    text: Tensor | None = None,
) -> Stream:
    """Check the views, predict from text and return the stream, ready to be traced.

    Text probabilities go to `text` [N, C] if given. Raises FeatureError.
    """
    checked = as_views(views, model.dimension)
    rows = None if order is None else check_order(order, len(checked))
    table, x = _table(model, len(checked))
    label, entropy = predict_images(model, checked, rows, x, text, pool)
    return Stream(checked, rows, table, len(table) - len(x), label, entropy)


def stream_of(model: Model, x: Tensor, label: np.ndarray, entropy: np.ndarray) -> Stream:
    """Return the stream of unit features x [N, D] whose text prediction is known."""
    table, room_for_x = _table(model, len(x))
    room_for_x[:] = x
    return Stream(x[:, None], None, table, len(table) - len(x), label, entropy)


def _table(model: Model, count: int) -> tuple[Tensor, Tensor]:
    """Return room for the fixed slots, which are filled in, and `count` images after them."""
    fixed = model.fixed.reshape(-1, model.dimension)
    table = room(model, len(fixed) + count, model.dimension)
    table[: len(fixed)] = fixed
    return table, table[len(fixed) :]


def predict_images(
    model: Model,
    checked: Tensor,
    rows: np.ndarray | None,
    x: Tensor | None,
    text: Tensor | None,
    pool: Workers | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return pseudo-labels and entropies [N] of checked views [N, V, D], in the order of `rows`.

    View 0 of unit norm goes to x [N, D], text probabilities go to `text` [N, C], where given.
    """
    N, V, _ = checked.shape
    kept = selected_views(V, model.view_share)
    label = np.empty(N, np.int64)
    entropy = np.empty(N, scalar_type(model.dtype))

    def task(span: tuple[int, int]) -> None:
        start, stop = span
        part = checked[start:stop] if rows is None else checked[rows[start:stop]]
        unit = normalise(part.to(model.device, model.dtype))
        found = predict(unit, model.columns, model.classes, model.logit_scale, kept)
        label[start:stop] = found.pseudo_label.cpu().numpy()
        entropy[start:stop] = found.entropy.cpu().numpy()
        if x is not None:
            x[start:stop] = unit[:, 0]
        if text is not None:
            text[start:stop] = found.probability

    numbers = TEXT_NUMBERS if model.device.type == "cpu" else DEVICE_TEXT_NUMBERS
    spans = blocks(N, max(1, numbers // (model.classes * V)))
    for _ in map(task, spans) if pool is None else pool.map(task, spans):
        pass
    return label, entropy


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
