"""Print what each job of a finished run took beside what the model of costs says.

    python -m development.costs --config config/satellite.yaml

Seconds are Snakemake's of the job's wall time, in benchmarks/: run on a quiet machine with as many
jobs as cores. Jobs of the embedded encoder's pretraining use two threads.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from dmn.costs.jobs import Costs, Job
from dmn.pipeline import paths
from dmn.pipeline.asked import Asked, add_configuration
from dmn.pipeline.targets import Targets


def evaluations(costs: Costs) -> Iterator[tuple[str, Job]]:
    """Yield the benchmark file and the estimate of each measuring job and report."""
    for study in costs.config.studies:
        for row in costs.targets.evaluation_rows(study):
            _, _, _, dataset, backbone, splits, orders = Path(row).with_suffix("").parts
            keys = {"dataset": dataset, "backbone": backbone}
            keys |= {"splits": splits.partition("=")[2], "orders": orders.partition("=")[2]}
            yield paths.beside(paths.BENCHMARK, row), costs.of("evaluate", study=study, **keys)
        yield f"benchmarks/reports/{study}.tsv", costs.of(f"report_{study}")


def main() -> None:
    """Print a table as CSV, and the ratio of the sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_configuration(parser)
    arguments = parser.parse_args()
    costs = Costs(Targets(Asked.read(arguments.config, arguments.changes).config()))
    rows = []
    for file, job in evaluations(costs):
        if Path(file).exists():
            found = pd.read_csv(file, sep="\t").iloc[0]
            rows.append(
                {"job": file, "seconds": found["s"], "model": job.cpu}
                | {"peak_mb": found["max_rss"], "model_mb": job.memory_mb}
            )
    table = pd.DataFrame(rows, columns=["job", "seconds", "model", "peak_mb", "model_mb"])
    sys.stdout.write(table.round(1).to_csv(index=False))
    if len(table):
        ratio = table["model"].sum() / table["seconds"].sum()
        sys.stderr.write(f"the model's sum is {ratio:.2f} times the measured one\n")


if __name__ == "__main__":
    main()
