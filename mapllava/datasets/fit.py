"""Whether the samples of a data set fit a model, which a GT cache alone cannot tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from mapllava.datasets.transforms.resample import ResamplePolylines
from mapllava.finding import FAIL, WARN, Finding
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_elements import Polyline

MOUNTING_TOLERANCE = 0.3
"""Metres by which the LiDAR may be mounted higher or lower than the model assumes."""


def crowded(entries: Iterable[Mapping[str, Any]], map_spec: MapSpec, limit: int) -> str:
    """Say how many samples have more elements than a model can predict.

    Args:
        entries: As the GT cache stores them.
        map_spec: Of the cache.
        limit: The most elements that the model predicts.

    Returns:
        One sentence that names the sample with the most; empty if all fit.
    """
    resample, total = ResamplePolylines(), 0
    over: dict[str, int] = {}
    for entry in entries:
        total += 1
        if len(entry["polylines"]) > limit:
            lines = [Polyline.from_dict(line) for line in entry["polylines"]]
            count = len(resample({"map_spec": map_spec, "polylines": lines})["gt_labels"])
            if count > limit:
                over[entry["sample_token"]] = count
    if not over:
        return ""
    worst = max(over, key=over.__getitem__)
    return (
        f"{len(over):,} of {total:,} samples have more than {limit} elements, at most {over[worst]} "
        f"(sample {worst}): the model predicts no more than {limit}, the rest is left out"
    )


def misfits(
    entries: Callable[[], Iterable[Mapping[str, Any]]],
    map_spec: MapSpec,
    limits: Iterable[Any],
    ground: float | None,
) -> Iterator[Finding]:
    """Find more elements than a model predicts, and a LiDAR at another height than the model assumes.

    Args:
        entries: Gives them as the GT cache stores them.
        map_spec: Of the cache.
        limits: How many elements the parts of the model can predict; None for a part without a limit.
        ground: The ground's z in the ``lidar`` frame that the model was built with, metres, if any.

    Yields:
        A warning named ``elements``, a failure named ``LiDAR``.
    """
    known = [limit for limit in limits if isinstance(limit, int)]
    many = crowded(entries(), map_spec, min(known)) if known else ""
    if many:
        remedy = "raise model.map_queries.num_instances and model.head.max_predictions"
        yield Finding("elements", WARN, many, remedy)
    high = mounted_elsewhere(entries(), ground) if ground is not None and map_spec.frame == "lidar" else ""
    if high:
        yield Finding("LiDAR", FAIL, high, "set model.neck.heights.ground.lidar to the rig's")


def mounted_elsewhere(entries: Iterable[Mapping[str, Any]], ground: float) -> str:
    """Say whether the LiDAR is mounted at another height than a model of the ``lidar`` frame assumes.

    Args:
        entries: As the GT cache stores them.
        ground: The ground's z in the ``lidar`` frame that the model was built with, metres.

    Returns:
        One sentence that names the sample farthest off; empty if all fit.
    """
    found = [(float(entry["lidar2ego"][2][3]), entry["sample_token"]) for entry in entries]
    height, token = max(found, key=lambda each: abs(each[0] + ground), default=(-ground, ""))
    if abs(height + ground) <= MOUNTING_TOLERANCE:
        return ""
    return (
        f"the LiDAR of sample {token} is mounted {height:.2f} m above the ground (the ego frame's z = 0), "
        f"the model takes the ground for z = {ground:g} m of the LiDAR's frame"
    )
