import csv
import io
import json
import zipfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from dmn.datasets import digits
from dmn.errors import DataError


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "digits.zip"
    digits.export(path)
    return path


def test_the_archive_is_the_same_bytes_each_time(archive, tmp_path):
    digits.export(tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()


def test_every_scan_comes_back_exactly_from_the_archive(archive):
    scans, labels = digits.load()
    with zipfile.ZipFile(archive) as files:
        rows = list(csv.DictReader(io.StringIO(files.read("labels.csv").decode())))
        for index in (0, 7, 1796):
            with Image.open(io.BytesIO(files.read(rows[index]["image"]))) as image:
                assert image.mode == "L"
                levels = np.rint(np.asarray(image) / 255 * 16)
            np.testing.assert_array_equal(levels, scans[index])
            assert rows[index]["class"] == digits.CLASS_NAMES[labels[index]]
        assert len(rows) == len(scans) == 1797
        assert sorted(files.namelist()) == files.namelist()


def test_other_content_of_scikit_learn_is_an_error(monkeypatch):
    monkeypatch.setattr(digits, "CONTENT_SHA256", "0" * 64)
    with pytest.raises(DataError, match=r"load_digits has content [0-9a-f]{64}, expected 0000"):
        digits.load()


def test_the_split_is_stratified_complete_and_disjoint():
    split = digits.split()
    names = [item[0] for part in split.values() for item in part]
    assert len(names) == len(set(names)) == 1797
    sizes = {name: len(part) for name, part in split.items()}
    assert sizes == {"train": 719, "val": 539, "test": 539}
    for part in split.values():
        assert min(Counter(label for _, label, _ in part).values()) > len(part) / 10 - 4


def test_the_split_has_the_form_of_a_split_file():
    split = json.loads(json.dumps(digits.split()))
    path, label, name = split["test"][0]
    assert path.startswith("images/")
    assert digits.CLASS_NAMES[label] == name
    assert {tuple(item[1:]) for item in split["train"]} == set(enumerate(digits.CLASS_NAMES))
