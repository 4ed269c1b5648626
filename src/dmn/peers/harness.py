"""The peers' inputs in one cell, and what each peer answers there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmn.config import Config
from dmn.evaluation.contract import Cell, StudyData, stream_order


@dataclass(frozen=True)
class Bench:
    """What every peer gets, unit norm and float64: x [N, D], text [C, D], validation of a cell."""

    data: StudyData
    cell: Cell
    x: np.ndarray
    text: np.ndarray
    x_val: np.ndarray | None
    val_labels: np.ndarray

    @property
    def clip(self) -> np.ndarray:
        """CLIP's logits [N, C] of the test images."""
        return self.data.logit_scale * self.x @ self.text.T

    @property
    def clip_val(self) -> np.ndarray:
        """CLIP's logits [M, C] of the validation images."""
        assert self.x_val is not None
        return self.data.logit_scale * self.x_val @ self.text.T

    @property
    def shots(self) -> np.ndarray:
        """Plain shots [C, K, D]."""
        return _unit(self.data.memory[self.cell.shots])

    @property
    def views(self) -> np.ndarray:
        """All cached views of the shots, [C, K, V, D]."""
        assert self.data.train is not None
        return self.data.train[:, : self.cell.shots]


# answers [N] by kind of weights
Answers = dict[str, np.ndarray]


def open_bench(data: StudyData, config: Config, cell: Cell) -> Bench:
    """Return the inputs of the peers in one cell."""
    from dmn.evaluation.experiment import validation_part

    part = validation_part(data, config, cell)
    return Bench(
        data,
        cell,
        _unit(data.test.views[:, 0]),
        _unit(data.text),
        None if part is None else _unit(part.views[:, 0]),
        np.zeros(0, dtype=np.int64) if part is None else part.labels,
    )


def peer_answers(bench: Bench, order_seeds: Sequence[int]) -> dict[str, list[Answers]]:
    """Return the answers of every peer that the cell serves, for each order."""
    if not bench.cell.shots:
        clip = {"none": bench.clip.argmax(axis=1)}
        return {
            "zero_shot_clip": [clip] * len(order_seeds),
            "tda": [_tda(bench, seed) for seed in order_seeds],
        }
    found = {
        "tip_adapter": _tip_adapter(bench),
        "tip_adapter_f": _tip_adapter_f(bench),
        "nearest_class_mean": _nearest_mean(bench),
        "linear_probe": _linear_probe(bench),
    }
    # they know no order: the same answers count for each
    return {name: [one] * len(order_seeds) for name, one in found.items()}


def _unit(vectors: np.ndarray) -> np.ndarray:
    wide = vectors.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=-1, keepdims=True)


def _tip_adapter(bench: Bench, keys: np.ndarray | None = None) -> Answers:
    from dmn.peers import tip_adapter

    keys = tip_adapter.build_keys(bench.views) if keys is None else keys
    affinity = bench.x @ keys.T
    answers = {"fixed": tip_adapter.logits(affinity, bench.clip).argmax(axis=1)}
    if bench.x_val is not None:
        chosen = tip_adapter.select(bench.x_val @ keys.T, bench.clip_val, bench.val_labels)
        answers["validation"] = tip_adapter.logits(affinity, bench.clip, *chosen).argmax(axis=1)
    return answers


def _tip_adapter_f(bench: Bench) -> Answers:
    from dmn.peers import tip_adapter

    keys = tip_adapter.build_keys(bench.views)
    scale, seed = bench.data.logit_scale, bench.data.split_seed
    return _tip_adapter(bench, tip_adapter.fine_tune(keys, bench.views, bench.text, scale, seed))


def _nearest_mean(bench: Bench) -> Answers:
    from dmn.peers import nearest_mean

    scores = nearest_mean.logits(bench.x, bench.shots, bench.data.logit_scale)
    return {"none": scores.argmax(axis=1)}


def _linear_probe(bench: Bench) -> Answers:
    from dmn.peers import linear_probe

    shots = bench.shots
    answers = {"fixed": linear_probe.logits(bench.x, linear_probe.fit(shots)).argmax(axis=1)}
    if bench.x_val is not None:
        strength = linear_probe.select(shots, bench.x_val, bench.val_labels)
        fitted = linear_probe.fit(shots, strength)
        answers["validation"] = linear_probe.logits(bench.x, fitted).argmax(axis=1)
    return answers


def _tda(bench: Bench, order_seed: int) -> Answers:
    from dmn.peers import tda

    order = stream_order(order_seed, len(bench.x))
    said = tda.run(bench.x[order], bench.clip[order])
    positive, negative = np.empty_like(said[0]), np.empty_like(said[1])
    positive[order], negative[order] = said
    answers = {"fixed": tda.combine(bench.clip, positive, negative).argmax(axis=1)}
    if bench.x_val is not None:
        order = stream_order(order_seed, len(bench.x_val), "validation")
        clip = bench.clip_val[order]
        chosen = tda.select(clip, *tda.run(bench.x_val[order], clip), bench.val_labels[order])
        fused = tda.combine(bench.clip, positive, negative, chosen)
        answers["validation"] = fused.argmax(axis=1)
    return answers


def peer_cost(name: str, bench: Bench) -> dict[str, int]:
    """Return counts for one test image: passes through the encoder, multiply-adds, numbers kept."""
    from dmn.peers import linear_probe, nearest_mean, tda, tip_adapter

    C, D = bench.text.shape
    costs = {
        "zero_shot_clip": lambda: {"operations": C * D, "numbers": 0},
        "tip_adapter": lambda: tip_adapter.cost(C, bench.cell.shots, D),
        "tip_adapter_f": lambda: tip_adapter.cost(C, bench.cell.shots, D),
        "nearest_class_mean": lambda: nearest_mean.cost(C, D),
        "linear_probe": lambda: linear_probe.cost(C, D),
        "tda": lambda: tda.cost(C, D),
    }
    return {"encodings": 1} | costs[name]()
