"""What the flags of scored predictions give: average precision, the best F1, the calibration error."""

from __future__ import annotations

import numpy as np

_EPS = float(np.finfo(np.float32).eps)


def precision_recall(scores: np.ndarray, found: np.ndarray, num_gt: int) -> dict[str, np.ndarray]:
    """Precision and recall after each prediction, by descending score, ties as they stand.

    Args:
        scores: ``(P,)``.
        found: ``(T, P)`` bool, true positives at each threshold.
        num_gt: Number of ground-truth lines.

    Returns:
        ``score`` (P,), and ``recall``, ``precision`` and ``envelope`` (the best precision from this recall
        on), each (T, P), in [0, 1].

    Source: PASCAL VOC 2010 development kit, as in MapTR's evaluator, restated.
    """
    order = np.argsort(-scores, kind="stable")
    hits = found[:, order]
    true = np.cumsum(hits, axis=1)
    precision = true / np.arange(1, hits.shape[1] + 1)
    # The best precision from here on: a running maximum from the right
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = true / max(num_gt, _EPS)
    return {"score": scores[order], "recall": recall, "precision": precision, "envelope": envelope}


def average_precision(scores: np.ndarray, found: np.ndarray, num_gt: int) -> np.ndarray:
    """Area under the precision envelope over the steps of recall.

    There is no score cut and no limit on the number of predictions.

    Args:
        scores: ``(P,)``.
        found: ``(T, P)`` bool, true positives at each threshold.
        num_gt: Number of ground-truth lines.

    Returns:
        ``(T,)`` float64 in [0, 1]; 0 where there is no ground truth.

    Source: as :func:`precision_recall`.
    """
    if num_gt == 0 or len(scores) == 0:
        return np.zeros(len(found))
    curve = precision_recall(scores, found, num_gt)
    steps = np.diff(curve["recall"], axis=1, prepend=0.0)
    return (steps * curve["envelope"]).sum(axis=1)


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
    # Only behind the last of equal scores can be cut
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


def calibration_error(scores: np.ndarray, found: np.ndarray, num_bins: int = 10) -> dict[str, np.ndarray]:
    """Compare scores with the share of predictions that find a line, in bins of equal width.

    The error is the mean over predictions of the gap, in their bin, between mean score and share
    found. A score on an inner edge belongs to the bin above it, 1 to the last.

    Args:
        scores: ``(P,)`` in [0, 1].
        found: ``(T, P)`` bool, true positives at each distance threshold.
        num_bins: B.

    Returns:
        ``ece`` (T,) in [0, 1], nan without predictions; ``edges`` (B + 1,); ``count`` (B,);
        ``mean_score`` (B,) and ``share_found`` (T, B), nan for an empty bin.

    Raises:
        ValueError: If a score lies outside [0, 1] or ``num_bins`` is below 1.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    if num_bins < 1:
        raise ValueError(f"num_bins is {num_bins}: at least 1 bin is needed")
    if len(scores) and not (scores.min() >= 0 and scores.max() <= 1):
        raise ValueError(
            f"scores run from {scores.min():g} to {scores.max():g}: calibration needs probabilities in [0, 1]"
        )
    edges = np.arange(num_bins + 1) / num_bins  # the very number a score of k / B is, unlike linspace's
    place = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, num_bins - 1)
    count = np.bincount(place, minlength=num_bins)
    filled = np.where(count, count, np.nan)
    mean_score = np.bincount(place, weights=scores, minlength=num_bins) / filled
    hits = np.stack([np.bincount(place, weights=row, minlength=num_bins) for row in found])
    share = hits / filled
    gap = np.where(count, np.abs(share - mean_score), 0.0)
    ece = (gap * count).sum(axis=1) / (len(scores) or np.nan)
    return {"ece": ece, "edges": edges, "count": count, "mean_score": mean_score, "share_found": share}
