"""Ground truth in the form the score takes, as a protocol's authors prepare it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import shapely

from mapllava.evaluation.functional import Protocol
from mapllava.structures.map_elements import Polyline


def prepare_ground_truth(
    polylines: Iterable[Polyline | Mapping[str, Any]], protocol: Protocol, sample_token: str
) -> dict[str, Any]:
    """Turn the raw lines of a sample into what the score compares with.

    Args:
        polylines: The lines as the GT cache stores them, or as :class:`Polyline`.
        protocol: Says whether lines are simplified, and by how many metres.
        sample_token: Named in errors.

    Returns:
        ``sample_token``, ``points`` (list of ``(n, 2)`` float64, metres) and ``labels`` (G,) int64.

    Raises:
        ValueError: If a line is not valid; names the sample.
    """
    try:
        lines = [line if isinstance(line, Polyline) else Polyline.from_dict(line) for line in polylines]
    except ValueError as error:
        raise ValueError(f"ground truth of sample {sample_token}: {error}") from error
    points = [line.points for line in lines]
    if protocol.simplify and points:
        simple = shapely.simplify([shapely.linestrings(p) for p in points], protocol.simplify)
        points = [shapely.get_coordinates(line) for line in simple]
    labels = np.array([line.label for line in lines], dtype=np.int64)
    return {"sample_token": sample_token, "points": points, "labels": labels}
