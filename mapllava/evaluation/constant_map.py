"""The best map that never looks: the same lines for every sample, chosen on the training set.

What a model must beat before anyone may say that it sees something. Roads run along the car, so a
few lines ahead of and beside it are often right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.functional import Protocol, get_protocol
from mapllava.evaluation.functional.chamfer import chamfer_lower_bound, chamfer_of_pairs
from mapllava.evaluation.scoring import prepare_ground_truth
from mapllava.geometry import resample_many
from mapllava.structures.map_elements import Polyline

_FIT_POINTS = 40
_BLOCK = 256


@dataclass
class ConstantMap:
    """A map that is predicted everywhere.

    Args:
        points: K lines ``(20, 2)``, metres, best first.
        labels: (K,) int64.
        scores: (K,) share of training samples in which the line finds one that no line before it
            finds, mean over thresholds; distinct.
    """

    points: list[np.ndarray]
    labels: np.ndarray
    scores: np.ndarray

    def predict(self, sample_tokens: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The same map for every token, in the form of a results file's ``results``."""
        entry = {"points": self.points, "labels": self.labels, "scores": self.scores}
        return {token: dict(entry) for token in sample_tokens}


@dataclass
class _Coverage:
    """What each candidate would find: its nearest line of a sample, where that is near enough.

    ``candidate``, ``line`` (index into the ground truth) and ``distance`` (metres) are (E,), one
    entry for each candidate and sample that match at the largest threshold.
    """

    candidate: np.ndarray
    line: np.ndarray
    distance: np.ndarray


@dataclass
class _Class:
    """The ground truth of one class: ``lines`` (G, n, 2), metres, and the sample ``owner`` (G,) of each."""

    lines: np.ndarray
    owner: np.ndarray
    num_samples: int
    thresholds: tuple[float, ...]


def fit_constant_map(
    train_polylines: Sequence[Iterable[Polyline | Mapping[str, Any]]],
    num_classes: int,
    protocol: str | Protocol = "maptr",
    max_lines: int = 50,
    num_candidates: int = 1000,
    max_samples: int = 2000,
    seed: int = 0,
) -> ConstantMap:
    """Choose, class by class, the lines that together find most on the training set.

    Candidates are lines of the training set itself. Each turn takes the candidate that finds most
    lines not yet found, summed over the thresholds (the greedy solution of maximum coverage, which
    is also the order of falling precision that average precision rewards), or the mean of the
    lines it found where that finds more. Between the classes, the ``max_lines`` places go to the
    lines that add most to their class's AP.

    Args:
        train_polylines: Per training sample its raw lines.
        num_classes: Number of classes.
        protocol: Gives thresholds and preparation of the ground truth.
        max_lines: Lines kept in all.
        num_candidates: Candidates per class, drawn without repetition.
        max_samples: Training samples looked at, drawn without repetition.
        seed: Of both draws.

    Returns:
        The map.

    Raises:
        MapLLaVAError: If the training samples hold no line at all.
    """
    rules = get_protocol(protocol)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(train_polylines))[:max_samples])
    truth = [prepare_ground_truth(train_polylines[k], rules, f"number {k}") for k in chosen]
    lines: list[np.ndarray] = []
    labels: list[int] = []
    gains: list[float] = []
    values: list[float] = []
    for label in range(num_classes):
        of_class = _of_class(truth, label, rules.thresholds)
        if of_class is None:
            continue
        drawn = np.sort(rng.permutation(len(of_class.lines))[:num_candidates])
        picked, gain = _greedy(of_class, of_class.lines[drawn], max_lines)
        lines += picked
        labels += [label] * len(picked)
        gains += gain.tolist()
        values += _ap_steps(gain, len(of_class.lines) / of_class.num_samples).tolist()
    if not lines:
        raise MapLLaVAError("the training samples hold no line, so there is no constant map to fit")
    kept = np.argsort(-np.array(values), kind="stable")[:max_lines]
    order = kept[np.argsort(-np.array(gains)[kept], kind="stable")]
    return ConstantMap(
        list(resample_many([lines[k] for k in order], 20)),
        np.array(labels)[order],
        np.array(gains)[order] - 1e-9 * np.arange(len(order)),
    )


def _of_class(truth: list[dict[str, Any]], label: int, thresholds: tuple[float, ...]) -> _Class | None:
    lines, owner = [], []
    for number, sample in enumerate(truth):
        mine = [p for p, c in zip(sample["points"], sample["labels"], strict=True) if c == label]
        lines += mine
        owner += [number] * len(mine)
    if not lines:
        return None
    return _Class(resample_many(lines, _FIT_POINTS), np.array(owner), len(truth), thresholds)


def _ap_steps(gain: np.ndarray, lines_per_sample: float) -> np.ndarray:
    """(K,) what each line adds to its class's AP: its step of recall times the precision so far."""
    precision = np.cumsum(gain) / np.arange(1, len(gain) + 1)
    return gain / lines_per_sample * precision


def _greedy(truth: _Class, candidates: np.ndarray, max_lines: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Lines in the order in which they were taken, and how many each newly finds per sample."""
    cover = _coverage(candidates, truth)
    found = np.zeros((len(truth.thresholds), len(truth.lines)), dtype=bool)
    picked: list[np.ndarray] = []
    gains: list[float] = []
    while len(picked) < max_lines:
        gain = _gain(cover, found, truth, len(candidates))
        best = int(np.argmax(gain))
        if gain[best] == 0:
            break
        mine = cover.candidate == best
        line, one, count = candidates[best], _Coverage(*(a[mine] for a in vars(cover).values())), gain[best]
        mean = _mean_of_found(line, truth.lines[one.line])
        refined = _coverage(mean[None], truth)
        if (more := _gain(refined, found, truth, 1)[0]) > count:
            line, one, count = mean, refined, more
        picked.append(line)
        gains.append(float(count) / (truth.num_samples * len(truth.thresholds)))
        for row, threshold in zip(found, truth.thresholds, strict=True):
            row[one.line[one.distance <= threshold]] = True
    return picked, np.minimum.accumulate(gains)


def _coverage(candidates: np.ndarray, truth: _Class) -> _Coverage:
    """``candidates`` is (M, n, 2), metres."""
    parts = []
    for start in range(0, len(candidates), _BLOCK):
        block = candidates[start : start + _BLOCK]
        i, j = (k.reshape(-1) for k in np.indices((len(block), len(truth.lines))))
        for pieces in (1, 10):
            near = chamfer_lower_bound(block, truth.lines, (i, j), pieces) <= truth.thresholds[-1]
            i, j = i[near], j[near]
        gap = chamfer_of_pairs(block[i], truth.lines[j])
        order = np.lexsort((gap, truth.owner[j], i))
        order = order[gap[order] <= truth.thresholds[-1]]
        pair = i[order] * truth.num_samples + truth.owner[j[order]]
        order = order[np.diff(pair, prepend=-1) > 0]
        parts.append((start + i[order], j[order], gap[order]))
    return _Coverage(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _gain(cover: _Coverage, found: np.ndarray, truth: _Class, num_candidates: int) -> np.ndarray:
    """(M,) lines that each candidate would newly find, summed over samples and thresholds."""
    new = np.zeros(len(cover.line))
    for row, threshold in zip(found, truth.thresholds, strict=True):
        new += (cover.distance <= threshold) & ~row[cover.line]
    return np.bincount(cover.candidate, weights=new, minlength=num_candidates)


def _mean_of_found(line: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Mean of lines (K, n, 2), each turned to run the way ``line`` (n, 2) does."""
    ahead = np.abs(lines - line).sum(axis=(1, 2))
    back = np.abs(lines[:, ::-1] - line).sum(axis=(1, 2))
    return np.where((back < ahead)[:, None, None], lines[:, ::-1], lines).mean(axis=0)
