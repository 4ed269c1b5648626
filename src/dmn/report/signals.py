"""What signals say of a gain: rank correlations within a data set, predictions across data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dmn.evaluation.across import DATA_SETS, LEAST_SETS
from dmn.evaluation.intervals import crossed
from dmn.report.comparisons import PLACE
from dmn.report.words import said, verdict

RIDGE = 1.0  # of standardised signals, in units of one stream


def correlations(
    table: pd.DataFrame, signals: Sequence[str], diagnostics: Sequence[str]
) -> pd.DataFrame:
    """Return Spearman's correlation of each column with the gain, for each data set and backbone.

    table: one stream a row, its gain in `mean`. A column that does not vary has none.
    """
    from scipy.stats import spearmanr

    rows = []
    for names, part in table.groupby(PLACE, sort=False):
        gain = part["mean"].to_numpy(dtype=float)
        for signal in (*signals, *diagnostics):
            values = part[signal].to_numpy(dtype=float)
            varies = len(part) > 2 and np.ptp(values) > 0 and np.ptp(gain) > 0
            found = float(spearmanr(values, gain).statistic) if varies else np.nan
            rows.append(
                dict(zip(PLACE, names, strict=True))
                | {"signal": signal, "uses_labels": "yes" if signal in diagnostics else "no"}
                | {"correlation": found, "streams": len(part)}
            )
    return pd.DataFrame(rows)


def predicted(table: pd.DataFrame, signals: Sequence[str]) -> pd.DataFrame:
    """Return gains as the other data sets' signals predict them: left out one at a time.

    A ridge regression of the gain on the standardised signals is fitted on the streams of all
    other data sets. Columns: dataset, gain, predicted, constant (the others' mean gain), and kept,
    the gain of a memory that answers only where a gain is predicted. Too few data sets give no row.
    """
    sets = list(dict.fromkeys(table["dataset"]))
    rows = []
    for name in sets if len(sets) >= LEAST_SETS else ():
        own = (table["dataset"] == name).to_numpy()
        x, y = table[list(signals)].to_numpy(dtype=float), table["mean"].to_numpy(dtype=float)
        guessed = _ridge(x[~own], y[~own], x[own])
        rows += [
            {"dataset": name, "gain": gain, "predicted": guess, "constant": y[~own].mean()}
            | {"kept": gain if guess > 0 else 0.0}
            for gain, guess in zip(y[own], guessed, strict=True)
        ]
    columns = ["dataset", "gain", "predicted", "constant", "kept"]
    return pd.DataFrame(rows, columns=columns)


def _ridge(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return predictions [M] for new [M, P] of a ridge regression fitted on x [N, P], y [N]."""
    centre, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    z = (x - centre) / scale
    slopes = np.linalg.solve(z.T @ z + RIDGE * np.eye(z.shape[1]), z.T @ (y - y.mean()))
    return y.mean() + (new - centre) / scale @ slopes


def prediction_words(found: pd.DataFrame, least: float) -> list[str]:
    """Return in words what `predicted` found, each data set counted once, or that it is too little.

    Both differences have intervals over data sets.
    """
    if found.empty:
        return [
            f"Fewer than {LEAST_SETS} data sets are too few to predict a gain from the signals of "
            "others: nothing is claimed, and there is no interval."
        ]
    changes = {
        "better": (found["gain"] - found["constant"]).abs()
        - (found["gain"] - found["predicted"]).abs(),
        "kept": found["kept"] - found["gain"],
    }
    better, kept = (_over_sets(found, own.to_numpy(dtype=float)) for own in changes.values())
    count = better["n_data_sets"]
    right = 100 * float((np.sign(found["gain"]) == np.sign(found["predicted"])).mean())
    return [
        f"Signals of the other {count - 1} of {count} data sets: they name the sign of the gain in "
        f"{right:.0f}% of streams, and come closer to it than the mean gain of the others by "
        f"{said(better, ' points', signed=True)}.",
        f"To abstain where the other data sets predict no gain {verdict(kept, least)} against a "
        f"memory that never does, {said(kept, ' points', signed=True)}.",
    ]


def _over_sets(found: pd.DataFrame, values: np.ndarray) -> dict[str, Any]:
    """Return the mean of the data sets' means, as a row of a summary."""
    means = [
        values[(found["dataset"] == name).to_numpy()].mean() for name in found["dataset"].unique()
    ]
    interval = crossed(np.array(means), [DATA_SETS])
    low, high = interval.bounds()
    return {
        "mean": interval.centre,
        "low": low,
        "high": high,
        "p": interval.p_value(),
        "over": DATA_SETS if interval.factors else "nothing",
        "held": "",
        "n_data_sets": len(means),
    }
