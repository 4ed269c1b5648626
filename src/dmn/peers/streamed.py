"""A peer on a stream that comes in batches, with text alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from dmn.peers.contract import Given, Images, Peer


def answered(peer: Peer, given: Given, images: Images, ends: np.ndarray) -> np.ndarray:
    """Return a peer's answers [M] to images as they come, with its own options.

    ends [B]: where batches end. A peer that sees the whole set is shown a batch in its place, and
    begins anew with each. Where it has no finite score, as of a batch without variance, the
    answer is CLIP's.
    """
    fitted = peer.fit(given, peer.options)
    if peer.sees != "set":
        return peer.answer(fitted, images, peer.options).argmax(axis=1)
    found = []
    for start, stop in pairwise([0, *ends.tolist()]):
        batch = images.take(np.arange(start, stop))
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = peer.answer(fitted, batch, peer.options)
        finite = np.isfinite(scores).all(axis=1)
        clip = given.logits(batch.x).argmax(axis=1)
        found.append(np.where(finite, scores.argmax(axis=1), clip))
    return np.concatenate(found)
