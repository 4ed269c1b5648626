"""Peers against plain loops written from the formulas of their papers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dmn.peers import linear_probe, nearest_mean, tda, tip_adapter
from synthetic import study_data, unit


@pytest.fixture(scope="module")
def world():
    data = study_data()
    x = unit(data.test.views[:, 0].astype(np.float64))
    text = unit(data.text.astype(np.float64))
    return data, x, text, data.logit_scale * x @ text.T


def test_tip_adapter_equals_the_loop_over_shots_of_its_formula(world):
    data, x, _, clip = world
    keys = tip_adapter.build_keys(data.train)
    got = tip_adapter.logits(x @ keys.T, clip, alpha=1.3, beta=4.0)
    C, K = data.train.shape[:2]
    for n in range(0, len(x), 17):
        for c in range(C):
            total = clip[n, c]
            for k in range(K):
                views = [data.train[c, k, v].astype(np.float64) for v in range(1, 4)]
                key = sum(views) / 3
                key = key / math.sqrt(sum(value * value for value in key))
                total += 1.3 * math.exp(-4.0 * (1 - float(np.dot(x[n], key))))
            assert got[n, c] == pytest.approx(total, rel=1e-9)


def test_tip_adapter_search_finds_what_a_plain_search_finds(world):
    data, x, _, clip = world
    affinity = x @ tip_adapter.build_keys(data.train).T
    labels = data.test.labels
    best, chosen = -1, None
    for beta in tip_adapter.BETAS:
        for alpha in tip_adapter.ALPHAS:
            answers = tip_adapter.logits(affinity, clip, alpha, beta).argmax(axis=1)
            right = int((answers == labels).sum())
            if right > best:
                best, chosen = right, (alpha, beta)
    assert tip_adapter.select(affinity, clip, labels) == pytest.approx(chosen)


def test_tip_adapter_f_lowers_the_training_loss(world):
    data, _, text, _ = world
    keys = tip_adapter.build_keys(data.train)
    trained = tip_adapter.fine_tune(keys, data.train, text, data.logit_scale, seed=0)
    C, K, _, D = data.train.shape
    x = unit(data.train[:, :, 1].astype(np.float64).reshape(C * K, D))
    labels = np.repeat(np.arange(C), K)

    def loss(k):
        z = tip_adapter.logits(x @ k.T, data.logit_scale * x @ text.T)
        return float((np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), labels]).mean())

    assert trained.shape == keys.shape
    assert loss(trained) < loss(keys)


def plain_tda(x, clip):
    """The two caches as dictionaries of sorted lists, image by image."""
    C = clip.shape[1]
    positive: dict[int, list] = {}
    negative: dict[int, list] = {}

    def offer(cache, label, entry, capacity):
        entries = cache.setdefault(label, [])
        if len(entries) < capacity:
            entries.append(entry)
        elif entry[0] < entries[-1][0]:
            entries[-1] = entry
        entries.sort(key=lambda e: e[0])

    rows = []
    for n in range(len(x)):
        exps = [math.exp(v - max(clip[n])) for v in clip[n]]
        p = [e / sum(exps) for e in exps]
        entropy = -sum(q * math.log(q) for q in p if q > 0)
        label = p.index(max(p))
        offer(positive, label, (entropy, x[n], None), 3)
        if 0.2 < entropy / math.log2(C) < 0.5:
            offer(negative, label, (entropy, x[n], [0.03 < q < 1.0 for q in p]), 2)
        z = list(clip[n])
        for c, entries in positive.items():
            for _, key, _ in entries:
                z[c] += 2.0 * math.exp(-5.0 * (1 - float(key @ x[n])))
        for entries in negative.values():
            for _, key, mask in entries:
                for c in range(C):
                    if mask[c]:
                        z[c] -= 0.117 * math.exp(-1.0 * (1 - float(key @ x[n])))
        rows.append(z)
    return np.array(rows)


def test_tda_equals_the_loop_with_sorted_lists(world):
    _, x, _, clip = world
    clip = clip / 4  # flatter, so that the negative cache fills and evicts
    got = tda.combine(clip, *tda.run(x, clip))
    np.testing.assert_allclose(got, plain_tda(x, clip), rtol=1e-9, atol=1e-9)
    assert (tda.run(x, clip)[1] > 0).any()


def test_tda_ratios_of_zero_leave_clip_alone(world):
    _, x, _, clip = world
    np.testing.assert_array_equal(tda.combine(clip, *tda.run(x, clip), (0.0, 0.0)), clip)


def test_tda_selection_never_does_worse_than_the_papers_ratios(world):
    data, x, _, clip = world
    said = tda.run(x, clip)
    chosen = tda.select(clip, *said, data.test.labels)
    right = [
        (tda.combine(clip, *said, pair).argmax(1) == data.test.labels).sum()
        for pair in (chosen, (2.0, 0.117))
    ]
    assert right[0] >= right[1]


def test_nearest_mean_equals_a_loop_over_classes(world):
    data, x, _, _ = world
    shots = unit(data.train[:, :, 0].astype(np.float64))
    got = nearest_mean.logits(x, shots, 100.0)
    for c in range(len(shots)):
        total = sum(shots[c])
        direction = total / math.sqrt(float(total @ total))
        np.testing.assert_allclose(got[:, c], [100 * float(v @ direction) for v in x])


def test_linear_probe_is_a_minimum_of_its_penalised_loss(world):
    data, _, _, _ = world
    shots = unit(data.train[:, :, 0].astype(np.float64))
    C, K, D = shots.shape
    weights, biases = linear_probe.fit(shots, strength=1.0)
    x, labels = shots.reshape(C * K, D), np.repeat(np.arange(C), K)
    z = linear_probe.logits(x, (weights, biases))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    gradient = (p - np.eye(C)[labels]).T @ x + weights
    assert np.abs(gradient).max() < 1e-3


def test_a_linear_probe_of_two_classes_answers_for_both(world):
    data, x, _, _ = world
    shots = unit(data.train[:2, :, 0].astype(np.float64))
    assert linear_probe.logits(x, linear_probe.fit(shots)).shape == (len(x), 2)
