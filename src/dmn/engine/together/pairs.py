"""Several models and stream orders from one product of all pairs of images (method.md, section 12).

One product of a block of images with all images, all fixed slots and all class-wise biases serves
every model and order; models that differ in their fixed slots only share the sums over images too.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dmn.engine.compiled.orders import read_orders
from dmn.engine.recorded import blocks
from dmn.engine.schedule import write_schedule
from dmn.engine.together.groups import NESTED, READ, Factors, Group, grouped
from dmn.engine.together.requests import Answered, Block, Request, Sink
from dmn.method.model import Model
from dmn.method.products import COLUMNS, LEAST_COLUMNS, fitting_columns, padded, softmax_of_columns
from dmn.method.text import text_probabilities
from dmn.workers import Workers

# bytes that a worker holds for a block: products, logits and probabilities
BUDGET = 1 << 27
# what the compiled loop costs, in multiply-adds of a large product: a slot and a pair of slots
SLOT_COST, PAIR_COST = 36, 1
# steps are compared as float32, which has all integers up to here
MOST_IMAGES = 1 << 24


def supported(model: Model) -> bool:
    """Say whether raw products of images and slots, moved by biases at most, are all it reads."""
    p = model.projections
    plain = p.kind == "bias" or all(getattr(p, name) is None for name in READ)
    return plain and model.readout == "similarity" and model.device.type == "cpu"


def worthwhile(
    requests: Sequence[Request],
    answered: Sequence[Answered],
    orders: Sequence[np.ndarray],
    asked: int,
) -> list[int]:
    """Return the requests that all pairs of images answer for less than one order after another.

    Of all images, only those that are `asked` pair with the others.

    All pairs pay where orders and models together see more slots than there are images.
    """
    places = [i for i, request in enumerate(requests) if supported(request.model)]
    if not places or not orders or not 0 < len(orders[0]) < MOST_IMAGES:
        return []
    model = requests[places[0]].model
    C, D, N = model.classes, model.dimension, len(orders[0])
    groups = grouped(requests, answered, places)
    fixed = [requests[place].model.fixed.shape[1] for place in places]
    pairs = float((N + C * (max(fixed) + 3 * len(groups))) * D)
    for (first, _), *_ in groups:
        of_class = np.bincount(answered[first].pseudo_label, minlength=C).astype(float)
        pairs += len(orders) * _turns(requests[first]) * _loop_cost(of_class)
    single = 0.0
    for place, F in zip(places, fixed, strict=True):
        for alive in _alive(requests[place], answered[place], orders[0]):
            cost = (alive + C * F) * D + C * _loop_cost(np.array([alive / C + F]))
            single += len(orders) * len(requests[place].betas) * cost
    return places if pairs * asked / N < single else []


def _turns(request: Request) -> int:
    """Return how many memories of an order have to be read apart."""
    return 1 if request.model.entry_rule in NESTED else len(request.lengths)


def _alive(request: Request, answered: Answered, order: np.ndarray) -> list[float]:
    """Return how many images an image sees, on average, in each memory that is read apart."""
    model = request.model
    ascending = sorted(request.lengths, key=lambda n: np.inf if n is None else n)
    label, entropy = answered.pseudo_label[order], answered.entropy[order]
    found = []
    for length in ascending[-1:] if _turns(request) == 1 else ascending:
        schedule = write_schedule(
            label, entropy, model.classes, length, model.entry_rule, model.seed
        )
        stored = schedule.stored
        found.append(float((schedule.end[stored] - stored).sum()) / len(order))
    return found


def _loop_cost(slots: np.ndarray) -> float:
    return float((slots * (SLOT_COST + PAIR_COST * slots / 2)).sum())


class PairReader:
    """Answers requests in several orders of the images x [N, D], for blocks of their rows."""

    def __init__(
        self,
        requests: Sequence[Request],
        answered: Sequence[Answered],
        places: Sequence[int],
        x: Tensor,
        orders: Sequence[np.ndarray],
    ) -> None:
        self.x, self.orders = x, len(orders)
        factors = Factors(x)
        self.groups = [
            Group(members, requests, answered[members[0][0]], factors)
            for members in grouped(requests, answered, places)
        ]
        self.left = factors.joined()
        self.steps = np.empty((len(orders), len(x)), self.groups[0].kind)
        for o, order in enumerate(orders):
            self.steps[o, order] = np.arange(len(x))
        for group in self.groups:
            group.finish(self.left)
        self.order = [group.order(orders, self.steps) for group in self.groups]
        self.local = threading.local()

    def read(self, rows: np.ndarray, sink: Sink, pool: Workers, size: int) -> None:
        """Give the answers to some rows to the sink."""
        numbers = len(self.left) + max(
            (2 * group.dynamic_sets * self.orders * len(group.request.lengths) + len(group.sets))
            * group.model.classes
            for group in self.groups
        )
        fit = BUDGET // (numbers * self.x.element_size()) // COLUMNS * COLUMNS
        spans = blocks(len(rows), max(LEAST_COLUMNS, min(size, fit)))
        list(pool.map(lambda span: self._block(sink, rows[slice(*span)]), spans))

    def _block(self, sink: Sink, rows: np.ndarray) -> None:
        queries = padded(self.x[torch.from_numpy(rows)], fitting_columns(len(rows)))
        products = self._buffer("products", len(self.left), len(queries))
        torch.mm(self.left, queries.mT, out=products)
        for g, group in enumerate(self.groups):
            dynamic, static = self._logits(g, products, rows)
            model = group.model
            text = text_probabilities(
                queries[: len(rows)], model.columns, model.classes, model.logit_scale
            )
            self._give(group, rows, text, dynamic, static, sink)

    def _logits(self, g: int, products: Tensor, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return a group's logits: dynamic [sets, orders, lengths, C, B], static [sets, C, B]."""
        group, order, B = self.groups[g], self.order[g], products.shape[1]
        C, L, turns = group.model.classes, len(group.lengths), len(order.members) // self.orders
        # no image is seen by a query that only fills up the block
        steps = np.full((len(order.members), B), -2, group.kind)
        steps[:, : len(rows)] = np.repeat(self.steps[:, rows], turns, axis=0)
        dynamic = self._buffer("dynamic", group.dynamic_sets, len(steps), L, C, B)
        static = self._buffer("static", len(group.sets), C, B)
        norm = group.moved.query_norm
        if group.affine:
            norm = np.zeros(B, norm.dtype)
            norm[: len(rows)] = group.moved.query_norm[rows]
        moved = group.moved._replace(query_norm=norm)
        scalar = group.kind.type
        read_orders(
            products.numpy(), group.slots, group.fixed, order._replace(steps=steps),
            scalar(group.beta), moved, group.affine, group.biased, group.lengths,
            scalar(group.model.logit_scale), dynamic.numpy(), static.numpy(),
        )  # fmt: skip
        return dynamic.reshape(len(dynamic), self.orders, turns * L, C, B), static

    def _give(
        self,
        group: Group,
        rows: np.ndarray,
        text: Tensor,
        dynamic: Tensor,
        static: Tensor,
        sink: Sink,
    ) -> None:
        """Turn the logits of each asker into probabilities and give them to the sink."""
        orders, lengths, C, _ = dynamic.shape[1:]
        for asker in group.askers:
            found = self._buffer("found", orders, lengths, len(rows), C)
            for o, n in np.ndindex(orders, lengths):
                softmax_of_columns(dynamic[asker.dynamic, o, n], 0, found[o, n])
            alone = None
            if asker.static is not None:
                alone = self._buffer("alone", len(rows), C)
                softmax_of_columns(static[asker.static], 0, alone)
            sink(
                Block(
                    asker.request, asker.beta, rows, range(orders), range(lengths), text, alone,
                    found,
                )
            )  # fmt: skip

    def _buffer(self, name: str, *shape: int) -> Tensor:
        """Return a thread's own scratch tensor, kept between blocks."""
        store, size = self.local.__dict__, int(np.prod(shape))
        if name not in store or store[name].numel() < size:
            store[name] = torch.empty(size, dtype=self.x.dtype)
        return store[name][:size].reshape(shape)
