"""Where the car was at every key frame, from the tables alone: no devkit, no maps, no images."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.sources.nuscenes.tables import TABLES, check_version_folder, damaged_tables

_LIDAR = "LIDAR_TOP"


class PoseTables:
    """Scenes, their maps and the car's positions in one version's tables.

    Of the large tables only what is asked for stays in memory.

    Args:
        dataroot: Root of the data set.
        version: Version folder, e.g. ``v1.0-test``.

    Raises:
        MapLLaVAError: If the root, the version folder or a table is missing or damaged.
    """

    def __init__(self, dataroot: str | Path, version: str) -> None:
        self.version = version
        self.folder = check_version_folder(Path(dataroot), version, TABLES)
        try:
            places = {log["token"]: log["location"] for log in read_table(self.folder, "log")}
            scenes = read_table(self.folder, "scene")
            self._locations = {scene["name"]: places[scene["log_token"]] for scene in scenes}
            self._samples = self._positions({scene["token"]: scene["name"] for scene in scenes})
        except (ValueError, KeyError, TypeError) as error:
            raise damaged_tables(self.folder, error) from error

    def present(self, scene_names: Sequence[str]) -> list[str]:
        """Those of the scenes that these tables hold, in the given order."""
        return [name for name in scene_names if name in self._locations]

    def location(self, scene_name: str) -> str:
        """Name of the map that a scene was recorded on."""
        return self._locations[scene_name]

    def positions(self, scene_name: str) -> list[np.ndarray]:
        """Where the car was at a scene's key frames, ``(2,)`` in the world, metres, in time order."""
        return self._samples[scene_name]

    def _positions(self, scenes: dict[str, str]) -> dict[str, list[np.ndarray]]:
        lidars = {
            sensor["token"] for sensor in read_table(self.folder, "sensor") if sensor["channel"] == _LIDAR
        }
        mounts = {
            c["token"] for c in read_table(self.folder, "calibrated_sensor") if c["sensor_token"] in lidars
        }
        shots = dict(
            pick_records(
                self.folder,
                "sample_data",
                lambda r: r["is_key_frame"] and r["calibrated_sensor_token"] in mounts,
                lambda r: (r["sample_token"], r["ego_pose_token"]),
            )
        )
        wanted = set(shots.values())
        poses = dict(
            pick_records(
                self.folder,
                "ego_pose",
                lambda r: r["token"] in wanted,
                lambda r: (r["token"], np.array(r["translation"][:2], dtype=np.float64)),
            )
        )
        found: dict[str, list[np.ndarray]] = {name: [] for name in scenes.values()}
        for sample in sorted(read_table(self.folder, "sample"), key=lambda sample: sample["timestamp"]):
            found[scenes[sample["scene_token"]]].append(poses[shots[sample["token"]]])
        return found


def read_table(folder: Path, name: str) -> list[dict[str, Any]]:
    """The records of a table."""
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def pick_records(
    folder: Path, name: str, wanted: Callable[[dict], bool], part: Callable[[dict], Any]
) -> Iterator[Any]:
    """A part of each wanted record; the others are dropped while the file is parsed.

    Args:
        folder: Of the version.
        name: Of the table.
        wanted: Whether a record is.
        part: What of it.
    """
    with (folder / f"{name}.json").open(encoding="utf-8") as stream:
        records = json.load(stream, object_hook=lambda record: part(record) if wanted(record) else None)
    return (record for record in records if record is not None)
