"""An evaluation taken apart: by class, length of line, distance, location and scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from mapllava.evaluation.functional import (
    kept_predictions,
    line_lengths,
    place_in,
    rates_by_distance,
    rates_by_group,
)
from mapllava.evaluation.functional.lines import gather_lines
from mapllava.evaluation.scoring import Evaluation
from mapllava.structures.frames import ROI

LENGTH_EDGES: tuple[float, ...] = (0.0, 5.0, 10.0, 20.0, 40.0, np.inf)
"""Ends of the classes of length, metres."""

_STEPS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_MOST_RINGS = 8


@dataclass(frozen=True)
class Breakdown:
    """Rates of K groups at T thresholds.

    Args:
        names: K names.
        unit: What is counted: ``lines``, or ``m`` of line.
        rates: As :func:`rates_by_group` or :func:`rates_by_distance`.
    """

    names: list[str]
    unit: str
    rates: dict[str, np.ndarray]


def break_down(
    evaluation: Evaluation, entries: Sequence[Mapping[str, Any]], min_scores: Sequence[float] | np.ndarray
) -> dict[str, Breakdown]:
    """Found, right and how far off, of a map that is drawn from given scores on.

    Args:
        evaluation: What :func:`evaluate_maps` returns.
        entries: Entries of the GT cache, the evaluation's samples among them; their ``location`` is read.
        min_scores: (C,) scores from which a class is drawn.

    Returns:
        ``all``, ``class``, ``length``, ``distance``, ``location`` and ``scene``. In ``length`` a predicted
        line counts by its own length and in ``distance`` by where it lies itself, so that F1 means little.
    """
    matches, maps = evaluation.matches, evaluation.maps
    classes = list(matches.class_names)
    pred = gather_lines(maps.predictions, len(classes), "prediction", scored=True).points
    truth = gather_lines(maps.ground_truth, len(classes), "ground truth", scored=False).points
    kept = kept_predictions(matches, min_scores)

    def grouped(names: Sequence[str], gt_groups: np.ndarray, pred_groups: np.ndarray) -> Breakdown:
        rates = rates_by_group(matches, gt_groups, pred_groups, len(names), kept)
        return Breakdown(list(names), "lines", rates)

    def by_sample(group_of: Sequence[str]) -> Breakdown:
        names = list(dict.fromkeys(group_of))
        number = {name: k for k, name in enumerate(names)}
        groups = np.array([number[name] for name in group_of], dtype=np.int64)
        return grouped(names, groups[matches.gt_samples], groups[matches.samples])

    lengths = np.array(LENGTH_EDGES)
    rings = ring_edges(maps.spec.roi)
    location = {entry["sample_token"]: str(entry.get("location") or "unknown") for entry in entries}
    by_distance = rates_by_distance(matches, truth, pred, rings, kept)
    return {
        "all": by_sample(["all"] * matches.num_samples),
        "class": grouped(classes, matches.gt_labels, matches.labels),
        "length": grouped(
            range_names(lengths),
            place_in(line_lengths(truth), lengths),
            place_in(line_lengths(pred), lengths),
        ),
        "distance": Breakdown(range_names(rings), "m", by_distance),
        "location": by_sample([location[sample["sample_token"]] for sample in maps.predictions]),
        "scene": by_sample([name or "unknown" for name in maps.scene_of]),
    }


def ring_edges(roi: ROI) -> np.ndarray:
    """(K + 1,) radii, metres, from 0, of at most eight rings around the origin that hold the whole region."""
    corners = [(x, y) for x in (roi.x_min, roi.x_max) for y in (roi.y_min, roi.y_max)]
    reach = max(float(np.hypot(x, y)) for x, y in corners)
    step = next((s for s in _STEPS if reach / s <= _MOST_RINGS), reach / _MOST_RINGS)
    return np.arange(0, int(np.ceil(reach / step)) + 1) * step


def range_names(edges: np.ndarray) -> list[str]:
    """K names, ``0 to 5 m``, ..., ``over 40 m``, of bins with (K + 1,) edges."""
    return [
        f"over {low:g} m" if np.isinf(high) else f"{low:g} to {high:g} m" for low, high in pairwise(edges)
    ]
