"""The paper's backbones at full size, untrained: their shapes, transforms and memory are real."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dmn.artifacts import read_tensors

# in a process of its own, so that its peak memory is that of one extraction
PROGRAM = """
import json, resource, sys, time
import numpy as np
import torch
from PIL import Image
from dmn.artifacts import write_tensors
from dmn.encoders.clip import fetch_weights, load_encoder
from dmn.encoders.extraction import Picture, ViewPlan, extract
from dmn.encoders.config import EncoderConfig, ViewConfig
from dmn.randomness import generator

model, folder = sys.argv[1:]
torch.set_num_threads(1)
config = EncoderConfig(model=model)
write_tensors(f"{folder}/weights.safetensors", fetch_weights(config))
encoder = load_encoder(config, f"{folder}/weights.safetensors")

def opener(index):
    pixels = generator(0, "picture", index).integers(0, 256, (300, 400, 3)).astype(np.uint8)
    return lambda: Image.fromarray(pixels)

pictures = [Picture(f"{i}.png", i % 2, opener(i)) for i in range(3)]
start = time.perf_counter()
extract(pictures, encoder, ViewPlan(2, 0, ViewConfig()), f"{folder}/out.safetensors")
seconds = time.perf_counter() - start
text = encoder.encode_text(["a photo of a dog.", "a photo of a cat."])
print(json.dumps({
    "size": encoder.transform.size,
    "mean": list(encoder.transform.mean),
    "interpolation": encoder.transform.interpolation,
    "text": list(text.shape),
    "logit_scale": encoder.logit_scale,
    "parameters": sum(p.numel() for p in encoder.model.parameters()),
    "seconds": round(seconds, 2),
    "peak_mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
}))
"""
OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "dimension", "parameters"),
    [("RN50-quickgelu", 1024, 102_007_137), ("ViT-B-16-quickgelu", 512, 149_620_737)],
)
def test_a_full_size_backbone_extracts_a_few_images(
    model: str, dimension: int, parameters: int, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, model, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    views = read_tensors(tmp_path / "out.safetensors")["views"]
    assert views.shape == (3, 2, dimension)
    norms = np.linalg.norm(views.astype(np.float64), axis=-1)
    assert np.allclose(norms, 1, atol=2e-3)
    assert found["text"] == [2, dimension]
    assert found["size"] == 224
    assert found["mean"] == pytest.approx(OPENAI_MEAN)
    assert found["interpolation"] == "bicubic"
    assert found["parameters"] == parameters
    # the weights twice (file and model), torch, and the activations of one batch
    assert found["peak_mebibytes"] < 4096
