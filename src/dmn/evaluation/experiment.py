"""One cell of a study: the network on a part's features, over stream orders, with its weights.

The four ways to weight the predictions stand side by side: `none` for a component alone, `fixed`
beforehand, chosen on `validation` images, and the `oracle`, which has seen the test labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dmn.config import Config
from dmn.evaluation import selection
from dmn.evaluation.contract import Cell, Part, StudyData, stream_order
from dmn.evaluation.run import Run
from dmn.method.fusion import Weights

if TYPE_CHECKING:
    from dmn.engine.search import Fronts
    from dmn.evaluation.gathering import Measure
    from dmn.network import DualMemoryNetwork

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
        self.validations: dict[int, Run] = {}

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
        measure: Callable[[np.ndarray], Measure] | None = None,
    ) -> list[Run]:
        """Run a part, the test images where none is given, once for each seed: see `run_all`."""
        return run_all([self], seeds, part, permutations, measure=measure)[0][0]

    def validated(self, order_seed: int) -> Run | None:
        """Return the run on the validation images, a stream of its own; None without any."""
        validate([self], [order_seed])
        return self.validations.get(order_seed)


def run_all(
    experiments: Sequence[Experiment],
    seeds: Sequence[int],
    part: Part | None = None,
    permutations: Sequence[np.ndarray] | None = None,
    lengths: Sequence[Sequence[int | None]] | None = None,
    measure: Callable[[np.ndarray], Measure] | None = None,
) -> list[list[list[Run]]]:
    """Return the runs of each experiment by memory length and seed, on a part or the test images.

    What the experiments have in common is computed once. `permutations` of the part's rows are as
    many as seeds; else a seed's own order is taken. `lengths` are those of each experiment, None
    for no limit; else the networks' own. Validation weights are those of the networks' own length.
    `measure` makes from the part's labels what is to see all answers of a run, for `Run.measured`.
    """
    part = part or experiments[0].data.test
    if permutations is None:
        permutations = [stream_order(seed, len(part)) for seed in seeds]
    limits = lengths or [[e.network.model.length] for e in experiments]
    found = _answers(experiments, part, seeds, permutations, limits, measure)
    validate([e for e in experiments if "validation" in e.fusions], seeds)
    for experiment, by_length in zip(experiments, found, strict=True):
        for runs in by_length:
            runs[:] = [replace(run, weights=_weights(experiment, run)) for run in runs]
    return found


def validate(experiments: Sequence[Experiment], seeds: Sequence[int]) -> None:
    """Run the experiments on their validation images in the seeds' orders, once each."""
    by_count: dict[int, list[Experiment]] = {}
    for experiment in experiments:
        if experiment.validation is not None:
            by_count.setdefault(len(experiment.validation), []).append(experiment)
    for count, own in by_count.items():
        missing = [s for s in dict.fromkeys(seeds) if any(s not in e.validations for e in own)]
        if not missing:
            continue
        part = own[0].validation
        assert part is not None
        permutations = [stream_order(seed, count, "validation") for seed in missing]
        limits = [[e.network.model.length] for e in own]
        found = _answers(own, part, missing, permutations, limits)
        for experiment, (runs,) in zip(own, found, strict=True):
            experiment.validations |= dict(zip(missing, runs, strict=True))


def _answers(
    experiments: Sequence[Experiment],
    part: Part,
    seeds: Sequence[int],
    permutations: Sequence[np.ndarray],
    lengths: Sequence[Sequence[int | None]],
    measure: Callable[[np.ndarray], Measure] | None = None,
) -> list[list[list[Run]]]:
    """Return unweighted runs by experiment, length and seed."""
    from dmn.engine.blockwise import answer_blockwise
    from dmn.engine.requests import Request
    from dmn.evaluation.gathering import Gathering

    requests = [
        Request.of(e.network.model, _views(part, e.views), own)
        for e, own in zip(experiments, lengths, strict=True)
    ]
    gathering = Gathering(requests, len(seeds), part.labels, measure)
    answered = answer_blockwise(requests, permutations, gathering.add)
    return [
        [
            [
                Run(
                    cell=experiment.cell,
                    order_seed=seed,
                    order=np.asarray(order),
                    labels=part.labels,
                    fronts=gathering.fronts(i, o, n),
                    pseudo_label=answered[i].pseudo_label,
                    entropy=answered[i].entropy,
                    measured=gathering.measured(i, o, n),
                )
                for o, (seed, order) in enumerate(zip(seeds, permutations, strict=True))
            ]
            for n in range(len(lengths[i]))
        ]
        for i, experiment in enumerate(experiments)
    ]


def _views(part: Part, count: int | None) -> np.ndarray:
    return part.views if count is None else part.views[:, :count]


def _weights(experiment: Experiment, run: Run) -> dict[str, Weights]:
    validated = experiment.validations.get(run.order_seed)
    return weigh(run.fronts, run.labels, validated, experiment.config, experiment.fusions)


def weigh(
    fronts: Fronts,
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
        found = selection.select_on_validation(validated.fronts, validated.labels, grid)
        weights["validation"] = found.weights
    if "oracle" in fusions:
        weights["oracle"] = selection.oracle(fronts, labels, grid).weights
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
