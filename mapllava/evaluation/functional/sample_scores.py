"""How well each sample was drawn, in one number; and which samples were drawn best and worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mapllava.evaluation.functional.matches import Matches

SAMPLE_SCORE = "F1 at {threshold:g} m, mean over the classes there"
"""What pictures and tables call the number."""


@dataclass(frozen=True)
class SampleScores:
    """How well each of N samples was drawn, of C classes.

    Args:
        threshold: Metres within which a line counts as found.
        cuts: (C,) scores from which on a prediction counts.
        f1: (N, C) in [0, 1]; nan where a sample has neither a line nor a prediction of the class.
        score: (N,) mean of ``f1`` over the classes that are there; nan where there is none.
        num_gt: (N, C) ground-truth lines.
        num_pred: (N, C) predictions that count.
    """

    threshold: float
    cuts: np.ndarray
    f1: np.ndarray
    score: np.ndarray
    num_gt: np.ndarray
    num_pred: np.ndarray

    @property
    def name(self) -> str:
        """What the number is, in words."""
        return SAMPLE_SCORE.format(threshold=self.threshold)

    def of_predicted(self, predicted: Sequence[bool]) -> SampleScores:
        """The same without a score where a results file says nothing of a sample, which is no bad drawing.

        Args:
            predicted: (N,) whether the file has the sample.
        """
        return replace(self, score=np.where(np.asarray(predicted, dtype=bool), self.score, np.nan))


def sample_scores(matches: Matches, cuts: Sequence[float], threshold: float = 1.0) -> SampleScores:
    """Score every sample by the map that a reader sees: predictions below the cuts do not count.

    F1 of a class is ``2 TP / (predictions + lines)``. Predictions of a class that has no line in the
    sample give an F1 of 0; a class with neither is left out of the mean. A sample's AP would not do:
    it hangs on the order of a handful of predictions, and counts those that nobody is shown.

    Args:
        matches: What :func:`~mapllava.evaluation.functional.match_maps` returns.
        cuts: Of each class, the score from which on a prediction counts.
        threshold: Metres, one of the protocol's.

    Raises:
        ValueError: If the protocol lacks the threshold, or there is not one cut per class.
    """
    thresholds = [float(value) for value in matches.protocol.thresholds]
    if threshold not in thresholds:
        raise ValueError(f"threshold {threshold:g} m is none of the protocol's {thresholds}")
    limit = np.asarray(cuts, dtype=np.float64)
    num_classes = len(matches.class_names)
    if limit.shape != (num_classes,):
        raise ValueError(f"{limit.size} cuts for {num_classes} classes")

    def count(samples: np.ndarray, labels: np.ndarray) -> np.ndarray:
        cells = np.bincount(samples * num_classes + labels, minlength=matches.num_samples * num_classes)
        return cells.reshape(-1, num_classes)

    # Found by descending score, so that what is cut off has taken no line from what stays
    kept = matches.scores >= limit[matches.labels]
    hits = kept & matches.found[thresholds.index(threshold)]
    true = count(matches.samples[hits], matches.labels[hits])
    num_pred = count(matches.samples[kept], matches.labels[kept])
    num_gt = count(matches.gt_samples, matches.gt_labels)
    there = num_pred + num_gt > 0
    f1 = np.where(there, 2 * true / np.maximum(num_pred + num_gt, 1), np.nan)
    total, classes = np.nansum(f1, axis=1), there.sum(axis=1)
    score = np.where(classes > 0, total / np.maximum(classes, 1), np.nan)
    return SampleScores(threshold, limit, f1, score, num_gt, num_pred)


def best_and_worst(scores: SampleScores, num_best: int, num_worst: int) -> tuple[list[int], list[int]]:
    """Choose the samples that were drawn best, and worst; the same ones every time.

    Of equal scores the sample with more ground-truth lines comes first in either list (it tells more),
    then the one that stands first. Empty samples without a score are in neither, and no sample is in both.

    Args:
        scores: What :func:`sample_scores` returns.
        num_best: Most samples of the first list.
        num_worst: Most samples of the second.

    Returns:
        Numbers of samples, best first; numbers of samples, worst first.

    Raises:
        ValueError: If a number is below 0.
    """
    if min(num_best, num_worst) < 0:
        raise ValueError(f"{num_best} best and {num_worst} worst samples: use 0 or more")
    known = np.flatnonzero(~np.isnan(scores.score))
    rounded = np.round(scores.score[known], 9)  # sums in another order are the same score
    lines = scores.num_gt[known].sum(axis=1)
    best = known[np.lexsort((known, -lines, -rounded))][:num_best].tolist()
    worst = [k for k in known[np.lexsort((known, -lines, rounded))].tolist() if k not in set(best)]
    return best, worst[:num_worst]
