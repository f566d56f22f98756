"""Which predicted lines are drawn: scores high enough, near-duplicates left out. Results stay whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mapllava.evaluation.near_duplicates import NEAR, without_near_duplicates
from mapllava.evaluation.sample_record import FALLBACK_SCORE


@dataclass
class MapLines:
    """A map to draw: lines ``(n, 2)`` in metres, their labels, and scores where they are predicted."""

    points: list[np.ndarray]
    labels: np.ndarray
    scores: np.ndarray | None = None

    def above(self, threshold: float | np.ndarray) -> MapLines:
        """The lines whose score reaches ``threshold``; all of them where there are no scores.

        Args:
            threshold: One for all, or ``(K,)`` one for each line.
        """
        if self.scores is None:
            return self
        return self.at(np.flatnonzero(np.asarray(self.scores) >= threshold))

    def at(self, places: Sequence[int] | np.ndarray) -> MapLines:
        """Some of the lines, by their places ``(k,)``."""
        keep = np.asarray(places, dtype=np.int64)
        scores = None if self.scores is None else np.asarray(self.scores)[keep]
        return MapLines([self.points[k] for k in keep], np.asarray(self.labels)[keep], scores)


def thin(lines: MapLines, distance: float = NEAR) -> tuple[MapLines, int]:
    """Leave out lines that lie near a line of their class with a higher score.

    For drawing only: what is scored stays as it is. Lines without scores stay too.

    Args:
        lines: The lines; they are not changed.
        distance: Chamfer distance in metres below which a line is a near-duplicate; 0 keeps all.

    Returns:
        The lines that stay, in their order, and how many were left out.
    """
    if lines.scores is None:
        return lines, 0
    kept = without_near_duplicates(lines.points, lines.labels, lines.scores, distance)
    left_out = len(lines.points) - len(kept)
    return (lines.at(kept) if left_out else lines), left_out


@dataclass(frozen=True)
class ScoreCut:
    """The lowest score drawn of each class, and why.

    Args:
        scores: ``(C,)``.
        source: Words for the legend.
    """

    scores: np.ndarray
    source: str

    @classmethod
    def of(cls, value: Any, classes: Sequence[str]) -> ScoreCut:
        """Read what callers give.

        Args:
            value: A number; an object or mapping with ``thresholds`` (class name to score) and ``source``;
                None takes the fallback and says so.
            classes: Names; one without a threshold takes the fallback.
        """
        if value is None:
            return cls(np.full(len(classes), FALLBACK_SCORE), "fallback: no held-out scores known")
        if isinstance(value, (int, float)):
            return cls(np.full(len(classes), float(value)), "as asked for")
        given = value if isinstance(value, Mapping) else vars(value)
        thresholds = given["thresholds"]
        scores = np.array([float(thresholds.get(name, FALLBACK_SCORE)) for name in classes])
        return cls(scores, str(given["source"]))

    def drawn(self, lines: MapLines, distance: float = NEAR) -> tuple[MapLines, int]:
        """The lines that reach the score of their class, thinned; and how many thinning left out."""
        return thin(lines.above(self.scores[np.asarray(lines.labels, dtype=np.int64)]), distance)
