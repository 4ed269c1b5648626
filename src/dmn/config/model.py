"""The sections of the configuration with their defaults, bounds and descriptions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from dmn.encoders.config import EncoderConfig, EncoderTraining, ViewConfig
from dmn.method.choices import SETTINGS, Kind, Position, Readout, Setting
from dmn.schema import Strict
from dmn.seeds import SeedEntry, all_seeds

Seed = Annotated[int, Field(ge=0)]
MAX_VALIDATION_SHOTS = 4


class Seeds(Strict):
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


class Download(Strict):
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


class Splits(Strict):
    """Few-shot sampling."""

    sampling: Literal["nested", "authors"] = Field(
        "nested",
        description="nested: more shots contain the fewer; authors: as the released program draws",
    )
    validation_shots: int = Field(
        MAX_VALIDATION_SHOTS,
        ge=0,
        description="validation images per class; few-shot settings take min(shots, this); 0: none",
    )


class Views(ViewConfig):
    """How many views of an image are cached, and how they are drawn."""

    test: int = Field(16, ge=1, le=128, description="views of a test image, view 0 included")
    train: int = Field(8, ge=1, le=128, description="views of a training image, view 0 included")
    seed: Seed = Field(0, description="draws of crops, flips and AugMix")
    flip: bool = Field(False, description="mirror half of the views; off where sides matter")
    augmix: bool = Field(
        True, description="AugMix on test views, where the data set's registry entry has it on"
    )


class Prompts(Strict):
    """What is said to the text encoder, or which text of features that others made is taken."""

    kind: Literal["single", "templates", "cupl", "both"] = Field(
        "templates", description="one template, the data set's, CuPL's sentences, or the last two"
    )
    text: str | None = Field(
        None, description="features that others made: name of the text (empty: the registry's)"
    )


class Model(Strict):
    """The Dual Memory Network (docs/method.md)."""

    length: int = Field(50, ge=1, description="L, slots of a class in the dynamic memory")
    beta: float = Field(5.5, gt=0, description="sharpness of the attention")
    readout: Readout = Field("similarity", description="how a class's slots become its classifier")
    view_share: float = Field(
        0.2, gt=0, le=1, description="share of views kept, least entropy (paper: 3 of 32; 3 of 16)"
    )
    position: Position = Field("all", description="where projections act")
    projection: Kind = Field(
        "bias", description="class-wise biases (as released) or D x D layers (as in the paper)"
    )


class Training(Strict):
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


class Fusion(Strict):
    """Weights of text, dynamic and static prediction."""

    fixed: tuple[float, float, float] = Field(
        (1.0, 1.0, 1.0), description="text, dynamic, static; chosen beforehand"
    )
    grid: list[float] = Field(
        [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000],
        min_length=1,
        description="candidates for the dynamic and for the static weight; text has 1",
    )
    rule: Literal["coherence", "middle", "first"] = Field(
        "coherence",
        description="how weights are chosen on validation images (docs/method.md, section 10); "
        "first: of the most accurate the smallest, as the released program does on test images",
    )


class Reports(Strict):
    """How reports are worded (docs/statistics.md)."""

    smallest_difference: float = Field(
        0.5, ge=0, description="points; smaller differences are never named a gain or a loss"
    )


class Corruptions(Strict):
    """Distribution shifts made from the test images."""

    kinds: list[str] = Field(
        ["noise", "blur", "rotation", "inversion", "erosion"], description="see docs/data.md"
    )
    severities: list[Annotated[int, Field(ge=1, le=5)]] = Field(
        [1, 3, 5], min_length=1, description="1 is mild, 5 is severe"
    )


class Numerics(Strict):
    """How numbers are computed; artifacts are rounded at their boundary (docs/exactness.md)."""

    device: str = Field("cpu", description="cpu, cuda or cuda:1")
    dtype: Literal["float32", "float64"] = Field(
        "float64", description="float64: the same bytes on every CPU; float32: large data on GPUs"
    )
    threads: int = Field(1, ge=1, description="threads of a job's matrix products")


class Config(Strict):
    """The whole run. The defaults are the embedded demo."""

    datasets: list[str] = Field(["digits"], min_length=1, description="names in the registry")
    backbones: list[str] = Field(["glyph"], min_length=1, description="names in `encoders`")
    settings: list[Setting] = Field(
        [*SETTINGS], min_length=1, description="which of the paper's three settings"
    )
    shots: list[Annotated[int, Field(ge=1)]] = Field(
        [1, 4, 16], min_length=1, description="K, labelled images per class"
    )
    studies: dict[str, dict[str, Any]] = Field(
        {}, description="studies to make, each with changes to its options; empty: all of them"
    )
    seeds: Seeds = Seeds()
    download: Download = Download()
    encoders: dict[str, EncoderConfig] = Field(
        {"glyph": EncoderConfig(precision="float64")}, description="backbones by name"
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
    reports: Reports = Reports()
