"""Why a test image got its answers: its moment in the stream, and the memory as it was then.

    dmn explain test/0012.png
    dmn explain 12 --dataset digits --setting training_free --shots 16 --order 3

The image is named by its id, or by the row of the test part; what happened to it is told by
`dmn.evaluation.explanation`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dmn.config import Config
from dmn.errors import ConfigError, nearest
from dmn.evaluation.explanation import SHOWN, Explanation, Story, Turn, explain, turns
from dmn.method.choices import SETTINGS
from dmn.pipeline import first_steps
from dmn.seeds import given_seeds

if TYPE_CHECKING:
    from rich.console import Console

    from dmn.evaluation.contract import Cell, StudyData


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
        told = json.dumps(Story(found, others).to_json(), indent=1, ensure_ascii=False)
        sys.stdout.write(f"{told}\n")
        return
    from rich.console import Console

    show(Console(width=None if sys.stdout.isatty() else 110), found, others)


def looked_into(
    data: StudyData, config: Config, cell: Cell, row: int, seeds: Sequence[int]
) -> tuple[Explanation, list[Turn]]:
    """Return the explanation in the first order, and the image's turns in all of them."""
    from dmn.evaluation.experiment import Experiment

    experiment = Experiment(data, config, cell, ("fixed", "label_free"))
    runs = experiment.runs(seeds)
    return explain(experiment, runs[0], row), turns(runs, row)


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
