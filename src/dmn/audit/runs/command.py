"""Two runs side by side: what differs in configuration, surroundings, files and accuracy.

    dmn compare demo satellite
    dmn compare ../colleague . --out comparison
    dmn compare HEAD~1 demo                         as DVC recorded it in a revision
    dmn compare v1.0:satellite satellite

A run is a folder with reports/all, the name of a run here, or REVISION[:NAME]. Files differ where
their listed hashes do; of each phase, the first that differs is opened to say how, and the very
first also why. Cells that both runs measured in the study main are paired by seeds and test images.
--out writes a page, index.html, and the tables as CSV. Exit status: 0 the runs are the same, 1 they
differ, 2 they cannot be compared.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from dmn.artifacts import write_json, write_rows
from dmn.audit.runs import accuracy, page
from dmn.audit.runs.comparison import Comparison, compare
from dmn.audit.runs.sides import Side, find_side
from dmn.errors import ArtifactError
from dmn.report.words import counted

SHOWN = 20


def lines(found: Comparison) -> Iterator[str]:
    """Yield a comparison as lines for a person."""
    if found.identical:
        yield f"The same configuration and the same {counted(len(found.same), 'files')}."
    else:
        yield f"{counted(len(found.keys), 'keys')} of the configuration {_differ(len(found.keys))}"
        yield from (f"  {key}: {old} -> {new}" for key, (old, new) in found.keys.items())
    for kind, changes in found.surroundings.items():
        if changes:
            yield f"{counted(len(changes), f'{kind}s')} {_differ(len(changes))}"
            shown = list(changes.items())[:SHOWN]
            yield from (
                f"  {name}: {old or 'none'} -> {new or 'none'}" for name, (old, new) in shown
            )
            yield from _more(len(changes))
    if found.identical:
        return
    same = f"{counted(len(found.same), 'files')} {_differ(len(found.same), 'is', 'are')} the same"
    yield f"{same}, {len(found.differing)} {_differ(len(found.differing))}"
    for place, (name, how) in enumerate(found.first.items()):
        yield f"  {name}: {how}" + (f" ({found.cause})" if not place and found.cause else "")
    for word, names in (("before", found.only_before), ("after", found.only_after)):
        if names:
            count = counted(len(names), "files")
            yield f"{count} {_differ(len(names), 'is', 'are')} in the run {word} only"
            yield from (f"  {name}" for name in names[:SHOWN])
            yield from _more(len(names))


def _differ(count: int, one: str = "differs", many: str = "differ") -> str:
    return one if count == 1 else many


def _more(count: int) -> Iterator[str]:
    if count > SHOWN:
        yield f"  and {count - SHOWN} more"


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn compare`."""
    run = "a folder, the name of a run here, or REVISION[:NAME]"
    parser.add_argument("before", metavar="RUN", help=run)
    parser.add_argument("after", metavar="RUN", help="the other")
    parser.add_argument("--out", metavar="FOLDER", help="write a page and the tables as CSV")
    parser.add_argument("--json", metavar="FILE", help="also write all that differs")
    parser.add_argument("--accuracy", metavar="FILE", help="also write the accuracies as CSV")


def main(arguments: argparse.Namespace) -> None:
    """Compare two runs and print where they differ."""
    with tempfile.TemporaryDirectory(prefix="dmn-compare-") as scratch:
        before, after = (find_side(w, Path(scratch)) for w in (arguments.before, arguments.after))
        found = compare(before, after)
        sys.stdout.write("".join(f"{line}\n" for line in lines(found)))
        _accuracies(before, after, found, arguments)
    if arguments.json:
        write_json(arguments.json, asdict(found))
    if not found.identical:
        raise SystemExit(1)


def _accuracies(
    before: Side, after: Side, found: Comparison, arguments: argparse.Namespace
) -> None:
    """Print what changed in accuracy, and write the tables and the page that are asked for."""
    try:
        table, notes = accuracy.changed_accuracy(before, after)
    except ArtifactError as error:
        if arguments.accuracy:
            raise
        table, notes = accuracy.nothing(), [str(error)]
    sentences = accuracy.change_words(table, notes)
    sys.stdout.write("".join(f"{line}\n" for line in sentences))
    if arguments.accuracy:
        write_rows(arguments.accuracy, table)
    if arguments.out:
        out = Path(arguments.out)
        write_rows(out / "accuracy.csv", table)
        write_rows(out / "differences.csv", page.rows(found))
        page.write(out / "index.html", (before.label, after.label), found, table, sentences)
        sys.stdout.write(f"All of it: {out / 'index.html'}\n")
