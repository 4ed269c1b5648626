"""Peers against what the authors' programs answered on real features, to 1e-4."""

from __future__ import annotations

import numpy as np
import pytest

from golden_peers import accuracy, golden, needed, peer, scores, world

pytestmark = needed


def test_zero_shot_clip_is_right_as_often_as_published():
    assert accuracy(scores(peer("zero_shot_clip"), world().zero_shot)) == pytest.approx(80.96)


def test_tda_says_what_the_authors_program_says():
    own = scores(peer("tda", positive_alpha=2.0, positive_beta=3.0), world().zero_shot)
    np.testing.assert_allclose(own, golden("tda_dtd")["scores"], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "changes"),
    [("tip_adapter_fs16", {}), ("tip_adapter_fs16_searched", {"alpha": 11.71, "beta": 0.358})],
)
def test_tip_adapter_says_what_the_authors_program_says(name, changes):
    import json

    hyper = json.loads(str(golden(name)["hyper"]))
    changes = {key: hyper[key] for key in ("alpha", "beta")}
    own = scores(peer("tip_adapter", **changes), world().few_shot)
    np.testing.assert_allclose(own, golden(name)["scores"], atol=1e-4)
