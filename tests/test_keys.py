"""Every key of the configuration, changed in turn: which rules are run anew, and no others.

`EXPECTED` is the table; a key that is not in it fails, so that a new key says what it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from dmn.config import Config
from dmn.pipeline.configuration import load_run
from dmn.pipeline.targets import Targets
from dmn.schema import merge
from dmn.studies.table import STUDIES, find_study
from documents import example
from replanned import Jobs, replanned

REGISTRY = "registry.yaml"
CHECKPOINT = "weights.pt"
METHOD = "mine.py"
BASE: dict[str, Any] = {
    "datasets": ["digits", "dtd"],
    "backbones": ["glyph", "RN50"],
    "encoders": {
        "glyph": {"precision": "float64"},
        "RN50": {"model": "RN50-quickgelu", "pretrained": "openai"},
        "RN101": {"model": "RN101-quickgelu", "pretrained": "openai"},
    },
}


def below(*studies: str) -> set[str]:
    """Return what measures and reports some studies."""
    return {f"{what}{study}" for study in studies for what in ("evaluate ", "report_")}


# every key stands in reports/config.yaml, which the page shows and the manifest lists
NOTHING = {"run_config", "page", "manifest"}
ALL = below(*STUDIES)
TRAINED = below("ablation", "calibration", "main", "peers", "sensitivity", "weights")
SHIFTED = {"shift_features"} | below("shift", "order", "streams")
PROJECTIONS = {"train_projection"} | TRAINED
# one phase, and what stands below it
TEXT = {"text_features", "static_memory", "train_projection"} | ALL
TEST = {"test_features"} | ALL
FEW_SHOT = {"few_shot_features", "static_memory", "train_projection"} | ALL
FEATURES = TEXT | TEST | FEW_SHOT | SHIFTED
SHOTS = {"shots"} | FEW_SHOT
DATA = {"download_file", "download_manifest", "split"} | SHOTS | FEATURES
PRETRAINED = {"pretrain_encoder"} | FEATURES
FETCHED = {"fetch_encoder"} | FEATURES
VIEWS = TEST | FEW_SHOT | SHIFTED

# key: another value, and what is run anew
EXPECTED: dict[str, tuple[Any, set[str]]] = {
    "datasets": (["digits", "dtd", "eurosat"], DATA),
    "backbones": (["glyph", "RN50", "RN101"], FETCHED),
    "settings": (["zero_shot", "few_shot"], ALL),
    "shots": ([1, 4, 16, 2], SHOTS),
    "studies": ({"main": {}, "shift": {}}, NOTHING),
    "seeds.split": (["0-2", 3], SHOTS),
    "seeds.order": (["0-9", 10], ALL),
    "seeds.training": ([0, 1], PROJECTIONS),
    # where a file comes from, and how patiently, makes it no other
    "download.mirror": ("https://example.org/mirror", NOTHING),
    "download.registry": (REGISTRY, NOTHING),
    "download.manual": ("archives", NOTHING),
    "download.timeout": (5.0, NOTHING),
    "download.retries": (1, NOTHING),
    "encoders.*.model": ("RN50", FETCHED),
    "encoders.*.pretrained": ("yfcc15m", FETCHED),
    "encoders.*.checkpoint": (CHECKPOINT, FETCHED),
    "encoders.*.precision": ("float16", FEATURES),
    "pretraining.architecture.embed_dim": (32, PRETRAINED),
    "pretraining.architecture.image_size": (64, PRETRAINED),
    "pretraining.architecture.layers": ([1, 1, 1, 2], PRETRAINED),
    "pretraining.architecture.image_width": (16, PRETRAINED),
    "pretraining.architecture.head_width": (16, PRETRAINED),
    "pretraining.architecture.context": (20, PRETRAINED),
    "pretraining.architecture.text_width": (32, PRETRAINED),
    "pretraining.architecture.text_heads": (2, PRETRAINED),
    "pretraining.architecture.text_layers": (1, PRETRAINED),
    "pretraining.architecture.mlp_ratio": (4.0, PRETRAINED),
    "pretraining.glyphs.rotation": (5.0, PRETRAINED),
    "pretraining.glyphs.shear": (0.1, PRETRAINED),
    "pretraining.glyphs.width": ([0.5, 1.0], PRETRAINED),
    "pretraining.glyphs.height": ([0.8, 1.0], PRETRAINED),
    "pretraining.glyphs.shift": (0.1, PRETRAINED),
    "pretraining.glyphs.warp": (0.2, PRETRAINED),
    "pretraining.glyphs.stroke": ([3.0, 6.0], PRETRAINED),
    "pretraining.glyphs.gamma": ([0.6, 1.0], PRETRAINED),
    "pretraining.glyphs.gain": ([1.0, 1.2], PRETRAINED),
    "pretraining.glyphs.noise": (0.1, PRETRAINED),
    "pretraining.steps": (300, PRETRAINED),
    "pretraining.batch": (64, PRETRAINED),
    "pretraining.captions": (32, PRETRAINED),
    "pretraining.lr": (1e-3, PRETRAINED),
    "pretraining.betas": ([0.9, 0.99], PRETRAINED),
    "pretraining.eps": (1e-8, PRETRAINED),
    "pretraining.weight_decay": (0.1, PRETRAINED),
    "pretraining.warmup": (10, PRETRAINED),
    "pretraining.clip": (2.0, PRETRAINED),
    "pretraining.logit_scale": (50.0, PRETRAINED),
    "pretraining.precision": ("float32", PRETRAINED),
    "pretraining.seed": (1, PRETRAINED),
    "splits.sampling": ("authors", SHOTS),
    "splits.validation_shots": (2, SHOTS),
    "views.scale": ([0.4, 1.0], VIEWS),
    "views.ratio": ([0.8, 1.2], VIEWS),
    "views.interpolation": ("bicubic", VIEWS),
    "views.flip": (True, VIEWS),
    "views.augmix": (False, VIEWS),
    "views.severity": (2.0, VIEWS),
    "views.test": (8, VIEWS),
    "views.train": (4, FEW_SHOT),
    "views.seed": (1, VIEWS),
    "prompts.kind": ("single", TEXT),
    # of features that others made; see below
    "prompts.text": ("a photo", NOTHING),
    "model.length": (20, ALL),
    "model.beta": (3.5, {"train_projection"} | ALL),
    "model.readout": ("center", ALL),
    "model.view_share": (0.5, ALL),
    "model.position": ("key", {"train_projection"} | ALL),
    "model.projection": ("linear", {"train_projection"} | ALL),
    "training.learning_rate": (0.01, PROJECTIONS),
    "training.epochs": (3, PROJECTIONS),
    "training.batch_size": (64, PROJECTIONS),
    "training.weight_decay": (0.0, PROJECTIONS),
    "training.leave_one_out": (True, PROJECTIONS),
    "fusion.fixed": ([1.0, 2.0, 1.0], ALL),
    "fusion.grid": ([0.1, 1.0], ALL),
    "fusion.rule": ("first", ALL),
    "corruptions.kinds": (["noise", "blur", "rotation", "inversion", "fog"], SHIFTED),
    "corruptions.severities": ([1, 5], SHIFTED),
    "numerics.device": ("cuda", FEATURES),
    "numerics.dtype": ("float32", {"train_projection"} | ALL),
    "numerics.threads": (4, NOTHING),
    # how a difference is named changes no measurement
    "reports.smallest_difference": (1.0, {f"report_{study}" for study in STUDIES}),
}


def leaves(model: type[BaseModel], above: str = "") -> Iterator[str]:
    """Yield the dotted keys of a model and of the models in it; `*` for names that are free."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from leaves(kind, f"{above}{name}.")
        elif get_origin(kind) is dict and issubclass(inner := get_args(kind)[1], BaseModel):
            yield from leaves(inner, f"{above}{name}.*.")
        else:
            yield f"{above}{name}"


def changed(key: str, value: Any) -> dict[str, Any]:
    """Return the base with one key changed; of the encoders, that of RN50."""
    for part in reversed(key.replace("*", "RN50").split(".")):
        value = {part: value}
    changes = dict(value)
    if key == "studies":
        return {**BASE, **changes}
    if key == "encoders.*.checkpoint":
        changes["encoders"]["RN50"]["pretrained"] = None
    if key == "encoders.*.model":
        # whose weights have this activation
        changes["encoders"]["RN50"]["pretrained"] = "yfcc15m"
    return merge(BASE, changes)


def jobs(values: dict[str, Any]) -> Jobs:
    return Jobs(Targets(load_run(values)))


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Stand in a folder with a checkpoint, and a registry that adds a data set of its own."""
    root = tmp_path_factory.mktemp("keys")
    (root / CHECKPOINT).write_bytes(b"")
    own = example("docs/extending.md", "A method of your own", "python")
    (root / METHOD).write_text(own, encoding="utf-8")
    entry = "{title: Mine, kind: features, classes: 2, files: {text.npz: , test.npz: }}"
    (root / REGISTRY).write_text(f"datasets: {{mine: {entry}}}")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        yield root


@pytest.fixture(scope="module")
def before(folder: Path) -> Jobs:
    return jobs(BASE)


def test_every_key_is_in_the_table() -> None:
    assert sorted(leaves(Config)) == sorted(EXPECTED)


@pytest.mark.parametrize("key", EXPECTED)
def test_a_changed_key_runs_the_rules_that_read_it_and_those_below(before: Jobs, key: str) -> None:
    value, expected = EXPECTED[key]
    assert replanned(before, jobs(changed(key, value))) == expected | NOTHING


# of options whose default has no neighbour
OTHER: dict[str, Any] = {
    "signals.least_balance": 0.5,
    "streams.least_confidence": 0.6,
    "order.severity": 3,
    "peers.files": [METHOD],
    "peers.options": {"tda": {"positive_alpha": 3.0}},
    "peers.shots": [4],
    "streams.scenarios": {"random": {}},
    "streams.severity": 3,
}
OPTIONS = [
    f"{study}.{name}" for study in STUDIES for name in find_study(study).Options.model_fields
]


def another(option: str) -> Any:
    """Return a value of a study's option that is not its default."""
    study, name = option.split(".")
    default = find_study(study).Options.model_fields[name].default
    if option in OTHER:
        return OTHER[option]
    if isinstance(default, bool):
        return not default
    return default[:-1] if isinstance(default, list) else default + 1


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_of_a_study_measures_that_study_anew_and_no_other(
    before: Jobs, option: str
) -> None:
    study, name = option.split(".")
    after = jobs(merge(BASE, {"studies": {study: {name: another(option)}}}))
    expected = {f"report_{study}"} if name == "smallest_difference" else below(study)
    assert replanned(before, after) == expected | NOTHING
