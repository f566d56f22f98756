"""Writes scenes as nuScenes tables."""

from __future__ import annotations

import datetime
from typing import Any

from mapllava.synthetic.map_json import token
from mapllava.synthetic.rig import LIDAR, MOUNTS, Sensor, quaternion
from mapllava.synthetic.scene import LOCATIONS, Scene

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
            for c in (LIDAR, *MOUNTS)
        ],
        **{name: [] for name in ("calibrated_sensor", "ego_pose", "log", "scene", "sample", "sample_data")},
    }
    for scene in scenes:
        _add_scene(out, scene)
    logs = {(scene.key.location, token(scene.key.name, "log")): None for scene in scenes}
    out["map"] = [
        {
            "category": "semantic_prior",
            "token": token("map", location),
            "filename": map_mask_path(location),
            "log_tokens": [log for place, log in logs if place == location],
        }
        for location in LOCATIONS
    ]
    return out


def _add_scene(out: dict[str, Records], scene: Scene) -> None:
    name, times, count = scene.key.name, scene.times(), scene.key.num_samples
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
            "nbr_samples": count,
            "first_sample_token": token(name, "sample", 0),
            "last_sample_token": token(name, "sample", count - 1),
            "name": name,
            "description": "synthetic city",
        }
    )
    for sensor in scene.sensors:
        intrinsic = [] if sensor.intrinsic is None else sensor.intrinsic.tolist()
        out["calibrated_sensor"].append(
            {
                "token": token(name, "calibration", sensor.channel),
                "sensor_token": token("sensor", sensor.channel),
                "translation": sensor.sensor2ego[:3, 3].tolist(),
                "rotation": quaternion(sensor.sensor2ego[:3, :3]),
                "camera_intrinsic": intrinsic,
            }
        )
    for index, row in enumerate(times):
        out["sample"].append(
            {
                "token": token(name, "sample", index),
                "timestamp": int(row[0]),
                **_neighbours(scene, "sample", index),
                "scene_token": token(name, "scene"),
            }
        )
        for sensor, time in zip(scene.sensors, row, strict=True):
            _add_capture(out, scene, sensor, index, int(time))


def _neighbours(scene: Scene, kind: str, index: int) -> dict[str, str]:
    name, last = scene.key.name, scene.key.num_samples - 1
    return {
        "prev": token(name, kind, index - 1) if index > 0 else "",
        "next": token(name, kind, index + 1) if index < last else "",
    }


def _add_capture(out: dict[str, Records], scene: Scene, sensor: Sensor, index: int, time: int) -> None:
    name, camera = scene.key.name, sensor.intrinsic is not None
    data, pose = token(name, sensor.channel, index), scene.pose(time)
    width, height = scene.key.image_size if camera else (0, 0)
    rotation, translation = quaternion(pose[:3, :3]), pose[:3, 3].tolist()
    out["ego_pose"].append(
        {"token": data, "timestamp": time, "rotation": rotation, "translation": translation}
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
            **_neighbours(scene, sensor.channel, index),
        }
    )
