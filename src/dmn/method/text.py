"""Text prediction, view selection and pseudo-label (method.md, sections 2 and 3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dmn.method.products import fitting_rows, padded
from dmn.method.projections import Projections, project

VIEW_EPSILON = 1e-6
LABEL_EPSILON = 1e-8


class TextPrediction(NamedTuple):
    """Of B images: probability [B, C] of view 0, pseudo_label [B] and entropy [B]."""

    probability: Tensor
    pseudo_label: Tensor
    entropy: Tensor


def normalise(x: Tensor) -> Tensor:
    """Return n(x) = x / ||x|| along the last axis."""
    return x / torch.linalg.vector_norm(x, dim=-1, keepdim=True)


def text_classifier(text: Tensor, projections: Projections) -> Tensor:
    """Return T' [C, D] = n(T + B_text), from unit text features T (section 2)."""
    return normalise(project(text, projections.text, projections.kind))


def text_probabilities(x: Tensor, columns: Tensor, classes: int, logit_scale: float) -> Tensor:
    """Return softmax_c(s <x, T'_c>) [M, C] of unit features x [M, D] (section 2).

    `columns` are T' [C, D] with rows of zeros up to `fitting_columns`.
    """
    similarity = (padded(x, fitting_rows(len(x))) @ columns.mT)[: len(x), :classes]
    return torch.softmax(logit_scale * similarity, dim=-1)


def entropy(p: Tensor, epsilon: float) -> Tensor:
    """Return -sum_c p_c log(p_c + epsilon) of probabilities [..., C] (section 3)."""
    return -(p * torch.log(p + epsilon)).sum(dim=-1)


def select_views(view_entropy: Tensor, count: int) -> Tensor:
    """Return the `count` views of least entropy [B, count], ascending (section 3)."""
    return torch.argsort(view_entropy, dim=-1, stable=True)[:, :count]


def mean_probability(p: Tensor, chosen: Tensor) -> Tensor:
    """Return q [B, C], the mean of p [B, V, C] over the chosen views [B, m] (section 3)."""
    rows = torch.arange(len(p), device=p.device)
    total = p[rows, chosen[:, 0]]
    # a loop over views, since the order of a library's sum may depend on the batch
    for k in range(1, chosen.shape[1]):
        total = total + p[rows, chosen[:, k]]
    return total / chosen.shape[1]


def predict(
    views: Tensor, columns: Tensor, classes: int, logit_scale: float, kept_views: int
) -> TextPrediction:
    """Return text prediction and pseudo-labels of unit views [B, V, D] (sections 2 and 3).

    `columns` as in `text_probabilities`. The result of an image does not depend on the others that
    it comes with.
    """
    B, V, D = views.shape
    p = text_probabilities(views.reshape(B * V, D), columns, classes, logit_scale)
    p = p.reshape(B, V, classes)
    q = p[:, 0]
    if V > 1:
        q = mean_probability(p, select_views(entropy(p, VIEW_EPSILON), kept_views))
    return TextPrediction(p[:, 0], q.argmax(dim=-1), entropy(q, LABEL_EPSILON))
