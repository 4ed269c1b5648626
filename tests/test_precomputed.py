import os
from pathlib import Path

import numpy as np
import pytest

from dmn.artifacts import write_tensors
from dmn.datasets.precomputed import read_split_features, read_text_features, read_tip_adapter
from dmn.errors import ArtifactError, FeatureError


def unit(*shape: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=shape)
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def arrays(**changes):
    plain = {"features": unit(6, 2, 8), "labels": np.arange(6) % 3}
    return {**plain, **changes}


def npz(folder: Path, **changes) -> Path:
    path = folder / "test.npz"
    kept = {name: value for name, value in arrays(**changes).items() if value is not None}
    np.savez(path, **kept)
    return path


def test_both_forms_give_the_same_features(tmp_path: Path):
    content = arrays()
    write_tensors(tmp_path / "test.safetensors", content, {"class_names": ["a", "b", "c"]})
    first = read_split_features(tmp_path / "test.safetensors", 3)
    second = read_split_features(npz(tmp_path, class_names=np.array(["a", "b", "c"])), 3)
    for found in (first, second):
        assert found.features.shape == (6, 2, 8)
        assert found.features.dtype == np.float16
        assert found.labels.tolist() == [0, 1, 2, 0, 1, 2]
        assert found.class_names == ("a", "b", "c")
        assert found.notes == ()
    assert np.array_equal(first.features, second.features)


def test_one_view_may_leave_its_axis_out(tmp_path: Path):
    assert read_split_features(npz(tmp_path, features=unit(6, 8))).features.shape == (6, 1, 8)


def test_features_of_other_lengths_are_normalised_and_said(tmp_path: Path):
    found = read_split_features(npz(tmp_path, features=unit(6, 2, 8) * 7))
    assert np.allclose(np.linalg.norm(found.features.astype(float), axis=-1), 1, atol=1e-3)
    assert "lengths were 7 to 7, normalised to 1" in found.notes[0]


def test_text_features_are_two_dimensional(tmp_path: Path):
    np.savez(tmp_path / "text.npz", features=unit(3, 8))
    assert read_text_features(tmp_path / "text.npz")[0].shape == (3, 8)
    np.savez(tmp_path / "text.npz", features=unit(3, 1, 8))
    with pytest.raises(FeatureError, match=r"\[3, 1, 8\]; they must be \[C, D\]"):
        read_text_features(tmp_path / "text.npz")


def with_value(value: float) -> np.ndarray:
    features = unit(6, 2, 8)
    features[4, 1] = value
    return features


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": None}, "has no array 'features'; it has "),
        ({"labels": None}, "has no array 'labels'"),
        ({"features": unit(6)}, r"features are \[6\]; they must be \[N, V, D\]"),
        ({"features": np.ones((6, 2, 0))}, r"features are \[6, 2, 0\]"),
        ({"features": np.ones((6, 8), int)}, "features are int64, not floating point"),
        ({"features": with_value(np.nan)}, r"feature at \[4, 1\] is not finite \(1 such\)"),
        ({"features": with_value(np.inf)}, "is not finite"),
        ({"features": with_value(0)}, r"feature at \[4, 1\] is zero"),
        ({"labels": np.arange(5)}, r"int64 \[5\]; they must be integers \[6\]"),
        ({"labels": np.arange(6) / 2}, "labels are float64"),
        ({"labels": np.arange(6)}, "label 3 of row 3 must be 0 to 2"),
        ({"labels": np.arange(6) - 1}, "label -1 of row 0 must be 0 to 2"),
        ({"class_names": np.array(["a", "b"])}, "has 2 class_names; 3 classes"),
        ({"ids": np.array(list("abcdea"))}, "image id 'a' is there 2 times"),
        ({"ids": np.array(list("abc"))}, "3 ids for 6 features"),
        ({"class_names": np.array([object()] * 3)}, "not an npz of plain arrays"),
    ],
)
def test_unusable_features_are_refused(tmp_path: Path, changes, message: str):
    with pytest.raises(FeatureError, match=message):
        read_split_features(npz(tmp_path, **changes), 3)


def test_missing_broken_and_unknown_files_are_named(tmp_path: Path):
    with pytest.raises(FeatureError, match=r"none\.npz: no such file"):
        read_split_features(tmp_path / "none.npz")
    with pytest.raises(ArtifactError, match=r"none\.safetensors: no such file"):
        read_split_features(tmp_path / "none.safetensors")
    for name, error in (("x.npz", FeatureError), ("x.safetensors", ArtifactError)):
        (tmp_path / name).write_bytes(b"garbage")
        with pytest.raises(error, match=name):
            read_split_features(tmp_path / name)
    with pytest.raises(FeatureError, match=r"read from \.safetensors or \.npz"):
        read_split_features(tmp_path / "x.pkl")


def tip_adapter(folder: Path, **changes) -> Path:
    import torch

    one_hot = np.eye(3, dtype=np.float32)[np.arange(6) % 3]
    content = {
        "keys_2shots": unit(6, 8).T.copy(),
        "values_2shots": one_hot,
        **{f"{part}_f": unit(4, 8) for part in ("val", "test")},
        **{f"{part}_l": np.arange(4) % 3 for part in ("val", "test")},
    }
    for name, value in {**content, **changes}.items():
        plain = torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        torch.save(plain, folder / f"{name}.pt")
    return folder


def test_tip_adapter_folder_becomes_three_splits(tmp_path: Path):
    sets = read_tip_adapter(tip_adapter(tmp_path), 2)
    assert {part: found.features.shape for part, found in sets.items()} == {
        "train": (6, 1, 8),
        "val": (4, 1, 8),
        "test": (4, 1, 8),
    }
    assert sets["train"].labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert np.array_equal(sets["train"].features[:, 0], unit(6, 8).astype(np.float16))


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hostile-was-here",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values_2shots": np.ones((6, 3), np.float32)}, "must be one-hot"),
        ({"values_2shots": np.full((6, 3), 1 / 3, np.float32)}, "must be one-hot"),
        ({"keys_2shots": unit(6, 8)}, r"\[6, 8\]; for \[6, 3\] values it must be \[D, 6\]"),
        ({"test_l": np.full(4, 3)}, r"test_l\.pt: label 3 of row 0 must be 0 to 2"),
        ({"val_f": unit(4, 9)}, "feature dimensions differ"),
        ({"val_f": {"a": 1}}, "holds dict, not one tensor"),
        ({"val_f": Hostile()}, "holds more than tensors; nothing of it was run"),
    ],
)
def test_unusable_tip_adapter_folder_is_refused(tmp_path: Path, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FeatureError, match=message):
        read_tip_adapter(tip_adapter(tmp_path, **changes), 2)
    assert not (tmp_path / "hostile-was-here").exists()


def test_missing_tip_adapter_file_is_named(tmp_path: Path):
    with pytest.raises(FeatureError, match=r"values_16shots\.pt: no such file"):
        read_tip_adapter(tip_adapter(tmp_path), 16)
