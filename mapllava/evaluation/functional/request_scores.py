"""How well sentences were understood; pure functions on canonical texts and confidences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mapllava.language.request import NO_REQUEST


@dataclass(frozen=True)
class Understanding:
    """What was made of one sentence.

    Attributes:
        canonical: what it means.
        predicted: what was understood.
        confidence: in [0, 1].
        groups: what it is counted under beside all: name such as ``kind`` to value such as ``count``.
    """

    canonical: str
    predicted: str
    confidence: float
    groups: Mapping[str, str]

    @property
    def right(self) -> bool:
        """Whether both texts are one."""
        return self.predicted == self.canonical

    def accepted(self, threshold: float) -> bool:
        """Whether it is answered: understood as a request, and surely enough."""
        return self.predicted != NO_REQUEST and self.confidence >= threshold


def best_threshold(found: Sequence[Understanding], cost: float = 2.0) -> float:
    """The confidence below which a sentence is better refused.

    Of all thresholds, the one with the smallest sum of requests refused though rightly understood and,
    ``cost`` times, of sentences answered though wrongly understood: to guess is worse than to ask back. It
    lies halfway (of the logarithm) between the confidences that it parts.

    Args:
        found: sentences of a calibration set, requests and others.
        cost: of a wrong answer, in refused right ones.

    Returns:
        in [0, 1]; half the lowest confidence if nothing is better refused, so that what is far less sure
        than anything in the set is; 0 without a request.
    """
    asked = sorted(
        ((each.confidence, each.right) for each in found if each.predicted != NO_REQUEST), reverse=True
    )
    if not asked:
        return 0.0
    right = np.array([good for _, good in asked])
    wrong = np.concatenate([[0], np.cumsum(~right)])  # answered, of the first n
    refused = right.sum() - np.concatenate([[0], np.cumsum(right)])
    costs = cost * wrong + refused
    confidences = [confidence for confidence, _ in asked]
    # No threshold parts equal confidences
    parts = np.array([True, *(high > low for high, low in pairwise(confidences)), True])
    costs = np.where(parts, costs, np.inf)
    count = len(costs) - 1 - int(np.argmin(costs[::-1]))  # of equal ones, that which refuses least
    if count == len(asked):
        return confidences[-1] / 2
    below = confidences[count]
    above = confidences[count - 1] if count else 1.0
    return float(np.sqrt(max(below, 1e-12) * max(above, 1e-12)))


def request_scores(found: Sequence[Understanding], threshold: float) -> dict[str, float]:
    """Shares of sentences, each in [0, 1].

    Args:
        found: all sentences.
        threshold: confidence from which on one is answered.

    Returns:
        ``exact`` and ``exact_<group>_<value>``: canonical text equal, ``none`` among them;
        ``refused_wrongly``: of requests, those not answered; ``answered_wrongly``: of all answered, those
        not equal; ``false_accepts``: of sentences that ask nothing, those answered; as far as there are such.
    """
    scores = {"exact": _share([each.right for each in found])}
    for name, value in sorted({pair for each in found for pair in each.groups.items()}):
        of = [each.right for each in found if each.groups.get(name) == value]
        scores[f"exact_{name}_{value}"] = _share(of)
    asks = [each for each in found if each.canonical != NO_REQUEST]
    others = [each for each in found if each.canonical == NO_REQUEST]
    answered = [each for each in found if each.accepted(threshold)]
    shares = {
        "refused_wrongly": [not each.accepted(threshold) for each in asks],
        "answered_wrongly": [not each.right for each in answered],
        "false_accepts": [each.accepted(threshold) for each in others],
    }
    return {**scores, **{name: _share(values) for name, values in shares.items() if values}}


def separation(found: Sequence[Understanding]) -> float | None:
    """How often a right one is surer than a wrong one (area under the ROC curve); None without either."""
    right = np.array([each.confidence for each in found if each.right])
    wrong = np.array([each.confidence for each in found if not each.right])
    if not len(right) or not len(wrong):
        return None
    above = right[:, None] > wrong
    return float((above + 0.5 * (right[:, None] == wrong)).mean())


def _share(values: Sequence[bool]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
