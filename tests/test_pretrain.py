import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from dmn.encoders.clip import build_small
from dmn.encoders.config import EncoderTraining, SmallClip
from dmn.encoders.pretrain import (
    CAPTIONS,
    _batch,
    _optimiser,
    _rate,
    _rounded,
    _Vocabulary,
    captions,
    contrast,
    glyph_batch,
    initialise,
    pretrain,
)
from dmn.randomness import generator

TINY = EncoderTraining(
    architecture=SmallClip(embed_dim=16, image_width=4, text_width=16, text_layers=1),
    steps=10,
    batch=16,
    captions=24,
    warmup=2,
)


@pytest.fixture(scope="module")
def trained():
    return pretrain(TINY)


def test_equal_settings_give_equal_weights(trained):
    again = pretrain(TINY)
    assert all((again.weights[name] == value).all() for name, value in trained.weights.items())
    other = pretrain(TINY.model_copy(update={"seed": 1, "steps": 1}))
    assert (other.weights["visual.conv1.weight"] != trained.weights["visual.conv1.weight"]).any()


def test_towers_side_by_side_give_the_weights_of_a_plain_loop(trained):
    model = build_small(TINY.architecture).to(torch.float64)
    initialise(model, generator(TINY.seed, "encoder-weights"), TINY.logit_scale)
    words = _Vocabulary(model)
    optimiser = _optimiser(model, words, TINY)
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    model.train()
    for step in range(TINY.steps):
        for group in optimiser.param_groups:
            group["lr"] = _rate(step, TINY)
        batch = _batch(words, TINY, step)
        seen = functional.normalize(model.encode_image(batch.images), dim=-1)
        said = functional.normalize(words.encode(model, batch.rows), dim=-1)
        optimiser.zero_grad()
        contrast(TINY.logit_scale * seen @ said.T, batch.same).backward()
        torch.nn.utils.clip_grad_norm_(parameters, TINY.clip)
        optimiser.step()
    plain = _rounded(model, words)
    assert all(np.array_equal(plain[name], value) for name, value in trained.weights.items())


def test_the_loss_falls(trained):
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]
    assert trained.history[-1]["step"] == TINY.steps - 1


def test_weights_are_rounded_and_hold_no_negative_zero(trained):
    for value in trained.weights.values():
        if value.dtype.kind == "f":
            assert value.dtype == np.float16
            assert not np.signbit(value[value == 0]).any()


def test_weights_load_into_the_network_of_open_clip(trained):
    model = build_small(TINY.architecture)
    model.load_state_dict({name: torch.from_numpy(v) for name, v in trained.weights.items()})
    assert math.isclose(model.logit_scale.detach().exp().item(), 100, rel_tol=1e-2)


def test_unused_tokens_have_no_embedding(trained):
    table = trained.weights["token_embedding.weight"]
    used = np.flatnonzero(np.abs(table).sum(1))
    assert 20 < len(used) < 60


def test_the_global_random_state_is_left_alone():
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - the global state is what is tested
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    pretrain(TINY.model_copy(update={"steps": 1}))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002


def test_captions_name_their_digit():
    texts, digits = captions()
    assert len(texts) == len(set(texts)) == len(CAPTIONS) * 10
    assert all("seven" in t or "7" in t for t, d in zip(texts, digits, strict=True) if d == 7)


def test_short_captions_are_encoded_as_open_clip_does():
    model = build_small(TINY.architecture).double()
    initialise(model, generator(0, "test"), 100.0)
    words = _Vocabulary(model)
    from open_clip import SimpleTokenizer

    rows = torch.tensor([0, 17, 119])
    tokens = SimpleTokenizer(context_length=16)([captions()[0][row] for row in rows])
    torch.testing.assert_close(words.encode(model, rows), model.encode_text(tokens))


def test_several_captions_may_be_right():
    logits = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    same = torch.tensor(
        [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    ).bool()
    rows = [
        -sum(logits[i].log_softmax(0)[j] for j in range(4) if same[i, j]) / same[i].sum()
        for i in range(4)
    ]
    columns = [
        -sum(logits[:, j].log_softmax(0)[i] for i in range(5) if same[i, j]) / same[:, j].sum()
        for j in range(3)
    ]
    expected = (sum(rows) / 4 + sum(columns) / 3) / 2
    torch.testing.assert_close(contrast(logits, same), expected)


def test_the_rate_warms_up_and_falls_to_zero():
    config = EncoderTraining(steps=100, warmup=10, lr=0.01)
    rates = [_rate(step, config) for step in range(100)]
    assert rates[9] == pytest.approx(0.01)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-4


def test_a_batch_of_glyphs_is_transformed_as_scans_are():
    batch = glyph_batch(np.arange(10), TINY, generator(0, "test"))
    assert batch.shape == (10, 3, 32, 32)
    assert batch.dtype == torch.float32
    assert -2 < float(batch.min()) < float(batch.max()) < 3
