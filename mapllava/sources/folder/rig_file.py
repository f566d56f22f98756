"""Reads ``rig.json``: the cameras, where their images are, where on earth the world lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.files import read_json_object
from mapllava.geometry.georeference import check_crs, local_crs
from mapllava.geometry.rig_faults import is_rigid
from mapllava.geometry.rigid import ROTATION_TOLERANCE, invert, nearest_rotation, rigid, rotation_error
from mapllava.sources.folder.pose_forms import AXES, camera_pose, distortion_of, intrinsics, pose_matrix
from mapllava.sources.folder.schema_check import check_against_schema
from mapllava.structures.rig import Rig, RigCamera

RIG_FILE = "rig.json"
_STANDS = 0.9  # cosine of the steepest slope that a car stands on, 26 degrees


@dataclass(frozen=True, eq=False)
class RigFile:
    """What a ``rig.json`` says.

    Attributes:
        path: The file.
        rig: The cameras.
        images: File of each camera's image, as written; None where it follows from the name.
        videos: Likewise of its video.
        vehicle2ego: (4, 4) from the vehicle frame of the file to ``ego``, metres.
        world: (4, 4) from the world of ``vehicle_to_world`` to that of ``crs``, metres.
        crs: What x and y of the world are, as pyproj reads it; None if nobody knows.
        heading: Whether the world's heading is written, which a car without poses needs.
    """

    path: Path
    rig: Rig
    images: Mapping[str, str | None]
    videos: Mapping[str, str | None]
    vehicle2ego: np.ndarray
    world: np.ndarray
    crs: str | None
    heading: bool

    def ego2global(self, vehicle_to_world: Any, where: str) -> np.ndarray | None:
        """(4, 4) ``ego`` to the world of ``crs``, metres; None if the car's place is not known.

        Args:
            vehicle_to_world: A pose as written; None if there is none.
            where: File and key, for the message.

        Raises:
            MapLLaVAError: If the pose is not rigid, or the car does not stand on its wheels.
        """
        if vehicle_to_world is None:
            return self.world if self.crs and self.heading else None  # x of ego points to the heading
        try:
            pose = pose_matrix(vehicle_to_world)
        except ValueError as error:
            raise MapLLaVAError(f"{where}: {error}") from error
        if not is_rigid(pose):
            raise MapLLaVAError(
                f"{where} is no rotation with a translation in its last column, or it mirrors; transposed, "
                "in degrees, or of a left-handed frame?"
            )
        ego2global = self.world @ rounded(pose) @ invert(self.vehicle2ego)
        if ego2global[2, 2] < _STANDS:
            tilt = np.degrees(np.arccos(np.clip(ego2global[2, 2], -1, 1)))
            raise MapLLaVAError(
                f"{where} tilts the car by {tilt:.0f} degrees: z of the world points up, and so does a car's "
                "roof; a quaternion is written w, x, y, z (ROS and SciPy have w last); see vehicle_axes too"
            )
        return ego2global

    def moved(self, poses: Mapping[str, Mapping[str, Any]], where: str) -> Rig:
        """The rig with some cameras' poses of another moment.

        Args:
            poses: Camera to ``{camera_to_vehicle: …}`` or ``{vehicle_to_camera: …}``.
            where: File and key, for the message.

        Raises:
            MapLLaVAError: If a camera is not in the rig, or its pose cannot be read.
        """
        unknown = sorted(set(poses) - {camera.name for camera in self.rig.cameras})
        if unknown:
            raise MapLLaVAError(f"{where} names {', '.join(unknown)}, which {self.path.name} does not have")
        cameras = []
        for camera in self.rig.cameras:
            if camera.name in poses:
                try:
                    cam2ego = self.vehicle2ego @ rounded(camera_pose(poses[camera.name]))
                except ValueError as error:
                    raise MapLLaVAError(f"{where}, {camera.name}: {error}") from error
                camera = replace(camera, cam2ego=cam2ego)
            cameras.append(camera)
        return replace(self.rig, cameras=tuple(cameras))


def read_rig_file(path: str | Path) -> RigFile:
    """Read a ``rig.json``. Whether its numbers make sense, :func:`check_rig` looks at.

    Args:
        path: The file, or the folder that holds it.

    Raises:
        MapLLaVAError: If it cannot be read, or does not fit the schema; names file, key and remedy.
    """
    path = Path(path)
    path = path / RIG_FILE if path.is_dir() else path
    if not path.is_file():
        raise MapLLaVAError(
            f"'{path}' is missing: write the cameras into it, after the example that 'mapllava rig export' "
            "writes from a nuScenes data set (the demo's city too)"
        )
    body = check_against_schema(read_json_object(path, "rig file"), path)
    vehicle2ego = rigid(AXES[body.get("vehicle_axes", "forward-left-up")], (0, 0, 0))
    vehicle2ego[2, 3] = -float(body.get("ground_height", 0.0))
    cameras = [
        _camera(camera, vehicle2ego, f"'{path}', cameras[{i}]") for i, camera in enumerate(body["cameras"])
    ]
    names = [camera.name for camera in cameras]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise MapLLaVAError(f"'{path}': two cameras are named {', '.join(twice)}; give each its own name")
    lidar2ego = None
    if "lidar_to_vehicle" in body:
        try:
            lidar2ego = vehicle2ego @ rounded(pose_matrix(body["lidar_to_vehicle"]))
        except ValueError as error:
            raise MapLLaVAError(f"'{path}', lidar_to_vehicle: {error}") from error
    crs, world, heading = _world(body, path)
    return RigFile(
        path,
        Rig(tuple(cameras), lidar2ego, str(path)),
        {camera["name"]: camera.get("image") for camera in body["cameras"]},
        {camera["name"]: camera.get("video") for camera in body["cameras"]},
        vehicle2ego,
        world,
        crs,
        heading,
    )


def rounded(pose: np.ndarray) -> np.ndarray:
    """A pose (4, 4) with the rotation and the last row nearest to its own where it lacks rounding alone."""
    error = rotation_error(pose[:3, :3])
    if np.allclose(pose[3], [0, 0, 0, 1]):
        pose = np.vstack([pose[:3], [0.0, 0, 0, 1]])
    if 0 < error <= ROTATION_TOLERANCE:
        pose = pose.copy()
        pose[:3, :3] = nearest_rotation(pose[:3, :3])
    return pose


def _camera(written: Mapping[str, Any], vehicle2ego: np.ndarray, where: str) -> RigCamera:
    try:
        return RigCamera(
            name=written["name"],
            size=(written["width"], written["height"]),
            cam2img=intrinsics(written),
            cam2ego=vehicle2ego @ rounded(camera_pose(written)),
            distortion=distortion_of(written),
        )
    except ValueError as error:
        raise MapLLaVAError(f"{where} ({written['name']}): {error}") from error


def _world(body: Mapping[str, Any], path: Path) -> tuple[str | None, np.ndarray, bool]:
    """The world's reference system, its turn, and whether its heading is written."""
    if "crs" in body:
        try:
            return check_crs(body["crs"]), np.eye(4), False
        except MapLLaVAError as error:
            raise MapLLaVAError(f"'{path}': {error}") from error
    if "origin" not in body:
        return None, np.eye(4), False
    origin = body["origin"]
    angle = np.deg2rad(90 - origin.get("heading", 90.0))
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    crs = local_crs(origin["latitude"], origin["longitude"])
    return crs, rigid(turn, (0, 0, 0)), "heading" in origin
