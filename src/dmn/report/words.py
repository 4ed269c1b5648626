"""Keys of the configuration in a reader's words, for tables, figures and the page."""

from __future__ import annotations

from dmn.peers.table import PEERS

WORDS = {
    "zero_shot": "zero-shot",
    "training_free": "training-free",
    "few_shot": "few-shot",
    "label_free": "label-free",
    "fifo": "first in, first out",
    "dmn": "DMN",
    "ece": "ECE",
    "nll": "NLL",
    "qkv": "query, key, value",
    "n_splits": "splits",
    "n_orders": "orders",
    "n_trainings": "trainings",
    "dataset": "data set",
    "p_value": "p",
} | {key: entry.title for key, entry in PEERS.items()}


def words(value: object) -> str:
    """Return a key as words.

    >>> words("zero_shot"), words("memory_length")
    ('zero-shot', 'memory length')
    """
    text = str(value)
    return WORDS.get(text.lower(), text.replace("_", " "))


def in_figure(value: object) -> str:
    """Return `words` for matplotlib, where a dollar sign would begin a formula."""
    return words(value).replace("$", r"\$")
