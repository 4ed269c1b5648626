"""Which test images were answered right, beside the rows that count them.

A row of accuracy carries its answers as packed bits, and which images they are of where that is not
all of them. `pack` moves them out of the rows, each pattern once, into arrays of a job's samples;
the rows keep their places in the columns `right` and `asked` (-1: none, all). `attach` brings them
back as a column `answers`, which filters and joins of the rows carry along. A measure that is a
mean over images without being right or wrong keeps the images' values in the same way (`spread`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dmn.artifacts import read_rows, read_tensor_metadata, read_tensors
from dmn.errors import ArtifactError
from dmn.evaluation.contract import Measurement, split_sample_name
from dmn.seeds import seed_range

if TYPE_CHECKING:
    import pandas as pd

RIGHT, ASKED, SPREAD = "right", "asked", "spread"
KINDS = (RIGHT, ASKED, SPREAD)
COUNT = "images"
COLUMN = "answers"
PERCENT = 100.0  # the unit of rows that count answers


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What each of `count` test images adds to a row: answered right or not, or any value.

    right, asked: bits as `numpy.packbits` makes them; asked None: all were. values [N] in the unit
    of the row, in place of bits.
    """

    count: int
    right: np.ndarray | None = None
    asked: np.ndarray | None = None
    values: np.ndarray | None = None

    def of(self) -> np.ndarray:
        """Return the images' values [N] in the unit of the row; of right answers: percent."""
        if self.values is not None:
            return self.values.astype(np.float64)
        assert self.right is not None
        return PERCENT * _unpacked(self.right, self.count)

    def mask(self) -> np.ndarray:
        """Return which images were asked, booleans [N]."""
        if self.asked is None:
            return np.ones(self.count, dtype=bool)
        return _unpacked(self.asked, self.count).astype(bool)


def packed(chosen: np.ndarray) -> bytes:
    """Return booleans [N] as bits, which a row holds until it is packed."""
    return np.packbits(np.asarray(chosen, dtype=bool)).tobytes()


class Chosen:
    """Some of the test images: booleans [N], and the same bits for all rows that are about them.

    Rows of a long stream would else hold the same kilobytes many times over until they are packed.
    """

    def __init__(self, mask: np.ndarray) -> None:
        self.mask, self.bits = np.asarray(mask, dtype=bool), packed(mask)


def counted(
    metric: str, right: np.ndarray | Chosen, asked: np.ndarray | Chosen | None = None
) -> dict[str, Any]:
    """Return the columns of a row that counts right answers in percent, its images beside it.

    right, asked: booleans [N] over all test images; asked None: all were.
    """
    right = right if isinstance(right, Chosen) else Chosen(right)
    asked = Chosen(asked) if isinstance(asked, np.ndarray) else asked
    own = right.mask if asked is None else right.mask[asked.mask]
    bits = {RIGHT: right.bits, ASKED: None if asked is None else asked.bits}
    return {"metric": metric, "value": 100 * int(own.sum()) / len(own), "n": len(own)} | bits


def mask(images: np.ndarray, count: int) -> np.ndarray:
    """Return booleans [N] that are true at `images`, of `count` test images."""
    found = np.zeros(count, dtype=bool)
    found[images] = True
    return found


def placed(rows: Iterable[dict[str, Any]], images: np.ndarray, count: int) -> list[dict[str, Any]]:
    """Return rows of a run on some `images` only, as answers of those among `count`."""
    found = []
    asked = packed(mask(images, count))
    for row in rows:
        right = np.zeros(count, dtype=bool)
        right[images] = _unpacked(np.frombuffer(row[RIGHT], np.uint8), len(images))
        found.append(row | {RIGHT: packed(right), ASKED: asked})
    return found


def pack(
    rows: Sequence[dict[str, Any]], count: int, samples: Mapping[str, np.ndarray] | None = None
) -> Measurement:
    """Return rows and samples as a study measures them; `count` is the number of test images.

    Rows may have the keys right and asked (bits of `packed`) or spread (values [N]).
    """
    import pandas as pd

    patterns: dict[str, dict[bytes, int]] = {kind: {} for kind in KINDS}
    places = {
        kind: np.array([_place(patterns[kind], row.get(kind)) for row in rows], dtype=np.int64)
        for kind in KINDS
    }
    plain = [{key: value for key, value in row.items() if key not in KINDS} for row in rows]
    kept = [kind for kind in KINDS if patterns[kind] or kind != SPREAD]
    frame = pd.DataFrame(plain).assign(**{kind: places[kind] for kind in kept})
    arrays: dict[str, np.ndarray] = {
        kind: np.stack([np.frombuffer(p, _dtype(kind)) for p in patterns[kind]])
        for kind in KINDS
        if patterns[kind]
    }
    if arrays:
        arrays[COUNT] = np.array([count], dtype=np.int64)
    return Measurement(frame, {**(samples or {}), **arrays})


def attach(
    rows: pd.DataFrame, samples: Mapping[tuple[str, str, int, str], Mapping[str, np.ndarray]]
) -> pd.DataFrame:
    """Return rows with a column `answers`, None where a row has none.

    samples: arrays by (data set, backbone, split seed, order seeds), as the reports read them.
    """
    import pandas as pd

    if RIGHT not in rows:
        return rows
    jobs = {
        (dataset, backbone, str(split), str(order)): arrays
        for (dataset, backbone, split, orders), arrays in samples.items()
        for order in seed_range(orders)
    }
    keys = ("dataset", "backbone", "split_seed", "order_seed")
    names = zip(*(rows[key].astype(str).tolist() for key in keys), strict=True)
    spread = rows[SPREAD].tolist() if SPREAD in rows else [-1] * len(rows)
    places = zip(rows[RIGHT].tolist(), rows[ASKED].tolist(), spread, strict=True)
    found: dict[Any, Answers | None] = {}
    column = []
    for name, place in zip(names, places, strict=True):
        arrays = jobs.get(name)
        if arrays is None:
            raise ArtifactError(f"no per-sample answers of {', '.join(name)}; evaluate them again")
        key = (id(arrays), place)
        if key not in found:
            found[key] = _answers(arrays, *place)
        column.append(found[key])
    return rows.assign(**{COLUMN: pd.Series(column, index=rows.index, dtype=object)})


# text whatever it looks like: classes are called 1 and 007
_TEXT = {"training_seed": str, "class_name": str}


def read_all_rows(files: Sequence[str]) -> pd.DataFrame:
    """Return the rows of a study's jobs, one after the other."""
    import pandas as pd

    return pd.concat([read_rows(file, dtype=_TEXT) for file in files], ignore_index=True)


def read_all_samples(files: Sequence[str]) -> dict[tuple[str, str, int, str], dict[str, Any]]:
    """Return per-sample answers by (dataset, backbone, split seed, orders)."""
    samples: dict[tuple[str, str, int, str], dict[str, Any]] = {}
    for file in files:
        facts = read_tensor_metadata(file)
        for name, array in read_tensors(file).items():
            split, own = split_sample_name(name)
            key = (facts["dataset"], facts["backbone"], split, facts["orders"])
            samples.setdefault(key, {"class_names": facts["class_names"]})[own] = array
    return samples


def _answers(
    arrays: Mapping[str, np.ndarray], right: int, asked: int, spread: int
) -> Answers | None:
    if right < 0 and spread < 0:
        return None
    return Answers(
        int(arrays[COUNT][0]),
        arrays[RIGHT][right] if right >= 0 else None,
        arrays[ASKED][asked] if asked >= 0 else None,
        arrays[SPREAD][spread] if spread >= 0 else None,
    )


def _place(patterns: dict[bytes, int], content: Any) -> int:
    """Return where a pattern stands among those known, -1 for none."""
    if content is None:
        return -1
    if not isinstance(content, bytes):
        content = np.asarray(content, dtype=np.float16).tobytes()
    return patterns.setdefault(content, len(patterns))


def _dtype(kind: str) -> type:
    return np.float16 if kind == SPREAD else np.uint8


def _unpacked(bits: np.ndarray, count: int) -> np.ndarray:
    return np.unpackbits(bits, count=count)
