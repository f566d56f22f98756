"""Pairing and scoring a results file with a GT cache, with no model at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.functional import Protocol, chamfer_average_precision, get_protocol
from mapllava.evaluation.ground_truth import prepare_ground_truth
from mapllava.evaluation.results_file import MapResults
from mapllava.structures.frames import MapSpec

NO_PREDICTION: dict[str, Any] = {"points": [], "labels": [], "scores": []}
UNKNOWN = "unknown"
"""Split of results whose file names none."""


@dataclass(frozen=True)
class PairedMaps:
    """Predicted and true maps of N samples, in the order of the cache.

    Args:
        spec: What the maps are.
        split: The cache's split.
        protocol: The rules the ground truth was prepared for.
        predictions: N maps with scores.
        ground_truth: N maps.
        scenes: Names of the S scenes.
        groups: (N,) number of each sample's scene.
        num_missing: Samples for which the results hold no map; they count as empty maps.
    """

    spec: MapSpec
    split: str
    protocol: Protocol
    predictions: list[dict[str, Any]]
    ground_truth: list[dict[str, Any]]
    scenes: list[str]
    groups: np.ndarray
    num_missing: int


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
            no sample or samples that the cache does not, or a scene is not in the cache.
    """
    spec = check_fits(results, cache)
    entries = _of_scenes(cache["data_list"], scenes)
    rules = get_protocol(protocol, thresholds)
    truth = [prepare_ground_truth(e["polylines"], rules, e["sample_token"]) for e in entries]
    maps = [
        {"sample_token": e["sample_token"], **results.results.get(e["sample_token"], NO_PREDICTION)}
        for e in entries
    ]
    names = list(dict.fromkeys(_scene(e) for e in entries))
    number = {name: k for k, name in enumerate(names)}
    groups = np.array([number[_scene(e)] for e in entries], dtype=np.int64)
    missing = sum(e["sample_token"] not in results.results for e in entries)
    return PairedMaps(spec, str(cache["metainfo"].get("split")), rules, maps, truth, names, groups, missing)


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
    maps = pair_with_cache(results, cache, protocol, thresholds)
    return chamfer_average_precision(maps.predictions, maps.ground_truth, maps.spec.classes, maps.protocol)


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


def check_fits(results: MapResults, cache: Mapping[str, Any]) -> MapSpec:
    """Check that predicted maps are about what a GT cache holds.

    Args:
        results: What :func:`load_results` returns.
        cache: What :func:`mapllava.gt_cache.load` returns.

    Returns:
        Frame, region and classes of both.

    Raises:
        MapLLaVAError: If the two are about different maps, splits or versions, or the results hold
            no sample or samples that the cache does not.
    """
    meta = cache["metainfo"]
    spec = MapSpec.from_config({key: meta[key] for key in ("frame", "roi", "classes")})
    if spec != results.map_spec:
        raise MapLLaVAError(
            f"{results.name}: it holds maps of {results.map_spec}, but the GT cache holds {spec}: use the "
            "cache whose frame, region and classes the model was trained on"
        )
    if results.split not in (UNKNOWN, meta.get("split", results.split)):
        raise MapLLaVAError(
            f"{results.name}: it was predicted on split {results.split}, the GT cache holds split "
            f"{meta['split']}: use the cache of the same split"
        )
    version = meta.get("version")
    if None not in (results.version, version) and results.version != version:
        raise MapLLaVAError(
            f"{results.name}: it was predicted on version {results.version}, the GT cache holds {version}: "
            "use the cache of the same version"
        )
    foreign = sorted(set(results.results) - {entry["sample_token"] for entry in cache["data_list"]})
    if foreign:
        raise MapLLaVAError(
            f"{results.name}: {len(foreign)} samples (split {results.split}) are not in the GT cache "
            f"(split {meta.get('split')}), the first of them {foreign[0]}: use the cache of the same split"
        )
    if not results.results:
        raise MapLLaVAError(f"{results.name}: it holds no sample at all: predict again")
    return spec


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
