"""The lines of one map; numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass
class MapLines:
    """The lines of a map, as pictures draw them, questions are answered from them and predictions give them.

    Attributes:
        points: K lines ``(n, 2)``, metres in the map's frame; the last point of a ring repeats its first.
        labels: ``(K,)`` indices of classes.
        scores: ``(K,)``; None where nothing is predicted, as in ground truth.
    """

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
