"""Building a GT cache: tables and maps in, one file out; parallel over scenes and resumable."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from mapllava.claims import sole_holder
from mapllava.errors import MapLLaVAError
from mapllava.files import cannot_write
from mapllava.geometry.clip import EDGE_MARGIN
from mapllava.geometry.frame_change import map_pose
from mapllava.gt_cache import schema, store
from mapllava.progress import progress_bar
from mapllava.sources.nuscenes.map_classes import check_classes
from mapllava.sources.nuscenes.map_layers import MapLayers, map_file, map_version
from mapllava.sources.nuscenes.splits import (
    TEST_VERSION,
    known_scene_names,
    resolve_split,
    split_source,
    test_scene_names,
)
from mapllava.sources.nuscenes.tables import TABLES, NuScenesTables, check_layout
from mapllava.startup import end_with_parent
from mapllava.structures.frames import ROI, MapSpec

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SceneJob:
    """One scene's work, small enough to send to another process.

    Args:
        dataroot: Root of the data set.
        location: Map of the scene.
        map_sha256: Hash of the map file, so that no process serves an older one.
        spec: What to cut out.
        entries: Entries without polylines.
        target: File that takes the finished entries.
    """

    dataroot: str
    location: str
    map_sha256: str
    spec: MapSpec
    entries: list[dict[str, Any]]
    target: Path


def build(
    dataroot: str | Path,
    version: str,
    split: str,
    out_dir: str | Path | None = None,
    roi: ROI | str | None = None,
    workers: int = 1,
    progress: bool = False,
    spec: MapSpec | None = None,
) -> Path:
    """Build the GT cache of a split, or leave it if it is there and current.

    An interrupted build goes on where it stopped: finished scenes lie in a folder beside the
    target, named after the fingerprint, until the cache is whole. Images are never opened.

    Args:
        dataroot: Root of a nuScenes-format data set (version folder, ``maps/expansion``).
        version: Version folder, e.g. ``v1.0-mini``.
        split: ``train``, ``val``, or a file (see :func:`~mapllava.sources.nuscenes.splits.resolve_split`).
            Scenes that the data set does not hold are left out and logged.
        out_dir: Folder of the cache; ``<dataroot>/gt_cache`` by default.
        roi: Region of interest, e.g. ``'60x30'``; instead of ``spec``.
        workers: Processes; 1 works in this one.
        progress: Show a progress bar on the terminal.
        spec: Frame, ROI and classes; the project's defaults without it.

    Returns:
        Path of the cache.

    Raises:
        MapLLaVAError: If arguments do not fit, something of the data set is missing or damaged, or
            the target cannot be written.
    """
    if workers < 1:
        raise MapLLaVAError(f"workers is {workers}: at least 1 is needed")
    root, wanted = Path(dataroot).expanduser(), _wanted_spec(roi, spec)
    target = schema.cache_path(root, version, split, out_dir)
    check_layout(root, version)
    tables = NuScenesTables(root, version)
    metainfo = _metainfo(tables, split, wanted, target)
    if _is_current(target, metainfo["fingerprint"], wanted, root):
        logger.info("%s is up to date", target)
        return target
    with sole_holder(target.with_name(f".{target.name}.lock"), f"{target} is being built", wait=True):
        if not _is_current(target, metainfo["fingerprint"], wanted, root):
            _make(tables, metainfo, wanted, target, workers, progress)
    return target


def _make(
    tables: NuScenesTables,
    metainfo: dict[str, Any],
    spec: MapSpec,
    target: Path,
    workers: int,
    progress: bool,
) -> None:
    """Build what no other process builds now."""
    parts = target.with_name(f"{target.stem}.parts-{metainfo['fingerprint'][:12]}")
    _drop_parts(target, keep=parts)
    try:
        parts.mkdir(parents=True, exist_ok=True)
        _run(_jobs(tables, metainfo, spec, parts), len(metainfo["scenes"]), workers, progress)
    except OSError as error:
        raise cannot_write(parts, error) from error
    content: dict[str, Any] = {"metainfo": metainfo, "data_list": _gather(parts, metainfo["scenes"])}
    metainfo["num_samples"] = len(content["data_list"])
    store.save(target, content)
    _drop_parts(target)


def _wanted_spec(roi: ROI | str | None, spec: MapSpec | None) -> MapSpec:
    if roi is not None and spec is not None:
        raise MapLLaVAError("roi and spec are both given: the specification has the ROI in it, pass one")
    if spec is None:
        spec = MapSpec(roi=ROI.parse(roi) if isinstance(roi, str) else roi or MapSpec().roi)
    check_classes(spec.classes)
    if min(spec.roi.width, spec.roi.height) <= 2 * EDGE_MARGIN:
        raise MapLLaVAError(
            f"roi {spec.roi.describe(spec.frame)} is too small: outlines are cut {EDGE_MARGIN} m "
            f"inside its edge, so more than {2 * EDGE_MARGIN} m are needed along and across"
        )
    return spec


def _metainfo(tables: NuScenesTables, split: str, spec: MapSpec, target: Path) -> dict[str, Any]:
    """Meta information of the cache to come (``num_samples`` still 0), with its scenes in order."""
    root, version = tables.dataroot, tables.version
    chosen = resolve_split(version, split)
    scenes = tables.present(chosen.scenes)
    unknown = sorted(set(chosen.scenes) - set(scenes) - known_scene_names())
    if unknown:
        raise MapLLaVAError(
            f"split {split} names {', '.join(unknown[:5])}{' …' if len(unknown) > 5 else ''}: "
            f"{root / version} has no such scene, nor has nuScenes; correct the names"
        )
    if len(scenes) < len(chosen.scenes):
        logger.warning(
            "%s has %d of the %d scenes of split %s, and %s will hold these alone%s",
            root / version, len(scenes), len(chosen.scenes), chosen.name, target,
            _elsewhere(version, split, set(chosen.scenes) - set(scenes)),
        )  # fmt: skip
    locations = sorted({tables.location(scene) for scene in scenes})
    sources = [root / version / f"{name}.json" for name in TABLES] + [
        map_file(root, name) for name in locations
    ]
    metainfo: dict[str, Any] = {
        "format_version": schema.FORMAT_VERSION,
        **spec.to_config(),
        "split": chosen.name,
        "version": version,
        "map_version": ",".join(sorted({map_version(root, name) for name in locations})),
        "num_samples": 0,
        "split_source": split_source(split),
        "scenes": scenes,
        "dataroot": str(root.resolve()),
        "tables": schema.digest_tables(root, sources),
    }
    return {**metainfo, "fingerprint": schema.fingerprint(metainfo)}


def _elsewhere(version: str, split: str, missing: set[str]) -> str:
    """Where the missing scenes are that nuScenes publishes in another version."""
    count = len(missing.intersection(test_scene_names()))
    if not count or version == TEST_VERSION:
        return ""
    return (
        f"; {count} of the others are in {TEST_VERSION}: unpack it and run again with "
        f"--version {TEST_VERSION} --split {split}, which makes a second cache beside this one"
    )


def _is_current(target: Path, fingerprint: str, spec: MapSpec, root: Path) -> bool:
    if not target.is_file():
        return False
    try:
        return store.load(target, expected=spec, dataroot=root)["metainfo"]["fingerprint"] == fingerprint
    except MapLLaVAError as error:
        logger.info("rebuilding: %s", str(error).partition(". Build")[0].splitlines()[0])
        return False


def _jobs(
    tables: NuScenesTables, metainfo: dict[str, Any], spec: MapSpec, parts: Path
) -> Iterator[SceneJob | None]:
    """The scenes' jobs, made when they are asked for; None for a scene that is finished already."""
    for scene in metainfo["scenes"]:
        target = parts / f"{scene}.pkl"
        if _finished(target):
            yield None
            continue
        location = tables.location(scene)
        digest = metainfo["tables"][
            map_file(tables.dataroot, location).relative_to(tables.dataroot).as_posix()
        ]
        entries = list(tables.entries(scene))
        yield SceneJob(str(tables.dataroot), location, digest["sha256"], spec, entries, target)


def _finished(part: Path) -> bool:
    try:
        return isinstance(store.load_plain(part), list)
    except (OSError, ValueError):
        return False


def _run(jobs: Iterator[SceneJob | None], total: int, workers: int, progress: bool) -> None:
    """Work through the jobs; at most a few per worker are held at a time."""
    with progress_bar("scenes", total, progress) as advance:
        if workers == 1:
            for job in jobs:
                if job is not None:
                    finish_scene(job)
                advance(1)
        else:
            _run_parallel(jobs, workers, advance)
    _layers.cache_clear()


def _run_parallel(jobs: Iterator[SceneJob | None], workers: int, advance: Any) -> None:
    with ProcessPoolExecutor(workers, initializer=end_with_parent) as pool:
        running: set[Future[None]] = set()
        try:
            while True:
                fresh = list(islice(jobs, max(1, 2 * workers - len(running))))
                advance(sum(job is None for job in fresh))
                running |= {pool.submit(finish_scene, job) for job in fresh if job is not None}
                if not running and not fresh:
                    return
                if running:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                    advance(len(done))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@lru_cache(maxsize=4)
def _layers(dataroot: str, location: str, map_sha256: str, classes: tuple[str, ...]) -> MapLayers:
    """A map, read once per process; the hash keeps a changed file from being served from memory."""
    return MapLayers.load(dataroot, location, classes)


def finish_scene(job: SceneJob) -> None:
    """Cut out the polylines of a scene's samples and write its finished entries.

    Raises:
        MapLLaVAError: If the map cannot be read.
    """
    layers = _layers(job.dataroot, job.location, job.map_sha256, job.spec.classes)
    finished = []
    for entry in job.entries:
        pose = map_pose(job.spec.frame, entry["lidar2ego"], entry["ego2global"])
        polylines = layers.polylines(pose, job.spec)
        finished.append({**entry, "polylines": [polyline.to_dict() for polyline in polylines]})
    store.dump_plain(job.target, finished)


def _gather(parts: Path, scenes: list[str]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for scene in scenes:
        try:
            entries.extend(store.load_plain(parts / f"{scene}.pkl"))
        except (OSError, ValueError) as error:
            raise MapLLaVAError(f"{parts / scene}.pkl: {error}; run the command again") from error
    return entries


def _drop_parts(target: Path, keep: Path | None = None) -> None:
    """Remove the folders of interrupted builds of this target, except one."""
    for folder in target.parent.glob(f"{target.stem}.parts-*"):
        if folder != keep:
            shutil.rmtree(folder, ignore_errors=True)
