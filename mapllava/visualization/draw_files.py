"""A sample's pictures as files, from plain values alone: a job that other processes do, without PyTorch."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.startup import end_with_parent
from mapllava.structures import MapLines
from mapllava.visualization.asked import Asked
from mapllava.visualization.sample_picture import CameraView

VIEW_WIDTH = 1024
"""Pixels to which images handed over as arrays are reduced first: more than a picture shows of a camera."""


@dataclass(frozen=True, eq=False)
class DrawJob:
    """What a picture shows and where it goes.

    Attributes:
        files: One for each suffix, ``.png`` or ``.svg``.
        meta: As :func:`~mapllava.visualization.sample_picture.draw_sample` takes it.
        names: Of the N cameras.
        images: N: paths, or (H, W, 3) uint8 BGR.
        lidar2img: (N, 4, 4), map frame to the pixels of these images.
        lines: The prediction.
        score_thr: See there.
        asked: What was asked of ``lines``, see there.
    """

    files: tuple[Path, ...]
    meta: dict[str, Any]
    names: tuple[str, ...]
    images: tuple[Path | np.ndarray, ...]
    lidar2img: np.ndarray
    lines: MapLines
    score_thr: Any = field(default=None)
    asked: Asked | None = None


def draw_files(job: DrawJob) -> list[Path]:
    """Draw and write; returns the files.

    Raises:
        MapLLaVAError: If an image cannot be read or a file not be written.
    """
    from mapllava.visualization import sample_figure, write_picture

    views = [CameraView(*view) for view in zip(job.names, _pixels(job.images), job.lidar2img, strict=True)]
    figure = sample_figure(job.meta, views, None, job.lines, score_thr=job.score_thr, asked=job.asked)
    return [write_picture(path, figure) for path in job.files]


def reduced(image: Path | np.ndarray, lidar2img: np.ndarray) -> tuple[Path | np.ndarray, np.ndarray]:
    """An array as small as a picture needs it, with ``lidar2img`` (4, 4) for its pixels; a path as it is."""
    if isinstance(image, Path) or image.shape[1] <= VIEW_WIDTH:
        return image, lidar2img
    height, width = image.shape[:2]
    size = (VIEW_WIDTH, max(1, round(height * VIEW_WIDTH / width)))
    scale = np.eye(4)
    for axis, factor in enumerate((size[0] / width, size[1] / height)):
        scale[axis, axis], scale[axis, 2] = factor, (factor - 1) / 2
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), scale @ lidar2img


def _pixels(images: Sequence[Path | np.ndarray]) -> list[np.ndarray]:
    found = []
    for image in images:
        if isinstance(image, Path):
            pixels = cv2.imread(str(image), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
            if pixels is None:
                raise MapLLaVAError(
                    f"image '{image}' cannot be read any more: leave it where it is meanwhile"
                )
            image = pixels
        found.append(image)
    return found


class Workers:
    """Processes that draw; they start while the model is still being loaded."""

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(count, context, initializer=_begin)
        self._first = [self._pool.submit(_warm) for _ in range(count)]

    def submit(self, job: DrawJob) -> Future:
        """Have a job done."""
        return self._pool.submit(draw_files, job)

    def wait(self) -> None:
        """Return when all have started."""
        for first in self._first:
            first.result()

    def close(self) -> None:
        """Let go of what is not begun."""
        self._pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Ctrl-C is for the program, which then ends its workers; and a worker leaves the cores to the model."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(5)


def _warm() -> None:
    """Import what drawing takes."""
    import matplotlib.backends.backend_agg  # noqa: F401
