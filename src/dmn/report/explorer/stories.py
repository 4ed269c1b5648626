"""The stories of turned images: read from the jobs' samples, and as the page's script draws them.

`dmn.evaluation.explanation` found them; nothing is computed here.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from dmn.evaluation.explanation import read_stories
from dmn.report.summary import Drawing, Stories
from dmn.report.words import words

FOLDER = Path(__file__).parent
DIGITS = 4  # of probabilities, weights and shares
# in the order in which the script takes them apart
ANSWER = ("answer", "probability", "of_label", "right")
NEAR = ("holds", "filed_under", "true_class", "weight", "share")
TURN = ("order_seed", "step", "text", "dynamic", "fused")
MOMENT = ("image", "label", "order_seed", "step", "images", "pseudo_label", "entropy", "slot")


@dataclass(frozen=True)
class Item:
    """One line of the list: where its story lies in the data, and what it says without a script."""

    id: str
    dataset: str
    backbone: str
    image: str
    text: str


def gathered(samples: Mapping[Any, Mapping[str, np.ndarray]]) -> list[Stories]:
    """Return the stories of each data set and backbone, of its first job that told any."""
    found: dict[tuple[str, str], Stories] = {}
    for (dataset, backbone, split, *_), arrays in samples.items():
        told, pictures = read_stories(arrays)
        if told and (dataset, backbone) not in found:
            shown = {name: _webp(picture) for name, picture in pictures.items()}
            place = {"dataset": dataset, "backbone": backbone, "split": int(split)}
            found[dataset, backbone] = Stories(**place, told=told, pictures=shown)
    return list(found.values())


def _webp(picture: np.ndarray) -> str:
    """Return a picture [h, w] or [h, w, 3] as WebP in base64: a third of PNG."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(picture).convert("RGB").save(buffer, format="WEBP", quality=60)
    return base64.b64encode(buffer.getvalue()).decode()


def items(drawing: Drawing) -> list[Item]:
    """Return the lines of a figure's list, in the order of its stories."""
    found = []
    for place in drawing.stories:
        for slug, story in zip(_slugs(place), place.told, strict=True):
            text, dynamic = (answer["answer"] for answer in story["answers"][:2])
            ways = ("wrong", "right") if story["answers"][0]["right"] else ("right", "wrong")
            turned = sum(turn["dynamic"] != turn["text"] for turn in story["orders"])
            found.append(
                Item(
                    slug,
                    place.dataset,
                    place.backbone,
                    story["image"],
                    f"{story['label']}: text {text}, memory {dynamic}; turned {ways[0]} in "
                    f"{turned} of {len(story['orders'])} orders",
                )
            )
    return found


def _slugs(place: Stories) -> Iterator[str]:
    """Yield what each story is called in addresses, all different."""
    taken: dict[str, int] = {}
    for story in place.told:
        name = f"sample-{place.dataset}-{place.backbone}-{story['image']}"
        slug = re.sub(r"[^A-Za-z0-9_-]+", "-", name)
        before = taken.setdefault(slug, 0)
        taken[slug] += 1
        yield f"{slug}-{before}" if before else slug


def data(drawing: Drawing) -> list[dict[str, Any]]:
    """Return the stories of a figure as short lists, each fact in the order of its names above."""
    return [
        {
            "place": [place.dataset, place.backbone, place.split],
            "told": [
                [slug, *_story(place, story)]
                for slug, story in zip(_slugs(place), place.told, strict=True)
            ],
            "pictures": place.pictures,
        }
        for place in drawing.stories
    ]


def _story(place: Stories, story: Mapping[str, Any]) -> Iterator[Any]:
    shots = f" with {story['shots']} shots" if story["shots"] else ""
    options = f" --setting {story['setting']} --shots {story['shots']}" if shots else ""
    options += f" --split {place.split}" if place.split else ""
    yield words(story["setting"]).capitalize() + shots
    yield options
    yield _short(story, MOMENT)
    yield story["replaced"]
    yield [[_called(one), *_short(one, ANSWER)] for one in story["answers"]]
    yield [_short(one, NEAR) for one in story["neighbours"]]
    yield [_short(one, TURN) for one in story["orders"]]


def _called(answer: Mapping[str, Any]) -> str:
    weights = answer["weights"]
    return words(answer["component"]) + ("" if weights == "none" else f", {words(weights)}")


def _short(values: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    """Return named values: numbers rounded, yes and no as 1 and 0."""
    found = []
    for name in names:
        value = values[name]
        if isinstance(value, bool):
            value = int(value)
        elif isinstance(value, float):
            value = round(value, DIGITS) + 0.0  # no zero has a sign
        found.append(value)
    return found


def embedded(drawings: Sequence[Drawing]) -> str:
    """Return the stories of all figures as JSON that can stand in a script element."""
    told = [place for drawing in drawings for place in data(drawing)]
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def part(suffix: str) -> str:
    """Return the explorer's own style or script."""
    return (FOLDER / f"stories.{suffix}").read_text(encoding="utf-8")
