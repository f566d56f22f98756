"""One video per camera, decoded in step and only as far as it is asked for."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.structures.rig import RigCamera

_MICRO = 1_000_000


class VideoSet:
    """The videos of a rig, frame n of each taken at one moment.

    Args:
        paths: The cameras' files, in the rig's order.

    Raises:
        MapLLaVAError: If one cannot be read, has another size than its camera or a tag that turns it, or if
            they differ in length or frame rate; names file and remedy.
    """

    def __init__(self, paths: Mapping[RigCamera, Path]) -> None:
        self.paths = dict(paths)
        looked_at = {path: _looked_at(path, camera) for camera, path in self.paths.items()}
        self.times = next(iter(looked_at.values()))
        self.count = len(self.times)
        lengths = {path: len(times) for path, times in looked_at.items()}
        if len(set(lengths.values())) > 1:
            raise MapLLaVAError(
                f"the videos differ in length: {_listed(lengths, 'frames')}. Frame n of all must be one "
                "moment: cut "
                "them to the same frames"
            )
        periods = {path: _period(times) for path, times in looked_at.items()}
        if (
            max(periods.values()) * self.count - min(periods.values()) * self.count
            > max(periods.values()) / 2
        ):
            rates = {path: round(_MICRO / period, 3) for path, period in periods.items() if period}
            raise MapLLaVAError(
                f"the videos differ in frame rate: {_listed(rates, 'frames/s')}. Frame n of all must be "
                "one moment: "
                "bring them to one rate"
            )

    def at(self, timestamps: Sequence[int]) -> list[int]:
        """Numbers of the frames that are shown at some times.

        Args:
            timestamps: Microseconds since the beginning, rising.

        Raises:
            MapLLaVAError: If a time lies outside of the videos or a frame would come twice.
        """
        end = self.times[-1] + max(1, _period(self.times))
        outside = [time for time in timestamps if not 0 <= time < end]
        if outside or not timestamps:
            raise MapLLaVAError(
                f"the time {outside[:1] or 'list is empty; each time'} must lie in the videos, 0 to {end} µs"
            )
        numbers = [bisect.bisect_right(self.times, time) - 1 for time in timestamps]
        if any(later <= earlier for earlier, later in pairwise(numbers)):
            raise MapLLaVAError("timestamps must rise by at least a frame from one to the next")
        return numbers

    def frames(self, numbers: Sequence[int]) -> Iterator[tuple[int, tuple[np.ndarray, ...]]]:
        """Decode some frames.

        Args:
            numbers: Of the frames, rising.

        Yields:
            Microseconds since the beginning, and one (H, W, 3) uint8 BGR image per camera.

        Raises:
            MapLLaVAError: If a video is damaged.
        """
        wanted = set(numbers)
        with ExitStack() as stack:
            streams = [_decoded(path, stack, wanted) for path in self.paths.values()]
            for number in numbers:
                yield self.times[number], tuple(next(stream) for stream in streams)


def _looked_at(path: Path, camera: RigCamera) -> list[int]:
    """When a video's frames are shown, microseconds since the first; nothing but the first is decoded."""
    av = _av()
    try:
        with av.open(str(path)) as container:
            stream = _stream(container, path)
            times = sorted(
                packet.pts * stream.time_base for packet in container.demux(stream) if packet.pts is not None
            )
            container.seek(0)
            first = next(container.decode(stream), None)
    except (av.error.FFmpegError, OSError) as error:
        raise MapLLaVAError(
            f"video '{path}' ({camera.name}) cannot be read: {error}; write it again"
        ) from error
    if first is None or not times:
        raise MapLLaVAError(f"video '{path}' ({camera.name}) holds no frames; write it again")
    size, turned = (first.width, first.height), int(getattr(first, "rotation", 0) or 0)
    if turned % 360:
        raise MapLLaVAError(
            f"video '{path}' ({camera.name}) has a tag that turns it by {turned} degrees, and nobody knows "
            "whether "
            "the rig's numbers belong to the turned picture: write it upright without the tag (ffmpeg "
            "does so when "
            "it encodes anew)"
        )
    if size != camera.size:
        raise MapLLaVAError(
            f"video '{path}' ({camera.name}) has {size[0]} x {size[1]} pixels and the rig says "
            f"{camera.size[0]} x "
            f"{camera.size[1]}: write the video's size and the intrinsics that belong to it into the rig"
        )
    return [int((time - times[0]) * _MICRO) for time in times]


def _decoded(path: Path, stack: ExitStack, wanted: set[int]) -> Iterator[np.ndarray]:
    """The wanted frames of one video."""
    av = _av()
    try:
        container = stack.enter_context(av.open(str(path)))
        stream = _stream(container, path)
        stream.thread_type = "AUTO"
        last = max(wanted)
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                yield frame.to_ndarray(format="bgr24")
            if number >= last:
                return
    except av.error.FFmpegError as error:
        raise MapLLaVAError(f"video '{path}' is damaged ({error}); write it again") from error
    raise MapLLaVAError(f"video '{path}' ends before frame {last}, though it announces it; write it again")


def _stream(container: Any, path: Path) -> Any:
    if not container.streams.video:
        raise MapLLaVAError(f"'{path}' holds no video; name the camera's recording")
    return container.streams.video[0]


def _av() -> Any:
    import av

    return av


def _period(times: Sequence[int]) -> float:
    """Mean time between two frames, microseconds."""
    return (times[-1] - times[0]) / max(1, len(times) - 1)


def _listed(values: Mapping[Path, Any], unit: str) -> str:
    return ", ".join(f"{path.name} {value} {unit}" for path, value in values.items())
