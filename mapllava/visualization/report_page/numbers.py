"""What the page's charts draw, as builtins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mapllava.evaluation.breakdown import Breakdown
from mapllava.evaluation.functional import Matches, calibration_error, precision_recall
from mapllava.visualization.report_page.runs import PageSample, Run

RECALL_STEPS = 101
"""Levels of recall at which a curve is drawn."""


def chart_numbers(run: Run) -> dict[str, Any]:
    """A run's curves, reliability and breakdowns; empty without ground truth.

    Returns:
        ``curves`` [T][C], ``reliability`` (None where scores are no probabilities) and ``rates``.
    """
    if run.evaluation is None:
        return {}
    matches = run.evaluation.matches
    return {
        "curves": [
            [curve_numbers(matches, label, row) for label in range(len(matches.class_names))]
            for row in range(len(matches.found))
        ],
        "reliability": _reliability(matches),
        "rates": {key: rate_numbers(breakdown) for key, breakdown in run.breakdowns.items()},
    }


def curve_numbers(matches: Matches, label: int, row: int) -> dict[str, Any]:
    """The precision envelope, whose area is the AP, at 101 levels of recall, and the score there.

    Returns:
        ``precision`` and ``score``, each a list of 101, None where the recall is never reached.
    """
    scores, found = matches.of_class(label)
    num_gt = int(matches.num_gt[label])
    levels = np.linspace(0, 1, RECALL_STEPS)
    nothing = np.full(RECALL_STEPS, np.nan)
    if num_gt == 0 or len(scores) == 0:
        return {"precision": plain(nothing), "score": plain(nothing)}
    curve = precision_recall(scores, found[row : row + 1], num_gt)
    # Recall is a multiple of 1 / num_gt: half of that is no other level's
    place = np.searchsorted(curve["recall"][0], levels - 0.5e-6 / num_gt)
    reached = place < len(scores)
    place = np.minimum(place, len(scores) - 1)
    return {
        "precision": plain(np.where(reached, curve["envelope"][0][place], np.nan)),
        "score": plain(np.where(reached, curve["score"][place], np.nan)),
    }


def rate_numbers(breakdown: Breakdown) -> dict[str, Any]:
    """A breakdown as builtins; None for nan."""
    values = {key: plain(value) for key, value in breakdown.rates.items()}
    return {"names": breakdown.names, "unit": breakdown.unit, **values}


def sample_index(samples: Sequence[PageSample], runs: Sequence[Run]) -> dict[str, Any]:
    """What the page must know of all samples before it looks at one.

    Returns:
        ``scenes``: [name, location, number of samples] in the order of the page; ``scores``: of each run a
        score per sample in the order of the page, None where there is no ground truth at all.
    """
    scenes: list[list[Any]] = []
    for sample in samples:
        if not scenes or scenes[-1][0] != sample.scene:
            scenes.append([sample.scene, sample.location, 0])
        scenes[-1][2] += 1
    order = [sample.number for sample in samples]
    scores = [None if run.sample_scores is None else plain(run.sample_scores.score[order], 3) for run in runs]
    return {"scenes": scenes, "scores": scores}


def plain(value: Any, digits: int = 4) -> Any:
    """Arrays and mappings as builtins, numbers rounded to some significant digits, None for nan."""
    if isinstance(value, Mapping):
        return {str(key): plain(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item, digits) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.{digits}g}") if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _reliability(matches: Matches) -> dict[str, Any] | None:
    """ECE and bins of all classes together and of each; None where scores are no probabilities."""
    if len(matches.scores) and not (matches.scores.min() >= 0 and matches.scores.max() <= 1):
        return None
    parts = [(matches.scores, matches.found), *map(matches.of_class, range(len(matches.class_names)))]
    return {"parts": [plain(calibration_error(*part)) for part in parts]}
