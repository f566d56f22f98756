"""nuScenes, or a data set in its format, as a source of ground-truth caches."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapllava.errors import MapLLaVAError
from mapllava.sources.nuscenes import splits
from mapllava.sources.nuscenes.map_classes import check_classes
from mapllava.sources.nuscenes.splits import TEST_VERSION, Split
from mapllava.sources.nuscenes.tables import TABLES, NuScenesTables

if TYPE_CHECKING:
    from mapllava.sources.nuscenes.map_layers import MapLayers

logger = logging.getLogger(__name__)


class NuScenesSource:
    """The tables and maps of one version; see :class:`mapllava.sources.map_source.MapSource`.

    Args:
        dataroot: Root of the data set.
        version: Version folder, e.g. ``v1.0-mini``.

    Raises:
        MapLLaVAError: If the root, the version folder, a table or the map expansion is missing or damaged.
    """

    split_label = staticmethod(splits.split_label)
    split_source = staticmethod(splits.split_source)
    source_of_label = staticmethod(splits.source_of_label)
    check_classes = staticmethod(check_classes)

    def __init__(self, dataroot: Path, version: str) -> None:
        self.dataroot, self.version = dataroot, version
        self._tables = NuScenesTables(dataroot, version)

    @staticmethod
    def version_of(dataroot: Path, asked: str | None) -> str:
        """``v1.0-mini`` where none is asked for."""
        return asked or splits.MINI_VERSION

    @staticmethod
    def expand_split(split: str, dataroot: Path, version: str) -> tuple[str, ...]:
        """See :func:`mapllava.sources.nuscenes.splits.expand_split`."""
        return splits.expand_split(split, version)

    @staticmethod
    def listed(version: str, split: str) -> int | None:
        """How many scenes a split lists, present or not."""
        return len(splits.resolve_split(version, split).scenes)

    def chosen(self, split: str, target: Path) -> Split:
        """The scenes of a split that the tables hold; what else it lists is said.

        Raises:
            MapLLaVAError: If the split is unknown, names a scene that nobody knows, or none that is there.
        """
        folder, version = self.dataroot / self.version, self.version
        wanted = splits.resolve_split(version, split)
        scenes = self._tables.present(wanted.scenes)
        unknown = sorted(set(wanted.scenes) - set(scenes) - splits.known_scene_names())
        if unknown:
            raise MapLLaVAError(
                f"split {split} names {', '.join(unknown[:5])}{' …' if len(unknown) > 5 else ''}: "
                f"{folder} has no such scene, nor has nuScenes; correct the names"
            )
        if len(scenes) < len(wanted.scenes):
            logger.warning(
                "%s has %d of the %d scenes of split %s, and %s will hold these alone%s",
                folder, len(scenes), len(wanted.scenes), wanted.name, target,
                _elsewhere(version, split, set(wanted.scenes) - set(scenes)),
            )  # fmt: skip
        return Split(wanted.name, tuple(scenes))

    def present(self, scenes: Sequence[str]) -> list[str]:
        """See :meth:`mapllava.sources.nuscenes.tables.NuScenesTables.present`."""
        return self._tables.present(scenes)

    def location(self, scene: str) -> str:
        """Name of the map that a scene was recorded on."""
        return self._tables.location(scene)

    map_name = location

    def files(self, scenes: Sequence[str]) -> list[Path]:
        """The tables, and the scenes' maps."""
        from mapllava.sources.nuscenes.map_layers import map_file

        tables = [self.dataroot / self.version / f"{name}.json" for name in TABLES]
        return tables + [map_file(self.dataroot, name) for name in self._locations(scenes)]

    @staticmethod
    def outdated(map_version: str) -> str:
        """Never: what such caches hold has not changed its meaning."""
        return ""

    def map_version(self, scenes: Sequence[str]) -> str:
        """Of the map expansion, e.g. ``1.3``."""
        from mapllava.sources.nuscenes.map_layers import map_version

        return ",".join(sorted({map_version(self.dataroot, name) for name in self._locations(scenes)}))

    def entries(self, scene: str) -> Iterator[dict[str, Any]]:
        """See :meth:`mapllava.sources.nuscenes.tables.NuScenesTables.entries`."""
        return self._tables.entries(scene)

    @staticmethod
    def read_map(dataroot: Path, map_name: str, classes: Sequence[str]) -> MapLayers:
        """See :meth:`mapllava.sources.nuscenes.map_layers.MapLayers.load`."""
        from mapllava.sources.nuscenes.map_layers import MapLayers

        return MapLayers.load(dataroot, map_name, classes)

    def _locations(self, scenes: Sequence[str]) -> list[str]:
        return sorted({self.location(scene) for scene in scenes})


def _elsewhere(version: str, split: str, missing: set[str]) -> str:
    """Where the missing scenes are that nuScenes publishes in another version."""
    count = len(missing.intersection(splits.test_scene_names()))
    if not count or version == TEST_VERSION:
        return ""
    return (
        f"; {count} of the others are in {TEST_VERSION}: unpack it and run again with "
        f"--version {TEST_VERSION} --split {split}, which makes a second cache beside this one"
    )
