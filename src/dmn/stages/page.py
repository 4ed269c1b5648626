"""page: gather the reports of all studies on one self-contained page."""

from __future__ import annotations

import argparse
from pathlib import Path

from dmn.report.page import read_facts, write_page
from dmn.report.summary import read_summary
from dmn.stages.arguments import add, add_files


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn stage page`."""
    add(parser, config="the resolved configuration (YAML)", out="page to write")
    add_files(parser, "summaries", "summary.json of each study")
    add_files(parser, "downloads", "manifest.json of each data set")


def main(arguments: argparse.Namespace) -> None:
    """Write the page."""
    summaries = [read_summary(file) for file in arguments.summaries]
    facts = read_facts(arguments.config, arguments.downloads)
    write_page(summaries, facts, Path(arguments.out))
