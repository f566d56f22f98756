"""Pictures one after the other: MP4 that plays in a browser (H.264 by PyAV), and GIF (Pillow)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterator

GIF_WIDTH = 800
"""Pixels of a GIF's frames across, at most: it takes ten times the room of an MP4."""

_MOST_FPS = 120.0
_QUALITY = {"crf": "20", "preset": "medium"}
_BT709, _LIMITED = 1, 1  # FFmpeg's numbers; players guess where the file does not say
_SUFFIXES = (".mp4", ".gif")


class _Sink(Protocol):
    def add(self, picture: np.ndarray) -> None: ...

    def close(self) -> None: ...


def write_video(
    paths: Sequence[str | Path],
    pictures: Iterable[np.ndarray],
    fps: float,
    gif_width: int = GIF_WIDTH,
) -> int:
    """Write pictures as one or several videos, each whole or not at all.

    All frames have the size of the first picture, made even; another one is scaled down into it where it
    is larger, and set into it where it is smaller, its edge drawn on.

    Args:
        paths: Files: ``.mp4`` (H.264, yuv420p, BT.709, its index in front so that browsers start at once) or
            ``.gif``.
        pictures: ``(H, W, 3)`` uint8 BGR each; taken one at a time.
        fps: Pictures per second, above 0 and at most 120.
        gif_width: Most pixels of a GIF across.

    Returns:
        The number of frames.

    Raises:
        MapLLaVAError: If a suffix or ``fps`` does not fit, there is no picture, H.264 cannot be written here,
            or a file cannot be.
    """
    targets = [Path(path) for path in paths]
    check_video(targets, fps)
    size: tuple[int, int] | None = None
    count = 0
    with ExitStack() as stack:
        partials = [stack.enter_context(atomic_write(path)) for path in targets]
        sinks: list[_Sink] = []
        for picture in pictures:
            if size is None:
                size = _even(picture)
                for path, partial in zip(targets, partials, strict=True):
                    gif = path.suffix == ".gif"
                    kind = _gif(partial, fps, gif_width) if gif else _mp4(partial, size, fps)
                    sinks.append(stack.enter_context(kind))
            for sink in sinks:
                sink.add(fit_frame(picture, size))
            count += 1
        if not count:
            raise MapLLaVAError(f"'{targets[0]}': there is no picture to make a video of")
        for sink in sinks:
            sink.close()
    return count


def check_video(paths: Sequence[Path], fps: float) -> None:
    """Refuse what :func:`write_video` cannot write, before anything is drawn.

    Raises:
        MapLLaVAError: See there.
    """
    for path in paths:
        if path.suffix not in _SUFFIXES:
            raise MapLLaVAError(f"'{path}': videos are written as {' or '.join(_SUFFIXES)}, name such a file")
    if not 0 < fps <= _MOST_FPS:
        raise MapLLaVAError(f"{fps:g} frames a second: use more than 0 and at most {_MOST_FPS:g}")


def fit_frame(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture ``(H, W, 3)`` brought to a size (width, height), not stretched; its edge is drawn on."""
    width, height = size
    scale = min(1.0, width / picture.shape[1], height / picture.shape[0])
    even = picture.shape[1] <= width + 1 and picture.shape[0] <= height + 1
    if scale < 1 and not even:
        inside = (max(1, int(picture.shape[1] * scale)), max(1, int(picture.shape[0] * scale)))
        picture = cv2.resize(picture, inside, interpolation=cv2.INTER_AREA)
    picture = picture[:height, :width]
    below, beside = height - picture.shape[0], width - picture.shape[1]
    if below or beside:
        picture = cv2.copyMakeBorder(picture, 0, below, 0, beside, cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(picture)


def _even(picture: np.ndarray) -> tuple[int, int]:
    """Width and height that the encoder takes, no smaller than 2."""
    return max(2, picture.shape[1] // 2 * 2), max(2, picture.shape[0] // 2 * 2)


class _Mp4:
    """An open MP4; see :func:`_mp4`."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream
        self._closed = False

    def add(self, picture: np.ndarray) -> None:
        import av

        given = av.VideoFrame.from_ndarray(picture, format="bgr24")
        frame = given.reformat(format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._container.mux(self._stream.encode(None))


@contextmanager
def _mp4(path: Path, size: tuple[int, int], fps: float) -> Iterator[_Sink]:
    import av

    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        try:
            stream: Any = container.add_stream("libx264", rate=rate)
        except ValueError as error:  # PyAV's UnknownCodecError is one
            raise MapLLaVAError(
                "this build of PyAV has no libx264, the encoder of H.264: pip install av anew, or "
                "write a .gif"
            ) from error
        stream.width, stream.height = size
        stream.pix_fmt, stream.options = "yuv420p", dict(_QUALITY)
        context = stream.codec_context
        context.gop_size = max(1, round(2 * fps))  # whoever seeks lands within two seconds
        context.color_range, context.colorspace = _LIMITED, _BT709
        context.color_primaries, context.color_trc = _BT709, _BT709
        yield _Mp4(container, stream)


class _Gif:
    """Frames of a GIF, each with a palette of its own."""

    def __init__(self, path: Path, fps: float, width: int) -> None:
        self._path, self._fps, self._width = path, fps, width
        self._frames: list[Any] = []

    def add(self, picture: np.ndarray) -> None:
        from PIL import Image

        scale = min(1.0, self._width / picture.shape[1])
        if scale < 1:
            size = (round(picture.shape[1] * scale), max(1, round(picture.shape[0] * scale)))
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        image = Image.fromarray(np.ascontiguousarray(picture[..., ::-1]))
        self._frames.append(image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE))

    def close(self) -> None:
        first, *rest = self._frames
        duration = max(20, round(1000 / self._fps))  # browsers slow down what is faster
        first.save(self._path, "GIF", save_all=True, append_images=rest, duration=duration, loop=0)


@contextmanager
def _gif(path: Path, fps: float, width: int) -> Iterator[_Sink]:
    yield _Gif(path, fps, width)
