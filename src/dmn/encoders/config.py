"""What can be chosen about an encoder, its pretraining and its views; imports without torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from dmn.schema import Strict

Precision = Literal["float64", "float32", "float16", "bfloat16"]


class GlyphConfig(Strict):
    """How glyphs of fonts are drawn so that they resemble 8 x 8 scans of handwriting."""

    rotation: float = Field(15.0, ge=0, le=45, description="largest rotation, degrees")
    shear: float = Field(0.3, ge=0, le=1, description="largest horizontal shear, a ratio")
    width: tuple[float, float] = Field(
        (0.65, 1.15), description="range of the horizontal scale, relative to the font's"
    )
    height: tuple[float, float] = Field(
        (0.90, 1.05), description="range of the glyph's height, share of the image"
    )
    shift: float = Field(0.06, ge=0, le=0.5, description="largest shift, share of the image")
    warp: float = Field(0.10, ge=0, le=0.5, description="largest smooth warp, share of the image")
    stroke: tuple[float, float] = Field(
        (3.2, 7.0), description="range of the stroke's half width, 1/64 of the image"
    )
    gamma: tuple[float, float] = Field((0.5, 1.2), description="range of the gamma exponent")
    gain: tuple[float, float] = Field((1.0, 1.6), description="range of the gain before clipping")
    noise: float = Field(0.08, ge=0, le=1, description="largest standard deviation of noise")

    @model_validator(mode="after")
    def _ranges_ascend(self) -> Self:
        for name in ("width", "height", "stroke", "gamma", "gain"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} must be a range (low, high) with 0 < low <= high")
        return self


class SmallClip(Strict):
    """The embedded CLIP: a modified ResNet and a text transformer, both of open_clip."""

    embed_dim: int = Field(64, ge=8, le=1024, description="dimension D of the features")
    image_size: int = Field(32, ge=32, le=512, multiple_of=32, description="pixels of a side")
    layers: tuple[int, int, int, int] = Field((1, 1, 1, 1), description="blocks of each stage")
    image_width: int = Field(8, ge=2, le=256, multiple_of=2, description="channels of the stem")
    head_width: int = Field(32, ge=8, le=128, description="channels of a head of attention")
    context: int = Field(16, ge=8, le=77, description="tokens of a caption, end marks included")
    text_width: int = Field(64, ge=8, le=1024, description="channels of the text transformer")
    text_heads: int = Field(4, ge=1, le=16, description="heads of the text transformer")
    text_layers: int = Field(2, ge=1, le=24, description="layers of the text transformer")
    mlp_ratio: float = Field(2.0, gt=0, le=8, description="hidden units of a layer / its width")


class EncoderTraining(Strict):
    """Contrastive pretraining of the embedded CLIP on glyphs with captions."""

    architecture: SmallClip = Field(SmallClip(), description="the network")
    glyphs: GlyphConfig = Field(GlyphConfig(), description="how glyphs are drawn")
    steps: int = Field(250, ge=1, le=1_000_000, description="optimiser steps")
    batch: int = Field(128, ge=2, le=65536, description="glyph images of a step")
    captions: int = Field(64, ge=2, le=65536, description="captions of a step")
    lr: float = Field(2e-3, gt=0, le=1, description="peak learning rate")
    betas: tuple[float, float] = Field((0.9, 0.98), description="AdamW's decay rates")
    eps: float = Field(1e-6, gt=0, le=1, description="AdamW's epsilon")
    weight_decay: float = Field(0.05, ge=0, le=10, description="decoupled decay of matrices")
    warmup: int = Field(40, ge=0, description="steps of linear warm-up; a cosine follows")
    clip: float = Field(1.0, gt=0, description="largest norm of the whole gradient")
    logit_scale: float = Field(
        100.0, gt=0, le=1000, description="frozen scale of the similarities, as CLIP ended at"
    )
    precision: Literal["float64", "float32"] = Field(
        "float64", description="float64: same weights on any CPU; float32: faster, not exact"
    )
    seed: int = Field(0, ge=0, description="seed of the initial weights and of all drawings")


class ViewConfig(Strict):
    """The augmented views of an image; view 0 is always the resized centre crop."""

    scale: tuple[float, float] = Field((0.5, 1.0), description="area of a crop, share of the image")
    ratio: tuple[float, float] = Field((3 / 4, 4 / 3), description="width / height of a crop")
    interpolation: Literal["bilinear", "bicubic"] = Field(
        "bilinear", description="of the crops; view 0 has the model's own"
    )
    flip: bool = Field(True, description="mirror half of the views; off where sides matter")
    augmix: bool = Field(True, description="AugMix after the crop (off for ImageNet, training)")
    severity: float = Field(1.0, gt=0, le=10, description="AugMix's severity, of 10")

    @model_validator(mode="after")
    def _ranges_ascend(self) -> Self:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError("scale must be a range (low, high) with 0 < low <= high <= 1")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError("ratio must be a range (low, high) with 0 < low <= high")
        return self


class EncoderConfig(Strict):
    """Which image and text encoder makes the features.

    `model: embedded` is the small CLIP that `pretraining` trains. Any other name is one of
    open_clip's, with a `pretrained` tag or a `checkpoint` file.
    """

    model: str = Field("embedded", description="'embedded' or a model name of open_clip")
    pretrained: str | None = Field(None, description="a tag of open_clip's, such as openai")
    checkpoint: str | None = Field(None, description="a checkpoint file saved by open_clip")
    precision: Precision = Field("float32", description="arithmetic; 16 bits: mixed precision")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.pretrained and self.checkpoint:
            raise ValueError("give either pretrained or checkpoint, not both")
        if self.model == "embedded" and (self.pretrained or self.checkpoint):
            raise ValueError("the embedded model is trained here; leave pretrained, checkpoint out")
        return self
