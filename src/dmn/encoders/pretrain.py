"""Contrastive pretraining of the embedded CLIP on glyphs with captions.

In float64, with the final weights rounded to float16: the last bits, in which instruction sets
differ, are then gone from the result. The two towers run beside each other, each on one thread,
so that no sum depends on the number of cores.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dmn.datasets.digits import CLASS_NAMES, grey
from dmn.encoders.clip import build_small
from dmn.encoders.config import EncoderTraining
from dmn.encoders.glyphs import draw
from dmn.encoders.views import Transform, enlarge_cells
from dmn.randomness import generator
from dmn.workers import workers

if TYPE_CHECKING:
    from open_clip.model import CLIP

LOGGER = logging.getLogger(__name__)
REPORT_EVERY = 50
CAPTIONS = (
    "a photo of the digit {word}.",
    "a photo of the number {number}.",
    "a photo of a {word}.",
    "a photo of the digit {number}.",
    "a sketch of the number {number}.",
    "a drawing of the digit {word}.",
    "a handwritten {word}.",
    "a handwritten digit {word}.",
    "the number {number}.",
    "the digit {word}.",
    "a scan of the digit {word}.",
    "a scan of a handwritten {number}.",
)


@dataclass
class Batch:
    """One step's glyphs `[B, 3, H, W]` and captions, by row; same `[B, P]` says which belong."""

    images: Tensor
    rows: Tensor
    same: Tensor


@dataclass
class Pretrained:
    """Weights rounded to float16, by name, and the loss at every tenth step."""

    weights: dict[str, np.ndarray[Any, Any]]
    history: list[dict[str, float]] = field(default_factory=list)


def initialise(model: CLIP, draws: np.random.Generator, logit_scale: float) -> None:
    """Draw all matrices from `draws`, because torch's own normals differ between CPUs."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".layer" in name and name.endswith("bn3.weight"):
                weight.zero_()
            elif weight.ndim > 1:
                normal = draws.standard_normal(tuple(weight.shape)) * _deviation(name, weight)
                weight.copy_(torch.from_numpy(normal))
            elif name.endswith("bias"):
                weight.zero_()
        model.logit_scale.fill_(math.log(logit_scale))


def _deviation(name: str, weight: Tensor) -> float:
    if name == "token_embedding.weight":
        return 0.02
    if name == "positional_embedding":
        return 0.01
    if name == "visual.attnpool.positional_embedding" or weight.ndim == 2:
        return float(weight.shape[1] ** -0.5)
    return float((3 * weight[0].numel()) ** -0.5)


def captions() -> tuple[list[str], np.ndarray[Any, Any]]:
    """Return all captions and the digit of each."""
    texts = [
        template.format(word=word, number=digit)
        for template in CAPTIONS
        for digit, word in enumerate(CLASS_NAMES)
    ]
    return texts, np.tile(np.arange(10), len(CAPTIONS))


class _Vocabulary:
    """The few tokens that captions use, renumbered, so that the optimiser sees only them."""

    def __init__(self, model: CLIP) -> None:
        from open_clip import SimpleTokenizer

        texts, self.digits = captions()
        tokens = SimpleTokenizer(context_length=model.context_length)(texts)
        self.length = int((tokens != 0).sum(1).max())
        self.used, self.tokens = tokens[:, : self.length].unique(return_inverse=True)
        self.table = model.token_embedding.weight.detach()[self.used].clone().requires_grad_()
        self.ends = tokens.argmax(1)

    def encode(self, model: CLIP, rows: Tensor) -> Tensor:
        """Return the features of the captions `rows`; tokens after the end are left out."""
        x = self.table[self.tokens[rows]] + model.positional_embedding[: self.length]
        x = model.transformer(x, attn_mask=model.attn_mask[: self.length, : self.length])
        x = model.ln_final(x)[torch.arange(len(rows)), self.ends[rows]]
        return x @ model.text_projection


def pretrain(config: EncoderTraining) -> Pretrained:
    """Train the embedded CLIP; equal config give equal weights."""
    dtype = {"float64": torch.float64, "float32": torch.float32}[config.precision]
    model = build_small(config.architecture).to(dtype)
    initialise(model, generator(config.seed, "encoder-weights"), config.logit_scale)
    words = _Vocabulary(model)
    optimiser = _optimiser(model, words, config)
    history = []
    model.train()
    with workers(1) as beside:
        for step, batch in enumerate(_batches(words, config, beside)):
            rate = _rate(step, config)
            for group in optimiser.param_groups:
                group["lr"] = rate
            loss = _step(model, words, optimiser, config, batch, beside)
            if step % 10 == 0 or step == config.steps - 1:
                history.append({"step": step, "loss": round(loss, 4), "lr": round(rate, 8)})
            if (step + 1) % REPORT_EVERY == 0:
                LOGGER.info("pretraining: step %d of %d, loss %.3f", step + 1, config.steps, loss)
    return Pretrained(_rounded(model, words), history)


def _optimiser(model: CLIP, words: _Vocabulary, config: EncoderTraining) -> torch.optim.AdamW:
    frozen = {"token_embedding.weight", "logit_scale"}
    trained = [p for name, p in model.named_parameters() if name not in frozen]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in frozen)
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [words.table, *(p for p in trained if p.ndim < 2)], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps)


def _rate(step: int, config: EncoderTraining) -> float:
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    span = max(1, config.steps - config.warmup)
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - config.warmup) / span))


def _batches(words: _Vocabulary, config: EncoderTraining, beside: Executor) -> Iterator[Batch]:
    """Yield the batch of each step; the next one is drawn meanwhile."""
    upcoming = beside.submit(_batch, words, config, 0)
    for step in range(config.steps):
        batch = upcoming.result()
        if step + 1 < config.steps:
            upcoming = beside.submit(_batch, words, config, step + 1)
        yield batch


def _batch(words: _Vocabulary, config: EncoderTraining, step: int) -> Batch:
    draws = generator(config.seed, "encoder-batch", step)
    digits = draws.integers(10, size=config.batch)
    images = glyph_batch(digits, config, draws).to(words.table.dtype)
    rows = draws.choice(len(words.digits), config.captions, replace=False)
    same = digits[:, None] == words.digits[rows][None, :]
    return Batch(images, torch.from_numpy(rows), torch.from_numpy(same))


def _step(
    model: CLIP,
    words: _Vocabulary,
    optimiser: torch.optim.AdamW,
    config: EncoderTraining,
    batch: Batch,
    beside: Executor,
) -> float:
    """Take one step, the text tower on another thread than the image tower; return the loss."""
    spoken = beside.submit(words.encode, model, batch.rows)
    towers = (model.encode_image(batch.images), spoken.result())
    # the towers share no parameter: each can go back alone
    ends = [features.detach().requires_grad_() for features in towers]
    seen, said = (functional.normalize(features, dim=-1) for features in ends)
    loss = contrast(config.logit_scale * seen @ said.T, batch.same)
    slopes = torch.autograd.grad(loss, ends)
    optimiser.zero_grad()
    text = beside.submit(towers[1].backward, slopes[1])
    towers[0].backward(slopes[0])
    text.result()
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(parameters, config.clip)
    optimiser.step()
    return float(loss.detach())


def glyph_batch(
    digits: np.ndarray[Any, Any], config: EncoderTraining, draws: np.random.Generator
) -> Tensor:
    """Return glyphs as the encoder sees scans, float32 `[B, 3, H, W]`, normalised."""
    size = config.architecture.image_size
    scans = enlarge_cells(grey(draw(digits, config.glyphs, draws)), size)
    return torch.from_numpy(Transform(size=size).normalise(scans))


def contrast(logits: Tensor, same: Tensor) -> Tensor:
    """Return the contrastive loss of `logits` `[B, P]` where several captions may be right.

    The target of a row (and of a column) is spread evenly over its positives `same` `[B, P]`;
    rows and columns without any are left out.
    """
    losses = []
    for scores, positive in ((logits, same), (logits.T, same.T)):
        count = positive.sum(1)
        right = (scores.log_softmax(1) * positive).sum(1)[count > 0] / count[count > 0]
        losses.append(-right.mean())
    return (losses[0] + losses[1]) / 2


def _rounded(model: CLIP, words: _Vocabulary) -> dict[str, np.ndarray[Any, Any]]:
    """Return all weights in float16; tokens that no caption used become zero."""
    weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    weights["token_embedding.weight"].zero_()
    weights["token_embedding.weight"][words.used] = words.table.detach()
    counters = {name: value for name, value in weights.items() if not value.is_floating_point()}
    # adding zero turns -0.0 into 0.0: the sign of a rounded nothing is not reproducible
    rounded = {
        name: (value.to(torch.float16) + 0.0).numpy()
        for name, value in weights.items()
        if name not in counters
    }
    return rounded | {name: value.numpy() for name, value in counters.items()}
