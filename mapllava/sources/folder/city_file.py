"""Reads ``city.json``: the drives of a city of one's own, its maps and what their features mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapllava.errors import MapLLaVAError
from mapllava.files import read_json_object
from mapllava.geometry.georeference import crs_of_location
from mapllava.sources.folder.rig_file import RIG_FILE
from mapllava.sources.folder.schema_check import check_against_schema
from mapllava.sources.nuscenes.map_classes import MAP_CLASSES
from mapllava.sources.nuscenes.tables import is_below_root
from mapllava.structures.frames import CLASSES

CITY_FILE = "city.json"
CITY_SCHEMA = Path(__file__).with_name("city.schema.json")


@dataclass(frozen=True)
class Drive:
    """A recording.

    Attributes:
        name: Of the scene: the last part of its folder.
        folder: Holds ``frames.json`` and images.
        rig: The ``rig.json`` that it was recorded with.
        place: Name of its map.
        split: Which split it belongs to.
    """

    name: str
    folder: Path
    rig: Path
    place: str
    split: str


@dataclass(frozen=True)
class CityFile:
    """What a ``city.json`` says.

    Attributes:
        root: Folder that holds it.
        name: Of the city.
        lonlat: Whether the maps are in degrees; else in the metres of the poses.
        maps: Place to GeoJSON file.
        key: Property of a feature that says what it is.
        classes: Class to the values that belong to it, in order.
        ignored: Values that belong to none.
        drives: The recordings.
    """

    root: Path
    name: str
    lonlat: bool
    maps: Mapping[str, Path]
    key: str
    classes: Mapping[str, tuple[str, ...]]
    ignored: frozenset[str]
    drives: tuple[Drive, ...]

    @property
    def path(self) -> Path:
        """The file itself."""
        return self.root / CITY_FILE

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, in the order of the drives."""
        return tuple(dict.fromkeys(drive.split for drive in self.drives))

    def drive(self, name: str) -> Drive:
        """The drive of a name.

        Raises:
            KeyError: If there is none.
        """
        return {drive.name: drive for drive in self.drives}[name]


def read_city_file(root: str | Path) -> CityFile:
    """Read a ``city.json``.

    Args:
        root: The file, or the folder that holds it.

    Raises:
        MapLLaVAError: If it cannot be read, does not fit the schema, or contradicts itself; names key and
            remedy.
    """
    root = Path(root).expanduser()
    root = root.parent if root.is_file() else root
    path = root / CITY_FILE
    if not path.is_file():
        raise MapLLaVAError(
            f"'{path}' is missing: write the drives and maps into it, after the example that 'mapllava data "
            "export' writes from the synthetic city"
        )
    body = check_against_schema(read_json_object(path, "city file"), path, schema=CITY_SCHEMA)
    for key, name in _paths(body):
        if not is_below_root(name):
            raise MapLLaVAError(f"'{path}', {key} is '{name}', not a path below {root}: move the file there")
    drives = tuple(_drive(root, body, index) for index in range(len(body["drives"])))
    names = [drive.name for drive in drives]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise MapLLaVAError(
            f"'{path}': two drives end in the folder {', '.join(twice)}, and the folder names the scene; "
            "rename one"
        )
    known = [place for place in body["maps"] if crs_of_location(place) is not None]
    if known:
        raise MapLLaVAError(
            f"'{path}', maps: {', '.join(known)} names a place of nuScenes or Argoverse 2, and results would "
            "be drawn there; choose another name"
        )
    classes = _classes(body, path)
    ignored = frozenset(map(str, body.get("ignored", ())))
    both = sorted(ignored.intersection(value for values in classes.values() for value in values))
    if both:
        raise MapLLaVAError(f"'{path}': {', '.join(both)} stands in classes and in ignored; leave one out")
    maps = {place: root / file for place, file in body["maps"].items()}
    lonlat = body["coordinates"] == "lonlat"
    key = body.get("property", "class")
    return CityFile(root, body["name"], lonlat, maps, key, classes, ignored, drives)


def check_class_names(names: Any) -> None:
    """Refuse classes whose lines have a direction: a GeoJSON line is read without one.

    Raises:
        MapLLaVAError: Naming them.
    """
    directed = [name for name in names if name in MAP_CLASSES and MAP_CLASSES[name].directed]
    if directed:
        raise MapLLaVAError(
            f"classes {', '.join(directed)}: lines of a folder's map have no direction, and this class needs "
            "one; leave it out"
        )


def _paths(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    maps = [(f"maps.{place}", file) for place, file in body["maps"].items()]
    return maps + [(f"drives[{k}].folder", drive["folder"]) for k, drive in enumerate(body["drives"])]


def _drive(root: Path, body: Mapping[str, Any], index: int) -> Drive:
    written, maps = body["drives"][index], body["maps"]
    where = f"'{root / CITY_FILE}', drives[{index}]"
    place = written.get("map", next(iter(maps)) if len(maps) == 1 else None)
    if place not in maps:
        what = "is missing" if place is None else f"is '{place}'"
        raise MapLLaVAError(f"{where}.map {what}: name one of maps, {', '.join(maps)}")
    folder = root / written["folder"]
    own = folder / RIG_FILE
    return Drive(folder.name, folder, own if own.is_file() else root / RIG_FILE, place, written["split"])


def _classes(body: Mapping[str, Any], path: Path) -> dict[str, tuple[str, ...]]:
    table = body.get("classes") or {name: [name] for name in CLASSES}
    classes = {name: tuple(dict.fromkeys(map(str, values))) for name, values in table.items()}
    try:
        check_class_names(classes)
    except MapLLaVAError as error:
        raise MapLLaVAError(f"'{path}', {error}") from None
    owner: dict[str, str] = {}
    for name, values in classes.items():
        for value in values:
            if owner.setdefault(value, name) != name:
                raise MapLLaVAError(
                    f"'{path}', classes: the value '{value}' belongs to {owner[value]} and to {name}; leave "
                    "it in one of them"
                )
    return classes
