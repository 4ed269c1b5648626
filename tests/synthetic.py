"""Small data sets of random clusters in feature space, for tests of whatever reads `StudyData`."""

from __future__ import annotations

import numpy as np

from dmn.evaluation.contract import Part, StudyData


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of unit length along the last axis."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def memory(text: np.ndarray, shots: np.ndarray) -> np.ndarray:
    """Return the static memory [C, 1+K, D] of text [C, D] and shots [C, K, D], in float16."""
    return np.concatenate([text[:, None], shots], axis=1).astype(np.float16)


def study_data(
    classes: int = 6,
    dimension: int = 16,
    images: int = 120,
    views: int = 4,
    shots: int = 4,
    validation: int = 4,
    seed: int = 0,
    noise: float = 0.35,
    few_shot: bool = True,
) -> StudyData:
    """Return clustered features with text off the cluster centres, so that components differ."""
    generator = np.random.default_rng(seed)
    centres = unit(generator.normal(size=(classes, dimension)))
    base = unit(generator.normal(size=dimension))

    def sample(labels: np.ndarray, count: int, spread: float) -> np.ndarray:
        image = (
            centres[labels] * 0.5
            + base
            + spread * generator.normal(size=(len(labels), dimension)) / np.sqrt(dimension)
        )
        view = 0.3 * generator.normal(size=(len(labels), count, dimension)) / np.sqrt(dimension)
        view[:, 0] = 0
        return unit(image[:, None] + view).astype(np.float16)

    def part(labels: np.ndarray, name: str, spread: float = noise) -> Part:
        return Part(
            sample(labels, views, spread), labels, [f"{name}{i}" for i in range(len(labels))]
        )

    text = unit(centres * 0.5 + base + 0.4 * generator.normal(size=(classes, dimension)) / 4)
    test = part(generator.integers(0, classes, size=images), "test/")
    val_labels = np.tile(np.arange(classes), validation)
    shot_labels = np.repeat(np.arange(classes), shots)
    train = sample(shot_labels, views, noise).reshape(classes, shots, views, dimension)
    shifts = {
        (kind, severity): part(test.labels, "test/", noise * (1 + severity * strength))
        for kind, strength in (("blur", 0.1), ("noise", 0.5))
        for severity in (1, 5)
    }
    pictures = {name: generator.integers(0, 255, size=(8, 8), dtype=np.uint8) for name in test.ids}
    return StudyData(
        dataset="synthetic",
        backbone="random",
        split_seed=seed,
        class_names=[f"class {c}" for c in range(classes)],
        logit_scale=100.0,
        text=text.astype(np.float16),
        test=test,
        val=part(np.sort(val_labels), "val/") if few_shot else None,
        train=train if few_shot else None,
        memories={k: memory(text, train[:, :k, 0]) for k in (1, shots)} if few_shot else {},
        shifts=shifts,
        thumbnails=pictures,
    )
