"""How far a score could be off: bootstrap over scenes.

Samples of one scene show the same streets a moment apart, so scenes, not samples, are drawn with
replacement. Which prediction finds which line does not change with the draw; only AP is made anew.
"""

from __future__ import annotations

import numpy as np

from mapllava.evaluation.functional.matches import Matches

_BLOCK = 4_000_000
"""Numbers held at once."""


def draw_groups(num_groups: int, num_draws: int, seed: int = 0) -> np.ndarray:
    """How often each group comes up when as many as there are are drawn with replacement.

    Args:
        num_groups: S.
        num_draws: N.
        seed: Of the draws; two results compared with the same draws are paired.

    Returns:
        ``(N, S)`` int64; every row sums to S.

    Raises:
        ValueError: If there are fewer than 2 groups or no draw: no interval comes of that.
    """
    if num_groups < 2 or num_draws < 1:
        raise ValueError(f"a bootstrap needs at least 2 scenes and 1 draw, not {num_groups} and {num_draws}")
    rng = np.random.default_rng(seed)
    return rng.multinomial(num_groups, np.full(num_groups, 1 / num_groups), size=num_draws)


def bootstrap_ap(matches: Matches, groups: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """AP of every draw, exactly as if the drawn scenes' samples were scored anew.

    Args:
        matches: What :func:`match_maps` returns.
        groups: ``(num_samples,)`` number of each sample's scene, below S.
        draws: ``(N, S)`` counts, from :func:`draw_groups`.

    Returns:
        ``(N, T, C)`` float64 in [0, 1]. A draw that happens to hold no line of a class that the set
        does hold has nan there: it says nothing about finding what it has none of, and a 0 would
        stretch the interval of a rare class without cause. Every mean that the class belongs to is
        nan for that draw too; leaving only the class out would average other classes than the
        reported mAP does. A class without a line in the whole set is 0 in every draw, as in the score.

    Source: Efron, "Bootstrap methods: another look at the jackknife", 1979.
    """
    num_draws, num_classes = len(draws), len(matches.class_names)
    ap = np.zeros((num_draws, len(matches.found), num_classes))
    line_group = groups[matches.gt_samples]
    for label in range(num_classes):
        lines = np.bincount(line_group[matches.gt_labels == label], minlength=draws.shape[1])
        num_gt = draws @ lines
        mine = np.flatnonzero(matches.labels == label)
        mine = mine[np.argsort(-matches.scores[mine], kind="stable")]
        group, found = groups[matches.samples[mine]], matches.found[:, mine]
        step = max(1, _BLOCK // max(1, len(mine)))
        for start in range(0, num_draws, step):
            block = slice(start, start + step)
            ap[block, :, label] = _areas(draws[block], group, found, num_gt[block])
        if lines.any():
            ap[num_gt == 0, :, label] = np.nan
    return ap


def _areas(draws: np.ndarray, group: np.ndarray, found: np.ndarray, num_gt: np.ndarray) -> np.ndarray:
    """(n, T) areas under the envelope; a prediction counts as often as its group was drawn.

    Precision rises at true positives only, so that nothing else is needed for the envelope.
    """
    weight = draws[:, group]  # (n, P): how often each prediction is there
    seen = np.cumsum(weight, axis=1)
    out = np.zeros((len(draws), len(found)))
    for row, flags in enumerate(found):
        place = np.flatnonzero(flags)
        true = weight[:, place]
        precision = np.cumsum(true, axis=1) / np.maximum(seen[:, place], 1)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        out[:, row] = (true * envelope).sum(axis=1) / np.maximum(num_gt, 1)
    return out


def bootstrap_interval(estimate: np.ndarray, values: np.ndarray, level: float = 0.95) -> np.ndarray:
    """The basic bootstrap interval: the draws' central interval, mirrored at the estimate.

    AP is too high on small sets, because the envelope takes the best of chance, and a draw with its
    repeated scenes is too high once more. Mirroring takes the second excess off, where the plain
    percentiles would add it to the first. Neither interval need hold the estimate itself: where nearly
    every draw lies on one side of it, as with a handful of scenes, so does the interval. An end may
    lie outside [0, 1].

    Args:
        estimate: ``(...)`` value of the whole set.
        values: ``(N, ...)`` values of the draws; those that are nan are left out.
        level: Share in (0, 1) of sets whose interval should hold the truth.

    Returns:
        ``(2, ...)``: lower and upper end; nan where every draw is.

    Source: Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 5.2.
    """
    tail = 50 * (1 - level)
    columns = values.reshape(len(values), -1).T
    ends = np.full((2, len(columns)), np.nan)
    for place, column in enumerate(columns):
        if (known := ~np.isnan(column)).any():
            ends[:, place] = np.percentile(column[known], [100 - tail, tail])
    return 2 * np.asarray(estimate) - ends.reshape(2, *values.shape[1:])
