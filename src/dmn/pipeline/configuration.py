"""The configuration of a whole run: its sections, and what only those above them can check."""

from __future__ import annotations

from typing import Any

from dmn.config import Config, load
from dmn.datasets.corruptions import check_kind
from dmn.datasets.formats.choice import backbone_files
from dmn.datasets.registry import find_dataset, load_registry
from dmn.errors import ConfigError, nearest
from dmn.pipeline.checks import can_serve
from dmn.studies.table import STUDIES, find_study, required, study_options


def load_run(values: dict[str, Any], source: str = "configuration") -> Config:
    """Return the configuration of a run, its studies' options checked.

    Where it names no studies, they are all that its data sets can serve.

    Raises ConfigError naming key, value, place and the nearest known key.
    """
    config = load(values, source)
    for name, changes in config.studies.items():
        study_options(name, changes, source)
    for kind in config.corruptions.kinds:
        check_kind(kind)
    _check_backbones(config, source)
    registry = load_registry(config.download.registry)
    entries = [find_dataset(name, registry) for name in config.datasets]

    def served(study: str) -> bool:
        needed = required(find_study(study))
        return any(can_serve(config, entry, needed) for entry in entries)

    for name in config.studies:
        if not served(name):
            raise ConfigError(
                f"studies.{name} ({source}) needs {', '.join(required(find_study(name)))}, and no "
                "data set of the configuration has any; leave the study out, or give "
                "corruptions.kinds and a data set of images, or one whose images have groups"
            )
    studies = config.studies or {name: {} for name in STUDIES if served(name)}
    return config.model_copy(update={"studies": studies})


def _check_backbones(config: Config, source: str) -> None:
    """Refuse backbones that are neither encoders nor those of a data set of features."""
    missing = [name for name in config.backbones if name not in config.encoders]
    if not missing:
        return
    registry = load_registry(config.download.registry)
    entries = [registry[name] for name in config.datasets if name in registry]
    known = {name for one in entries if one.kind == "features" for name in backbone_files(one)}
    for backbone in missing:
        # features without a name of their own take any
        if backbone not in known and "" not in known:
            raise ConfigError(
                f"backbones: {backbone!r} ({source}) has no entry in encoders, and no data set has "
                f"features of that name; {nearest(backbone, known | set(config.encoders))}"
            )
