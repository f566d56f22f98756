"""Looking for what should not be in ground truth: broken lines, impossible rigs, poses off the road."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from rich.progress import track

from mapllava.finding import FAIL, WARN, Finding
from mapllava.geometry.clip import Window
from mapllava.gt_cache import schema
from mapllava.sources.nuscenes.map_layers import MapLayers
from mapllava.structures.frames import ROI, MapSpec

_OUTSIDE = 0.01  # metres
_SAME_VERTEX = 1e-9
_RIGID = 1e-4
_BESIDE_ROAD = 1.0  # metres around the car in which there must be road
_ROAD_LAYERS = ("road_segment", "lane")


def road_maps(metainfo: Mapping[str, Any]) -> Path | None:
    """The data root that a cache records, if it is there and has maps: :func:`lint` can judge poses by it."""
    root = Path(metainfo["dataroot"])
    return root if metainfo["dataroot"] and (root / "maps" / "expansion").is_dir() else None


def lint(
    cache: Mapping[str, Any], dataroot: str | Path | None = None, progress: bool = False
) -> list[Finding]:
    """Check every sample of a cache.

    Errors: lines of no length, vertices outside the ROI, rotations that are none, intrinsics without
    a focal length, key frames out of order. Warnings: a vertex repeated in place (unions leave such
    vertices now and then; resampling by length does not see them), lines that cross themselves, empty
    samples, and, where the data set is at hand, a car beside the road.

    Args:
        cache: A GT cache, as :func:`mapllava.gt_cache.load` gives it.
        dataroot: Root of the data set; None leaves out what needs its maps (see :func:`road_maps`).
        progress: Show a progress bar on the terminal.

    Returns:
        Findings in the order of the samples.

    Raises:
        MapLLaVAError: If a map cannot be read.
    """
    spec = schema.spec_of(cache["metainfo"])
    checks: list[Callable[[Mapping[str, Any]], Iterator[Finding]]] = [
        lambda entry: _lines(entry, spec), _rig, _Order(),
    ]  # fmt: skip
    if dataroot is not None:
        checks.append(_Roads(str(dataroot)))
    entries = track(cache["data_list"], description="samples", disable=not progress)
    return [finding for entry in entries for check in checks for finding in check(entry)]


def _lines(entry: Mapping[str, Any], spec: MapSpec) -> Iterator[Finding]:
    token = entry["sample_token"]
    if not entry["polylines"]:
        yield Finding("empty sample", WARN, "no line at all", place=token)
    for index, line in enumerate(entry["polylines"]):
        points, name = line["points"], f"line {index} ({spec.classes[line['label']]})"
        steps = np.hypot(*np.diff(points, axis=0).T)
        if steps.sum() <= _SAME_VERTEX:
            yield Finding("zero length", FAIL, f"{name} at {points[0].round(2).tolist()}", place=token)
            continue
        if (steps <= _SAME_VERTEX).any():
            yield Finding("repeated vertex", WARN, f"{name}: vertex {int(np.argmin(steps)) + 1}", place=token)
        inside = spec.roi.contains(points, margin=_OUTSIDE)
        if not inside.all():
            yield Finding(
                "outside the ROI", FAIL, f"{name}: {points[~inside][0].round(2).tolist()} m", place=token
            )
        if not shapely.LineString(points).is_simple:
            yield Finding("crosses itself", WARN, name, place=token)


def _rig(entry: Mapping[str, Any]) -> Iterator[Finding]:
    token = entry["sample_token"]
    transforms = {key: entry[key] for key in ("lidar2ego", "ego2global")}
    transforms |= {f"{name}.lidar2cam": camera["lidar2cam"] for name, camera in entry["cams"].items()}
    for name, matrix in transforms.items():
        rotation = matrix[:3, :3]
        off = np.abs(rotation @ rotation.T - np.eye(3)).max()
        if off > _RIGID or np.linalg.det(rotation) < 0 or not np.array_equal(matrix[3], [0, 0, 0, 1]):
            yield Finding("not a rigid transform", FAIL, f"{name} (off by {off:.2g})", place=token)
    for name, camera in entry["cams"].items():
        if not (camera["cam2img"][[0, 1], [0, 1]] > 0).all() or camera["cam2img"][2, 2] != 1:
            yield Finding(
                "no camera matrix", FAIL, f"{name}.cam2img {camera['cam2img'].tolist()}", place=token
            )


class _Order:
    """Key frames of a scene follow each other in time."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def __call__(self, entry: Mapping[str, Any]) -> Iterator[Finding]:
        scene, when = entry["scene_name"], entry["timestamp"]
        before = self._last.get(scene)
        self._last[scene] = when
        if before is not None and when <= before:
            yield Finding(
                "out of order",
                FAIL,
                f"{scene}: {(before - when) / 1e6:.3f} s back",
                place=entry["sample_token"],
            )


class _Roads:
    """The car stands on a road, or within a metre of one."""

    def __init__(self, dataroot: str) -> None:
        self._load = lru_cache(maxsize=None)(lambda location: MapLayers.load(dataroot, location))
        self._around = ROI(-_BESIDE_ROAD, -_BESIDE_ROAD, _BESIDE_ROAD, _BESIDE_ROAD)

    def __call__(self, entry: Mapping[str, Any]) -> Iterator[Finding]:
        window = Window.from_pose(self._around, entry["ego2global"])
        layers = self._load(entry["location"]).layers
        if not any(len(layers[name].near(window)) for name in _ROAD_LAYERS):
            place = f"{entry['location']} at {window.x:.1f}, {window.y:.1f} m"
            yield Finding("off the road", WARN, place, place=entry["sample_token"])
