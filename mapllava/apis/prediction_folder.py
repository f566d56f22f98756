"""The files of a prediction, written while the model goes on: results, GeoJSON, pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mapllava.apis.asked_pictures import asked_to_draw
from mapllava.apis.map_inferencer import RigPrediction
from mapllava.apis.model_frame import projections
from mapllava.errors import MapLLaVAError
from mapllava.evaluation.formats.geojson import PlaceError, file_name, write_geojson
from mapllava.evaluation.results_writer import write_results_stream
from mapllava.evaluation.sample_record import Display, SampleRecord
from mapllava.files import cannot_write, remove_partial_files, safe_name
from mapllava.language import Parsed
from mapllava.structures import MapSpec
from mapllava.visualization.asked import Asked
from mapllava.visualization.draw_files import DrawJob, Workers, draw_files, reduced

RESULTS, GEOJSON, PICTURES = "predictions.results.json", "map", "pictures"
KINDS = ("png", "svg")
_TEXTS = (RESULTS, *(file_name(GEOJSON, frame) for frame in ("wgs84", "world")))
_WAITING = 3  # jobs per worker that wait to be drawn; bounds the memory


def draw_job(
    found: RigPrediction,
    map_spec: MapSpec,
    files: tuple[Path, ...],
    display: Display | None = None,
    asked: Asked | None = None,
) -> DrawJob:
    """What draws a prediction; see :class:`~mapllava.visualization.draw_files.DrawJob`."""
    rig = found.pinhole.rig
    matrices = projections(rig, found.lidar2ego, map_spec.frame)
    images, shown = zip(*map(reduced, found.pinhole.images, matrices), strict=True)
    meta = {
        "map_spec": map_spec.to_config(),
        "lidar2ego": found.lidar2ego,
        "sample_token": found.sample.token,
        "scene_name": found.sample.scene,
    }
    names = tuple(camera.name for camera in rig.cameras)
    return DrawJob(files, meta, names, images, np.stack(shown), found.lines, display, asked)


class PredictionFolder:
    """Takes predictions one by one and makes files of them; pictures are drawn by other processes.

    Use it as a context: on leaving, the results and the GeoJSON appear, whole, or not at all where an
    exception leaves with it. The files of an earlier prediction go when this one's first sample is there.
    A sample without a place in the coordinates of the GeoJSON's first is left out there; the results hold it.

    Args:
        folder: Where to; made if missing.
        map_spec: The model's.
        display: From which score on a line is drawn; None takes the fallback of the pictures.
        pictures: Kinds of pictures of each sample, of ``KINDS``; none at all where empty.
        workers: Processes that draw; 0 draws in this one, which is sooner done for a sample or two.
        prompt: What the maps are cut by; None for whole ones.

    Attributes:
        count: Samples taken so far.
        files: What there is to look at, known on leaving.
        without_place: Why samples are not in the GeoJSON, one text each.
    """

    def __init__(
        self,
        folder: str | Path,
        map_spec: MapSpec,
        display: Display | None = None,
        pictures: Sequence[str] = KINDS,
        workers: int = 0,
        prompt: Parsed | None = None,
    ) -> None:
        unknown = sorted(set(pictures) - set(KINDS))
        if unknown:
            raise MapLLaVAError(f"pictures of kind {', '.join(unknown)}: there are {', '.join(KINDS)}")
        self.folder, self.map_spec, self.display, self.prompt = Path(folder), map_spec, display, prompt
        self.kinds = tuple(pictures)
        self.count = 0
        self.files: list[Path] = []
        self.without_place: list[str] = []
        self._names: set[str] = set()
        self._limit = _WAITING * workers
        self._drawing: deque[Future] = deque()
        self._pool = Workers(workers) if pictures and workers else None
        self._open = ExitStack()

    def __enter__(self) -> PredictionFolder:
        (self.folder / PICTURES if self.kinds else self.folder).mkdir(parents=True, exist_ok=True)
        for name in _TEXTS:  # of a run that was killed
            remove_partial_files(self.folder, of=name)
        remove_partial_files(self.folder / PICTURES)
        facts: dict[str, Any] = {"map_spec": self.map_spec, "display": self.display, "prompt": self.prompt}
        self._results = self._open.enter_context(write_results_stream(self.folder / RESULTS, **facts))
        self._geojson = self._open.enter_context(write_geojson(self.folder, GEOJSON, **facts))
        return self

    def wait_for_workers(self) -> None:
        """Return when all that draw are ready; a measurement begins then."""
        if self._pool is not None:
            self._pool.wait()

    def add(self, found: RigPrediction) -> None:
        """Take a prediction.

        Raises:
            MapLLaVAError: If a file cannot be written, also one of a sample before.
        """
        if not self.count:
            self._remove_older()
        token = found.sample.token
        entry = {key: getattr(found.lines, key) for key in ("points", "labels", "scores")}
        record = SampleRecord.of(found.sample, found.lidar2ego)
        self._results.add(token, entry, record)
        try:
            self._geojson.add(token, entry, record)
        except PlaceError as error:
            self.without_place.append(str(error))
        if self.kinds and self._pool is None:
            self.files += draw_files(self._job(found))
        elif self._pool is not None:
            while len(self._drawing) >= self._limit:
                self._take()
            self._drawing.append(self._pool.submit(self._job(found)))
        self.count += 1

    def _remove_older(self) -> None:
        """An earlier prediction's files do not go with this one's."""
        pictures = (path for kind in KINDS for path in (self.folder / PICTURES).glob(f"*.{kind}"))
        for path in (*(self.folder / name for name in _TEXTS), *pictures):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise cannot_write(path, error) from error

    def _take(self) -> None:
        self.files += self._drawing.popleft().result()

    def _job(self, found: RigPrediction) -> DrawJob:
        stem = safe_name(found.sample.token, self._names)
        files = tuple(self.folder / PICTURES / f"{stem}.{kind}" for kind in self.kinds)
        asked = None if self.prompt is None else asked_to_draw(self.prompt, self.map_spec)
        return draw_job(found, self.map_spec, files, self.display, asked)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                while self._drawing:
                    self._take()
                if not self.count:
                    self._remove_older()
        finally:
            if self._pool is not None:
                self._pool.close()
            self._open.__exit__(kind, error, trace)
        written = [path for path in (self._results.path, self._geojson.path) if path is not None]
        self.files = [*written, *self.files]
