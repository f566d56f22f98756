"""The frames of a scene's video, each small enough to be drawn by another process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mapllava.apis.album import ShownSample
from mapllava.errors import MapLLaVAError
from mapllava.geometry.frame_change import change_lines, to_world
from mapllava.structures import MapLines
from mapllava.structures.frames import MapSpec
from mapllava.visualization import draw_sample, render
from mapllava.visualization.thinning import ScoreCut
from mapllava.visualization.video import fit_frame
from mapllava.visualization.world_panel import WorldSoFar, world_figure

_MICRO = 1e6
_WORLD_SHARE = 0.7  # width of the world's panel, of its height
_UNITS = 1600.0  # that a sample's picture is wide
_USUAL_FPS = 2.0
"""nuScenes' keyframes; for samples whose times nobody knows."""


@dataclass(frozen=True)
class Frame:
    """What :func:`draw_frame` draws.

    Attributes:
        sample: The sample.
        cut: Lowest score drawn, as :func:`~mapllava.visualization.draw_sample` takes it.
        words: Written in the header.
        width: Pixels, without the world's panel.
        world: Lines of all samples so far; None leaves that panel out.
    """

    sample: ShownSample
    cut: Any = None
    words: str = ""
    width: int = 1600
    world: WorldSoFar | None = None


def frames_of(
    samples: Sequence[ShownSample], width: int, cut: Any = None, world: bool = False
) -> Iterator[Frame]:
    """The frames of samples in the order of their time.

    Args:
        samples: Of one scene.
        width: Pixels.
        cut: Lowest score drawn, as :func:`~mapllava.visualization.draw_sample` takes it.
        world: Also give each frame the lines of all samples so far, laid into the world by their poses.

    Raises:
        MapLLaVAError: If ``world`` is asked for and a pose is not known.
    """
    times = [sample.meta.get("timestamp") for sample in samples]
    worlds: Iterable[WorldSoFar | None] = _worlds(samples, cut) if world else [None] * len(samples)
    for number, (sample, time, so_far) in enumerate(zip(samples, times, worlds, strict=True), start=1):
        words = f"{number} of {len(samples)}"
        if time is not None and times[0] is not None:
            words = f"{(time - times[0]) / _MICRO:.1f} s, {words}"
        yield Frame(sample, cut, words, width, so_far)


def draw_frame(frame: Frame) -> np.ndarray:
    """Draw a frame: ``(H, W, 3)`` uint8 BGR. The images are read here."""
    sample = frame.sample
    views = sample.views() if any(camera.there for camera in sample.cameras) else []
    prediction: Any = sample.predictions or None
    if len(sample.predictions) == 1:
        (prediction,) = sample.predictions.values()
    picture = draw_sample(sample.meta, views, sample.truth, prediction, frame.cut, frame.words, frame.width)
    if frame.world is None:
        return picture
    spec = MapSpec.from_config(sample.meta["map_spec"])
    size = (round(_WORLD_SHARE * picture.shape[0]), picture.shape[0])
    beside = render(world_figure(frame.world, spec, size, frame.width / _UNITS))
    return np.concatenate([picture, fit_frame(beside, size)], axis=1)


def _worlds(samples: Sequence[ShownSample], cut: Any) -> Iterator[WorldSoFar]:
    """What is known after each sample, of predictions or else of the truth; metres from the first place."""
    changes = [_to_world(sample) for sample in samples]
    places = np.array([change[:2, 2] for change in changes])
    origin = places[0]
    spec = MapSpec.from_config(samples[0].meta["map_spec"])
    margin = float(np.abs(spec.roi.to_list()).max())
    limits = np.stack([places.min(axis=0) - margin, places.max(axis=0) + margin]) - origin
    before = MapLines([], np.zeros(0, dtype=np.int64))
    for number, (sample, change) in enumerate(zip(samples, changes, strict=True), start=1):
        lines = next(iter(sample.predictions.values()), sample.truth)
        if lines is None:
            lines = MapLines([], np.zeros(0, dtype=np.int64))
        shown = ScoreCut.of(cut, spec.classes).drawn(lines)[0]
        placed = [change_lines(line, change) - origin for line in shown.points]
        now = MapLines(placed, np.asarray(shown.labels, dtype=np.int64))
        yield WorldSoFar(before, now, places[:number] - origin, limits)
        before = MapLines([*before.points, *now.points], np.concatenate([before.labels, now.labels]))


def _to_world(sample: ShownSample) -> np.ndarray:
    """(3, 3), the map frame to the world, level as ground truth is cut; metres."""
    if sample.meta.get("ego2global") is None:
        raise MapLLaVAError(
            f"sample {sample.token} has no pose in the world: leave --world out, or give poses to the input"
        )
    frame = sample.meta["map_spec"]["frame"]
    return to_world(frame, sample.meta["lidar2ego"], sample.meta["ego2global"])


def real_fps(timestamps: Sequence[int | None]) -> float:
    """Samples per second, from the middle one of the gaps between them; 2 where nobody knows."""
    known = np.array([time for time in timestamps if time is not None], dtype=np.float64)
    gaps = np.diff(known)
    gaps = gaps[gaps > 0]
    if not len(gaps):
        return _USUAL_FPS
    fps = float(_MICRO / np.median(gaps))
    return round(fps, 1 if fps >= 1 else 3)  # cameras' clocks jitter
