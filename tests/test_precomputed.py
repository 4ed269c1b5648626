"""Features that others made: what is read exactly, what is put right, what is refused in words."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dmn.artifacts import write_tensors
from dmn.datasets.formats.arrays import open_arrays
from dmn.datasets.imported import ImportedFeatures, Rows
from dmn.datasets.registry import DatasetEntry
from dmn.errors import DataError, FeatureError
from synthetic import unit
from test_formats import entry_of

NAMES = ["ant", "bee", "cat"]


def features(*shape: int, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def arrays(**changes):
    plain = {"features": features(6, 2, 8), "labels": np.arange(6) % 3}
    return {name: a for name, a in {**plain, **changes}.items() if a is not None}


def write(folder: Path, text: dict | None = None, **changes) -> DatasetEntry:
    """Write test.npz and text.npz with changes; return the entry of the folder."""
    np.savez(folder / "test.npz", **arrays(**changes))
    np.savez(folder / "text.npz", **{"features": features(3, 8, seed=1), **(text or {})})
    return entry_of(folder, 3)


def opened(folder: Path, entry: DatasetEntry | None = None) -> ImportedFeatures:
    entry = entry or entry_of(folder, 3)
    return ImportedFeatures(entry, [folder / name for name in entry.files], "")


def read(folder: Path, entry: DatasetEntry | None = None) -> Rows:
    """Return the test images, after reading the text and the classes too."""
    found = opened(folder, entry)
    found.text()
    found.split()
    return found.rows("test")


def test_half_precision_of_unit_norm_is_kept_bit_for_bit(tmp_path: Path) -> None:
    half = features(6, 2, 8).astype(np.float16)
    rows = read(tmp_path, write(tmp_path, features=half))
    assert np.array_equal(rows.features.view(np.uint16), half.view(np.uint16))
    assert rows.notes == ()


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_other_precisions_round_to_half(tmp_path: Path, dtype: str) -> None:
    wide = features(6, 2, 8).astype(dtype)
    rows = read(tmp_path, write(tmp_path, features=wide))
    assert np.array_equal(rows.features, wide.astype(np.float16))


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_bfloat16_is_read(tmp_path: Path, suffix: str) -> None:
    low = torch.from_numpy(features(6, 8)).bfloat16()
    labels = torch.arange(6) % 3
    if suffix == "pt":
        torch.save(low, tmp_path / "test_f.pt")
        torch.save(labels, tmp_path / "test_l.pt")
    else:
        save_file({"features": low, "labels": labels}, str(tmp_path / "test.safetensors"))
    np.savez(tmp_path / "text.npz", features=features(3, 8, seed=1))
    rows = read(tmp_path)
    assert np.allclose(rows.features[:, 0], low.float().numpy(), atol=1e-3)
    assert rows.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_one_view_may_leave_its_axis_out(tmp_path: Path) -> None:
    assert read(tmp_path, write(tmp_path, features=features(6, 8))).features.shape == (6, 1, 8)


def test_vectors_of_other_lengths_are_normalised_and_said(tmp_path: Path) -> None:
    long = features(6, 2, 8)
    long[2:] *= 70_000
    rows = read(tmp_path, write(tmp_path, features=long))
    assert np.allclose(np.linalg.norm(rows.features.astype(float), axis=-1), 1, atol=1e-3)
    assert "lengths are 1 to 7e+04; 8 vectors were normalised to 1" in rows.notes[0]


def test_rows_are_read_in_blocks_as_at_once(tmp_path: Path, monkeypatch) -> None:
    entry = write(tmp_path)
    whole = read(tmp_path, entry).features
    monkeypatch.setattr("dmn.datasets.precomputed.ROWS_AT_ONCE", 2)
    found = opened(tmp_path, entry).rows("test", [5, 0, 3])
    assert np.array_equal(found.features, whole[[5, 0, 3]])
    assert found.ids == ["test/0000005", "test/0000000", "test/0000003"]


def test_files_are_mapped_and_only_asked_rows_are_touched(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", features(6, 8))
    np.savez(tmp_path / "b.npz", x=features(6, 8), y=np.arange(6))
    torch.save(torch.from_numpy(features(6, 8)), tmp_path / "c.pt")
    assert isinstance(open_arrays(tmp_path / "a.npy").arrays[""].load(), np.memmap)
    assert isinstance(open_arrays(tmp_path / "b.npz").arrays["x"].load(), np.memmap)
    for name, key in (("a.npy", ""), ("b.npz", "x"), ("c.pt", "")):
        array = open_arrays(tmp_path / name).arrays[key]
        assert array.words == "float32 [6, 8]"
        assert np.array_equal(array.read([4, 1]), features(6, 8)[[4, 1]])


def test_a_compressed_npz_is_read_as_a_stored_one(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "b.npz", x=features(6, 8), f=np.asfortranarray(features(6, 8)))
    np.savez(tmp_path / "c.npz", x=features(6, 8), f=np.asfortranarray(features(6, 8)))
    for name in ("b.npz", "c.npz"):
        for array in open_arrays(tmp_path / name).arrays.values():
            assert np.array_equal(array.read(), features(6, 8))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.arange(6) % 3, "integers"),
        ((np.arange(6) % 3).astype(np.uint8)[:, None], "a column"),
        ((np.arange(6) % 3).astype(np.float32), "whole floats"),
        (np.eye(3, dtype=np.float16)[np.arange(6) % 3], "one-hot"),
        (np.eye(3, dtype=bool)[np.arange(6) % 3], "one-hot booleans"),
    ],
)
def test_labels_are_read_in_each_form(tmp_path: Path, labels: np.ndarray, words: str) -> None:
    assert read(tmp_path, write(tmp_path, labels=labels)).labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_labels_that_count_from_1_are_read_where_the_entry_says_so(tmp_path: Path) -> None:
    write(tmp_path, labels=np.arange(6) % 3 + 1)
    rows = read(tmp_path, entry_of(tmp_path, 3, first_label=1))
    assert rows.labels.tolist() == [0, 1, 2, 0, 1, 2]


def with_value(value: float) -> np.ndarray:
    values = features(6, 2, 8)
    values[4, 1] = value
    return values


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": None}, "test.npz has no array 'features'; it has "),
        ({"labels": None}, "test.npz has no array 'labels'"),
        ({"features": features(6)}, r"float32 [6]; they must be [N, D] or [N, V, D]"),
        ({"features": np.ones((6, 2, 0))}, r"features are float64 [6, 2, 0]"),
        ({"features": np.ones((6, 8), int)}, "features are int64 [6, 8], not floating point"),
        ({"features": with_value(np.nan)}, r"feature at [4, 1] is not finite (1 such)"),
        ({"features": with_value(np.inf)}, "is not finite"),
        ({"features": with_value(0)}, r"feature at [4, 1] is zero"),
        ({"features": features(6, 7)}, "text features are [3, 8] and image features have D=7"),
        ({"labels": np.arange(5)}, r"int64 [5]; they must be integers [6], or one-hot"),
        ({"labels": np.arange(6) / 2}, "labels are float64 [6]; they must be integers"),
        ({"labels": np.full(6, np.nan)}, "labels are float64 [6]; they must be integers"),
        ({"labels": np.arange(6)}, "label 3 of row 3 must be 0 to 2"),
        ({"labels": np.arange(6) - 1}, "label -1 of row 0 must be 0 to 2"),
        ({"labels": np.arange(6) % 3 + 1}, "run from 1 to 3, so they count from 1; set features"),
        ({"labels": np.ones((6, 3))}, "labels are [6, 3]; they must be integers or one-hot"),
        ({"labels": np.eye(4)[np.arange(6) % 3]}, "or one-hot with 3 classes"),
        ({"class_names": np.array(["a", "b"])}, "has 2 class_names; 3 classes"),
        ({"ids": np.array(list("abcdea"))}, "image id 'a' is there 2 times"),
        ({"ids": np.array(list("abc"))}, "3 ids for 6 features"),
        ({"class_names": np.array([object()] * 3)}, "not an npz of plain arrays"),
    ],
)
def test_unusable_features_are_refused(tmp_path: Path, changes, message: str) -> None:
    with pytest.raises((FeatureError, DataError), match=re.escape(message)) as told:
        read(tmp_path, write(tmp_path, **changes))
    assert "test.npz" in str(told.value) or "text.npz" in str(told.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (features(3, 1, 8), "text features are [3, 1, 8]; they must be [C, D] or [D, C]"),
        (features(3, 9), "feature dimensions differ; use one encoder for all"),
        (features(2, 8), "has 2 classes; the registry says 3"),
        (features(8, 2), "has 2 classes; the registry says 3"),
        (np.full((3, 8), np.nan), "the feature at [0] is not finite (3 such)"),
    ],
)
def test_unusable_text_is_refused(tmp_path: Path, text: np.ndarray, message: str) -> None:
    with pytest.raises((FeatureError, DataError), match=re.escape(message)):
        read(tmp_path, write(tmp_path, text={"features": text}))


def square(folder: Path, **facts: object) -> ImportedFeatures:
    """Write a Tip-Adapter cache of as many classes as dimensions."""
    torch.save(torch.from_numpy(features(6, 3)), folder / "test_f.pt")
    torch.save(torch.arange(6) % 3, folder / "test_l.pt")
    torch.save(torch.from_numpy(features(3, 3, seed=1)), folder / "text_features.pt")
    return opened(folder, entry_of(folder, 3, **facts))


def test_square_text_is_ambiguous_until_the_entry_says_its_axes(tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match="as many classes as dimensions.*text_axes: C D"):
        square(tmp_path).text()
    written = features(3, 3, seed=1)
    found = square(tmp_path, text_axes="C D").text().features
    assert np.array_equal(found, written.astype(np.float16))
    found = square(tmp_path, text_axes="D C").text().features
    assert np.allclose(found, unit(written.T), atol=1e-3)


@pytest.mark.parametrize("other", ["text", "train"])
def test_parts_in_another_order_of_classes_are_put_into_one(tmp_path: Path, other: str) -> None:
    order = np.array([2, 0, 1])
    text = features(3, 8, seed=1)
    moved = {"class_names": np.array(NAMES)[order]}
    same = {"class_names": np.array(NAMES)}
    write(
        tmp_path,
        text={"features": text[order], **moved} if other == "text" else {"features": text, **same},
        **same,
    )
    labels = np.array([0, 2, 2, 1, 0, 1])
    if other == "train":
        np.savez(tmp_path / "train.npz", **arrays(labels=labels, **moved))
    found = opened(tmp_path)
    assert found.classes == tuple(NAMES)
    assert np.array_equal(found.text().features, text.astype(np.float16))
    if other == "train":
        named = [NAMES[label] for label in found.rows("train").labels]
        assert named == moved["class_names"][labels].tolist()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["ant", "bee", "dog"], "text.npz and .*test.npz name other classes: 'dog' of text.npz"),
        (["ant", "ant", "bee"], "name other classes: 'ant' of text.npz"),
    ],
)
def test_parts_of_other_classes_are_refused(tmp_path: Path, names, message: str) -> None:
    entry = write(tmp_path, text={"class_names": np.array(names)}, class_names=np.array(NAMES))
    with pytest.raises(FeatureError, match=message):
        read(tmp_path, entry)


def test_names_that_stand_twice_serve_in_one_order_only(tmp_path: Path) -> None:
    twice = ["missile", "cat", "missile"]
    entry = write(tmp_path, text={"class_names": twice}, class_names=np.array(twice))
    assert opened(tmp_path, entry).classes == tuple(twice)
    entry = write(tmp_path, text={"class_names": sorted(twice)}, class_names=np.array(twice))
    with pytest.raises(FeatureError, match="different orders, and 'missile' stands twice"):
        read(tmp_path, entry)


@pytest.mark.parametrize("metadata", ['["ant", "bee", "cat"]', "ant\nbee\ncat"])
def test_class_names_are_read_from_bytes_and_from_metadata(tmp_path: Path, metadata: str) -> None:
    entry = write(tmp_path, class_names=np.array(NAMES, dtype="S3"))
    assert opened(tmp_path, entry).split().classes == tuple(NAMES)
    (tmp_path / "test.npz").unlink()
    tensors = {"features": torch.from_numpy(features(6, 8)), "labels": torch.arange(6) % 3}
    path = tmp_path / "test.safetensors"
    save_file(tensors, str(path), metadata={"class_names": metadata})
    assert opened(tmp_path).split().classes == tuple(NAMES)
    write_tensors(path, {n: t.numpy() for n, t in tensors.items()}, {"class_names": NAMES})
    assert opened(tmp_path).split().classes == tuple(NAMES)


def test_the_scale_of_similarities_is_the_entrys_or_the_files_or_clips(tmp_path: Path) -> None:
    entry = write(tmp_path)
    assert opened(tmp_path, entry).text().logit_scale == 100.0
    entry = write(tmp_path, text={"logit_scale": np.float32(117.5)})
    assert opened(tmp_path, entry).text().logit_scale == 117.5
    entry = entry_of(tmp_path, 3, logit_scale=10)
    assert opened(tmp_path, entry).text().logit_scale == 10


def test_missing_broken_and_unknown_files_are_named(tmp_path: Path) -> None:
    for name in ("none.npz", "none.safetensors", "none.pt", "none.npy"):
        with pytest.raises(FeatureError, match=rf"cannot read .*{name}: no such file"):
            open_arrays(tmp_path / name)
        (tmp_path / name).write_bytes(b"garbage")
        with pytest.raises(FeatureError, match=name):
            open_arrays(tmp_path / name)
    with pytest.raises(FeatureError, match=r"read from \.npy, \.npz, \.safetensors, \.pt"):
        open_arrays(tmp_path / "x.pkl")


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hostile-was-here",)


@pytest.mark.parametrize("content", [Hostile(), {"image_features": Hostile()}, [Hostile()]])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, monkeypatch, content) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(
        FeatureError, match=r"more than tensors \(.*system\); nothing of it was run"
    ):
        open_arrays(tmp_path / "x.pt")
    assert not (tmp_path / "hostile-was-here").exists()


def test_a_file_of_torch_before_archives_is_read(tmp_path: Path) -> None:
    torch.save(torch.arange(6.0), tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    assert open_arrays(tmp_path / "x.pt").arrays[""].read().tolist() == list(range(6))


def test_a_file_saved_on_a_gpu_is_read_without_one(tmp_path: Path) -> None:
    torch.save(torch.arange(6.0), tmp_path / "cpu.pt")
    with (
        zipfile.ZipFile(tmp_path / "cpu.pt") as here,
        zipfile.ZipFile(tmp_path / "gpu.pt", "w") as there,
    ):
        for name in here.namelist():
            content = here.read(name)
            # the device is a word of the pickle, its length before it
            there.writestr(name, content.replace(b"\3\0\0\0cpu", b"\6\0\0\0cuda:3"))
    assert b"cuda:3" in (tmp_path / "gpu.pt").read_bytes()
    assert open_arrays(tmp_path / "gpu.pt").arrays[""].read().tolist() == list(range(6))


def test_a_sparse_tensor_and_a_file_without_tensors_are_named(tmp_path: Path) -> None:
    torch.save(torch.eye(3).to_sparse(), tmp_path / "x.pt")
    with pytest.raises(FeatureError, match="sparse tensor; save it dense"):
        open_arrays(tmp_path / "x.pt")
    torch.save({"a": 1, "b": "c"}, tmp_path / "x.pt")
    with pytest.raises(FeatureError, match="holds no tensor but int, str"):
        open_arrays(tmp_path / "x.pt")
