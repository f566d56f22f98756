"""All that is wrong with a city of one's own, at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.finding import FAIL, WARN, Finding
from mapllava.sources.folder.cache_source import REACH, check_nearness, read_place
from mapllava.sources.folder.city_file import CITY_FILE, CityFile, Drive, read_city_file
from mapllava.sources.folder.drive_samples import read_drive

if TYPE_CHECKING:
    from mapllava.sources.folder.geojson_map import GeoJSONMap
    from mapllava.structures.rig import RigSample


@dataclass
class CheckedCity:
    """What of a city can be read, and what is wrong with the rest.

    Attributes:
        city: None if ``city.json`` itself cannot be read.
        samples: Of each drive, by its name.
        maps: By the name of their place.
        findings: In the order of the files.
    """

    city: CityFile | None = None
    samples: dict[str, list[RigSample]] = field(default_factory=dict)
    maps: dict[str, GeoJSONMap] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def check_city(root: str | Path) -> CheckedCity:
    """Read a whole city, images aside, and go on after every fault.

    Args:
        root: Folder that holds ``city.json``.
    """
    checked = CheckedCity()
    found = checked.findings
    try:
        city = checked.city = read_city_file(root)
    except MapLLaVAError as error:
        found.append(Finding(CITY_FILE, FAIL, str(error)))
        return checked
    for place in city.maps:
        read, faults = read_place(city, place)
        found += faults
        if read is not None:
            checked.maps[place] = read
    for drive in city.drives:
        checked.samples[drive.name], faults = read_drive(city, drive)
        # drives share rigs: what is said of one is said once
        told = {(finding.name, finding.reason) for finding in found}
        found += [finding for finding in faults if (finding.name, finding.reason) not in told]
        if drive.place in checked.maps:
            mine = checked.samples[drive.name], checked.maps[drive.place]
            found += check_nearness(drive, *mine, city.lonlat)
    found += _tokens(checked.samples)
    found += _rigs(checked.samples)
    found += _splits(city, checked.samples)
    return checked


def _tokens(samples: dict[str, list[RigSample]]) -> list[Finding]:
    counts = Counter(sample.token for drive in samples.values() for sample in drive)
    twice = [token for token, count in counts.items() if count > 1]
    if not twice:
        return []
    reason = f"{len(twice)} tokens name more than one sample, the first {twice[0]}"
    return [Finding("token", FAIL, reason, "give each its own in frames.json, or leave token out")]


def _rigs(samples: dict[str, list[RigSample]]) -> list[Finding]:
    kinds = {tuple(c.name for c in drive[0].rig.cameras): name for name, drive in samples.items() if drive}
    if len(kinds) < 2:
        return []
    told = "; ".join(f"{name}: {', '.join(cameras)}" for cameras, name in kinds.items())
    remedy = "samples of unlike rigs do not fit into one batch: give a city to each, or batch_size=1"
    return [Finding("cameras", WARN, f"drives have unlike cameras ({told})", remedy)]


def _splits(city: CityFile, samples: dict[str, list[RigSample]]) -> list[Finding]:
    """Training and validation are there, and in unlike places."""
    missing = [name for name in ("train", "val") if name not in city.splits]
    if missing:
        reason = f"{city.path}: no drive is of the split {' or '.join(missing)}"
        return [Finding("splits", WARN, reason, "training needs train, and val says which epoch is the best")]
    found = []
    for place in city.maps:
        train, val = (
            _positions([d for d in city.drives if (d.split, d.place) == (split, place)], samples)
            for split in ("train", "val")
        )
        if not len(train) or not len(val):
            continue
        from scipy.spatial import KDTree

        near = int((KDTree(train).query(val)[0] <= REACH).sum())
        if near:
            reason = f"{place}: {near} of {len(val)} val samples lie within {REACH:g} m of a train sample"
            remedy = (
                "their score shows what was learnt by heart: put drives through one street into one split"
            )
            found.append(Finding("same place", WARN, reason, remedy))
    return found


def _positions(drives: Sequence[Drive], samples: dict[str, list[RigSample]]) -> np.ndarray:
    places = [np.asarray(s.ego2global)[:2, 3] for drive in drives for s in samples[drive.name]]
    return np.array(places).reshape(-1, 2)
