"""Text prediction, view selection and pseudo-label."""

from __future__ import annotations

import math

import pytest
import torch

from dmn.method.checks import selected_views
from dmn.method.products import fitting_columns, padded
from dmn.method.projections import Projections
from dmn.method.text import (
    entropy,
    mean_probability,
    normalise,
    predict,
    select_views,
    text_classifier,
)


def test_a_text_bias_is_added_before_the_norm() -> None:
    text = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    found = text_classifier(text, Projections.bias(text=torch.tensor([[0.0, 1.0], [0.0, 0.0]])))
    assert torch.allclose(found, torch.tensor([[0.5**0.5, 0.5**0.5], [0.0, 1.0]]))


def test_entropy_adds_its_epsilon_inside_the_logarithm() -> None:
    found = entropy(torch.tensor([1.0, 0.0], dtype=torch.float64), 1e-6)
    assert float(found) == pytest.approx(-math.log(1 + 1e-6), abs=1e-15)


def test_views_of_least_entropy_are_kept_and_averaged() -> None:
    chosen = select_views(torch.tensor([[0.3, 0.1, 0.2]]), 2)
    assert chosen.tolist() == [[1, 2]]
    p = torch.tensor([[[9.0, 9.0], [0.8, 0.2], [0.6, 0.4]]])
    assert torch.allclose(mean_probability(p, chosen), torch.tensor([[0.7, 0.3]]))


def test_the_share_of_views_is_cut_off_as_the_program_does() -> None:
    assert selected_views(32, 0.1) == 3
    assert selected_views(8, 0.4) == 3


def test_at_least_one_view_is_kept() -> None:
    assert selected_views(1, 0.1) == 1
    assert selected_views(8, 0.1) == 1


def test_an_image_is_predicted_alike_in_any_company() -> None:
    random = torch.Generator().manual_seed(0)
    views = normalise(torch.randn(200, 3, 24, generator=random))
    text = normalise(torch.randn(7, 24, generator=random))
    columns = padded(text, fitting_columns(7))
    whole = predict(views, columns, 7, 20.0, 2)
    for start, stop in ((0, 1), (17, 20), (100, 200)):
        part = predict(views[start:stop], columns, 7, 20.0, 2)
        for one, all_ in zip(part, whole, strict=True):
            assert torch.equal(one, all_[start:stop])


def test_the_first_of_equal_probabilities_is_the_pseudo_label() -> None:
    same = normalise(torch.ones(3, 4))
    assert predict(same[None, :1], same, 3, 10.0, 1).pseudo_label.tolist() == [0]
