"""Which scores leave a line in doubt, as held-out data tell: answers that hang on it are not certain.

Of predictions of one score a certain share is right. It rises with the score, and is fitted to the held-out
matches with no further assumption. Below a share of :data:`UNLIKELY` a line is taken as not there, from
:data:`LIKELY` on as there; in between it is in doubt, whether it is shown or not. On the synthetic city
answers go wrong by lines that are nearly shown far more often than by lines that are shown and false.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mapllava.evaluation.functional.matches import Matches

UNLIKELY, LIKELY = 0.05, 0.5
NEVER = 1.0
"""Score that stands for one that no line reaches."""


@dataclass(frozen=True)
class Doubt:
    """Between which scores lines are in doubt.

    Attributes:
        possible: Class name to the score from which on a line may be there; 1 where no score says so.
        certain: Class name to the score from which on it is; 1 where no score says so.
    """

    possible: dict[str, float]
    certain: dict[str, float]


def doubt_of_matches(
    matches: Matches, distance: float = 1.0, unlikely: float = UNLIKELY, likely: float = LIKELY
) -> Doubt:
    """Measure which scores leave a line in doubt.

    Args:
        matches: Of held-out samples.
        distance: Metres within which a line counts as found; the protocol's nearest to it is taken. Of two
            predictions of one line the better alone is found, as pictures and answers take it.
        unlikely: Share of right lines below which one of that score is taken as not there.
        likely: Share from which on it is taken as there.
    """
    limits = np.asarray(matches.protocol.thresholds, dtype=np.float64)
    row = int(np.abs(limits - distance).argmin())
    possible: dict[str, float] = {}
    certain: dict[str, float] = {}
    for label, name in enumerate(matches.class_names):
        scores, found = matches.of_class(label)
        order = np.argsort(scores, kind="stable")
        share = rising_fit(found[row][order].astype(np.float64))
        for kept, least in ((possible, unlikely), (certain, likely)):
            reached = np.flatnonzero(share >= least)
            kept[name] = float(scores[order][reached[0]]) if len(reached) else NEVER
    return Doubt(possible, certain)


def rising_fit(values: np.ndarray) -> np.ndarray:
    """The never falling sequence ``(n,)`` nearest to ``values`` ``(n,)`` in squares.

    Source: "pool adjacent violators", Ayer et al., Annals of Mathematical Statistics 1955.
    """
    means: list[float] = []
    counts: list[int] = []
    for value in values.tolist():
        means.append(value)
        counts.append(1)
        while len(means) > 1 and means[-2] >= means[-1]:
            mean, count = means.pop(), counts.pop()
            means[-1] = (means[-1] * counts[-1] + mean * count) / (counts[-1] + count)
            counts[-1] += count
    return np.repeat(means, counts)
