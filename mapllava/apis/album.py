"""Samples as pictures need them: from a GT cache, results files, or both; no model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mapllava.datasets.map_dataset import read_entry
from mapllava.errors import MapLLaVAError
from mapllava.evaluation.results_file import MapResults, check_fits
from mapllava.geometry.lens import pinhole, undistort
from mapllava.gt_cache.schema import spec_of
from mapllava.structures import MapLines
from mapllava.structures.frames import MapSpec
from mapllava.structures.rig import RigCamera
from mapllava.visualization import CameraView
from mapllava.visualization.thinning import ScoreCut

_GREY = 200
_LARGEST = 4096


@dataclass(frozen=True, eq=False)
class ShownCamera:
    """One camera of a sample.

    Attributes:
        name: Of the camera.
        path: Its image; None where there is no file, as with a video's frame.
        cam2img: (3, 3) of the image as it is drawn, pixels.
        lidar2cam: (4, 4), map frame to camera, metres.
        mounted: The camera of an own rig, whose image must have its size and is undistorted by its lens.
    """

    name: str
    path: Path | None
    cam2img: np.ndarray
    lidar2cam: np.ndarray
    mounted: RigCamera | None = None

    @property
    def there(self) -> bool:
        """Whether its image is a file that exists."""
        return self.path is not None and self.path.is_file()


@dataclass
class ShownSample:
    """One sample, small enough to send to another process.

    Attributes:
        meta: What :func:`~mapllava.visualization.draw_sample` reads: ``map_spec`` (a dict), ``lidar2ego``
            (4, 4), names; ``ego2global`` (4, 4) or None, ``timestamp`` in microseconds or None; ``prompt``,
            see :attr:`Album.prompt`.
        cameras: In the data's order.
        truth: None without a cache.
        predictions: Name of a results file to its lines.
    """

    meta: dict[str, Any]
    cameras: list[ShownCamera]
    truth: MapLines | None = None
    predictions: dict[str, MapLines] = field(default_factory=dict)

    @property
    def token(self) -> str:
        """Its name."""
        return str(self.meta["sample_token"])

    def views(self) -> list[CameraView]:
        """The images, read now; a missing one is a grey area whose label names the file."""
        return [_view(camera) for camera in self.cameras]


class Album:
    """The samples of a GT cache, of results files, or of results files on the cache they belong to.

    With a cache its samples count, and one that a results file lacks has an empty map there, as in the score.
    Without, the samples are those of the first results file, which must say what was seen (``samples``).

    Args:
        cache: As :func:`mapllava.gt_cache.load` gives it, or None.
        results: Name to what :func:`~mapllava.evaluation.results_file.load_results` gives.
        dataroot: Root of the cache's images; the one that the cache names by default.
        score_thr: Lowest score drawn; None takes what the results files say of themselves.

    Attributes:
        spec: Frame, region and classes.
        without_record: Samples left out, because a results file without a cache does not say what was seen.

    Raises:
        MapLLaVAError: If there is neither, a results file is about other maps, or nothing says what was seen.
    """

    def __init__(
        self,
        cache: Mapping[str, Any] | None,
        results: Mapping[str, MapResults] | None = None,
        dataroot: str | Path | None = None,
        score_thr: float | None = None,
    ) -> None:
        self._asked = score_thr
        self.results = dict(results or {})
        self.cache = cache
        self.without_record = 0
        self._root = Path(
            dataroot if dataroot is not None else cache["metainfo"]["dataroot"] if cache else "."
        )
        if cache is not None:
            self.spec: MapSpec = spec_of(cache["metainfo"])
            for one in self.results.values():
                check_fits(one, cache)
            self._places = {entry["sample_token"]: k for k, entry in enumerate(cache["data_list"])}
            return
        if not self.results:
            raise MapLLaVAError("nothing to draw: give a GT cache or a results file")
        first = next(iter(self.results.values()))
        self.spec = first.map_spec
        for one in self.results.values():
            if one.map_spec != self.spec:
                raise MapLLaVAError(
                    f"{one.name} holds maps of {one.map_spec}, {first.name} of {self.spec}: they do not go "
                    "into one picture"
                )
        self.without_record = len(set(first.results) - set(first.samples))
        if not first.samples:
            raise MapLLaVAError(
                f"{first.name} says nothing of cameras: give the GT cache of its split, --cache CACHE"
            )
        self._places = {token: k for k, token in enumerate(first.samples)}

    @property
    def prompt(self) -> str | None:
        """What the results files' maps hold alone, because a prompt has cut them; None for whole maps."""
        cut = {name: one.prompt.canonical for name, one in self.results.items() if one.prompt is not None}
        named = cut.values() if len(self.results) == 1 else [f"{name}: {text}" for name, text in cut.items()]
        return "; ".join(named) or None

    @property
    def tokens(self) -> list[str]:
        """All samples, as they stand in the file."""
        return list(self._places)

    @property
    def cut(self) -> Any:
        """The lowest score drawn, as :func:`~mapllava.visualization.draw_sample` takes it.

        What the user asks for, or what the results file says of itself. Of several files that say different
        things it is the lowest; each file's lines have been cut by its own then.
        """
        if self._asked is not None or len(self._own_cuts()) < 2:
            return self.first_cut
        lowest = np.min(
            [ScoreCut.of(own, self.spec.classes).scores for own in self._own_cuts().values()], axis=0
        )
        thresholds = dict(zip(self.spec.classes, lowest.tolist(), strict=True))
        return {"thresholds": thresholds, "source": "the lowest of the files, each is cut by its own"}

    @property
    def first_cut(self) -> Any:
        """The lowest score of the first results file's lines, likewise."""
        return self._asked if self._asked is not None else next(iter(self._own_cuts().values()), None)

    def _own_cuts(self) -> dict[str, Any]:
        """What the files say of themselves, by name; one only where they all say the same."""
        own = {name: one.display for name, one in self.results.items()}
        scores = {tuple(ScoreCut.of(cut, self.spec.classes).scores) for cut in own.values()}
        return own if len(scores) > 1 else dict(list(own.items())[:1])

    def scenes(self) -> dict[str, list[str]]:
        """Name of each scene to its samples in the order of their time."""
        found: dict[str, list[tuple[int, int, str]]] = {}
        for token, place in self._places.items():
            scene, time = self._scene_and_time(token)
            found.setdefault(scene, []).append((time or 0, place, token))
        return {scene: [token for *_, token in sorted(samples)] for scene, samples in found.items()}

    def tokens_of_scene(self, name: str | None) -> list[str]:
        """The samples of a scene in the order of their time; None takes the only scene there is.

        Raises:
            MapLLaVAError: If there is no such scene, or none is named and there are several.
        """
        scenes = self.scenes()
        if name is None and len(scenes) == 1:
            return next(iter(scenes.values()))
        if name not in scenes:
            some = ", ".join(sorted(scenes)[:5])
            asked = "no scene is named" if name is None else f"there is no scene {name!r}"
            raise MapLLaVAError(f"{asked}: give --scene NAME, one of the {len(scenes)}, for instance {some}")
        return scenes[name]

    def choose(self, tokens: Sequence[str] | None, num: int, seed: int = 0) -> list[str]:
        """The named samples, or ``num`` drawn at random, in the file's order.

        Raises:
            MapLLaVAError: If a sample is not there, or ``num`` is below 1.
        """
        if tokens is not None:
            unknown = [token for token in tokens if token not in self._places]
            if unknown:
                raise MapLLaVAError(
                    f"there is no sample {', '.join(unknown[:3])} among the {len(self._places)} of "
                    f"{self._where()}"
                )
            return list(dict.fromkeys(tokens))
        known = self.tokens
        if num < 1:
            raise MapLLaVAError(f"num is {num}: it is the number of samples to draw, 1 or more")
        drawn = np.random.default_rng(seed).choice(len(known), min(num, len(known)), replace=False)
        return [known[k] for k in np.sort(drawn)]

    def samples(self, tokens: Sequence[str]) -> Iterator[ShownSample]:
        """The samples, one at a time.

        Raises:
            MapLLaVAError: If the cache's entry of one is broken.
        """
        for token in tokens:
            if self.cache is not None:
                yield self._from_cache(token, self.cache)
            else:
                yield self._from_results(token)

    def _where(self) -> str:
        if self.cache is None:
            return next(iter(self.results.values())).name
        meta = self.cache["metainfo"]
        return f"the GT cache (split {meta['split']} of {meta['version']})"

    def _scene_and_time(self, token: str) -> tuple[str, int | None]:
        if self.cache is not None:
            entry = self.cache["data_list"][self._places[token]]
            return str(entry["scene_name"]), int(entry["timestamp"])
        record = next(iter(self.results.values())).samples[token]
        return record.scene, record.timestamp

    def _predictions(self, token: str) -> dict[str, MapLines]:
        found, several = {}, len(self._own_cuts()) > 1
        for name, one in self.results.items():
            found[name] = one.lines(token)
            if several and self._asked is None:
                own = ScoreCut.of(one.display, self.spec.classes)
                found[name] = found[name].above(own.scores[found[name].labels])
        return found

    def _from_cache(self, token: str, cache: Mapping[str, Any]) -> ShownSample:
        entry, meta = cache["data_list"][self._places[token]], cache["metainfo"]
        try:
            info = read_entry(entry, self.spec, meta["split"], self._root)
        except (KeyError, TypeError, ValueError) as error:
            raise MapLLaVAError(f"sample {token} of {self._where()} is broken: {error}") from error
        lines = info.pop("polylines")
        labels = np.array([line.label for line in lines], dtype=np.int64)
        rig = zip(info["cam_names"], info["img_paths"], info["cam2img"], info["lidar2cam"], strict=True)
        cameras = [ShownCamera(name, Path(path), *matrices) for name, path, *matrices in rig]
        kept = ("sample_token", "scene_name", "location", "split", "timestamp", "lidar2ego", "ego2global")
        shown = {key: info[key] for key in kept} | {"map_spec": self.spec.to_config(), "prompt": self.prompt}
        truth = MapLines([line.points for line in lines], labels)
        return ShownSample(shown, cameras, truth, self._predictions(token))

    def _from_results(self, token: str) -> ShownSample:
        first = next(iter(self.results.values()))
        record = first.samples[token]
        mount = np.eye(4) if record.lidar2ego is None else record.lidar2ego
        to_ego = mount if self.spec.frame == "lidar" else np.eye(4)
        cameras = [
            ShownCamera(
                camera.name,
                path,
                pinhole(camera).cam2img,
                np.linalg.inv(camera.cam2ego) @ to_ego,
                camera,
            )
            for camera, path in zip(record.cameras, record.images, strict=True)
        ]
        shown = {
            "sample_token": token,
            "scene_name": record.scene,
            "location": record.location,
            "split": first.split if first.split != "unknown" else None,
            "timestamp": record.timestamp,
            "lidar2ego": mount,
            "ego2global": record.ego2global,
            "map_spec": self.spec.to_config(),
            "prompt": self.prompt,
        }
        return ShownSample(shown, cameras, None, self._predictions(token))


def missing_images(samples: Sequence[ShownSample]) -> list[str]:
    """Images that are not there or are no images, by path; ``camera of sample`` where no file is named."""
    return [
        f"{camera.name} of sample {sample.token} (no file of its own)"
        if camera.path is None
        else f"{camera.path} (cannot be read)"
        if camera.there
        else str(camera.path)
        for sample in samples
        for camera in sample.cameras
        if not (camera.there and cv2.haveImageReader(str(camera.path)))
    ]


def names_of(paths: Sequence[Path]) -> list[str]:
    """Short names for files that tell them apart: the file's, with as many folders as that takes."""
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = [
            str(Path(*path.parts[-depth:])).removesuffix(".json").removesuffix(".results") for path in paths
        ]
        if len(set(names)) == len(names):
            return names
    raise MapLLaVAError(f"'{paths[0]}' is named twice: give different results files")


def _view(camera: ShownCamera) -> CameraView:
    projection = np.eye(4)
    projection[:3, :3] = camera.cam2img
    lidar2img = projection @ camera.lidar2cam
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imread(str(camera.path), flags) if camera.there else None
    why = "no file" if camera.path is None else f"cannot be read: {camera.path.name}"
    if image is not None and camera.mounted is not None:
        size = (image.shape[1], image.shape[0])
        if size == camera.mounted.size:
            image = undistort(image, camera.mounted)
        else:
            image, why = None, "{} x {} pixels, not {} x {}".format(*size, *camera.mounted.size)
    if image is not None:
        return CameraView(camera.name, image, lidar2img)
    # The principal point lies about in the middle of the image that is not there
    width, height = (int(np.clip(2 * camera.cam2img[k, 2] + 1, 16, _LARGEST)) for k in (0, 1))
    return CameraView(f"{camera.name}, {why}", np.full((height, width, 3), _GREY, dtype=np.uint8), lidar2img)
