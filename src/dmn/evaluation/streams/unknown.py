"""Open set: how well a confidence tells images of known classes from those of unknown ones."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score

SHARE = 0.95  # of known images accepted, where false positives are counted


def auroc(confidence: np.ndarray, known: np.ndarray) -> float:
    """Return the area under the ROC curve of confidences [N] for `known` [N], in percent."""
    return 100 * float(roc_auc_score(known, confidence))


def false_positives(confidence: np.ndarray, known: np.ndarray) -> float:
    """Return the percent of unknown images accepted where 95 % of known ones are (FPR95)."""
    ranked = np.sort(confidence[known])
    threshold = ranked[len(ranked) - int(np.ceil(SHARE * len(ranked)))]
    return 100 * float((confidence[~known] >= threshold).mean())


def oscr(confidence: np.ndarray, known: np.ndarray, right: np.ndarray) -> float:
    """Return the area under the open-set classification rate curve, in percent.

    The share of known images that are accepted and answered right against the share of unknown
    ones that are accepted, over all thresholds (Dhamija et al., arXiv 1811.04110). Equal
    confidences are accepted together.
    """
    order = np.argsort(-confidence, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(confidence[order])), len(order) - 1)
    rates = [
        np.concatenate([[0.0], counted[order].cumsum()[ends] / max(1, total)])
        for counted, total in ((known & right, known.sum()), (~known, (~known).sum()))
    ]
    return 100 * float(np.trapezoid(rates[0], rates[1]))
