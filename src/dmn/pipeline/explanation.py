"""Why a test image got its answers: its moment in the stream, and the memory as it was then.

    dmn explain test/0012.png
    dmn explain 12 --dataset digits --setting training_free --shots 16 --order 3

The image is named by its id, or by the row of the test part. Everything follows from the features:
the stream runs up to the image, so that its slot, the image that it replaced, and the neighbours
that the memory held that moment can be told, with their weights and true classes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dmn.config import Config
from dmn.errors import ConfigError, nearest
from dmn.method.choices import SETTINGS
from dmn.pipeline import first_steps
from dmn.seeds import given_seeds

if TYPE_CHECKING:
    from rich.console import Console

    from dmn.evaluation.contract import Cell, StudyData
    from dmn.evaluation.experiment import Experiment
    from dmn.evaluation.run import Run

SHOWN = 10  # neighbours


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


def find_row(name: str, ids: Sequence[str]) -> int:
    """Return the row of an image by id, the end of an id, or row. ConfigError names the nearest."""
    if name in ids:
        return list(ids).index(name)
    if name.isdecimal() and int(name) < len(ids):
        return int(name)
    ending = [row for row, own in enumerate(ids) if own.endswith(f"/{name}")]
    if len(ending) == 1:
        return ending[0]
    if len(ending) > 1:
        raise ConfigError(f"{len(ending)} test images end in {name!r}, such as {ids[ending[0]]}")
    if name.isdecimal():
        raise ConfigError(f"there is no row {name}; the test part has {len(ids)} images")
    close = nearest(name, ids).partition(" known:")[0]
    raise ConfigError(f"no test image {name!r}; {close if close.startswith('did') else ids[0]}")


def explain(experiment: Experiment, run: Run, row: int) -> Explanation:
    """Return what happened to a row of the test part in one run, which keeps all scores."""
    data = experiment.data
    step = int(np.flatnonzero(run.order == row)[0])
    slot, replaced = _replay(experiment, run, step)
    names, ids = data.class_names, data.test.ids
    return Explanation(
        image=ids[row],
        label=names[run.labels[row]],
        setting=run.cell.setting,
        shots=run.cell.shots,
        order_seed=run.order_seed,
        step=step,
        images=len(run.order),
        pseudo_label=names[run.pseudo_label[row]],
        entropy=float(run.entropy[row]),
        slot=slot,
        replaced=None if replaced < 0 else ids[run.order[replaced]],
        answers=[_answer(run, kind, row, names) for kind in run.kinds()],
        neighbours=_neighbours(experiment, run, row),
    )


def _answer(run: Run, kind: tuple[str, str], row: int, names: Sequence[str]) -> Answer:
    scores = run.scores(*kind)[row]
    p, found = scores / scores.sum(), int(run.answers(*kind)[row])
    label = int(run.labels[row])
    return Answer(*kind, names[found], float(p[found]), float(p[label]), found == label)


def _features(experiment: Experiment, rows: np.ndarray) -> Any:
    """Return the plain views of some rows as the network sees them, unit [M, D]."""
    import torch

    from dmn.method.text import normalise

    model = experiment.network.model
    views = torch.from_numpy(np.asarray(experiment.data.test.views[rows, 0]))
    return normalise(views.to(model.device, model.dtype))


def _replay(experiment: Experiment, run: Run, step: int) -> tuple[int, int]:
    """Fill the network's memory as the image met it; return its slot and the step it replaced."""
    import torch

    network = experiment.network
    network.reset()
    rows = run.order[: step + 1]
    x = _features(experiment, rows)
    entropy = torch.from_numpy(run.entropy).to(x.device, x.dtype)
    written = (-1, -1)
    for place, row in enumerate(rows.tolist()):
        if place == step and not network.model.update_before_read:
            break
        written = network.memory.update(x[place], int(run.pseudo_label[row]), entropy[row])
    return written


def _neighbours(experiment: Experiment, run: Run, row: int) -> list[Neighbour]:
    """Return the slots of the answered class and of the label, the most read first."""
    data, network = experiment.data, experiment.network
    weights = network.attention(_features(experiment, np.array([row])))[0].cpu().numpy()
    memory_ids = network.memory.ids
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


def turns(runs: Sequence[Run], row: int, fusion: str) -> list[Turn]:
    """Return where the image stood in each order and which predictions were right there."""
    return [
        Turn(
            run.order_seed,
            int(np.flatnonzero(run.order == row)[0]),
            *(bool(run.right(*kind)[row]) for kind in (TEXT, DYNAMIC, ("fused", fusion))),
        )
        for run in runs
    ]


TEXT, DYNAMIC = ("text", "none"), ("dynamic", "none")


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn explain`."""
    parser.add_argument("image", help="id of a test image, the end of one, or its row")
    first_steps.declare_data(parser)
    parser.add_argument(
        "--setting", choices=SETTINGS[:2], default="zero_shot", help="of the memory (zero_shot)"
    )
    parser.add_argument("--order", type=int, default=0, help="order seed that is shown (0)")
    parser.add_argument("--orders", default="0-9", help="order seeds that are compared (0-9)")
    parser.add_argument("--json", action="store_true", help="print JSON, not tables")


def main(arguments: argparse.Namespace) -> None:
    """Make the features, run the stream to the image, and print what happened to it."""
    seeds = list(dict.fromkeys([arguments.order, *given_seeds("--orders", arguments.orders)]))
    data, config, shots = first_steps.prepared(arguments)

    from dmn.evaluation.contract import Cell

    cell = Cell("zero_shot") if arguments.setting == "zero_shot" else Cell("training_free", shots)
    if cell.shots and not data.memories:
        raise ConfigError(f"{data.dataset} has no training images; ask for --setting zero_shot")
    row = find_row(arguments.image, data.test.ids)
    found, others = looked_into(data, config, cell, row, seeds)
    if arguments.json:
        told = asdict(found) | {"orders": [asdict(turn) for turn in others]}
        sys.stdout.write(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
        return
    from rich.console import Console

    show(Console(width=None if sys.stdout.isatty() else 110), found, others)


def looked_into(
    data: StudyData, config: Config, cell: Cell, row: int, seeds: Sequence[int]
) -> tuple[Explanation, list[Turn]]:
    """Return the explanation in the first order, and the image's turns in all of them."""
    from dmn.evaluation.experiment import Experiment

    experiment = Experiment(data, config, cell, ("fixed", "label_free"), whole=True)
    runs = experiment.runs(seeds)
    return explain(experiment, runs[0], row), turns(runs, row, "label_free")


def show(console: Console, found: Explanation, others: Sequence[Turn]) -> None:
    """Print an explanation: the moment, the answers, the neighbours, the other orders."""
    from rich.markup import escape
    from rich.table import Table

    from dmn.report.words import words

    cell = words(found.setting) + (f" with {found.shots} shots" if found.shots else "")
    stored = (
        "It was not stored: its class was full of more certain images."
        if found.slot < 0
        else f"It was stored in slot {found.slot}"
        + (f", in place of {found.replaced}." if found.replaced else ".")
    )
    console.print(
        f"{escape(found.image)}, a {escape(found.label)}, {cell}, order {found.order_seed}: image "
        f"{found.step + 1} of {found.images}.\nText took it for {escape(found.pseudo_label)}, with "
        f"an entropy of {found.entropy:.3f} nats. {escape(stored)}",
        soft_wrap=True,
    )
    table = Table("prediction", "answer", "probability", "of the label", "")
    for one in found.answers:
        name = words(one.component) + ("" if one.weights == "none" else f", {words(one.weights)}")
        numbers = (f"{one.probability:.4f}", f"{one.of_label:.4f}")
        table.add_row(name, escape(one.answer), *numbers, "right" if one.right else "wrong")
    console.print(table)
    table = Table("slot", "filed under", "true class", "weight", "share of its class")
    for near in found.neighbours[:SHOWN]:
        texts = (escape(near.holds), escape(near.filed_under), escape(near.true_class))
        table.add_row(*texts, f"{near.weight:.4f}", f"{100 * near.share:.1f}%")
    if (rest := len(found.neighbours) - SHOWN) > 0:
        table.caption = f"and {rest} more slots of the answered class and of the label"
    console.print(table)
    counts = {
        name: sum(getattr(turn, name) for turn in others) for name in ("text", "dynamic", "fused")
    }
    told = ", ".join(f"{words(name)} {count}" for name, count in counts.items())
    console.print(f"Right in so many of {len(others)} orders: {told}.")
    changed = [turn for turn in others if turn.dynamic != turn.text]
    if changed:
        places = ", ".join(
            f"order {t.order_seed} (image {t.step + 1}, {'to right' if t.dynamic else 'to wrong'})"
            for t in changed
        )
        console.print(f"The dynamic memory turned it in {places}.", soft_wrap=True)
