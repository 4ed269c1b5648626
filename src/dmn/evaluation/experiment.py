"""One cell of a study: the network on a part's features, over stream orders, with its weights.

The four ways to weight the predictions stand side by side: `none` for a component alone, `fixed`
beforehand, chosen on `validation` images, and the `oracle`, which has seen the test labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from dmn.config import Config
from dmn.evaluation import answers, selection
from dmn.evaluation.contract import Cell, Part, StudyData, stream_order
from dmn.method import fusion
from dmn.method.fusion import Predictions, Weights

if TYPE_CHECKING:
    from dmn.network import DualMemoryNetwork

Kind = tuple[str, str]
FUSIONS = ("fixed", "validation", "oracle")


def study_cells(data: StudyData, config: Config) -> Iterator[Cell]:
    """Yield the configured cells that the data serve, in the paper's order.

    Cells with shots need their memory, few-shot ones their projections too.
    """
    if "zero_shot" in config.settings:
        yield Cell("zero_shot")
    for shots in data.memories:
        if "training_free" in config.settings:
            yield Cell("training_free", shots)
        for known, seed in data.projections if "few_shot" in config.settings else ():
            if known == shots:
                yield Cell("few_shot", shots, seed)


def largest(found: Iterable[Cell], setting: str) -> Cell | None:
    """Return the cell of a setting with the most shots, None where there is none."""
    matching = [cell for cell in found if cell.setting == setting]
    return max(matching, key=lambda cell: cell.shots, default=None)


def cell_name(cell: Cell) -> str:
    """Return a cell as one word, for names of arrays."""
    training = "" if cell.training_seed is None else f",training={cell.training_seed}"
    return f"{cell.setting}{f',shots={cell.shots}' if cell.shots else ''}{training}"


def validation_part(data: StudyData, config: Config, cell: Cell) -> Part | None:
    """Return the validation images that a cell may use: min(K, 4) of each class, or all cached.

    Rows of a class stand in the order that they were drawn, so fewer are a prefix of more.
    """
    if data.val is None:
        return None
    allowed = config.splits.validation_shots
    if cell.shots:
        allowed = min(cell.shots, allowed)
    labels = data.val.labels
    rank = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rank[rows] = np.arange(len(rows))
    return take(data.val, np.flatnonzero(rank < allowed))


def take(part: Part, rows: np.ndarray) -> Part:
    """Return some rows of a part, in the order given."""
    return Part(part.views[rows], part.labels[rows], [part.ids[i] for i in rows])


@dataclass(frozen=True)
class Run:
    """What the network answered in one stream order; all arrays by row of the part, not by time.

    `weights` has an entry for each kind of fusion that could be weighted.
    """

    cell: Cell
    order_seed: int
    order: np.ndarray
    labels: np.ndarray
    predictions: Predictions
    pseudo_label: np.ndarray
    entropy: np.ndarray
    weights: dict[str, Weights]

    def kinds(self) -> Iterator[Kind]:
        """Yield the components alone, and the fusion with each kind of weights."""
        yield "text", "none"
        yield "dynamic", "none"
        if self.predictions.static is not None:
            yield "static", "none"
        for weights in self.weights:
            yield "fused", weights

    def scores(self, component: str, weights: str = "none") -> np.ndarray:
        """Return the scores [N, C] of a component, or of the fusion with a kind of weights."""
        p = self.predictions
        if component == "fused":
            return fusion.fuse(p.text, p.dynamic, p.static, self.weights[weights])
        return getattr(p, component)

    def answers(self, component: str, weights: str = "none") -> np.ndarray:
        """Return the predicted classes [N]."""
        return self.scores(component, weights).argmax(axis=1)

    def right(self, component: str, weights: str = "none") -> np.ndarray:
        """Return which answers are the label, booleans [N]."""
        return self.answers(component, weights) == self.labels

    def keys(self, kind: Kind, **others: Any) -> dict[str, Any]:
        """Return the key columns of a row about one component and kind of weights."""
        component, weights = kind
        named = {"component": component, "weights": weights}
        return {"order_seed": self.order_seed} | self.cell.keys() | named | others

    def accuracy_rows(self, rows: np.ndarray | None = None, **others: Any) -> list[dict[str, Any]]:
        """Return accuracy in percent for each kind, on all of the part or on some `rows`.

        Beside it the answers, and which images they are of where it is some: see `answers`.
        """
        found = []
        asked = None if rows is None else answers.packed(self._chosen(rows))
        for kind in self.kinds():
            right = self.right(*kind)
            own = right if rows is None else right[rows]
            value = 100 * int(own.sum()) / len(own)
            measured = {"metric": "accuracy", "value": value, "n": len(own)}
            kept = {answers.RIGHT: answers.packed(right), answers.ASKED: asked}
            found.append(self.keys(kind, **others) | measured | kept)
        return found

    def _chosen(self, rows: np.ndarray) -> np.ndarray:
        chosen = np.zeros(len(self.labels), dtype=bool)
        chosen[rows] = True
        return chosen

    def course_rows(self, checkpoints: int, **others: Any) -> list[dict[str, Any]]:
        """Return accuracy up to, and between, evenly spaced points of the stream (`seen`)."""
        found = []
        ends = np.unique(np.linspace(0, len(self.order), checkpoints + 1).round().astype(int))
        windows = [
            (metric, first, end, answers.packed(self._chosen(self.order[first:end])))
            for start, end in pairwise(ends.tolist())
            for metric, first in (("accuracy_so_far", 0), ("accuracy_between", start))
        ]
        for kind in self.kinds():
            if kind[1] == "oracle":
                continue
            right = self.right(*kind)
            total = np.concatenate([[0], right[self.order].cumsum()])
            bits = answers.packed(right)
            for metric, first, end, asked in windows:
                value = 100 * int(total[end] - total[first]) / (end - first)
                measured = {"metric": metric, "value": value, "n": end - first}
                kept = {answers.RIGHT: bits, answers.ASKED: asked}
                found.append(self.keys(kind, seen=end, **others) | measured | kept)
        return found

    def weight_rows(self, **others: Any) -> list[dict[str, Any]]:
        """Return the fusion weights in use, for each kind."""
        return [
            self.keys(("fused", kind), **others)
            | {"metric": f"weight_{name}", "value": float(value), "n": len(self.labels)}
            for kind, weights in self.weights.items()
            for name, value in zip(("text", "dynamic", "static"), weights, strict=True)
        ]


class Experiment:
    """The network of one cell, with changes to the configured model where a study makes them.

    Options are those of `DualMemoryNetwork`, and `views`, how many cached views are used.
    Validation weights belong to the experiment's own network; they are found once an order.
    """

    def __init__(
        self,
        data: StudyData,
        config: Config,
        cell: Cell,
        fusions: Sequence[str] = FUSIONS,
        **options: Any,
    ) -> None:
        self.data, self.config, self.cell = data, config, cell
        self.fusions = [kind for kind in FUSIONS if kind in fusions]
        self.views = options.pop("views", None)
        self.network = _network(data, config, cell, options)
        self.validation = validation_part(data, config, cell)
        self._validations: dict[int, Run] = {}

    def run(
        self, order_seed: int, part: Part | None = None, order: np.ndarray | None = None
    ) -> Run:
        """Run a part, the test images where none is given, in an order, else in the seed's."""
        permutations = None if order is None else [order]
        return self.runs([order_seed], part, permutations)[0]

    def runs(
        self,
        seeds: Sequence[int],
        part: Part | None = None,
        permutations: Sequence[np.ndarray] | None = None,
    ) -> list[Run]:
        """Run a part, the test images where none is given, once for each seed.

        `permutations` of its rows are as many; else a seed's own order is taken.
        """
        return self.runs_by_length(seeds, [self.network.model.length], part, permutations)[0]

    def runs_by_length(
        self,
        seeds: Sequence[int],
        lengths: Sequence[int | None],
        part: Part | None = None,
        permutations: Sequence[np.ndarray] | None = None,
    ) -> list[list[Run]]:
        """Return `runs` for each memory length; None is unlimited.

        Validation weights are those of the network's own length.
        """
        part = part or self.data.test
        if permutations is None:
            permutations = [stream_order(seed, len(part)) for seed in seeds]
        found = self._answer(part, seeds, permutations, lengths)
        if self.validation is not None and "validation" in self.fusions:
            self._validate(seeds)
        for runs in found:
            for i, run in enumerate(runs):
                validated = self._validations.get(run.order_seed)
                weights = weigh(run.predictions, part.labels, validated, self.config, self.fusions)
                runs[i] = replace(run, weights=weights)
        return found

    def validated(self, order_seed: int) -> Run | None:
        """Return the run on the validation images, a stream of its own; None without any."""
        if self.validation is None:
            return None
        self._validate([order_seed])
        return self._validations[order_seed]

    def _validate(self, seeds: Sequence[int]) -> None:
        assert self.validation is not None
        missing = [seed for seed in dict.fromkeys(seeds) if seed not in self._validations]
        if not missing:
            return
        count = len(self.validation)
        permutations = [stream_order(seed, count, "validation") for seed in missing]
        runs = self._answer(self.validation, missing, permutations, [self.network.model.length])[0]
        self._validations |= dict(zip(missing, runs, strict=True))

    def _answer(
        self,
        part: Part,
        seeds: Sequence[int],
        permutations: Sequence[np.ndarray],
        lengths: Sequence[int | None],
    ) -> list[list[Run]]:
        """Return unweighted runs by length and seed; text and static answers are shared."""
        from dmn.network import evaluate_many

        views = part.views if self.views is None else part.views[:, : self.views]
        # no class can hold more than all images
        limits = [len(part) if length is None else length for length in lengths]
        result = evaluate_many(self.network, views, permutations, limits)
        dynamic = result.dynamic[:, :, 0].cpu().numpy()
        text = result.text.cpu().numpy()
        static = None if result.static is None else result.static[0].cpu().numpy()
        return [
            [
                Run(
                    cell=self.cell,
                    order_seed=seed,
                    order=np.asarray(order),
                    labels=part.labels,
                    predictions=Predictions(text, dynamic[i, place], static),
                    pseudo_label=result.pseudo_label.cpu().numpy(),
                    entropy=result.entropy.cpu().numpy(),
                    weights={},
                )
                for i, (seed, order) in enumerate(zip(seeds, permutations, strict=True))
            ]
            for place in range(len(limits))
        ]


def weigh(
    predictions: Predictions,
    labels: np.ndarray,
    validated: Run | None,
    config: Config,
    fusions: Sequence[str] = FUSIONS,
) -> dict[str, Weights]:
    """Return the weights of each kind of fusion; the test `labels` serve the oracle only."""
    grid = config.fusion.grid
    weights: dict[str, Weights] = {}
    if "fixed" in fusions:
        weights["fixed"] = config.fusion.fixed
    if "validation" in fusions and validated is not None:
        found = selection.select_on_validation(validated.predictions, validated.labels, grid)
        weights["validation"] = found.weights
    if "oracle" in fusions:
        weights["oracle"] = selection.oracle(predictions, labels, grid).weights
    return weights


def _network(
    data: StudyData, config: Config, cell: Cell, changes: dict[str, Any]
) -> DualMemoryNetwork:
    """Return the configured network of a cell with a study's changes."""
    import torch

    from dmn.network import DualMemoryNetwork

    model, numerics = config.model, config.numerics
    options: dict[str, Any] = {
        "length": model.length,
        "beta": model.beta,
        "readout": model.readout,
        "position": model.position,
        "view_share": model.view_share,
        "projections": None,
    }
    if cell.training_seed is not None and "projections" not in changes:
        options["projections"] = data.projections[cell.shots, cell.training_seed]
    options |= {"logit_scale": data.logit_scale, "device": numerics.device}
    options |= {"dtype": getattr(torch, numerics.dtype)} | changes
    if not cell.shots:
        return DualMemoryNetwork(torch.from_numpy(data.text), **options)
    return DualMemoryNetwork.of_memory(torch.from_numpy(data.memories[cell.shots]), **options)
