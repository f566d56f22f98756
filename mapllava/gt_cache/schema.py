"""What a GT cache is made of: names, meta information, fingerprint and the checks on its content.

A cache is ``{'metainfo': {...}, 'data_list': [...]}`` (MMEngine's annotation form) of builtins and
numpy arrays. See :func:`check_content` for an entry.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.sources.map_source import DEFAULT_SOURCE, map_source, source_at
from mapllava.sources.nuscenes.tables import is_below_root
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_elements import Polyline

FORMAT_VERSION = 1
"""Raised whenever the content of a cache changes its meaning."""

METAINFO_TYPES: dict[str, type] = {
    "format_version": int,
    "frame": str,
    "roi": list,
    "classes": list,
    "split": str,
    "version": str,
    "map_version": str,
    "fingerprint": str,
    "num_samples": int,
    "split_source": str,
    "scenes": list,
    "dataroot": str,
    "tables": dict,
}
_ENTRY_TYPES: dict[str, type] = {
    "sample_token": str,
    "scene_token": str,
    "scene_name": str,
    "location": str,
    "timestamp": int,
    "lidar2ego": np.ndarray,
    "ego2global": np.ndarray,
    "cams": dict,
    "polylines": list,
}
_POLYLINE_TYPES: dict[str, type] = {"label": int, "points": np.ndarray, "closed": bool, "directed": bool}


def cache_path(
    dataroot: str | Path,
    version: str,
    split: str,
    out_dir: str | Path | None = None,
    source: str = DEFAULT_SOURCE,
) -> Path:
    """Where the cache of a split lies: ``<out_dir>/gt_cache_<version>_<split>.pkl``.

    Args:
        dataroot: Root of the data set.
        version: Version folder, e.g. ``v1.0-mini``.
        split: ``train``, ``val`` or a file as :func:`~mapllava.sources.nuscenes.splits.resolve_split`
            takes it; the mini splits share the names train and val.
        out_dir: Folder of the cache; ``<dataroot>/gt_cache`` by default.
        source: What kind of data set it is, one of :data:`mapllava.sources.map_source.SOURCES`.

    Raises:
        MapLLaVAError: If the split or the source is unknown.
    """
    label = map_source(source).split_label(version, split)
    folder = Path(out_dir).expanduser() if out_dir is not None else Path(dataroot) / "gt_cache"
    return folder / f"gt_cache_{version}_{label}.pkl"


def digest_file(path: Path) -> dict[str, Any]:
    """Size in bytes, SHA-256 and modification time (ns) of a file."""
    status = path.stat()
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"size": status.st_size, "sha256": digest, "mtime_ns": status.st_mtime_ns}


def digest_tables(dataroot: Path, paths: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """:func:`digest_file` of source tables, keyed by their path relative to the data root."""
    return {path.relative_to(dataroot).as_posix(): digest_file(path) for path in paths}


def changed_tables(metainfo: Mapping[str, Any], dataroot: Path) -> list[str]:
    """Source tables under ``dataroot`` that are not what the cache was built from.

    A table that is not there is not counted; one of the same size and modification time is
    trusted, any other of the same size is hashed.
    """
    changed = []
    for name, known in metainfo["tables"].items():
        path = dataroot / name
        if not path.is_file():
            continue
        status = path.stat()
        if (status.st_size, status.st_mtime_ns) == (known["size"], known["mtime_ns"]):
            continue
        if status.st_size != known["size"] or digest_file(path)["sha256"] != known["sha256"]:
            changed.append(name)
    return changed


def fingerprint(metainfo: Mapping[str, Any]) -> str:
    """SHA-256 over everything that decides a cache's content, the source tables included."""
    keys = ("format_version", "frame", "roi", "classes", "split", "version", "map_version", "scenes")
    facts: dict[str, Any] = {key: metainfo[key] for key in keys}
    if "source" in metainfo:
        facts["source"] = metainfo["source"]
    facts["tables"] = {name: [t["size"], t["sha256"]] for name, t in metainfo["tables"].items()}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def rebuild_command(
    path: Path,
    metainfo: Mapping[str, Any] | None = None,
    spec: MapSpec | None = None,
    out_dir: Path | None = None,
) -> str:
    """The command that builds the cache at ``path``.

    Args:
        path: The cache file; its name and folder fill in what ``metainfo`` lacks. The lists of a split of
            one's own are looked for in the working folder, the data root and beside the cache.
        metainfo: What is known: ``version``, ``split_source`` or ``split``, ``dataroot``.
        spec: The wanted specification.
        out_dir: Another folder for the cache than its own.

    Returns:
        A line for the shell; ``<…>`` stands for what nobody knows.
    """
    known = dict(metainfo or {})
    _, _, tail = path.stem.partition("gt_cache_")
    version, _, split = tail.partition("_")
    version = known.get("version") or version or "<version>"
    dataroot, beside_tables = _data_root(path, known.get("dataroot"), known.get("tables") or [version])
    source = source_of(known) if {"source", "tables"} & set(known) else source_at(dataroot)
    split = known.get("split_source") or known.get("split") or split
    if split:
        split = map_source(source).source_of_label(version, split, [Path(), Path(dataroot), path.parent])
    parts = ["mapllava", "cache", "create", "--dataroot", dataroot]
    parts += ["--source", source] if source != DEFAULT_SOURCE else []
    parts += ["--version", version]
    parts += ["--split", split or "<split>"]
    if spec is not None and spec != MapSpec():
        parts += ["--frame", spec.frame, f"--roi={spec.roi.describe(spec.frame)}", "--classes", *spec.classes]
    if out_dir is not None or not beside_tables:
        parts += ["--out-dir", str(out_dir or path.parent)]
    return " ".join(part if part.startswith("<") else shlex.quote(part) for part in parts)


def folder_beside(path: Path, known: Mapping[str, Any], spec: MapSpec) -> Path:
    """Folder for a cache of another specification, named after what differs: ``gt_cache_100x50``."""
    words = [spec.frame] if known["frame"] != spec.frame else []
    words += [spec.roi.describe(spec.frame).replace(",", "_")] if known["roi"] != spec.roi.to_list() else []
    words += spec.classes if known["classes"] != list(spec.classes) else []
    tag = "".join(f"_{word}" for word in words)
    return path.parent if path.parent.name.endswith(tag) else path.parent.with_name(path.parent.name + tag)


def _data_root(path: Path, known: str | None, within: Iterable[str]) -> tuple[str, bool]:
    """The data root of a cache, and whether the cache lies where the tool puts it by default.

    Args:
        path: The cache.
        known: Root that it was built from.
        within: What lies below a data root, paths relative to it.
    """
    above, names = path.parent.parent, list(within)

    def holds(root: Path) -> bool:
        return any((root / name).exists() for name in names)

    by_default = path.parent.name == "gt_cache"
    if by_default and not holds(above) and known and holds(Path(known)):
        by_default = False  # a folder of that name, but not the data set's
    return (str(above) if by_default else known or "<dataroot>"), by_default


def source_of(metainfo: Mapping[str, Any]) -> str:
    """Name of the source that a cache was built from."""
    return str(metainfo.get("source", DEFAULT_SOURCE))


def spec_of(metainfo: Mapping[str, Any]) -> MapSpec:
    """The specification that a cache's meta information states.

    Raises:
        MapLLaVAError: If it is not a valid one.
    """
    return MapSpec.from_config({key: metainfo[key] for key in ("frame", "roi", "classes")})


def check_content(content: Any) -> None:
    """Check form, types, shapes and ranges of a whole cache.

    Raises:
        ValueError: Naming the entry and the key that do not fit.
    """
    if not isinstance(content, dict) or set(content) != {"metainfo", "data_list"}:
        raise ValueError("it is not a dict with the keys metainfo and data_list")
    metainfo, data_list = content["metainfo"], content["data_list"]
    if not isinstance(data_list, list):
        raise ValueError("data_list is not a list")
    _check_metainfo(metainfo)
    if metainfo["num_samples"] != len(data_list):
        raise ValueError(f"metainfo.num_samples is {metainfo['num_samples']}, data_list has {len(data_list)}")
    seen: set[str] = set()
    for index, entry in enumerate(data_list):
        try:
            _check_entry(entry, len(metainfo["classes"]))
        except (ValueError, TypeError) as error:
            raise ValueError(f"data_list[{index}]: {error}") from error
        if entry["sample_token"] in seen:
            raise ValueError(f"data_list[{index}]: sample {entry['sample_token']} is there twice")
        seen.add(entry["sample_token"])


def _check_metainfo(metainfo: Any) -> None:
    _check_types(metainfo, METAINFO_TYPES, "metainfo")
    for key, kinds in (("roi", (int, float)), ("classes", (str,)), ("scenes", (str,))):
        if not all(type(value) in kinds for value in metainfo[key]):
            raise ValueError(f"metainfo.{key} holds something else than {kinds[0].__name__} values")
    try:
        map_source(source_of(metainfo))
    except MapLLaVAError as error:
        raise ValueError(f"metainfo.source: {error}") from error
    for name, table in metainfo["tables"].items():
        _check_types(table, {"size": int, "sha256": str, "mtime_ns": int}, f"metainfo.tables[{name!r}]")
        if not isinstance(name, str) or not is_below_root(name):
            raise ValueError(f"metainfo.tables names {name!r}, which is not a path below the data root")
    try:
        spec_of(metainfo)
    except MapLLaVAError as error:
        raise ValueError(f"metainfo: {error}") from error


def _check_types(value: Any, types: Mapping[str, type], where: str) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is a {type(value).__name__}, not a dict")
    for key, kind in types.items():
        if key not in value:
            raise ValueError(f"{where} lacks {key!r}")
        if type(value[key]) is not kind:
            raise ValueError(f"{where}.{key} is a {type(value[key]).__name__}, not a {kind.__name__}")


def _check_matrix(matrix: Any, size: int, where: str) -> None:
    if not isinstance(matrix, np.ndarray) or matrix.shape != (size, size) or matrix.dtype.kind != "f":
        raise ValueError(f"{where} is not a ({size}, {size}) array of floats")
    if not np.isfinite(matrix).all():
        raise ValueError(f"{where} holds a number that is not finite")


def _check_entry(entry: Any, num_classes: int) -> None:
    _check_types(entry, _ENTRY_TYPES, "entry")
    for key in ("lidar2ego", "ego2global"):
        _check_matrix(entry[key], 4, key)
    if not entry["cams"]:
        raise ValueError("cams is empty: a sample has at least one camera")
    for name, camera in entry["cams"].items():
        _check_types(camera, {"img_path": str, "timestamp": int}, name)
        if not is_below_root(camera["img_path"]):
            raise ValueError(f"{name}.img_path '{camera['img_path']}' is not a path below the data root")
        _check_matrix(camera.get("cam2img"), 3, f"{name}.cam2img")
        _check_matrix(camera.get("lidar2cam"), 4, f"{name}.lidar2cam")
    for data in entry["polylines"]:
        _check_types({"directed": False, **data}, _POLYLINE_TYPES, "polyline")
        label = Polyline.from_dict(data).label
        if label >= num_classes:
            raise ValueError(f"polyline label {label} is beyond the {num_classes} classes")
