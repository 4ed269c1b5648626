"""Each job of a configuration with its CPU seconds, peak memory and disk, from the model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, product
from statistics import mean
from typing import Any

from dmn.costs import memory
from dmn.costs.machine import Machine, read_machine
from dmn.costs.sizes import Sizes, sizes_of
from dmn.costs.studies import Design, evaluation, training
from dmn.costs.work import Work
from dmn.encoders.models import EMBEDDED
from dmn.pipeline.checks import can_serve, has_shifts
from dmn.pipeline.targets import Targets
from dmn.seeds import all_seeds, seed_range
from dmn.studies.table import find_study, required, study_options

# the phase of a rule that is not its own name; the studies' rules are phases of their own
PHASES = {
    "download_file": "download",
    "download_manifest": "download",
    "pretrain_encoder": "encoder",
    "fetch_encoder": "encoder",
    "split": "splits",
    "import_split": "splits",
    "shots": "splits",
    "text_features": "features",
    "test_features": "features",
    "few_shot_features": "features",
    "shift_features": "features",
    "import_features": "features",
    "import_few_shot_features": "features",
    "static_memory": "memory",
    "train_projection": "projection",
}
FLOAT16 = 2
# of a process that reads and writes, of one that trains, and of one that encodes, in starts of a
# measuring job
SMALL, TRAINS, ENCODES = 0.3, 0.6, 1.4
# what a job asks a cluster for: times its estimate, for nodes are slower and estimates wrong
ROOM, SPARE_MB = 1.5, 300.0
TIME, LEAST_MINUTES = 4.0, 15
EPOCHS = 100  # of training, where nobody says
# bytes a second of a slow home, and views a second of a slow accelerator
DOWNLOADED, ENCODED = 2e6, 250.0


@dataclass(frozen=True)
class Job:
    """One job: its rule, its phase or study, CPU seconds, peak memory in MB, and bytes it leaves.

    encoded: views that a released encoder embeds, on an accelerator where there is one. waits:
    seconds for it and for downloads, which other jobs can use the core for.
    """

    rule: str
    phase: str
    cpu: float
    memory_mb: float
    disk: float = 0.0
    encoded: int = 0
    waits: float = 0.0


class Costs:
    """What the jobs of a configuration take on a machine."""

    def __init__(self, targets: Targets, machine: Machine | None = None) -> None:
        self.targets, self.config = targets, targets.config
        self.machine = machine or read_machine()
        self._sizes: dict[tuple[str, str], Sizes] = {}
        self._options: dict[str, Any] = {}

    def sizes(self, dataset: str, backbone: str) -> Sizes:
        """Return the sizes of a cell, from its files where they are there."""
        key = dataset, backbone
        if key not in self._sizes:
            self._sizes[key] = sizes_of(self.targets, dataset, backbone)
        return self._sizes[key]

    def options(self, study: str) -> Any:
        """Return the options of a study; checking them all takes a while."""
        if study not in self._options:
            self._options[study] = study_options(study, self.config.studies[study])
        return self._options[study]

    def mem_mb(self, rule: str, attempt: int = 1, **keys: str) -> int:
        """Return the memory in MB that a job asks a cluster for, more when it is tried again."""
        return math.ceil(attempt * (ROOM * self.of(rule, **keys).memory_mb + SPARE_MB))

    def runtime(self, rule: str, attempt: int = 1, **keys: str) -> int:
        """Return the minutes that a job asks a cluster for, more when it is tried again."""
        job = self.of(rule, **keys)
        return attempt * max(LEAST_MINUTES, math.ceil(TIME * (job.cpu + job.waits) / 60))

    def of(self, rule: str, **keys: str) -> Job:
        """Return one job by its rule and wildcards."""
        if rule == "evaluate":
            return self._evaluate(**keys)
        if rule.startswith("report_"):
            return self._report(rule.removeprefix("report_"))
        work, room, disk, encoded = self._plain(rule, keys)
        waits = encoded / ENCODED
        if rule == "download_file":
            waits = disk / DOWNLOADED
        phase = PHASES.get(rule, "reports")
        return Job(rule, phase, work.cpu(self.machine), room, disk, encoded, waits)

    def design(self, study: str, dataset: str, backbone: str, splits: str, orders: str) -> Design:
        """Return what one job of a study is given."""
        shifts = has_shifts(self.config, self.targets.entries[dataset])
        shifts = shifts and "shifts" in self.targets.needs(study)
        changed = self.config.corruptions
        return Design(
            self.sizes(dataset, backbone),
            self.options(study),
            len(seed_range(orders)),
            len(seed_range(splits)),
            len(changed.kinds) * shifts,
            len(changed.severities) * shifts,
            self._epochs(dataset, max(self.config.shots, default=0)),
        )

    def _evaluate(self, study: str, dataset: str, backbone: str, splits: str, orders: str) -> Job:
        design = self.design(study, dataset, backbone, splits, orders)
        work = evaluation(study, design)
        disk = work.rows * (100 + design.sizes.N / 16)
        room = memory.evaluation(study, design)
        return Job("evaluate", study, work.cpu(self.machine), room, disk)

    def _report(self, study: str) -> Job:
        rows = sum(
            evaluation(study, self.design(study, d, b, str(s), str(o))).rows
            for d, b, s, o in self._evaluations(study)
        )
        module = find_study(study)
        work = Work(rows=rows * memory.REPORT_ROWS, figures=len(module.FIGURES))
        room = memory.report(rows)
        return Job(f"report_{study}", "reports", work.cpu(self.machine), room, rows * 100)

    def _evaluations(self, study: str) -> Iterator[tuple[str, str, Any, Any]]:
        seeds, needed = self.config.seeds, required(find_study(study))
        for (d, b), s, o in product(self.targets.cells, seeds.split, seeds.order):
            if can_serve(self.config, self.targets.entries[d], needed):
                yield d, b, s, o

    def _plain(self, rule: str, keys: Mapping[str, str]) -> tuple[Work, float, float, int]:
        """Return work, memory, disk and views that a released encoder embeds."""
        if rule == "pretrain_encoder":
            return self._pretraining, 1100.0, 1e6, 0
        if rule == "train_projection":
            s = self.sizes(keys["dataset"], keys["backbone"])
            found = Work(TRAINS)
            for K in s.shots:
                found += training(s, K, self._epochs(keys["dataset"], K), self._batch)
            return found, memory.training(s), 5 * len(s.shots) * s.C * s.D * FLOAT16, 0
        if rule == "static_memory":
            s = self.sizes(keys["dataset"], keys["backbone"])
            numbers = sum(1 + K for K in s.shots) * s.C * s.D
            return Work(SMALL), memory.reading(2 * FLOAT16 * numbers), FLOAT16 * numbers, 0
        if PHASES.get(rule) == "features":
            return self._features(rule, **keys)
        if rule == "fetch_encoder":
            return Work(2), 2500.0, 6e8, 0
        if rule == "split" or rule == "import_split":
            return Work(SMALL), 400.0, 1e6, 0
        if rule == "download_file":
            size = self.targets.entries[keys["dataset"]].files[keys["file"]].expected_bytes
            return Work(SMALL, seconds=size * memory.HASHED), 300.0, size, 0
        known = {"page": 0.5, "manifest": 0.5}
        return Work(known.get(rule, SMALL)), 400.0, 0.0, 0

    @cached_property
    def _pretraining(self) -> Work:
        asked = self.config.pretraining
        return Work(views=4.0 * asked.steps * asked.batch, seconds=2.0)

    def _epochs(self, dataset: str, shots: int) -> int:
        # a job that trains without a setting of the paper says so itself
        known = self.targets.entries[dataset].training
        paper = (setting.epochs for setting in known if shots in setting.shots)
        return self.config.training.epochs or next(paper, EPOCHS)

    @property
    def _batch(self) -> int:
        return self.config.training.batch_size

    def _features(
        self, rule: str, dataset: str, backbone: str, **_: str
    ) -> tuple[Work, float, float, int]:
        s, config = self.sizes(dataset, backbone), self.config
        drawn = s.C * s.most * config.views.train + s.C * s.validation * s.V
        count = {
            "text_features": s.C,
            "few_shot_features": drawn,
            "import_few_shot_features": s.C * (s.most + s.validation) * s.V,
            "shift_features": s.N * s.V * len(config.corruptions.severities),
        }.get(rule, s.N * s.V)
        disk = count * s.D * FLOAT16
        if not s.images:
            return Work(SMALL * 3), memory.reading(4 * s.N * s.V * s.D), disk, 0
        views = count if rule != "text_features" else 0
        if config.encoders[backbone].model == EMBEDDED:
            return Work(ENCODES, views=views), 950.0, disk, 0
        return Work(ENCODES, seconds=memory.PHOTOGRAPH * views), 3000.0, disk, count

    def expected(self) -> dict[str, float]:
        """Return the mean seconds of a job of each rule."""
        jobs = sorted(self.all(), key=lambda job: job.rule)
        return {
            rule: round(mean(job.cpu + job.waits for job in own), 1)
            for rule, own in groupby(jobs, key=lambda job: job.rule)
        }

    def all(self) -> Iterator[Job]:
        """Yield all jobs, whether or not their files are there already."""
        config, targets = self.config, self.targets
        for dataset, entry in targets.entries.items():
            keys = {"dataset": dataset}
            yield from (
                self.of("download_file", file=f.name, **keys) for f in targets.files(dataset)
            )
            yield self.of("download_manifest", **keys)
            yield self.of("import_split" if entry.kind == "features" else "split", **keys)
            if targets.few_shot(dataset):
                yield from (self.of("shots", **keys) for _ in all_seeds(config.seeds.split))
        for backbone in targets.encoders:
            own = config.encoders[backbone].model == EMBEDDED
            yield self.of("pretrain_encoder" if own else "fetch_encoder", backbone=backbone)
        for dataset, backbone in targets.cells:
            yield from self._cell(dataset, backbone)
        for study in config.studies:
            for d, b, s, o in self._evaluations(study):
                named = {"dataset": d, "backbone": b, "splits": str(s), "orders": str(o)}
                yield self.of("evaluate", study=study, **named)
            yield self.of(f"report_{study}")
        yield from map(self.of, ("page", "run_config", "manifest"))

    def _cell(self, dataset: str, backbone: str) -> Iterator[Job]:
        config, targets = self.config, self.targets
        keys = {"dataset": dataset, "backbone": backbone}
        images = targets.has_images(dataset)
        rules = ["text_features", "test_features"] if images else ["import_features"]
        if any("shifts" in targets.needs(study) for study in config.studies) and images:
            rules += ["shift_features"] * len(config.corruptions.kinds)
        if targets.few_shot(dataset):
            shots = "few_shot_features" if images else "import_few_shot_features"
            trained = ["train_projection"] * len(config.seeds.training)
            each = [shots, "static_memory", *(trained if "few_shot" in config.settings else [])]
            rules += each * len(all_seeds(config.seeds.split))
        yield from (self.of(rule, **keys) for rule in rules)
