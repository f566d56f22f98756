"""Do scores mean what they say: expected calibration error."""

from __future__ import annotations

import numpy as np


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
