"""Formulas that peers share: arrays in, arrays out, along the last axis."""

from __future__ import annotations

import numpy as np


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of unit length, float64."""
    wide = vectors.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=-1, keepdims=True)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return log probabilities."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities."""
    return np.exp(log_softmax(logits))


def entropy(log_p: np.ndarray) -> np.ndarray:
    """Return the entropy in nats of log probabilities."""
    return -(np.exp(log_p) * log_p).sum(axis=-1)
