"""The views of an image: view 0 is its resized centre, the others are drawn.

A view depends on (seed, image id, view number) alone, so any worker may make it, in any order. By
hand, because torchvision's transforms draw from a global state and differ between its versions.
Source: docs/method.md, section 1, and docs/data.md, "Views".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dmn.encoders.config import ViewConfig
from dmn.randomness import generator

if TYPE_CHECKING:
    from PIL import Image

Array = np.ndarray[Any, Any]
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
CROP_TRIES = 10
DRAWS = 96


@dataclass(frozen=True)
class Transform:
    """How a model wants its images: pixels of a side, channel means and deviations."""

    size: int = 224
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD
    interpolation: str = "bicubic"

    def centre(self, image: Image.Image) -> Image.Image:
        """Resize the short side to `size` and cut the centre out."""
        return _cut(self.enlarge(image), self.size)

    def enlarge(self, image: Image.Image) -> Image.Image:
        """Resize the short side to `size`, smaller or larger."""
        width, height = image.size
        short = min(width, height)
        shape = (int(self.size * width / short), int(self.size * height / short))
        if shape == image.size:
            return image
        return image.resize(shape, _resampling(self.interpolation))

    def normalise(self, pixels: Array) -> Array:
        """Return grey `[V, H, W]` or `[V, H, W, 3]` of 0 to 255 as float32 `[V, 3, H, W]`."""
        pixels = np.moveaxis(pixels, -1, -3) if pixels.ndim == 4 else pixels[:, None]
        shape = (len(self.mean), 1, 1)
        mean = np.array(self.mean, dtype=np.float32).reshape(shape)
        std = np.array(self.std, dtype=np.float32).reshape(shape)
        return (pixels.astype(np.float32) / np.float32(255) - mean) / std


def _resampling(name: str) -> Any:
    from PIL.Image import Resampling

    return Resampling.BILINEAR if name == "bilinear" else Resampling.BICUBIC


def _cut(image: Image.Image, size: int) -> Image.Image:
    left = round((image.width - size) / 2.0)
    top = round((image.height - size) / 2.0)
    return image.crop((left, top, left + size, top + size))


def make_views(
    image: Image.Image,
    image_id: str,
    count: int,
    seed: int,
    config: ViewConfig,
    transform: Transform,
) -> Array:
    """Return `count` normalised views of an RGB or grey image, float32 `[V, 3, H, W]`.

    A grey picture has one channel until the end, because each operation treats channels alike.
    """
    image = _one_channel(image)
    if min(image.size) < transform.size:
        # otherwise the crops of a tiny image could only move by whole pixels of it
        image = transform.enlarge(image)
    views = [np.asarray(transform.centre(image))]
    for number in range(1, count):
        draws = iter(generator(seed, "view", image_id, number).random(DRAWS).tolist())
        crop = random_crop(image, draws, config, transform.size)
        views.append(augmix(crop, draws, config.severity) if config.augmix else np.asarray(crop))
    return transform.normalise(np.stack(views))


def _one_channel(image: Image.Image) -> Image.Image:
    """Return a picture with equal channels as one channel, any other as RGB."""
    if image.mode != "L":
        image = image.convert("RGB")
        red, green, blue = (band.tobytes() for band in image.split())
        if red == green == blue:
            return image.getchannel(0)
    return image


def random_crop(
    image: Image.Image, draws: Iterator[float], config: ViewConfig, size: int
) -> Image.Image:
    """Cut out and resize a random part, and mirror it half of the time."""
    from PIL.Image import Transpose

    box = _crop_box(image.width, image.height, draws, config)
    resampling = _resampling(config.interpolation)
    crop = image.resize((size, size), resampling, box=box)
    if next(draws) < 0.5 and config.flip:
        crop = crop.transpose(Transpose.FLIP_LEFT_RIGHT)
    return crop


def _crop_box(
    width: int, height: int, draws: Iterator[float], config: ViewConfig
) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of a random part, as torchvision's RandomResizedCrop."""
    low, high = (math.log(ratio) for ratio in config.ratio)
    for _ in range(CROP_TRIES):
        area = width * height * _between(next(draws), *config.scale)
        ratio = math.exp(_between(next(draws), low, high))
        across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            left = int(next(draws) * (width - across + 1))
            top = int(next(draws) * (height - down + 1))
            return left, top, left + across, top + down
    ratio = min(max(width / height, config.ratio[0]), config.ratio[1])
    across, down = min(width, round(height * ratio)), min(height, round(width / ratio))
    left, top = (width - across) // 2, (height - down) // 2
    return left, top, left + across, top + down


def _between(draw: float, low: float, high: float) -> float:
    return low + draw * (high - low)


def augmix(image: Image.Image, draws: Iterator[float], severity: float) -> Array:
    """Mix an image with three chains of one to three operations, float32.

    The weights are Dirichlet(1, 1, 1), drawn as gaps between uniform numbers, and Beta(1, 1).
    Mixing pixels is mixing normalised tensors, because all weights add up to 1.
    """
    first, second = sorted((next(draws), next(draws)))
    weights = (first, second - first, 1 - second)
    share = next(draws)
    mixed = share * np.asarray(image, dtype=np.float32)
    for weight in weights:
        changed = image
        for _ in range(1 + int(next(draws) * 3)):
            operation = OPERATIONS[int(next(draws) * len(OPERATIONS))]
            level = _between(next(draws), 0.1, severity) / 10
            sign = -1 if next(draws) < 0.5 else 1
            changed = operation(changed, level, sign)
        mixed += (1 - share) * weight * np.asarray(changed, dtype=np.float32)
    return mixed


def _autocontrast(image: Image.Image, level: float, sign: int) -> Image.Image:
    from PIL import ImageOps

    return ImageOps.autocontrast(image)


def _equalize(image: Image.Image, level: float, sign: int) -> Image.Image:
    from PIL import ImageOps

    return ImageOps.equalize(image)


def _posterize(image: Image.Image, level: float, sign: int) -> Image.Image:
    from PIL import ImageOps

    return ImageOps.posterize(image, 4 - int(level * 4))


def _solarize(image: Image.Image, level: float, sign: int) -> Image.Image:
    from PIL import ImageOps

    return ImageOps.solarize(image, 256 - int(level * 256))


def _rotate(image: Image.Image, level: float, sign: int) -> Image.Image:
    return image.rotate(sign * int(level * 30), resample=_resampling("bilinear"))


def _affine(image: Image.Image, values: tuple[float, ...]) -> Image.Image:
    from PIL.Image import Transform as Kind

    return image.transform(image.size, Kind.AFFINE, values, resample=_resampling("bilinear"))


def _shear_x(image: Image.Image, level: float, sign: int) -> Image.Image:
    return _affine(image, (1, sign * level * 0.3, 0, 0, 1, 0))


def _shear_y(image: Image.Image, level: float, sign: int) -> Image.Image:
    return _affine(image, (1, 0, 0, sign * level * 0.3, 1, 0))


def _translate_x(image: Image.Image, level: float, sign: int) -> Image.Image:
    return _affine(image, (1, 0, sign * int(level * image.width / 3), 0, 1, 0))


def _translate_y(image: Image.Image, level: float, sign: int) -> Image.Image:
    return _affine(image, (1, 0, 0, 0, 1, sign * int(level * image.height / 3)))


OPERATIONS = (
    _autocontrast,
    _equalize,
    _posterize,
    _rotate,
    _solarize,
    _shear_x,
    _shear_y,
    _translate_x,
    _translate_y,
)


def enlarge_cells(cells: Array, size: int) -> Array:
    """Enlarge square images `[N, H, H]` to `[N, size, size]` as `Transform.enlarge` does."""
    from PIL import Image

    transform = Transform(size=size)
    images = (Image.fromarray(image.astype(np.uint8)) for image in cells)
    return np.stack([np.asarray(transform.enlarge(image)) for image in images])
