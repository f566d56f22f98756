"""Pictures of a GT cache's samples, without a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.apis.album import Album
from mapllava.apis.scene_frames import Frame, draw_frame
from mapllava.files import safe_name
from mapllava.geometry.frame_change import change_lines, to_world
from mapllava.gt_cache.schema import spec_of
from mapllava.structures import MapSpec
from mapllava.visualization import write_picture
from mapllava.visualization.place_on_map import PlacesOnMap, draw_places

_TOKEN = 8


def draw_samples(
    cache: Mapping[str, Any],
    out_dir: str | Path,
    dataroot: str | Path | None = None,
    tokens: Sequence[str] | None = None,
    num: int = 8,
    seed: int = 0,
) -> Iterator[Path]:
    """Draw where samples lie on their maps, then each: the ground truth from above and in the six cameras.

    Args:
        cache: A GT cache, as :func:`mapllava.gt_cache.load` gives it; it need not be current.
        out_dir: Folder of the PNG files; made if missing.
        dataroot: Root with the images; the one that the cache names by default. Without images
            the map is drawn alone.
        tokens: Samples to draw; None chooses ``num`` at random.
        num: Samples to choose; 0 draws the maps alone.
        seed: Seed of the choice.

    Yields:
        Paths of the pictures: ``map_<location>.png`` of each map of a drawn sample (of every map, if none
        is drawn), ``<scene>_<sample token>.png`` of each sample.

    Raises:
        MapLLaVAError: If the cache has no such sample, or a picture cannot be written.
    """
    album, entries = Album(cache, None, dataroot), cache["data_list"]
    names = [] if tokens is None and num == 0 else album.choose(tokens, num, seed)
    place = {entry["sample_token"]: index for index, entry in enumerate(entries)}
    chosen = [place[name] for name in names]
    shown = {entries[index]["location"] for index in chosen} or {entry["location"] for entry in entries}
    for location in sorted(shown):
        yield _draw_map(Path(out_dir) / f"map_{safe_name(location)}.png", cache, location, chosen)
    for number, sample in enumerate(album.samples(names), start=1):
        name = safe_name(f"{sample.meta['scene_name']}_{sample.token}")
        where = f"no. {number} on map_{sample.meta['location']}.png"
        yield write_picture(Path(out_dir) / f"{name}.png", draw_frame(Frame(sample, words=where)))


def _draw_map(path: Path, cache: Mapping[str, Any], location: str, chosen: list[int]) -> Path:
    """One map: the ground truth of a cache laid side by side in the world, and its samples."""
    meta, entries = cache["metainfo"], cache["data_list"]
    spec = spec_of(meta)
    here = [index for index, entry in enumerate(entries) if entry["location"] == location]
    positions = np.array([entries[index]["ego2global"][:2, 3] for index in here], dtype=np.float64)
    lines, labels = _lines_in_world([entries[index] for index in here], positions, spec)
    place = {index: k for k, index in enumerate(here)}
    drawn = [index for index in chosen if index in place]
    names = [
        (chosen.index(k) + 1, f"{entries[k]['scene_name']}  {entries[k]['sample_token'][:_TOKEN]}")
        for k in drawn
    ]
    shown = [place[index] for index in drawn]
    margin = float(np.abs(spec.roi.to_list()).max())
    title = f"{location}   {meta['version']}   split {meta['split']}"
    return draw_places(path, PlacesOnMap(positions, shown, names, lines, labels, spec.classes), title, margin)


def _lines_in_world(
    entries: Sequence[Mapping[str, Any]], positions: np.ndarray, spec: MapSpec
) -> tuple[list[np.ndarray], list[int]]:
    """Lines of enough samples to cover the map: one per square of half the ROI's shorter side."""
    side = min(spec.roi.width, spec.roi.height) / 2
    _, first = np.unique(np.floor(positions / side), axis=0, return_index=True)
    lines, labels = [], []
    for index in first.tolist():
        entry = entries[index]
        change = to_world(spec.frame, entry["lidar2ego"], entry["ego2global"])
        for line in entry["polylines"]:
            lines.append(change_lines(line["points"], change))
            labels.append(line["label"])
    return lines, labels
