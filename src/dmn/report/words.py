"""Keys, numbers and verdicts in a reader's words, for tables, figures, findings and the page.

A verdict needs an interval: a difference is a gain or a loss where its 95% interval leaves out zero
and the difference is not smaller than one worth naming (`smallest_difference`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dmn.evaluation.across import holm
from dmn.peers.table import PEERS

if TYPE_CHECKING:
    import pandas as pd

    from dmn.report.comparisons import Leader

ALPHA = 0.05
LISTED = 6  # names in a list, at most
MOST_DIGITS = 3  # of a number that would be zero with fewer
COINCIDE = 0.05  # points: what is nowhere farther apart is drawn as one
EQUAL = 1e-9  # points: a tie, whatever the last bits are
EFFECT = {
    "gain": "helps",
    "loss": "hurts",
    "tie": "ties",
    "small": "makes too small a difference to name",
    "unclear": "makes no clear difference",
    "unjudged": "is not judged",
}
RIVALRY = {
    "gain": "is ahead of",
    "loss": "is behind",
    "tie": "ties with",
    "small": "is too close to name apart from",
    "unclear": "is not clearly apart from",
    "unjudged": "is not judged against",
}
BESIDE = {
    "gain": "is ahead",
    "loss": "is behind",
    "tie": "ties",
    "small": "is too close to name apart",
    "unclear": "is not clearly apart",
    "unjudged": "is not judged",
}
INFLUENCE = {
    "gain": "matters",
    "loss": "matters",
    "tie": "changes nothing",
    "small": "matters too little to name",
    "unclear": "does not clearly matter",
    "unjudged": "is not judged",
}
WORDS = {
    "zero_shot": "zero-shot",
    "training_free": "training-free",
    "few_shot": "few-shot",
    "label_free": "label-free",
    "fifo": "first in, first out",
    "dmn": "DMN",
    "dmn_dynamic": "DMN, dynamic alone",
    "dmn_fixed": "DMN, fixed weights",
    "dmn_label_free": "DMN, label-free weights",
    "macro_f1": "macro F1",
    "ece": "ECE",
    "nll": "NLL",
    "qkv": "query, key, value",
    "n_splits": "splits",
    "n_orders": "orders",
    "n_trainings": "trainings",
    "n_images": "images",
    "dataset": "data set",
    "n_data_sets": "data sets",
    "p_value": "p",
    "p_signed_rank": "signed-rank p",
    "p_holm": "p by Holm",
    "p_friedman": "Friedman's p",
} | {key: entry.title for key, entry in PEERS.items()}


def words(value: object) -> str:
    """Return a key as words.

    >>> words("zero_shot"), words("memory_length")
    ('zero-shot', 'memory length')
    """
    text = str(value)
    return WORDS.get(text.lower(), text.replace("_", " "))


def in_figure(value: object) -> str:
    """Return `words` for matplotlib, where a dollar sign would begin a formula."""
    return words(value).replace("$", r"\$")


def listed(names: Sequence[str], shown: int = LISTED) -> str:
    """Return names as a list in words, of very many the first.

    >>> listed(["a", "b", "c"]), listed(list("abcdefgh"), 2)
    ('a, b and c', 'a, b and 6 more')
    """
    kept = list(names[:shown])
    if len(names) > shown:
        kept.append(f"{len(names) - shown} more")
    return " and ".join([", ".join(kept[:-1]), kept[-1]] if len(kept) > 1 else kept)


def counted(number: float, name: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "splits"), counted(10, "data_sets")
    ('1 split', '10 data sets')
    """
    return f"{int(number)} {words(name[:-1] if int(number) == 1 else name)}"


def variation(*rows: Any) -> str:
    """Return over what the intervals of rows are, and which seeds they take as they are.

    >>> variation({"over": "orders, images", "held": "splits",
    ...            "n_orders": 10, "n_images": 539, "n_splits": 2})
    'over 10 orders and 539 images, with 2 splits only'
    """
    kinds: dict[tuple[str, ...], list[Any]] = {}
    for row in rows:
        if row["over"] != "nothing":
            kinds.setdefault((row["over"], *_held(row)), []).append(row)
    texts = []
    for (over, *held), own in kinds.items():
        text = f"over {listed([_range(own, name) for name in over.split(', ')])}"
        texts.append(
            text + (f", with {listed([_range(own, n) for n in held])} only" if held else "")
        )
    return ", or ".join(texts)


def uncertainty(table: pd.DataFrame, shown: int = 3) -> str:
    """Return over what the intervals of a table or a figure are, nothing where it has none."""
    if "over" not in table:
        return ""
    keys = [key for key in ("over", "held") if key in table]
    kinds = [variation(*own.to_dict("records")) for _, own in table.groupby(keys, sort=False)]
    found = [kind for kind in kinds if kind]
    more = "; others in the CSV" if len(found) > shown else ""
    return ", or ".join(found[:shown]) + more


def _range(rows: Sequence[Any], name: str) -> str:
    counts = [int(row[f"n_{name}"]) for row in rows]
    low, high = min(counts), max(counts)
    return counted(low, name) if low == high else f"{low} to {high} {words(name)}"


def _held(row: Any) -> list[str]:
    held = row.get("held", "")
    # an empty text comes back from a CSV as no number
    return held.split(", ") if isinstance(held, str) and held else []


def said(row: Any, unit: str = "%", signed: bool = False, digits: int = 1, among: int = 1) -> str:
    """Return a mean with its interval and what it is over; `among` how many it was chosen.

    >>> said({"mean": 1.25, "low": 0.5, "high": 2.0, "over": "splits", "n_splits": 3}, signed=True)
    '+1.2% (95% interval +0.5 to +2.0 over 3 splits)'
    """
    mean = _number(row["mean"], signed, digits) + unit
    if math.isnan(row["low"]):
        held = [counted(row[f"n_{name}"], name) for name in _held(row)]
        return f"{mean} (no interval: {f'only {listed(held)}' if held else 'nothing varies'})"
    low, high = (_number(row[bound], signed, digits) for bound in ("low", "high"))
    chosen = f"; the verdict is corrected for the choice among {among}" if among > 1 else ""
    return f"{mean} (95% interval {low} to {high} {variation(row)}{chosen})"


def shortly(row: Any, digits: int = 1) -> str:
    """Return a difference with its interval, for lists.

    >>> shortly({"mean": 1.25, "low": -0.5, "high": 3.0})
    '+1.2 [-0.5, +3.0]'
    """
    mean, low, high = (_number(row[bound], True, digits) for bound in ("mean", "low", "high"))
    return mean if math.isnan(row["low"]) else f"{mean} [{low}, {high}]"


def plain(number: float, digits: int = 2) -> str:
    """Return a number without a sign where it is shown as zero.

    >>> plain(-0.001), plain(-1.5)
    ('0.00', '-1.50')
    """
    text = f"{number:.{digits}f}"
    return text if float(text) else text.lstrip("-")


def _number(number: float, signed: bool, digits: int) -> str:
    # a tie has no sign; what is just below zero has, and as many digits as show it
    number = 0.0 if abs(number) < EQUAL else number
    while number and digits < MOST_DIGITS and not float(f"{number:.{digits}f}"):
        digits += 1
    shown = f"{number:{'+' if signed else ''}.{digits}f}"
    return shown if float(shown) else f"{0:{'+' if signed else ''}.1f}"


def verdict(
    row: Any, least: float, phrases: Mapping[str, str] = EFFECT, p_value: float | None = None
) -> str:
    """Return what a paired difference shows: a gain, a loss, a tie, or nothing clear.

    least: the smallest difference worth naming, in the row's unit; p_value: corrected, where the
    difference is one of several.
    """
    mean, low, high = row["mean"], row["low"], row["high"]
    if math.isnan(low):
        return phrases["unjudged"]
    if abs(mean) < EQUAL:
        return phrases["tie"]
    clear = (row["p"] if p_value is None else p_value) < ALPHA
    if clear and abs(mean) >= least:
        return phrases["gain" if mean > 0 else "loss"]
    return phrases["small" if clear or (-least < low and high < least) else "unclear"]


def tally(
    rows: Sequence[Mapping[Any, Any]],
    name: str,
    least: float,
    phrases: Mapping[str, str] = EFFECT,
) -> str:
    """Return in words where differences are gains, where losses, and where neither.

    Gains and losses have their intervals beside them, the largest first; their p-values are
    Holm's for all rows.
    """
    corrected = holm([row["p"] for row in rows])
    pairs = zip(rows, corrected, strict=True)
    verdicts = [verdict(row, least, phrases, p_value=p) for row, p in pairs]
    parts = []
    for phrase in dict.fromkeys(phrases.values()):
        found = [row for row, own in zip(rows, verdicts, strict=True) if own == phrase]
        if phrase in (phrases["gain"], phrases["loss"]):
            found.sort(key=lambda row: -abs(row["mean"]))
            names = [f"{row[name]} {shortly(row)}" for row in found]
        else:
            names = [str(row[name]) for row in found]
        if found:
            parts.append(f"{phrase} in {len(found)} of {len(rows)} ({listed(names)})")
    judged = [row for row in rows if not math.isnan(row["low"])]
    note = f"95% intervals in points {variation(*judged)}" if judged else "no interval"
    several = f", verdicts with Holm's correction for {len(rows)}" if len(judged) > 1 else ""
    return f"{'; '.join(parts)}; {note}{several}"


def leading(
    found: Leader, least: float, what: str = "best", unit: str = "%", digits: int = 1
) -> str:
    """Return in words which level leads, or that none clearly does.

    A level is the best where it is clearly ahead of each other one, so at a tie none is.
    """
    verdicts = [verdict(row, least) for row in found.rivals]
    top = f"{words(found.level)}, {said(found.row, unit, digits=digits)}"
    if all(word == EFFECT["gain"] for word in verdicts):
        if not found.rivals:
            return f"only {top}"
        second = found.rivals[0]
        lead = said(second, _points(unit), signed=True, digits=digits)
        return f"{what} is {top}, ahead of the next, {words(second['level'])}, by {lead}"
    judged = list(zip(found.rivals, verdicts, strict=True))
    tied = [words(row["level"]) for row, word in judged if word == EFFECT["tie"]]
    near = [
        f"{words(row['level'])} {shortly(row, digits)}"
        for row, word in judged
        if word not in (EFFECT["tie"], EFFECT["gain"])
    ]
    rest = [f"{listed(tied)} tie{'s' if len(tied) == 1 else ''} with it"] if tied else []
    rest += [f"it is not clearly ahead of {listed(near)}"] if near else []
    return f"none is clearly {what}: first is {top}; {'; '.join(rest)}"


def _points(unit: str) -> str:
    return " points" if unit == "%" else unit


def where(row: Any) -> str:
    """Return data set and backbone of a row in words."""
    return f"{row['dataset']} ({row['backbone']})"


def text_words(row: Any) -> str:
    """Return what a row's text prediction is; the projections of few-shot train it too."""
    return "its trained text classifier" if row["setting"] == "few_shot" else "text alone"


def cell_words(row: Any) -> str:
    """Return setting and shots of a row in words.

    >>> cell_words({"setting": "training_free", "shots": 16})
    'training-free with 16 shots'
    """
    name = str(row["setting"]).replace("_", "-")
    shots = int(row["shots"])
    return f"{name} with {shots} shot{'s' if shots != 1 else ''}" if shots else name
