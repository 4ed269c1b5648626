"""The one command, `dmn`: a table of what it can do; a command is imported when it is asked for.

A command is a module with `main(arguments)` and, where it has options, `declare(parser)`; the
module's docstring is its help. `dmn --help` reads the table alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from dmn.errors import run_main

SHELLS = ("bash", "zsh", "fish", "tcsh")


@dataclass(frozen=True)
class Command:
    """One line of help, the module that does it, and the commands below it."""

    help: str
    module: str = ""
    commands: Mapping[str, Command] = field(default_factory=dict)


STAGES = {
    "download": Command("fetch one file of a data set", "dmn.stages.download"),
    "encoder": Command("pretrain the embedded CLIP, or fetch weights", "dmn.stages.encoder"),
    "splits": Command("lists of images, and the shots of a split seed", "dmn.stages.splits"),
    "features": Command("unit vectors of prompts and views", "dmn.stages.features"),
    "imported": Command("split and features that others published", "dmn.stages.imported"),
    "memory": Command("static memories of one split seed", "dmn.stages.memory"),
    "projection": Command("train projections on cached features", "dmn.stages.projection"),
    "evaluation": Command("measure one study over a group of orders", "dmn.stages.evaluation"),
    "reports": Command("tables and figures of one study", "dmn.stages.reports"),
    "page": Command("all studies on one page", "dmn.stages.page"),
    "manifest": Command("hash files, as sha256sum does", "dmn.pipeline.manifest"),
}
BENCHMARKS = {
    "calibrate": Command("measure this machine for dmn plan", "dmn.bench.calibrate"),
    "stream": Command("the exact stream against the plain loop", "dmn.bench.stream"),
    "extraction": Command("how busy extraction keeps the encoder", "dmn.bench.extraction"),
    "gpu": Command("all that a GPU is for, in one run", "dmn.bench.gpu"),
    "intervals": Command("how often intervals hold the truth", "dmn.bench.intervals"),
    "peers": Command("time and memory of every peer", "dmn.bench.peers"),
    "studies": Command("whole studies against a plain implementation", "dmn.bench.studies"),
    "warm": Command("compile the loops once (make setup does)", "dmn.bench.warm"),
}
AUDITS = {
    "lineage": Command("what made a file, back to the data", "dmn.audit.lineage"),
    "crate": Command("the run as a Workflow Run RO-Crate", "dmn.audit.crate"),
    "metrics": Command("accuracies for dvc metrics", "dmn.audit.runs.metrics"),
    "timeless": Command("take the clock out of Snakemake's records", "dmn.pipeline.timeless"),
}
COMMANDS = {
    "run": Command("make all reports, or the files that are named", "dmn.pipeline.run"),
    "plan": Command("what a run will download, store, compute and run", "dmn.costs.plan"),
    "new-dataset": Command(
        "make a folder of images a data set", "dmn.pipeline.new_dataset.command"
    ),
    "import": Command("make a folder of features a data set", "dmn.pipeline.new_dataset.importing"),
    "try": Command("a first experiment on one data set", "dmn.pipeline.first_steps"),
    "audit": Command("are the reports what code and data give?", "dmn.audit.audit", AUDITS),
    "explain": Command("why a test image got its answers", "dmn.pipeline.explanation"),
    "compare": Command("two runs, side by side", "dmn.audit.runs.command"),
    "published": Command("published numbers of other methods", "dmn.report.peers.published"),
    "config": Command("check a configuration, write it out whole", "dmn.pipeline.asked"),
    "bench": Command("measure this machine's speed, and the intervals", commands=BENCHMARKS),
    "stage": Command("one stage of the workflow, as its rules call it", commands=STAGES),
}


class Parser(argparse.ArgumentParser):
    """A parser that takes words between options too: `dmn run reports/main --cores 2 shots=[1]`."""

    _mixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse does, but collect positional words from all over the line."""
        # with commands below, the first word decides who reads the rest
        if self._mixing or self._subparsers is not None:
            return super().parse_known_args(args, namespace)
        self._mixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False


def build(words: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """Return the parser; only commands that stand in `words` are declared whole (None: all)."""
    top = Parser(prog="dmn", description="Dual Memory Networks (CVPR 2024).")
    below = _add(top, Command("", commands=COMMANDS), words)
    shell = below.add_parser(
        "completion",
        help="print the completion script of a shell",
        description=complete.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shell.add_argument("shell", choices=SHELLS, help="the shell's name")
    shell.set_defaults(main=complete)
    return top


def _add(parser: argparse.ArgumentParser, command: Command, words: Sequence[str] | None) -> Any:
    """Declare a command with all below it; return what more commands can be added to."""
    if command.module:
        module = import_module(command.module)
        parser.description = module.__doc__
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        if hasattr(module, "declare"):
            module.declare(parser)
        parser.set_defaults(main=module.main)
    if not command.commands:
        return None
    below = parser.add_subparsers(
        title="commands",
        metavar="[COMMAND]" if command.module else "COMMAND",
        required=not command.module,
    )
    for name, inner in command.commands.items():
        own = below.add_parser(name, help=inner.help, description=f"{inner.help}.")
        # nobody asked for it: its line of help is enough
        if words is None or name in words:
            _add(own, inner, words)
    return below


def complete(arguments: argparse.Namespace) -> None:
    """Print a completion script: of all commands, options and choices, and of file names.

    dmn completion bash > ~/.local/share/bash-completion/completions/dmn
    """
    import shtab

    parser = build()
    _complete_files(parser, {"FILE": shtab.FILE, "FOLDER": shtab.DIRECTORY})
    sys.stdout.write(shtab.complete(parser, arguments.shell) + "\n")


def _complete_files(parser: argparse.ArgumentParser, kinds: Mapping[str, Any]) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                _complete_files(inner, kinds)
        elif isinstance(action.metavar, str) and action.metavar in kinds:
            action.complete = kinds[action.metavar]  # type: ignore[attr-defined]


def main(words: Sequence[str] | None = None) -> None:
    """Run one command line; without words, the process's own."""
    words = sys.argv[1:] if words is None else words
    arguments = build(words).parse_args(words)
    run_main(lambda: arguments.main(arguments))
