"""nuScenes tables as the entries of a GT cache: poses, calibrations and cameras of every key frame."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.geometry.rigid import invert

CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT")
TABLES = ("scene", "log", "sample", "sample_data", "ego_pose", "calibrated_sensor", "sensor")
"""Tables whose content reaches the cache."""

_UNIT = 1e-3
"""How far a quaternion's length may be from 1."""
_DEVKIT_TABLES = (*TABLES, "map", "category", "attribute", "visibility", "instance", "sample_annotation")


class NuScenesTables:
    """The tables of one version, read through the devkit.

    Args:
        dataroot: Root of the data set.
        version: Version folder, e.g. ``v1.0-mini``.

    Raises:
        MapLLaVAError: If the root, the version folder or a table is missing or damaged.
    """

    def __init__(self, dataroot: str | Path, version: str) -> None:
        self.dataroot = Path(dataroot)
        self.version = version
        check_layout(self.dataroot, version)
        from nuscenes.nuscenes import NuScenes

        try:
            self._devkit = NuScenes(version=version, dataroot=str(dataroot), verbose=False)
            self._check_tokens()
            self._scenes = {scene["name"]: scene for scene in self._devkit.scene}
        except AssertionError as error:
            raise MapLLaVAError(
                f"the devkit refuses {self.dataroot}: {error}. Unpack the version's metadata archive again; "
                "its maps/*.png are needed too"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise damaged_tables(self.dataroot / version, error) from error
        if len(self._scenes) < len(self._devkit.scene):
            raise self._damaged("scene", "two scenes have one name")

    def present(self, scene_names: Sequence[str]) -> list[str]:
        """Those of the scenes that this data set holds, in the given order.

        Raises:
            MapLLaVAError: If it holds none.
        """
        found = [name for name in scene_names if name in self._scenes]
        if not found:
            raise MapLLaVAError(
                f"none of the split's {len(scene_names)} scenes is in {self.dataroot / self.version}; of its "
                f"{len(self._scenes)} the first are {', '.join(sorted(self._scenes)[:3])}. "
                "Check --version and --split"
            )
        return found

    def location(self, scene_name: str) -> str:
        """Name of the map that a scene was recorded on."""
        scene = self._scenes[scene_name]
        return self._get("log", scene["log_token"], f"scene {scene_name}")["location"]

    def entries(self, scene_name: str) -> Iterator[dict[str, Any]]:
        """Entries of a scene's key frames in time order, without their polylines.

        Yields:
            Dicts with ``sample_token``, ``scene_token``, ``scene_name``, ``location``,
            ``timestamp`` (µs), ``lidar2ego``, ``ego2global`` (4, 4) and ``cams``.

        Raises:
            MapLLaVAError: If a sample lacks the LiDAR or one of the six cameras, or records are broken.
        """
        try:
            for sample in self._samples(scene_name):
                yield self._entry(self._scenes[scene_name], sample)
        except (ValueError, KeyError, TypeError) as error:
            raise damaged_tables(self.dataroot / self.version, error) from error

    def _samples(self, scene_name: str) -> Iterator[dict[str, Any]]:
        """A scene's key frames along ``next``, which must lead through as many as the scene says, in time."""
        scene, of = self._scenes[scene_name], f"scene {scene_name}"
        token, before = scene["first_sample_token"], None
        for place in range(scene["nbr_samples"]):
            if not token:
                raise self._damaged(
                    "sample", f"{of} ends after {place} of its {scene['nbr_samples']} samples"
                )
            sample = self._get("sample", token, of)
            if sample["scene_token"] != scene["token"]:
                raise self._damaged("sample", f"next leads from {of} to sample {token} of another scene")
            if sample["prev"] != (before["token"] if before else ""):
                raise self._damaged("sample", f"prev of sample {token} of {of} is not the sample before it")
            if before and sample["timestamp"] <= before["timestamp"]:
                raise self._damaged("sample", f"sample {token} of {of} is not later than the one before it")
            yield sample
            token, before = sample["next"], sample
        if token or before is None or before["token"] != scene["last_sample_token"]:
            raise self._damaged(
                "sample", f"{of} does not end with its last of {scene['nbr_samples']} samples"
            )

    def _entry(self, scene: dict[str, Any], sample: dict[str, Any]) -> dict[str, Any]:
        missing = [name for name in ("LIDAR_TOP", *CAMERAS) if name not in sample["data"]]
        if missing:
            raise MapLLaVAError(
                f"sample {sample['token']} of {scene['name']} in {self.dataroot / self.version} has no "
                f"{', '.join(missing)}: the cache needs LIDAR_TOP and six cameras; restore the tables"
            )
        lidar = self._get("sample_data", sample["data"]["LIDAR_TOP"], f"sample {sample['token']}")
        lidar2ego, ego2global, _ = self._poses(lidar)
        return {
            "sample_token": sample["token"],
            "scene_token": scene["token"],
            "scene_name": scene["name"],
            "location": self.location(scene["name"]),
            "timestamp": int(sample["timestamp"]),
            "lidar2ego": lidar2ego,
            "ego2global": ego2global,
            "cams": {
                name: self._camera(
                    self._get("sample_data", sample["data"][name], f"sample {sample['token']}"),
                    lidar2ego,
                    ego2global,
                )
                for name in CAMERAS
            },
        }

    def _camera(self, data: dict[str, Any], lidar2ego: np.ndarray, ego2global: np.ndarray) -> dict[str, Any]:
        """One camera of an entry; ``lidar2cam`` goes through the world, so that ego motion is in it."""
        cam2ego, ego2global_cam, calibration = self._poses(data)
        lidar2global = ego2global @ lidar2ego
        cam2img = np.array(calibration["camera_intrinsic"], dtype=np.float64)
        if cam2img.shape != (3, 3) or not np.isfinite(cam2img).all() or not np.diag(cam2img).all():
            record = f"camera_intrinsic of {calibration['token']} is {calibration['camera_intrinsic']}"
            raise self._damaged("calibrated_sensor", f"{record}, not a camera's 3 x 3")
        if not is_below_root(data["filename"]):
            record = f"filename of {data['token']} is '{data['filename']}'"
            raise self._damaged("sample_data", f"{record}, not a path below the data root")
        return {
            "img_path": data["filename"],
            "cam2img": cam2img,
            "lidar2cam": invert(cam2ego) @ invert(ego2global_cam) @ lidar2global,
            "timestamp": int(data["timestamp"]),
        }

    def _poses(self, data: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Sensor to ego, ego to world at the sensor's time, and the calibration record."""
        of = f"sample_data {data['token']}"
        calibration = self._get("calibrated_sensor", data["calibrated_sensor_token"], of)
        pose = self._get("ego_pose", data["ego_pose_token"], of)
        matrices = []
        for table, record in (("calibrated_sensor", calibration), ("ego_pose", pose)):
            try:
                matrices.append(transform(record))
            except (ValueError, TypeError) as error:
                raise self._damaged(table, f"{record['token']}: {error}") from error
        return matrices[0], matrices[1], calibration

    def _check_tokens(self) -> None:
        """A token names one record of a table; of several the devkit would take the last."""
        for table in TABLES:
            records = getattr(self._devkit, table)
            if len({record["token"] for record in records}) < len(records):
                raise self._damaged(table, "two records have one token")

    def _get(self, table: str, token: str, of: str) -> dict[str, Any]:
        try:
            return self._devkit.get(table, token)
        except KeyError as error:
            raise self._damaged(table, f"no record has the token '{token}', which {of} names") from error

    def _damaged(self, table: str, what: str) -> MapLLaVAError:
        path = self.dataroot / self.version / f"{table}.json"
        return MapLLaVAError(f"{path}: {what}; unpack the version's metadata archive again")


def transform(record: dict[str, Any]) -> np.ndarray:
    """``(4, 4)`` from a record's ``rotation`` (quaternion w, x, y, z) and ``translation`` (metres).

    Raises:
        ValueError: If the rotation is no unit quaternion, or the translation not three finite numbers.
    """
    from pyquaternion import Quaternion

    rotation = np.array(record["rotation"], dtype=np.float64)
    translation = np.array(record["translation"], dtype=np.float64)
    if rotation.shape != (4,) or not abs(np.linalg.norm(rotation) - 1) < _UNIT:
        raise ValueError(f"its rotation is {record['rotation']}, not a quaternion of length 1")
    if translation.shape != (3,) or not np.isfinite(translation).all():
        raise ValueError(f"its translation is {record['translation']}, not three numbers")
    matrix = np.eye(4)
    matrix[:3, :3] = Quaternion(record["rotation"]).rotation_matrix
    matrix[:3, 3] = translation
    return matrix


def is_below_root(path: str) -> bool:
    """Whether a path of the tables is relative and never leads upwards; links may lead where they like."""
    return bool(path) and not path.startswith("/") and ".." not in path.split("/")


def check_layout(dataroot: Path, version: str) -> None:
    """Check that root, version folder, tables and map expansion are there.

    Raises:
        MapLLaVAError: Naming what is missing and where it comes from.
    """
    check_version_folder(dataroot, version, _DEVKIT_TABLES)
    if not (dataroot / "maps" / "expansion").is_dir():
        raise MapLLaVAError(
            f"{dataroot / 'maps' / 'expansion'} is missing: unpack the 'Map expansion' archive (v1.3) of "
            f"nuscenes.org into {dataroot / 'maps'}"
        )


def damaged_tables(folder: Path, error: Exception) -> MapLLaVAError:
    """What to say when tables are there but cannot be read."""
    return MapLLaVAError(
        f"the tables in {folder} are damaged{_unreadable(folder)} ({type(error).__name__}: {error}): "
        "unpack the version's metadata archive again"
    )


def _unreadable(folder: Path) -> str:
    """The tables that are no JSON; the devkit's error does not name them."""
    names = []
    for path in sorted(folder.glob("*.json")):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            names.append(path.name)
    return f", {', '.join(names)} is no JSON" if names else ""


def check_version_folder(dataroot: Path, version: str, tables: Sequence[str]) -> Path:
    """The folder of a version, after a check that root, folder and tables are there.

    Raises:
        MapLLaVAError: Naming what is missing and where it comes from.
    """
    if not dataroot.is_dir():
        raise MapLLaVAError(
            f"data root {dataroot} is not a folder: pass --dataroot the folder that holds {version}/"
        )
    folder = dataroot / version
    if not folder.is_dir():
        versions = sorted(path.parent.name for path in dataroot.glob("*/sample.json"))
        hint = f"versions there: {', '.join(versions)}" if versions else "it holds no version at all"
        raise MapLLaVAError(f"{folder} is missing; {hint}. Pass another --version, or unpack {version} there")
    missing = [name for name in tables if not (folder / f"{name}.json").is_file()]
    if missing:
        raise MapLLaVAError(
            f"{folder} lacks {', '.join(f'{name}.json' for name in missing)}: "
            "unpack the version's metadata archive again"
        )
    return folder
