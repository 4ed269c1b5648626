"""Training of the projections against a plain, sample-by-sample readout."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dmn.errors import ConfigError, FeatureError
from dmn.method.choices import NAMES, POSITIONS
from dmn.method.static_memory import static_memory
from dmn.method.text import normalise
from dmn.method.training import losses, sample_plan, static_readout, train_projections, untrained
from dmn.randomness import generator

C, K, V, D = 4, 3, 3, 6
BETA, SCALE = 5.5, 20.0


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    text = rng.normal(size=(C, D))
    shots = rng.normal(size=(C, K, 1, D)) + text[:, None, None]
    views = shots + 0.3 * rng.normal(size=(C, K, V, D))
    return torch.from_numpy(text), torch.from_numpy(views)


def train(world, **changes):
    options = {"learning_rate": 1e-2, "epochs": 3, "generator": generator(0, "test")}
    options |= {"beta": BETA, "logit_scale": SCALE, "batch_size": 5}
    return train_projections(*world, **(options | changes))


def slots_of(world):
    text, views = world
    return static_memory(normalise(text), normalise(views[:, :, 0]))


def plain_logits(x, slots, p, hidden=None):
    """Section 7 of the method for one query, slot by slot."""
    n = normalise

    def moved(vector, name, c):
        projection = getattr(p, name)
        if projection is None:
            return vector
        return vector + (projection[c] if p.kind == "bias" else projection @ vector)

    if p.kind == "bias" and p.query is not None:
        u = n(x + p.query.mean(0))
    else:
        u = n(x if p.kind == "bias" else moved(x, "query", 0))
    logits = []
    for c, rows in enumerate(slots):
        total = torch.zeros(D, dtype=x.dtype)
        for j, row in enumerate(rows):
            if (c, j) == hidden:
                continue
            weight = torch.exp(-BETA * (1 - u @ n(moved(row, "key", c))))
            total = total + weight * n(moved(row, "value", c))
        logits.append(SCALE * n(moved(n(total), "output", c)) @ x)
    return torch.stack(logits)


def random_readout(world, kind, position="all"):
    slots = slots_of(world)
    projections = untrained(kind, position, slots)
    rng = np.random.default_rng(1)
    for tensor in projections.tensors().values():
        tensor.data += torch.from_numpy(0.3 * rng.normal(size=tensor.shape))
    return static_readout(slots, projections, BETA, SCALE)


@pytest.mark.parametrize("position", sorted(POSITIONS))
@pytest.mark.parametrize("kind", ["bias", "linear"])
@pytest.mark.parametrize("leave_one_out", [False, True])
def test_loss_and_gradients_equal_the_plain_readout(world, kind, position, leave_one_out):
    readout = random_readout(world, kind, position)
    rows = torch.tensor([7, 0, 11])
    features = world[1].reshape(C * K, V, D)[rows, 1]
    static, text = losses(readout, features, rows, K, leave_one_out)
    trained = list(readout.projections.tensors().values())
    found = torch.autograd.grad(static + text, trained, retain_graph=True)

    labels = rows // K
    x = normalise(features)
    expected = [
        plain_logits(
            x[i],
            slots_of(world),
            readout.projections,
            (int(labels[i]), int(row) % K + 1) if leave_one_out else None,
        )
        for i, row in enumerate(rows)
    ]
    loss = -torch.stack([e.log_softmax(0)[y] for e, y in zip(expected, labels, strict=True)]).mean()
    assert static.item() == pytest.approx(loss.item(), rel=1e-12)
    wanted = torch.autograd.grad(loss + text, trained)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["bias", "linear"])
def test_the_text_loss_is_of_the_moved_text(world, kind):
    readout = random_readout(world, kind)
    moved = normalise(world[0])
    weight = readout.projections.text
    moved = normalise(moved + (weight if kind == "bias" else moved @ weight.T))
    rows = torch.arange(C * K)
    x = normalise(world[1].reshape(C * K, V, D)[:, 2])
    expected = torch.nn.functional.cross_entropy(SCALE * x @ moved.T, rows // K)
    _, text = losses(readout, x, rows, K)
    assert text.item() == pytest.approx(expected.item(), rel=1e-12)


def test_training_follows_adamw_and_the_cosine_step_by_step(world):
    """AdamW and the schedule written out, on gradients of the same losses."""
    plan = list(sample_plan(np.random.default_rng(3), C * K, V, 3))
    result = train(world, plan=plan)
    slots = slots_of(world)
    readout = static_readout(slots, untrained("bias", "all", slots), BETA, SCALE)
    parameters = readout.projections.tensors()
    moments = {name: (0.0, 0.0) for name in NAMES}
    flat, step = world[1].reshape(C * K, V, D), 0
    for order, view in plan:
        for batch in (order[:5], order[5:10], order[10:]):
            rate = 1e-7 + (1e-2 - 1e-7) * (1 + math.cos(math.pi * step / 9)) / 2
            static, text = losses(readout, flat[batch, view[batch]], torch.from_numpy(batch), K)
            grads = torch.autograd.grad(static + text, list(parameters.values()))
            row = result.history[step]
            assert row["learning_rate"] == pytest.approx(rate, rel=1e-9)
            assert row["loss_static"] == pytest.approx(static.item(), rel=1e-9)
            assert row["loss_text"] == pytest.approx(text.item(), rel=1e-9)
            step += 1
            for name, g in zip(NAMES, grads, strict=True):
                first, second = moments[name]
                first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
                moments[name] = first, second
                change = (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
                data = parameters[name].data
                data.mul_(1 - rate * 1e-4).sub_(rate * change)
    assert len(result.history) == step == 9
    for name in NAMES:
        torch.testing.assert_close(getattr(result.projections, name), parameters[name].detach())


@pytest.mark.parametrize("kind", ["bias", "linear"])
@pytest.mark.parametrize("position", sorted(POSITIONS))
def test_only_the_projections_at_the_position_move(world, kind, position):
    projections = train(world, kind=kind, position=position).projections
    shape = (C, D) if kind == "bias" else (D, D)
    for name in NAMES:
        value = getattr(projections, name)
        moved = value is not None and bool((value != 0).any())
        assert moved == (name in POSITIONS[position])
        assert value is None or tuple(value.shape) == shape


def test_training_lowers_the_loss(world):
    history = train(world, epochs=30).history
    first, last = (
        sum(r["loss_static"] + r["loss_text"] for r in h) for h in (history[:3], history[-3:])
    )
    assert last < first


def test_equal_generators_give_equal_projections(world):
    first, again = train(world).projections, train(world).projections
    other = train(world, generator=generator(1, "test")).projections
    assert torch.equal(first.key, again.key)
    assert not torch.equal(first.key, other.key)


def test_the_result_does_not_depend_on_the_number_of_threads(world):
    before = torch.get_num_threads()
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append(train(world).projections)
    torch.set_num_threads(before)
    for name in NAMES:
        one, other = (getattr(r, name) for r in results)
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def test_each_epoch_shows_every_image_once_in_an_augmented_view():
    for order, view in sample_plan(np.random.default_rng(0), 50, 4, 3):
        assert sorted(order) == list(range(50))
        assert set(view) == {1, 2, 3}
    assert set(next(sample_plan(np.random.default_rng(0), 5, 1, 1))[1]) == {0}


def test_half_precision_caches_are_trained_in_the_given_dtype(world):
    text, views = (w.half() for w in world)
    result = train((text, views))
    assert result.projections.key.dtype == torch.float64


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"kind": "biases"}, ConfigError, "did you mean 'bias'"),
        ({"position": "outputs"}, ConfigError, "did you mean 'output'"),
        ({"epochs": 0}, ConfigError, "epochs 0"),
    ],
)
def test_unknown_options_are_refused(world, changes, error, words):
    with pytest.raises(error, match=words):
        train(world, **changes)


def test_unusable_features_are_refused(world):
    text, views = world
    with pytest.raises(FeatureError, match=r"text \[C, D\] and shots \[C, K, V, D\]"):
        train((text, views[:, :, 0]))
    with pytest.raises(FeatureError, match="do not fit text"):
        train((text[1:], views))
    with pytest.raises(FeatureError, match="shots: the vector at .* has NaN"):
        train((text, views * torch.nan))
    with pytest.raises(FeatureError, match="text: the vector at C=0 is a zero vector"):
        train((text * 0, views))
