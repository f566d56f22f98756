"""Reading and writing results files of any known kind, in the frame and classes of a GT cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.formats import maptr, submission
from mapllava.evaluation.results_file import (
    COMPACT,
    NO_PREDICTION,
    UNKNOWN,
    MapResults,
    check_fits,
    check_map,
    parse_results,
)
from mapllava.evaluation.results_writer import save_results
from mapllava.files import read_json_object, write_json
from mapllava.geometry.frame_change import change_lines, planar_change
from mapllava.gt_cache.schema import spec_of
from mapllava.structures.frames import ROI, MapSpec

FORWARD = "lidar_forward"
"""MapTracker's frame: origin and heading of LIDAR_TOP, but x forward and y to the left."""

_FORWARD_TO_LIDAR = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
FRAME_OF: dict[str, str] = {"maptr": "lidar", "streammapnet": "ego", "maptracker": FORWARD}
"""The frame in which each foreign kind of file is written."""

KINDS: tuple[str, ...] = ("mapllava", *FRAME_OF)
_MARGIN = 2.0
"""Metres by which a point may leave the ROI; origins of two frames lie a metre apart."""


def detect_kind(body: Mapping[str, Any], name: str) -> str:
    """Tell by its content which kind of results file this is.

    Args:
        body: The JSON object.
        name: How errors call the file.

    Raises:
        MapLLaVAError: If it is none, or StreamMapNet's and MapTracker's cannot be told apart.
    """
    if "format_version" in body:
        return "mapllava"
    if isinstance(body.get("results"), list):
        return "maptr"
    if not isinstance(body.get("results"), Mapping):
        raise MapLLaVAError(
            f"{name} is no results file of {', '.join(KINDS)}: it has no 'results'; give the file that "
            "one of them wrote"
        )
    kind = submission.detect(body)
    if kind is None:
        raise MapLLaVAError(
            f"{name} may be StreamMapNet's (ego frame) or MapTracker's (lidar origin), nothing in it tells "
            "which: say --from streammapnet or --from maptracker"
        )
    return kind


def read_results(path: str | Path, cache: Mapping[str, Any], kind: str | None = None) -> MapResults:
    """Read a results file of any kind.

    Foreign files name neither split nor region: their maps are taken to be of the cache's region,
    which is refused where a point lies clearly outside of it.

    Args:
        path: The file.
        cache: What :func:`mapllava.gt_cache.load` returns: gives frame, classes and poses.
        kind: One of :data:`KINDS`; None tells it by the content.

    Returns:
        The maps, in the cache's frame and class order if the file is a foreign one, as they are if
        it is ours.

    Raises:
        MapLLaVAError: If the file does not fit; names file, key and remedy.
    """
    body = read_json_object(path, "results file")
    name = f"results file '{path}'"
    found = kind or detect_kind(body, name)
    if found not in KINDS:
        raise MapLLaVAError(f"unknown kind of results file {found!r}: use one of {', '.join(KINDS)}")
    if found == "mapllava":
        return parse_results(body, path)
    if not isinstance(body.get("results"), list if found == "maptr" else dict):
        raise MapLLaVAError(
            f"{name} is no results file of {found}: its 'results' has another form; say another --from"
        )
    if found != "maptr" and submission.detect(body) not in (None, found):
        raise MapLLaVAError(
            f"{name} is {submission.detect(body)}'s by its keys, not {found}'s, and the two have different "
            "origins: leave --from out"
        )
    spec = spec_of(cache["metainfo"])
    parse = maptr.parse if found == "maptr" else submission.parse
    entries = {entry["sample_token"]: entry for entry in cache["data_list"]}
    maps = {}
    for token, raw in parse(body, name, spec.classes).items():
        if token not in entries:
            raise MapLLaVAError(
                f"{name}: sample {token} is not in the GT cache (split {cache['metainfo'].get('split')}): "
                "use the cache of the split the file was predicted on"
            )
        maps[token] = _into_cache(raw, found, entries[token], spec, f"{name}, sample {token}")
    return MapResults(spec, UNKNOWN, maps, None, str(path))


def _into_cache(
    raw: Mapping[str, Any], kind: str, entry: Mapping[str, Any], spec: MapSpec, where: str
) -> dict[str, Any]:
    words = maptr if kind == "maptr" else submission
    try:
        checked = check_map(raw, spec.num_classes, words.LINE, words.SCORE)
    except ValueError as error:
        raise MapLLaVAError(f"{where}: {error}; write the file again") from error
    change = between(FRAME_OF[kind], spec.frame, entry)
    checked["points"] = [change_lines(line, change) for line in checked["points"]]
    for k, line in enumerate(checked["points"]):
        outside = ~spec.roi.contains(line, _MARGIN)
        if outside.any():
            x, y = line[int(np.argmax(outside))]
            raise MapLLaVAError(
                f"{where}: {words.LINE.format(k)} has a point at ({x:.1f}, {y:.1f}) m, outside the "
                f"GT cache's region {_bounds(spec.roi)} of its {spec.frame} frame: the file is of another "
                f"region, of another frame than {kind}'s, or not in metres; use a cache of its region, or "
                "say --from"
            )
    return checked


def _bounds(roi: ROI) -> str:
    return f"x {roi.x_min:g}..{roi.x_max:g}, y {roi.y_min:g}..{roi.y_max:g}"


def arrange(results: MapResults, kind: str, cache: Mapping[str, Any]) -> MapResults:
    """The maps that a file of a kind holds, in its order, after checking that they fit the cache.

    MapTR's evaluator pairs by position, so its file gets every sample of the cache in the order of
    time, those without predictions as empty maps. The others get the samples there are.

    Args:
        results: The maps.
        kind: One of :data:`KINDS`.
        cache: Gives samples and times, and split and version where the results name none.

    Returns:
        Maps in the frame of ``results``, of the cache's split and version.

    Raises:
        MapLLaVAError: If the kind is unknown, or results and cache do not fit: frame, region,
            classes, split, version, samples.
    """
    if kind not in KINDS:
        raise MapLLaVAError(f"unknown kind of results file {kind!r}: use one of {', '.join(KINDS)}")
    check_fits(results, cache)
    if kind != "mapllava":
        results.refuse_part(f"files of {kind} cannot say so")
    maps, meta = results.results, cache["metainfo"]
    if kind == "maptr":
        entries = sorted(cache["data_list"], key=lambda entry: entry["timestamp"])
        maps = {e["sample_token"]: maps.get(e["sample_token"], NO_PREDICTION) for e in entries}
    split = meta["split"] if results.split == UNKNOWN else results.split
    return replace(results, results=maps, split=split, version=results.version or meta.get("version"))


def write_results(path: str | Path, results: MapResults, kind: str, cache: Mapping[str, Any]) -> Path:
    """Write maps as a results file of a kind: the samples that :func:`arrange` gives.

    Args:
        path: File to write; its folder is made.
        results: The maps.
        kind: One of :data:`KINDS`.
        cache: Gives poses, and split and version where they are not known.

    Returns:
        The path.

    Raises:
        MapLLaVAError: If results and cache do not fit, or a class has no place in the format.
    """
    arranged = arrange(results, kind, cache)
    if kind == "mapllava":
        return save_results(path, arranged)
    spec = arranged.map_spec
    entries = {entry["sample_token"]: entry for entry in cache["data_list"]}
    maps = [(token, _out_of(lines, kind, entries[token], spec)) for token, lines in arranged.results.items()]
    body = maptr.dump(maps, spec.classes) if kind == "maptr" else submission.dump(maps, spec.classes, kind)
    return write_json(path, body, **COMPACT)


def _out_of(entry: Mapping[str, Any], kind: str, sample: Mapping[str, Any], spec: MapSpec) -> dict[str, Any]:
    change = between(spec.frame, FRAME_OF[kind], sample)
    points = [np.round(change_lines(line, change), 6) for line in entry["points"]]
    return {"points": points, "labels": entry["labels"], "scores": entry["scores"]}


def between(source: str, target: str, entry: Mapping[str, Any]) -> np.ndarray:
    """From one map frame to another at one sample.

    Args:
        source: ``lidar``, ``ego`` or :data:`FORWARD`.
        target: Likewise.
        entry: The sample's entry in a GT cache; gives ``lidar2ego`` and ``ego2global``.

    Returns:
        ``(3, 3)`` for :func:`mapllava.geometry.frame_change.change_lines`.
    """
    first, last = ("lidar" if frame == FORWARD else frame for frame in (source, target))
    change = np.eye(3)
    if first != last:
        change = planar_change(first, last, entry["lidar2ego"], entry["ego2global"])
    if source == FORWARD:
        change = change @ _FORWARD_TO_LIDAR
    if target == FORWARD:
        change = _FORWARD_TO_LIDAR.T @ change
    return change
