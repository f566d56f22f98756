"""What a data set offers for ground-truth caches to be built from it, and which ones do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mapllava.errors import MapLLaVAError

if TYPE_CHECKING:
    import numpy as np

    from mapllava.sources.nuscenes.splits import Split
    from mapllava.structures.frames import MapSpec
    from mapllava.structures.map_elements import Polyline

DEFAULT_SOURCE = "nuscenes"
"""The source of a cache that names none."""
SOURCES = {
    "nuscenes": "mapllava.sources.nuscenes.cache_source:NuScenesSource",
    "argoverse2": "mapllava.sources.argoverse2.cache_source:Argoverse2Source",
    "folder": "mapllava.sources.folder.cache_source:FolderSource",
}
"""Name to class; imported when it is asked for."""

_MARKS = {"folder": "city.json"}
"""A file in the data root that tells what kind of data set it is."""


class SourceMap(Protocol):
    """One map, read for cutting."""

    def polylines(self, pose: np.ndarray, spec: MapSpec) -> list[Polyline]:
        """The map elements inside the ROI at a pose ``(4, 4)``, map frame to world, metres."""


class MapSource(Protocol):
    """A data set with poses, cameras and vector maps.

    Attributes:
        dataroot: Its root; all paths of a cache are below it.
        version: Which of its versions this is; a cache's file name carries it.
    """

    dataroot: Path
    version: str

    def __init__(self, dataroot: Path, version: str) -> None: ...

    @staticmethod
    def version_of(dataroot: Path, asked: str | None) -> str:
        """The version that is meant where a user asks for ``asked``, or for none."""

    @staticmethod
    def expand_split(split: str, dataroot: Path, version: str) -> tuple[str, ...]:
        """The splits that a user means by ``split``; ``all`` is each of the version's."""

    @staticmethod
    def split_label(version: str, split: str) -> str:
        """The name that a split carries in file names and beside numbers; reads no file."""

    @staticmethod
    def split_source(split: str) -> str:
        """The split as a command takes it in any working folder."""

    @staticmethod
    def source_of_label(version: str, label: str, folders: Iterable[Path]) -> str:
        """What a command takes for the split that a cache's file name carries."""

    @staticmethod
    def listed(version: str, split: str) -> int | None:
        """How many scenes a split lists, present or not; None where a cache has all of them."""

    @staticmethod
    def outdated(map_version: str) -> str:
        """Why a cache of this ``map_version`` means something else by now; empty where it does not."""

    @staticmethod
    def check_classes(names: Iterable[str]) -> None:
        """Refuse classes that maps of this source do not offer."""

    def chosen(self, split: str, target: Path) -> Split:
        """The scenes of a split that are there, in order; says which are not, and will lack in target."""

    def present(self, scenes: Sequence[str]) -> list[str]:
        """Those of the scenes that are there, in the given order."""

    def location(self, scene: str) -> str:
        """The place of a scene."""

    def map_name(self, scene: str) -> str:
        """The map of a scene, as :meth:`read_map` takes it."""

    def files(self, scenes: Sequence[str]) -> list[Path]:
        """The files below the root that decide what a cache of these scenes holds."""

    def map_version(self, scenes: Sequence[str]) -> str:
        """Version of the scenes' maps."""

    def entries(self, scene: str) -> Iterator[dict[str, Any]]:
        """A scene's entries of a cache in time order, without their polylines."""

    @staticmethod
    def read_map(dataroot: Path, map_name: str, classes: Sequence[str]) -> SourceMap:
        """Read a map; in each process that cuts from it."""


def source_at(dataroot: str | Path) -> str:
    """Name of the source that a data root looks like; the default where nothing tells."""
    return next((name for name, mark in _MARKS.items() if (Path(dataroot) / mark).is_file()), DEFAULT_SOURCE)


def map_source(name: str) -> type[MapSource]:
    """The class of a source.

    Raises:
        MapLLaVAError: If there is none of that name.
    """
    if name not in SOURCES:
        raise MapLLaVAError(f"unknown source {name!r} of ground truth: there are {', '.join(SOURCES)}")
    module, _, attribute = SOURCES[name].partition(":")
    return getattr(import_module(module), attribute)
