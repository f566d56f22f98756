"""Writes scenes as nuScenes tables."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

from mapllava.synthetic.map_json import token
from mapllava.synthetic.rig import LIDAR, MOUNTS, Sensor, quaternion
from mapllava.synthetic.scene import LOCATIONS, Scene

CHANNELS = (LIDAR, *MOUNTS)
LIDAR_FILE = "samples/LIDAR_TOP/placeholder.pcd.bin"
"""The one LiDAR file all samples point at: five float32 zeros, a single point."""

Records = list[dict[str, Any]]


def image_path(scene: Scene, channel: str, time: int) -> str:
    """Path of an image relative to the data root."""
    return f"samples/{channel}/{scene.log_name}__{channel}__{time}.jpg"


def map_mask_path(location: str) -> str:
    """Path of a location's base map relative to the data root."""
    return f"maps/{token('mask', location)}.png"


def tables(scenes: list[Scene]) -> dict[str, Records]:
    """All thirteen tables of a nuScenes version folder: table name to records."""
    out: dict[str, Records] = {
        "category": [{"token": token("category"), "name": "vehicle.car", "description": "", "index": 1}],
        "attribute": [{"token": token("attribute"), "name": "vehicle.moving", "description": ""}],
        "visibility": [{"token": "4", "level": "v80-100", "description": "visibility of whole object"}],
        "instance": [],
        "sample_annotation": [],
        "sensor": [
            {"token": token("sensor", c), "channel": c, "modality": "lidar" if c == LIDAR else "camera"}
            for c in CHANNELS
        ],
        **{name: [] for name in ("calibrated_sensor", "ego_pose", "log", "scene", "sample", "sample_data")},
    }
    for scene in scenes:
        _add_scene(out, scene)
    out["map"] = [_map_record(location, scenes) for location in LOCATIONS]
    return out


def _map_record(location: str, scenes: list[Scene]) -> dict[str, Any]:
    logs = [token(scene.key.name, "log") for scene in scenes if scene.key.location == location]
    return {
        "category": "semantic_prior",
        "token": token("map", location),
        "filename": map_mask_path(location),
        "log_tokens": logs,
    }


def _add_scene(out: dict[str, Records], scene: Scene) -> None:
    name, times = scene.key.name, scene.times()
    day = datetime.datetime.fromtimestamp(int(times[0, 0]) / 1e6, tz=datetime.UTC).date()
    out["log"].append(
        {
            "token": token(name, "log"),
            "logfile": scene.log_name,
            "vehicle": "synthetic",
            "date_captured": str(day),
            "location": scene.key.location,
        }
    )
    out["scene"].append(
        {
            "token": token(name, "scene"),
            "log_token": token(name, "log"),
            "nbr_samples": scene.key.num_samples,
            "first_sample_token": token(name, "sample", 0),
            "last_sample_token": token(name, "sample", scene.key.num_samples - 1),
            "name": name,
            "description": "synthetic city",
        }
    )
    out["calibrated_sensor"] += [_calibration(name, sensor) for sensor in scene.sensors]
    for index, row in enumerate(times):
        out["sample"].append(
            {
                "token": token(name, "sample", index),
                "timestamp": int(row[0]),
                "prev": _neighbour(name, "sample", index - 1, len(times)),
                "next": _neighbour(name, "sample", index + 1, len(times)),
                "scene_token": token(name, "scene"),
            }
        )
        for sensor, time in zip(scene.sensors, row, strict=True):
            _add_capture(out, scene, sensor, index, int(time))


def _neighbour(name: str, kind: str, index: int, count: int) -> str:
    return token(name, kind, index) if 0 <= index < count else ""


def _calibration(name: str, sensor: Sensor) -> dict[str, Any]:
    return {
        "token": token(name, "calibration", sensor.channel),
        "sensor_token": token("sensor", sensor.channel),
        "translation": _numbers(sensor.sensor2ego[:3, 3]),
        "rotation": quaternion(sensor.sensor2ego[:3, :3]),
        "camera_intrinsic": [] if sensor.intrinsic is None else [_numbers(row) for row in sensor.intrinsic],
    }


def _numbers(values: np.ndarray) -> list[float]:
    return [float(value) for value in values]


def _add_capture(out: dict[str, Records], scene: Scene, sensor: Sensor, index: int, time: int) -> None:
    name, camera = scene.key.name, sensor.intrinsic is not None
    data, pose = token(name, sensor.channel, index), scene.pose(time)
    width, height = scene.key.image_size if camera else (0, 0)
    out["ego_pose"].append(
        {
            "token": data,
            "timestamp": time,
            "rotation": quaternion(pose[:3, :3]),
            "translation": _numbers(pose[:3, 3]),
        }
    )
    out["sample_data"].append(
        {
            "token": data,
            "sample_token": token(name, "sample", index),
            "ego_pose_token": data,
            "calibrated_sensor_token": token(name, "calibration", sensor.channel),
            "timestamp": time,
            "fileformat": "jpg" if camera else "pcd",
            "is_key_frame": True,
            "height": height,
            "width": width,
            "filename": image_path(scene, sensor.channel, time) if camera else LIDAR_FILE,
            "prev": _neighbour(name, sensor.channel, index - 1, scene.key.num_samples),
            "next": _neighbour(name, sensor.channel, index + 1, scene.key.num_samples),
        }
    )
