"""Online, blocked and plain loop give the same answers, whatever the network and the stream."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmn.engine.cpu import BlockReader
from dmn.engine.evaluate import schedule_of
from dmn.engine.gpu import BatchedReader
from dmn.engine.readers import dynamic_reading
from dmn.engine.recorded import open_stream, room
from dmn.engine.together import blockwise, pairs
from dmn.engine.together.blockwise import answer_blockwise
from dmn.engine.together.groups import Factors, Group, grouped
from dmn.engine.together.requests import Block, Request
from dmn.errors import FeatureError
from dmn.method.choices import ENTRY_RULES, POSITIONS, READOUTS
from dmn.network import evaluate_many
from dmn.workers import Workers
from network_cases import Case

QUICK = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
TOLERANCE = {torch.float64: 1e-10, torch.float32: 3e-5}


@st.composite
def cases(draw: st.DrawFn, **fixed: Any) -> Case:
    options = {
        "length": draw(st.sampled_from([1, 2, 5, None])),
        "readout": draw(st.sampled_from(READOUTS)),
        "entry_rule": draw(st.sampled_from(ENTRY_RULES)),
        "update_before_read": draw(st.booleans()),
        "text_slot": draw(st.booleans()),
        "shots_in_dynamic": draw(st.booleans()),
        "seed": draw(st.integers(0, 3)),
    }
    choices: dict[str, Any] = {
        "classes": draw(st.integers(2, 9)),
        "dimension": draw(st.sampled_from([4, 16, 33])),
        "images": draw(st.sampled_from([0, 1, 2, 63, 64, 65, 193, 250])),
        "views": draw(st.integers(2, 5)),
        "shots": draw(st.integers(0, 3)),
        "kind": draw(st.sampled_from([None, "bias", "linear"])),
        "position": draw(st.sampled_from(sorted(POSITIONS))),
        "distinct": draw(st.sampled_from([None, None, 7])),
        "one_class": draw(st.booleans()),
        "seed": draw(st.integers(0, 1000)),
    }
    return Case(**(choices | fixed), options=options)


def same(found: Any, wanted: Any, tolerance: float) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)


@QUICK
@given(cases(), st.sampled_from([64, 100, 1000]))
def test_blocked_evaluation_equals_the_plain_loop(case: Case, block_size: int) -> None:
    # a block of more than 192 queries is read in several parts
    found, wanted = case.network().evaluate(case.stream, block_size=block_size), case.plain()
    tolerance = TOLERANCE[case.dtype]
    assert found.pseudo_label.tolist() == wanted.pseudo_label
    assert found.slot.tolist() == wanted.slot
    assert found.evicted.tolist() == wanted.evicted
    assert found.schedule is not None
    assert [[i for i in row if i >= 0] for row in found.schedule.memory_ids.tolist()] == [
        [i for i in row if i >= 0] for row in wanted.memory_ids
    ]
    same(found.text, wanted.text, tolerance)
    same(found.dynamic, wanted.dynamic, tolerance)
    if wanted.static is None:
        assert found.static is None
    else:
        same(found.static, wanted.static, tolerance)


@QUICK
@given(cases(images=40))
def test_online_steps_equal_blocked_evaluation(case: Case) -> None:
    network = case.network()
    found, steps = network.evaluate(case.stream), [network.step(image) for image in case.stream]
    for name in ("pseudo_label", "entropy", "text", "slot", "evicted"):
        online = torch.stack([getattr(step, name) for step in steps])
        assert torch.equal(online, getattr(found, name)), name
    same(torch.stack([step.dynamic for step in steps]), found.dynamic, TOLERANCE[case.dtype])


@settings(QUICK, max_examples=10)
@given(cases(images=300), st.sampled_from([torch.float32, torch.float64]))
def test_results_depend_neither_on_block_size_nor_on_threads(
    case: Case, dtype: torch.dtype
) -> None:
    case.dtype = dtype
    network = case.network()
    first = network.evaluate(case.stream, block_size=64, num_threads=1)
    for block_size, threads in ((128, 2), (192, 3), (1024, 1)):
        other = network.evaluate(case.stream, block_size=block_size, num_threads=threads)
        assert torch.equal(first.text, other.text)
        assert torch.equal(first.dynamic, other.dynamic)
        assert first.static is None or torch.equal(first.static, other.static)


@settings(QUICK, max_examples=10)
@given(cases(images=80), st.integers(0, 99))
def test_many_orders_lengths_and_betas_equal_one_at_a_time(case: Case, seed: int) -> None:
    random = np.random.default_rng(seed)
    orders = [random.permutation(80) for _ in range(2)]
    lengths, betas = (4, 1, 200), (1.0, 3.0)
    many = evaluate_many(case.network(), case.stream, orders, lengths, betas, block_size=64)
    for o, order in enumerate(orders):
        for n, length in enumerate(lengths):
            for b, beta in enumerate(betas):
                case.options |= {"length": length, "beta": beta}
                one = case.network().evaluate(case.stream, order=order)
                same(many.dynamic[o, n, b][order], one.dynamic, TOLERANCE[case.dtype])


def answers_of(
    requests: list[Request], orders: list[np.ndarray], pairs_serve: bool
) -> dict[tuple[int, ...], dict[str, np.ndarray]]:
    """Return all that a sink is given, put together, by request and beta."""
    found: dict[tuple[int, ...], dict[str, Any]] = {}
    lock = Lock()

    def sink(block: Block) -> None:
        request = requests[block.request]
        N, C = len(request.views), block.text.shape[1]
        shape = (len(orders), len(request.lengths), N, C)
        with lock:
            own = found.setdefault(
                (block.request, block.beta),
                {"text": np.full((N, C), np.nan), "dynamic": np.full(shape, np.nan)}
                | ({} if block.static is None else {"static": np.full((N, C), np.nan)}),
            )
        own["text"][block.rows] = block.text
        if block.static is not None:
            own["static"][block.rows] = block.static
        for o, order in enumerate(block.orders):
            for n, length in enumerate(block.lengths):
                assert np.isnan(own["dynamic"][order, length, block.rows]).all()
                own["dynamic"][order, length, block.rows] = block.dynamic[o, n]

    def served(requests: list[Request], *_: object) -> list[int]:
        chosen = [i for i, request in enumerate(requests) if pairs.supported(request.model)]
        return chosen if pairs_serve else []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blockwise, "worthwhile", served)
        answer_blockwise(requests, orders, sink, block_size=64, num_threads=2)
    return found


def same_answers(requests: list[Request], orders: list[np.ndarray], dtype: torch.dtype) -> None:
    tolerance = {torch.float64: 1e-10, torch.float32: 3e-5}[dtype]
    crossed, in_turn = (answers_of(requests, orders, served) for served in (True, False))
    assert crossed.keys() == in_turn.keys()
    for key, own in crossed.items():
        assert own.keys() == in_turn[key].keys()
        for name, values in own.items():
            np.testing.assert_allclose(values, in_turn[key][name], rtol=0, atol=tolerance)


@settings(QUICK, max_examples=25)
@given(cases(images=150), st.sampled_from([torch.float32, torch.float64]))
def test_all_pairs_equal_one_order_after_the_other(case: Case, dtype: torch.dtype) -> None:
    case.dtype = dtype
    case.options |= {"readout": "similarity"}
    random = np.random.default_rng(case.seed)
    orders = [random.permutation(150) for _ in range(3)]
    request = Request.of(case.network().model, case.stream, (4, 1, None, 200), (1.0, 3.0))
    same_answers([request], orders, dtype)


@settings(QUICK, max_examples=15)
@given(cases(images=100, shots=3), st.sampled_from([torch.float32, torch.float64]))
def test_models_that_answer_together_answer_as_if_alone(case: Case, dtype: torch.dtype) -> None:
    case.dtype = dtype
    case.options |= {"readout": "similarity", "entry_rule": "entropy"}
    random = np.random.default_rng(case.seed)
    orders = [random.permutation(100) for _ in range(2)]
    shots, kind = case.shot_features, case.kind
    models = []
    for count, acting in ((3, kind), (2, kind), (1, None), (3, None), (0, None)):
        case.shot_features = None if not count else shots[:, :count]
        case.kind = acting
        models.append(case.network().model)
    # one that pairs do not serve, among those that they do
    case.options |= {"readout": "center"}
    models.insert(2, case.network().model)
    same_answers([Request.of(model, case.stream) for model in models], orders, dtype)


def test_models_with_the_same_labels_share_their_groups() -> None:
    case = Case(shots=4, images=30)
    shots, models = case.shot_features, []
    for count in (4, 2, 1):
        case.shot_features = shots[:, :count]
        models.append(case.network().model)
    case.kind = "bias"
    case.layers = {"key": torch.ones(5, 16, dtype=torch.float64)}
    models.append(case.network().model)
    requests = [Request.of(model, case.stream) for model in models]
    answered = answer_blockwise(requests, [], lambda _: None)
    groups = grouped(requests, answered, range(4))
    assert groups == [[(0, 0), (1, 0), (2, 0)], [(3, 0)]]
    factors = Factors(torch.zeros(30, 16, dtype=torch.float64))
    for members in groups:
        Group(members, requests, answered[0], factors)
    # images, text and four shots, a key bias and zeros in the place of a value bias
    assert factors.height == 30 + 5 * 5 + 2 * 5


def test_different_images_are_refused() -> None:
    case = Case(images=10)
    model = case.network().model
    requests = [Request.of(model, case.stream), Request.of(model, case.stream[:9])]
    with pytest.raises(FeatureError, match=r"request 1 has views \[9, 4, 16\] .* the same images"):
        answer_blockwise(requests, [np.arange(10)], lambda _: None)


def test_many_answers_go_to_memory_that_is_there() -> None:
    case = Case(classes=3, images=10, views=2, dimension=8)
    orders, kept = [np.arange(10), np.arange(10)[::-1]], torch.full((2, 2, 1, 10, 3), -1.0)
    found = evaluate_many(case.network(), case.stream, orders, (1, 4), out=kept.to(case.dtype))
    again = evaluate_many(case.network(), case.stream, orders, (1, 4))
    assert torch.equal(found.dynamic, again.dynamic)
    with pytest.raises(FeatureError, match=r"out is \[2, 1, 1, 10, 3\] .* \[2, 2, 1, 10, 3\]"):
        evaluate_many(case.network(), case.stream, orders, (1, 4), out=kept[:, :1])


def test_all_pairs_serve_many_orders_of_small_classes_only() -> None:
    def pays(case: Case, orders: int) -> bool:
        request = Request.of(case.network().model, case.stream)
        permutations = [np.arange(case.images)] * orders
        answered = answer_blockwise([request], [], lambda _: None)
        return bool(pairs.worthwhile([request], answered, permutations, case.images))

    many = {"classes": 200, "images": 2000, "views": 2, "dimension": 512}
    assert pays(Case(**many, options={"length": 50}), orders=10)
    assert pays(Case(**many, kind="bias", options={"length": 50}), orders=10)
    assert not pays(Case(**many, options={"length": 50}), orders=1)
    assert not pays(Case(**many | {"classes": 2}, options={"length": 50}), orders=10)
    assert not pays(Case(**many, kind="linear", options={"length": 50}), orders=10)
    assert not pays(Case(**many, options={"length": 50, "readout": "center"}), orders=10)


@pytest.mark.parametrize("kind", [None, "bias", "linear"])
def test_single_precision_is_within_its_tolerance_of_the_plain_loop(kind: str | None) -> None:
    case = Case(images=200, shots=2, kind=kind, dtype=torch.float32, dimension=64)
    found, wanted = case.network().evaluate(case.stream), case.plain()
    assert found.slot.tolist() == wanted.slot
    same(found.dynamic, wanted.dynamic, TOLERANCE[torch.float32])
    assert wanted.static is not None
    same(found.static, wanted.static, TOLERANCE[torch.float32])


@QUICK
@given(cases(images=70))
def test_tensor_operations_alone_give_the_same_answers(case: Case) -> None:
    model = case.network().model
    stream = open_stream(model, case.stream)
    schedule = schedule_of(model, stream)
    lengths = [0, 1, schedule.memory_ids.shape[1] + 1] if model.entry_rule == "entropy" else [90]
    reading = dynamic_reading(model, stream, schedule, lengths, betas=[1.0, 4.0])
    reading = replace(reading, logit_scale=8.0)
    answers = []
    for make in (BlockReader, BatchedReader):
        reader = make(reading, Workers(1))
        found = room(model, 2, len(lengths), 70, model.classes)
        for start, stop in ((0, 30), (30, 70)):
            reader.read(start, stop, found[:, :, start:stop])
        answers.append(found)
    same(answers[0], answers[1], TOLERANCE[case.dtype])
