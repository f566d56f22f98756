"""A city of one's own (``city.json``) as a source of ground-truth caches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.finding import FAIL, WARN, Finding
from mapllava.sources.folder.city_file import CityFile, Drive, check_class_names, read_city_file
from mapllava.sources.folder.drive_samples import cache_entry, read_drive
from mapllava.sources.folder.folder_input import FRAMES_FILE
from mapllava.sources.folder.rig_file import read_rig_file
from mapllava.sources.nuscenes.splits import Split

if TYPE_CHECKING:
    from mapllava.sources.folder.geojson_map import GeoJSONMap
    from mapllava.structures.rig import RigSample

REACH = 60.0
"""Metres from the car beyond which a map is not seen: the length of the usual region of interest."""

_SPLIT = re.compile(r"[A-Za-z0-9-]+")

_SMALLEST = 2.0
"""Metres that a map measures at least; a town in degrees is smaller."""


class FolderSource:
    """The drives and maps of a city; see :class:`mapllava.sources.map_source.MapSource`.

    Args:
        dataroot: Folder that holds ``city.json``.
        version: Name of the city.

    Raises:
        MapLLaVAError: If the file is missing or damaged, or of another name.
    """

    check_classes = staticmethod(check_class_names)

    def __init__(self, dataroot: Path, version: str) -> None:
        self.dataroot = dataroot
        self.city = read_city_file(dataroot)
        self.version = _named(self.city, dataroot, version)
        self._place = lru_cache(maxsize=2)(lambda place: self.read_map(dataroot, place, ()))

    @staticmethod
    def version_of(dataroot: Path, asked: str | None) -> str:
        """The city's name; no other can be asked for."""
        return _named(read_city_file(dataroot), dataroot, asked)

    @staticmethod
    def expand_split(split: str, dataroot: Path, version: str) -> tuple[str, ...]:
        """Every split of ``city.json`` where ``all`` is asked for."""
        return read_city_file(dataroot).splits if split == "all" else (split,)

    @staticmethod
    def split_label(version: str, split: str) -> str:
        """The split as it is written in ``city.json``."""
        if not _SPLIT.fullmatch(split):
            raise MapLLaVAError(f"split {split!r}: the drives in city.json name the splits, such as train")
        return split

    @staticmethod
    def split_source(split: str) -> str:
        """The same; no file of its own says which drives a split has."""
        return split

    @staticmethod
    def source_of_label(version: str, label: str, folders: Iterable[Path]) -> str:
        """The same."""
        return label

    @staticmethod
    def listed(version: str, split: str) -> int | None:
        """None: a cache has every drive of its split."""
        return None

    def chosen(self, split: str, target: Path) -> Split:
        """The drives of a split, in order.

        Raises:
            MapLLaVAError: If there are none.
        """
        names = tuple(drive.name for drive in self.city.drives if drive.split == split)
        if not names:
            raise MapLLaVAError(
                f"'{self.city.path}' has no drive of the split '{split}'; its splits are "
                f"{', '.join(self.city.splits)}"
            )
        return Split(split, names)

    def present(self, scenes: Sequence[str]) -> list[str]:
        """Those of the drives that ``city.json`` has."""
        names = {drive.name for drive in self.city.drives}
        return [scene for scene in scenes if scene in names]

    def location(self, scene: str) -> str:
        """The drive's map, which is its place."""
        return self.city.drive(scene).place

    map_name = location

    def files(self, scenes: Sequence[str]) -> list[Path]:
        """``city.json``, and the rigs, lists of frames and maps of the drives."""
        drives = [self.city.drive(scene) for scene in scenes]
        files = [self.city.path]
        for drive in drives:
            files += [drive.rig, drive.folder / FRAMES_FILE, self.city.maps[drive.place]]
        missing = [path for path in dict.fromkeys(files) if not path.is_file()]
        if missing:
            raise MapLLaVAError(f"missing: {', '.join(map(str, missing))}{_more(self.city)}")
        return list(dict.fromkeys(files))

    @staticmethod
    def outdated(map_version: str) -> str:
        """Never: what such caches hold has not changed its meaning."""
        return ""

    def map_version(self, scenes: Sequence[str]) -> str:
        """The same for all: files are told by their hash."""
        return "geojson"

    def entries(self, scene: str) -> Iterator[dict[str, Any]]:
        """A drive's entries of a cache, without polylines.

        Raises:
            MapLLaVAError: If something is wrong with the drive.
        """
        drive = self.city.drive(scene)
        samples, found = read_drive(self.city, drive)
        _refuse(self.city, found)
        _refuse(self.city, check_nearness(drive, samples, self._place(drive.place), self.city.lonlat))
        for sample in samples:
            yield cache_entry(self.city, drive, sample)

    @staticmethod
    def read_map(dataroot: Path, map_name: str, classes: Sequence[str]) -> GeoJSONMap:
        """Read a map of the city.

        Raises:
            MapLLaVAError: If something is wrong with it, or it has no such class.
        """
        city = read_city_file(dataroot)
        read, found = read_place(city, map_name)
        _refuse(city, found)
        if read is None:
            raise MapLLaVAError(f"map {map_name} of '{city.path}' cannot be read{_more(city)}")
        return read


def _named(city: CityFile, dataroot: Path, asked: str | None) -> str:
    if asked not in (None, city.name):
        raise MapLLaVAError(f"--version {asked}: the city in {dataroot} is named {city.name}; leave it out")
    return city.name


def read_place(city: CityFile, place: str) -> tuple[GeoJSONMap | None, list[Finding]]:
    """A map of a city in the world of its drives' poses, and all that is wrong with it.

    Args:
        city: The city.
        place: Name of the map.

    Returns:
        As :func:`~mapllava.sources.folder.geojson_map.read_geojson_map`.
    """
    from mapllava.sources.folder.geojson_map import read_geojson_map

    worlds = {}
    for rig in dict.fromkeys(drive.rig for drive in city.drives if drive.place == place):
        try:
            file = read_rig_file(rig)
        except MapLLaVAError as error:
            return None, [Finding("map", FAIL, f"'{city.maps[place]}' needs the rig's world: {error}")]
        worlds[rig] = (file.crs, file.world)
    if not worlds:
        return None, [Finding("map", FAIL, f"'{city.path}', maps: no drive is on {place}", "take it out")]
    crs, world = next(iter(worlds.values()))
    for rig, (other, turned) in worlds.items():
        if other != crs or not np.array_equal(turned, world):
            reason = f"{rig} and {next(iter(worlds))} give the world of {place} differently (crs, origin)"
            return None, [Finding("map", FAIL, reason, "drives on one map have poses in one world")]
    return read_geojson_map(city, place, crs, world)


def check_nearness(
    drive: Drive, samples: Sequence[RigSample], read: GeoJSONMap, lonlat: bool
) -> list[Finding]:
    """Whether a drive's map lies where the drive was.

    Args:
        drive: The drive.
        samples: Its samples.
        read: Its map.
        lonlat: Whether the map is written in degrees.
    """
    import shapely

    geometries = read.geometries()
    if not samples or not len(geometries):
        return []
    bounds = shapely.total_bounds(geometries)
    if not lonlat and (bounds[2:] - bounds[:2]).max() < _SMALLEST and np.abs(bounds).max() <= 180:
        reason = f"the whole map {drive.place} is {np.ptp(bounds[::2]):.4f} x {np.ptp(bounds[1::2]):.4f} m"
        return [Finding("degrees", FAIL, reason, "these look like degrees: write coordinates: lonlat")]
    places = np.array([np.asarray(sample.ego2global)[:2, 3] for sample in samples])
    points = shapely.points(places)
    nearest = geometries[shapely.STRtree(geometries).nearest(points)]
    away = shapely.distance(points, nearest)
    far = away > REACH
    if far.all():
        x, y = places[0]
        low_x, low_y, high_x, high_y = bounds
        hint = (
            "longitude comes before latitude, and crs or origin in rig.json says where the poses' world lies"
            if lonlat
            else "coordinates: world means the metres of vehicle_to_world; degrees are coordinates: lonlat"
        )
        reason = (
            f"drive {drive.name} is nowhere near its map {drive.place}: {away.min():,.0f} m at best; the "
            f"first pose is at ({x:.1f}, {y:.1f}), the map from ({low_x:.1f}, {low_y:.1f}) to "
            f"({high_x:.1f}, {high_y:.1f}) m"
        )
        return [Finding("nowhere near", FAIL, reason, hint, drive.name)]
    if far.any():
        reason = f"{far.sum()} of {len(far)} samples of drive {drive.name} have no map within {REACH:g} m"
        remedy = "they teach that there is nothing: draw the map there, or leave them out"
        return [Finding("no map", WARN, reason, remedy, drive.name)]
    return []


def _refuse(city: CityFile, found: Sequence[Finding]) -> None:
    faults = [finding for finding in found if finding.status == FAIL]
    if faults:
        first, more = faults[0], len(faults) - 1
        remedy = f"; {first.remedy}" if first.remedy else ""
        raise MapLLaVAError(
            f"{first.reason}{remedy}{f' (and {more} more faults)' if more else ''}{_more(city)}"
        )


def _more(city: CityFile) -> str:
    return f". All faults at once:\n  mapllava data check {city.root}"
