"""What the dynamic memory keeps of a stream."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmn.engine.schedule import write_schedule
from dmn.errors import ConfigError, FeatureError
from dmn.method.choices import ENTRY_RULES
from dmn.method.dynamic_memory import DynamicMemory


def trace(entropies: list[float], length: int | None = 2, rule: str = "entropy") -> list[int]:
    label = np.zeros(len(entropies), np.int64)
    return write_schedule(label, np.array(entropies), 1, length, rule).slot.tolist()


def test_a_full_class_replaces_its_least_certain_entry() -> None:
    found = write_schedule(np.zeros(3, np.int64), np.array([0.5, 0.9, 0.7]), 2, 2)
    assert found.slot.tolist() == [0, 1, 1]
    assert found.evicted.tolist() == [-1, -1, 1]
    assert found.end.tolist() == [3, 2, 3]
    assert found.memory_ids.tolist() == [[0, 2], [-1, -1]]
    assert found.memory_entropy.tolist() == [[0.5, 0.7], [0, 0]]


def test_an_equal_entropy_does_not_enter() -> None:
    assert trace([0.5, 0.9, 0.9]) == [0, 1, -1]


def test_of_equal_entropies_the_latest_goes_first() -> None:
    assert trace([0.9, 0.9, 0.5, 0.4]) == [0, 1, 1, 0]


def test_first_in_first_out_takes_slots_in_turn() -> None:
    assert trace([0.1, 0.2, 0.3, 0.4, 0.5], rule="fifo") == [0, 1, 0, 1, 0]


def test_an_unlimited_memory_keeps_everything() -> None:
    assert trace([0.1, 0.2, 0.3], length=None) == [0, 1, 2]


def test_a_stream_without_images_leaves_an_empty_memory() -> None:
    found = write_schedule(np.zeros(0, np.int64), np.zeros(0), 3, 2)
    assert found.memory_ids.tolist() == [[-1, -1]] * 3
    assert found.stored.tolist() == []


def test_a_reservoir_keeps_early_and_late_images_alike() -> None:
    label, h = np.zeros(400, np.int64), np.zeros(400)
    kept = [write_schedule(label, h, 1, 20, "reservoir", seed).memory_ids for seed in range(60)]
    # the mean of uniform draws from 0 to 399 has a standard error of 3.3 here
    assert abs(np.mean(kept) - 199.5) < 14


def test_other_seeds_draw_other_slots() -> None:
    label, h = np.zeros(50, np.int64), np.zeros(50)
    slots = [write_schedule(label, h, 1, 9, "random", seed).slot for seed in (0, 1)]
    assert not np.array_equal(*slots)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), max_size=60),
    st.sampled_from([1, 2, 5, None]),
    st.sampled_from(ENTRY_RULES),
    st.integers(0, 5),
)
def test_the_trace_equals_the_live_memory(
    stream: list[tuple[int, int]], length: int | None, rule: str, seed: int
) -> None:
    label = np.array([y for y, _ in stream], np.int64)
    h = np.array([e / 7 for _, e in stream], np.float64)
    found = write_schedule(label, h, 4, length, rule, seed)
    memory = DynamicMemory(4, 2, length, rule, seed, torch.float64)
    for step, (y, e) in enumerate(zip(label, torch.from_numpy(h), strict=True)):
        written = memory.update(torch.ones(2, dtype=torch.float64), int(y), e)
        assert written == (found.slot[step], found.evicted[step])
    assert memory.count.tolist() == found.count.tolist()
    width = found.memory_ids.shape[1]
    assert np.array_equal(memory.ids[:, :width], found.memory_ids)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 9), max_size=50), st.integers(1, 12))
def test_the_memory_holds_the_lowest_entropies_seen(entropies: list[int], length: int) -> None:
    h = np.array(entropies, np.float64)
    found = write_schedule(np.zeros(len(h), np.int64), h, 1, length)
    wanted = np.argsort(h, kind="stable")[:length]
    assert sorted(i for i in found.memory_ids[0] if i >= 0) == sorted(wanted.tolist())


def test_bad_streams_are_refused_with_a_reason() -> None:
    with pytest.raises(FeatureError, match="must lie in 0 to 1"):
        write_schedule(np.array([2]), np.zeros(1), 2)
    with pytest.raises(FeatureError, match="must both be"):
        write_schedule(np.array([0]), np.zeros(2), 2)
    with pytest.raises(FeatureError, match="entropy has NaN"):
        write_schedule(np.array([0]), np.array([np.nan]), 2)
    with pytest.raises(ConfigError, match="length 0"):
        write_schedule(np.array([0]), np.zeros(1), 2, 0)
    with pytest.raises(ConfigError, match="did you mean 'reservoir'"):
        write_schedule(np.array([0]), np.zeros(1), 2, 5, "reservoirs")
