"""The city seen by another car: any number of cameras, each of its own size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mapllava.geometry.rig_view import CAMERA_AXES
from mapllava.structures.rig import Rig, RigCamera, RigSample
from mapllava.synthetic.map_json import token
from mapllava.synthetic.rig import Sensor, pose, turn
from mapllava.synthetic.scene import SceneKey, build_scene


@dataclass(frozen=True)
class CameraPlan:
    """One camera of a car.

    Attributes:
        name: Of the camera.
        size: (width, height), pixels.
        view: Horizontal field of view, degrees.
        yaw: Degrees, from forward to the left.
        pitch: Degrees, positive upwards.
        place: Metres in ``ego``.
    """

    name: str
    size: tuple[int, int]
    view: float
    yaw: float
    pitch: float
    place: tuple[float, float, float]


SEVEN_CAMERAS = (
    CameraPlan("front_wide", (480, 300), 110.0, 0.0, -3.0, (1.9, 0.0, 1.35)),
    CameraPlan("front_narrow", (640, 240), 50.0, 0.0, -1.0, (1.8, 0.1, 1.40)),
    CameraPlan("front_left", (400, 300), 85.0, 60.0, -2.0, (1.6, 0.8, 1.10)),
    CameraPlan("front_right", (400, 300), 85.0, -60.0, -2.0, (1.6, -0.8, 1.10)),
    CameraPlan("back_left", (320, 240), 80.0, 125.0, -2.0, (0.8, 0.9, 1.05)),
    CameraPlan("back_right", (320, 240), 80.0, -125.0, -2.0, (0.8, -0.9, 1.05)),
    CameraPlan("back", (480, 270), 95.0, 180.0, -4.0, (-0.9, 0.0, 1.25)),
)
"""A car of seven cameras of five sizes."""


def city_sample(key: SceneKey, cameras: Sequence[CameraPlan] = SEVEN_CAMERAS, index: int = 0) -> RigSample:
    """Render one moment of a scene of the city as another car's cameras see it.

    Args:
        key: The scene; its map, its drive and its tokens are those that :func:`create_city` writes.
        cameras: Of the car; all fire at once.
        index: Number of the sample in the scene.

    Returns:
        The sample; images are arrays, the world is the scene's own, without a place on earth.
    """
    from mapllava.synthetic.render import SceneRenderer

    scene = build_scene(key)
    time = int(scene.times()[index, 0])
    lidar = scene.sensors[0]
    sensors = [Sensor(plan.name, _pose(plan), _intrinsic(plan), 0.0, plan.size) for plan in cameras]
    other = replace(scene, sensors=[lidar, *sensors])
    renderer = SceneRenderer(other, index, index + 1)
    images = [renderer.image(0, number + 1) for number in range(len(sensors))]
    rig = tuple(RigCamera(plan.name, plan.size, _intrinsic(plan), _pose(plan)) for plan in cameras)
    return RigSample(
        token=token(key.name, "sample", index),
        rig=Rig(rig, lidar.sensor2ego, f"synthetic {key.name}"),
        images=tuple(images),
        scene=key.name,
        timestamp=time,
        ego2global=scene.pose(time),
    )


def _pose(plan: CameraPlan) -> np.ndarray:
    yaw, pitch = np.radians([plan.yaw, plan.pitch])
    return pose(turn(0.0, -pitch, yaw) @ CAMERA_AXES, np.array(plan.place))


def _intrinsic(plan: CameraPlan) -> np.ndarray:
    width, height = plan.size
    focal = width / 2 / np.tan(np.radians(plan.view / 2))
    return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
