"""Precision and recall at the score where their harmonic mean is best."""

from __future__ import annotations

import numpy as np


def best_f1(scores: np.ndarray, found: np.ndarray, num_gt: int) -> dict[str, np.ndarray]:
    """Find, per threshold, the score cut that gives the best F1.

    A cut keeps every prediction whose score is at least its own; equal scores are kept or cut
    together. Of several best cuts the highest is taken.

    Args:
        scores: ``(P,)``.
        found: ``(T, P)`` bool, true positives at each distance threshold.
        num_gt: Number of ground-truth lines.

    Returns:
        ``f1``, ``precision``, ``recall`` and ``score`` (the cut), each ``(T,)`` float64; F1,
        precision and recall are 0 and the cut is nan where nothing is found.
    """
    empty = {key: np.zeros(len(found)) for key in ("f1", "precision", "recall")}
    if num_gt == 0 or len(scores) == 0:
        return {**empty, "score": np.full(len(found), np.nan)}
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    true = np.cumsum(found[:, order], axis=1)[:, last]
    kept = last + 1
    f1 = 2 * true / (kept + num_gt)
    best, rows = f1.argmax(axis=1), np.arange(len(found))
    return {
        "f1": f1[rows, best],
        "precision": true[rows, best] / kept[best],
        "recall": true[rows, best] / num_gt,
        "score": np.where(f1[rows, best] > 0, ranked[last][best], np.nan),
    }
