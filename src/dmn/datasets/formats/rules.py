"""How a format names its files: rules from a file's name to the arrays that it holds.

A format is a module with TITLE, a line for people, and RULES; `dmn.datasets.formats.FORMATS` lists
them. Names are relative to the folder that a person drops in, with forward slashes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from dmn.errors import FeatureError

Role = Literal["features", "labels", "text"]
POOL = "all"
PARTS = ("train", "val", "test", POOL)
# what are the images to test, the first that is there
TESTED = ("test", POOL, "val")
IMAGES = "N D|N V D"
# a folder before the name: caches of several data sets lie side by side
FOLDER = r"(?:(?P<dataset>.+)/)?"
SUFFIX = r"\.(?:pt|pth|npy|npz|safetensors)"


@dataclass(frozen=True)
class Held:
    """One array of a file; `part` where the name has none, `keys` that it may have inside.

    `axes` of features in this project's letters, alternatives told apart by their number. Text is
    [C, D] or [D, C], told apart by D, unless its form says `axes`. Labels are integers or one-hot.
    """

    role: Role
    axes: str = ""
    part: str | None = None
    keys: tuple[str, ...] = ("",)


@dataclass(frozen=True)
class Rule:
    """Files whose name matches `pattern`, a regular expression, hold these arrays.

    Its groups may be: dataset, backbone, part, prompt (of text), shots (K; the most are taken).
    """

    pattern: str
    holds: tuple[Held, ...]

    @cached_property
    def expression(self) -> re.Pattern[str]:
        """Return the compiled pattern."""
        return re.compile(self.pattern)


@dataclass(frozen=True)
class Stored:
    """One array of a data set: the file's name, the names that it may have inside, its axes."""

    file: str
    keys: tuple[str, ...] = ("",)
    axes: str = ""
    shots: int = 0


@dataclass
class FeatureFiles:
    """Where the arrays of one backbone are: features and labels by part, text by prompt."""

    features: dict[str, Stored] = field(default_factory=dict)
    labels: dict[str, Stored] = field(default_factory=dict)
    text: dict[str, Stored] = field(default_factory=dict)
    clashes: list[str] = field(default_factory=list)

    @property
    def parts(self) -> list[str]:
        """Return the parts that have both features and labels."""
        return [part for part in PARTS if part in self.features and part in self.labels]

    def parts_in(self, names: Collection[str]) -> list[str]:
        """Return the parts whose files are among `names`."""
        stored = self.features, self.labels
        return [part for part in self.parts if all(s[part].file in names for s in stored)]

    def tested_in(self, names: Collection[str]) -> bool:
        """Say whether images to test are among the files `names`."""
        return bool(set(TESTED) & set(self.parts_in(names)))

    def files(self, prompt: str | None = None) -> list[str]:
        """Return the files of all parts, and of one prompt's text or of all."""
        found = [s.file for part in self.parts for s in (self.features[part], self.labels[part])]
        found += [s.file for name, s in self.text.items() if prompt in (None, name)]
        return list(dict.fromkeys(found))

    def add(self, role: Role, name: str, stored: Stored) -> None:
        """Record an array; of the same part with several K, the one with the most."""
        place: dict[str, Stored] = getattr(self, role)
        other = place.get(name)
        if other is not None and other.shots == stored.shots:
            self.clashes.append(f"{other.file} and {stored.file} are both {role} of {name}")
        if other is None or stored.shots > other.shots:
            place[name] = stored


# by data set and backbone
Found = dict[str, dict[str, FeatureFiles]]


def text_rule(owner: str = FOLDER) -> Rule:
    """Return the rule for text that lies beside, for formats whose programs do not save theirs.

    text.pt, text_features.pt, text_weights_cupl_t.pt, classifier.npy ..., [C, D] or [D, C].
    """
    kind = r"(?:text|classifier)(?:_(?:features|weights|classifier))?"
    held = Held("text", keys=("features", "text_features", "text", ""))
    return Rule(rf"{owner}{kind}(?:_(?P<prompt>[^/]+?))?{SUFFIX}", (held,))


def where(rules: Iterable[Rule], names: Iterable[str]) -> Found:
    """Return what is where, by data set and backbone ('' where the names tell none).

    Files that name no backbone serve every backbone of their data set.
    """
    rules = tuple(rules)
    found: Found = {}
    for name in sorted(names):
        for dataset, backbone, role, key, stored in _matches(rules, name):
            by_backbone = found.setdefault(dataset, {})
            by_backbone.setdefault(backbone, FeatureFiles()).add(role, key, stored)
    shared = {dataset: _shared(by_backbone) for dataset, by_backbone in found.items()}
    whole = {d: {b: x for b, x in by.items() if x.parts} for d, by in shared.items()}
    return {dataset: by_backbone for dataset, by_backbone in whole.items() if by_backbone}


def check_clashes(found: Found) -> None:
    """Refuse two files that say they are the same part of the same data set and backbone."""
    for by_backbone in found.values():
        for layout in by_backbone.values():
            if layout.clashes:
                raise FeatureError(
                    f"{layout.clashes[0]}; name the folder of one data set and give each "
                    "backbone's files a folder of their own"
                )


def _matches(rules: tuple[Rule, ...], name: str) -> Iterator[tuple[str, str, Role, str, Stored]]:
    """Yield the arrays of one file, by the first rule that its name matches."""
    for rule in rules:
        if match := rule.expression.fullmatch(name):
            found = {key: value for key, value in match.groupdict().items() if value}
            shots = int(found.get("shots", 0))
            for held in rule.holds:
                key = held.part or found.get("part") or ""
                if held.role == "text":
                    key = found.get("prompt") or "text"
                stored = Stored(name, held.keys, held.axes, shots)
                backbone = backbone_name(found.get("backbone", ""))
                yield found.get("dataset", ""), backbone, held.role, key, stored
            return


def backbone_name(text: str) -> str:
    """Return a backbone's name as file names and wildcards take it."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)


def _shared(by_backbone: Mapping[str, FeatureFiles]) -> dict[str, FeatureFiles]:
    """Give what no backbone is named for to each that is."""
    common = by_backbone.get("")
    named = {name: layout for name, layout in by_backbone.items() if name}
    if common is None or not named:
        return dict(by_backbone)
    for layout in named.values():
        layout.features = common.features | layout.features
        layout.labels = common.labels | layout.labels
        layout.text = common.text | layout.text
    return named
