"""Lines that lie near a surer one of their class: for showing, never for scoring, which keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mapllava.evaluation.functional.chamfer import chamfer_of_pairs
from mapllava.geometry import resample_many

NEAR = 1.0
"""Metres between near-duplicates: of two that close, a score at 1.0 m counts one as false."""
_POINTS = 40


def without_near_duplicates(
    points: Sequence[np.ndarray], labels: Any, scores: Any, distance: float = NEAR
) -> list[int]:
    """Places of the lines that have no line of their class and with a higher score near them.

    Args:
        points: K lines ``(n, 2)``, metres.
        labels: ``(K,)``.
        scores: ``(K,)``.
        distance: Chamfer distance in metres below which a line is a near-duplicate; 0 keeps all.

    Returns:
        Of the lines that stay, rising.
    """
    if len(points) < 2 or distance <= 0:
        return list(range(len(points)))
    even = resample_many([np.asarray(line, dtype=np.float64) for line in points], _POINTS)
    labels = np.asarray(labels)
    kept: list[int] = []
    for k in np.argsort(-np.asarray(scores), kind="stable"):
        rivals = [place for place in kept if labels[place] == labels[k]]
        apart = chamfer_of_pairs(even[rivals], np.repeat(even[k][None], len(rivals), axis=0))
        if not (apart < distance).any():
            kept.append(int(k))
    return sorted(kept)
