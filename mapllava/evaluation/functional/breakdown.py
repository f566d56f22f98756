"""Where a map is good and where it is not: by group of lines, and by distance from the frame's origin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mapllava.evaluation.functional.matches import Matches
from mapllava.geometry import cumulative_length, resample_many

_BLOCK = 256
"""Pairs handled at once."""


def kept_predictions(matches: Matches, min_scores: Sequence[float] | np.ndarray) -> np.ndarray:
    """Which predictions reach the score from which their class is drawn.

    Args:
        matches: What :func:`match_maps` returns.
        min_scores: (C,); nan keeps none of its class.

    Returns:
        (P,) bool.
    """
    return matches.scores >= np.asarray(min_scores, dtype=np.float64)[matches.labels]


def found_lines(matches: Matches, kept: np.ndarray) -> np.ndarray:
    """Which ground-truth lines a kept prediction finds: (T, G) bool.

    A cut by score changes no match, since better-scored predictions choose first.
    """
    out = np.zeros((len(matches.found), len(matches.gt_labels)), dtype=bool)
    for row, found in zip(out, matches.found, strict=True):
        row[matches.nearest[found & kept]] = True
    return out


def rates_by_group(
    matches: Matches, gt_groups: np.ndarray, pred_groups: np.ndarray, num_groups: int, kept: np.ndarray
) -> dict[str, np.ndarray]:
    """Found, right and how far off, for groups of lines: classes, lengths, scenes.

    Args:
        matches: What :func:`match_maps` returns.
        gt_groups: (G,) group of each ground-truth line, below K; -1 for none.
        pred_groups: (P,) group of each prediction, likewise.
        num_groups: K.
        kept: (P,) the predictions that count, of :func:`kept_predictions`.

    Returns:
        ``num_gt`` and ``num_pred`` (K,); ``recall`` (share of the lines that are found), ``precision``
        (share of the kept predictions that find one), ``f1`` and ``error`` (mean Chamfer distance in metres
        of the pairs, by the group of the ground-truth line), each (T, K), nan where there is nothing to
        take a share or a mean of.
    """
    gt_in, kept_in = gt_groups >= 0, kept & (pred_groups >= 0)
    num_gt = np.bincount(gt_groups[gt_in], minlength=num_groups)
    num_pred = np.bincount(pred_groups[kept_in], minlength=num_groups)
    recalled, right, error = (np.zeros((len(matches.found), num_groups)) for _ in range(3))
    for row, found in enumerate(matches.found):
        hits = found & kept
        group = gt_groups[matches.nearest[hits]]
        inside = group >= 0
        recalled[row] = np.bincount(group[inside], minlength=num_groups)
        right[row] = np.bincount(pred_groups[hits & kept_in], minlength=num_groups)
        total = np.bincount(group[inside], weights=matches.distance[hits][inside], minlength=num_groups)
        error[row] = total / _or_nan(recalled[row])
    return {"num_gt": num_gt, "num_pred": num_pred, **_shares(recalled, num_gt, right, num_pred, error)}


def rates_by_distance(
    matches: Matches,
    gt_points: Sequence[np.ndarray],
    pred_points: Sequence[np.ndarray],
    edges: np.ndarray,
    kept: np.ndarray,
) -> dict[str, np.ndarray]:
    """Found, right and how far off, in rings around the origin, by the metre: a long line is in many rings.

    Args:
        matches: What :func:`match_maps` returns.
        gt_points: G lines ``(n, 2)``, metres, in the order of ``matches``.
        pred_points: P lines, likewise; only kept ones are looked at.
        edges: (K + 1,) radii of the rings, metres, ascending; what lies beyond is left out.
        kept: (P,) the predictions that count.

    Returns:
        ``num_gt`` and ``num_pred`` (K,) metres of line; ``recall`` (share of the metres that belong to a
        found line), ``precision``, ``f1`` and ``error`` (mean distance in metres from a place on a found
        line to the nearest place on the prediction that found it), each (T, K), nan as above.
    """
    num_points, num_rings = matches.protocol.num_points, len(edges) - 1
    truth, truth_ring, truth_weight = _rings(gt_points, num_points, edges)
    chosen = np.flatnonzero(kept)
    drawn, drawn_ring, drawn_weight = _rings([pred_points[k] for k in chosen], num_points, edges)
    hit = matches.found[:, chosen]
    paired = np.flatnonzero(hit.any(axis=0))
    line = matches.nearest[chosen[paired]]
    off = nearest_distances(truth[line], drawn[paired])

    def total(rings: np.ndarray, weights: np.ndarray) -> np.ndarray:
        inside = rings >= 0
        return np.bincount(rings[inside], weights=weights[inside], minlength=num_rings)

    num_gt, num_pred = total(truth_ring, truth_weight), total(drawn_ring, drawn_weight)
    recalled, right, error = (np.zeros((len(hit), num_rings)) for _ in range(3))
    for row, flags in enumerate(hit):
        mine = flags[paired]
        recalled[row] = total(truth_ring[line[mine]], truth_weight[line[mine]])
        right[row] = total(drawn_ring[flags], drawn_weight[flags])
        weighted = truth_weight[line[mine]] * off[mine]
        error[row] = total(truth_ring[line[mine]], weighted) / _or_nan(recalled[row])
    return {"num_gt": num_gt, "num_pred": num_pred, **_shares(recalled, num_gt, right, num_pred, error)}


def nearest_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """From each point of a line to the nearest point of another, pair by pair.

    Args:
        first: ``(K, n, 2)``, metres.
        second: ``(K, m, 2)``, metres.

    Returns:
        ``(K, n)`` metres.
    """
    out = np.empty(first.shape[:2])
    for start in range(0, len(first), _BLOCK):
        block = slice(start, start + _BLOCK)
        # (n, K) and (m, K): pairs lie along the last axis, so that every operation runs over them
        (ax, ay), (bx, by) = (np.ascontiguousarray(a[block].transpose(2, 1, 0)) for a in (first, second))
        for k in range(len(ax)):
            out[block, k] = np.sqrt(((bx - ax[k]) ** 2 + (by - ay[k]) ** 2).min(axis=0))
    return out


def line_lengths(lines: Sequence[np.ndarray]) -> np.ndarray:
    """(L,) lengths of lines ``(n, 2)``, metres."""
    return np.array([cumulative_length(line)[-1] for line in lines], dtype=np.float64)


def place_in(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(...) bin of each value (...) among (K + 1,) edges, its lower edge included; -1 outside."""
    place = np.searchsorted(edges, values, side="right") - 1
    return np.where((place >= 0) & (place < len(edges) - 1), place, -1)


def _rings(
    lines: Sequence[np.ndarray], num_points: int, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (L, n, 2), the ring of each (L, n), and the metres of line that it stands for (L, n)."""
    points = resample_many(list(lines), num_points)
    ring = place_in(np.hypot(points[..., 0], points[..., 1]), edges)
    weight = np.repeat(line_lengths(lines)[:, None] / num_points, num_points, axis=1)
    return points, ring, weight


def _shares(
    recalled: np.ndarray, num_gt: np.ndarray, right: np.ndarray, num_pred: np.ndarray, error: np.ndarray
) -> dict[str, np.ndarray]:
    recall, precision = recalled / _or_nan(num_gt), right / _or_nan(num_pred)
    # Of no prediction none is wrong, but none is right either: F1 counts it as nothing found
    value = 2 * recall * precision / np.where(recall + precision > 0, recall + precision, 1.0)
    f1 = np.where(num_gt > 0, np.where(num_pred > 0, value, 0.0), np.nan)
    return {"recall": recall, "precision": precision, "f1": f1, "error": error}


def _or_nan(count: np.ndarray) -> np.ndarray:
    return np.where(count > 0, count, np.nan)
