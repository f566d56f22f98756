"""Average precision from the flags of scored predictions."""

from __future__ import annotations

import numpy as np

_EPS = float(np.finfo(np.float32).eps)


def average_precision(scores: np.ndarray, found: np.ndarray, num_gt: int) -> np.ndarray:
    """Area under the precision envelope over the steps of recall.

    Predictions are ordered by descending score, ties as they stand. There is no score cut and no
    limit on their number.

    Args:
        scores: ``(P,)``.
        found: ``(T, P)`` bool, true positives at each threshold.
        num_gt: Number of ground-truth lines.

    Returns:
        ``(T,)`` float64 in [0, 1]; 0 where there is no ground truth.

    Source: PASCAL VOC 2010 development kit, as in MapTR's evaluator, restated.
    """
    if num_gt == 0 or len(scores) == 0:
        return np.zeros(len(found))
    hits = found[:, np.argsort(-scores, kind="stable")]
    true = np.cumsum(hits, axis=1)
    recall = true / max(num_gt, _EPS)
    precision = true / np.arange(1, hits.shape[1] + 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    steps = np.diff(recall, axis=1, prepend=0.0)
    return (steps * envelope).sum(axis=1)
