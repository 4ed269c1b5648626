"""The data sets as data: sources, sizes, checksums, licences, templates, training settings.

The facts stand in `entries/*.yaml`, one file a data set; a further YAML file of the same form
(`datasets: {name: {...}}`) adds data sets or changes single values of an entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, model_validator

from dmn.datasets.placement import Layout
from dmn.errors import ConfigError, nearest
from dmn.schema import PARTIAL, Strict, merge, read_yaml

ENTRIES = Path(__file__).parent / "entries"
YAML_KINDS: dict[type, str] = {
    **{int: "a number", float: "a number", bool: "true or false", type(None): "nothing"},
    **{date: "a date", datetime: "a date"},
}
COMPRESSED = ("gz", "tgz", "xz", "txz", "bz2", "tbz2", "tbz")
# folders may stand before the name, for features whose folders say what they are
FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$"

RANGE = re.compile(r"(.*)\{(\d+)\.\.(\d+)\}(.*)")


class RemoteFile(Strict):
    """One file as its home publishes it."""

    name: str = Field(pattern=FILE_NAME)
    role: Literal[
        "archive", "split", "prompts", "classes", "names", "templates", "shards", "subset", "groups"
    ]
    urls: tuple[str, ...] = Field((), description="official homes, tried in this order")
    bytes: int | None = Field(None, ge=0, description="exact size")
    about_bytes: int | None = Field(None, ge=0, description="size for estimates only")
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    git_blob: str | None = Field(None, pattern=r"^[0-9a-f]{40}$", description="git's SHA-1 name")
    md5: str | None = Field(None, pattern=r"^[0-9a-f]{32}$", description="where no SHA-256 is")
    inner: str | None = Field(None, description="archives inside it, as a file name pattern")
    folder: str | None = Field(None, description="folder of images that stays where it is")
    part: Literal["train"] | None = Field(
        None, description="the only part that it serves; left out where that is not asked for"
    )
    manual: str | None = Field(None, description="where a person finds the file")

    @model_validator(mode="after")
    def _urls_are_web_addresses(self) -> Self:
        for url in self.urls:
            if not url.startswith(("https://", "http://")):
                raise ValueError(f"source {url!r} of {self.name} is not an http(s) address")
        if self.folder and (self.role != "archive" or self.urls):
            raise ValueError(f"{self.name} is a folder, so its role is archive and it has no urls")
        return self

    @property
    def expected_bytes(self) -> int:
        """Return the size for estimates of disk and time, 0 where nothing is known."""
        return self.bytes or self.about_bytes or 0


class Sizes(Strict):
    """Images in each split, None where not fixed by the data set."""

    train: int | None = Field(None, ge=0)
    val: int | None = Field(None, ge=0)
    test: int | None = Field(None, ge=0)


class TrainingSetting(Strict):
    """The paper's learning rate and epochs for some numbers of shots."""

    shots: tuple[int, ...]
    learning_rate: float = Field(gt=0)
    epochs: int = Field(ge=1)


class FeatureBackbone(Strict):
    """One encoder whose features a data set has."""

    logit_scale: float | None = Field(None, gt=0, description="empty: the data set's")


class DrawnParts(Strict):
    """Parts drawn from one pool of rows, the same for everybody; the rest is the test part."""

    seed: int = Field(0, ge=0)
    train: int = Field(ge=1, description="rows of each class")
    val: int = Field(0, ge=0, description="rows of each class; 0: validation from training rows")


class FeatureFacts(Strict):
    """How features that others extracted are read (see `dmn.datasets.formats`)."""

    format: str | None = Field(None, description="empty: recognised by the names of the files")
    backbones: Mapping[str, FeatureBackbone] = Field(
        default_factory=dict, description="empty: those that the names of the files tell"
    )
    text: str | None = Field(None, description="prompt whose text is taken; empty: `text`")
    text_axes: Literal["C D", "D C"] | None = Field(None, description="only where C equals D")
    class_names: tuple[str, ...] = Field((), description="empty: those that the files hold")
    first_label: int = Field(0, description="what the files call the first class: 0 or 1")
    logit_scale: float | None = Field(
        None, gt=0, description="of the similarities; empty: that of the files, else CLIP's 100"
    )
    parts: DrawnParts | None = Field(None, description="where the files are one pool of rows")
    groups: tuple[str, ...] = Field(
        (), description="columns of the file of groups: a CSV, a row for each row of test images"
    )


class DatasetEntry(Strict):
    """All that is known of one data set before a byte of it is downloaded."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    title: str
    kind: Literal["images", "digits", "features"]
    classes: int = Field(ge=2)
    sizes: Sizes = Sizes()
    parent: str | None = Field(None, description="data set whose classes these are a subset of")
    files: Mapping[str, RemoteFile] = Field(default_factory=dict)
    layout: Layout | None = None
    homes: tuple[str, ...] = Field((), description="addresses of files without urls: <home>/<name>")
    features: FeatureFacts = Field(FeatureFacts(), description="of features: how they are read")
    templates: tuple[str, ...] = ("a photo of a {}.",)
    training: tuple[TrainingSetting, ...] = Field((), description="empty: zero-shot only")
    augmix: bool = Field(True, description="AugMix on the test views")
    upright: bool = Field(
        True, description="turn pictures as their EXIF says; the paper's programs do not"
    )
    homepage: str = ""
    licence: str = "not stated"
    citation: str = ""
    notes: str = ""

    @model_validator(mode="after")
    def _parts_fit(self, info: ValidationInfo) -> Self:
        for template in self.templates:
            if template.count("{}") != 1:
                raise ValueError(f"template {template!r} needs one {{}} for the class name")
        if info.context == PARTIAL:
            return self
        if self.kind == "images" and self.layout is None:
            raise ValueError("a data set of images needs a layout")
        for role in self.layout.needed_roles if self.layout else ():
            if self.layout and not self.by_role(role):
                raise ValueError(f"layout {self.layout.kind} needs a file with role: {role}")
        if self.features.groups and not self.by_role("groups"):
            raise ValueError("features.groups need a file with role: groups")
        named = len(self.features.class_names)
        if named and named != self.classes:
            raise ValueError(f"{named} class_names for {self.classes} classes")
        return self

    @property
    def few_shot(self) -> bool:
        """Say whether the protocol has few-shot settings for this data set."""
        return bool(self.training)

    @property
    def groups(self) -> tuple[str, ...]:
        """Return what test images are grouped by: domains, hospitals, severities."""
        return self.layout.group_names if self.layout else self.features.groups

    def by_role(self, role: str) -> list[RemoteFile]:
        """Return the files with one role, in the registry's order."""
        return [file for file in self.files.values() if file.role == role]

    def name_of(self, path: Path | str) -> str:
        """Return the registry's name of a file: the longest that its path ends with."""
        text = Path(path).as_posix()
        found = [name for name in self.files if f"/{text}".endswith(f"/{name}")]
        return max(found, key=len, default=Path(path).name)

    def served_by(self, files: Iterable[Path | str]) -> Self:
        """Return the entry with the named files alone; without its archive, a part is empty."""
        names = {self.name_of(file) for file in files}
        kept = {name: file for name, file in self.files.items() if name in names}
        empty: dict[str, Any] = {
            file.part: 0 for file in self.files.values() if file.part and file.name not in kept
        }
        sizes = self.sizes.model_copy(update=empty)
        return self.model_copy(update={"files": kept, "sizes": sizes})

    def training_setting(self, shots: int) -> TrainingSetting:
        """Return the paper's training for `shots`; ConfigError where it has none."""
        for setting in self.training:
            if shots in setting.shots:
                return setting
        known = sorted(k for setting in self.training for k in setting.shots)
        raise ConfigError(
            f"the paper trains {self.name} with shots {known or 'never (zero-shot only)'}, not "
            f"{shots}; set training.learning_rate and training.epochs yourself"
        )


def entry_file(name: str) -> Path:
    """Return where the built-in entry of a data set stands."""
    return ENTRIES / f"{name}.yaml"


def _check_text(name: object, what: str, source: str) -> None:
    """Refuse a name that YAML does not read as text, such as 2024 or on."""
    if not isinstance(name, str):
        kind = YAML_KINDS.get(type(name), "no text")
        raise ConfigError(
            f"{what} {name} in {source} has a name that YAML reads as {kind}; put it in quotes"
        )


def _build(name: str, facts: Any, source: Path) -> DatasetEntry:
    if not isinstance(facts, Mapping):
        raise ConfigError(f"data set {name!r} in {source} is {facts!r}; it needs keys and values")
    files = facts.get("files") or {}
    for key in files if isinstance(files, Mapping) else ():
        _check_text(key, "file", str(source))
    try:
        homes = facts.get("homes") or ()
        every = {name: facts for key, facts in files.items() for name in _expanded(key, facts)}
        named = {key: _file(key, value or {}, homes) for key, value in every.items()}
        return DatasetEntry.model_validate({"name": name, **facts, "files": named})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        problem = f"{where}: {first['msg']}" if where else first["msg"]
        raise ConfigError(f"data set {name!r} in {source}: {problem}") from None
    except (AttributeError, TypeError):
        raise ConfigError(
            f"data set {name!r} in {source}: files is a mapping of file names to their facts"
        ) from None


def _file(name: str, facts: Mapping[str, Any], homes: Iterable[str]) -> dict[str, Any]:
    """Return a file's facts with its name, and its addresses where it has none of its own."""
    urls = [f"{home.rstrip('/')}/{name}" for home in homes]
    return {"name": name, "role": "archive", "urls": urls, **facts}


def _expanded(name: str, facts: Any) -> list[str]:
    """Return the names that a name with a range stands for; 0 and 1 of `test/{0..1}.tar`."""
    match = RANGE.fullmatch(name)
    if match is None:
        return [name]
    begin, first, last, end = match.groups()
    return [f"{begin}{number}{end}" for number in range(int(first), int(last) + 1)]


@cache
def _built_in() -> dict[str, dict[str, Any]]:
    return {
        path.stem: read_yaml(path, "the registry entry") for path in sorted(ENTRIES.glob("*.yaml"))
    }


def _extra(path: Path) -> Iterator[tuple[str, Any]]:
    content = read_yaml(path, "the registry file")
    if not isinstance(content.get("datasets"), Mapping):
        raise ConfigError(f"registry file {path} needs one key, datasets: {{name: ...}}")
    yield from content["datasets"].items()


def load_registry(extra: Path | str | None = None) -> dict[str, DatasetEntry]:
    """Return all data sets by name; the YAML file `extra` adds to them or overrides values.

    ConfigError names the data set, the key and the file for anything unusable.
    """
    facts: dict[str, Any] = dict(_built_in())
    sources = {name: ENTRIES / f"{name}.yaml" for name in facts}
    for name, values in _extra(Path(extra)) if extra else ():
        _check_text(name, "data set", str(extra))
        known = name in facts and isinstance(values, Mapping)
        facts[name] = merge(facts[name], values) if known else values
        sources[name] = Path(str(extra))
    return {name: _build(name, facts[name], sources[name]) for name in sorted(facts)}


def find_dataset(name: str, registry: Mapping[str, DatasetEntry]) -> DatasetEntry:
    """Return one entry; ConfigError names the nearest known data set."""
    if name not in registry:
        raise ConfigError(f"unknown data set {name!r}; {nearest(name, registry)}")
    return registry[name]
