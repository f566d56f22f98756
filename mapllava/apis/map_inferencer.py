"""Maps from the cameras of any car, one moment or a stream of them.

Shapes: N cameras.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from PIL import Image

from mapllava.apis.inference import MapPredictor, load_model
from mapllava.apis.model_frame import ModelView, fit_notes, view_of
from mapllava.apis.read_ahead import read_ahead
from mapllava.datasets.rig_images import from_pillow, prepare_images
from mapllava.errors import MapLLaVAError
from mapllava.geometry.rig_checks import refuse_rig
from mapllava.language import Answer, Parsed, Parser
from mapllava.registry import INFERENCERS
from mapllava.structures import MapLines
from mapllava.structures.rig import Rig, RigCamera, RigSample

CHANNEL_ORDERS = ("bgr", "rgb")


@dataclass(frozen=True, eq=False)
class RigPrediction:
    """The map around a car at one moment.

    Attributes:
        sample: What was predicted from, as it was given.
        lines: Best first, metres in the model's map frame.
        lidar2ego: (4, 4) from which the frame ``lidar`` counts: the rig's LiDAR, or a virtual one.
        pinhole: ``sample`` without distortion, as the model got it.
        prompt: What ``lines`` were cut by; None for the whole map.
    """

    sample: RigSample
    lines: MapLines
    lidar2ego: np.ndarray
    pinhole: RigSample
    prompt: Parsed | None = None


@INFERENCERS.register_module()
class MapInferencer:
    """Predicts from rigs: any number of cameras, of any size and name, not only the training's.

    It has nothing of MMEngine's ``BaseInferencer``: that builds models from a config and a model zoo and
    reads weights with pickle, which :func:`~mapllava.apis.inference.load_model` never does; its input is a
    list of images without geometry, and it neither streams, nor reads ahead, nor goes on behind a bad sample.

    Args:
        model: A model file, or what :func:`~mapllava.apis.inference.load_model` gave.
        device: See there; with a model file only.
        pretrained: Likewise.
        batch_size: Samples that the model gets at once. Only ones with equally many cameras share a batch.
        threads: Threads that read and scale images while the model runs.
        camera_names: The rig's camera names to the training's, for models with queries of their own for each
            camera.
        check: Refuse rigs that cannot be (``mapllava rig check``).
        parser: See there; with a model file only.

    Attributes:
        predictor: The model with its preprocessing.
        map_spec: Frame, ROI and classes of what it predicts.
        notes: What was out of the ordinary in the rigs so far, each said once and logged as a warning.
        model_seconds: Time spent in the model so far.

    Raises:
        MapLLaVAError: As :func:`~mapllava.apis.inference.load_model`.
        ValueError: If ``batch_size`` or ``threads`` is below 1.
    """

    def __init__(
        self,
        model: str | Path | MapPredictor,
        device: str | torch.device | None = None,
        pretrained: Mapping[str, str | Path] | None = None,
        batch_size: int = 1,
        threads: int = 2,
        camera_names: Mapping[str, str] | None = None,
        check: bool = True,
        parser: str | Path | Parser | None = None,
    ) -> None:
        if min(batch_size, threads) < 1:
            raise ValueError(f"batch_size={batch_size}, threads={threads}: use whole numbers from 1")
        if not isinstance(model, MapPredictor):
            model = load_model(model, device, pretrained, parser)
        self.predictor = model
        self.map_spec = self.predictor.map_spec
        self.batch_size, self.threads = batch_size, threads
        self.camera_names = dict(camera_names or {})
        self.check = check
        self._fine: Rig | None = None
        self.notes: list[str] = []
        self.model_seconds = 0.0

    def __call__(
        self,
        images: RigSample | Sequence[str | Path | np.ndarray | Image.Image],
        rig: Rig | None = None,
        channel_order: str | None = None,
        prompt: str | Parsed | None = None,
    ) -> RigPrediction:
        """Draw the map of one moment, or the part of it that is asked for.

        Args:
            images: A whole sample; or one image for each of the rig's cameras, in its order: paths, PIL
                images, or (H, W, 3) uint8 arrays.
            rig: The cameras, where ``images`` is no whole sample.
            channel_order: Of arrays, ``bgr`` (OpenCV's) or ``rgb``; must be named where there are any.
            prompt: See :meth:`~mapllava.apis.inference.MapPredictor.predict`.

        Raises:
            MapLLaVAError: If images and rig do not belong together, or one of them cannot be used.
            ValueError: If ``rig`` or ``channel_order`` is missing or not valid.
        """
        if isinstance(images, RigSample):
            sample = images
        elif rig is None:
            raise ValueError("images were given without their rig: give the cameras as rig=Rig(…)")
        else:
            _check_number(images, rig)
            stored = map(as_stored, images, rig.cameras, [channel_order] * len(images))
            sample = RigSample("sample", rig, tuple(stored))
        (found,) = self.stream([sample], prompt=prompt)
        return found

    def ask(
        self,
        images: RigSample | Sequence[str | Path | np.ndarray | Image.Image],
        rig: Rig | None = None,
        channel_order: str | None = None,
        question: str | Parsed = "",
    ) -> list[Answer]:
        """Predict one moment and answer from it.

        Args:
            images: A whole sample, or one image for each camera: paths, PIL images or (H, W, 3) uint8 arrays.
            rig: As for a prediction.
            channel_order: Likewise.
            question: In words, canonical, or understood already.

        Returns:
            As :meth:`answer`.
        """
        asked = self.predictor.understand(question) if isinstance(question, str) else question
        return self.answer(self(images, rig, channel_order), asked)

    def answer(self, found: RigPrediction, question: str | Parsed) -> list[Answer]:
        """Answer a question from a prediction of a whole map, of a stream for instance.

        Returns:
            As :meth:`~mapllava.apis.inference.MapPredictor.answer`; ``cited`` are places in ``found.lines``.

        Raises:
            MapLLaVAError: If the question is not understood, or a prompt has cut the map.
        """
        if found.prompt is not None:
            raise MapLLaVAError(
                f"sample {found.sample.token}: its map is cut by the prompt '{found.prompt.canonical}', "
                "which would make answers wrong: predict without a prompt"
            )
        return self.predictor.answer(found.lines, question)

    def stream(
        self,
        samples: Iterable[RigSample],
        on_bad: Callable[[RigSample, MapLLaVAError], None] | None = None,
        prompt: str | Parsed | None = None,
    ) -> Iterator[RigPrediction]:
        """Predict one sample after the other, in their order; the next ones are read meanwhile.

        Args:
            samples: Any number of them, drawn from as needed: at most two batches are held.
            on_bad: Called with a sample that cannot be read, which is then left out. None raises its error.
            prompt: See :meth:`~mapllava.apis.inference.MapPredictor.predict`.

        Yields:
            The prediction of each.

        Raises:
            MapLLaVAError: If a sample cannot be read, after those before it; names it. If the model's
                predictions are not finite.
            Exception: What ``samples`` raises, after those before it.
        """
        asked = self.predictor.understand(prompt) if isinstance(prompt, str) else prompt
        ahead = read_ahead(samples, self._prepare, 2 * self.batch_size, self.threads)
        with closing(ahead):
            for found in self._batches(ahead, on_bad):
                if asked is None:
                    yield found
                else:
                    yield replace(found, lines=self.predictor.cut(found.lines, asked), prompt=asked)

    def _batches(
        self,
        ahead: Iterator[tuple[RigSample, Future]],
        on_bad: Callable[[RigSample, MapLLaVAError], None] | None,
    ) -> Iterator[RigPrediction]:
        batch: list[tuple[RigSample, _Prepared]] = []
        while True:
            try:
                sample, future = next(ahead)
            except StopIteration:
                break
            except Exception:  # the input's own; what it gave before is whole
                yield from self._predict(batch)
                raise
            try:
                prepared = _result(sample, future)
            except MapLLaVAError as error:
                yield from self._predict(batch)
                batch = []
                if on_bad is None:
                    raise
                on_bad(sample, error)
                continue
            if batch and batch[0][1].shape != prepared.shape:
                yield from self._predict(batch)
                batch = []
            self._say(prepared.notes)
            batch.append((sample, prepared))
            if len(batch) == self.batch_size:
                yield from self._predict(batch)
                batch = []
        yield from self._predict(batch)

    def _predict(self, batch: list[tuple[RigSample, _Prepared]]) -> Iterator[RigPrediction]:
        if not batch:
            return
        start = time.perf_counter()
        found = self.predictor.predict_prepared([prepared.packed for _, prepared in batch])
        self.model_seconds += time.perf_counter() - start
        for (sample, prepared), lines in zip(batch, found, strict=True):
            yield RigPrediction(sample, lines, prepared.view.lidar2ego, prepared.pinhole)

    def prepare(self, sample: RigSample) -> dict[str, Any]:
        """A sample as the model's test data would give it, for its predictor's ``predict_prepared``.

        Raises:
            MapLLaVAError: If its rig cannot be, or an image cannot be used; names camera and file.
        """
        return self._prepare(sample).packed

    def _prepare(self, sample: RigSample) -> _Prepared:
        """Read and scale a sample's images; in a background thread."""
        _check_number(sample.images, sample.rig)
        if self.check and sample.rig is not self._fine:
            refuse_rig(sample.rig)
            self._fine = sample.rig  # a drive has one rig
        pinhole = prepare_images(sample)
        view = view_of(pinhole.rig, self.predictor, self.camera_names)
        images = [pinhole.images[index] for index in view.order]
        packed = self.predictor.prepare(images, view.cam2img, view.lidar2cam, view.names, sample.token)
        meta = packed["data_samples"].metainfo
        shape = tuple(packed["inputs"]["img"].shape)
        notes = fit_notes(pinhole.rig, view, (shape[-2], shape[-1]), meta["lidar2img"], self.map_spec)
        return _Prepared(packed, view, pinhole, shape, [note for note in (view.note, *notes) if note])

    def _say(self, notes: Sequence[str]) -> None:
        for note in notes:
            if note not in self.notes:
                self.notes.append(note)
                print_log(note, logger="current", level=logging.WARNING)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A sample as the model takes it; ``shape`` is (N, 3, H, W)."""

    packed: dict[str, Any]
    view: ModelView
    pinhole: RigSample
    shape: tuple[int, ...]
    notes: list[str]


def _check_number(images: Sequence[Any], rig: Rig) -> None:
    if len(images) != len(rig.cameras):
        raise MapLLaVAError(
            f"{len(images)} images for the rig's {len(rig.cameras)} cameras: give one of each, in the rig's "
            "order"
        )


def as_stored(
    image: str | Path | np.ndarray | Image.Image, camera: RigCamera, channel_order: str | None
) -> Path | np.ndarray:
    """An image as a :class:`~mapllava.structures.rig.RigSample` holds it: a path, or (H, W, 3) uint8 BGR.

    Raises:
        MapLLaVAError: If a Pillow image holds more than 8 bits a channel, or a tag that turns it.
        ValueError: If an array's order of channels is not named, or is not known.
    """
    if isinstance(image, (str, Path)):
        return Path(image)
    if isinstance(image, Image.Image):
        return from_pillow(image, camera)
    if channel_order not in CHANNEL_ORDERS:
        raise ValueError(
            f"channel_order={channel_order!r}: say how the arrays' channels lie, 'bgr' (cv2.imread) or 'rgb'"
        )
    return np.ascontiguousarray(image[..., ::-1]) if channel_order == "rgb" else np.asarray(image)


def _result(sample: RigSample, future: Future) -> _Prepared:
    try:
        return future.result()
    except MapLLaVAError as error:
        raise MapLLaVAError(f"sample {sample.token}: {error}") from error
