"""Pictures of a GT cache's samples, without a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.datasets.map_dataset import read_entry
from mapllava.errors import MapLLaVAError
from mapllava.geometry.frame_change import map_pose
from mapllava.gt_cache.schema import spec_of
from mapllava.structures import MapSpec
from mapllava.visualization import MapLines, camera_views, draw_sample, write_picture
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
    meta, entries = cache["metainfo"], cache["data_list"]
    spec = spec_of(meta)
    chosen = _choose(cache, tokens, num, seed)
    root = Path(dataroot if dataroot is not None else meta["dataroot"])
    shown = {entries[index]["location"] for index in chosen} or {entry["location"] for entry in entries}
    for location in sorted(shown):
        yield _draw_map(Path(out_dir) / f"map_{location}.png", cache, spec, location, chosen)
    for number, index in enumerate(chosen, start=1):
        info = read_entry(entries[index], spec, meta["split"], root)
        name = f"{info['scene_name']}_{info['sample_token']}.png"
        where = f"no. {number} on map_{info['location']}.png"
        yield write_picture(Path(out_dir) / name, _sample_picture(info, spec, where))


def _choose(cache: Mapping[str, Any], tokens: Sequence[str] | None, num: int, seed: int) -> list[int]:
    entries = cache["data_list"]
    if tokens is None:
        if num < 0:
            raise MapLLaVAError(f"num is {num}: it is the number of samples to draw, 0 or more")
        count = min(num, len(entries))
        return np.sort(np.random.default_rng(seed).choice(len(entries), count, replace=False)).tolist()
    index = {entry["sample_token"]: k for k, entry in enumerate(entries)}
    unknown = [token for token in tokens if token not in index]
    if unknown:
        meta = cache["metainfo"]
        raise MapLLaVAError(
            f"split {meta['split']} of {meta['version']} has no sample {', '.join(unknown[:3])} in this cache"
        )
    return [index[token] for token in dict.fromkeys(tokens)]


def _sample_picture(info: Mapping[str, Any], spec: MapSpec, where: str) -> np.ndarray:
    lines = MapLines(
        [line.points for line in info["polylines"]],
        np.array([line.label for line in info["polylines"]], dtype=np.int64),
    )
    meta = {**info, "map_spec": spec.to_config(), "ori_cam2img": info["cam2img"]}
    return draw_sample(meta, camera_views(meta), lines, None, score=where)


def _draw_map(path: Path, cache: Mapping[str, Any], spec: MapSpec, location: str, chosen: list[int]) -> Path:
    """One map: the ground truth of a cache laid side by side in the world, and its samples."""
    meta, entries = cache["metainfo"], cache["data_list"]
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
        pose = map_pose(spec.frame, entry["lidar2ego"], entry["ego2global"])
        x, y = pose[:2, 0] / np.hypot(*pose[:2, 0])
        turn = np.array([[x, y], [-y, x]])  # level, as the ground truth was cut
        for line in entry["polylines"]:
            lines.append(line["points"] @ turn + pose[:2, 3])
            labels.append(line["label"])
    return lines, labels
