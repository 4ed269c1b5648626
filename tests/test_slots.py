"""Slots that follow a memory, against slots made anew."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dmn.method.dynamic_memory import DynamicMemory
from dmn.method.projections import Projections
from dmn.method.slots import LiveSlots, Slots

C, D, F = 4, 6, 2


def unit(*shape: int, seed: int) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(
        torch.randn(*shape, generator=draws, dtype=torch.float64), dim=-1
    )


def projections(kind: str) -> Projections:
    if kind == "none":
        return Projections("bias")
    rows = C if kind == "bias" else D
    names = ("query", "key", "value", "output")
    return Projections(kind, **{n: unit(rows, D, seed=i) / 3 for i, n in enumerate(names)})


def made_anew(memory: DynamicMemory, fixed: torch.Tensor, given: Projections) -> Slots:
    always = torch.ones(fixed.shape[:2], dtype=torch.bool)
    features = torch.cat([memory.features, fixed], dim=1)
    return Slots.of(features, torch.cat([memory.filled, always], dim=1), given)


def assert_same(found: Slots, wanted: Slots) -> None:
    assert torch.equal(found.filled, wanted.filled)
    for own, other in zip(found[:2], wanted[:2], strict=True):
        # what an empty slot holds is never read
        torch.testing.assert_close(own[found.filled], other[found.filled], rtol=0, atol=1e-15)


def fill(memory: DynamicMemory, images: int, seed: int) -> None:
    draws = np.random.default_rng(seed)
    for x in unit(images, D, seed=seed):
        entropy = torch.tensor(draws.random(), dtype=torch.float64)
        memory.update(x, int(draws.integers(C)), entropy)


@pytest.mark.parametrize("kind", ["none", "bias", "linear"])
@pytest.mark.parametrize("length", [3, None])
@pytest.mark.parametrize("between", [1, 7])
def test_slots_follow_what_is_written_between_reads(kind, length, between):
    memory = DynamicMemory(C, D, length, dtype=torch.float64)
    fixed, given = unit(C, F, D, seed=50), projections(kind)
    live = LiveSlots(fixed, given)
    for step in range(60 // between):
        fill(memory, between, seed=step)
        assert_same(live.of(memory), made_anew(memory, fixed, given))
    # the unlimited memory has grown beyond its first slots, the short one has evicted
    assert memory.features.shape[1] > 8 if length is None else (memory.seen > 3).all()


def test_slots_follow_a_resumed_memory_and_another_one():
    memory, other = (DynamicMemory(C, D, 3, dtype=torch.float64) for _ in range(2))
    fixed, given = unit(C, F, D, seed=50), projections("bias")
    live = LiveSlots(fixed, given)
    fill(memory, 10, seed=0)
    fill(other, 10, seed=1)
    state = {name: array.copy() for name, array in memory.state().items()}
    for now in (memory, other, memory):
        assert_same(live.of(now), made_anew(now, fixed, given))
    memory.resume(other.state())
    assert_same(live.of(memory), made_anew(memory, fixed, given))
    memory.resume(state)
    assert_same(live.of(memory), made_anew(memory, fixed, given))


def test_keys_and_values_are_one_tensor_without_projections():
    slots = Slots.of(unit(C, F, D, seed=0), torch.ones(C, F, dtype=torch.bool), projections("none"))
    assert slots.key is slots.value
