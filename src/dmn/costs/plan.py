"""What a configuration will download, store, compute and run, before any of it happens.

    dmn plan --config config/paper.yaml datasets='[dtd, imagenet_a]' --cores 8

Sizes are the registry's, or those of the files that are there; jobs are counted by a dry run of
Snakemake. CPU time and memory come from a model of the work of each job and a few rates of the
machine: `dmn bench calibrate` measures yours.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from rich.console import Console
from rich.table import Table

from dmn.config import Config
from dmn.costs.jobs import Costs
from dmn.costs.machine import DOCUMENTED
from dmn.costs.schedule import phases, wall_seconds
from dmn.costs.sizes import dimension
from dmn.datasets.registry import COMPRESSED, RemoteFile
from dmn.durations import duration
from dmn.errors import ConfigError
from dmn.pipeline.asked import Asked, add_configuration
from dmn.pipeline.run import count_jobs, in_words
from dmn.pipeline.runs.home import CONFIG, holding, in_place, top_of
from dmn.pipeline.targets import Targets
from dmn.seeds import all_seeds

BROUGHT = "you bring it"
FLOAT16 = 2
IMAGES_PER_SECOND = 500.0
TOTALS = ("download_bytes", "brought_bytes", "disk_bytes", "feature_bytes", "encoded_images")


@dataclass(frozen=True)
class FilePlan:
    """One file: where it comes from, and its size as far as the registry knows it."""

    dataset: str
    file: str
    bytes: int
    source: str


@dataclass(frozen=True)
class DatasetPlan:
    """One data set: bytes of files and features, and how many views its encoders see.

    `disk_bytes` are the archives and the expanded copies of compressed tars.
    """

    dataset: str
    test_images: int
    download_bytes: int
    brought_bytes: int
    disk_bytes: int
    feature_bytes: int
    encoded_images: int


def source_of(file: RemoteFile, kind: str) -> str:
    """Return a file's first home, or that the user brings it."""
    if kind == "digits":
        return "scikit-learn"
    return str(urlparse(file.urls[0]).hostname) if file.urls else BROUGHT


def file_plans(targets: Targets) -> list[FilePlan]:
    """Return the files that the configuration reads."""
    return [
        FilePlan(name, file.name, file.expected_bytes, source_of(file, entry.kind))
        for name, entry in targets.entries.items()
        for file in targets.files(name)
    ]


def view_counts(targets: Targets, dataset: str) -> Iterator[int]:
    """Yield images times views of each part that one backbone encodes."""
    config, entry = targets.config, targets.entries[dataset]
    test = (entry.sizes.test or 0) * config.views.test
    yield test
    if any("shifts" in targets.needs(study) for study in config.studies):
        yield test * len(config.corruptions.kinds) * len(config.corruptions.severities)
    if targets.few_shot(dataset):
        drawn = entry.classes * len(all_seeds(config.seeds.split))
        yield drawn * max(config.shots) * config.views.train
        yield drawn * config.splits.validation_shots * config.views.test


def dataset_plan(targets: Targets, dataset: str) -> DatasetPlan:
    """Return the plan of one data set over all backbones."""
    config, entry = targets.config, targets.entries[dataset]
    files = targets.files(dataset)
    views = sum(view_counts(targets, dataset))
    dimensions = []
    # those that come as features are nearly as large as their files
    feature_bytes = sum(f.expected_bytes for f in files)
    if targets.has_images(dataset):
        dimensions = [dimension(config, entry, backbone) for backbone in targets.backbones[dataset]]
        feature_bytes = sum((views + entry.classes) * d * FLOAT16 for d in dimensions)
    expanded = [f for f in files if f.role == "archive" and f.name.endswith(COMPRESSED)]
    return DatasetPlan(
        dataset=dataset,
        test_images=entry.sizes.test or 0,
        download_bytes=sum(f.expected_bytes for f in files if f.urls),
        brought_bytes=sum(f.expected_bytes for f in files if source_of(f, entry.kind) == BROUGHT),
        disk_bytes=sum(f.expected_bytes for f in [*files, *expanded]),
        feature_bytes=feature_bytes,
        encoded_images=views * len(dimensions),
    )


def plan(
    config: Config, rate: float = IMAGES_PER_SECOND, cores: int | None = None
) -> dict[str, Any]:
    """Return the whole plan but for the jobs still to run.

    rate: views a second of one GPU; cores: that the jobs share, all of the machine by default.
    """
    targets = Targets(config)
    targets.check_present()
    cores = cores or os.cpu_count() or 1
    costs = Costs(targets)
    jobs = list(costs.all())
    datasets = [asdict(dataset_plan(targets, name)) for name in config.datasets]
    totals = {key: sum(row[key] for row in datasets) for key in TOTALS}
    return {
        "datasets": datasets,
        "files": [asdict(file) for file in file_plans(targets)],
        "totals": totals,
        "images_per_second": rate,
        "encoder_hours": round(sum(job.encoded for job in jobs) / rate / 3600, 2),
        "phases": [asdict(phase) for phase in phases(jobs)],
        "cores": cores,
        "wall_seconds": round(wall_seconds(jobs, cores), 1),
        "machine": costs.machine.name,
        "calibrated": costs.machine is not DOCUMENTED,
    }


def amount(count: int) -> str:
    """Return bytes for people.

    >>> amount(147897477120)
    '147.9 GB'
    """
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1000:.0f} kB" if count else "-"


def show_costs(console: Console, found: dict[str, Any]) -> None:
    """Print what each phase and study takes, and how long all of it lasts."""
    table = Table("phase or study", "jobs", "CPU time", "longest job", "memory", "disk")
    table.title = "Jobs, as if nothing were there yet"
    for row in found["phases"]:
        times = duration(row["cpu_seconds"]), duration(row["longest_seconds"])
        sizes = amount(round(row["memory_mb"] * 1e6)), amount(round(row["disk_bytes"]))
        table.add_row(row["phase"], f"{row['jobs']:,}", *times, *sizes)
    console.print(table)
    measured = "measured by dmn bench calibrate"
    documented = "the documented one; for yours: dmn bench calibrate"
    console.print(
        f"All jobs: {duration(found['wall_seconds'])} on {found['cores']} cores, and what encoders "
        "take on a GPU; streams and training are reckoned on cores. "
        f"Machine: {found['machine']} ({measured if found['calibrated'] else documented})."
    )


def show(found: dict[str, Any], manual: str) -> None:
    """Print the plan as tables."""
    console = Console(width=None if sys.stdout.isatty() else 110)
    files = Table("data set", "file", "size", "source", title="Files")
    for row in found["files"]:
        files.add_row(row["dataset"], row["file"], amount(row["bytes"]), row["source"])
    heads = ("data set", "test images", "download", "you bring", "on disk", "features", "encoded")
    sets = Table(*heads, title="Data sets")
    for row in [*found["datasets"], {"dataset": "all", "test_images": 0, **found["totals"]}]:
        sizes = [amount(row[key]) for key in TOTALS[:-1]]
        images = f"{row['test_images']:,}" if row["test_images"] else ""
        sets.add_row(row["dataset"], images, *sizes, f"{row['encoded_images']:,}")
    console.print(files, sets)
    console.print(
        f"Encoders: {found['encoder_hours']:g} GPU hours at {found['images_per_second']:g} views "
        "a second (measure yours: dmn bench extraction)."
    )
    show_costs(console, found)
    if any(row["source"] == BROUGHT for row in found["files"]):
        console.print(f"Files that you bring go to {manual}/<data set>/.")
    if "jobs_by_rule" in found:
        console.print(in_words(found["jobs_by_rule"]))


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn plan`."""
    add_configuration(parser)
    parser.add_argument(
        "--images-per-second",
        type=float,
        default=IMAGES_PER_SECOND,
        help="views that one GPU encodes (default: %(default)g, float32)",
    )
    parser.add_argument("--cores", type=int, help="that jobs share (default: all)")
    parser.add_argument("--json", action="store_true", help="print JSON, not tables")
    parser.add_argument("--no-jobs", action="store_true", help="leave Snakemake's dry run out")


def main(arguments: argparse.Namespace) -> None:
    """Print the plan of a configuration."""
    if arguments.images_per_second <= 0:
        raise ConfigError(f"--images-per-second is {arguments.images_per_second:g}; give above 0")
    if arguments.cores is not None and arguments.cores < 1:
        raise ConfigError(f"--cores is {arguments.cores}; give 1 or more")
    here = Path.cwd()
    wanted = in_place(Asked.read(arguments.config, arguments.changes), here)
    config = wanted.config()
    found = plan(config, arguments.images_per_second, arguments.cores)
    if not arguments.no_jobs:
        there = holding(top_of(here), config)
        found["jobs_by_rule"] = count_jobs(Asked(CONFIG) if there else wanted, folder=there)
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
    else:
        show(found, config.download.manual)
