"""Which prediction finds which line, sample by sample: all that any score of a map is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mapllava.evaluation.functional.lines import Lines, gather_lines
from mapllava.evaluation.functional.matching import nearest_ground_truth, pairs_of_groups, true_positives
from mapllava.evaluation.functional.measures import average_precision
from mapllava.evaluation.functional.protocols import Protocol, get_protocol
from mapllava.geometry import resample_many

_CHUNK = 64
"""Samples handled at once: bounds memory, changes no number."""


@dataclass(frozen=True)
class Matches:
    """The outcome of P predictions and G ground-truth lines, of C classes at T thresholds.

    Args:
        protocol: The rules under which it came about.
        class_names: C names.
        num_samples: Samples, those without any line included.
        labels: (P,) class of each prediction.
        scores: (P,).
        samples: (P,) number of the sample.
        positions: (P,) place in the sample's own list of predictions.
        nearest: (P,) index into the G lines of the nearest one, -1 where none lies within the
            largest threshold.
        distance: (P,) metres to it, inf for none.
        found: (T, P) bool, true positives.
        gt_labels: (G,) class of each line.
        gt_samples: (G,) number of its sample.
    """

    protocol: Protocol
    class_names: tuple[str, ...]
    num_samples: int
    labels: np.ndarray
    scores: np.ndarray
    samples: np.ndarray
    positions: np.ndarray
    nearest: np.ndarray
    distance: np.ndarray
    found: np.ndarray
    gt_labels: np.ndarray
    gt_samples: np.ndarray

    @property
    def num_gt(self) -> np.ndarray:
        """(C,) ground-truth lines."""
        return np.bincount(self.gt_labels, minlength=len(self.class_names))

    @property
    def num_pred(self) -> np.ndarray:
        """(C,) predictions."""
        return np.bincount(self.labels, minlength=len(self.class_names))

    def of_class(self, label: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores (K,) and flags (T, K) of the predictions of one class, in input order."""
        mine = self.labels == label
        return self.scores[mine], self.found[:, mine]

    def average_precision(self) -> np.ndarray:
        """(T, C) AP in [0, 1]; 0 for a class without ground truth."""
        ap = np.zeros((len(self.protocol.thresholds), len(self.class_names)))
        for label, count in enumerate(self.num_gt):
            ap[:, label] = average_precision(*self.of_class(label), int(count))
        return ap


def match_maps(
    predictions: Sequence[Mapping[str, Any]],
    ground_truth: Sequence[Mapping[str, Any]],
    class_names: Sequence[str],
    protocol: str | Protocol = "maptr",
    thresholds: Sequence[float] | None = None,
) -> Matches:
    """Compare predicted with ground-truth polylines; arguments and errors as the score's.

    See :func:`~mapllava.evaluation.functional.chamfer_average_precision`.
    """
    rules = get_protocol(protocol, thresholds)
    if len(predictions) != len(ground_truth):
        raise ValueError(f"{len(predictions)} samples predicted but {len(ground_truth)} have ground truth")
    names = tuple(class_names)
    pred = gather_lines(predictions, len(names), "prediction", scored=True)
    gt = gather_lines(ground_truth, len(names), "ground truth", scored=False)
    nearest, distance, found = _match(pred, gt, rules, len(predictions))
    return Matches(
        rules,
        names,
        len(predictions),
        pred.labels,
        pred.scores,
        pred.samples,
        pred.positions,
        nearest,
        distance,
        found,
        gt.labels,
        gt.samples,
    )


def join(parts: Sequence[Matches]) -> Matches:
    """The matches of several groups of samples as those of all samples, in order: as if matched at once.

    Args:
        parts: At least one, all under the same rules and of the same classes.

    Raises:
        ValueError: If they are not.
    """
    kinds = {(part.protocol, part.class_names) for part in parts}
    if len(kinds) != 1:
        raise ValueError(f"matches of {len(kinds)} protocols or lists of classes: one is needed to join them")
    samples = np.cumsum([0, *(part.num_samples for part in parts)])
    lines = np.cumsum([0, *(len(part.gt_labels) for part in parts)])
    before = list(zip(parts, samples[:-1], lines[:-1], strict=True))
    protocol, class_names = kinds.pop()
    return Matches(
        protocol,
        class_names,
        int(samples[-1]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.samples + sample for part, sample, _ in before]),
        np.concatenate([part.positions for part in parts]),
        np.concatenate([np.where(part.nearest < 0, -1, part.nearest + line) for part, _, line in before]),
        np.concatenate([part.distance for part in parts]),
        np.concatenate([part.found for part in parts], axis=1),
        np.concatenate([part.gt_labels for part in parts]),
        np.concatenate([part.gt_samples + sample for part, sample, _ in before]),
    )


def _match(
    pred: Lines, gt: Lines, rules: Protocol, num_samples: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nearest line (P,), distance (P,) and flags (T, P)."""
    nearest, distance = np.full(len(pred.labels), -1), np.full(len(pred.labels), np.inf)
    found = np.zeros((len(rules.thresholds), len(pred.labels)), dtype=bool)
    num_classes = 1 + max(pred.labels.max(initial=0), gt.labels.max(initial=0))
    for start in range(0, num_samples, _CHUNK):
        p = slice(*np.searchsorted(pred.samples, (start, start + _CHUNK)))
        g = slice(*np.searchsorted(gt.samples, (start, start + _CHUNK)))
        pairs = pairs_of_groups(
            pred.samples[p] * num_classes + pred.labels[p], gt.samples[g] * num_classes + gt.labels[g]
        )
        lines, truth = _resample(pred.points[p], rules), resample_many(gt.points[g], rules.num_points)
        near, distance[p] = nearest_ground_truth(lines, truth, pairs, rules)
        nearest[p] = np.where(near >= 0, near + g.start, -1)
        found[:, p] = true_positives(pred.scores[p], near, distance[p], rules.thresholds)
    return nearest, distance, found


def _resample(lines: list[np.ndarray], rules: Protocol) -> np.ndarray:
    resampled = resample_many(lines, rules.num_points)
    if rules.as_they_are:
        for k, line in enumerate(lines):
            if len(line) == rules.num_points:
                resampled[k] = line
    return resampled
