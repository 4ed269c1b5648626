"""What the jobs of a study do: how many streams are answered, searched and written about.

A study that has no line here counts as `main`; its own options say how much of the design is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from dmn.costs.sizes import Sizes
from dmn.costs.work import Work
from dmn.peers.contract import Sizes as PeerSizes
from dmn.peers.loading import load_peers

# of the engine (dmn.engine.together.pairs): a slot and a pair of slots in multiply-adds
SLOT_COST, PAIR_COST = 36, 1
# of training, in multiply-adds: passes over the attention of a slot, and over an entry of a bias;
# and what a step costs beside them, in runs
PASSES, MOVES, STEP_RUNS = 150, 1000, 0.6
# probabilities of a call that a job keeps until it ends (dmn.evaluation.gathered.finished)
KEPT = 10**7
# bytes of probabilities of all classes that are kept at once (dmn.evaluation.experiment)
WHOLE = 1 << 30
KINDS = 6.0  # components alone and fusions that a run has rows of


@dataclass(frozen=True)
class Design:
    """One job: its sizes, the study's options, its orders and split seeds, epochs of training."""

    sizes: Sizes
    options: Any
    orders: int
    splits: int
    corruptions: int = 0
    severities: int = 0
    epochs: int = 100

    @property
    def used(self) -> int:
        """Return the orders that are run."""
        return min(self.orders, getattr(self.options, "max_orders", self.orders))

    @property
    def cells(self) -> int:
        """Return the number of cells of all settings."""
        return sum(self.sizes.cells.values())

    @property
    def ends(self) -> int:
        """Return the number of settings without training: zero-shot and training-free."""
        return sum(name != "few_shot" for name in self.sizes.settings)

    def met(self, methods: Sequence[str], courses: float) -> Work:
        """Return the work of peers of the table that answer all images of so many courses."""
        s = self.sizes
        operations = peer_operations(
            tuple(methods), PeerSizes(s.C, s.D, s.most, s.N, s.V if s.images else 1)
        )
        count = courses * s.N
        # they compute in float64, whatever the memory does
        return Work(0, peers=count * len(methods), double_products=count * operations)

    def streams(
        self,
        orders: float,
        sets: float = 1,
        trained: float = 0,
        lengths: float = 1,
        shots: int | None = None,
        share: float = 1.0,
        searched: bool = True,
    ) -> Work:
        """Return the work of one call of the engine: `sets` models that share their products.

        trained: how many of them have loops of their own; share: of the images that answer.
        """
        s = self.sizes
        fixed = 1 + (s.most if shots is None else shots)
        each = s.N / s.C
        loops = s.C * each * (SLOT_COST + PAIR_COST * each / 2)
        groups = (sets > trained) + trained
        pairs = (s.N + s.C * (fixed + 3 * trained)) * s.D + groups * orders * loops
        alive = min(s.N / 2, s.C * s.length)
        slots = alive / s.C + fixed
        alone = (alive + s.C * fixed) * s.D + s.C * slots * (SLOT_COST + PAIR_COST * slots / 2)
        count = s.N * share
        products = count * min(pairs, sets * orders * alone) + count * s.C * s.D * s.V
        runs = orders * sets * lengths
        name = "double_products" if s.double else "products"
        return Work(
            0,
            **{name: products},
            probabilities=runs * count * s.C,
            searched=runs * s.N if searched else 0.0,
            runs=runs,
        )


@cache
def peer_operations(methods: tuple[str, ...], sizes: PeerSizes) -> int:
    """Return the multiply-adds of an image for all of these peers, as each says itself."""
    return sum(peer.cost(sizes, peer.options).operations for peer in load_peers(methods))


def _main(d: Design) -> Work:
    trained = d.sizes.cells.get("few_shot", 0)
    rows = d.cells * d.used * KINDS * (1 + 2 * getattr(d.options, "checkpoints", 20))
    return d.streams(d.used, d.cells, trained) + Work(0, rows=rows)


def _ablation(d: Design) -> Work:
    each = d.streams(d.used, d.cells, d.sizes.cells.get("few_shot", 0)).times(5)
    # one variant for each part of the centred memory, image by image
    peers = d.met(["dmn_centred"], 8 * min(d.used, d.options.centred_orders)).times(2)
    return each + peers + Work(0, rows=d.cells * d.used * KINDS * 7)


def _calibration(d: Design) -> Work:
    s, settings = d.sizes, len(d.sizes.settings)
    # as many orders at once as probabilities of all classes may be kept
    groups = -(-d.used // max(1, int(WHOLE // (s.N * s.C * s.number_bytes))))
    trained = "few_shot" in s.settings
    whole = d.streams(d.used / groups).times(groups * (settings - trained))
    whole += d.streams(d.used / groups, trained=1).times(groups * trained)
    # every class of every image is read again for each kind of answer
    again = Work(0, probabilities=KINDS * settings * d.used * s.N * s.C)
    return whole + again + Work(0, rows=settings * d.used * KINDS * (5 + 2 * d.options.bins))


def _failures(d: Design) -> Work:
    rows = d.ends * d.used * KINDS * (2 * d.options.checkpoints + d.sizes.C)
    pictures = 0.002 * d.sizes.N if d.sizes.images else 0.0
    return d.streams(d.used).times(d.ends) + Work(0, rows=rows, seconds=pictures / d.splits)


def _length(d: Design) -> Work:
    lengths = len(d.options.lengths) + 1
    # what belongs to no split is answered once a job, where it is worth keeping
    numbers = d.sizes.N * d.sizes.C * d.used * lengths
    once = 1 / d.splits if numbers >= KEPT else 1.0
    found = d.streams(d.used, lengths=lengths, searched=False).times(d.ends - 1 + once)
    # first in first out nests as the lowest entropies do, two other entry rules do not
    for_rules = d.streams(d.used * 2 * (lengths - 1), shots=0, searched=False)
    for_rules += d.streams(d.used, lengths=lengths - 1, shots=0, searched=False)
    runs = d.used * (lengths * d.ends + 3 * (lengths - 1))
    return found + for_rules.times(once) + Work(0, rows=runs * 4 * len(d.options.stream_shares))


def arranged(d: Design) -> int:
    """Return in how many arrangements the study `order` runs a stream."""
    return 2 + len(d.options.concentrations) + len(d.options.bursts)


def _order(d: Design) -> Work:
    found = d.streams(d.used * arranged(d), d.ends)
    shifted = d.streams(1).times(d.ends * 2.5 * d.used * d.corruptions)
    runs = d.used * d.ends * (arranged(d) + 3 * d.corruptions)
    return found + shifted + Work(0, rows=runs * KINDS)


def _peers(d: Design) -> Work:
    own = d.streams(d.used).times(d.cells)
    cells = sum(n for name, n in d.sizes.cells.items() if name != "few_shot")
    # half of the usual methods answer all images in one product
    peers = d.met(d.options.methods, cells * d.used).times(0.5)
    return own + peers + Work(0, rows=d.cells * d.used * 8 * (KINDS + 4))


def _sensitivity(d: Design) -> Work:
    o, s = d.options, d.sizes
    views = sum(v <= s.V for v in o.views) + sum(int(s.V * share) >= 1 for share in o.view_share)
    trials = len(o.beta) + views + len(s.shots) + 6
    found = d.streams(d.used).times(trials)
    if "few_shot" in s.settings:
        trained = len(o.kinds) * len(o.positions) + 2
        found += d.streams(d.used).times(trained) + training(s, s.most, d.epochs).times(trained)
    return found


def _shift(d: Design) -> Work:
    parts = 1 + d.corruptions * d.severities
    some, lengths = min(d.used, d.options.length_orders), len(d.options.lengths)
    # pseudo-labels and lengths belong to no split: a job of several measures them once
    again = d.streams(d.used, shots=0, searched=False)
    again += d.streams(some, lengths=lengths, shots=0, searched=False)
    rows = Work(0, rows=parts * (d.ends * d.used * KINDS + 2 * lengths * some / d.splits))
    return d.streams(d.used).times(d.ends * parts) + again.times(parts / d.splits) + rows


def _signals(d: Design) -> Work:
    orders = 2 + len(d.options.concentrations)
    rows = Work(0, rows=orders * d.used * len(d.options.shares) * 10)
    return d.streams(d.used, shots=0, searched=False).times(orders) + rows


def _streams(d: Design) -> Work:
    courses = d.used * (len(d.options.scenarios) + 1 + 5 * (d.corruptions > 1))
    # they belong to no split: a job of several measures them once
    own = d.streams(1, shots=0).times(4 * courses / d.splits)
    met = d.met(d.options.methods, courses / d.splits)
    return own + met + Work(0, rows=courses * 40 / d.splits)


def _weights(d: Design) -> Work:
    each = d.streams(d.used, d.cells, d.sizes.cells.get("few_shot", 0))
    carried = d.cells * (d.cells - 1) * d.used
    return each + Work(0, rows=carried + d.cells * d.used * KINDS * 4)


WORK: Mapping[str, Callable[[Design], Work]] = {
    "ablation": _ablation,
    "calibration": _calibration,
    "failures": _failures,
    "length": _length,
    "main": _main,
    "order": _order,
    "peers": _peers,
    "sensitivity": _sensitivity,
    "shift": _shift,
    "signals": _signals,
    "streams": _streams,
    "weights": _weights,
}


def evaluation(study: str, design: Design) -> Work:
    """Return the work of one job of a study."""
    return Work() + WORK.get(study, _main)(design).times(design.splits)


def training(sizes: Sizes, shots: int, epochs: int, batch: int = 128) -> Work:
    """Return the work of training class-wise biases on C x K images.

    A step forms products of a batch with all slots, forward and backward, passes over the slots'
    attention and over the Gram matrices, and moves the biases.
    """
    C, D, K = sizes.C, sizes.D, shots
    images, slots = epochs * C * K, C * (K + 1)
    steps = epochs * -(-C * K // batch)
    forward = slots * (D + K + 1 + PASSES)
    name = "double_products" if sizes.double else "products"
    products = 3.0 * images * forward + steps * MOVES * C * D
    return Work(0, **{name: products}, runs=STEP_RUNS * steps)
