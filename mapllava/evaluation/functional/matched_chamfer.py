"""How near the lines lie that were found."""

from __future__ import annotations

import numpy as np

from mapllava.evaluation.functional.matches import Matches


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
