"""A results file as GeoJSON: where its samples were comes from itself, or from a GT cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.formats.geojson import FRAMES, file_name, frame_of, write_geojson
from mapllava.evaluation.results_file import MapResults, check_fits
from mapllava.evaluation.sample_record import Display, SampleRecord
from mapllava.gt_cache.location import crs_of_entry

_SUFFIX, _LOCAL = ".geojson", ".local.geojson"


@dataclass(frozen=True)
class SavedGeoJSON:
    """What a GeoJSON file holds.

    Attributes:
        path: The file.
        frame: One of :data:`~mapllava.evaluation.formats.geojson.FRAMES`.
        num_lines: Its features.
        locations: Names of the maps.
        accuracy: Metres, of the way to WGS84; None where PROJ states none.
    """

    path: Path
    frame: str
    num_lines: int
    locations: tuple[str, ...]
    accuracy: float | None


def record_of_entry(entry: Mapping[str, Any]) -> SampleRecord:
    """Where and when a sample of a GT cache was; its images are left out.

    Args:
        entry: Of ``data_list``.
    """
    poses = (entry["lidar2ego"], entry["ego2global"])
    return SampleRecord(
        entry["scene_name"], entry["timestamp"], *poses, crs_of_entry(entry), entry["location"]
    )


def records_of(results: MapResults, cache: Mapping[str, Any] | None = None) -> dict[str, SampleRecord]:
    """Where and when each sample of the results was.

    Args:
        results: The maps; what they say themselves comes first.
        cache: What :func:`mapllava.gt_cache.load` returns, for the rest.

    Raises:
        MapLLaVAError: If the cache does not fit, or a sample is in neither.
    """
    found: dict[str, SampleRecord] = {}
    if cache is not None:
        check_fits(results, cache)
        found = {entry["sample_token"]: record_of_entry(entry) for entry in cache["data_list"]}
    records = {token: results.samples.get(token) or found.get(token) for token in results.results}
    unknown = [token for token, record in records.items() if record is None]
    if unknown:
        raise MapLLaVAError(
            f"{results.name}: it does not say where {len(unknown)} of its samples were, the first of them "
            f"{unknown[0]}: give the GT cache of their split (--cache)"
        )
    return {token: record for token, record in records.items() if record is not None}


def save_geojson(
    path: str | Path,
    results: MapResults,
    cache: Mapping[str, Any] | None = None,
    display: Display | None = None,
    local: bool = False,
    ground_truth: bool = False,
) -> SavedGeoJSON:
    """Write maps as GeoJSON.

    Args:
        path: ``*.geojson``; ``*.local.geojson`` where the lines have no place on earth.
        results: The maps.
        cache: Where the samples were, for results that do not say it.
        display: From which score on a line is written; None takes the results' own, or the fallback.
        local: Metres although the place on earth is known.
        ground_truth: Also write the cache's lines.

    Returns:
        What the file holds.

    Raises:
        MapLLaVAError: If nobody says where a sample was; only some of them lie on earth; the name does not
            fit what would be written; or there is no sample.
    """
    path = Path(path)
    records = records_of(results, cache)
    if not records:
        raise MapLLaVAError(f"{results.name}: it holds no sample at all: predict again")
    frame = _frame(records, local)
    stem = path.name.removesuffix(_LOCAL).removesuffix(_SUFFIX)
    if path.name != file_name(stem, frame):
        raise MapLLaVAError(
            f"'{path}': the coordinates are {FRAMES[frame]}, so name the file '{file_name(stem, frame)}'"
        )
    if ground_truth and cache is None:
        raise MapLLaVAError("ground truth is wanted, but no GT cache is given: say --cache")
    truth = {e["sample_token"]: e["polylines"] for e in cache["data_list"]} if ground_truth and cache else {}
    shown = display or results.display
    with write_geojson(path.parent, stem, results.map_spec, shown, frame, results.prompt) as stream:
        for token, entry in results.results.items():
            stream.add(token, entry, records[token], truth.get(token, ()))
    return SavedGeoJSON(path, frame, stream.num_lines, tuple(sorted(stream.locations)), stream.accuracy)


def _frame(records: Mapping[str, SampleRecord], local: bool) -> str:
    frames = {token: frame_of(record) for token, record in records.items()}
    kinds = set(frames.values())
    if local or "wgs84" not in kinds:
        return "ego" if "ego" in kinds else "world"
    if len(kinds) > 1:
        lost = next(token for token, frame in frames.items() if frame != "wgs84")
        raise MapLLaVAError(
            f"sample {lost}: where on earth it lies is not known, of other samples it is: convert them "
            "apart, or write all in metres (--local)"
        )
    return "wgs84"
