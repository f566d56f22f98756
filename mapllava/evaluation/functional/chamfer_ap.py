"""Chamfer average precision of vector maps, the score of MapTR and its successors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mapllava.evaluation.functional.average_precision import average_precision
from mapllava.evaluation.functional.matching import nearest_ground_truth, pairs_of_groups, true_positives
from mapllava.evaluation.functional.protocols import Protocol, get_protocol
from mapllava.geometry import resample_many

_CHUNK = 64
"""Samples handled at once: bounds memory, changes no number."""


def chamfer_average_precision(
    predictions: Sequence[Mapping[str, Any]],
    ground_truth: Sequence[Mapping[str, Any]],
    class_names: Sequence[str],
    protocol: str | Protocol = "maptr",
    thresholds: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Score predicted against ground-truth polylines.

    Both lists run over the same samples in the same order. Lines are compared within a sample and
    a class; every prediction counts, however low its score. The ground truth is taken as it is.

    Args:
        predictions: Per sample a dict with ``points`` (lines ``(n, 2)``, metres, or one array
            ``(K, n, 2)``), ``labels`` (K,) and ``scores`` (K,). Lines of fewer than 2 points are
            dropped. ``sample_token``, if there, names the sample in errors.
        ground_truth: Likewise, without scores.
        class_names: C names; label k is ``class_names[k]``.
        protocol: Name of a protocol (see :data:`PROTOCOLS`) or one of your own.
        thresholds: Metres; ``None`` takes the protocol's.

    Returns:
        ``ap`` (T, C) in [0, 1] (0 for a class without ground truth), ``mAP`` their mean,
        ``num_gt`` and ``num_pred`` (C,), ``num_samples``, ``thresholds``, ``class_names`` and
        ``protocol`` (the name).

    Raises:
        ValueError: If the lists differ in length, or a sample's points, labels or scores do not
            fit together, are not finite or name no class; the message names the sample.

    Source: Liao et al., "MapTR", ICLR 2023, and its evaluator; restated, equal to it within 1e-6.
    """
    rules = get_protocol(protocol, thresholds)
    if len(predictions) != len(ground_truth):
        raise ValueError(f"{len(predictions)} samples predicted but {len(ground_truth)} have ground truth")
    names = list(class_names)
    pred = _gather(predictions, len(names), "prediction", scored=True)
    gt = _gather(ground_truth, len(names), "ground truth", scored=False)
    flags = _flags(pred, gt, rules, len(predictions))
    ap = np.zeros((len(rules.thresholds), len(names)))
    num_gt = np.bincount(gt.labels, minlength=len(names))
    for label in range(len(names)):
        mine = pred.labels == label
        ap[:, label] = average_precision(pred.scores[mine], flags[:, mine], int(num_gt[label]))
    return {
        "ap": ap,
        "mAP": float(ap.mean()) if ap.size else 0.0,
        "num_gt": num_gt,
        "num_pred": np.bincount(pred.labels, minlength=len(names)),
        "num_samples": len(predictions),
        "thresholds": rules.thresholds,
        "class_names": tuple(names),
        "protocol": rules.name,
    }


@dataclass
class _Lines:
    """The lines of all samples laid end to end."""

    points: list[np.ndarray]
    labels: np.ndarray
    scores: np.ndarray
    samples: np.ndarray


def _gather(samples: Sequence[Mapping[str, Any]], num_classes: int, what: str, scored: bool) -> _Lines:
    points: list[np.ndarray] = []
    labels, scores, index = [], [], []
    for number, sample in enumerate(samples):
        name = f"{what} of sample {sample.get('sample_token', f'number {number}')}"
        lines, label, score = _read_sample(sample, num_classes, name, scored)
        points += lines
        labels.append(label)
        scores.append(score)
        index.append(np.full(len(lines), number))
    empty = np.zeros(0, dtype=np.int64)
    return _Lines(
        points,
        np.concatenate([empty, *labels]),
        np.concatenate([empty.astype(np.float64), *scores]),
        np.concatenate([empty, *index]),
    )


def _read_sample(
    sample: Mapping[str, Any], num_classes: int, name: str, scored: bool
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    lines = [np.asarray(line, dtype=np.float64) for line in sample["points"]]
    labels = np.asarray(sample["labels"]).reshape(-1)
    scores = np.asarray(sample["scores"], dtype=np.float64).reshape(-1) if scored else np.zeros(len(lines))
    if not len(lines) == len(labels) == len(scores):
        raise ValueError(f"{name}: {len(lines)} lines, {len(labels)} labels, {len(scores)} scores")
    if not lines:
        return [], np.zeros(0, dtype=np.int64), np.zeros(0)
    if not np.isfinite(scores).all():
        raise ValueError(f"{name}: a score is not finite")
    if not (np.equal(labels, np.floor(labels)) & (labels >= 0) & (labels < num_classes)).all():
        raise ValueError(
            f"{name}: labels {np.unique(labels).tolist()} are not all among 0..{num_classes - 1}"
        )
    long_enough = np.array([len(line) >= 2 for line in lines])
    if not scored and not long_enough.all():
        raise ValueError(f"{name}: line {int(np.argmin(long_enough))} has fewer than 2 points")
    for k, line in enumerate(lines):
        if len(line) and (line.ndim != 2 or line.shape[1] != 2):
            raise ValueError(f"{name}: line {k} has shape {line.shape}, not (n, 2)")
    if not np.isfinite(np.concatenate([line.reshape(-1) for line in lines])).all():
        bad = next(k for k, line in enumerate(lines) if not np.isfinite(line).all())
        raise ValueError(f"{name}: line {bad} has a coordinate that is not finite")
    kept = [line for line, keep in zip(lines, long_enough, strict=True) if keep]
    return kept, labels[long_enough].astype(np.int64), scores[long_enough]


def _flags(pred: _Lines, gt: _Lines, rules: Protocol, num_samples: int) -> np.ndarray:
    flags = np.zeros((len(rules.thresholds), len(pred.labels)), dtype=bool)
    num_classes = 1 + max(pred.labels.max(initial=0), gt.labels.max(initial=0))
    for start in range(0, num_samples, _CHUNK):
        p = slice(*np.searchsorted(pred.samples, (start, start + _CHUNK)))
        g = slice(*np.searchsorted(gt.samples, (start, start + _CHUNK)))
        pairs = pairs_of_groups(
            pred.samples[p] * num_classes + pred.labels[p], gt.samples[g] * num_classes + gt.labels[g]
        )
        lines = resample_many(pred.points[p], rules.num_points)
        truth = resample_many(gt.points[g], rules.num_points)
        nearest, distance = nearest_ground_truth(lines, truth, pairs, rules)
        flags[:, p] = true_positives(pred.scores[p], nearest, distance, rules.thresholds)
    return flags
