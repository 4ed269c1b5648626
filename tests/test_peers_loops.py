"""Peers that learn from shots, and TDA, against plain loops of their formulas."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dmn.peers.contract import Given, Images, from_module
from dmn.peers.few_shot import (
    ape,
    clap,
    gda,
    linear_probe,
    nearest_mean,
    tip_adapter,
    tip_adapter_f,
)
from dmn.peers.formulas import unit
from dmn.peers.loading import load_peers
from dmn.peers.online import caches, tda
from dmn.peers.selection import on_validation
from synthetic import study_data


@pytest.fixture(scope="module")
def world():
    """Test images, what a peer is given, and the labels."""
    data = study_data()
    given = Given(
        unit(data.text), data.logit_scale, unit(data.memories[4][:, 1:]), data.train, seed=0
    )
    return Images(data.test.views), given, data.test.labels


def told(module, images, given, **changes):
    peer = from_module(module.__name__, module, changes)
    return peer.answer(peer.fit(given, peer.options), images, peer.options)


def test_tip_adapter_equals_the_loop_over_shots_of_its_formula(world):
    images, given, _ = world
    got = told(tip_adapter, images, given, alpha=1.3, beta=4.0)
    C, K = given.shots.shape[:2]
    for n in range(0, len(images), 17):
        for c in range(C):
            total = 100 * float(images.x[n] @ given.text[c])
            for k in range(K):
                views = [given.shot_views[c, k, v].astype(np.float64) for v in range(1, 4)]
                key = sum(views) / 3
                key = key / math.sqrt(sum(value * value for value in key))
                total += 1.3 * math.exp(-4.0 * (1 - float(np.dot(images.x[n], key))))
            assert got[n, c] == pytest.approx(total, rel=1e-9)


def test_tip_adapter_search_finds_what_a_plain_search_finds(world):
    images, given, labels = world
    (peer,) = load_peers(["tip_adapter"])
    best, chosen = -1, None
    for place, options in enumerate(peer.candidates):
        answers = told(tip_adapter, images, given, **options.model_dump()).argmax(axis=1)
        right = int((answers == labels).sum())
        if right > best:
            best, chosen = right, place
    swept = peer.sweep(peer.fit(given, peer.options), images, peer.candidates)
    found = np.stack([scores.argmax(axis=1) for scores in swept])
    assert on_validation(found, labels) == chosen


def test_tip_adapter_f_lowers_the_training_loss(world):
    _, given, _ = world
    keys = tip_adapter.build_keys(given.shot_views)
    trained = tip_adapter_f.fit(given, tip_adapter_f.Options())[1]
    C, K, V, D = given.shot_views.shape
    shots = Images(given.shot_views.reshape(C * K, V, D)[:, 1:])
    labels = np.repeat(np.arange(C), K)

    def loss(k):
        z = next(tip_adapter.sweep((given, k), shots, [tip_adapter.Options()]))
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
    images, given, _ = world
    flat = Given(given.text, 25.0)  # so that the negative cache fills and evicts
    np.testing.assert_allclose(
        told(tda, images, flat), plain_tda(images.x, flat.logits(images.x)), rtol=1e-9, atol=1e-9
    )
    assert (tda.caches(flat, images, tda.Options())[2] > 0).any()


def test_tda_reads_the_same_in_blocks_of_any_length(world, monkeypatch):
    images, given, _ = world
    whole = told(tda, images, given)
    monkeypatch.setattr(caches, "BLOCK", 7)
    np.testing.assert_allclose(told(tda, images, given), whole, rtol=1e-12, atol=1e-12)


def test_tda_ratios_of_zero_leave_clip_alone(world):
    images, given, _ = world
    got = told(tda, images, given, positive_alpha=0, negative_alpha=0)
    np.testing.assert_array_equal(got, given.logits(images.x))


def test_nearest_mean_equals_a_loop_over_classes(world):
    images, given, _ = world
    got = told(nearest_mean, images, given)
    for c in range(len(given.shots)):
        total = sum(given.shots[c])
        direction = total / math.sqrt(float(total @ total))
        np.testing.assert_allclose(got[:, c], [100 * float(v @ direction) for v in images.x])


def test_linear_probe_is_a_minimum_of_its_penalised_loss(world):
    _, given, _ = world
    C, K, D = given.shots.shape
    weights, biases = linear_probe.fit(given, linear_probe.Options(strength=1.0))
    x, labels = given.shots.reshape(C * K, D), np.repeat(np.arange(C), K)
    z = x @ weights.T + biases
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    gradient = (p - np.eye(C)[labels]).T @ x + weights
    assert np.abs(gradient).max() < 1e-3


def test_a_linear_probe_of_two_classes_answers_for_both(world):
    images, given, _ = world
    two = Given(given.text[:2], 100.0, given.shots[:2])
    assert told(linear_probe, images, two).shape == (len(images), 2)


def test_gda_equals_the_formula_of_bayes(world):
    images, given, _ = world
    got = told(gda, images, given, alpha=0.3)
    C, D = given.text.shape
    views = [unit(own[:, 1:].astype(np.float64)).reshape(-1, D) for own in given.shot_views]
    means = [sum(own) / len(own) for own in views]
    residuals = np.array([v - m for own, m in zip(views, means, strict=True) for v in own])
    n = len(residuals)
    S = residuals.T @ residuals / (n - 1)
    precision = D * np.linalg.inv((n - 1) * S + np.trace(S) * np.eye(D))
    for row in range(0, len(images), 11):
        x = images.x[row]
        for c in range(C):
            score = x @ precision @ means[c] - 0.5 * means[c] @ precision @ means[c] - math.log(C)
            assert got[row, c] == pytest.approx(100 * float(x @ given.text[c]) + 0.3 * score)


def test_ape_keeps_the_dimensions_that_a_loop_over_pairs_keeps(world):
    _, given, _ = world
    C, K, D = given.shots.shape
    keys = tip_adapter.build_keys(given.shot_views).reshape(C, K, D)
    own = [[given.text[c], *keys[c]] for c in range(C)]
    pairs = [(a, b) for a in range(C) for b in range(C) if a != b]
    worth = []
    for d in range(D):
        agreement = np.mean([u[d] * v[d] for a, b in pairs for u in own[a] for v in own[b]])
        worth.append(0.7 * given.text[:, d].var(ddof=1) - 0.3 * agreement)
    options = ape.Options(kept=5, similarity_weight=0.3, variance_weight=0.7)
    chosen = ape.choose_dimensions(given.text, keys, options)
    assert list(chosen) == sorted(range(D), key=lambda d: -worth[d])[:5]


def test_ape_equals_the_loop_over_shots_of_its_formula(world):
    images, given, _ = world
    got = told(ape, images, given, alpha=2.0, beta=3.0, gamma=0.4, kept=9)
    C, K, D = given.shots.shape
    keys = tip_adapter.build_keys(given.shot_views).reshape(C, K, D)
    kept = ape.choose_dimensions(given.text, keys, ape.Options(kept=9))
    short = unit(given.text[:, kept])
    for n in range(0, len(images), 29):
        x = unit(images.x[n, kept])
        for c in range(C):
            total = 100 * float(images.x[n] @ given.text[c])
            for k in range(K):
                key = unit(keys[c, k, kept])
                z = np.exp([float(key @ t) for t in short])
                r = math.log2((1 + 1e-6) / (z[c] / z.sum() + 1e-6))
                total += 2.0 * math.exp(-3.0 * (1 - float(x @ key))) * math.exp(0.4 * r)
            assert got[n, c] == pytest.approx(total, rel=1e-9)


def test_clap_finds_a_minimum_of_its_penalised_loss(world):
    _, given, _ = world
    C, K, V, D = given.shot_views.shape
    x = unit(given.shot_views[:, :, 1:]).reshape(-1, D)
    labels = np.repeat(np.arange(C), K * (V - 1))
    held = clap.hold(given, labels, x)
    random = np.random.default_rng(0)
    weights = given.text + 0.1 * random.normal(size=given.text.shape)

    def loss(w):
        total = 0.0
        for own, label in zip(x, labels, strict=True):
            z = [100 * float(own @ row) / float(np.linalg.norm(row)) for row in w]
            total += math.log(sum(math.exp(v - max(z)) for v in z)) + max(z) - z[label]
        return total / len(x) + sum(
            h * float(((r - t) ** 2).sum()) for h, r, t in zip(held, w, given.text, strict=True)
        )

    value, gradient = clap.penalised(weights, given, x, labels, held)
    assert value == pytest.approx(loss(weights))
    for c, d in ((0, 3), (4, 11)):
        step = np.zeros_like(weights)
        step[c, d] = 1e-5
        slope = (loss(weights + step) - loss(weights - step)) / 2e-5
        assert gradient[c, d] == pytest.approx(slope, rel=1e-4, abs=1e-6)
    start = clap.penalised(given.text, given, x, labels, held)[0]
    trained = clap.fit(given, clap.Options()) / given.logit_scale
    assert np.linalg.norm(trained, axis=1) == pytest.approx(np.ones(C))
    assert loss(trained) < start


def test_clap_holds_a_class_by_what_the_text_gives_its_shots(world):
    _, given, _ = world
    x = given.shots.reshape(-1, 16)
    labels = np.repeat(np.arange(6), 4)
    held = clap.hold(given, labels, x)
    for c in range(6):
        own = []
        for v in given.shots[c]:
            z = [math.exp(100 * float(v @ t) - 100) for t in given.text]
            own.append(z[c] / sum(z))
        assert held[c] == pytest.approx(np.mean(own))


def test_gda_of_one_shot_a_class_has_no_covariance_and_answers_as_text_does(world):
    images, given, _ = world
    one = replace(given, shots=given.shots[:, :1], shot_views=given.shot_views[:, :1, :1])
    moved = told(gda, images, one) - given.logits(images.x)
    np.testing.assert_allclose(moved, -math.log(len(given.text)))
