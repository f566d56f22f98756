"""Scoring a results file against a GT cache, with no model at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.functional import Protocol, chamfer_average_precision, get_protocol
from mapllava.evaluation.ground_truth import prepare_ground_truth
from mapllava.evaluation.results_file import MapResults
from mapllava.structures.frames import MapSpec

NO_PREDICTION: dict[str, Any] = {"points": [], "labels": [], "scores": []}


def score_results(
    results: MapResults,
    cache: Mapping[str, Any],
    protocol: str | Protocol = "maptr",
    thresholds: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Score predicted maps on every sample of a GT cache.

    Samples are paired by token; one without predictions counts as an empty map.

    Args:
        results: What :func:`load_results` returns.
        cache: What :func:`mapllava.gt_cache.load` returns.
        protocol: Name of a protocol, or one of your own.
        thresholds: Metres; None takes the protocol's.

    Returns:
        As :func:`chamfer_average_precision`.

    Raises:
        MapLLaVAError: If the two are about different maps, or the results hold samples that the
            cache does not.
    """
    meta = cache["metainfo"]
    spec = MapSpec.from_config({key: meta[key] for key in ("frame", "roi", "classes")})
    if spec != results.map_spec:
        raise MapLLaVAError(f"the results hold maps of {results.map_spec}, but the GT cache holds {spec}")
    tokens = [entry["sample_token"] for entry in cache["data_list"]]
    foreign = sorted(set(results.results) - set(tokens))
    if foreign:
        raise MapLLaVAError(
            f"{len(foreign)} samples of the results (split {results.split}) are not in the GT cache "
            f"(split {meta.get('split')}), the first of them {foreign[0]}: use the cache of the same split"
        )
    rules = get_protocol(protocol, thresholds)
    truth = [prepare_ground_truth(e["polylines"], rules, e["sample_token"]) for e in cache["data_list"]]
    maps = [{"sample_token": token, **results.results.get(token, NO_PREDICTION)} for token in tokens]
    return chamfer_average_precision(maps, truth, spec.classes, rules)
