"""Chamfer average precision of vector maps, the score of MapTR and its successors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mapllava.evaluation.functional.matches import Matches, match_maps
from mapllava.evaluation.functional.protocols import Protocol


def chamfer_average_precision(
    predictions: Sequence[Mapping[str, Any]],
    ground_truth: Sequence[Mapping[str, Any]],
    class_names: Sequence[str],
    protocol: str | Protocol = "maptr",
    thresholds: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Score predicted against ground-truth polylines.

    Both lists run over the same samples in the same order. Lines are compared within a sample and
    a class; every prediction counts, however low its score. The ground truth is taken as it is.

    Args:
        predictions: Per sample a dict with ``points`` (lines ``(n, 2)``, metres, or one array
            ``(K, n, 2)``), ``labels`` (K,) and ``scores`` (K,). Lines of fewer than 2 points are
            dropped. ``sample_token``, if there, names the sample in errors.
        ground_truth: Likewise, without scores.
        class_names: C names; label k is ``class_names[k]``.
        protocol: Name of a protocol (see :data:`PROTOCOLS`) or one of your own.
        thresholds: Metres, in any order; ``None`` takes the protocol's.

    Returns:
        ``ap`` (T, C) in [0, 1] (0 for a class without ground truth), a row per threshold in the order
        given, ``mAP`` their mean,
        ``num_gt`` and ``num_pred`` (C,), ``num_samples``, ``thresholds``, ``class_names`` and
        ``protocol`` (the name).

    Raises:
        ValueError: If the lists differ in length, or a sample's points, labels or scores are missing,
            do not fit together, are not finite or name no class; the message names the sample.

    Source: Liao et al., "MapTR", ICLR 2023, and its evaluator; restated, equal to it within 1e-6.
    """
    score = score_of(match_maps(predictions, ground_truth, class_names, protocol, thresholds))
    if thresholds is not None:
        given = np.array(thresholds, dtype=np.float64)
        # The rows are by ascending threshold; argsort of argsort is each threshold's rank, so its row. (T, C)
        score["ap"] = score["ap"][np.argsort(np.argsort(given))]
        score["thresholds"] = tuple(given.tolist())
    return score


def score_of(matches: Matches) -> dict[str, Any]:
    """The score of matched maps, as :func:`chamfer_average_precision` returns it."""
    ap = matches.average_precision()
    return {
        "ap": ap,
        "mAP": float(ap.mean()) if ap.size else 0.0,
        "num_gt": matches.num_gt,
        "num_pred": matches.num_pred,
        "num_samples": matches.num_samples,
        "thresholds": matches.protocol.thresholds,
        "class_names": matches.class_names,
        "protocol": matches.protocol.name,
    }


def matched_chamfer(matches: Matches) -> dict[str, np.ndarray]:
    """Chamfer distance between true positives and the lines they found, per threshold and class.

    Lines that were not found do not enter, so read it together with recall.

    Args:
        matches: What :func:`match_maps` returns.

    Returns:
        ``mean`` and ``median`` (T, C) metres, nan where nothing was found, and ``count`` (T, C).
    """
    shape = matches.found.shape[0], len(matches.class_names)
    mean, median, count = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, dtype=np.int64)
    for row, found in enumerate(matches.found):
        for label in range(shape[1]):
            distance = matches.distance[found & (matches.labels == label)]
            count[row, label] = len(distance)
            if len(distance):
                mean[row, label], median[row, label] = distance.mean(), np.median(distance)
    return {"mean": mean, "median": median, "count": count}
