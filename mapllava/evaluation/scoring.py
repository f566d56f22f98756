"""Scoring predicted maps against a GT cache: the AP, further measures, intervals, and a comparison of two."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from rich.console import Console
from rich.progress import track

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.functional import (
    Matches,
    Protocol,
    best_f1,
    bootstrap_ap,
    bootstrap_interval,
    calibration_error,
    draw_groups,
    get_protocol,
    match_maps,
    matched_chamfer,
    raster_iou,
    score_of,
)
from mapllava.evaluation.results_file import NO_PREDICTION, MapResults, check_fits
from mapllava.progress import busy
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_elements import Polyline

MEASURES: tuple[str, ...] = ("chamfer", "f1", "ece", "iou")
"""Chamfer of matched pairs, precision and recall at the best F1, calibration error, raster IoU."""

DEFAULT_DRAWS = 1000
"""Draws of a bootstrap where nobody says how many."""


def data_name(split: str, version: str | None) -> str:
    """What stands beside a score: ``val of v1.0-trainval``; the split alone where no version is known."""
    return f"{split} of {version}" if version else split


@dataclass(frozen=True)
class PairedMaps:
    """Predicted and true maps of N samples, in the order of the cache.

    Args:
        spec: What the maps are.
        split: The cache's split.
        protocol: The rules the ground truth was prepared for.
        predictions: N maps with scores.
        ground_truth: N maps.
        scene_of: The scene's name of each of the N samples.
        num_missing: Samples for which the results hold no map; they count as empty maps.
        version: The cache's version, for Argoverse 2 the definition of its lines; None if not known.
    """

    spec: MapSpec
    split: str
    protocol: Protocol
    predictions: list[dict[str, Any]]
    ground_truth: list[dict[str, Any]]
    scene_of: list[str]
    num_missing: int = 0
    version: str | None = None

    @property
    def data(self) -> str:
        """Split and version, as :func:`data_name` writes them."""
        return data_name(self.split, self.version)

    @property
    def scenes(self) -> list[str]:
        """Names of the S scenes."""
        return list(dict.fromkeys(self.scene_of))

    @property
    def groups(self) -> np.ndarray:
        """(N,) int64 number of each sample's scene, below S."""
        number = {name: k for k, name in enumerate(self.scenes)}
        return np.array([number[name] for name in self.scene_of], dtype=np.int64)


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


def prepare_ground_truth(
    polylines: Iterable[Polyline | Mapping[str, Any]], protocol: Protocol, sample_token: str
) -> dict[str, Any]:
    """Turn the raw lines of a sample into what the score compares with.

    Args:
        polylines: The lines as the GT cache stores them, or as :class:`Polyline`.
        protocol: Says whether lines are simplified, and by how many metres.
        sample_token: Named in errors.

    Returns:
        ``sample_token``, ``points`` (list of ``(n, 2)`` float64, metres) and ``labels`` (G,) int64.

    Raises:
        ValueError: If a line is not valid; names the sample.
    """
    try:
        lines = [line if isinstance(line, Polyline) else Polyline.from_dict(line) for line in polylines]
    except ValueError as error:
        raise ValueError(f"ground truth of sample {sample_token}: {error}") from error
    points = [line.points for line in lines]
    if protocol.simplify and points:
        simple = shapely.simplify([shapely.linestrings(p) for p in points], protocol.simplify)
        points = [shapely.get_coordinates(line) for line in simple]
    labels = np.array([line.label for line in lines], dtype=np.int64)
    return {"sample_token": sample_token, "points": points, "labels": labels}


def pair_with_cache(
    results: MapResults,
    cache: Mapping[str, Any],
    protocol: str | Protocol = "maptr",
    thresholds: Sequence[float] | None = None,
    scenes: Sequence[str] | None = None,
) -> PairedMaps:
    """Pair predicted maps with every sample of a GT cache, by token.

    Args:
        results: What :func:`load_results` returns.
        cache: What :func:`mapllava.gt_cache.load` returns.
        protocol: Name of a protocol, or one of your own.
        thresholds: Metres; None takes the protocol's.
        scenes: Names of the scenes to look at; None takes all of them.

    Raises:
        MapLLaVAError: If the two are about different maps, splits or versions, the results hold
            no sample or samples that the cache does not, a scene is not in the cache, or the maps are cut by
            a prompt.
    """
    spec = check_fits(results, cache)
    results.refuse_part("would be scored against whole ones")
    entries = _of_scenes(cache["data_list"], scenes)
    tokens = [entry["sample_token"] for entry in entries]
    rules = get_protocol(protocol, thresholds)
    return PairedMaps(
        spec,
        str(cache["metainfo"].get("split")),
        rules,
        [{"sample_token": token, **results.results.get(token, NO_PREDICTION)} for token in tokens],
        [
            prepare_ground_truth(entry["polylines"], rules, token)
            for entry, token in zip(entries, tokens, strict=True)
        ],
        [_scene(entry) for entry in entries],
        sum(token not in results.results for token in tokens),
        cache["metainfo"].get("version"),
    )


def score_results(
    results: MapResults,
    cache: Mapping[str, Any],
    protocol: str | Protocol = "maptr",
    thresholds: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Score predicted maps on every sample of a GT cache; a sample without any counts as an empty map.

    Arguments and errors as :func:`pair_with_cache`.

    Returns:
        As :func:`chamfer_average_precision`.
    """
    return evaluate_maps(pair_with_cache(results, cache, protocol, thresholds)).score


def read_scene_names(values: Sequence[str] | None) -> Sequence[str] | None:
    """Scene names as they are given, or those of a JSON file that holds a list of them.

    Raises:
        MapLLaVAError: If the file cannot be read or holds no list.
    """
    if values is None or len(values) > 1 or not values[0].endswith(".json"):
        return values
    try:
        names = json.loads(Path(values[0]).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise MapLLaVAError(f"scene list '{values[0]}' cannot be read: {error}") from error
    if not isinstance(names, list):
        raise MapLLaVAError(f"scene list '{values[0]}' must hold a JSON list of scene names")
    return [str(name) for name in names]


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
    num_scenes = len(maps.scenes)
    if num_draws is None:
        num_draws = DEFAULT_DRAWS if num_scenes > 1 else 0
    if num_draws < 0:
        raise MapLLaVAError(f"{num_draws} draws: a bootstrap takes 0 (none) or more, 1000 is usual")
    if num_draws and num_scenes < 2:
        raise MapLLaVAError(
            f"a bootstrap draws among scenes, but there are {num_scenes}: use more scenes, or "
            "--bootstrap 0 for the score alone"
        )
    with busy("comparing lines", progress):
        matches = match_maps(maps.predictions, maps.ground_truth, maps.spec.classes, maps.protocol)
    out = Evaluation(name, maps, matches, score_of(matches))
    if num_draws:
        with busy("drawing scenes", progress):
            out.draws_ap = bootstrap_ap(matches, maps.groups, draw_groups(num_scenes, num_draws, seed))
    if "chamfer" in measures:
        out.measures["chamfer"] = matched_chamfer(matches)
    if "f1" in measures:
        out.measures["f1"] = _best_f1(matches)
    if "ece" in measures:
        out.measures["ece"] = _calibration(matches, name)
    if "iou" in measures:
        cut = _best_f1(matches)["score"][-1].tolist()
        out.measures["iou"] = _iou(maps, cut, line_width, cell, progress)
    return out


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
    predictions = track(maps.predictions, "drawing", console=Console(stderr=True), disable=not progress)
    try:
        return raster_iou(
            predictions, maps.ground_truth, maps.spec.classes, maps.spec.roi, scores, width, cell
        )
    except ValueError as error:
        raise MapLLaVAError(f"raster IoU: {error}") from error


def _intervals(ap: np.ndarray, draws: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "ap": bootstrap_interval(ap, draws),
        "classes": bootstrap_interval(ap.mean(axis=0), draws.mean(axis=1)),
        "mAP": bootstrap_interval(ap.mean(), draws.mean(axis=(1, 2))),
    }


def _scene(entry: Mapping[str, Any]) -> str:
    return str(entry.get("scene_name", ""))


def _of_scenes(
    entries: Sequence[Mapping[str, Any]], scenes: Sequence[str] | None
) -> Sequence[Mapping[str, Any]]:
    if scenes is None:
        return entries
    known = {_scene(entry) for entry in entries}
    unknown = sorted(set(scenes) - known)
    if unknown or not scenes:
        raise MapLLaVAError(
            f"scenes {unknown} are not in the GT cache: choose among its {len(known)}, for instance "
            f"{', '.join(sorted(known)[:3])}"
        )
    return [entry for entry in entries if _scene(entry) in set(scenes)]
