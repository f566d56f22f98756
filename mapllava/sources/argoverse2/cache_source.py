"""Argoverse 2 as a source of ground-truth caches."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mapllava.errors import MapLLaVAError
from mapllava.sources.argoverse2 import definitions, splits
from mapllava.sources.argoverse2.elements import LogElements
from mapllava.sources.argoverse2.log_map import load_log_map
from mapllava.sources.argoverse2.sensor_log import SensorLog
from mapllava.sources.nuscenes.splits import Split

logger = logging.getLogger(__name__)

_ON_THE_GROUND = ", ego frame on the ground"
PREFIX = "av2-"
"""Before the definition's name in a version: ``av2-maptracker``."""


class Argoverse2Source:
    """The sensor data set: ``<dataroot>/{train,val,test}/<log id>``.

    Its version is the definition of map elements, so that file names, fingerprint and every score carry it.

    Args:
        dataroot: Root of the data set.
        version: ``av2-maptracker``, ``av2-streammapnet`` or ``av2-maptrv2``.

    Raises:
        MapLLaVAError: If the version is none, or the root holds no log.
    """

    split_source = staticmethod(splits.split_source)
    check_classes = staticmethod(definitions.check_classes)

    def __init__(self, dataroot: Path, version: str) -> None:
        self.dataroot = Path(dataroot)
        self.version = version
        self.definition = _definition(version)
        folders = (self.dataroot / split for split in splits.OFFICIAL_SPLITS)
        self._logs = {
            path.name: SensorLog(path, self.dataroot)
            for folder in folders
            for path in sorted(folder.glob("*"))
            if (path / "map").is_dir()
        }
        if not self._logs:
            raise MapLLaVAError(
                f"{self.dataroot} holds no log <train|val|test>/<log id>/map: pass --dataroot the folder of "
                "the sensor data set that has train, val or test in it"
            )

    @staticmethod
    def version_of(dataroot: Path, asked: str | None) -> str:
        """The version of the default definition where none is asked for."""
        return asked or f"{PREFIX}{definitions.DEFAULT_DEFINITION}"

    @staticmethod
    def expand_split(split: str, dataroot: Path, version: str) -> tuple[str, ...]:
        """See :func:`mapllava.sources.argoverse2.splits.expand_split`."""
        return splits.expand_split(split)

    @staticmethod
    def split_label(version: str, split: str) -> str:
        """The name that a split carries in file names and beside numbers; reads no file."""
        _definition(version)
        return splits.split_label(split)

    @staticmethod
    def source_of_label(version: str, label: str, folders: Iterable[Path]) -> str:
        """What a command takes for the split that a cache's file name carries."""
        return splits.source_of_label(label, folders)

    @staticmethod
    def listed(version: str, split: str) -> int | None:
        """How many logs a split lists, present or not."""
        return len(splits.resolve_split(split).scenes)

    def chosen(self, split: str, target: Path) -> Split:
        """A split with the logs of it that are there, in order; says which are not, and will lack in target.

        Raises:
            MapLLaVAError: If the split is unknown, or none of its logs is there.
        """
        wanted = splits.resolve_split(split)
        found = tuple(self.present(wanted.scenes))
        if not found:
            raise MapLLaVAError(
                f"none of the {len(wanted.scenes)} logs of split {split} is in {self.dataroot}; of its "
                f"{len(self._logs)} the first are {', '.join(sorted(self._logs)[:3])}. Check --split"
            )
        if len(found) < len(wanted.scenes):
            logger.warning(
                "%s has %d of the %d logs of split %s, and %s will hold these alone",
                self.dataroot, len(found), len(wanted.scenes), wanted.name, target,
            )  # fmt: skip
        return Split(wanted.name, found)

    def present(self, scenes: Sequence[str]) -> list[str]:
        """Those of the logs that are there."""
        return [scene for scene in scenes if scene in self._logs]

    def location(self, scene: str) -> str:
        """City of a log."""
        return self._logs[scene].city

    def map_name(self, scene: str) -> str:
        """Definition and folder of a log: each has a map of its own."""
        return f"{self.definition}:{self._logs[scene].folder.relative_to(self.dataroot).as_posix()}"

    def files(self, scenes: Sequence[str]) -> list[Path]:
        """Maps, poses and calibrations of the logs."""
        return [path for scene in scenes for path in self._logs[scene].files()]

    def map_version(self, scenes: Sequence[str]) -> str:
        """The definition, for the files state no version; and where a cache's ego frame is."""
        return f"{self.definition}{_ON_THE_GROUND}"

    @staticmethod
    def outdated(map_version: str) -> str:
        """A cache whose ego frame has its origin in the rear axle, above the ground."""
        if map_version.endswith(_ON_THE_GROUND):
            return ""
        return "its ego frame has its origin in the rear axle, and now it is on the ground below"

    def entries(self, scene: str) -> Iterator[dict[str, Any]]:
        """A log's entries in time order, without their polylines."""
        return SensorLog(self._logs[scene].folder, self.dataroot).entries()  # anew: its tables go with it

    @staticmethod
    def read_map(dataroot: Path, map_name: str, classes: Sequence[str]) -> LogElements:
        """Read what :meth:`map_name` names."""
        definition, _, folder = map_name.partition(":")
        return LogElements(load_log_map(Path(dataroot) / folder), definition)


def _definition(version: str) -> str:
    name = version.removeprefix(PREFIX)
    if name == version or name not in definitions.DEFINITIONS:
        known = ", ".join(f"{PREFIX}{each}" for each in definitions.DEFINITIONS)
        raise MapLLaVAError(
            f"unknown version {version!r} of Argoverse 2: it names the definition; use one of {known}"
        )
    return name
