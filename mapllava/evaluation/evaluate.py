"""Everything that can be said about a results file, and about the difference of two."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.functional import (
    Matches,
    best_f1,
    bootstrap_ap,
    bootstrap_interval,
    calibration_error,
    draw_groups,
    match_maps,
    matched_chamfer,
    raster_iou,
    score_of,
)
from mapllava.evaluation.offline import PairedMaps

MEASURES: tuple[str, ...] = ("chamfer", "f1", "ece", "iou")
"""Chamfer of matched pairs, precision and recall at the best F1, calibration error, raster IoU."""

DEFAULT_DRAWS = 1000
"""Draws of a bootstrap where nobody says how many."""


@dataclass
class Evaluation:
    """What came of one results file, of C classes at T thresholds.

    Args:
        name: How tables call it.
        maps: The pairs it was made from.
        matches: Which prediction found which line.
        score: As :func:`chamfer_average_precision`.
        measures: Name of a measure to its values.
        draws_ap: (N, T, C) AP of the bootstrap's draws, or None.
    """

    name: str
    maps: PairedMaps
    matches: Matches
    score: dict[str, Any]
    measures: dict[str, dict[str, Any]] = field(default_factory=dict)
    draws_ap: np.ndarray | None = None

    def interval(self) -> dict[str, np.ndarray] | None:
        """95 % intervals: ``ap`` (2, T, C), ``classes`` (2, C) and ``mAP`` (2,), within [0, 1]."""
        if self.draws_ap is None:
            return None
        ends = _intervals(self.score["ap"], self.draws_ap)
        return {key: np.clip(value, 0.0, 1.0) for key, value in ends.items()}


@dataclass
class Comparison:
    """The second minus the first evaluation, on the same samples and the same draws.

    Args:
        first: The one compared with.
        second: The one that may be better.
        ap: (T, C) difference of AP.
        interval: 95 % intervals as :meth:`Evaluation.interval`; None without draws.
    """

    first: Evaluation
    second: Evaluation
    ap: np.ndarray
    interval: dict[str, np.ndarray] | None

    @property
    def verdict(self) -> str:
        """One sentence: which is better, or that this set does not show it."""
        gain = 100 * self.ap.mean()
        if self.interval is None:
            return f"{self.second.name}: {gain:+.2f} mAP; without a bootstrap nobody knows if it is chance"
        low, high = 100 * self.interval["mAP"]
        ends = f"95 % interval {low:+.2f} to {high:+.2f}"
        if low > 0 or high < 0:
            better = self.second.name if low > 0 else self.first.name
            return f"{better} is better: difference {gain:+.2f} mAP, {ends}, excludes 0"
        return f"no difference shown: {gain:+.2f} mAP, {ends}, includes 0"


def _intervals(ap: np.ndarray, draws: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "ap": bootstrap_interval(ap, draws),
        "classes": bootstrap_interval(ap.mean(axis=0), draws.mean(axis=1)),
        "mAP": bootstrap_interval(ap.mean(), draws.mean(axis=(1, 2))),
    }


def evaluate_maps(
    maps: PairedMaps,
    name: str = "results",
    measures: Sequence[str] = (),
    num_draws: int | None = 0,
    seed: int = 0,
    line_width: float = 0.75,
    cell: float = 0.15,
    progress: bool = False,
) -> Evaluation:
    """Score paired maps, with further measures and a bootstrap over scenes if they are asked for.

    Args:
        maps: What :func:`pair_with_cache` returns.
        name: How tables call the results.
        measures: Of :data:`MEASURES`.
        num_draws: Draws of the bootstrap; 0 leaves it out, None takes 1,000 where there are two
            scenes or more.
        seed: Of the draws; the same seed pairs two results.
        line_width: Width of drawn lines for ``iou``, metres.
        cell: Cell of the grid for ``iou``, metres.
        progress: Show on the terminal what is being done, with a bar for ``iou``.

    Raises:
        MapLLaVAError: If a measure is unknown, fewer than two scenes are to be drawn from, or
            scores are no probabilities though ``ece`` is asked for.
    """
    unknown = sorted(set(measures) - set(MEASURES))
    if unknown:
        raise MapLLaVAError(f"unknown measures {unknown}: use some of {', '.join(MEASURES)}")
    with busy("comparing lines", progress):
        matches = match_maps(maps.predictions, maps.ground_truth, maps.spec.classes, maps.protocol)
    out = Evaluation(name, maps, matches, score_of(matches))
    if num_draws is None:
        num_draws = DEFAULT_DRAWS if len(maps.scenes) > 1 else 0
    if num_draws < 0:
        raise MapLLaVAError(f"{num_draws} draws: a bootstrap takes 0 (none) or more, 1000 is usual")
    if num_draws:
        if len(maps.scenes) < 2:
            raise MapLLaVAError(
                f"a bootstrap draws among scenes, but there are {len(maps.scenes)}: use more scenes, or "
                "--bootstrap 0 for the score alone"
            )
        draws = draw_groups(len(maps.scenes), num_draws, seed)
        with busy("drawing scenes", progress):
            out.draws_ap = bootstrap_ap(matches, maps.groups, draws)
    if "chamfer" in measures:
        out.measures["chamfer"] = matched_chamfer(matches)
    if {"f1", "iou"} & set(measures):
        out.measures["f1"] = _best_f1(matches)
    if "ece" in measures:
        out.measures["ece"] = _calibration(matches, name)
    if "iou" in measures:
        cut = out.measures["f1"]["score"][-1].tolist()
        out.measures["iou"] = _iou(maps, cut, line_width, cell, progress)
    if "f1" not in measures:
        out.measures.pop("f1", None)
    return out


def busy(text: str, shown: bool) -> AbstractContextManager:
    """A spinner on the terminal with ``text`` beside it, or nothing."""
    return Console(stderr=True).status(text) if shown else nullcontext()


def compare(first: Evaluation, second: Evaluation) -> Comparison:
    """The second minus the first, both evaluated on the same samples with the same seed.

    Raises:
        MapLLaVAError: If they are about different samples, protocols or numbers of draws.
    """
    tokens = [[sample["sample_token"] for sample in e.maps.predictions] for e in (first, second)]
    shapes = [None if e.draws_ap is None else e.draws_ap.shape for e in (first, second)]
    if tokens[0] != tokens[1] or first.maps.protocol != second.maps.protocol or shapes[0] != shapes[1]:
        raise MapLLaVAError(
            f"{first.name} and {second.name} do not pair: compare them on one GT cache, under one protocol, "
            "with the same scenes and draws"
        )
    gain = second.score["ap"] - first.score["ap"]
    if first.draws_ap is None or second.draws_ap is None:
        return Comparison(first, second, gain, None)
    return Comparison(first, second, gain, _intervals(gain, second.draws_ap - first.draws_ap))


def _best_f1(matches: Matches) -> dict[str, Any]:
    """``f1``, ``precision``, ``recall`` and ``score``, each (T, C)."""
    columns = [best_f1(*matches.of_class(c), int(count)) for c, count in enumerate(matches.num_gt)]
    return {key: np.stack([column[key] for column in columns], axis=1) for key in columns[0]}


def _calibration(matches: Matches, name: str) -> dict[str, Any]:
    """``ece`` (T, C), ``all`` (T,) over all classes together, and the bins of all classes together."""
    try:
        whole = calibration_error(matches.scores, matches.found)
    except ValueError as error:
        raise MapLLaVAError(f"{name}: {error}; leave ece out, or write probabilities as scores") from error
    columns = [calibration_error(*matches.of_class(c))["ece"] for c in range(len(matches.class_names))]
    bins = {key: whole[key] for key in ("edges", "count", "mean_score", "share_found")}
    return {"ece": np.stack(columns, axis=1), "all": whole["ece"], **bins}


def _iou(maps: PairedMaps, scores: list[float], width: float, cell: float, progress: bool) -> dict[str, Any]:
    predictions = track(
        maps.predictions,
        "drawing",
        console=Console(stderr=True),
        disable=not progress,
    )
    try:
        return raster_iou(
            predictions, maps.ground_truth, maps.spec.classes, maps.spec.roi, scores, width, cell
        )
    except ValueError as error:
        raise MapLLaVAError(f"raster IoU: {error}") from error
