"""One cell of a study: the network on a part's features, over stream orders, with its weights.

The ways to weight the predictions stand side by side: `none` for a component alone, `fixed`
beforehand, `label_free` from the unlabelled stream, chosen on `validation` images, and the
`oracle`, which has seen the test labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dmn.config import Config
from dmn.evaluation.contract import Cell, Part, StudyData, stream_order
from dmn.evaluation.run import Run
from dmn.evaluation.weights import selection
from dmn.evaluation.weights.coherence import Coherence
from dmn.method.fusion import Weights

if TYPE_CHECKING:
    from dmn.network import DualMemoryNetwork

CHOSEN = ("fixed", "label_free", "validation")  # without test labels
FUSIONS = (*CHOSEN, "oracle")
WHOLE = 1 << 30  # bytes of probabilities of all classes that are kept at once


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
    groups = {name: values[rows] for name, values in part.groups.items()}
    return Part(part.views[rows], part.labels[rows], [part.ids[i] for i in rows], groups)


class Experiment:
    """The network of one cell, with changes to the configured model where a study makes them.

    Options are those of `DualMemoryNetwork`, and `views`, how many cached views are used.
    Validation weights belong to the experiment's own network, and to clean test images. `whole`
    keeps the probabilities of all classes, which `groups` bounds.
    """

    def __init__(
        self,
        data: StudyData,
        config: Config,
        cell: Cell,
        fusions: Sequence[str] = FUSIONS,
        whole: bool = False,
        **options: Any,
    ) -> None:
        self.data, self.config, self.cell, self.whole = data, config, cell, whole
        self.fusions = [kind for kind in FUSIONS if kind in fusions]
        self.views = options.pop("views", None)
        self.network = _network(data, config, cell, options)
        self.validation = validation_part(data, config, cell)
        self.validated: Run | None = None
        self._compared: tuple[Part, Coherence] | None = None

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
        return next(run_all([self], seeds, part, permutations))[0]

    def runs_by_length(
        self,
        seeds: Sequence[int],
        lengths: Sequence[int | None],
        part: Part | None = None,
        permutations: Sequence[np.ndarray] | None = None,
    ) -> list[list[Run]]:
        """Return `runs` for each memory length; None is unlimited.

        Validation images are answered by a memory of the network's own length.
        """
        return next(run_all([self], seeds, part, permutations, lengths))

    def compared_on(self, part: Part) -> Coherence | None:
        """Return what compares answers to a part, kept for the next run of the same part."""
        needed = "label_free" in self.fusions or (
            "validation" in self.fusions
            and self.validation is not None
            and self.config.fusion.rule == "coherence"
        )
        if not needed:
            return None
        if self._compared is None or self._compared[0] is not part:
            K = self.cell.shots
            shots = self.data.memories[K][:, 1:] if K else None
            classes = len(self.data.text)
            self._compared = part, Coherence(part.views[:, 0], classes, shots)
        return self._compared[1]

    def groups(self, seeds: Sequence[int]) -> Iterator[list[Run]]:
        """Yield `runs` of the test images in groups of orders whose probabilities fit in memory."""
        model = self.network.model
        each = len(self.data.test) * model.classes * model.fixed.element_size()
        count = max(1, WHOLE // each)
        for first in range(0, len(seeds), count):
            yield self.runs(seeds[first : first + count])

    def forget(self) -> None:
        """Let go of what compares answers: it is as large as the images' features in float64."""
        self._compared = None


def run_all(
    experiments: Sequence[Experiment],
    seeds: Sequence[int],
    part: Part | None = None,
    permutations: Sequence[np.ndarray] | None = None,
    lengths: Sequence[int | None] | None = None,
) -> Iterator[list[list[Run]]]:
    """Yield the runs of each experiment by memory length and seed, on a part or the test images.

    What the experiments have in common is computed once. `permutations` of the part's rows are as
    many as seeds; else a seed's own order is taken. `lengths`: None for no limit; else the
    networks' own.
    """
    part = part or experiments[0].data.test
    if permutations is None:
        permutations = [stream_order(seed, len(part)) for seed in seeds]
    found = _answers(experiments, part, seeds, permutations, lengths)
    validated = _validate(experiments, seeds)
    for experiment, known, by_length in zip(experiments, validated, found, strict=True):
        coherence = experiment.compared_on(part)
        for runs in by_length:
            for i, run in enumerate(runs):
                run = replace(run, validated=known[i], coherence=coherence)
                runs[i] = replace(run, weights=weigh(run, experiment.config, experiment.fusions))
        yield by_length
        if len(experiments) > 1:
            experiment.forget()


def _validate(
    experiments: Sequence[Experiment], seeds: Sequence[int]
) -> list[Sequence[Run | None]]:
    """Return each experiment's answers to its validation images by seed, None where none are due.

    They join the test images, unlabelled as those, so that the memory is as full as the one
    that test images meet: one stream for all seeds, in an order of the split's. By the rule
    `first` they are a stream of their own, in an order of each seed's.
    """
    found: list[Sequence[Run | None]] = [[None] * len(seeds) for _ in experiments]
    due = [
        i
        for i, experiment in enumerate(experiments)
        if experiment.validation is not None and "validation" in experiment.fusions
    ]
    for rule in dict.fromkeys(experiments[i].config.fusion.rule for i in due):
        own = [i for i in due if experiments[i].config.fusion.rule == rule]
        for count in dict.fromkeys(len(experiments[i].validation or []) for i in own):
            same = [i for i in own if len(experiments[i].validation or []) == count]
            runs = _validated([experiments[i] for i in same], seeds, alone=rule == "first")
            for i, known in zip(same, runs, strict=True):
                found[i] = known
    return found


def _validated(
    experiments: Sequence[Experiment], seeds: Sequence[int], alone: bool
) -> list[Sequence[Run]]:
    """Return the answers of experiments with the same validation images to these, by seed."""
    first = experiments[0]
    assert first.validation is not None
    if alone:
        count = len(first.validation)
        permutations = [stream_order(seed, count, "validation") for seed in seeds]
        found = _answers(experiments, first.validation, seeds, permutations)
        return [runs for (runs,) in found]
    missing = [e for e in experiments if e.validated is None]
    if missing:
        both, split = joined(first.data.test, first.validation), first.data.split_seed
        order = stream_order(split, len(both), "validation images in the test stream")
        rows = np.arange(len(first.data.test), len(both))
        found = _answers(missing, both, [split], [order], rows=rows)
        for experiment, ((run,),) in zip(missing, found, strict=True):
            experiment.validated = run
    return [[e.validated] * len(seeds) for e in experiments if e.validated is not None]


def _answers(
    experiments: Sequence[Experiment],
    part: Part,
    seeds: Sequence[int],
    permutations: Sequence[np.ndarray],
    lengths: Sequence[int | None] | None = None,
    rows: np.ndarray | None = None,
) -> list[list[list[Run]]]:
    """Return unweighted runs by experiment, length and seed, of some ascending rows of the part."""
    from dmn.engine.together.requests import Request
    from dmn.evaluation.gathered.gathering import Gathering

    # one array for all that use as many views: what they have in common is told by it
    views = {count: part.views[:, :count] for count in {e.views for e in experiments}}
    requests = [Request.of(e.network.model, views[e.views], lengths) for e in experiments]
    kept = np.arange(len(part)) if rows is None else rows
    data, whole = experiments[0].data, experiments[0].whole
    gathering = Gathering(requests, permutations, kept, whole, data.finished, data.place)
    return [
        [
            [
                Run(
                    cell=experiment.cell,
                    order_seed=seed,
                    order=np.asarray(order),
                    labels=part.labels[kept],
                    classes=request.model.classes,
                    fronts=gathering.fronts((i, o, n)),
                    pseudo_label=answered.pseudo_label[kept],
                    entropy=answered.entropy[kept],
                    weights={},
                    predictions=gathering.predictions((i, o, n)),
                )
                for o, (seed, order) in enumerate(zip(seeds, permutations, strict=True))
            ]
            for n in range(len(request.lengths))
        ]
        for i, (experiment, request, answered) in enumerate(
            zip(experiments, requests, gathering.answered, strict=True)
        )
    ]


def joined(part: Part, others: Part) -> Part:
    """Return two parts as one; the others' views are repeated, or cut, to the part's number."""
    count = part.views.shape[1]
    repeats = -(-count // others.views.shape[1])
    views = np.tile(others.views, (1, repeats, 1))[:, :count]
    return Part(
        np.concatenate([part.views, views.astype(part.views.dtype)]),
        np.concatenate([part.labels, others.labels]),
        [*part.ids, *others.ids],
    )


def weigh(run: Run, config: Config, fusions: Sequence[str] = FUSIONS) -> dict[str, Weights]:
    """Return the weights of each kind of fusion; the run's labels serve the oracle only."""
    grid, rule = config.fusion.grid, config.fusion.rule
    weights: dict[str, Weights] = {}
    compared = None
    if run.coherence is not None and set(fusions) - {"fixed"}:
        compared = selection.grid_coherence(run.fronts, grid, run.coherence)
    if "fixed" in fusions:
        weights["fixed"] = config.fusion.fixed
    if "label_free" in fusions and compared is not None:
        weights["label_free"] = selection.select_without_labels(run.fronts, grid, compared)
    if "validation" in fusions and run.validated is not None:
        known = run.validated
        found = selection.select_on_validation(known.fronts, known.labels, grid, rule, compared)
        weights["validation"] = found.weights
    if "oracle" in fusions:
        weights["oracle"] = selection.oracle(run.fronts, run.labels, grid).weights
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
