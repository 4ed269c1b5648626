"""Corruptions of images at five severities, in the manner of ImageNet-C.

They work from 8 x 8 scans to photographs: sizes are shares of the image's side, amounts are
shares of the range of grey levels. All is computed in float64 and rounded once, and all draws
come from the generator that is passed in, so the bytes are the same on every machine.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy  # loads ndimage when it is first used, so that checking a name takes no second

from dmn.errors import ConfigError, nearest

if TYPE_CHECKING:
    from PIL import Image

Array = np.ndarray[Any, Any]
Draws = np.random.Generator
SEVERITIES = range(1, 6)


def corrupt(image: Image.Image, kind: str, severity: int, generator: Draws) -> Image.Image:
    """Return `image` (RGB or grey) with a corruption of `kind` at `severity` 1 to 5.

    A picture in RGB with equal channels keeps them equal. Raises ConfigError for an unknown
    kind or severity.
    """
    from PIL import Image

    check(kind, severity)
    mode = image.mode if image.mode in ("L", "RGB") else "RGB"
    pixels = np.asarray(image.convert(mode), dtype=np.float64) / 255
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    grey = bool((pixels == pixels[..., :1]).all())
    levels, change = KINDS[kind]
    changed = change(pixels[..., :1] if grey else pixels, levels[severity - 1], generator)
    # the inner rounding brings values that differ in their last bits to the same side of a half
    rounded = np.rint(np.round(np.clip(changed, 0.0, 1.0) * 255, 6)).astype(np.uint8)
    if mode == "L":
        return Image.fromarray(rounded[..., 0])
    return Image.fromarray(np.broadcast_to(rounded, (*rounded.shape[:2], 3)).copy())


def check_kind(kind: str) -> None:
    """Refuse an unknown kind of corruption."""
    if kind not in KINDS:
        raise ConfigError(f"unknown corruption {kind!r}; {nearest(kind, KINDS)}")


def check(kind: str, severity: int) -> None:
    """Refuse an unknown kind or severity of corruption."""
    check_kind(kind)
    if severity not in SEVERITIES:
        raise ConfigError(f"severity {severity} of corruption {kind} is not 1, 2, 3, 4 or 5")


def _side(pixels: Array) -> int:
    return min(pixels.shape[:2])


def _gaussian_noise(pixels: Array, level: float, draws: Draws) -> Array:
    return pixels + level * draws.standard_normal(pixels.shape)


def _shot_noise(pixels: Array, photons: float, draws: Draws) -> Array:
    return draws.poisson(pixels * photons) / photons


def _impulse_noise(pixels: Array, share: float, draws: Draws) -> Array:
    where = draws.random(pixels.shape[:2]) < share
    values = draws.integers(2, size=pixels.shape[:2])
    return np.where(where[..., None], values[..., None], pixels)


def _speckle_noise(pixels: Array, level: float, draws: Draws) -> Array:
    return pixels * (1 + level * draws.standard_normal(pixels.shape))


def _gaussian_blur(pixels: Array, width: float, draws: Draws) -> Array:
    sigma = width * _side(pixels)
    return scipy.ndimage.gaussian_filter(pixels, (sigma, sigma, 0), mode="nearest")


def _defocus_blur(pixels: Array, radius: float, draws: Draws) -> Array:
    return _convolve(pixels, _disc(radius * _side(pixels)))


def _disc(radius: float) -> Array:
    """Return a disc of ones whose rim is soft over one pixel, its sum one."""
    reach = int(np.ceil(radius))
    steps = np.arange(-reach, reach + 1)
    distance = np.sqrt(steps[:, None] ** 2 + steps[None, :] ** 2)
    disc = np.clip(radius + 0.5 - distance, 0.0, 1.0)
    return disc / disc.sum()


def _motion_blur(pixels: Array, length: float, draws: Draws) -> Array:
    """Average along a line of random direction."""
    return _convolve(pixels, _line(length * _side(pixels) / 2, draws.uniform(0, np.pi)))


def _line(reach: float, angle: float) -> Array:
    """Return a line through the middle, each point shared by the four pixels around it."""
    edge = int(np.ceil(reach)) + 1
    kernel = np.zeros((2 * edge + 1, 2 * edge + 1))
    steps = np.linspace(-reach, reach, 4 * edge + 1)
    for row, column in zip(edge + steps * np.sin(angle), edge + steps * np.cos(angle), strict=True):
        top, left = int(row), int(column)
        down, right = row - top, column - left
        kernel[top : top + 2, left : left + 2] += np.outer((1 - down, down), (1 - right, right))
    return kernel / kernel.sum()


def _convolve(pixels: Array, kernel: Array) -> Array:
    """Convolve every channel, by Fourier transform where the kernel is large."""
    if kernel.shape[0] <= 9:
        return scipy.ndimage.convolve(pixels, kernel[..., None], mode="nearest")
    from scipy.signal import fftconvolve

    edge = kernel.shape[0] // 2
    padded = np.pad(pixels, ((edge, edge), (edge, edge), (0, 0)), mode="edge")
    return fftconvolve(padded, kernel[..., None], mode="valid", axes=(0, 1))


def _pixelate(pixels: Array, factor: float, draws: Draws) -> Array:
    """Average blocks of pixels, at least two cells of an image's side."""
    size = max(2, round(_side(pixels) * factor))
    return _resized(_resized(pixels, (size, size), "BOX"), pixels.shape[:2], "NEAREST")


def _resized(pixels: Array, shape: tuple[int, ...], how: str) -> Array:
    from PIL import Image

    method = Image.Resampling[how]
    bands = np.rint(pixels * 255).astype(np.uint8)
    size = (shape[1], shape[0])
    done = [
        Image.fromarray(bands[..., band]).resize(size, method) for band in range(bands.shape[2])
    ]
    return np.stack([np.asarray(band) for band in done], axis=-1) / 255


def _jpeg(pixels: Array, quality: float, draws: Draws) -> Array:
    from PIL import Image

    stream = io.BytesIO()
    bands = np.rint(pixels * 255).astype(np.uint8)
    picture = Image.fromarray(bands[..., 0] if bands.shape[2] == 1 else bands)
    picture.save(stream, "JPEG", quality=int(quality))
    with Image.open(stream) as decoded:
        return np.asarray(decoded).reshape(pixels.shape) / 255


def _brightness(pixels: Array, level: float, draws: Draws) -> Array:
    return pixels + level


def _contrast(pixels: Array, factor: float, draws: Draws) -> Array:
    mean = pixels.mean(axis=(0, 1), keepdims=True)
    return mean + (pixels - mean) * factor


def _fog(pixels: Array, level: float, draws: Draws) -> Array:
    """Mix with a cloud of noise at several scales."""
    cloud = np.zeros(pixels.shape[:2])
    side = max(pixels.shape[:2])
    for octave in range(1, 6):
        spread = side / 2**octave
        layer = scipy.ndimage.gaussian_filter(
            draws.standard_normal(cloud.shape), spread, mode="wrap"
        )
        cloud += layer / max(float(layer.std()), 1e-12) / 2**octave
    cloud = (cloud - cloud.min()) / max(float(np.ptp(cloud)), 1e-12)
    return (pixels + level * cloud[..., None]) / (1 + level)


def _elastic(pixels: Array, level: float, draws: Draws) -> Array:
    """Move pixels by a smooth random field."""
    side = _side(pixels)
    fields = draws.standard_normal((2, *pixels.shape[:2]))
    moves = np.stack(
        [scipy.ndimage.gaussian_filter(field, side / 8, mode="reflect") for field in fields]
    )
    moves *= level * side / max(float(moves.std()), 1e-12)
    grid = np.indices(pixels.shape[:2]) + moves
    bands = [
        scipy.ndimage.map_coordinates(pixels[..., band], grid, order=1, mode="nearest")
        for band in range(pixels.shape[2])
    ]
    return np.stack(bands, axis=-1)


def _rotation(pixels: Array, degrees: float, draws: Draws) -> Array:
    """Turn left or right by about `degrees`."""
    angle = degrees * draws.uniform(0.8, 1.2) * draws.choice([-1, 1])
    return scipy.ndimage.rotate(pixels, angle, axes=(1, 0), reshape=False, order=1, mode="nearest")


def _inversion(pixels: Array, share: float, draws: Draws) -> Array:
    """Mix with the negative; severity 5 is the whole negative."""
    return (1 - share) * pixels + share * (1 - pixels)


def _erosion(pixels: Array, amount: float, draws: Draws) -> Array:
    """Thin the bright strokes: mix with the minimum over a cross of neighbours."""
    reach = max(1, round(_side(pixels) / 32))
    steps = np.abs(np.arange(-reach, reach + 1))
    cross = (steps[:, None] + steps[None, :] <= reach)[..., None]
    return (1 - amount) * pixels + amount * scipy.ndimage.minimum_filter(
        pixels, footprint=cross, mode="nearest"
    )


Change = Callable[[Array, float, Draws], Array]
KINDS: dict[str, tuple[tuple[float, ...], Change]] = {
    "gaussian_noise": ((0.08, 0.12, 0.18, 0.26, 0.38), _gaussian_noise),
    "shot_noise": ((60, 25, 12, 5, 3), _shot_noise),
    "impulse_noise": ((0.03, 0.06, 0.09, 0.17, 0.27), _impulse_noise),
    "speckle_noise": ((0.15, 0.2, 0.35, 0.45, 0.6), _speckle_noise),
    "gaussian_blur": ((0.005, 0.01, 0.015, 0.02, 0.03), _gaussian_blur),
    "defocus_blur": ((0.013, 0.018, 0.027, 0.036, 0.045), _defocus_blur),
    "motion_blur": ((0.045, 0.07, 0.09, 0.12, 0.16), _motion_blur),
    "pixelate": ((0.6, 0.5, 0.4, 0.3, 0.25), _pixelate),
    "jpeg": ((25, 18, 15, 10, 7), _jpeg),
    "brightness": ((0.1, 0.2, 0.3, 0.4, 0.5), _brightness),
    "contrast": ((0.4, 0.3, 0.2, 0.1, 0.05), _contrast),
    "fog": ((0.75, 1.0, 1.5, 2.0, 3.0), _fog),
    "elastic": ((0.005, 0.01, 0.015, 0.02, 0.03), _elastic),
    "noise": ((0.1, 0.2, 0.3, 0.4, 0.5), _gaussian_noise),
    "blur": ((0.05, 0.07, 0.09, 0.11, 0.13), _gaussian_blur),
    "rotation": ((10, 20, 30, 40, 50), _rotation),
    "inversion": ((0.2, 0.4, 0.6, 0.8, 1.0), _inversion),
    "erosion": ((0.2, 0.35, 0.5, 0.65, 0.8), _erosion),
}
