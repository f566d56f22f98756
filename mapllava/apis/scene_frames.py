"""The frames of a scene's video, each small enough to be drawn by another process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mapllava.apis.album import ShownSample
from mapllava.visualization import draw_sample

_MICRO = 1e6
_USUAL_FPS = 2.0
"""nuScenes' keyframes; for samples whose times nobody knows."""


@dataclass(frozen=True)
class Frame:
    """What :func:`draw_frame` draws.

    Attributes:
        sample: The sample.
        cut: Lowest score drawn, as :func:`~mapllava.visualization.draw_sample` takes it.
        words: Written in the header.
        width: Pixels.
    """

    sample: ShownSample
    cut: Any
    words: str
    width: int


def frames_of(samples: Sequence[ShownSample], width: int, cut: Any = None) -> Iterator[Frame]:
    """The frames of samples in the order of their time.

    Args:
        samples: Of one scene.
        width: Pixels.
        cut: Lowest score drawn, as :func:`~mapllava.visualization.draw_sample` takes it.
    """
    times = [sample.meta.get("timestamp") for sample in samples]
    for number, (sample, time) in enumerate(zip(samples, times, strict=True), start=1):
        words = f"{number} of {len(samples)}"
        if time is not None and times[0] is not None:
            words = f"{(time - times[0]) / _MICRO:.1f} s, {words}"
        yield Frame(sample, cut, words, width)


def frame_of(sample: ShownSample, cut: Any = None, words: str = "", width: int = 1600) -> Frame:
    """One sample as a picture by itself."""
    return Frame(sample, cut, words, width)


def draw_frame(frame: Frame) -> np.ndarray:
    """Draw a frame: ``(H, width, 3)`` uint8 BGR. The images are read here."""
    sample = frame.sample
    views = sample.views() if any(camera.there for camera in sample.cameras) else []
    prediction: Any = sample.predictions or None
    if len(sample.predictions) == 1:
        (prediction,) = sample.predictions.values()
    return draw_sample(sample.meta, views, sample.truth, prediction, frame.cut, frame.words, frame.width)


def real_fps(timestamps: Sequence[int | None]) -> float:
    """Samples per second, from the middle one of the gaps between them; 2 where nobody knows."""
    known = np.array([time for time in timestamps if time is not None], dtype=np.float64)
    gaps = np.diff(known)
    gaps = gaps[gaps > 0]
    if not len(gaps):
        return _USUAL_FPS
    fps = float(_MICRO / np.median(gaps))
    return round(fps, 1 if fps >= 1 else 3)  # cameras' clocks jitter
