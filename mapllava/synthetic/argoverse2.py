"""Writes scenes as logs of Argoverse 2's sensor data set: maps, poses, calibrations; where its images go."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from scipy.spatial.transform import Rotation
from shapely.geometry import LineString, Polygon
from shapely.ops import split as cut_apart

from mapllava.errors import MapLLaVAError
from mapllava.files import write_json
from mapllava.geometry.rig_view import CAMERA_AXES
from mapllava.sources.argoverse2.sensor_log import CAMERAS, EGO_HEIGHT, LIDAR, STRIDE
from mapllava.sources.argoverse2.splits import resolve_split
from mapllava.synthetic import rig
from mapllava.synthetic.district import District
from mapllava.synthetic.lane_segments import LaneSegment
from mapllava.synthetic.rig import Sensor, pose, turn
from mapllava.synthetic.roads import Paint
from mapllava.synthetic.scene import Scene, SceneKey

FULL_SIZE = (2048, 1550)
"""(width, height) of a ring camera's images, pixels; those of the front camera stand upright."""
CITY = "SYN"
_NANO = 1000
"""Nanoseconds in the microseconds of a scene's time stamps."""

_MOUNTS = {
    "ring_front_center": (1776.0, 0.0, 0.0, (1.64, 0.0, 1.40), 4),
    "ring_front_right": (1686.0, -45.0, -3.0, (1.55, -0.20, 1.40), 9),
    "ring_front_left": (1688.0, 45.0, -3.0, (1.55, 0.20, 1.40), -3),
    "ring_rear_right": (1689.0, -153.0, 0.0, (1.10, -0.13, 1.42), 12),
    "ring_rear_left": (1684.0, 153.0, 0.0, (1.09, 0.13, 1.42), -10),
    "ring_side_right": (1687.0, -99.0, -3.0, (1.31, -0.28, 1.40), 11),
    "ring_side_left": (1688.0, 99.0, -3.0, (1.31, 0.28, 1.40), -7),
}
"""Of each camera: focal length in pixels at full size, yaw and pitch in degrees (left, up), place in the ego
frame in metres (rounded from a log's calibration), and how many milliseconds before the sweep it fires."""


def check() -> None:
    """Refuse to begin where the files could not be written.

    Raises:
        MapLLaVAError: If the packages of the extra ``av2`` are missing.
    """
    try:
        for name in ("av2.datasets.sensor.splits", "pyarrow.feather"):
            importlib.import_module(name)
    except ImportError as error:
        raise MapLLaVAError(
            f"a city in Argoverse 2's format needs the package av2, which cannot be imported ({error}): "
            "pip install 'mapllava[av2]'"
        ) from error


def num_logs(split: str) -> int:
    """How many logs a split has, and so how many scenes can be written into it."""
    return len(resolve_split(split).scenes)


def log_ids(keys: Sequence[SceneKey]) -> dict[str, str]:
    """Scene name to the id of the log that it becomes: ids of the official splits, evenly picked."""
    found: dict[str, str] = {}
    for name in ("train", "val"):
        official = sorted(resolve_split(name).scenes)
        scenes = [key.name for key in keys if key.split == name]
        found |= {scene: official[i * len(official) // len(scenes)] for i, scene in enumerate(scenes)}
    return found


def ring(key: SceneKey) -> list[Sensor]:
    """The LiDAR and the seven ring cameras of a scene, each log with slightly different calibration."""
    rng, scale = key.rng("ring"), key.image_size[0] / FULL_SIZE[0]
    sensors = [Sensor(LIDAR, pose(np.eye(3), np.array(rig.LIDAR_PLACE)), None, 0.0)]
    for channel, (focal, yaw, pitch, place, lead) in _MOUNTS.items():
        size = key.image_size if channel != CAMERAS[0] else key.image_size[::-1]
        jitter = np.deg2rad(rng.normal(0, 0.3, 3))
        rotation = turn(0.0, -np.deg2rad(pitch), np.deg2rad(yaw)) @ turn(*jitter) @ CAMERA_AXES
        where = np.array([place[0], place[1], place[2] + EGO_HEIGHT]) + rng.normal(0, 0.005, 3)
        length = focal * (1 + rng.normal(0, 0.003)) * scale
        x, y = (np.array(size) - 1) / 2 + rng.normal(0, 3, 2) * scale
        intrinsic = np.array([[length, 0, x], [0, length, y], [0, 0, 1]])
        sensors.append(Sensor(channel, pose(rotation, where), intrinsic, lead / 1000, size))
    return sensors


def write_logs(root: Path, scenes: Sequence[Scene]) -> tuple[list[Scene], Mapping[str, str]]:
    """Write everything of the scenes but their images.

    Args:
        root: Data root.
        scenes: Each becomes a log with a map of its own.

    Returns:
        The scenes with the ring cameras; and of each the log's folder in the root.
    """
    ids, seen, folders = log_ids([scene.key for scene in scenes]), [], {}
    for scene in scenes:
        scene = replace(scene, sensors=ring(scene.key))
        log = ids[scene.key.name]
        folder = root / scene.key.split / log
        write_json(
            folder / "map" / f"log_map_archive_{log}____{CITY}_city_1.json",
            map_document(scene.district),
            indent=None,
        )
        _write_tables(folder, scene)
        seen.append(scene)
        folders[scene.key.name] = f"{scene.key.split}/{log}"
    return seen, folders


def image_path(folders: Mapping[str, str], scene: Scene, channel: str, time: int) -> str:
    """Path of an image relative to the data root."""
    return f"{folders[scene.key.name]}/sensors/cameras/{channel}/{time * _NANO}.jpg"


def map_document(district: District) -> dict[str, Any]:
    """A district as the map file of a log holds it; the ground is the plane z = 0.

    Where traffic keeps left, every lane runs the other way: the published definitions of map elements are
    made for right-hand traffic, and lose lines in any other.
    """
    crossings = [(each.corners[:2], each.corners[2:]) for each in district.crossings]
    areas = hole_free(district.surface)
    segments = [_turned(each) for each in district.segments] if district.left_hand else district.segments
    lanes = {str(i): _lane(i, segment) for i, segment in enumerate(segments)}
    return {
        "lane_segments": lanes,
        "pedestrian_crossings": {
            str(i): {"id": i, "edge1": _points(first), "edge2": _points(second)}
            for i, (first, second) in enumerate(crossings)
        },
        "drivable_areas": {
            str(i): {"id": i, "area_boundary": _points(np.array(area.exterior.coords[:-1]))}
            for i, area in enumerate(areas)
        },
    }


def hole_free(surface: Polygon) -> list[Polygon]:
    """The surface in pieces without holes, which the format cannot say: cut across every hole."""
    pieces = [surface]
    low, high = surface.bounds[1] - 1, surface.bounds[3] + 1
    while any(piece.interiors for piece in pieces):
        whole = [piece for piece in pieces if not piece.interiors]
        for piece in (piece for piece in pieces if piece.interiors):
            middle = Polygon(piece.interiors[0]).representative_point()
            cut = LineString([(middle.x, low), (middle.x, high)])
            whole += [part for part in cut_apart(piece, cut).geoms if part.area > 0]
        pieces = whole
    return [shapely.normalize(piece) for piece in pieces]


def mark(paint: Paint | None) -> str:
    """Argoverse 2's name of a kind of line, such as ``DASHED_WHITE``."""
    if paint is None:
        return "NONE"
    strokes = ("DASHED", "DOUBLE_DASH") if paint.dash else ("SOLID", "DOUBLE_SOLID")
    return f"{strokes[paint.double]}_{'YELLOW' if paint.yellow else 'WHITE'}"


def _turned(segment: LaneSegment) -> LaneSegment:
    """The segment driven the other way."""
    return replace(
        segment,
        left=segment.right[::-1],
        right=segment.left[::-1],
        left_paint=segment.right_paint,
        right_paint=segment.left_paint,
        left_neighbour=segment.right_neighbour,
        right_neighbour=segment.left_neighbour,
        predecessors=segment.successors,
        successors=segment.predecessors,
    )


def _lane(number: int, segment: LaneSegment) -> dict[str, Any]:
    return {
        "id": number,
        "is_intersection": segment.junction,
        "lane_type": "BIKE" if segment.bike else "VEHICLE",
        "left_lane_boundary": _points(segment.left),
        "left_lane_mark_type": mark(segment.left_paint),
        "right_lane_boundary": _points(segment.right),
        "right_lane_mark_type": mark(segment.right_paint),
        "successors": segment.successors,
        "predecessors": segment.predecessors,
        "left_neighbor_id": segment.left_neighbour,
        "right_neighbor_id": segment.right_neighbour,
    }


def _points(line: np.ndarray) -> list[dict[str, float]]:
    return [{"x": round(float(x), 4), "y": round(float(y), 4), "z": 0.0} for x, y in line]


def _write_tables(folder: Path, scene: Scene) -> None:
    """Poses, calibrations, and the sweeps between which the samples lie: every fifth is one."""
    import pandas as pd

    times = scene.times()
    steps = np.arange((len(times) - 1) * STRIDE + 1) / STRIDE
    begin, samples = times[0, 0], np.arange(len(times))
    sweeps = begin + np.interp(steps, samples, times[:, 0] - begin).round().astype(np.int64)
    up = pose(np.eye(3), np.array([0, 0, EGO_HEIGHT]))
    moments = np.unique(np.concatenate([sweeps, times[:, 1:].ravel()]))
    poses = [{"timestamp_ns": time * _NANO, **_se3(scene.pose(time) @ up)} for time in moments.tolist()]
    mounted = [
        {"sensor_name": each.channel, **_se3(np.linalg.inv(up) @ each.sensor2ego)} for each in scene.sensors
    ]
    lenses = [
        _lens(sensor.channel, sensor.intrinsic, sensor.size or scene.key.image_size)
        for sensor in scene.sensors
        if sensor.intrinsic is not None
    ]
    for name, rows in (
        ("city_SE3_egovehicle.feather", poses),
        ("calibration/egovehicle_SE3_sensor.feather", mounted),
        ("calibration/intrinsics.feather", lenses),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows).to_feather(folder / name)
    lidar = folder / "sensors" / "lidar"
    lidar.mkdir(parents=True)
    point = pd.DataFrame({name: np.zeros(1, np.float16) for name in ("x", "y", "z")})
    first = lidar / f"{sweeps[0] * _NANO}.feather"
    point.assign(intensity=np.zeros(1, np.uint8)).to_feather(first)
    for sweep in sweeps[1:].tolist():
        shutil.copyfile(first, lidar / f"{sweep * _NANO}.feather")
    for camera, taken in zip(CAMERAS, times[:, 1:].T.tolist(), strict=True):
        images = folder / "sensors" / "cameras" / camera
        images.mkdir(parents=True)
        for time in taken:  # the names say when: they are there, empty, where nothing is rendered
            (images / f"{time * _NANO}.jpg").touch()


def _se3(matrix: np.ndarray) -> dict[str, float]:
    x, y, z, w = Rotation.from_matrix(matrix[:3, :3]).as_quat().tolist()
    return {
        "qw": w,
        "qx": x,
        "qy": y,
        "qz": z,
        **dict(zip(("tx_m", "ty_m", "tz_m"), matrix[:3, 3].tolist(), strict=True)),
    }


def _lens(channel: str, intrinsic: np.ndarray, size: tuple[int, int]) -> dict[str, Any]:
    (fx, _, cx), (_, fy, cy), _ = intrinsic.tolist()
    lens = {"fx_px": fx, "fy_px": fy, "cx_px": cx, "cy_px": cy, "k1": 0.0, "k2": 0.0, "k3": 0.0}
    return {"sensor_name": channel, **lens, "height_px": size[1], "width_px": size[0]}
