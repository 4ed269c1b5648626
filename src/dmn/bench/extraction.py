"""How busy extraction keeps the encoder: its images per second beside the bare model's.

    dmn bench extraction --model ViT-B-16-quickgelu --device cuda --workers 15

Pictures and weights are drawn, nothing is downloaded.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from dmn.artifacts import write_json
from dmn.encoders.clip import Encoder, build_small, fetch_weights, load_encoder
from dmn.encoders.config import EncoderConfig, SmallClip, ViewConfig
from dmn.encoders.extraction import Picture, ViewPlan, extract, fitted_batch
from dmn.encoders.models import EMBEDDED
from dmn.randomness import generator

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Photograph:
    """Decodes a JPEG image of noise, as large as those of ImageNet on average."""

    content: bytes

    def __call__(self) -> Image.Image:
        from PIL import Image

        return Image.open(io.BytesIO(self.content)).convert("RGB")


def photograph(index: int, width: int = 500, height: int = 375) -> Photograph:
    """Return a smooth random picture as JPEG."""
    from PIL import Image

    coarse = generator(0, "benchmark", index).integers(0, 256, (12, 16, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize((width, height)).save(stream, "JPEG", quality=90)
    return Photograph(stream.getvalue())


def bare_rate(encoder: Encoder, batch: int, count: int) -> float:
    """Return the images per second of the model alone, on a batch that is already there."""
    size = encoder.transform.size
    images = torch.zeros(batch, 3, size, size, device=encoder.device, dtype=encoder.dtype)
    encoder.encode_images(images).cpu()
    rounds = max(2, count // batch)
    start = time.perf_counter()
    for _ in range(rounds):
        features = encoder.encode_images(images)
    features.cpu()
    return rounds * batch / (time.perf_counter() - start)


def extraction_rate(
    encoder: Encoder, plan: ViewPlan, batch: int, count: int, workers: int
) -> float:
    """Return the views per second of a whole extraction, decoding and writing included."""
    pictures = [Picture(f"{index}.jpg", 0, photograph(index)) for index in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        out = Path(folder) / "features.safetensors"
        extract(pictures, encoder, plan, out, workers=workers, batch=batch)
        return count * plan.count / (time.perf_counter() - start)


def untrained(config: EncoderConfig, device: str) -> Encoder:
    """Return an encoder with random weights; its speed is that of a trained one."""
    from dmn.artifacts import write_tensors

    facts = {"pretraining": {"architecture": SmallClip().model_dump()}}
    if config.model == EMBEDDED:
        state = build_small(SmallClip()).state_dict()
        weights = {name: value.numpy() for name, value in state.items()}
    else:
        weights = fetch_weights(config)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        write_tensors(path, weights, facts)
        return load_encoder(config, path, device)


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn bench extraction`."""
    parser.add_argument("--model", default=EMBEDDED, help="embedded, or a name of open_clip")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--precision", default="float32", help="float64, float32, float16 or bfloat16"
    )
    parser.add_argument("--images", type=int, default=64, help="pictures to extract")
    parser.add_argument("--views", type=int, default=8, help="views of a picture")
    parser.add_argument("--workers", type=int, default=0, help="processes that make views")
    parser.add_argument("--threads", type=int, default=1, help="threads of the model on a CPU")
    parser.add_argument("--no-augmix", action="store_true", help="crop and flip only")
    parser.add_argument("--out", help="JSON file to write")


def main(arguments: argparse.Namespace) -> None:
    """Measure and print one comparison."""
    torch.set_num_threads(arguments.threads)
    config = EncoderConfig(model=arguments.model, precision=arguments.precision)
    encoder = untrained(config, arguments.device)
    batch = fitted_batch(encoder)
    plan = ViewPlan(arguments.views, 0, ViewConfig(augmix=not arguments.no_augmix))
    bare = bare_rate(encoder, batch, arguments.images * arguments.views)
    whole = extraction_rate(encoder, plan, batch, arguments.images, arguments.workers)
    result = {
        **{name: value for name, value in vars(arguments).items() if name != "main"},
        "batch": batch,
        "bare_images_per_second": round(bare, 1),
        "extraction_images_per_second": round(whole, 1),
        "share": round(whole / bare, 3),
    }
    if arguments.out:
        write_json(arguments.out, result)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
