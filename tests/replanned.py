"""Which jobs a changed configuration would make anew, told by the functions that the rules use.

A job is made anew where it, its parameters, its set of inputs or one of its outputs is new, or
where another such job makes one of its inputs. That is Snakemake's rule; what a rule reads from
files of fixed names stands in `READ`, which a test compares with Snakemake's own graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dmn.pipeline import paths
from dmn.pipeline.paths import fill
from dmn.pipeline.targets import Targets

# of each rule, a template of its outputs; the first that fits says which rule makes a file
MADE = {
    "download_manifest": paths.DOWNLOAD_MANIFEST,
    "download_file": paths.ARCHIVE,
    "split": paths.SPLIT,
    "shots": paths.SHOTS,
    "encoder": paths.ENCODER,
    "text_features": paths.TEXT_FEATURES,
    "shift_features": paths.SHIFT_FEATURES,
    "test_features": paths.TEST_FEATURES,
    "few_shot_features": paths.TRAIN_FEATURES,
    "static_memory": paths.MEMORY,
    "train_projection": paths.PROJECTION,
    "evaluate": paths.ROWS,
}
IMPORTED = {
    "split": "import_split",
    "text_features": "import_features",
    "test_features": "import_features",
    "few_shot_features": "import_few_shot_features",
}
# one job makes all of these
TOGETHER = {"shift_features": "severity", "static_memory": "shots", "train_projection": "shots"}
READ = {
    "shots": (paths.SPLIT,),
    "text_features": (paths.ENCODER, paths.SPLIT),
    "test_features": (paths.ENCODER, paths.SPLIT),
    "shift_features": (paths.ENCODER, paths.SPLIT),
    "few_shot_features": (paths.ENCODER, paths.SPLIT, paths.SHOTS),
    "import_features": (paths.SPLIT,),
    "import_few_shot_features": (paths.SPLIT, paths.SHOTS),
    "static_memory": (paths.TEXT_FEATURES, paths.TRAIN_FEATURES),
    "train_projection": (paths.TEXT_FEATURES, paths.TRAIN_FEATURES),
}
# of the files of a data set, what a rule asks `Targets.archives` for
ARCHIVES: dict[str, tuple[tuple[str, ...], bool]] = {
    "download_manifest": ((), False),
    "split": (("archive", "split", "classes", "names", "shards", "subset"), False),
    "text_features": (("prompts", "templates"), False),
    "test_features": (("archive",), True),
    "shift_features": (("archive",), True),
    "few_shot_features": (("archive",), False),
    "import_split": ((), False),
}


@dataclass
class Job:
    """One job: its parameters and its files."""

    rule: str
    params: Any = None
    inputs: set[str] = field(default_factory=set)
    outputs: set[str] = field(default_factory=set)


class Jobs:
    """All jobs of a configuration, by rule and wildcards."""

    def __init__(self, targets: Targets) -> None:
        self.targets = targets
        self.found: dict[tuple[str, ...], Job] = {}
        for file in targets.data():
            self._add(file)
        self._add_reports()

    def _add(self, file: str) -> None:
        for rule, pattern in PATTERNS.items():
            if match := pattern.fullmatch(file):
                keys = match.groupdict()
                keys.pop(TOGETHER.get(rule, ""), None)
                self._job(self._named(rule, keys), keys).outputs.add(file)
                return

    def _named(self, rule: str, keys: Mapping[str, str]) -> str:
        if rule == "encoder":
            embedded = self.targets.config.encoders[keys["backbone"]].model == "embedded"
            return "pretrain_encoder" if embedded else "fetch_encoder"
        if rule in IMPORTED and not self.targets.has_images(keys["dataset"]):
            return IMPORTED[rule]
        return rule

    def _job(self, rule: str, keys: dict[str, str]) -> Job:
        label = f"evaluate {keys['study']}" if rule == "evaluate" else rule
        place = (rule, *keys.values())
        if place not in self.found:
            inputs = {*self._inputs(rule, keys)}
            self.found[place] = Job(label, self._params(rule, keys), inputs)
        return self.found[place]

    def _params(self, rule: str, keys: dict[str, str]) -> Any:
        targets, found = self.targets, [self.targets.keys(rule, **keys)]
        if rule == "download_file":
            found.append(targets.identity(**keys))
        elif "dataset" in keys and rule not in ("shots", "static_memory"):
            found.append(targets.facts(rule, **keys))
        if rule == "evaluate":
            found.append(targets.options(keys["study"]))
        return found

    def _inputs(self, rule: str, keys: dict[str, str]) -> Iterator[str]:
        targets = self.targets
        yield from (fill(template, **keys) for template in READ.get(rule, ()))
        if rule in ARCHIVES:
            roles, tested = ARCHIVES[rule]
            yield from targets.archives(keys["dataset"], *roles, tested=tested)
        elif rule.startswith("import_"):
            yield from targets.archives(keys["dataset"], backbone=keys["backbone"])
        elif rule == "fetch_encoder":
            yield targets.config.encoders[keys["backbone"]].checkpoint or "no checkpoint"
        elif rule == "train_projection":
            yield from targets.memory(keys["dataset"], keys["backbone"], keys["split"])
        elif rule == "evaluate":
            for files in targets.evaluation_inputs(**keys).values():
                yield from [files] if isinstance(files, str) else files

    def _add_reports(self) -> None:
        targets, studies = self.targets, self.targets.config.studies
        for study in studies:
            read = {*targets.evaluation_rows(study), *targets.evaluation_samples(study)}
            made = set(targets.study_files(study))
            name = f"report_{study}"
            self.found[name,] = Job(name, targets.report_options(study), read, made)
        whole = targets.config.model_dump_json()
        self.found["run_config",] = Job("run_config", whole, set(), {paths.RUN_CONFIG})
        read = {fill(paths.STUDY_SUMMARY, study=study) for study in studies}
        read |= {fill(paths.DOWNLOAD_MANIFEST, dataset=name) for name in targets.entries}
        self.found["page",] = Job("page", None, {*read, paths.RUN_CONFIG}, {paths.PAGE})
        every = {*targets.reports(), *targets.data()}
        self.found["manifest",] = Job("manifest", None, every, {paths.MANIFEST})

    @cached_property
    def makers(self) -> dict[str, tuple[str, ...]]:
        """The job that makes each file."""
        return {file: place for place, job in self.found.items() for file in job.outputs}


def pattern(template: str) -> re.Pattern[str]:
    """Return a template as a regular expression with the wildcards as groups."""
    parts = re.split(r"\{(\w+)\}", template)
    text = ""
    for position, part in enumerate(parts):
        text += f"(?P<{part}>{paths.WILDCARDS[part]})" if position % 2 else re.escape(part)
    return re.compile(text)


PATTERNS = {rule: pattern(template) for rule, template in MADE.items()}


def replanned(before: Jobs, after: Jobs) -> set[str]:
    """Return the rules, studies apart, of which a job would be made anew."""
    known: dict[tuple[str, ...], bool] = {}

    def anew(place: tuple[str, ...]) -> bool:
        if place not in known:
            job, old = after.found[place], before.found.get(place)
            known[place] = (
                old is None
                or job.params != old.params
                or job.inputs != old.inputs
                or not job.outputs <= old.outputs
                or any(anew(after.makers[file]) for file in job.inputs if file in after.makers)
            )
        return known[place]

    return {job.rule for place, job in after.found.items() if anew(place)}
