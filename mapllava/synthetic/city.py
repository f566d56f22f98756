"""Builds a synthetic city on disk: plans scenes, writes tables and maps, renders images; in two formats."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.claims import sole_holder
from mapllava.errors import MapLLaVAError
from mapllava.files import atomic_write, remove_partial_files, write_json
from mapllava.progress import progress_bar
from mapllava.sources.argoverse2.sensor_log import CAMERAS
from mapllava.sources.nuscenes.splits import official_scene_names
from mapllava.synthetic import argoverse2
from mapllava.synthetic.map_json import MapWriter
from mapllava.synthetic.rig import FULL_SIZE, MOUNTS
from mapllava.synthetic.scene import LOCATIONS, Scene, SceneKey, build_scene, placed
from mapllava.synthetic.tables import LIDAR_FILE, image_path, map_mask_path, tables

PathOf = Callable[[Scene, str, int], str]

MARKER = "synthetic_city.json"
"""File in the data root that says the city is complete, and what it was made from."""
STRETCH = 50
"""Samples at most that share one painted ground."""
QUALITY = 90
GENERATOR = 2
"""Changes whenever the same options would give different data."""
FORMATS = {"nuscenes": FULL_SIZE, "argoverse2": argoverse2.FULL_SIZE}
"""What a city can be written as, and (width, height) of its images where nothing is said, pixels."""
VERSIONS = {"v1.0-mini": ("mini_train", "mini_val"), "v1.0-trainval": ("train", "val")}


@dataclass(frozen=True)
class CityOptions:
    """Options of a city; see :func:`mapllava.synthetic.create_city`."""

    version: str = "v1.0-mini"
    num_train_scenes: int | None = None
    num_val_scenes: int | None = None
    samples_per_scene: int | None = None
    image_size: tuple[int, int] = FULL_SIZE
    seed: int = 0
    images: bool = True
    format: str = "nuscenes"

    def check(self) -> None:
        """Refuse what cannot be made.

        Raises:
            MapLLaVAError: Naming the option, its value and what is possible.
        """
        if self.version not in VERSIONS:
            raise MapLLaVAError(f"version is '{self.version}'; possible are {', '.join(VERSIONS)}")
        if self.format not in FORMATS:
            raise MapLLaVAError(f"format is '{self.format}'; possible are {', '.join(FORMATS)}")
        if self.format == "argoverse2":
            argoverse2.check()
        width, height = self.image_size
        if not (32 <= width <= 4096 and 18 <= height <= 4096):
            raise MapLLaVAError(f"image_size is {width}x{height}; possible are 32x18 to 4096x4096 pixels")
        if self.samples_per_scene is not None and not 1 <= self.samples_per_scene <= 400:
            raise MapLLaVAError(f"samples_per_scene is {self.samples_per_scene}; possible are 1 to 400")
        if self.seed < 0:
            raise MapLLaVAError(f"seed is {self.seed}; it must not be negative")

    def to_dict(self) -> dict[str, Any]:
        """All options and the generator's number, as JSON stores them."""
        return {"generator": GENERATOR, **asdict(self), "image_size": list(self.image_size)}

    @property
    def num_cameras(self) -> int:
        """Of the car."""
        return len(MOUNTS) if self.format == "nuscenes" else len(CAMERAS)

    def scene_keys(self) -> list[SceneKey]:
        """The scenes, training scenes first, picked evenly from the official lists.

        Raises:
            MapLLaVAError: If more scenes are wanted than the official split has.
        """
        keys = []
        wishes = (self.num_train_scenes, self.num_val_scenes)
        for split, official, wish in zip(("train", "val"), VERSIONS[self.version], wishes, strict=True):
            names = official_scene_names(official)
            most = len(names)
            if self.format == "argoverse2":
                most = min(most, argoverse2.num_logs(split))
            count = most if wish is None else wish
            if not 0 <= count <= most:
                raise MapLLaVAError(
                    f"num_{split}_scenes is {count}, but {self.version} has {most} {split} scenes as "
                    f"{self.format}: give 0 to {most}, or another version ({', '.join(VERSIONS)})"
                )
            for index in range(count):
                samples = self.samples_per_scene or 40 + (index % 3 == 1)
                name = names[index * len(names) // count]
                keys.append(SceneKey(name, split, samples, self.image_size, self.seed))
        if not keys:
            raise MapLLaVAError(
                "num_train_scenes and num_val_scenes are both 0: a city needs at least one scene"
            )
        return keys


@dataclass(frozen=True)
class CitySummary:
    """What :func:`create_city` made or found.

    Attributes:
        path: The data root.
        version: nuScenes version whose scenes it has.
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
    image_size: tuple[int, int] | None = None,
    seed: int = 0,
    workers: int = 2,
    images: bool = True,
    progress: bool = True,
    overwrite: bool = False,
    format: str = "nuscenes",
) -> CitySummary:
    """Create a procedural city as a nuScenes data set, or the same streets and moments as one of Argoverse 2.

    The files appear under ``out_dir`` at once when all is done, never half. The same options give
    the same bytes, whatever the number of workers.

    Args:
        out_dir: Data root to create.
        version: 'v1.0-mini' (8 + 2 official scenes) or 'v1.0-trainval' (700 + 150).
        num_train_scenes: Training scenes, picked evenly from the official list; None for all.
        num_val_scenes: Validation scenes, likewise.
        samples_per_scene: Key frames (2 Hz) per scene; None for 40 or 41, as in nuScenes.
        image_size: (width, height) in pixels; intrinsics scale with it. None for the format's own.
        seed: Another seed is another city.
        workers: Processes.
        images: Whether to render; without, tables and maps only.
        progress: Show a progress bar.
        overwrite: Replace a city made with other options.
        format: 'nuscenes', or 'argoverse2': seven ring cameras, each scene a log with a map of its own. The
            front camera's images stand upright: (height, width).

    Returns:
        A summary.

    Raises:
        MapLLaVAError: If an option is impossible, or ``out_dir`` holds something else.
    """
    width, height = image_size or FORMATS.get(format, FULL_SIZE)
    counts = (num_train_scenes, num_val_scenes, samples_per_scene)
    options = CityOptions(version, *counts, (int(width), int(height)), seed, images, format)
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
        train, val = ([key.num_samples for key in keys if key.split == split] for split in ("train", "val"))
        images = options.num_cameras * sum(train + val) if options.images else 0
        counts = (len(train), len(val), sum(train), sum(val), images)
        summary = CitySummary("", options.version, *counts)
        write_json(partial / MARKER, {"options": options.to_dict(), "summary": asdict(summary)}, indent=1)
        if out.exists():
            shutil.rmtree(out)
    return replace(summary, path=str(out), seconds=round(time.perf_counter() - began, 1))


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
    old = {"format": "nuscenes", **stored.get("options", {})}  # cities of earlier versions do not name it
    if old == wanted:
        return CitySummary(**{**stored["summary"], "path": str(out), "reused": True})
    if overwrite:
        return None
    other = ", ".join(f"{k} {old.get(k)!r} instead of {v!r}" for k, v in wanted.items() if old.get(k) != v)
    raise MapLLaVAError(
        f"{out} holds a city with {other}: choose another folder, or overwrite it (--overwrite)"
    )


def _build(root: Path, options: CityOptions, keys: list[SceneKey], workers: int, progress: bool) -> None:
    scenes: list[Any] = [None] * len(keys)
    with _pool(workers) as submit:
        with progress_bar("streets ", len(keys), progress) as advance:
            for index, scene in submit(build_scene, [(key,) for key in keys]):
                scenes[index] = scene
                advance(1)
        if options.format == "argoverse2":
            scenes, folders = argoverse2.write_logs(root, scenes)
            path_of: PathOf = partial(argoverse2.image_path, folders)
        else:
            scenes, path_of = _write_nuscenes(root, options, scenes), image_path
        if not options.images:
            return
        jobs = [
            (root, scene, path_of, *ends) for scene in scenes for ends in _stretches(scene.key.num_samples)
        ]
        images = options.num_cameras * sum(key.num_samples for key in keys)
        with progress_bar("images  ", images, progress) as advance:
            for _, count in submit(render_stretch, jobs):
                advance(count)


def _stretches(samples: int) -> list[tuple[int, int]]:
    """Split a scene's samples into stretches that share one painted ground."""
    edges = np.linspace(0, samples, -(-samples // STRETCH) + 1).round().astype(int)
    return list(itertools.pairwise(edges.tolist()))


def render_stretch(root: Path, scene: Scene, path_of: PathOf, first: int, last: int) -> int:
    """Render and write the images of some of a scene's samples; returns their number.

    Args:
        root: Data root; the images' folders are there.
        scene: The scene.
        path_of: From scene, channel and time stamp to the image's path in the root.
        first: Number of the first sample.
        last: Number of the sample behind the last.
    """
    import cv2

    from mapllava.synthetic.render import SceneRenderer

    threads, quality = cv2.getNumThreads(), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    cv2.setNumThreads(1)
    try:
        renderer = SceneRenderer(scene, first, last)
        for index, times in enumerate(renderer.times.tolist()):
            for camera in range(1, len(scene.sensors)):
                path = root / path_of(scene, scene.sensors[camera].channel, times[camera])
                _, jpeg = cv2.imencode(".jpg", renderer.image(index, camera), quality)
                path.write_bytes(jpeg.tobytes())
    finally:
        cv2.setNumThreads(threads)
    return (last - first) * (len(scene.sensors) - 1)


def _write_nuscenes(root: Path, options: CityOptions, scenes: list[Scene]) -> list[Scene]:
    """Write maps, tables and the images' folders; returns the scenes in place."""
    scenes = _write_map(root, scenes)
    _write_tables(root / options.version, scenes)
    for sensor in scenes[0].sensors if options.images else ():
        (root / "samples" / sensor.channel).mkdir(parents=True, exist_ok=True)
    return scenes


def _write_map(root: Path, scenes: list[Scene]) -> list[Scene]:
    """Lay the scenes out, write the four map expansions and base maps; returns the scenes in place."""
    import cv2

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
    for name, records in tables(scenes).items():
        write_json(folder / f"{name}.json", records, indent=None)
    lidar = folder.parent / LIDAR_FILE
    lidar.parent.mkdir(parents=True)
    lidar.write_bytes(np.zeros(5, np.float32).tobytes())


@contextmanager
def _pool(workers: int) -> Iterator[Callable[[Callable, Iterable[tuple]], Iterator[tuple[int, Any]]]]:
    """Workers, or this process alone; it gives what runs a function on jobs: (number, result) when done."""
    if workers == 1:
        yield lambda function, jobs: enumerate(itertools.starmap(function, jobs))
        return
    executor = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))

    def submit(function: Callable, jobs: Iterable[tuple]) -> Iterator[tuple[int, Any]]:
        pending = {executor.submit(function, *job): number for number, job in enumerate(jobs)}
        for future in as_completed(pending):
            yield pending[future], future.result()

    try:
        yield submit
    finally:
        executor.shutdown(cancel_futures=True)
