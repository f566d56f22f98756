"""The maps of all samples, small enough to travel inside of a page.

Coordinates become whole centimetres, each the difference to the one before; lines lose the vertices that
a straight line passes within :data:`TOLERANCE`. 64 samples are one JSON text, gzipped, in base64; the page
unpacks it when one of them is looked at.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from mapllava.evaluation.functional import line_lengths
from mapllava.evaluation.functional.lines import Lines, gather_lines
from mapllava.structures.frames import MapSpec
from mapllava.visualization.report_page.runs import PageSample, Run, lines_of

CHUNK = 64
"""Samples that are unpacked together."""
TOLERANCE = 0.05
"""Metres by which a drawn line may leave the scored one."""
LINE_BYTES = 80
"""About what a line of 20 points takes in the file, when none of them can be left out."""
_LIMIT = 1e6
"""Metres beyond which a coordinate is drawn no more."""


def pack(data: bytes) -> str:
    """Gzip and base64: what ``unpack`` of the page reads. The same bytes give the same text."""
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode("ascii")


def as_drawn(points: np.ndarray, spec: MapSpec) -> np.ndarray:
    """(n, 2) points of the frame as metres to the right of the origin and ahead of it."""
    if spec.forward_axis == 1:
        return points
    return np.stack([-points[:, 1], points[:, 0]], axis=1)


def pack_maps(
    samples: Sequence[PageSample],
    runs: Sequence[Run],
    entries: Sequence[Mapping[str, Any]] | None,
    spec: MapSpec,
    floor: float,
    advance: Callable[[int], None],
) -> list[str]:
    """The maps of all samples in chunks, in the order of the page.

    Args:
        samples: In the order of the page.
        runs: The results.
        entries: The evaluation's entries of the GT cache; None draws no truth.
        spec: Frame, region and classes.
        floor: Predictions with a lower score are left out.
        advance: Called with how many samples have been packed.

    Returns:
        Texts of :func:`pack`; unpacked, each is a JSON list of up to 64 samples
        ``[token, truth, [lines of run 1, lines of run 2]]``. A line is ``[label, decimetres long, deltas]``,
        a predicted one ``[label, decimetres long, deltas, score, centimetres to the nearest truth or -1]``.
    """
    truth = None if entries is None else _lines_of_truth(entries, spec)
    predicted = [lines_of(run, samples, spec) for run in runs]
    out = []
    for start in range(0, len(samples), CHUNK):
        block = []
        for sample in samples[start : start + CHUNK]:
            true = [] if truth is None else _plain(truth, sample.number, spec)
            drawn = [
                _plain(lines, sample.number, spec, Predicted(gap, floor, run.min_scores))
                for run, (lines, gap) in zip(runs, predicted, strict=True)
            ]
            block.append([sample.token, true, drawn])
        out.append(pack(json.dumps(block, separators=(",", ":")).encode()))
        advance(len(block))
    return out


def _lines_of_truth(entries: Sequence[Mapping[str, Any]], spec: MapSpec) -> Lines:
    maps = [
        {
            "sample_token": entry["sample_token"],
            "points": [line["points"] for line in entry["polylines"]],
            "labels": [line["label"] for line in entry["polylines"]],
        }
        for entry in entries
    ]
    return gather_lines(maps, spec.num_classes, "ground truth", scored=False)


@dataclass(frozen=True)
class Predicted:
    """What a predicted line's score is compared with.

    Args:
        gap: (P,) metres to the nearest truth.
        floor: Lower scores do not travel.
        cuts: (C,) scores from which lines are drawn at first.
    """

    gap: np.ndarray
    floor: float
    cuts: np.ndarray


def short_score(score: float, bounds: Sequence[float]) -> float:
    """A score in four digits, or in all of them where these would carry it across one of the bounds."""
    short = float(f"{score:.4g}")
    return short if all((short >= bound) == (score >= bound) for bound in bounds) else score


def _plain(lines: Lines, number: int, spec: MapSpec, predicted: Predicted | None = None) -> list[list[Any]]:
    """One sample's lines as builtins; predicted ones by ascending score, the best on top."""
    start, stop = np.searchsorted(lines.samples, (number, number + 1))
    mine = np.arange(start, stop)
    if predicted is not None:
        mine = mine[lines.scores[mine] >= predicted.floor]
        mine = mine[np.argsort(lines.scores[mine], kind="stable")]
    points = [lines.points[k] for k in mine]
    out = [
        [int(lines.labels[k]), round(10 * min(float(length), _LIMIT)), deltas(line, spec)]
        for k, length, line in zip(mine, line_lengths(points), _thinned(points), strict=True)
    ]
    if predicted is not None:
        for row, k in zip(out, mine, strict=True):
            gap = float(predicted.gap[k])
            bounds = (predicted.floor, float(predicted.cuts[lines.labels[k]]))
            score = short_score(float(lines.scores[k]), bounds)
            row += [score, round(100 * gap) if np.isfinite(gap) else -1]
    return out


def deltas(line: np.ndarray, spec: MapSpec) -> list[int]:
    """A line ``(n, 2)`` as right, forward, right, forward, ... in centimetres, each less the one before."""
    whole = np.round(100 * np.clip(as_drawn(line, spec), -_LIMIT, _LIMIT)).astype(np.int64)
    return np.diff(whole, axis=0, prepend=0).ravel().tolist()


def _thinned(points: Sequence[np.ndarray]) -> list[np.ndarray]:
    if not points:
        return []
    shapes = shapely.linestrings(
        np.concatenate(points), indices=np.repeat(np.arange(len(points)), [len(line) for line in points])
    )
    simple = shapely.simplify(shapes, TOLERANCE, preserve_topology=False)
    # A ring that is smaller than the tolerance would vanish
    return [
        kept if len(kept := shapely.get_coordinates(line)) >= 2 else whole
        for line, whole in zip(simple, points, strict=True)
    ]
