"""A sample or a scene of nuScenes as a rig saw it, from the tables and images alone: no devkit, no maps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.geometry.georeference import crs_of_location
from mapllava.geometry.rig_checks import refuse_rig
from mapllava.geometry.rigid import invert
from mapllava.sources.nuscenes.pose_tables import pick_records, read_table
from mapllava.sources.nuscenes.tables import (
    CAMERAS,
    TABLES,
    check_version_folder,
    damaged_tables,
    is_below_root,
    transform,
)
from mapllava.structures.rig import Rig, RigCamera, RigInput, RigSample

_LIDAR = "LIDAR_TOP"
_NOWHERE = "synthetic"
"""The vehicle that the logs of a synthetic city name: its maps bear real cities' names, and lie nowhere."""


def nuscenes_input(
    dataroot: str | Path,
    version: str | None = None,
    sample: str | None = None,
    scene: str | None = None,
    check: bool = True,
    stride: int = 1,
) -> RigInput:
    """One sample, or the samples of a scene.

    The car moves between two exposures: every camera stands in ``cam2ego`` where it was at its own time,
    seen from the car at the time of the LiDAR sweep.

    Args:
        dataroot: Root of the data set.
        version: Version folder; where there is one only, it is found.
        sample: Token of the sample.
        scene: Name or token of the scene, in place of ``sample``.
        check: Whether a rig is refused that cannot be.
        stride: Every how many-th sample of the scene is given.

    Returns:
        The input. Its samples' world is the location's map; ``crs`` says where that lies.

    Raises:
        MapLLaVAError: If the data set has no such sample or scene, or its tables are damaged.
    """
    root = Path(dataroot)
    if (sample is None) == (scene is None):
        raise MapLLaVAError(
            f"'{root}' is a data set: name the sample by its token, or the scene by name or token"
        )
    if stride < 1:
        raise MapLLaVAError(f"stride is {stride}: it counts samples and is at least 1")
    folder = check_version_folder(root, version or _only_version(root), TABLES)
    try:
        opened = _Tables(root, folder).opened(sample, scene, stride)
    except (ValueError, KeyError, TypeError) as error:
        raise damaged_tables(folder, error) from error
    if check:
        refuse_rig(opened.rig)
    return opened


def _only_version(root: Path) -> str:
    found = sorted(path.parent.name for path in root.glob("*/sample_data.json"))
    if len(found) != 1:
        hint = f"it holds {', '.join(found)}: name the version" if found else "it holds no version's tables"
        raise MapLLaVAError(f"data root '{root}': {hint}")
    return found[0]


class _Tables:
    """What of the tables the wanted samples need.

    Args:
        root: Of the data set.
        folder: Of the version.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        self.scenes = {scene["token"]: scene for scene in read_table(folder, "scene")}
        self.logs = {log["token"]: log for log in read_table(folder, "log")}
        self.sensors = {sensor["token"]: sensor for sensor in read_table(folder, "sensor")}
        self.mounts = {mount["token"]: mount for mount in read_table(folder, "calibrated_sensor")}

    def opened(self, sample: str | None, scene: str | None, stride: int) -> RigInput:
        wanted = self._wanted(sample, scene)[::stride]
        tokens = {record["token"] for record in wanted}
        shots = list(
            pick_records(
                self.folder,
                "sample_data",
                lambda r: bool(r["is_key_frame"]) and r["sample_token"] in tokens,
                dict,
            )
        )
        places = {shot["ego_pose_token"] for shot in shots}
        poses = {
            pose["token"]: pose
            for pose in pick_records(self.folder, "ego_pose", lambda r: r["token"] in places, dict)
        }
        by_sample: dict[str, dict[str, Any]] = {token: {} for token in tokens}
        for shot in shots:
            channel = self.sensors[self.mounts[shot["calibrated_sensor_token"]]["sensor_token"]]["channel"]
            by_sample[shot["sample_token"]][channel] = shot
        samples = [self._sample(record, by_sample[record["token"]], poses) for record in wanted]
        name = self.scenes[wanted[0]["scene_token"]]["name"]
        source = f"{self.folder}, " + (f"scene {name}" if sample is None else f"sample {sample}")
        return RigInput(samples[0].rig, source, len(samples), lambda: iter(samples))

    def _wanted(self, sample: str | None, scene: str | None) -> list[dict[str, Any]]:
        """The records of the samples that are asked for, in time order."""
        if sample is not None:
            found = list(pick_records(self.folder, "sample", lambda r: r["token"] == sample, dict))
            if not found:
                raise MapLLaVAError(
                    f"no sample of {self.folder} has the token '{sample}'; sample.json has the tokens"
                )
            return found
        named = [s["token"] for s in self.scenes.values() if scene in (s["name"], s["token"])]
        if not named:
            names = ", ".join(sorted(s["name"] for s in self.scenes.values())[:3])
            raise MapLLaVAError(
                f"no scene of {self.folder} has the name or token '{scene}'; of its {len(self.scenes)} the "
                "first "
                f"are {names}"
            )
        found = list(pick_records(self.folder, "sample", lambda r: r["scene_token"] == named[0], dict))
        if not found:
            raise MapLLaVAError(f"scene '{scene}' of {self.folder} has no samples; unpack the tables again")
        return sorted(found, key=lambda record: record["timestamp"])

    def _sample(
        self, record: dict[str, Any], shots: Mapping[str, Any], poses: Mapping[str, Any]
    ) -> RigSample:
        channels = [name for name in shots if self._is_camera(shots[name])]
        if not channels or _LIDAR not in shots:
            raise MapLLaVAError(
                f"sample {record['token']} of {self.folder} has no {_LIDAR if channels else 'camera'}: its "
                "pose at "
                "the sample's time is needed, and images; unpack the tables again"
            )
        channels.sort(key=lambda name: CAMERAS.index(name) if name in CAMERAS else len(CAMERAS))
        lidar = shots[_LIDAR]
        ego2global = transform(poses[lidar["ego_pose_token"]])
        scene = self.scenes[record["scene_token"]]
        log = self.logs[scene["log_token"]]
        return RigSample(
            token=record["token"],
            rig=Rig(
                tuple(self._camera(name, shots[name], poses, ego2global) for name in channels),
                transform(self.mounts[lidar["calibrated_sensor_token"]]),
                f"{self.folder}, scene {scene['name']}",
            ),
            images=tuple(self._images(shots[name] for name in channels)),
            scene=scene["name"],
            timestamp=int(record["timestamp"]),
            ego2global=ego2global,
            crs=None if log.get("vehicle") == _NOWHERE else crs_of_location(log["location"]),
            location=log["location"],
        )

    def _is_camera(self, shot: dict[str, Any]) -> bool:
        mount = self.mounts[shot["calibrated_sensor_token"]]
        return self.sensors[mount["sensor_token"]]["modality"] == "camera"

    def _camera(
        self, name: str, shot: dict[str, Any], poses: Mapping[str, Any], ego2global: np.ndarray
    ) -> RigCamera:
        mount = self.mounts[shot["calibrated_sensor_token"]]
        then = transform(poses[shot["ego_pose_token"]])
        return RigCamera(
            name=name,
            size=(int(shot["width"]), int(shot["height"])),
            cam2img=np.array(mount["camera_intrinsic"], dtype=np.float64).reshape(3, 3),
            cam2ego=invert(ego2global) @ then @ transform(mount),
        )

    def _images(self, shots: Iterable[dict[str, Any]]) -> Iterable[Path]:
        for shot in shots:
            if not is_below_root(shot["filename"]):
                raise MapLLaVAError(
                    f"{self.folder / 'sample_data.json'}: filename of {shot['token']} is "
                    f"'{shot['filename']}', not "
                    "a path below the data root"
                )
            yield self.root / shot["filename"]
