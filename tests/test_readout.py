"""The equations of a read, on numbers small enough to follow by hand."""

from __future__ import annotations

import math

import torch

from dmn.method.projections import Projections
from dmn.method.readout import (
    center_weights,
    entropy_weights,
    keys,
    logits,
    output,
    query,
    similarity_weights,
    values,
    weighted_sum,
)

NONE = Projections("bias")


def test_the_query_bias_is_averaged_over_classes() -> None:
    bias = Projections.bias(query=torch.tensor([[0.0, 2.0], [0.0, 0.0]]))
    assert torch.allclose(query(torch.tensor([[1.0, 0.0]]), bias), torch.full((1, 2), 0.5**0.5))


def test_keys_and_values_take_their_own_class_bias() -> None:
    slots = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])
    bias = Projections.bias(
        key=torch.tensor([[0.0, 1.0], [0.0, 0.0]]), value=torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    )
    half = 0.5**0.5
    assert torch.allclose(keys(slots, bias), torch.tensor([[[half, half]], [[1.0, 0.0]]]))
    assert torch.allclose(values(slots, bias), torch.tensor([[[1.0, 0.0]], [[half, half]]]))


def test_a_linear_layer_is_added_to_the_identity() -> None:
    layer = Projections.linear(query=torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
    assert torch.allclose(query(torch.tensor([[0.0, 1.0]]), layer), torch.full((1, 2), 0.5**0.5))


def test_weights_fall_with_distance_and_empty_slots_have_none() -> None:
    k = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]])
    filled = torch.tensor([[True, True, False]])
    w = similarity_weights(torch.tensor([[1.0, 0.0]]), k, filled, 2.0)
    assert torch.allclose(w, torch.tensor([[[1.0, math.exp(-2), 0.0]]]))


def test_entropy_weights_are_largest_for_certain_slots() -> None:
    w = entropy_weights(torch.tensor([[0.0, 0.5], [0.1, 0.0]]), torch.tensor([[True, True]] * 2))
    assert torch.allclose(w[0, 0], torch.tensor([math.log(2), math.log(2) - 0.5]))


def test_center_weights_count_filled_slots_alike() -> None:
    assert center_weights(torch.tensor([[True, False]]), torch.float32).tolist() == [[[1.0, 0.0]]]


def test_the_sum_is_weighted_and_its_scale_removed() -> None:
    v = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    a = weighted_sum(torch.tensor([[[3.0, 4.0]]]), v)
    assert torch.allclose(a, torch.tensor([[[0.6, 0.8]]]))


def test_a_class_without_slots_reads_as_zero() -> None:
    a = weighted_sum(torch.zeros(1, 1, 0), torch.zeros(1, 0, 2))
    assert a.tolist() == [[[0.0, 0.0]]]


def test_the_output_bias_is_added_between_two_norms() -> None:
    a = output(torch.tensor([[[0.6, 0.8]]]), Projections.bias(output=torch.tensor([[0.2, -0.8]])))
    assert torch.allclose(a, torch.tensor([[[1.0, 0.0]]]))
    assert torch.allclose(output(a, NONE), a)


def test_logits_use_the_image_itself() -> None:
    a = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    assert torch.allclose(logits(a, torch.tensor([[0.6, 0.8]]), 10.0), torch.tensor([[6.0, 8.0]]))
