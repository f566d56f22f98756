"""Building a GT cache: tables and maps in, one file out; parallel over scenes and resumable."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
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
from mapllava.sources.map_source import DEFAULT_SOURCE, MapSource, SourceMap, map_source
from mapllava.startup import end_with_parent
from mapllava.structures.frames import ROI, MapSpec

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SceneJob:
    """One scene's work, small enough to send to another process.

    Args:
        source: Name of the source, see :data:`mapllava.sources.map_source.SOURCES`.
        dataroot: Root of the data set.
        map_name: Map of the scene.
        sources_sha256: Hash of the source's files, so that no process serves an older map.
        spec: What to cut out.
        entries: Entries without polylines.
        target: File that takes the finished entries.
    """

    source: str
    dataroot: str
    map_name: str
    sources_sha256: str
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
    source: str = DEFAULT_SOURCE,
) -> Path:
    """Build the GT cache of a split, or leave it if it is there and current.

    An interrupted build goes on where it stopped: finished scenes lie in a folder beside the
    target, named after the fingerprint, until the cache is whole. Images are never opened.

    Args:
        dataroot: Root of the data set; of nuScenes' format: version folder, ``maps/expansion``.
        version: Version, e.g. the folder ``v1.0-mini``.
        split: ``train``, ``val``; of nuScenes also a file (see
            :func:`~mapllava.sources.nuscenes.splits.resolve_split`). Scenes that the data set does not hold
            are left out and logged.
        out_dir: Folder of the cache; ``<dataroot>/gt_cache`` by default.
        roi: Region of interest, e.g. ``'60x30'``; instead of ``spec``.
        workers: Processes; 1 works in this one.
        progress: Show a progress bar on the terminal.
        spec: Frame, ROI and classes; the project's defaults without it.
        source: What kind of data set it is, one of :data:`mapllava.sources.map_source.SOURCES`.

    Returns:
        Path of the cache.

    Raises:
        MapLLaVAError: If arguments do not fit, something of the data set is missing or damaged, or
            the target cannot be written.
    """
    if workers < 1:
        raise MapLLaVAError(f"workers is {workers}: at least 1 is needed")
    root, kind = Path(dataroot).expanduser(), map_source(source)
    wanted = _wanted_spec(roi, spec)
    kind.check_classes(wanted.classes)
    target = schema.cache_path(root, version, split, out_dir, source)
    data = kind(root, version)
    metainfo = _metainfo(data, source, split, wanted, target)
    if _is_current(target, metainfo["fingerprint"], wanted, root):
        logger.info("%s is up to date", target)
        return target
    with sole_holder(target.with_name(f".{target.name}.lock"), f"{target} is being built", wait=True):
        if not _is_current(target, metainfo["fingerprint"], wanted, root):
            _make(data, metainfo, wanted, target, workers, progress)
    return target


def _make(
    data: MapSource,
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
        _run(_jobs(data, metainfo, spec, parts), len(metainfo["scenes"]), workers, progress)
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
    if min(spec.roi.width, spec.roi.height) <= 2 * EDGE_MARGIN:
        raise MapLLaVAError(
            f"roi {spec.roi.describe(spec.frame)} is too small: outlines are cut {EDGE_MARGIN} m "
            f"inside its edge, so more than {2 * EDGE_MARGIN} m are needed along and across"
        )
    return spec


def _metainfo(data: MapSource, source: str, split: str, spec: MapSpec, target: Path) -> dict[str, Any]:
    """Meta information of the cache to come (``num_samples`` still 0), with its scenes in order."""
    chosen = data.chosen(split, target)
    metainfo: dict[str, Any] = {
        "format_version": schema.FORMAT_VERSION,
        **spec.to_config(),
        "split": chosen.name,
        "version": data.version,
        "map_version": data.map_version(chosen.scenes),
        "num_samples": 0,
        "split_source": data.split_source(split),
        "scenes": list(chosen.scenes),
        "dataroot": str(data.dataroot.resolve()),
        "tables": schema.digest_tables(data.dataroot, data.files(chosen.scenes)),
    }
    if source != DEFAULT_SOURCE:  # of nuScenes' caches nothing changes
        metainfo["source"] = source
    return {**metainfo, "fingerprint": schema.fingerprint(metainfo)}


def _is_current(target: Path, fingerprint: str, spec: MapSpec, root: Path) -> bool:
    if not target.is_file():
        return False
    try:
        return store.load(target, expected=spec, dataroot=root)["metainfo"]["fingerprint"] == fingerprint
    except MapLLaVAError as error:
        logger.info("rebuilding: %s", str(error).partition(". Build")[0].splitlines()[0])
        return False


def _jobs(data: MapSource, metainfo: dict[str, Any], spec: MapSpec, parts: Path) -> Iterator[SceneJob | None]:
    """The scenes' jobs, made when they are asked for; None for a scene that is finished already."""
    for scene in metainfo["scenes"]:
        target = parts / f"{scene}.pkl"
        yield None if _finished(target) else scene_job(data, metainfo, spec, scene, target)


def scene_job(
    data: MapSource, metainfo: Mapping[str, Any], spec: MapSpec, scene: str, target: Path
) -> SceneJob:
    """The work that a scene is.

    Args:
        data: The data set.
        metainfo: Of the cache.
        spec: What to cut out.
        scene: Its name.
        target: File that takes the finished entries.
    """
    kind = metainfo.get("source", DEFAULT_SOURCE)
    where = (str(data.dataroot), data.map_name(scene), metainfo["fingerprint"])
    return SceneJob(kind, *where, spec, list(data.entries(scene)), target)


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
def _layers(
    source: str, dataroot: str, map_name: str, sources_sha256: str, classes: tuple[str, ...]
) -> SourceMap:
    """A map, read once per process; the hash keeps a changed file from being served from memory."""
    return map_source(source).read_map(Path(dataroot), map_name, classes)


def finish_scene(job: SceneJob) -> None:
    """Cut out the polylines of a scene's samples and write its finished entries.

    Raises:
        MapLLaVAError: If the map cannot be read.
    """
    layers = _layers(job.source, job.dataroot, job.map_name, job.sources_sha256, job.spec.classes)
    store.dump_plain(job.target, [with_polylines(entry, layers, job.spec) for entry in job.entries])


def with_polylines(entry: Mapping[str, Any], layers: SourceMap, spec: MapSpec) -> dict[str, Any]:
    """An entry with its polylines, cut out of its map."""
    pose = map_pose(spec.frame, entry["lidar2ego"], entry["ego2global"])
    polylines = layers.polylines(pose, spec)
    return {**entry, "polylines": [polyline.to_dict() for polyline in polylines]}


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
