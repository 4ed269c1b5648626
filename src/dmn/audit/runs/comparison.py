"""What differs between two runs: keys, surroundings, and files, causes before effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from dmn.audit.differences import difference
from dmn.audit.hashes import read_manifest
from dmn.audit.records import read_records
from dmn.audit.runs.sides import Side
from dmn.audit.runs.surroundings import Differences, cause, surroundings
from dmn.pipeline import paths
from dmn.pipeline.runs.home import changed_keys
from dmn.schema import read_yaml

PHASES = (
    "download",
    "encoder",
    "splits",
    "features",
    "memory",
    "projection",
    "evaluation",
    "reports",
)


def phase(name: str) -> str:
    """Return the phase that a file belongs to.

    >>> phase("data/features/digits/glyph/text.safetensors"), phase("reports/all")
    ('features', 'reports')
    """
    first, _, rest = name.partition("/")
    return rest.partition("/")[0] if first == paths.DATA else first


def chain_order(names: Sequence[str]) -> list[str]:
    """Return files in the order of the phases that make them; a manifest after what it lists."""
    return sorted(names, key=lambda name: (PHASES.index(phase(name)), name == paths.MANIFEST, name))


@dataclass(frozen=True)
class Comparison:
    """Keys, surroundings and files that differ between two runs, causes before effects.

    `first` says of each phase's first differing file how it differs, `cause` of the very first why.
    """

    keys: dict[str, tuple[object, object]]
    same: tuple[str, ...]
    differing: tuple[str, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    first: dict[str, str]
    cause: str = ""
    surroundings: dict[str, Differences] = field(default_factory=dict)

    @property
    def identical(self) -> bool:
        """Whether no key and no file differs."""
        return not (self.keys or self.differing or self.only_before or self.only_after)


def compare(before: Side, after: Side) -> Comparison:
    """Compare two runs by their configurations, records and the hashes that they list."""
    a, b = before.folder, after.folder
    old, new = (read_yaml(run / paths.RUN_CONFIG, "the run's configuration") for run in (a, b))
    was, now = read_manifest(a), read_manifest(b)
    both = chain_order([name for name in was if name in now])
    differing = [name for name in both if was[name] != now[name]]
    heads = [next(names) for _, names in groupby(differing, phase)]
    for side in (before, after):
        side.bring([*heads, paths.fill(paths.STUDY_TABLE, study="main")])
    gaps = {name: difference(a / name, b / name) for name in heads}
    made = read_records(a), read_records(b)
    return Comparison(
        keys={key: (a, b) for key, a, b in changed_keys(old, new)},
        same=tuple(name for name in both if was[name] == now[name]),
        differing=tuple(differing),
        only_before=tuple(chain_order([name for name in was if name not in now])),
        only_after=tuple(chain_order([name for name in now if name not in was])),
        first={
            name: gap.text if gap else "changed since it was listed" for name, gap in gaps.items()
        },
        cause=cause(*(records.get(heads[0]) for records in made)) if heads else "",
        surroundings=surroundings(a, b, *made),
    )
