"""Ground truth per sample: our vectorisation beside a plain one that rebuilds the map every time.

On the largest map of a data set (a synthetic city of real scale by default) both cut the same poses in
turns, in one process; their lines are matched one to one. Wall-clock and processor time are given, because
another program on the machine slows the former only. Then the whole cache is built with 1 and 2 processes,
and so are two scenes of each map, which is nearly all start: reading tables and maps. Last, the peak memory
of cutting and of building is taken at two numbers of samples. Run it from the repository's root::

    python benchmarks/gt_cache.py                                  # makes a city, about 5 minutes
    python benchmarks/gt_cache.py --scenes 40 --samples 50 --naive 5    # smaller and quicker
    python benchmarks/gt_cache.py --dataroot data/nuscenes --version v1.0-trainval --out gt_cache.json
    python benchmarks/gt_cache.py --lines-only                     # without processes and memory
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import MEMORY_COLUMNS, finish, memory_rows, parser, peak_mib, say, show_table
from naive_vectorisation import NaiveMap
from scipy.optimize import linear_sum_assignment
from shapely import LineString

from mapllava import gt_cache
from mapllava.cli.exit_status import exit_status
from mapllava.files import write_json
from mapllava.sources.nuscenes.map_layers import MapLayers
from mapllava.sources.nuscenes.tables import NuScenesTables
from mapllava.structures import MapSpec
from mapllava.synthetic import create_city

GOAL_MS, FACTOR = 3.0, 40.0
SAME = 0.1
"""Metres (Hausdorff) within which two lines are the same; vertices differ in the last bit of the yaw."""
LAYERS = ("road_segment", "lane", "ped_crossing", "road_divider", "lane_divider")

MEMORY_OF_LINES = """
import sys
import numpy as np
from mapllava.sources.nuscenes.map_layers import MapLayers
from mapllava.structures import MapSpec
layers, poses = MapLayers.load(sys.argv[1], sys.argv[2]), np.load(sys.argv[3])
for index in range(int(sys.argv[4])):
    layers.polylines(poses[index % len(poses)], MapSpec())
"""
MEMORY_OF_BUILD = """
import sys
from mapllava import gt_cache
gt_cache.build(*sys.argv[1:5])
"""


def largest_map(dataroot: Path) -> tuple[str, dict[str, int]]:
    """Location with the most records, and the number of records of each layer that counts."""
    counts = {}
    for path in sorted((dataroot / "maps" / "expansion").glob("*.json")):
        tables = json.loads(path.read_text(encoding="utf-8"))
        counts[path.stem] = {name: len(tables[name]) for name in LAYERS}
    location = max(counts, key=lambda name: sum(counts[name].values()))
    return location, counts[location]


def poses_of(dataroot: Path, version: str, location: str) -> np.ndarray:
    """``(S, 4, 4)``: LiDAR to world of all key frames on a map."""
    tables = NuScenesTables(dataroot, version)
    names = [scene["name"] for scene in json.loads((dataroot / version / "scene.json").read_text())]
    entries = [e for name in names if tables.location(name) == location for e in tables.entries(name)]
    return np.stack([entry["ego2global"] @ entry["lidar2ego"] for entry in entries])


def timed(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """Result, wall-clock and processor seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def check_same(ours: list[tuple[str, np.ndarray]], theirs: list[tuple[str, np.ndarray]]) -> float:
    """Match two sets of lines one to one, class by class; the largest distance of a pair, metres.

    Raises:
        RuntimeError: If the sets differ in number, or a line has no counterpart of its own.
    """
    worst = 0.0
    for name in sorted({name for name, _ in ours + theirs}):
        a, b = ([LineString(points) for kind, points in lines if kind == name] for lines in (ours, theirs))
        if len(a) != len(b):
            raise RuntimeError(f"{name}: {len(a)} lines here, {len(b)} by the plain way")
        distance = np.array([[line.hausdorff_distance(other) for other in b] for line in a])
        worst = max(worst, float(distance[linear_sum_assignment(distance)].max()))
    if worst > SAME:
        raise RuntimeError(f"a line differs by {worst:.3f} m from the plain way")
    return worst


def measure_lines(dataroot: Path, location: str, poses: np.ndarray, naive_count: int) -> dict[str, Any]:
    """Milliseconds per sample of both ways, and whether their lines are the same."""
    layers, load_wall, load_cpu = timed(lambda: MapLayers.load(dataroot, location))
    naive = NaiveMap(dataroot / "maps" / "expansion" / f"{location}.json")
    spec = MapSpec()
    ours, plain = [], []
    worst, lines = 0.0, 0
    every = max(1, len(poses) // naive_count)
    for index, pose in enumerate(poses):
        polylines, *spent = timed(lambda pose=pose: layers.polylines(pose, spec))
        ours.append(spent)
        lines += len(polylines)
        if index % every == 0:
            reference, *spent = timed(lambda pose=pose: naive.vectors(pose))
            plain.append(spent)
            worst = max(worst, check_same([(spec.classes[p.label], p.points) for p in polylines], reference))
    mine, other = (1e3 * np.array(values).mean(axis=0) for values in (ours, plain))
    slow = 1e3 * np.percentile(ours, 99, axis=0)[1]
    return {
        "samples": len(poses),
        "naive_samples": len(plain),
        "lines_per_sample": lines / len(poses),
        "largest_difference_m": worst,
        "ms_per_sample": {
            "wall": mine[0],
            "cpu": mine[1],
            "cpu_p99": slow,
        },
        "naive_ms_per_sample": {"wall": other[0], "cpu": other[1]},
        "times_faster": {"wall": other[0] / mine[0], "cpu": other[1] / mine[1]},
        "map_load_seconds": {"wall": load_wall, "cpu": load_cpu},
    }


def split_file(dataroot: Path, version: str, folder: Path) -> tuple[dict[str, str], int]:
    """Split arguments of all scenes, of a quarter, and of two of each map side by side; number of scenes."""
    names = [scene["name"] for scene in json.loads((dataroot / version / "scene.json").read_text())]
    tables = NuScenesTables(dataroot, version)
    by_map: dict[str, list[str]] = {}
    for name in names:
        by_map.setdefault(tables.location(name), []).append(name)
    start = [name for scenes in by_map.values() for name in scenes[:2]]
    lists = {"all": names, "quarter": names[: max(1, len(names) // 4)], "start": start}
    path = write_json(folder / "lists.json", lists)
    return {key: f"{path}:{key}" for key in lists}, len(names)


def measure_workers(dataroot: Path, version: str, splits: dict[str, str], folder: Path) -> dict[str, Any]:
    """Seconds of building with 1 and 2 processes, children included; how many times faster 2 are.

    ``start`` is what two scenes of each map take: the tables are read once and every process reads the
    maps for itself, however many samples follow. ``work`` is the whole without it.
    """
    out: dict[str, Any] = {}
    for workers in (1, 2):
        spent = {}
        for part, split in (("start", splits["start"]), ("whole", splits["all"])):
            before = os.times()
            gt_cache.build(dataroot, version, split, folder / f"{part}{workers}", workers=workers)
            used = np.array(os.times()) - np.array(before)
            spent[part] = {"wall": float(used[4]), "cpu": float(used[:4].sum())}
        spent["work"] = {clock: spent["whole"][clock] - spent["start"][clock] for clock in ("wall", "cpu")}
        out[str(workers)] = spent
    wall = {part: [out[n][part]["wall"] for n in ("1", "2")] for part in ("start", "work", "whole")}
    return {**out, "speedup_wall": {part: one / max(two, 1e-9) for part, (one, two) in wall.items()}}


def measure_memory(
    dataroot: Path, version: str, location: str, poses: np.ndarray, splits: dict[str, str], folder: Path
) -> dict[str, Any]:
    """Peak MiB of cutting lines and of building a cache in one process, at two numbers of samples."""
    np.save(folder / "poses.npy", poses)
    out: dict[str, Any] = {"cutting lines": {}, "building a cache": {}}
    for count in (len(poses), 4 * len(poses)):
        out["cutting lines"][str(count)] = peak_mib(
            MEMORY_OF_LINES, dataroot, location, folder / "poses.npy", count
        )
    for name in ("quarter", "all"):
        target = folder / name
        peak = peak_mib(MEMORY_OF_BUILD, dataroot, version, splits[name], target)
        samples = gt_cache.load(next(target.glob("*.pkl")))["metainfo"]["num_samples"]
        out["building a cache"][str(samples)] = peak
    return out


def show(result: dict[str, Any]) -> None:
    """Print the tables."""
    records = ", ".join(f"{name} {count:,}" for name, count in result["records"].items())
    say(f"{result['location']}: {sum(result['records'].values()):,} records: {records}")
    lines = result["vectorisation"]
    mine, plain, ratio = lines["ms_per_sample"], lines["naive_ms_per_sample"], lines["times_faster"]
    rows = [
        ["ours", f"{mine['wall']:.2f}", f"{mine['cpu']:.2f} (p99 {mine['cpu_p99']:.2f})"],
        ["plain", f"{plain['wall']:.1f}", f"{plain['cpu']:.1f}"],
        ["times faster", f"{ratio['wall']:.1f}", f"{ratio['cpu']:.1f}"],
    ]
    show_table("Vectorisation, one process, ms per sample", ["", "wall", "processor"], rows)
    verdict = "met" if mine["cpu"] <= GOAL_MS and ratio["cpu"] >= FACTOR else "missed"
    say(f"goal: <= {GOAL_MS:g} ms and >= {FACTOR:g} times faster (processor time): {verdict}")
    say(
        f"same lines one to one in {lines['naive_samples']} of {lines['samples']} samples compared "
        f"(largest difference {lines['largest_difference_m']:.2g} m), "
        f"{lines['lines_per_sample']:.1f} a sample"
    )
    if "workers" in result:
        show_workers(result["workers"], result["scenes"])
        show_table("Memory, one process", MEMORY_COLUMNS, memory_rows(result["peak_mib"]))


def show_workers(workers: dict[str, Any], scenes: int) -> None:
    """Print the times with 1 and 2 processes; what the start takes is apart."""
    names = {"start": "start: two scenes of each map", "work": "the other scenes", "whole": "whole"}
    rows = []
    for part, name in names.items():
        row = [f"{workers[n][part]['wall']:.1f} ({workers[n][part]['cpu']:.1f})" for n in ("1", "2")]
        rows.append([name, *row, f"{workers['speedup_wall'][part]:.2f}"])
    columns = ["", "--workers 1", "--workers 2", "times faster, wall"]
    show_table(f"Cache of {scenes} scenes, seconds: wall (processor)", columns, rows)


def parse() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__)
    made.add_argument("--dataroot", type=Path, help="a data set instead of a synthetic city")
    made.add_argument("--version", default="v1.0-trainval", help="version folder (default: %(default)s)")
    made.add_argument("--scenes", type=int, default=170, help="scenes of the city (default: %(default)s)")
    made.add_argument("--samples", type=int, default=200, help="timed poses (default: %(default)s)")
    made.add_argument("--naive", type=int, default=25, help="of them by the plain way (default: %(default)s)")
    made.add_argument("--lines-only", action="store_true", help="leave out processes and memory")
    return made.parse_args()


def main() -> None:
    """Measure, print, and write the result if asked."""
    args = parse()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = args.dataroot or folder / "city"
        if args.dataroot is None:
            create_city(root, args.version, args.scenes, 0, image_size=(64, 36), images=False, workers=1)
        location, records = largest_map(root)
        poses = poses_of(root, args.version, location)
        chosen = poses[np.linspace(0, len(poses) - 1, min(args.samples, len(poses))).astype(int)]
        result: dict[str, Any] = {"location": location, "records": records}
        result["vectorisation"] = measure_lines(root, location, chosen, args.naive)
        if not args.lines_only:
            splits, result["scenes"] = split_file(root, args.version, folder)
            result["workers"] = measure_workers(root, args.version, splits, folder)
            result["peak_mib"] = measure_memory(root, args.version, location, chosen, splits, folder)
    show(result)
    finish(args.out, result, "shapely", "numpy")


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
