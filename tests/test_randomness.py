"""Draws depend on seed, purpose and index, and on nothing else."""

from __future__ import annotations

from dmn.randomness import derive_seed, generator


def test_equal_arguments_give_equal_draws() -> None:
    assert generator(3, "view", "a.png", 1).random() == generator(3, "view", "a.png", 1).random()


def test_seed_purpose_and_index_each_change_the_draws() -> None:
    seeds = {
        derive_seed(0, "view", 1),
        derive_seed(1, "view", 1),
        derive_seed(0, "order", 1),
        derive_seed(0, "view", 2),
        derive_seed(0, "view", 1, 0),
    }
    assert len(seeds) == 5


def test_a_derived_seed_never_changes_between_versions() -> None:
    assert derive_seed(0, "view", 1) == 399478982028320184
