"""Peers of the stream against plain loops of their formulas."""

from __future__ import annotations

import numpy as np
import pytest

from dmn.peers.contract import Given
from dmn.peers.formulas import unit
from dmn.peers.online import dmn_centred, dota, ecalp, oga
from peer_world import SCALE, plain_entropy, plain_softmax, told, world

CLOSE = {"rtol": 1e-8, "atol": 1e-8}


def test_bca_equals_a_loop_over_classes():
    images, given, _ = world()
    C = len(given.text)
    mu = [row.copy() for row in given.text]
    prior = [[float(i == j) for j in range(C)] for i in range(C)]
    n1, n2 = [20.0] * C, [1.0] * C
    got = told("online.bca", images, given, embedding_count=20.0)
    for t, x in enumerate(images.x):
        likelihood = plain_softmax([SCALE * float(m @ x) for m in mu])
        p = [sum(likelihood[i] * prior[i][j] for i in range(C)) for j in range(C)]
        np.testing.assert_allclose(got[t], p, **CLOSE)
        k = p.index(max(p))
        if p[k] > 0.05:
            moved = (n1[k] * mu[k] + x) / (n1[k] + 1)
            mu[k] = moved / np.sqrt(moved @ moved)
            n1[k] += 1
        if p[k] > 0.65:
            row = [(n2[k] * prior[k][j] + p[j]) / (n2[k] + 1) for j in range(C)]
            prior[k] = [value / sum(row) for value in row]
            n2[k] += 1
    assert max(n2) > 3


def test_onzeta_equals_a_loop_over_classes():
    images, given, _ = world()
    C, N = len(given.text), len(images)
    rho, proxies = [0.0] * C, [row.copy() for row in given.text]
    got = told("online.onzeta", images, given)
    for i, x in enumerate(images.x, start=1):
        p = plain_softmax([SCALE * float(t @ x) for t in given.text])
        raised = [p[c] * np.exp(rho[c]) for c in range(C)]
        q = [value / sum(raised) for value in raised]
        v = plain_softmax([float(w @ x) / 0.04 for w in proxies])
        share = 0.8 * np.sqrt(i / N)
        np.testing.assert_allclose(
            got[i - 1], [(1 - share) * q[c] + share * v[c] for c in range(C)], **CLOSE
        )
        for c in range(C):
            proxies[c] = proxies[c] - 0.5 / np.sqrt(i) / 0.04 * (v[c] - q[c]) * x
            proxies[c] = proxies[c] / np.sqrt(proxies[c] @ proxies[c])
            rho[c] = max(0.0, rho[c] - 20 / np.sqrt(i) * (q[c] - 1 / C))
    assert max(rho) > 0


@pytest.mark.parametrize("batch", [1, 8])
def test_oga_equals_a_loop_with_lists(batch):
    images, given, _ = world()
    C, D = given.text.shape
    slots = [[(np.float16(np.log(C)), None)] * 8 for _ in range(C)]
    got = told("online.oga", images, given, batch=batch)
    p = [plain_softmax([SCALE * float(t @ x) for t in given.text]) for x in images.x]
    for first in range(0, len(images), batch):
        rows = range(first, min(first + batch, len(images)))
        for n in rows:
            own = slots[int(p[n].argmax())]
            worst = max(range(8), key=lambda s: (own[s][0], -s))
            if np.float16(plain_entropy(p[n])) < own[worst][0]:
                own[worst] = (np.float16(plain_entropy(p[n])), images.x[n].astype(np.float16))
        kept = [[f.astype(float) for _, f in own if f is not None] for own in slots]
        mu = [
            (sum(k) / 8).astype(np.float16).astype(float) if len(k) > 1 else given.text[c]
            for c, k in enumerate(kept)
        ]
        residuals = np.array([f - mu[c] for c, k in enumerate(kept) for f in k])
        n = len(residuals)
        precision = D * np.eye(D)
        if max(map(len, kept)) > 2:
            S = np.cov(residuals.T)
            ridge = (n - 1) * S + np.trace(S) * np.eye(D)
            precision = D * np.linalg.inv(ridge) if n <= 4 * D else np.linalg.pinv(S)
        for row in rows:
            density = [
                np.exp(-0.05 / 2 * (images.x[row] - m) @ precision @ (images.x[row] - m))
                for m in mu
            ]
            product = p[row] * density
            np.testing.assert_allclose(got[row], product / product.sum(), **CLOSE)


def test_oga_inverts_a_covariance_of_many_samples_as_it_is():
    memory = oga.Memory(world()[1].text[:, :2], 8)
    random = np.random.default_rng(0)
    for x in random.normal(size=(60, 2)):
        memory.store(x, int(random.integers(6)), float(random.random()))
    white = memory.whitening(memory.means())
    kept = [(c, s) for c in range(6) for s in range(8) if memory.filled[c, s]]
    residuals = np.array([memory.features[c, s].astype(float) - memory.means()[c] for c, s in kept])
    assert len(residuals) > 8
    np.testing.assert_allclose(white.T @ white, np.linalg.pinv(np.cov(residuals.T)), rtol=1e-9)


def test_dota_equals_a_loop_over_classes():
    images, given, _ = world()
    C, D = given.text.shape
    count, mu, sigma = [1.0] * C, [np.full(D, 0.001)] * C, [0.002 * np.eye(D)] * C
    got = told("online.dota", images, given)
    for t, x in enumerate(images.x):
        logits = [SCALE * float(row @ x) for row in given.text]
        p = plain_softmax(logits)
        for c in range(C):
            total = count[c] + p[c]
            mu[c] = (count[c] * mu[c] + p[c] * x) / total
            sigma[c] = (count[c] * sigma[c] + p[c] * np.outer(x - mu[c], x - mu[c])) / total
            count[c] = total
        shared = np.linalg.inv(0.999 * sum(sigma) / C + 0.001 * np.eye(D))
        weight = min(0.02 * sum(count) / C, 0.3)
        for c in range(C):
            score = x @ shared @ mu[c] - 0.5 * mu[c] @ shared @ mu[c]
            assert got[t, c] == pytest.approx(logits[c] + weight * score, rel=1e-8)


def test_dota_keeps_symmetric_covariances_in_one_triangle():
    gaussians = dota.Gaussians(2, 3, dota.Options())
    x = np.array([1.0, 2.0, 3.0])
    gaussians.learn(x, np.array([0.75, 0.25]))
    residual = x - (0.001 + 0.75 * x) / 1.75
    expected = 0.002 * np.eye(3) + 0.75 * np.outer(residual, residual)
    np.testing.assert_allclose(np.tril(gaussians.scatter[0]), np.tril(expected))


def test_freetta_equals_a_loop_over_classes():
    images, given, _ = world()
    C, D = given.text.shape
    mass, mu, sigma = [1 / C] * C, [row.copy() for row in given.text], np.eye(D)

    def scores(x):
        inverse = np.linalg.inv(sigma)
        return [
            float(x @ inverse @ mu[c] - 0.5 * mu[c] @ inverse @ mu[c]) + np.log(mass[c] / sum(mass))
            for c in range(C)
        ]

    got = told("online.freetta", images, given, beta=0.5)
    for t, x in enumerate(images.x):
        logits = [SCALE * float(row @ x) for row in given.text]
        weight = np.exp(-0.5 * plain_entropy(plain_softmax(logits)))
        gamma, total = plain_softmax(scores(x)), sum(mass)
        for c in range(C):
            mu[c] = (mass[c] * mu[c] + weight * gamma[c] * x) / (mass[c] + weight * gamma[c])
            mass[c] += weight * gamma[c]
        spread = sum(gamma[c] * np.outer(x - mu[c], x - mu[c]) for c in range(C))
        sigma = (total * sigma + weight * spread) / (total + weight)
        expected = [z + 0.2 * s for z, s in zip(logits, scores(x), strict=True)]
        np.testing.assert_allclose(got[t], expected, **CLOSE)


def taken(lists: list[dict[int, float]], own: list[float], k: int) -> list[dict[int, float]]:
    """Return the neighbours with one image more, `own` similar to each image and to itself."""
    for mine, similarity in zip(lists, own, strict=False):
        worst = min(mine, key=mine.get)
        if len(mine) < k:
            mine[len(lists)] = similarity
        elif similarity >= mine[worst]:
            del mine[worst]
            mine[len(lists)] = similarity
    best = sorted(range(len(own)), key=lambda i: -own[i])[:k]
    return [*lists, {i: own[i] for i in best}]


def raised(query: np.ndarray, others: list[np.ndarray], k: int, gamma: float) -> np.ndarray:
    """Return the powers of the k largest cosines, 0 for the rest."""
    cosines = [float(query @ other) for other in others]
    row = np.zeros(len(others))
    for i in sorted(range(len(others)), key=lambda i: -cosines[i])[:k]:
        row[i] = max(cosines[i], 0) ** gamma
    return row


def plain_ecalp(x: np.ndarray, given: Given, options: ecalp.Options) -> np.ndarray:
    """Dictionaries of neighbours and dense matrices, image by image."""
    C, k, gamma = len(given.text), options.images, options.gamma
    weighted = [unit(v * given.text.var(axis=0)) for v in x]
    shots = np.zeros((0, C)) if given.shots is None else given.shots.reshape(-1, x.shape[1])
    labels = np.concatenate([np.eye(C), np.repeat(np.eye(C), len(shots) // C, axis=0)])
    A, known, rows = len(labels), [], []
    neighbours: list[dict[int, float]] = []
    told = np.zeros((0, C))
    for t in range(len(x)):
        own = [float(weighted[i] @ x[t]) for i in range(t + 1)]
        neighbours = taken(neighbours, own, k)
        twice = taken([dict(mine) for mine in neighbours], [*own, own[t]], k)
        spoken = raised(x[t], list(given.text), options.texts, gamma)
        if len(shots):
            query = unit(x[t] / shots.var(axis=0))
            spoken = np.append(spoken, raised(query, list(shots), options.shots, gamma))
        known.append(spoken)
        edges = np.zeros((A + t + 2, A + t + 2))
        for i, mine in enumerate(twice):
            for j, similarity in mine.items():
                edges[A + i, A + j] += max(similarity, 0) ** gamma
                edges[A + j, A + i] += max(similarity, 0) ** gamma
            edges[A + i, :A] = edges[:A, A + i] = known[min(i, t)]
        roots = 1 / (np.sqrt(edges.sum(axis=1)) + 1e-6)
        begin = np.zeros((t + 2, C))
        for i, row in enumerate(told[:t]):
            begin[i, row.argmax()] = row.max() / 5
        state = np.concatenate([labels, begin])
        for _ in range(options.iterations):
            state = roots[:, None] * edges * roots @ state
            state[:A] = labels
        told = state[A:]
        rows.append(state[-1])
    return np.array(rows)


@pytest.mark.parametrize("shots", [False, True])
def test_ecalp_equals_a_loop_over_a_dense_graph(shots):
    images, given, _ = world(40, shots)
    options = ecalp.Options(images=4, shots=3, gamma=3.0)
    got = told("online.ecalp", images, given, **options.model_dump())
    np.testing.assert_allclose(got, plain_ecalp(images.x, given, options), rtol=1e-8, atol=1e-10)


def plain_centred(
    images, given, centre=True, own_slot=False, length=8, beta=2.0, weight=0.5, logarithms=True
):
    """Return log p + weight s cos, slot by slot, as the formulas stand; or p + weight softmax."""
    C, D = given.text.shape
    tmean = given.text.mean(axis=0) if centre else np.zeros(D)
    texts = [(t - tmean) / np.sqrt((t - tmean) @ (t - tmean)) for t in given.text]
    slots, seen, scores = [[] for _ in range(C)], np.zeros(D), []
    for n, x in enumerate(images.x):
        p = plain_softmax([SCALE * float(t @ x) for t in given.text])
        own, h = slots[int(p.argmax())], plain_entropy(p)
        if len(own) < length:
            own.append((h, n, x))
        else:
            worst = max(range(length), key=lambda s: (own[s][0], -s))
            if h < own[worst][0]:
                own[worst] = (h, n, x)
        seen = seen + x
        m = seen / (n + 2) if centre else np.zeros(D)
        u = (x - m) / np.sqrt((x - m) @ (x - m))
        row = []
        for c in range(C):
            a = np.exp(-beta * (1 - texts[c] @ u)) * texts[c]
            for _, image, s in slots[c]:
                if own_slot or image != n:
                    r = (s - m) / np.sqrt((s - m) @ (s - m))
                    a = a + np.exp(-beta * (1 - r @ u)) * r
            row.append(SCALE * float(a @ u) / np.sqrt(a @ a))
        memory = np.array(row) if logarithms else np.array(plain_softmax(row))
        scores.append((np.log(p) if logarithms else np.array(p)) + weight * memory)
    return np.array(scores)


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("own_slot", [True, False])
@pytest.mark.parametrize("logarithms", [True, False])
@pytest.mark.parametrize("length", [1, 3])
def test_centred_dmn_equals_a_loop_over_slots(monkeypatch, centre, own_slot, length, logarithms):
    images, given, _ = world()
    monkeypatch.setattr(dmn_centred, "BLOCK", 7)
    options = {"centre": centre, "own_slot": own_slot, "length": length}
    options |= {"logarithms": logarithms}
    got = told("online.dmn_centred", images, given, **options)
    np.testing.assert_allclose(got, plain_centred(images, given, **options), **CLOSE)


def test_a_stream_of_one_image_repeated_is_answered_by_text():
    images, given, _ = world()
    same = images.take(np.zeros(20, dtype=np.int64))
    got = told("online.dmn_centred", same, given)
    assert np.isfinite(got).all()
    assert (got.argmax(axis=1) == (same.x @ given.text.T).argmax(axis=1)).all()
