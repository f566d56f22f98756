"""Comparing ground truth line by line: what two caches, or a cache and its source, do not share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from scipy.optimize import linear_sum_assignment

from mapllava.errors import MapLLaVAError

SAME_LINE = 1.0
"""Metres of Hausdorff distance beyond which two lines count as different lines, not as one that moved."""
TIGHT, LOOSE, TIGHT_SHARE = 0.01, 0.1, 0.99
"""Parity: this share of the lines lies within TIGHT metres (Hausdorff), the rest within LOOSE."""


@dataclass(frozen=True)
class LineDifference:
    """A line that two versions of a sample do not share.

    Args:
        sample_token: The sample.
        class_name: Class of the line.
        kind: ``only first``, ``only second``, ``moved`` (beyond 1 cm), ``closedness`` or, for directed
            lines, ``reversed``.
        distance: Hausdorff distance in metres; inf for a line that only one has.
    """

    sample_token: str
    class_name: str
    kind: str
    distance: float = math.inf


@dataclass
class SampleComparison:
    """Two versions of the same samples.

    Args:
        samples: Samples compared.
        distances: Hausdorff distances of the lines that both have, metres.
        differences: What they do not share.
        changed_poses: Tokens of samples whose poses or cameras differ.
    """

    samples: int = 0
    distances: list[float] = field(default_factory=list)
    differences: list[LineDifference] = field(default_factory=list)
    changed_poses: list[str] = field(default_factory=list)

    @property
    def identical(self) -> bool:
        """Whether nothing beyond 1 cm differs."""
        return not self.differences and not self.changed_poses

    @property
    def equivalent(self) -> bool:
        """Whether both hold the same ground truth by the parity rule of the field's definitions.

        As many lines per sample and class, of them 99 % within 1 cm and all within 10 cm; vertices
        of unions are not stable beyond that across versions of GEOS.
        """
        if self.changed_poses or any(d.kind != "moved" for d in self.differences):
            return False
        within = np.asarray(self.distances) <= TIGHT
        return bool(
            max(self.distances, default=0.0) <= LOOSE and (not len(within) or within.mean() >= TIGHT_SHARE)
        )

    def add(self, first: Mapping[str, Any], second: Mapping[str, Any], classes: Sequence[str]) -> None:
        """Compare two entries of one sample.

        Args:
            first: Entry of a GT cache.
            second: The other.
            classes: Class names.
        """
        self.samples += 1
        token = first["sample_token"]
        if not _same_rig(first, second):
            self.changed_poses.append(token)
        for label, name in enumerate(classes):
            mine, theirs = (
                [line for line in entry["polylines"] if line["label"] == label] for entry in (first, second)
            )
            self._add_class(token, name, mine, theirs)

    def _add_class(self, token: str, name: str, mine: list, theirs: list) -> None:
        distance = hausdorff_matrix(mine, theirs)
        rows, cols = linear_sum_assignment(np.minimum(distance, 10 * SAME_LINE))
        pairs = [(i, j) for i, j in zip(rows, cols, strict=True) if distance[i, j] <= SAME_LINE]
        for i, j in pairs:
            apart = float(distance[i, j])
            self.distances.append(apart)
            if mine[i]["closed"] != theirs[j]["closed"]:
                self.differences.append(LineDifference(token, name, "closedness", apart))
            elif not same_direction(mine[i], theirs[j]):
                self.differences.append(LineDifference(token, name, "reversed", apart))
            elif apart > TIGHT:
                self.differences.append(LineDifference(token, name, "moved", apart))
        lone = [("only first", len(mine) - len(pairs)), ("only second", len(theirs) - len(pairs))]
        for kind, count in lone:
            self.differences += [LineDifference(token, name, kind)] * count


@dataclass
class CacheDifference:
    """Two caches side by side.

    Args:
        metainfo: Key to the two values, where they differ.
        only_first: Tokens of samples that only the first has.
        only_second: Tokens of samples that only the second has.
        comparison: The samples that both have.
    """

    metainfo: dict[str, tuple[Any, Any]]
    only_first: list[str]
    only_second: list[str]
    comparison: SampleComparison

    @property
    def identical(self) -> bool:
        """Whether both hold the same samples with the same lines (within 1 cm) and poses."""
        return not self.only_first and not self.only_second and self.comparison.identical


def hausdorff_matrix(first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Hausdorff distances between two lists of polylines, (n, m) metres."""
    a, b = (np.array([shapely.LineString(line["points"]) for line in lines]) for lines in (first, second))
    if not len(a) or not len(b):
        return np.zeros((len(a), len(b)))
    with np.errstate(invalid="ignore"):  # GEOS divides 0 by 0 on the way; the distance is right
        return shapely.hausdorff_distance(a[:, None], b[None, :])


def same_direction(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two versions of a line run the same way; lines that are not directed always do."""
    if first.get("directed", False) != second.get("directed", False):
        return False
    if not first.get("directed", False):
        return True
    a, b = first["points"], second["points"]
    if first["closed"]:
        return bool(_signed_area(a) * _signed_area(b) >= 0)
    return bool(np.abs(a[[0, -1]] - b[[0, -1]]).sum() <= np.abs(a[[0, -1]] - b[[-1, 0]]).sum())


def diff(first: Mapping[str, Any], second: Mapping[str, Any]) -> CacheDifference:
    """Compare two caches, sample by sample and line by line.

    Args:
        first: A GT cache, as :func:`mapllava.gt_cache.load` gives it; it need not be current.
        second: Another, of the same classes.

    Raises:
        MapLLaVAError: If their frames or classes differ, so that lines have nothing in common.
    """
    a, b = first["metainfo"], second["metainfo"]
    for key in ("frame", "classes"):
        if a[key] != b[key]:
            raise MapLLaVAError(
                f"the first cache has {key} {a[key]}, the second {b[key]}: their lines have nothing in "
                "common to compare; give two caches of one frame and one class list"
            )
    keys = [key for key in a if a[key] != b.get(key)]
    entries_a, entries_b = (_by_token(content["data_list"]) for content in (first, second))
    comparison = SampleComparison()
    for token, entry in entries_a.items():
        if token in entries_b:
            comparison.add(entry, entries_b[token], a["classes"])
    return CacheDifference(
        {key: (a[key], b.get(key)) for key in keys},
        [token for token in entries_a if token not in entries_b],
        [token for token in entries_b if token not in entries_a],
        comparison,
    )


def _by_token(entries: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {entry["sample_token"]: entry for entry in entries}


def _signed_area(ring: np.ndarray) -> float:
    x, y = (ring - ring[0]).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def _same_rig(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    matrices = [(first[key], second[key]) for key in ("lidar2ego", "ego2global")]
    for name, camera in first["cams"].items():
        matrices += [(camera[key], second["cams"][name][key]) for key in ("cam2img", "lidar2cam")]
    return all(np.allclose(mine, theirs, rtol=0, atol=1e-6) for mine, theirs in matrices)
