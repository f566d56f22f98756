"""How far apart two sets of samples lie: whether a model could have driven the same street before.

Source of the question: Lilja et al., "Localization Is All You Evaluate", CVPR 2024, arXiv:2312.06420.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from mapllava.errors import MapLLaVAError
from mapllava.gt_cache import store
from mapllava.gt_cache.schema import source_of
from mapllava.sources.map_source import map_source
from mapllava.sources.nuscenes.pose_tables import PoseTables
from mapllava.sources.nuscenes.splits import resolve_split

RADII = (1.0, 5.0, 20.0, 60.0)
"""Metres; 60 m is the length of the usual region of interest: beyond it two samples share no line."""


@dataclass
class PlaceSet:
    """Where the samples of a set were taken.

    Args:
        name: What it is called in tables, version and split.
        scenes: Scene name of each sample.
        locations: Map of each sample.
        positions: ``(n, 2)`` of the car in the world, metres.
        listed: Scenes that the split lists, present or not; None where its list is not at hand.
    """

    name: str
    scenes: list[str]
    locations: list[str]
    positions: np.ndarray
    listed: int | None = None

    def presence(self) -> str:
        """How much of the split is there, e.g. ``150 of 700 scenes present``."""
        found = len(set(self.scenes))
        if self.listed is None:
            return f"{found} scenes present (the split's list is not at hand)"
        return f"{found} of {self.listed} scenes present"


@dataclass
class SplitAudit:
    """How near the samples of one set lie to those of another.

    Args:
        train: Name of the set that a model learns from, with its number of samples.
        val: Name of the set that it is judged on, likewise.
        distances: ``(n,)`` metres from each sample of ``val`` to the nearest of ``train`` on the same
            map; inf where that map has none.
        locations: Map of each sample of ``val``.
        shared_scenes: Scenes that both sets hold.
    """

    train: tuple[str, int]
    val: tuple[str, int]
    distances: np.ndarray
    locations: list[str]
    shared_scenes: list[str]

    def figures(self, location: str | None = None, radii: Sequence[float] = RADII) -> dict[str, Any]:
        """What the distances say, as builtins.

        Args:
            location: One map; None takes all of them.
            radii: Metres.

        Returns:
            ``samples``, their number; ``median_m``, the median distance, None where most samples have
            nothing near on their map; ``share_within_m``, radius to the share in [0, 1] within it.
        """
        chosen = self.distances[[location in (None, place) for place in self.locations]]
        median = float(np.median(chosen)) if len(chosen) else np.inf
        return {
            "samples": len(chosen),
            "median_m": median if np.isfinite(median) else None,
            "share_within_m": {f"{r:g}": float(np.mean(chosen <= r)) if len(chosen) else 0.0 for r in radii},
        }

    def to_json(self) -> dict[str, Any]:
        """Everything but the single distances, as builtins."""
        places = {"all": None, **{place: place for place in sorted(set(self.locations))}}
        sets = {"train": list(self.train), "val": list(self.val), "shared_scenes": self.shared_scenes}
        return {**sets, "locations": {name: self.figures(place) for name, place in places.items()}}


def audit(train: PlaceSet, val: PlaceSet) -> SplitAudit:
    """Distance of every sample of ``val`` to the nearest of ``train``, map by map.

    Raises:
        MapLLaVAError: If ``val`` is empty.
    """
    if not val.scenes:
        raise MapLLaVAError(f"{val.name} has no samples: nothing to measure, choose another set")
    distances = np.full(len(val.positions), np.inf)
    for location in set(val.locations):
        mine, theirs = (
            np.flatnonzero([place == location for place in places.locations]) for places in (val, train)
        )
        if len(theirs):
            distances[mine] = KDTree(train.positions[theirs]).query(val.positions[mine])[0]
    shared = sorted(set(train.scenes) & set(val.scenes))
    sizes = [(places.name, len(places.scenes)) for places in (train, val)]
    return SplitAudit(sizes[0], sizes[1], distances, val.locations, shared)


def places_of_cache(path: str | Path) -> PlaceSet:
    """The places of a GT cache's samples.

    Raises:
        MapLLaVAError: If the cache cannot be read.
    """
    content = store.load(path, check_sources=False)
    meta = content["metainfo"]
    rows = [(e["scene_name"], e["location"], e["ego2global"][:2, 3]) for e in content["data_list"]]
    try:
        listed = map_source(source_of(meta)).listed(meta["version"], meta["split_source"])
    except MapLLaVAError:
        listed = None
    return _collect(f"{meta['version']} {meta['split']}", rows, listed)


def places_of_split(tables: Sequence[PoseTables], split: str) -> PlaceSet:
    """The places of a split's key frames, from the tables alone (no maps, no images).

    Args:
        tables: Of one version, or of several whose scenes are taken together, such as v1.0-trainval and
            v1.0-test for the splits that draw on both.
        split: As :func:`~mapllava.sources.nuscenes.splits.resolve_split` takes it.

    Raises:
        MapLLaVAError: If the split is unknown, or none of its scenes is there.
    """
    chosen = resolve_split(tables[0].version, split)
    found: dict[str, list[tuple[str, str, np.ndarray]]] = {}
    for table in tables:
        for scene in table.present(chosen.scenes):
            found[scene] = [(scene, table.location(scene), place) for place in table.positions(scene)]
    name = f"{'+'.join(table.version for table in tables)} {chosen.name}"
    if not found:
        raise MapLLaVAError(
            f"none of the {len(chosen.scenes)} scenes of {name} is in "
            f"{', '.join(str(table.folder) for table in tables)}: check --version (several can be named) and "
            "the split"
        )
    rows = [row for scene in chosen.scenes for row in found.get(scene, [])]
    return _collect(name, rows, len(chosen.scenes))


def _collect(name: str, rows: Sequence[tuple[str, str, np.ndarray]], listed: int | None) -> PlaceSet:
    positions = np.array([position for *_, position in rows], dtype=np.float64).reshape(-1, 2)
    return PlaceSet(name, [scene for scene, *_ in rows], [place for _, place, _ in rows], positions, listed)
