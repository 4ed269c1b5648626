"""Peers that look at several views against plain loops of their formulas."""

from __future__ import annotations

import numpy as np

from dmn.peers.formulas import unit
from peer_world import SCALE, plain_entropy, plain_softmax, told, world


def test_mta_equals_a_loop_over_views_that_stops_when_nothing_moves():
    images, given, _ = world(12)
    got = told("image.mta", images, given)
    for n, cached in enumerate(images.cached):
        views = unit(cached)
        V = len(views)
        s = [plain_softmax(SCALE * given.text @ v) for v in views]
        square = []
        for p in range(V):
            far = sorted(float(((views[p] - views[q]) ** 2).sum()) for q in range(V))
            near = far[1 : 1 + max(1, int(0.3 * (V - 1)))]
            square.append(0.5 * sum(near) / len(near))

        def kernel(m, views=views, square=square):
            return [
                np.exp(-float(((v - m) ** 2).sum()) / (2 * h))
                for v, h in zip(views, square, strict=True)
            ]

        y, mode = [1 / V] * V, views[0]
        for _ in range(5):
            density = kernel(mode)
            for _ in range(5):
                spoken = [sum(float(s[p] @ s[q]) * y[q] for q in range(V)) for p in range(V)]
                old, y = y, plain_softmax([(density[p] + 4 * spoken[p]) / 0.2 for p in range(V)])
                if np.linalg.norm(np.subtract(old, y)) < 1e-6:
                    break
            for _ in range(5):
                pull = kernel(mode)
                old, mode = mode, unit(sum(pull[p] * y[p] * views[p] for p in range(V)))
                if np.linalg.norm(old - mode) < 1e-6:
                    break
        np.testing.assert_allclose(got[n], SCALE * given.text @ mode, atol=1e-3)


def test_zero_counts_the_votes_of_the_most_certain_views():
    images, given, _ = world(30)
    got = told("image.zero", images, given, share=0.5)
    for n, cached in enumerate(images.cached):
        p = [plain_softmax(SCALE * given.text @ v) for v in unit(cached)]
        sure = sorted(range(4), key=lambda v: plain_entropy(p[v]))[:2]
        counts = [sum(p[v].argmax() == c for v in sure) for c in range(6)]
        assert list(got[n]) == counts
