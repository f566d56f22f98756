"""Builds a synthetic city on disk: plans scenes, writes tables and maps, renders images."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.claims import sole_holder
from mapllava.errors import MapLLaVAError
from mapllava.files import atomic_write, remove_partial_files, write_json
from mapllava.synthetic.map_json import MapWriter
from mapllava.synthetic.options import CityOptions
from mapllava.synthetic.scene import LOCATIONS, Scene, SceneKey, build_scene, placed
from mapllava.synthetic.tables import LIDAR_FILE, image_path, map_mask_path, tables

MARKER = "synthetic_city.json"
"""File in the data root that says the city is complete, and what it was made from."""
STRETCH = 50
QUALITY = 90


@dataclass(frozen=True)
class CitySummary:
    """What :func:`create_city` made or found.

    Attributes:
        path: The data root.
        version: nuScenes version folder.
        train_scenes: Number of training scenes; likewise ``val_scenes``.
        train_samples: Number of training samples; likewise ``val_samples``.
        images: Number of images.
        seconds: Time taken; 0 when the city was there already.
        reused: Whether the city was there already.
    """

    path: str
    version: str
    train_scenes: int
    val_scenes: int
    train_samples: int
    val_samples: int
    images: int
    seconds: float = 0.0
    reused: bool = False


def create_city(
    out_dir: str | os.PathLike[str],
    version: str = "v1.0-mini",
    num_train_scenes: int | None = None,
    num_val_scenes: int | None = None,
    samples_per_scene: int | None = None,
    image_size: tuple[int, int] = (1600, 900),
    seed: int = 0,
    workers: int = 2,
    images: bool = True,
    progress: bool = True,
    overwrite: bool = False,
) -> CitySummary:
    """Create a procedural city as a nuScenes data set.

    The files appear under ``out_dir`` at once when all is done, never half. The same options give
    the same bytes, whatever the number of workers.

    Args:
        out_dir: Data root to create.
        version: 'v1.0-mini' (8 + 2 official scenes) or 'v1.0-trainval' (700 + 150).
        num_train_scenes: Training scenes, picked evenly from the official list; None for all.
        num_val_scenes: Validation scenes, likewise.
        samples_per_scene: Key frames (2 Hz) per scene; None for 40 or 41, as in nuScenes.
        image_size: (width, height) in pixels; intrinsics scale with it.
        seed: Another seed is another city.
        workers: Processes.
        images: Whether to render; without, tables and maps only.
        progress: Show a progress bar.
        overwrite: Replace a city made with other options.

    Returns:
        A summary.

    Raises:
        MapLLaVAError: If an option is impossible, or ``out_dir`` holds something else.
    """
    size = (int(image_size[0]), int(image_size[1]))
    options = CityOptions(version, num_train_scenes, num_val_scenes, samples_per_scene, size, seed, images)
    options.check()
    if workers < 1:
        raise MapLLaVAError(f"workers is {workers}; at least 1 is needed")
    out = Path(out_dir).resolve()
    found = _found(out, options, overwrite)
    if found is not None:
        return found
    with sole_holder(out.parent / f".{out.name}.lock", f"{out} is being made", wait=True):
        return _found(out, options, overwrite) or _make(out, options, workers, progress)


def _make(out: Path, options: CityOptions, workers: int, progress: bool) -> CitySummary:
    """Make the city, whole or not at all; a city with other options that is there gives way."""
    began, keys = time.perf_counter(), options.scene_keys()
    remove_partial_files(out.parent, of=out.name)
    with atomic_write(out) as partial:
        partial.mkdir()
        _build(partial, options, keys, workers, progress)
        summary = _summary(out, options, keys, time.perf_counter() - began)
        marker = {"options": options.to_dict(), "summary": {**asdict(summary), "path": "", "seconds": 0.0}}
        write_json(partial / MARKER, marker, indent=1)
        if out.exists():
            shutil.rmtree(out)
    return summary


def _summary(out: Path, options: CityOptions, keys: list[SceneKey], seconds: float) -> CitySummary:
    train = [key.num_samples for key in keys if key.split == "train"]
    val = [key.num_samples for key in keys if key.split == "val"]
    images = 6 * sum(train + val) if options.images else 0
    counts = (len(train), len(val), sum(train), sum(val), images)
    return CitySummary(str(out), options.version, *counts, seconds=round(seconds, 1))


def _found(out: Path, options: CityOptions, overwrite: bool) -> CitySummary | None:
    """The summary of a finished city with the same options; None where one may be written."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    marker = out / MARKER
    if not marker.is_file():
        raise MapLLaVAError(
            f"{out} exists and is no synthetic city ({MARKER} is missing): choose another folder"
        )
    stored = json.loads(marker.read_text(encoding="utf-8"))
    wanted = options.to_dict()
    if stored.get("options") == wanted:
        return CitySummary(**{**stored["summary"], "path": str(out), "reused": True})
    if overwrite:
        return None
    old = stored.get("options", {})
    other = ", ".join(f"{k} {old.get(k)!r} instead of {v!r}" for k, v in wanted.items() if old.get(k) != v)
    raise MapLLaVAError(
        f"{out} holds a city with {other}: choose another folder, or overwrite it (--overwrite)"
    )


def _build(root: Path, options: CityOptions, keys: list[SceneKey], workers: int, progress: bool) -> None:
    with _bar(progress) as bar, _pool(workers) as submit:
        task = bar.add_task("streets", total=len(keys)) if bar else None
        scenes: list[Any] = [None] * len(keys)
        for index, scene in submit(build_scene, [(key,) for key in keys]):
            scenes[index] = scene
            if bar:
                bar.advance(task)
        scenes = _write_map(root, scenes)
        _write_tables(root / options.version, scenes)
        if options.images:
            jobs = [
                (root, scene, *stretch) for scene in scenes for stretch in _stretches(scene.key.num_samples)
            ]
            task = bar.add_task("images", total=6 * sum(key.num_samples for key in keys)) if bar else None
            for sensor in scenes[0].sensors:
                (root / "samples" / sensor.channel).mkdir(parents=True, exist_ok=True)
            for _, count in submit(render_stretch, jobs):
                if bar:
                    bar.advance(task, count)


def _stretches(samples: int) -> list[tuple[int, int]]:
    """Split a scene's samples into stretches that share one painted ground."""
    edges = np.linspace(0, samples, -(-samples // STRETCH) + 1).round().astype(int)
    return [(int(a), int(b)) for a, b in itertools.pairwise(edges)]


def render_stretch(root: Path, scene: Scene, first: int, last: int) -> int:
    """Render and write the images of some of a scene's samples; returns their number."""
    import cv2

    from mapllava.synthetic.render import SceneRenderer

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        renderer = SceneRenderer(scene, first, last)
        for index in range(last - first):
            for camera in range(1, len(scene.sensors)):
                time_stamp = int(renderer.times[index, camera])
                path = root / image_path(scene, scene.sensors[camera].channel, time_stamp)
                _, jpeg = cv2.imencode(
                    ".jpg", renderer.image(index, camera), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
                )
                path.write_bytes(jpeg.tobytes())
    finally:
        cv2.setNumThreads(threads)
    return (last - first) * (len(scene.sensors) - 1)


def _write_map(root: Path, scenes: list[Scene]) -> list[Scene]:
    """Lay the scenes out, write the four map expansions and base maps; returns the scenes in place."""
    import cv2

    (root / "maps" / "expansion").mkdir(parents=True)
    where: dict[str, Scene] = {}
    for location in LOCATIONS:
        here, canvas = placed([scene for scene in scenes if scene.key.location == location])
        writer = MapWriter(location, canvas)
        for scene in here:
            writer.add(scene.district)
            where[scene.key.name] = scene
        write_json(root / "maps" / "expansion" / f"{location}.json", writer.document(), indent=None)
        cv2.imwrite(str(root / map_mask_path(location)), np.zeros((16, 16), np.uint8))
    return [where[scene.key.name] for scene in scenes]


def _write_tables(folder: Path, scenes: list[Scene]) -> None:
    folder.mkdir(parents=True)
    for name, records in tables(scenes).items():
        write_json(folder / f"{name}.json", records, indent=None)
    lidar = folder.parent / LIDAR_FILE
    lidar.parent.mkdir(parents=True)
    lidar.write_bytes(np.zeros(5, np.float32).tobytes())


def _bar(progress: bool) -> Any:
    if not progress:
        return nullcontext()
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


class _pool:
    """Runs jobs in worker processes (in this one where a single worker is asked for)."""

    def __init__(self, workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.executor = ProcessPoolExecutor(workers, mp_context=context) if workers > 1 else None

    def __enter__(self) -> Callable[[Callable, Iterable[tuple]], Iterator[tuple[int, Any]]]:
        return self._submit

    def __exit__(self, *exc: object) -> None:
        if self.executor:
            self.executor.shutdown(cancel_futures=True)

    def _submit(self, function: Callable, jobs: Iterable[tuple]) -> Iterator[tuple[int, Any]]:
        """Yield (job's number, result) as jobs finish."""
        if self.executor is None:
            for index, job in enumerate(jobs):
                yield index, function(*job)
            return
        pending = {self.executor.submit(function, *job): index for index, job in enumerate(jobs)}
        while pending:
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                yield pending.pop(future), future.result()
