"""The lines of many samples laid end to end, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Lines:
    """L lines of all samples, sample by sample.

    Args:
        points: L arrays ``(n, 2)``, metres.
        labels: (L,) int64.
        scores: (L,) float64; zeros for ground truth.
        samples: (L,) number of the sample.
        positions: (L,) place in the sample's own list, dropped lines counted.
    """

    points: list[np.ndarray]
    labels: np.ndarray
    scores: np.ndarray
    samples: np.ndarray
    positions: np.ndarray


def gather_lines(samples: Sequence[Mapping[str, Any]], num_classes: int, what: str, scored: bool) -> Lines:
    """Lay the samples' lines end to end.

    Args:
        samples: As :func:`chamfer_average_precision` takes them.
        num_classes: Labels are below it.
        what: ``prediction`` or ``ground truth``, for errors.
        scored: Whether there are scores; scored lines of fewer than 2 points are dropped.

    Raises:
        ValueError: If a sample's points, labels or scores are missing, do not fit together, are not
            finite or name no class; the message names the sample.
    """
    points: list[np.ndarray] = []
    empty = np.zeros(0, dtype=np.int64)
    labels, scores, kept, counts = [empty], [empty.astype(np.float64)], [empty], []
    for number, sample in enumerate(samples):
        name = f"{what} of sample {sample.get('sample_token', f'number {number}')}"
        lines, label, score, keep = _read_sample(sample, num_classes, name, scored)
        points += lines
        labels.append(label)
        scores.append(score)
        kept.append(keep)
        counts.append(len(lines))
    owners = np.repeat(np.arange(len(counts)), counts)
    return Lines(points, np.concatenate(labels), np.concatenate(scores), owners, np.concatenate(kept))


def _read_sample(
    sample: Mapping[str, Any], num_classes: int, name: str, scored: bool
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    missing = [key for key in ("points", "labels", "scores")[: 2 + scored] if key not in sample]
    if missing:
        raise ValueError(f"{name} has no {' and no '.join(missing)}")
    lines = [np.asarray(line, dtype=np.float64) for line in sample["points"]]
    labels = np.asarray(sample["labels"]).reshape(-1)
    scores = np.asarray(sample["scores"], dtype=np.float64).reshape(-1) if scored else np.zeros(len(lines))
    if not len(lines) == len(labels) == len(scores):
        raise ValueError(f"{name}: {len(lines)} lines, {len(labels)} labels, {len(scores)} scores")
    if not lines:
        return [], np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0, dtype=np.int64)
    if not np.isfinite(scores).all():
        raise ValueError(f"{name}: a score is not finite")
    if not (np.equal(labels, np.floor(labels)) & (labels >= 0) & (labels < num_classes)).all():
        raise ValueError(
            f"{name}: labels {np.unique(labels).tolist()} are not all among 0..{num_classes - 1}"
        )
    keep = np.flatnonzero([len(line) >= 2 for line in lines])
    if not scored and len(keep) < len(lines):
        short = next(k for k, line in enumerate(lines) if len(line) < 2)
        raise ValueError(f"{name}: line {short} has fewer than 2 points")
    for k, line in enumerate(lines):
        if len(line) and (line.ndim != 2 or line.shape[1] != 2):
            raise ValueError(f"{name}: line {k} has shape {line.shape}, not (n, 2)")
    if not np.isfinite(np.concatenate([line.reshape(-1) for line in lines])).all():
        bad = next(k for k, line in enumerate(lines) if not np.isfinite(line).all())
        raise ValueError(f"{name}: line {bad} has a coordinate that is not finite")
    return [lines[k] for k in keep], labels[keep].astype(np.int64), scores[keep], keep
