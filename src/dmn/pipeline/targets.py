"""Which files a configuration asks for: the lists that rules and `rule all` are made of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from dmn.config import Config
from dmn.config.model import Reports
from dmn.datasets.brought import brought_sha256, own_file
from dmn.datasets.registry import (
    DatasetEntry,
    RemoteFile,
    find_dataset,
    load_registry,
)
from dmn.digests import Digests
from dmn.pipeline import paths
from dmn.pipeline.checks import (
    backbones_by_dataset,
    can_serve,
    check_archives,
    check_encoders,
    check_features,
    feature_files,
    has_shifts,
)
from dmn.pipeline.paths import fill
from dmn.pipeline.reads import (
    FACTS,
    FACTS_OF_NEED,
    KEYS,
    KEYS_OF_NEED,
    facts,
    identity,
    picked,
)
from dmn.pipeline.sources import REPORTING, sources
from dmn.seeds import all_seeds, seed_range
from dmn.studies.table import find_study, required, study_options


class Targets:
    """The artifacts of one configuration, phase by phase."""

    def __init__(self, config: Config) -> None:
        self.config = config
        registry = load_registry(config.download.registry)
        self.entries: dict[str, DatasetEntry] = {
            name: find_dataset(name, registry) for name in config.datasets
        }
        self.backbones = backbones_by_dataset(config, self.entries)
        check_encoders(config)
        check_archives(self.entries)

    @property
    def cells(self) -> list[tuple[str, str]]:
        """Return the pairs of a data set and a backbone that it has."""
        return [(name, backbone) for name, found in self.backbones.items() for backbone in found]

    @property
    def encoders(self) -> list[str]:
        """Return the backbones that encode images here."""
        used = {backbone for dataset, backbone in self.cells if self.has_images(dataset)}
        return [name for name in self.config.backbones if name in used]

    @cached_property
    def _values(self) -> dict[str, Any]:
        return self.config.model_dump(mode="json")

    def keys(self, rule: str, study: str = "", backbone: str = "", **_: str) -> str:
        """Return the keys of the configuration that a job of a rule reads, as JSON text."""
        names = list(KEYS.get(rule, ()))
        if study:
            names += find_study(study).READS
            names += [key for need in self.needs(study) for key in KEYS_OF_NEED.get(need, ())]
        return _json(picked(self._values, names, backbone=backbone))

    def facts(self, rule: str, dataset: str, study: str = "", **_: str) -> str:
        """Return the facts of a data set that a job of a rule reads, as JSON text."""
        fields = set(FACTS[rule])
        for need in self.needs(study) if study else ():
            fields |= FACTS_OF_NEED.get(need, set())
        return _json(facts(self.entries[dataset], fields))

    def identity(self, dataset: str, file: str) -> str:
        """Return what makes a file of a data set this file, as JSON text."""
        return _json(identity(self.entries[dataset].files[file]))

    def options(self, study: str) -> str:
        """Return the options that a study is measured with as JSON text."""
        options = study_options(study, self.config.studies[study])
        # how differences are named changes no measurement
        return _json(options.model_dump(mode="json", exclude=set(Reports.model_fields)))

    def report_options(self, study: str) -> str:
        """Return all options of a study as JSON text, `reports` standing in for its own."""
        changes = self.config.reports.model_dump() | self.config.studies[study]
        return _json(study_options(study, changes).model_dump(mode="json"))

    def needs(self, study: str) -> frozenset[str]:
        """Return what a study is given beside features and memories."""
        return frozenset(find_study(study).NEEDS)

    def evaluation_code(self, study: str) -> list[str]:
        """Return the source files that a study's jobs run, those that its options name included."""
        module = find_study(study)
        named: list[str] = []
        if hasattr(module, "code"):
            named = module.code(study_options(study, self.config.studies[study]))
        files = [name for name in named if name.endswith(".py")]
        modules = [name for name in named if name not in files]
        own = ("dmn.stages.evaluation", f"dmn.studies.{study}", *modules)
        return [*sources(*own, without=REPORTING), *files]

    def archives(
        self, dataset: str, *roles: str, backbone: str | None = None, tested: bool = False
    ) -> list[str]:
        """Return the files of a data set that this configuration reads, or one backbone of it.

        roles: no others than these; tested: without archives that hold training images alone.
        """
        return [
            fill(paths.ARCHIVE, dataset=dataset, file=file.name)
            for file in self.files(dataset, backbone)
            if (not roles or file.role in roles) and not (tested and file.part == "train")
        ]

    def files(self, dataset: str, backbone: str | None = None) -> list[RemoteFile]:
        """Return what the registry says of `archives`."""
        if not self.has_images(dataset):
            return self._feature_files(dataset, backbone)
        spoken = self.config.prompts.kind in ("cupl", "both")
        trained = self.few_shot(dataset)
        return [
            file
            for file in self.entries[dataset].files.values()
            if (spoken or file.role != "prompts") and (trained or file.part != "train")
        ]

    def _feature_files(self, dataset: str, backbone: str | None) -> list[RemoteFile]:
        entry, trained = self.entries[dataset], self.few_shot(dataset)
        wanted = self.backbones[dataset] if backbone is None else [backbone]
        names = {file for b in wanted for file in feature_files(self.config, entry, b, trained)}
        return [file for name, file in entry.files.items() if name in names]

    def check_present(self) -> None:
        """Check features whose files are all there already, downloaded or brought.

        DataError or FeatureError, in one line, for what would stop a job later.
        """
        for name, entry in self.entries.items():
            if self.has_images(name):
                continue
            brought = Path(self.config.download.manual) / name
            places = [
                (Path(fill(paths.ARCHIVE, dataset=name, file=file.name)), brought / file.name)
                for file in self.files(name)
            ]
            found = [next((path for path in pair if path.exists()), None) for pair in places]
            if None not in found:
                here = [path for path in found if path is not None]
                check_features(self.config, entry, self.backbones[name], here)

    def has_images(self, dataset: str) -> bool:
        """Say whether features are extracted here rather than imported."""
        return self.entries[dataset].kind != "features"

    def images(self, dataset: str) -> list[str]:
        """Return the files that a picture of a test image is read from, if it has images."""
        if not self.has_images(dataset):
            return []
        return self.archives(dataset, "archive", tested=True)

    def brought(self, dataset: str, file: str) -> str:
        """Return the SHA-256 of what a person brings as a file, empty where it is not brought."""
        entry = self.entries[dataset]
        if entry.kind == "digits" or file not in entry.files:
            return ""
        own = own_file(Path(self.config.download.manual), dataset, entry.files[file])
        target = Path(fill(paths.ARCHIVE, dataset=dataset, file=file))
        digests = Digests(Path(paths.DIGESTS))
        found = brought_sha256(own, target, digests)
        digests.save()
        return found

    def few_shot(self, dataset: str) -> bool:
        """Say whether shots and validation images of a data set are drawn.

        Zero-shot settings take validation images where they come with the test images: ImageNet's
        training archive is not asked for on their account.
        """
        entry = self.entries[dataset]
        apart = any(file.part == "train" for file in entry.files.values())
        return entry.few_shot and not (apart and set(self.config.settings) == {"zero_shot"})

    def memory(self, dataset: str, backbone: str, split: object) -> list[str]:
        """Return the static memories of one split seed, one for each number of shots."""
        return [
            fill(paths.MEMORY, dataset=dataset, backbone=backbone, shots=shots, split=split)
            for shots in self.config.shots
        ]

    def projection(self, dataset: str, backbone: str, split: object) -> list[str]:
        """Return the trained projections of one split seed; none without few_shot."""
        if "few_shot" not in self.config.settings:
            return []
        keys = {"dataset": dataset, "backbone": backbone, "split": split}
        kind = self.config.model.projection
        pairs = product(self.config.shots, self.config.seeds.training)
        return [
            fill(paths.PROJECTION, projection=kind, shots=shots, training=seed, **keys)
            for shots, seed in pairs
        ]

    def shifts(self, dataset: str, backbone: str) -> list[str]:
        """Return the features of the corrupted test images."""
        if not has_shifts(self.config, self.entries[dataset]):
            return []
        pairs = product(self.config.corruptions.kinds, self.config.corruptions.severities)
        keys = {"dataset": dataset, "backbone": backbone}
        return [
            fill(paths.SHIFT_FEATURES, corruption=kind, severity=severity, **keys)
            for kind, severity in pairs
        ]

    def evaluation_inputs(
        self, study: str, dataset: str, backbone: str, splits: str, orders: str
    ) -> dict[str, Any]:
        """Return the artifacts that one job of a study reads, by name; orders do not matter."""
        seeds = seed_range(splits)
        keys = {"dataset": dataset, "backbone": backbone}
        needs = self.needs(study)
        inputs: dict[str, Any] = {name: [] for name in ("train", "val", "memory", "projection")}
        inputs |= {
            "text": fill(paths.TEXT_FEATURES, **keys),
            "test": fill(paths.TEST_FEATURES, **keys),
            "lists": fill(paths.SPLIT, dataset=dataset),
            "shifts": self.shifts(dataset, backbone) if "shifts" in needs else [],
            "images": self.images(dataset) if "images" in needs else [],
        }
        if self.few_shot(dataset):
            inputs["train"] = [fill(paths.TRAIN_FEATURES, split=seed, **keys) for seed in seeds]
            inputs["val"] = [fill(paths.VAL_FEATURES, split=seed, **keys) for seed in seeds]
            inputs["memory"] = _joined(self.memory(dataset, backbone, seed) for seed in seeds)
            if "projection" in needs:
                found = (self.projection(dataset, backbone, seed) for seed in seeds)
                inputs["projection"] = _joined(found)
        return inputs

    def evaluation_rows(self, study: str) -> list[str]:
        """Return the tables of a study over data sets, backbones, splits and order groups."""
        seeds = self.config.seeds
        return [
            fill(paths.ROWS, study=study, dataset=d, backbone=b, splits=s, orders=o)
            for (d, b), s, o in product(self.cells, seeds.split, seeds.order)
            if can_serve(self.config, self.entries[d], required(find_study(study)))
        ]

    def evaluation_samples(self, study: str) -> list[str]:
        """Return the per-sample answers beside `evaluation_rows`."""
        return [row.removesuffix(".csv") + ".safetensors" for row in self.evaluation_rows(study)]

    def study_outputs(self, study: str) -> dict[str, Any]:
        """Return the files of a study's report by name: rows, summary, tables, figures."""
        module = find_study(study)
        tables, figures = (
            product(module.TABLES, paths.TABLE_KINDS),
            product(module.FIGURES, paths.FIGURE_KINDS),
        )
        return {
            "rows": fill(paths.STUDY_TABLE, study=study),
            "summary": fill(paths.STUDY_SUMMARY, study=study),
            "tables": [fill(paths.TABLE, study=study, table=t, kind=k) for t, k in tables],
            "figures": [fill(paths.FIGURE, study=study, figure=f, kind=k) for f, k in figures],
        }

    def study_files(self, study: str) -> list[str]:
        """Return the files of a study's report as one list."""
        outputs = self.study_outputs(study)
        return [outputs["rows"], outputs["summary"], *outputs["tables"], *outputs["figures"]]

    def data(self) -> list[str]:
        """Return every artifact below data/, so that a deleted one is missed."""
        return list(dict.fromkeys(self._data()))

    def _data(self) -> Iterator[str]:
        config = self.config
        for dataset in self.entries:
            yield from self.archives(dataset)
            yield fill(paths.DOWNLOAD_MANIFEST, dataset=dataset)
            yield fill(paths.SPLIT, dataset=dataset)
            if self.few_shot(dataset):
                for split in all_seeds(config.seeds.split):
                    yield fill(paths.SHOTS, dataset=dataset, split=split)
        for backbone in self.encoders:
            if config.encoders[backbone].model == "embedded":
                yield fill(paths.ENCODER_HISTORY, backbone=backbone)
        for dataset, backbone in self.cells:
            yield from self._features_and_memory(dataset, backbone)
        for study in config.studies:
            yield from self.evaluation_rows(study)
            yield from self.evaluation_samples(study)

    def _features_and_memory(self, dataset: str, backbone: str) -> Iterator[str]:
        keys = {"dataset": dataset, "backbone": backbone}
        if self.has_images(dataset):
            yield fill(paths.ENCODER, backbone=backbone)
        yield fill(paths.TEXT_FEATURES, **keys)
        yield fill(paths.TEST_FEATURES, **keys)
        if any("shifts" in self.needs(study) for study in self.config.studies):
            yield from self.shifts(dataset, backbone)
        if not self.few_shot(dataset):
            return
        for split in all_seeds(self.config.seeds.split):
            yield fill(paths.TRAIN_FEATURES, split=split, **keys)
            yield fill(paths.VAL_FEATURES, split=split, **keys)
            yield from self.memory(dataset, backbone, split)
            for projection in self.projection(dataset, backbone, split):
                yield projection
                yield projection.removesuffix(".safetensors") + ".csv"

    def reports(self) -> list[str]:
        """Return the reports of all studies and the page."""
        studies = self.config.studies
        files = [file for study in studies for file in self.study_files(study)]
        return [paths.PAGE, paths.RUN_CONFIG, *files]


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)


def _joined(lists: Iterable[list[str]]) -> list[str]:
    return [name for names in lists for name in names]
