"""A data set in nuScenes' format as a city of one's own: the example to write one's own data after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mapllava.errors import MapLLaVAError
from mapllava.files import atomic_write, write_json
from mapllava.sources.folder.city_file import CITY_FILE
from mapllava.sources.folder.export import export_folder
from mapllava.structures.frames import CLASSES


def export_city(
    dataroot: str | Path,
    version: str,
    out: str | Path,
    scenes: Sequence[str] | None = None,
    cameras: Sequence[str] | None = None,
    name: str = "exported",
) -> Path:
    """Write scenes of a data set in nuScenes' format as ``city.json``, drives and GeoJSON maps.

    The maps hold the layers that the three classes come from, in the metres of the poses; numbers of poses
    have nine decimals, all others are exact.

    Args:
        dataroot: Root of the data set.
        version: Version folder.
        out: The folder; must be absent or empty.
        scenes: Names of those to take; all of the version's splits if None.
        cameras: Names of those to take; all if None.
        name: Of the city.

    Returns:
        The folder.

    Raises:
        MapLLaVAError: If the data set, a scene, camera or image is not there, or the folder cannot be
            written.
    """
    from mapllava.sources.nuscenes.cache_source import NuScenesSource
    from mapllava.sources.nuscenes.map_classes import MAP_CLASSES
    from mapllava.sources.nuscenes.rig_samples import nuscenes_input

    root, out = Path(dataroot), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise MapLLaVAError(f"'{out}' exists and is not empty: name another folder, or remove it")
    source = NuScenesSource(root, version)
    split_of = _splits(source, out, scenes)
    places = {source.location(scene): f"{name}-{source.location(scene)}" for scene in split_of}
    layers = {kind: MAP_CLASSES[kind].layers for kind in CLASSES}
    with atomic_write(out) as partial:
        for scene in split_of:
            export_folder(nuscenes_input(root, version, scene=scene), partial / "drives" / scene, cameras)
        for location, place in places.items():
            write_json(partial / f"{place}.geojson", _map(root, location, layers), indent=None)
        city = {
            "version": 1,
            "name": name,
            "coordinates": "world",
            "maps": {place: f"{place}.geojson" for place in places.values()},
            "property": "class",
            "classes": {kind: list(names) for kind, names in layers.items()},
            "drives": [
                {"folder": f"drives/{scene}", "map": places[source.location(scene)], "split": split}
                for scene, split in split_of.items()
            ],
        }
        write_json(partial / CITY_FILE, city)
    return out


def _splits(source: Any, out: Path, scenes: Sequence[str] | None) -> dict[str, str]:
    """Scene to split, of those that are wanted and there."""
    found = {
        scene: split
        for split in source.expand_split("all", source.dataroot, source.version)
        for scene in source.chosen(split, out).scenes
    }
    unknown = sorted(set(scenes or ()) - set(found))
    if unknown:
        raise MapLLaVAError(
            f"{source.dataroot / source.version} has no scene {', '.join(unknown)}; the first of its "
            f"{len(found)} are {', '.join(list(found)[:3])}"
        )
    return {scene: split for scene, split in found.items() if scenes is None or scene in scenes}


def _map(root: Path, location: str, layers: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    from shapely.geometry import mapping

    from mapllava.sources.nuscenes.map_layers import MapLayers

    read = MapLayers.load(root, location, tuple(layers))
    features = [
        {"type": "Feature", "properties": {"class": name}, "geometry": mapping(geometry)}
        for names in layers.values()
        for name in names
        for geometry in read.layers[name].geometries
    ]
    return {"type": "FeatureCollection", "features": features}
