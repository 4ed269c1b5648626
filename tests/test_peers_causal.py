"""Every peer sees what its module says, and no more."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmn.config import load
from dmn.evaluation.contract import Cell
from dmn.peers.bench import Bench
from dmn.peers.contract import Images
from dmn.peers.loading import load_peers
from dmn.peers.table import PEERS
from synthetic import study_data

CONFIG = load({"shots": [4]})
CELLS = {"zero_shot": Cell("zero_shot"), "shots": Cell("training_free", 4)}
DATA = study_data(images=60, noise=0.5)
CLOSE = {"rtol": 1e-7, "atol": 1e-7}


@cache
def bench(cell: str) -> Bench:
    return Bench(replace(DATA, logit_scale=40.0), CONFIG, CELLS[cell])


def cases(*sees):
    return [
        pytest.param(cell, peer, id=f"{peer.name}, {cell}")
        for cell in CELLS
        for peer in load_peers(list(PEERS))
        if bench(cell).serves(peer) and peer.sees in sees
    ]


def scores(cell, peer, images):
    return peer.answer(bench(cell)._fit(peer, peer.options), images, peer.options)


@pytest.mark.parametrize(("cell", "peer"), cases("stream", "batches"))
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 59))
def test_an_answer_does_not_change_when_later_images_do(cell, peer, seed, cut):
    random = np.random.default_rng(seed)
    first = DATA.test.views[random.permutation(60)]
    # a batch is answered together: what comes later than its end is what counts
    batch = getattr(peer.options, "batch", None) or 1
    cut = min(-(-cut // batch) * batch, 60)
    second = first.copy()
    second[cut:] = DATA.test.views[random.permutation(60)][cut:]
    one, other = (scores(cell, peer, Images(views))[:cut] for views in (first, second))
    np.testing.assert_allclose(one, other, **CLOSE)


@pytest.mark.parametrize(("cell", "peer"), cases("image"))
def test_an_image_alone_is_answered_as_among_others(cell, peer):
    whole = scores(cell, peer, Images(DATA.test.views))
    for row in (0, 7, 59):
        alone = scores(cell, peer, Images(DATA.test.views[row : row + 1]))
        np.testing.assert_allclose(alone[0], whole[row], **CLOSE)


@pytest.mark.parametrize(("cell", "peer"), cases("set", "image"))
def test_the_order_does_not_count_for_a_peer_that_sees_the_whole_set(cell, peer):
    order = np.random.default_rng(0).permutation(60)
    whole = scores(cell, peer, Images(DATA.test.views))
    moved = scores(cell, peer, Images(DATA.test.views[order]))
    np.testing.assert_allclose(moved, whole[order], **CLOSE)


@pytest.mark.parametrize(("cell", "peer"), cases("image", "stream", "batches", "set"))
def test_views_other_than_the_plain_one_count_for_peers_that_need_them_only(cell, peer):
    views = DATA.test.views.copy()
    views[:, 1:] = views[:, :1]
    same = np.allclose(
        scores(cell, peer, Images(views)), scores(cell, peer, Images(DATA.test.views)), **CLOSE
    )
    assert same == ("views" not in peer.needs)
