"""Why a test image got its answers: its moment in the stream, and the memory as it was then.

Everything follows from the features: the stream runs up to the image, so that its slot, the image
that it replaced, and the neighbours that the memory held that moment can be told, with their
weights and true classes. Many images of one stream are told in one pass.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dmn.method import fusion
from dmn.method.fusion import Predictions

if TYPE_CHECKING:
    from torch import Tensor

    from dmn.evaluation.contract import StudyData
    from dmn.evaluation.experiment import Experiment
    from dmn.evaluation.run import Run

SHOWN = 10  # neighbours that are told
TEXT, DYNAMIC = ("text", "none"), ("dynamic", "none")
STORIES, PICTURES, NEAR = "stories", "stories_pictures", "stories_near"  # names of arrays
LEAST_SIDE = 16  # pixels of a small picture
FUSED = "label_free"  # the weights of the fusion of a turn


@dataclass(frozen=True)
class Answer:
    """What one prediction said: its class, and the probabilities of it and of the label."""

    component: str
    weights: str
    answer: str
    probability: float
    of_label: float
    right: bool


@dataclass(frozen=True)
class Neighbour:
    """A slot that was read: what it holds, the class it stood under, and its share.

    share: of the weights of all slots of its class.
    """

    holds: str
    filed_under: str
    true_class: str
    weight: float
    share: float


@dataclass(frozen=True)
class Explanation:
    """One image in one stream. slot: -1 where it was not stored; replaced: the image it put out."""

    image: str
    label: str
    setting: str
    shots: int
    order_seed: int
    step: int
    images: int
    pseudo_label: str
    entropy: float
    slot: int
    replaced: str | None
    answers: list[Answer]
    neighbours: list[Neighbour]


@dataclass(frozen=True)
class Turn:
    """Whether text, dynamic memory and fusion were right in one order, and at which step."""

    order_seed: int
    step: int
    text: bool
    dynamic: bool
    fused: bool


@dataclass(frozen=True)
class Story:
    """An image in one order, and its turns in all of them."""

    explanation: Explanation
    orders: list[Turn]

    def to_json(self) -> dict[str, Any]:
        """Return the story as plain values."""
        return asdict(self.explanation) | {"orders": [asdict(turn) for turn in self.orders]}

    def shortened(self) -> Story:
        """Return the story with the most read neighbours only."""
        most = self.explanation.neighbours[:SHOWN]
        return replace(self, explanation=replace(self.explanation, neighbours=most))


def explain(experiment: Experiment, run: Run, row: int) -> Explanation:
    """Return what happened to a row of the test part in one run."""
    return explained(experiment, run, [row])[0]


def explained(experiment: Experiment, run: Run, rows: Sequence[int]) -> list[Explanation]:
    """Return what happened to some rows of the test part in one run, in the order given."""
    names, ids = experiment.data.class_names, experiment.data.test.ids
    step = {row: place for place, row in enumerate(run.order.tolist())}
    found = _replay(experiment, run, {int(row) for row in rows})
    return [
        Explanation(
            image=ids[row],
            label=names[run.labels[row]],
            setting=run.cell.setting,
            shots=run.cell.shots,
            order_seed=run.order_seed,
            step=step[row],
            images=len(run.order),
            pseudo_label=names[run.pseudo_label[row]],
            entropy=float(run.entropy[row]),
            slot=slot,
            replaced=None if replaced < 0 else ids[run.order[replaced]],
            answers=answers,
            neighbours=neighbours,
        )
        for row, (slot, replaced, answers, neighbours) in ((int(r), found[int(r)]) for r in rows)
    ]


Found = tuple[int, int, list[Answer], list[Neighbour]]


def _replay(experiment: Experiment, run: Run, asked: set[int]) -> dict[int, Found]:
    """Fill the network's memory as the stream did; return what each asked row met there.

    That is the slot that it took, the step that it put out (-1 for none), answers and neighbours.
    """
    import torch

    network = experiment.network
    network.reset()
    rows = run.order.tolist()
    rows = rows[: 1 + max(place for place, row in enumerate(rows) if row in asked)]
    x = _features(experiment, np.array(rows))
    entropy = torch.from_numpy(run.entropy).to(x.device, x.dtype)
    first = network.model.update_before_read
    found: dict[int, Found] = {}
    for place, row in enumerate(rows):
        image = x[place : place + 1]
        before = _read(experiment, run, row, image) if row in asked and not first else None
        slot, replaced = network.memory.update(image[0], int(run.pseudo_label[row]), entropy[row])
        if row in asked:
            found[row] = slot, replaced, *(before or _read(experiment, run, row, image))
    return found


def _features(experiment: Experiment, rows: np.ndarray) -> Tensor:
    """Return the plain views of some rows as the network sees them, unit [M, D]."""
    import torch

    from dmn.method.text import normalise

    model = experiment.network.model
    views = torch.from_numpy(np.asarray(experiment.data.test.views[rows, 0]))
    return normalise(views.to(model.device, model.dtype))


def _read(
    experiment: Experiment, run: Run, row: int, x: Tensor
) -> tuple[list[Answer], list[Neighbour]]:
    """Return the answers to an image x [1, D] and its neighbours, by the memory as it is now."""
    from dmn.method.text import text_probabilities

    network = experiment.network
    m = network.model
    text = text_probabilities(x, m.columns, m.classes, m.logit_scale).cpu().numpy()
    dynamic = network.read_dynamic(x).cpu().numpy()
    static = None if m.static is None else network.read_static(x).cpu().numpy()
    predictions = Predictions(text, dynamic, static)
    weights = network.attention(x)[0].cpu().numpy()
    answers = [_answer(run, kind, row, predictions, experiment.data) for kind in run.kinds()]
    return answers, _neighbours(experiment, run, row, weights)


def _answer(
    run: Run, kind: tuple[str, str], row: int, read: Predictions, data: StudyData
) -> Answer:
    component, weights = kind
    if component == "fused":
        scores = fusion.fuse(read.text, read.dynamic, read.static, run.weights[weights])[0]
    else:
        scores = getattr(read, component)[0]
    p, found, label = scores / scores.sum(), int(run.answers(*kind)[row]), int(run.labels[row])
    right = found == label
    return Answer(*kind, data.class_names[found], float(p[found]), float(p[label]), right)


def _neighbours(experiment: Experiment, run: Run, row: int, weights: np.ndarray) -> list[Neighbour]:
    """Return the slots of the answered class and of the label, the most read first.

    weights [C, L + F]: of all slots.
    """
    data, memory_ids = experiment.data, experiment.network.memory.ids
    found = []
    classes = dict.fromkeys([int(run.answers("dynamic")[row]), int(run.labels[row])])
    for c in classes:
        total = weights[c].sum()
        for slot in np.flatnonzero(weights[c] > 0).tolist():
            holds, true_class = _holds(data, run, memory_ids, c, slot)
            weight = float(weights[c, slot])
            share = weight / float(total)
            found.append(Neighbour(holds, data.class_names[c], true_class, weight, share))
    return sorted(found, key=lambda one: -one.weight)


def _holds(data: StudyData, run: Run, memory_ids: np.ndarray, c: int, slot: int) -> tuple[str, str]:
    """Return what a slot holds and its true class: a test image, the text, or a shot."""
    length = memory_ids.shape[1]
    if slot < length:
        row = int(run.order[memory_ids[c, slot]])
        return data.test.ids[row], data.class_names[int(run.labels[row])]
    fixed = slot - length
    return ("text" if not fixed else f"shot {fixed}"), data.class_names[c]


def turns(runs: Sequence[Run], row: int, fused: str = FUSED) -> list[Turn]:
    """Return where the image stood in each order and which predictions were right there."""
    return [
        Turn(
            run.order_seed,
            int(np.flatnonzero(run.order == row)[0]),
            *(bool(run.right(*kind)[row]) for kind in (TEXT, DYNAMIC, ("fused", fused))),
        )
        for run in runs
    ]


def turned(runs: Sequence[Run], most: int) -> dict[str, list[int]]:
    """Return the rows that the memory turned right, and wrong, against text, in the most orders."""
    before = runs[0].right(*TEXT)
    after = np.mean([run.right(*DYNAMIC) for run in runs], axis=0)
    found = {}
    for way, strength in (
        ("right", np.where(before, 0.0, after)),
        ("wrong", np.where(before, 1 - after, 0.0)),
    ):
        rows = np.argsort(-strength, kind="stable")[:most]
        found[way] = [int(row) for row in rows if strength[row] > 0]
    return found


def stories(experiment: Experiment, runs: Sequence[Run], rows: Sequence[int]) -> list[Story]:
    """Return the story of each row in the first order in which the memory turned it.

    Rows that no order turned are told in the first one.
    """
    by_run: dict[int, list[int]] = {}
    for row in rows:
        changed = [run.right(*DYNAMIC)[row] != run.right(*TEXT)[row] for run in runs]
        by_run.setdefault(int(np.argmax(changed)), []).append(row)
    found = {
        row: Story(one, turns(runs, row))
        for place, own in by_run.items()
        for row, one in zip(own, explained(experiment, runs[place], own), strict=True)
    }
    return [found[row] for row in rows]


def story_arrays(told: Sequence[Story], pictures: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return stories and their small pictures [h, w] or [h, w, 3] as arrays of a job's samples.

    The pictures of neighbours have half the size where that leaves enough to see.
    """
    short = [one.shortened().to_json() for one in told]
    own = [one["image"] for one in short if one["image"] in pictures]
    holds = dict.fromkeys(near["holds"] for one in short for near in one["neighbours"])
    near = [name for name in holds if name in pictures]
    text = json.dumps({"stories": short, "own": own, "near": near}, ensure_ascii=False)
    arrays = {STORIES: np.frombuffer(text.encode(), np.uint8)}
    if own:
        arrays[PICTURES] = _grey(np.stack([pictures[name] for name in own]))
    if near:
        arrays[NEAR] = _halved(_grey(np.stack([pictures[name] for name in near])))
    return arrays


def read_stories(
    arrays: Mapping[str, np.ndarray],
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Return what `story_arrays` kept: stories as plain values, and pictures by image.

    An image that is told has its own, larger picture. Nothing where a job told nothing.
    """
    if STORIES not in arrays:
        return [], {}
    kept = json.loads(np.asarray(arrays[STORIES]).tobytes())
    pictures = dict(zip(kept["near"], arrays.get(NEAR, ()), strict=True))
    return kept["stories"], pictures | dict(zip(kept["own"], arrays.get(PICTURES, ()), strict=True))


def _grey(pictures: np.ndarray) -> np.ndarray:
    """Return pictures [M, h, w, 3] without colours as [M, h, w]."""
    coloured = pictures.ndim == 4 and (pictures != pictures[..., :1]).any()
    return pictures if coloured or pictures.ndim == 3 else pictures[..., 0]


def _halved(pictures: np.ndarray) -> np.ndarray:
    """Return the means of 2 x 2 pixels of pictures [M, h, w, ...], where enough are left."""
    M, h, w, *colours = pictures.shape
    if min(h, w) < 2 * LEAST_SIDE or h % 2 or w % 2:
        return pictures
    blocks = pictures.reshape(M, h // 2, 2, w // 2, 2, *colours).astype(np.uint16)
    return ((blocks.sum(axis=(2, 4)) + 2) // 4).astype(np.uint8)
