"""The typed configuration: one model, layered YAML, unknown keys refused with the nearest known.

`config/demo.yaml` and `config/schema.json` are generated from this file:
`python -m dmn.config --write`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from dmn.artifacts import write_text
from dmn.encoders.settings import EncoderSettings, EncoderTraining, ViewSettings
from dmn.errors import ConfigError, nearest, run_main
from dmn.layered_yaml import read_yaml

Setting = Literal["zero_shot", "training_free", "few_shot"]
Position = Literal["query", "key", "value", "qkv", "output", "all"]
Seed = Annotated[int, Field(ge=0)]
SeedEntry = Annotated[int | str, AfterValidator(lambda entry: _checked_entry(entry))]
MAX_VALIDATION_SHOTS = 4


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Seeds(Section):
    """Three different things: which shots, which order, which training draw.

    An entry of split or order is a seed or a range a-b, and one job of each study: add entries.
    """

    split: list[SeedEntry] = Field(
        ["0-2"], min_length=1, description="which shots are drawn; entries: a seed or a range a-b"
    )
    order: list[SeedEntry] = Field(
        ["0-9"], min_length=1, description="stream orders; entries: a seed or a range a-b"
    )
    training: list[Seed] = Field([0], min_length=1, description="training of the projections")

    @field_validator("split", "order")
    @classmethod
    def _apart(cls, entries: list[int | str]) -> list[int | str]:
        seeds = all_seeds(entries)
        twice = [seed for seed in seeds if seeds.count(seed) > 1]
        if twice:
            raise ValueError(f"seed {twice[0]} stands in two entries")
        return entries


def seed_range(entry: int | str) -> range:
    """Return the seeds of an entry such as `7` or `0-9`."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", str(entry))
    if match is None:
        raise ValueError(f"{entry!r} is not a seed or a range such as 0-9")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise ValueError(f"range {entry!r} ends before it begins")
    return range(first, last + 1)


def all_seeds(entries: Iterable[int | str]) -> list[int]:
    """Return the seeds of all entries."""
    return [seed for entry in entries for seed in seed_range(entry)]


def _checked_entry(entry: int | str) -> int | str:
    seed_range(entry)
    return entry


class Download(Section):
    """Where archives come from."""

    mirror: str | None = Field(
        None, description="base URL tried before the official homes: <mirror>/<dataset>/<file>"
    )
    registry: str | None = Field(
        None, description="a YAML file that adds data sets to the registry or changes entries"
    )
    manual: str = Field("data/manual", description="folder of the archives that you bring")
    timeout: float = Field(30.0, gt=0, description="seconds without an answer before a retry")
    retries: int = Field(4, ge=0, le=20, description="tries after the first, for each source")


class Splits(Section):
    """Few-shot sampling."""

    sampling: Literal["nested", "authors"] = Field(
        "nested",
        description="nested: more shots contain the fewer; authors: as the released program draws",
    )
    validation_shots: int = Field(
        MAX_VALIDATION_SHOTS,
        ge=1,
        description="validation images per class; few-shot settings take min(shots, this)",
    )


class Views(ViewSettings):
    """How many views of an image are cached, and how they are drawn."""

    test: int = Field(16, ge=1, le=128, description="views of a test image, view 0 included")
    train: int = Field(8, ge=1, le=128, description="views of a training image, view 0 included")
    seed: Seed = Field(0, description="draws of crops, flips and AugMix")
    flip: bool = Field(False, description="mirror half of the views; off where sides matter")
    augmix: bool = Field(
        True, description="AugMix on test views, where the data set's registry entry has it on"
    )


class Prompts(Section):
    """What is said to the text encoder."""

    kind: Literal["single", "templates", "cupl", "both"] = Field(
        "templates", description="one template, the data set's, CuPL's sentences, or the last two"
    )


class Model(Section):
    """The Dual Memory Network (docs/method.md)."""

    length: int = Field(50, ge=1, description="L, slots of a class in the dynamic memory")
    beta: float = Field(5.5, gt=0, description="sharpness of the attention")
    readout: Literal["similarity", "entropy", "center"] = Field(
        "similarity", description="how a class's slots become its classifier"
    )
    view_share: float = Field(
        0.2, gt=0, le=1, description="share of views kept, least entropy (paper: 3 of 32; 3 of 16)"
    )
    position: Position = Field("all", description="where projections act")
    projection: Literal["bias", "linear"] = Field(
        "bias", description="class-wise biases (as released) or D x D layers (as in the paper)"
    )


class Training(Section):
    """Training of the projections on cached features (docs/method.md, section 9)."""

    learning_rate: float | None = Field(
        None, gt=0, description="empty: the paper's for the data set and shots"
    )
    epochs: int | None = Field(None, ge=1, description="empty: the paper's")
    batch_size: int = Field(128, ge=1, description="images of a step, at most")
    weight_decay: float = Field(1e-4, ge=0, description="of AdamW, decoupled")
    leave_one_out: bool = Field(
        False, description="hide a training image's own entry in the static memory"
    )


class Fusion(Section):
    """Weights of text, dynamic and static prediction."""

    fixed: tuple[float, float, float] = Field(
        (1.0, 1.0, 1.0), description="text, dynamic, static; chosen beforehand"
    )
    grid: list[float] = Field(
        [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000],
        min_length=1,
        description="candidates for the dynamic and for the static weight; text has 1",
    )


class Corruptions(Section):
    """Distribution shifts made from the test images."""

    kinds: list[str] = Field(
        ["noise", "blur", "rotation", "inversion", "erosion"], description="see docs/data.md"
    )
    severities: list[Annotated[int, Field(ge=1, le=5)]] = Field(
        [1, 3, 5], min_length=1, description="1 is mild, 5 is severe"
    )


class Numerics(Section):
    """How numbers are computed; artifacts are rounded at their boundary (docs/exactness.md)."""

    device: str = Field("cpu", description="cpu, cuda or cuda:1")
    dtype: Literal["float32", "float64"] = Field(
        "float64", description="float64: the same bytes on every CPU; float32: large data on GPUs"
    )
    threads: int = Field(1, ge=1, description="threads of a job's matrix products")


class Config(Section):
    """The whole run. The defaults are the embedded demo."""

    datasets: list[str] = Field(["digits"], min_length=1, description="names in the registry")
    backbones: list[str] = Field(["glyph"], min_length=1, description="names in `encoders`")
    settings: list[Setting] = Field(
        list(get_args(Setting)), min_length=1, description="which of the paper's three settings"
    )
    shots: list[Annotated[int, Field(ge=1)]] = Field(
        [1, 4, 16], min_length=1, description="K, labelled images per class"
    )
    studies: dict[str, dict[str, Any]] = Field(
        default_factory=lambda: all_studies(),
        description="studies to make, each with changes to its settings (default: all)",
    )
    seeds: Seeds = Seeds()
    download: Download = Download()
    encoders: dict[str, EncoderSettings] = Field(
        {"glyph": EncoderSettings(precision="float64")}, description="backbones by name"
    )
    pretraining: EncoderTraining = EncoderTraining()
    splits: Splits = Splits()
    views: Views = Views()
    prompts: Prompts = Prompts()
    model: Model = Model()
    training: Training = Training()
    fusion: Fusion = Fusion()
    corruptions: Corruptions = Corruptions()
    numerics: Numerics = Numerics()

    def encoder(self, backbone: str) -> EncoderSettings:
        """Return the settings of a backbone; the embedded one has its pretraining's shape."""
        settings = self.encoders[backbone]
        if settings.model != "embedded":
            return settings
        return settings.model_copy(update={"architecture": self.pretraining.architecture})

    def sections(self, *names: str) -> str:
        """Return the named sections as JSON text, for the command line of a stage."""
        return json.dumps(self.model_dump(mode="json", include=set(names)), sort_keys=True)


def load(values: dict[str, Any], source: str = "configuration") -> Config:
    """Validate merged values; raise ConfigError naming key, value, bounds and the nearest key."""
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(e, source) for e in error.errors())) from None
    for backbone in config.backbones:
        if backbone not in config.encoders:
            raise ConfigError(
                f"backbones: {backbone!r} ({source}) has no entry in encoders; "
                + nearest(backbone, config.encoders)
            )
    for name, changes in config.studies.items():
        study_settings(name, changes, source)
    return config


def study_settings(name: str, changes: dict[str, Any], source: str = "configuration") -> Any:
    """Return a study's validated settings; its module declares them as `Settings`."""
    known = study_names()
    if name not in known:
        raise ConfigError(f"studies: no study {name!r} ({source}); {nearest(name, known)}")
    module = importlib.import_module(f"dmn.studies.{name}")
    try:
        return module.Settings.model_validate(changes)
    except ValidationError as error:
        where = f"{source}, studies.{name}"
        raise ConfigError("; ".join(_explain(e, where) for e in error.errors())) from None


def all_studies() -> dict[str, dict[str, Any]]:
    """Return every study with no change to its settings."""
    return {name: {} for name in study_names()}


def study_names() -> list[str]:
    """Return the studies that exist: the public modules of dmn.studies."""
    folder = Path(__file__).parent / "studies"
    return sorted(p.stem for p in folder.glob("[a-z]*.py"))


def _explain(error: Any, source: str) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        *above, key = error["loc"]
        return f"unknown key {place!r} in {source}; {nearest(str(key), _known_keys(above))}"
    shown = repr(error["input"])
    return f"{place} = {shown[:80]} in {source}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _known_keys(above: list[Any]) -> list[str]:
    model: Any = Config
    for part in above:
        fields = getattr(model, "model_fields", {})
        annotation = fields[part].annotation if part in fields else model
        inner = [a for a in get_args(annotation) if _is_model(a)]
        model = annotation if _is_model(annotation) else (inner or [model])[-1]
    return list(model.model_fields)


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


def from_argument(text: str | None) -> Config:
    """Return the configuration that `--settings` names: JSON text, a YAML file, or the default."""
    if text is None:
        return Config()
    if text.lstrip().startswith("{"):
        try:
            return load(json.loads(text), "--settings")
        except json.JSONDecodeError as error:
            raise ConfigError(f"--settings is not JSON: {error}") from None
    return load(read_yaml(text), text)


def commented_yaml(model: BaseModel, indent: str = "") -> str:
    """Return all values of `model` as YAML, each with its description as a comment."""
    lines: list[str] = []
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        comment = field.description or (type(value).__doc__ or "").splitlines()[0]
        if isinstance(value, BaseModel):
            lines += ["", f"{indent}# {comment}", f"{indent}{name}:"]
            lines.append(commented_yaml(value, indent + "  ").strip("\n"))
            continue
        plain = model.model_dump(mode="json")[name]
        text = yaml.safe_dump(plain, default_flow_style=True, width=1000).strip()
        lines.append(f"{indent}# {comment}")
        lines.append(f"{indent}{name}: {text.removesuffix('...').strip()}")
    return "\n".join(lines) + "\n"


def generated() -> dict[str, str]:
    """Return the generated files by path: the commented defaults and the JSON schema."""
    head = (
        "# All keys with their defaults: the embedded demo.\n"
        "# Generated, do not edit: python -m dmn.config --write\n"
    )
    schema = json.dumps(Config.model_json_schema(), indent=1, sort_keys=True) + "\n"
    return {"config/demo.yaml": head + commented_yaml(Config()), "config/schema.json": schema}


def main() -> None:
    """Write the generated files, check a configuration file, or write one out whole."""
    parser = argparse.ArgumentParser(prog="python -m dmn.config", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write config/demo.yaml and schema")
    parser.add_argument("--check", metavar="FILE", help="validate a YAML file and print it whole")
    parser.add_argument("--settings", metavar="JSON|FILE", help="configuration to write whole")
    parser.add_argument("--out", help="file for --settings")
    arguments = parser.parse_args()
    if arguments.settings:
        write_text(arguments.out, commented_yaml(from_argument(arguments.settings)))
    if arguments.write:
        for path, text in generated().items():
            write_text(path, text)
    if arguments.check:
        config = load(read_yaml(arguments.check), arguments.check)
        parser.exit(message=commented_yaml(config))


if __name__ == "__main__":
    run_main(main)
