"""The public interface: options, errors, saving and resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dmn
from dmn.errors import ArtifactError, DmnError
from network_cases import Case

TEXT = torch.eye(3, 4)


def test_a_saved_network_goes_on_where_it_stopped(tmp_path: Path) -> None:
    case = Case(images=40, shots=2, kind="bias")
    whole = [case.network().evaluate(case.stream).dynamic]
    network = case.network()
    for image in case.stream[:25]:
        network.step(image)
    network.save(tmp_path / "network.safetensors")
    resumed = dmn.DualMemoryNetwork.load(tmp_path / "network.safetensors")
    rest = torch.stack([resumed.step(image).dynamic for image in case.stream[25:]])
    torch.testing.assert_close(rest, whole[0][25:], rtol=0, atol=1e-10)


def test_an_unlimited_memory_is_saved_and_resumed(tmp_path: Path) -> None:
    case = Case(images=40, one_class=True, options={"length": None})
    network = case.network()
    for image in case.stream:
        network.step(image)
    network.save(tmp_path / "n.safetensors")
    assert dmn.DualMemoryNetwork.load(tmp_path / "n.safetensors").memory.count.max() == 40


def test_a_state_of_another_class_count_is_refused(tmp_path: Path) -> None:
    Case(classes=5).network().save(tmp_path / "five.safetensors")
    with pytest.raises(DmnError, match="C=5 classes .* this network C=4"):
        Case(classes=4).network().resume(tmp_path / "five.safetensors")


def test_a_state_of_another_length_is_refused(tmp_path: Path) -> None:
    Case().network().save(tmp_path / "three.safetensors")
    with pytest.raises(DmnError, match="L=3 slots a class, this network L=2"):
        Case(options={"length": 2}).network().resume(tmp_path / "three.safetensors")


def test_a_file_without_a_memory_is_refused(tmp_path: Path) -> None:
    from dmn.artifacts import write_tensors

    write_tensors(tmp_path / "x.safetensors", {"a": np.zeros(1)})
    with pytest.raises(ArtifactError, match="not a saved network"):
        dmn.DualMemoryNetwork.load(tmp_path / "x.safetensors")
    with pytest.raises(ArtifactError, match="has no memory"):
        Case().network().resume(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"length": 0}, "length 0 is no number of slots"),
        ({"length": 2.5}, "length 2.5"),
        ({"readout": "similarty"}, "did you mean 'similarity'"),
        ({"position": "keys"}, "did you mean 'key'"),
        ({"entry_rule": "lifo"}, "did you mean 'fifo'"),
        ({"beta": float("nan")}, "beta is nan"),
        ({"logit_scale": 0}, "logit_scale is 0"),
        ({"view_share": 1.5}, "at most 1"),
        ({"dtype": "float16"}, "give float32 or float64"),
        ({"shots": torch.ones(2, 1, 4)}, "text has C=3 classes"),
        ({"shots": torch.ones(3, 0, 4)}, "at least one shot"),
        ({"shots": torch.ones(3, 1, 5)}, "5 feature dimensions and text has 4"),
        ({"shots": torch.zeros(3, 1, 4)}, "shots: the vector at C=0, K=0 is a zero vector"),
        ({"shots_views": torch.ones(3, 2, 4)}, "shots_views without shots"),
    ],
)
def test_bad_options_are_refused_with_a_reason(options: dict[str, Any], words: str) -> None:
    with pytest.raises(DmnError, match=words):
        dmn.DualMemoryNetwork(TEXT, **options)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (torch.ones(3), r"text has shape \[3\]; it must be \[C, D\]"),
        (torch.ones(0, 4), "there is no class"),
        (torch.zeros(2, 4), "text: the vector at C=0 is a zero vector"),
        (torch.tensor([[1.0, float("inf")]]), "NaN or infinite"),
        ("words", "not an array of numbers"),
        (torch.ones(2, 4, dtype=torch.bool), "floating-point"),
    ],
)
def test_bad_text_is_refused_with_a_reason(text: Any, words: str) -> None:
    with pytest.raises(DmnError, match=words):
        dmn.DualMemoryNetwork(text)


@pytest.mark.parametrize(
    ("views", "words"),
    [
        (torch.ones(5), "views has shape"),
        (torch.ones(5, 2, 3), "3 feature dimensions and text has 4"),
        (torch.full((5, 10, 4), float("nan")), "views: the vector at N=0, V=0 has NaN"),
    ],
)
@pytest.mark.parametrize("blocks", [False, True])
def test_bad_views_are_refused_before_any_answer(views: Any, words: str, blocks: bool) -> None:
    with pytest.raises(DmnError, match=words):
        list(dmn.DualMemoryNetwork(TEXT).evaluate(views, blocks=blocks))  # type: ignore[call-overload]


def test_an_order_that_is_no_permutation_is_refused() -> None:
    with pytest.raises(DmnError, match="not a permutation of 0 to 1"):
        dmn.DualMemoryNetwork(TEXT).evaluate(torch.ones(2, 4), order=[0, 0])


def test_an_order_gives_the_answers_of_the_reordered_stream() -> None:
    case = Case(images=30)
    order = np.random.default_rng(0).permutation(30)
    found = case.network().evaluate(case.stream, order=order)
    wanted = case.network().evaluate(case.stream[order])
    assert torch.equal(found.dynamic, wanted.dynamic)
    assert torch.equal(found.slot, wanted.slot)


def test_blocks_joined_are_the_whole_result() -> None:
    case = Case(images=150, shots=1)
    whole = case.network().evaluate(case.stream)
    parts = list(case.network().evaluate(case.stream, blocks=True, block_size=64))
    assert [part.start for part in parts] == [0, 64, 128]
    for name in ("pseudo_label", "entropy", "text", "dynamic", "static", "slot", "evicted"):
        joined = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(joined, getattr(whole, name)), name


def test_half_precision_views_are_computed_in_the_networks_dtype() -> None:
    case = Case(images=20)
    half = case.stream.to(torch.float16)
    found = case.network().evaluate(half.numpy())
    assert found.dynamic.dtype == torch.float64
    assert torch.equal(found.dynamic, case.network().evaluate(half.double()).dynamic)


def test_copies_of_the_shots_change_the_static_memory_only() -> None:
    case = Case(images=20, shots=2)
    copies = torch.randn(5, 2, 3, 16, dtype=torch.float64)
    plain = case.network().evaluate(case.stream)
    more = dmn.DualMemoryNetwork(
        case.text, case.shot_features, shots_views=copies, dtype=torch.float64, **case.choices
    ).evaluate(case.stream)
    assert torch.allclose(more.dynamic, plain.dynamic, atol=1e-12)
    assert more.static is not None
    assert not torch.allclose(more.static, plain.static)


def test_zero_projections_change_nothing() -> None:
    case = Case(images=20, shots=1)
    zero = torch.zeros(5, 16)
    network = dmn.DualMemoryNetwork(
        case.text,
        case.shot_features,
        projections=dmn.Projections.bias(key=zero, output=zero),
        dtype="float64",
        **case.choices,
    )
    plain = case.network().evaluate(case.stream)
    assert torch.equal(network.evaluate(case.stream).dynamic, plain.dynamic)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: dmn.Projections.bias(keys=torch.ones(3, 4)), "did you mean 'key'"),
        (lambda: dmn.Projections.bias(key=torch.ones(4)), "give 2 axes"),
        (lambda: dmn.Projections.bias(key=torch.full((3, 4), torch.nan)), "NaN"),
        (lambda: dmn.Projections.linear(key=torch.ones(3, 4)), r"must be \[D, D\]"),
        (
            lambda: dmn.DualMemoryNetwork(TEXT, projections=dmn.Projections.bias(key=TEXT[:2])),
            "C=3 classes and D=4",
        ),
    ],
)
def test_bad_projections_are_refused(make: Any, words: str) -> None:
    with pytest.raises(DmnError, match=words):
        make()
