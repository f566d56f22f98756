"""Data roots, GT caches and images: there, whole, and what they were when the caches were made."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from mapllava.config.components import argument
from mapllava.datasets.fit import misfits
from mapllava.datasets.transforms.loading import LoadMultiViewImages
from mapllava.doctor.context import Context, Source
from mapllava.engine.runner.run_checks import check_data
from mapllava.errors import MapLLaVAError
from mapllava.finding import FAIL, OK, SKIP, WARN, Finding
from mapllava.models.necks.bev_grid import heights_in_frame
from mapllava.resources import gigabytes
from mapllava.sources.folder.city_file import CITY_FILE, read_city_file
from mapllava.sources.nuscenes.map_layers import map_version
from mapllava.sources.nuscenes.tables import check_layout
from mapllava.structures.frames import MapSpec
from mapllava.synthetic.city import MARKER

_LEAST = {("v1.0-trainval", "train"): 10**6, ("v1.0-trainval", "val"): 5 * 10**5}  # bytes, real nuScenes
_NAMED = 3  # files that a message names
_TAIL = 64  # bytes


def roots(context: Context) -> Iterator[Finding]:
    """Every data root with version folder, tables and maps.

    Training reads caches and images only, so tables that are missing are no failure; but then nobody
    can tell whether a cache is current, nor make it again.
    """
    seen: set[tuple[Path, str]] = set()
    for source in context.sources:
        version = version_of(source)
        if (source.root, version) in seen:
            continue
        seen.add((source.root, version))
        if not source.root.is_dir():
            yield from Finding.refusals("data root", "", check_data, context.cfg, (source.loader,))
            continue
        yield Finding("data root", OK, f"{source.root}{' (synthetic)' if is_synthetic(source) else ''}")
        yield _own_city(source.root) if (source.root / CITY_FILE).is_file() else _tables(source.root, version)


def _own_city(root: Path) -> Finding:
    try:
        city = read_city_file(root)
    except MapLLaVAError as error:
        return Finding("city", WARN, str(error), f"all faults at once: mapllava data check {root}")
    return Finding("city", OK, f"{city.name}: {len(city.drives)} drives, {len(city.maps)} maps")


def _tables(root: Path, version: str) -> Finding:
    label = f"{version or 'version'}, maps"
    try:
        check_layout(root, version or "v1.0-trainval")
        tables = sorted((root / version).glob("*.json"))
        cut = [path.name for path in tables if not _ends_like_json(path)]
        maps = sorted(path.stem for path in (root / "maps" / "expansion").glob("*.json"))
        versions = sorted({map_version(root, location) for location in maps})
    except MapLLaVAError as error:
        reason = f"{str(error).splitlines()[0]}"
        remedy = "training reads the caches alone; to check or make them, restore what is missing"
        return Finding(label, WARN, reason, remedy)
    if cut:
        remedy = "unpack the version's metadata archive again"
        return Finding(label, FAIL, f"{', '.join(cut)} in {root / version} is cut short", remedy)
    return Finding(label, OK, f"{len(tables)} tables, {len(maps)} maps (expansion {', '.join(versions)})")


def caches(context: Context) -> Iterator[Finding]:
    """Every GT cache: there, whole, made for this config, current, and of a plausible size."""
    tokens: dict[str, set[str]] = {}
    for source in context.sources:
        label = f"{loader_name(source)} cache"
        if not source.root.is_dir():
            yield Finding(label, SKIP, f"not looked at: its data root {source.root} is missing")
            continue
        try:
            content = context.cache(source)
        except MapLLaVAError as error:
            yield Finding.from_error(label, error, "make it again: mapllava cache create")
            continue
        tokens[loader_name(source)] = {entry["sample_token"] for entry in content["data_list"]}
        yield _judge(label, source, content)
        yield from _fit(loader_name(source), content["data_list"], context.cfg)
    both = tokens.get("train", set()) & (tokens.get("val", set()) | tokens.get("test", set()))
    if both:
        reason = f"{len(both)} samples are trained on and validated on: the score will say nothing"
        yield Finding("splits", WARN, reason, "give val_dataloader another ann_file, unless this is meant")
    elif {"train"} < set(tokens):
        yield Finding("splits", OK, "training and validation share no sample")


def _judge(label: str, source: Source, content: Mapping[str, Any]) -> Finding:
    meta, entries = content["metainfo"], content["data_list"]
    size = source.cache.stat().st_size
    counts = np.zeros(len(meta["classes"]), dtype=int)
    for entry in entries:
        for line in entry["polylines"]:
            counts[line["label"]] += 1
    lines = ", ".join(f"{count:,} {name}" for name, count in zip(meta["classes"], counts, strict=True))
    there = any((source.root / name).is_file() for name in meta["tables"])
    fresh = "current" if there else "no tables to compare with"
    reason = f"{source.cache.name}, {gigabytes(size)}, {fresh}: {len(entries):,} samples, {lines}"
    remedy = f"make it again and compare: mapllava cache verify {source.cache}"
    least = 0 if is_synthetic(source) else _LEAST.get((meta["version"], meta["split"]), 0)
    if not entries or not counts.any():
        return Finding(label, FAIL, f"{reason}: there is nothing to learn", remedy)
    if size < least:
        return Finding(label, FAIL, f"{reason}; at least {gigabytes(least)} are expected of it", remedy)
    if not counts.all():
        names = ", ".join(name for name, count in zip(meta["classes"], counts, strict=True) if not count)
        reason = f"{reason}; a class without lines counts 0 in mAP: {names}"
        return Finding(label, WARN, reason, "take the class out of map_spec, or use more data")
    return Finding(label, OK, reason)


def _fit(name: str, entries: Sequence[Mapping[str, Any]], cfg: Config) -> Iterator[Finding]:
    """The model predicts as many elements as there are, and looks for the ground where it is."""
    spec = MapSpec.from_config(dict(cfg.map_spec))
    limits = [argument(cfg.model.get("map_queries"), "num_instances")]
    if name != "train":
        limits.append(argument(cfg.model.get("head"), "max_predictions"))
    heights = argument(cfg.model.get("neck"), "heights")
    lidar = heights is not None and spec.frame == "lidar"
    ground = heights_in_frame(heights, spec.frame)[0] if lidar else None
    for found in misfits(lambda: entries, spec, limits, ground):
        yield replace(found, name=f"{name} {found.name}")


def images(context: Context) -> Iterator[Finding]:
    """Every image file that a cache names is there; those of some samples are decoded whole."""
    listing = lru_cache(maxsize=None)(_names)
    for source in context.sources:
        label = f"{loader_name(source)} images"
        try:
            entries = context.cache(source)["data_list"]
        except MapLLaVAError:
            yield Finding(label, SKIP, "not looked at: there is no cache that names them")
            continue
        paths = [source.root / camera["img_path"] for entry in entries for camera in entry["cams"].values()]
        missing = [path for path in paths if path.name not in listing(path.parent)]
        if missing:
            named = ", ".join(map(str, missing[:_NAMED]))
            reason = f"{len(missing):,} of {len(paths):,} files are missing, the first {named}"
            yield Finding(label, FAIL, reason, f"complete the data in {source.root}, or set data_root")
            continue
        chosen = entries
        if 0 < context.samples < len(entries):
            chosen = random.Random(0).sample(entries, context.samples)
        broken = [problem for entry in chosen if (problem := _decode(entry, source.root))]
        if broken:
            reason = f"{len(broken)} of {len(chosen)} samples do not decode: {broken[0]}"
            remedy = f"fetch it again from where {source.root} came from; --samples 0 looks at every image"
            yield Finding(label, FAIL, reason, remedy)
        else:
            reason = f"all {len(paths):,} files are there; those of {len(chosen)} samples decode"
            yield Finding(label, OK, reason)


def _decode(entry: Mapping[str, Any], root: Path) -> str:
    """What is wrong with a sample's images; empty if nothing is."""
    cams = entry["cams"]
    results = {
        "img_paths": [str(root / camera["img_path"]) for camera in cams.values()],
        "cam_names": list(cams),
        "cam2img": np.stack([camera["cam2img"] for camera in cams.values()]),
    }
    try:
        LoadMultiViewImages().transform(results)
    except MapLLaVAError as error:
        return str(error)
    return ""


def _names(folder: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


def _ends_like_json(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _TAIL))
        return stream.read().rstrip().endswith((b"]", b"}"))


def loader_name(source: Source) -> str:
    """``train``, ``val`` or ``test``."""
    return source.loader.removesuffix("_dataloader")


def is_synthetic(source: Source) -> bool:
    """Whether the data root holds a city of ours."""
    return (source.root / MARKER).is_file()


def version_of(source: Source) -> str:
    """Version folder that a cache's name states, e.g. ``v1.0-mini``; empty for another name."""
    head, _, tail = source.cache.stem.partition("gt_cache_")
    return tail.partition("_")[0] if not head else ""
