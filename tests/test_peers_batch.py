"""Peers that see many images against plain loops of their formulas."""

from __future__ import annotations

import numpy as np
import pytest

from dmn.peers.formulas import unit
from dmn.peers.neighbours import affinity, nearest
from peer_world import SCALE, plain_softmax, told, world

CLOSE = {"rtol": 1e-7, "atol": 1e-9}


def plain_affinity(x, k):
    """W + W' of each row's k nearest others, as a dense matrix."""
    N = len(x)
    W = np.zeros((N, N))
    for i in range(N):
        others = sorted((j for j in range(N) if j != i), key=lambda j: -float(x[i] @ x[j]))
        for j in others[:k]:
            W[i, j] = float(x[i] @ x[j])
    return W + W.T


def settled(z, evidence, W, k):
    """Five sweeps of the assignments."""
    for _ in range(5):
        z = np.array([plain_softmax(evidence[n] + W[n] @ z / (2 * k)) for n in range(len(z))])
    return z


def test_neighbours_are_the_same_in_blocks_of_any_length(monkeypatch):
    images, given, _ = world()
    rows, similar = nearest(images.x, given.text, 3)
    monkeypatch.setattr("dmn.peers.neighbours.BLOCK_BYTES", 8 * len(given.text) * 7)
    again = nearest(images.x, given.text, 3)
    np.testing.assert_array_equal(rows, again[0])
    np.testing.assert_allclose(similar, again[1])
    for n in range(0, 70, 9):
        cosines = given.text @ images.x[n]
        assert list(rows[n]) == sorted(range(6), key=lambda c: -cosines[c])[:3]


def test_the_affinity_joins_both_ways():
    x = world(30)[0].x
    np.testing.assert_allclose(affinity(x, 3).toarray(), plain_affinity(x, 3))


@pytest.mark.parametrize("shots", [False, True])
def test_transclip_equals_a_loop_over_images(shots):
    images, given, _ = world(40, shots)
    x, T = images.x, given.text
    (N, D), C = x.shape, len(T)
    p = np.array([plain_softmax(SCALE * T @ v) for v in x])
    W, z, sigma = plain_affinity(x, 3), p, np.full(D, 1 / D)
    S, gamma, weight = given.shots, 0.2 if shots else 0.0, 0.5 if shots else 1.0
    if shots:
        mu = unit(S.mean(axis=1))
    else:
        best = [sorted(range(N), key=lambda n: -z[n, c])[:8] for c in range(C)]
        mu = unit(np.array([sum(z[n, c] * x[n] for n in best[c]) for c in range(C)]))
    for step in range(11):
        evidence = weight * np.log(p)
        for n in range(N):
            for c in range(C):
                evidence[n, c] -= 0.5 * float(((x[n] - mu[c]) ** 2 / sigma).sum()) / 50
        z = settled(z, evidence, W, 3)
        if step == 10:
            break
        sums = [sum(z[n, c] * x[n] for n in range(N)) / N for c in range(C)]
        if shots:
            sums = [sums[c] + gamma / (4 * C) * sum(S[c]) for c in range(C)]
        mu = unit(np.array(sums))
        sigma = sum(z[n, c] * (x[n] - mu[c]) ** 2 for n in range(N) for c in range(C)) / N
        if shots:
            sigma = sigma + gamma / (4 * C) * sum((s - mu[c]) ** 2 for c in range(C) for s in S[c])
        sigma = sigma / (1 + gamma)
    module, changes = (
        ("batch.transclip_shots", {"gamma": 0.2}) if shots else ("batch.transclip", {})
    )
    np.testing.assert_allclose(told(module, images, given, **changes), z, **CLOSE)


def test_transclip_answers_batches_apart():
    images, given, _ = world(40)
    whole = told("batch.transclip", images, given, batch=15)
    for rows in (np.arange(15), np.arange(30, 40)):
        alone = told("batch.transclip", images.take(rows), given)
        np.testing.assert_allclose(whole[rows], alone, **CLOSE)


def test_stata_equals_a_loop_over_images():
    images, given, _ = world(40)
    x, T = images.x, given.text
    N, C = len(x), len(T)
    p = np.array([plain_softmax(SCALE * T @ v) for v in x])
    W, z = plain_affinity(x, 3), p
    start = sum(p[n, c] * (x[n] - T[c]) ** 2 for n in range(N) for c in range(C)) / N
    mu, sigma = list(T), [start] * C
    for step in range(11):
        evidence = np.log(p)
        for n in range(N):
            for c in range(C):
                far = float(((x[n] - mu[c]) ** 2 / sigma[c]).sum() + np.log(sigma[c]).sum())
                evidence[n, c] -= 0.5 * far / 50
        z = settled(z, evidence, W, 3)
        if step == 10:
            break
        for c in range(C):
            count = sum(z[n].argmax() == c for n in range(N))
            beta, mass = count / (1 + count), z[:, c].sum()
            mean = unit(sum(z[n, c] * x[n] for n in range(N)))
            mu[c] = unit(beta * mean + (1 - beta) * T[c])
            own = sum(z[n, c] * (x[n] - mu[c]) ** 2 for n in range(N)) / mass
            sigma[c] = beta * own + (1 - beta) * (start + (mu[c] - T[c]) ** 2)
    np.testing.assert_allclose(told("batch.stata", images, given), z, **CLOSE)


def plain_zlap(text, x, k, gamma, alpha):
    """Z by a dense inverse."""
    C, N = len(text), len(x)
    W = np.zeros((C + N, C + N))
    for i in range(N):
        near = sorted(range(N), key=lambda j: -float(x[i] @ x[j]))[:k]
        for j in near:
            if j != i:
                W[C + i, C + j] = max(float(x[i] @ x[j]), 0)
        for c in sorted(range(C), key=lambda c: -float(x[i] @ text[c]))[:k]:
            W[C + i, c] = max(float(x[i] @ text[c]), 0) ** gamma
    W = W + W.T
    roots = np.array([1 / np.sqrt(d) if d > 0 else 0 for d in W.sum(axis=1)])
    normal = roots[:, None] * W * roots
    return np.linalg.inv(np.eye(C + N) - alpha * normal)[:, :C]


def test_zlap_equals_a_dense_inverse():
    images, given, _ = world(40)
    got = told("batch.zlap", images, given, alpha=0.8)
    whole = plain_zlap(given.text, images.x, 5, 5.0, 0.8)
    np.testing.assert_allclose(got, whole[6:], rtol=1e-6, atol=1e-8)


def test_zlap_inductive_reads_what_an_image_is_joined_to():
    images, given, _ = world(40, shots=True)
    pool = given.shots.reshape(-1, 16)
    mass = plain_zlap(given.text, pool, 5, 5.0, 0.3)
    got = told("few_shot.zlap_inductive", images, given)
    for n in range(0, 40, 7):
        v, row = images.x[n], np.zeros(6)
        for i in sorted(range(24), key=lambda i: -float(v @ pool[i]))[:5]:
            row += max(float(v @ pool[i]), 0) * mass[6 + i]
        for c in sorted(range(6), key=lambda c: -float(v @ given.text[c]))[:5]:
            row += max(float(v @ given.text[c]), 0) ** 5 * mass[c]
        np.testing.assert_allclose(got[n], row, rtol=1e-6, atol=1e-8)
