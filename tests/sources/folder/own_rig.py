"""A good rig of six cameras as ``rig.json`` has it, for tests to write, change and break."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from mapllava.synthetic.rig import LIDAR, draw_rig

SIZE = (320, 180)


def good_rig(size: tuple[int, int] = SIZE) -> dict:
    """Cameras front, front_left, ... of nuScenes' mounting, camera to vehicle as 4 x 4."""
    lidar, *sensors = draw_rig(np.random.default_rng(0), size)
    assert lidar.channel == LIDAR
    cameras = []
    for sensor in sensors:
        k = sensor.intrinsic
        cameras.append(
            {
                "name": sensor.channel.removeprefix("CAM_").lower(),
                "width": size[0],
                "height": size[1],
                "fx": k[0, 0],
                "fy": k[1, 1],
                "cx": k[0, 2],
                "cy": k[1, 2],
                "camera_to_vehicle": sensor.sensor2ego.tolist(),
            }
        )
    return {"version": 1, "cameras": cameras, "lidar_to_vehicle": lidar.sensor2ego.tolist()}


def write_rig(folder: Path, rig: dict) -> Path:
    """The folder, with the rig in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rig.json").write_text(json.dumps(rig), encoding="utf-8")
    return folder


def write_images(folder: Path, rig: dict) -> None:
    """An image for each camera, each of another grey."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, camera in enumerate(rig["cameras"]):
        picture = np.full((camera["height"], camera["width"], 3), 20 * number + 40, np.uint8)
        cv2.imwrite(str(folder / f"{camera['name']}.png"), picture)
