"""Say where two runs differ first: keys of the configuration, then artifacts, phase by phase.

    dmn compare ../before .
    dmn compare ../before . --json difference.json
    dmn compare ../before . --accuracy accuracy.csv

A run is a folder with reports/all. Files differ where their listed hashes do; of each phase, the
first that differs is opened to say how. With --accuracy, the cells that both runs measured in the
study main are compared, too, paired by seeds and test images. Exit status: 0 the runs are the same,
1 they differ, 2 they cannot be compared.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from dmn.artifacts import write_json, write_rows
from dmn.audit.differences import difference
from dmn.audit.hashes import read_manifest
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
SHOWN = 20


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
    """Keys and files that differ between two runs, causes before effects.

    `first` says of each phase's first differing file how it differs.
    """

    keys: dict[str, tuple[object, object]]
    same: tuple[str, ...]
    differing: tuple[str, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    first: dict[str, str]

    @property
    def identical(self) -> bool:
        """Whether no key and no file differs."""
        return not (self.keys or self.differing or self.only_before or self.only_after)


def compare(before: Path, after: Path) -> Comparison:
    """Compare two runs by their configurations and by the hashes that their manifests list."""
    old, new = (
        read_yaml(run / paths.RUN_CONFIG, "the run's configuration") for run in (before, after)
    )
    was, now = read_manifest(before), read_manifest(after)
    both = chain_order([name for name in was if name in now])
    differing = [name for name in both if was[name] != now[name]]
    heads = (next(names) for _, names in groupby(differing, phase))
    gaps = {name: difference(before / name, after / name) for name in heads}
    return Comparison(
        keys={key: (a, b) for key, a, b in changed_keys(old, new)},
        same=tuple(name for name in both if was[name] == now[name]),
        differing=tuple(differing),
        only_before=tuple(chain_order([name for name in was if name not in now])),
        only_after=tuple(chain_order([name for name in now if name not in was])),
        first={
            name: gap.text if gap else "changed since it was listed" for name, gap in gaps.items()
        },
    )


def lines(found: Comparison) -> Iterator[str]:
    """Yield a comparison as lines for a person."""
    if found.identical:
        yield f"The same configuration and the same {len(found.same)} files."
        return
    yield f"{len(found.keys)} keys of the configuration differ"
    yield from (f"  {key}: {old} -> {new}" for key, (old, new) in found.keys.items())
    yield f"{len(found.same)} files are the same, {len(found.differing)} differ"
    yield from (f"  {name}: {how}" for name, how in found.first.items())
    for word, names in (("before", found.only_before), ("after", found.only_after)):
        if names:
            yield f"{len(names)} files are in the run {word} only"
            yield from (f"  {name}" for name in names[:SHOWN])
            yield from [f"  and {len(names) - SHOWN} more"] if len(names) > SHOWN else []


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn compare`."""
    parser.add_argument("before", metavar="FOLDER", help="one run")
    parser.add_argument("after", metavar="FOLDER", help="the other")
    parser.add_argument("--json", metavar="FILE", help="also write all that differs")
    parser.add_argument(
        "--accuracy", metavar="FILE", help="also compare accuracies, and write the table as CSV"
    )


def main(arguments: argparse.Namespace) -> None:
    """Compare two runs and print where they differ."""
    found = compare(Path(arguments.before), Path(arguments.after))
    sys.stdout.write("".join(f"{line}\n" for line in lines(found)))
    if arguments.json:
        write_json(arguments.json, asdict(found))
    if arguments.accuracy:
        from dmn.audit.runs.accuracy import change_words, changed_accuracy

        table, notes = changed_accuracy(Path(arguments.before), Path(arguments.after))
        write_rows(arguments.accuracy, table)
        sys.stdout.write("".join(f"{line}\n" for line in change_words(table, notes)))
    if not found.identical:
        raise SystemExit(1)
