"""From images to features: views are made beside the encoder, shards survive a killed run.

A shard holds the features of some consecutive images. A restarted run takes the finished
shards over and ends with the same bytes as one that was never stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dmn.artifacts import read_json, read_tensors, write_json, write_tensors
from dmn.encoders.config import ViewConfig
from dmn.encoders.views import Transform, make_views
from dmn.errors import ArtifactError, DmnError, FeatureError

if TYPE_CHECKING:
    from PIL import Image

    from dmn.encoders.clip import Encoder

LOGGER = logging.getLogger(__name__)
Array = np.ndarray[Any, Any]
SHARD_IMAGES = 512
LARGEST_BATCH = 1024
# at a peak, ViT-B/16 and RN50 hold about this many bytes for each pixel of an image in float32
BYTES_PER_PIXEL = 512
MEMORY_SHARE = 0.4
CPU_PIXELS = 1 << 20


@dataclass(frozen=True)
class Picture:
    """One image of a data set: its id, its label and a function that decodes it."""

    id: str
    label: int
    opener: Callable[[], Image.Image]


@dataclass(frozen=True)
class ViewPlan:
    """Which views are made: how many of an image, from which seed, and how."""

    count: int
    seed: int
    config: ViewConfig


class _Views(Dataset[Any]):
    """The views of each picture; an error is handed on as a value, without its traceback."""

    def __init__(self, pictures: Sequence[Picture], plan: ViewPlan, transform: Transform) -> None:
        self.pictures, self.plan, self.transform = pictures, plan, transform

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Tensor | DmnError:
        picture, plan = self.pictures[index], self.plan
        try:
            image = picture.opener()
            views = make_views(
                image, picture.id, plan.count, plan.seed, plan.config, self.transform
            )
        except DmnError as error:
            return error
        return torch.from_numpy(views)


def extract(
    pictures: Sequence[Picture],
    encoder: Encoder,
    plan: ViewPlan,
    out: Path | str,
    *,
    facts: Mapping[str, Any] | None = None,
    workers: int = 0,
    batch: int = 0,
) -> None:
    """Write `views` `[N, V, D]` in float16 and `labels` `[N]`, with the ids among the facts.

    `facts` are stored beside them and say what the features depend on, the weights above all:
    shards of a run with other facts are not used. `workers` processes make views, `batch` 0 is
    fitted to the memory. Raises DataError naming an image that cannot be decoded.
    """
    if not pictures:
        raise FeatureError("no images to extract features from; check the split")
    out = Path(out)
    ids = [picture.id for picture in pictures]
    if len(set(ids)) != len(ids):
        raise FeatureError("two images have the same id; views of an image follow from its id")
    shards = _Shards(out, _key(ids, encoder, plan, dict(facts or {})), len(pictures))
    _encode_missing(pictures, encoder, plan, shards, workers, batch)
    labels = np.array([picture.label for picture in pictures], dtype=np.int64)
    views = np.concatenate([shards.read(start) for start in shards.starts])
    write_tensors(out, {"views": views, "labels": labels}, {**(facts or {}), "ids": ids})
    shards.remove()


def _key(ids: list[str], encoder: Encoder, plan: ViewPlan, facts: dict[str, Any]) -> str:
    """Return a hash of all that the features depend on."""
    values = {
        "ids": ids,
        "views": [plan.count, plan.seed, plan.config.model_dump(mode="json")],
        "transform": str(encoder.transform),
        "arithmetic": [str(encoder.dtype), str(encoder.mixed), encoder.device.type],
        "facts": facts,
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


class _Shards:
    """The finished parts of an unfinished file, in a hidden folder beside it."""

    def __init__(self, out: Path, key: str, count: int) -> None:
        self.folder = out.with_name(f".{out.name}.shards")
        self.starts = range(0, count, SHARD_IMAGES)
        self.count = count
        if self._stored_key() != key:
            self.remove()
            write_json(self.folder / "key.json", key)
        elif found := count - sum(map(self.size, self.missing())):
            LOGGER.info("going on with %d of %d images done", found, count)

    def _stored_key(self) -> str | None:
        try:
            return str(read_json(self.folder / "key.json"))
        except ArtifactError:
            return None

    def path(self, start: int) -> Path:
        return self.folder / f"{start:08d}.safetensors"

    def size(self, start: int) -> int:
        return min(SHARD_IMAGES, self.count - start)

    def missing(self) -> list[int]:
        return [start for start in self.starts if not self.path(start).exists()]

    def write(self, start: int, features: Array) -> None:
        write_tensors(self.path(start), {"views": features})

    def read(self, start: int) -> Array:
        return read_tensors(self.path(start))["views"]

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _encode_missing(
    pictures: Sequence[Picture],
    encoder: Encoder,
    plan: ViewPlan,
    shards: _Shards,
    workers: int,
    batch: int,
) -> None:
    """Encode the shards that are missing, each from batches that lie inside it."""
    size = batch or fitted_batch(encoder)
    step = max(1, size // plan.count)
    parts = [
        list(range(first, min(first + step, start + shards.size(start))))
        for start in shards.missing()
        for first in range(start, start + shards.size(start), step)
    ]
    loader = DataLoader(
        _Views(pictures, plan, encoder.transform),
        batch_sampler=parts,
        num_workers=workers,
        collate_fn=list,
        prefetch_factor=4 if workers else None,
    )
    done: list[Array] = []
    with _Progress(shards) as progress:
        for part, views in zip(parts, loader, strict=True):
            done.append(_features(encoder, _stacked(views), size))
            progress.advance(len(part))
            start = part[0] - part[0] % SHARD_IMAGES
            if part[-1] + 1 == start + shards.size(start):
                shards.write(start, np.concatenate(done))
                done.clear()


def _stacked(views: list[Tensor | DmnError]) -> Tensor:
    """Return `[b, V, 3, H, W]`, or raise the first error of a worker."""
    for view in views:
        if isinstance(view, DmnError):
            raise view
    return torch.stack([view for view in views if isinstance(view, Tensor)])


def _features(encoder: Encoder, views: Tensor, size: int) -> Array:
    """Return the features of views `[b, V, 3, H, W]` as float16 `[b, V, D]`."""
    flat = views.flatten(0, 1)
    parts = [_encoded(encoder, part) for part in flat.split(size)]
    rounded = torch.cat(parts).cpu().numpy().astype(np.float16)
    # the sign of a zero that was rounded is not the same on all machines
    return (rounded + np.float16(0)).reshape(*views.shape[:2], -1)


def _encoded(encoder: Encoder, images: Tensor) -> Tensor:
    """Encode images, in halves where the memory of the device does not suffice."""
    try:
        return encoder.encode_images(images)
    except torch.cuda.OutOfMemoryError:
        if len(images) == 1:
            raise
    torch.cuda.empty_cache()
    return torch.cat([_encoded(encoder, half) for half in images.chunk(2)])


def fitted_batch(encoder: Encoder) -> int:
    """Return how many images of a batch fit: of the device's whole memory, so always as many."""
    pixels = encoder.transform.size**2
    if encoder.device.type != "cuda":
        return max(1, min(LARGEST_BATCH // 8, CPU_PIXELS // pixels))
    memory = torch.cuda.get_device_properties(encoder.device).total_memory * MEMORY_SHARE
    fitting = int(memory / (BYTES_PER_PIXEL * pixels))
    return max(1, min(LARGEST_BATCH, 1 << max(0, fitting.bit_length() - 1)))


class _Progress:
    """A bar with the time left on a terminal, a line for each shard in a log."""

    def __init__(self, shards: _Shards) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = ("features", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        shown = sys.stderr.isatty()
        self.bar = Progress(*columns, console=Console(stderr=True), disable=not shown)
        self.total = sum(map(shards.size, shards.missing()))
        self.task = self.bar.add_task("features", total=self.total)
        self.done = 0

    def __enter__(self) -> _Progress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def advance(self, count: int) -> None:
        before, self.done = self.done, self.done + count
        self.bar.advance(self.task, count)
        if before // SHARD_IMAGES != self.done // SHARD_IMAGES or self.done == self.total:
            LOGGER.info("features of %d of %d images", self.done, self.total)
