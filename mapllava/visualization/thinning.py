"""Which predicted lines are drawn: scores high enough, near-duplicates left out. Results stay whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mapllava.evaluation.near_duplicates import NEAR, without_near_duplicates
from mapllava.evaluation.sample_record import FALLBACK_SCORE
from mapllava.structures import MapLines


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
