"""One camera's image file, decoded exactly as stored; anything else is an error."""

from __future__ import annotations

import io
import os
import re
import stat
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from mapllava.errors import MapLLaVAError

_SOI, _EOI, _PNG = b"\xff\xd8", b"\xff\xd9", b"\x89PNG\r\n\x1a\n"
_MAX_BYTES_PER_PIXEL = 8  # more than any camera's file takes, maker data included
_BY_PILLOW = ("BMP", "PPM", "TIFF", "WEBP")  # and not all it knows: it gives PostScript to an interpreter
_EIGHT_BIT = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")  # of Pillow's modes
_SIXTEEN = 1 << 15
FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
"""Fractions that a JPEG can be decoded at, and OpenCV's flag for each."""

_COMPLAINT = re.compile(
    rb"^(?:Corrupt JPEG data|Premature end of JPEG|Inconsistent progression|Invalid SOS parameters"
    rb"|Unknown Adobe color|Warning: unknown JFIF|Application transferred|libpng error).*\n?",
    re.MULTILINE,
)
"""Lines that libjpeg and libpng write about a damaged file; libjpeg goes on after its first in silence."""
_STDERR = 2
_ONE_AT_A_TIME = threading.Lock()


class ImageError(ValueError):
    """What is wrong with an image file, without its name."""


@dataclass(frozen=True)
class ImageFile:
    """An image file's bytes and what its header says.

    Attributes:
        data: the whole file.
        kind: ``jpeg``, ``png`` or ``other`` (BMP, PPM, TIFF, WebP).
        size: (width, height) in pixels, as stored.
    """

    data: bytes
    kind: str
    size: tuple[int, int]


def open_image(path: str | Path, name: str, max_pixels: int) -> ImageFile:
    """Read a file and its header; nothing is decoded.

    Args:
        path: The file; a device, a pipe or a folder is refused before it is opened.
        name: The camera, for the message.
        max_pixels: Most pixels that an image may have.

    Raises:
        MapLLaVAError: If it cannot be read, is no image, is cut short, or is of an absurd size.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(
                "is no file but a folder, a device or a pipe: complete the data or set data_root"
            )
        if status.st_size > max_pixels * _MAX_BYTES_PER_PIXEL:
            raise ImageError(f"has {status.st_size:,} bytes, which no camera writes: fetch it again")
        data = Path(path).read_bytes()
    except OSError as error:
        raise MapLLaVAError(
            f"image '{path}' ({name}) cannot be read ({error.strerror}): complete the data or set data_root"
        ) from error
    except ImageError as error:
        raise MapLLaVAError(f"image '{path}' ({name}) {error}") from None
    try:
        kind, size = _header(data)
        if not 0 < size[0] * size[1] <= max_pixels:
            raise ImageError(
                f"has {size[0]} x {size[1]} pixels, and 1 to {max_pixels:,} are taken: fetch it again, or "
                "raise max_pixels of LoadMultiViewImages"
            )
    except ImageError as error:
        raise MapLLaVAError(f"image '{path}' ({name}) {error}") from None
    return ImageFile(data, kind, size)


def decode(file: ImageFile, factor: int = 1) -> np.ndarray:
    """Pixels as stored: orientation tags, colour profiles and transparency are left aside.

    Args:
        file: The image.
        factor: 1, 2, 4 or 8: decode at this fraction.

    Returns:
        (h, w, 3) uint8, BGR.

    Raises:
        ImageError: If the file is damaged, also where a decoder would fill the gap with grey, or its values
            have no 8-bit meaning.
    """
    if file.kind == "other":
        return _by_pillow(file.data, factor)
    flags = FLAGS[factor] | cv2.IMREAD_IGNORE_ORIENTATION | cv2.IMREAD_ANYDEPTH
    img, complaint = _watched(np.frombuffer(file.data, np.uint8), flags)
    if complaint:
        raise ImageError(f"is damaged inside ({complaint}): copy it again")
    if img is None:
        raise ImageError(f"does not decode: {len(file.data)} bytes that are no image; copy it again")
    return _eight_bits(img)


def _header(data: bytes) -> tuple[str, tuple[int, int]]:
    """Kind and (width, height), as Pillow reads them.

    A JPEG must go on to an end marker; what stands behind that does not count.
    """
    stream = io.BytesIO(data)
    short = f"is cut short: {len(data)} bytes without an end marker; copy it again"
    try:
        if data.startswith(_SOI):
            size = JpegImageFile(stream).size
            if data.rfind(_EOI, stream.tell()) < 0:  # behind the header, whose preview has one too
                raise ImageError(short)
            return "jpeg", size
        if data.startswith(_PNG):
            return "png", PngImageFile(stream).size
        with Image.open(stream, formats=_BY_PILLOW) as image:
            return "other", image.size
    except ImageError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if data.startswith(_SOI) and _EOI not in data:
            raise ImageError(short) from error
        if "-bit layers" in str(error):  # Pillow's word for a JPEG of 12 bits
            raise ImageError(f"does not decode ({error}): convert it to 8 bits a channel") from error
        raise ImageError(
            f"does not decode: {len(data)} bytes that are no image, or a broken header; copy it again"
        ) from error


def _watched(data: np.ndarray, flags: int) -> tuple[np.ndarray | None, str]:
    """Decode, and read what the decoder says meanwhile.

    OpenCV passes libjpeg's warnings on to stderr and nowhere else, while it fills what is missing with grey.
    """
    with _ONE_AT_A_TIME:
        source, sink = os.pipe()
        os.set_blocking(source, False)
        os.set_blocking(sink, False)
        stderr = _duplicate(_STDERR)
        try:
            os.dup2(sink, _STDERR)
            img = cv2.imdecode(data, flags)
        except cv2.error as error:
            return None, str(error.err)
        finally:
            os.dup2(stderr, _STDERR)
            for descriptor in (stderr, sink):
                os.close(descriptor)
            said = _drain(source)
        rest = _COMPLAINT.sub(b"", said)
        if rest:
            os.write(_STDERR, rest)  # other threads', and warnings that change no pixel
    found = _COMPLAINT.search(said)
    return img, found.group().decode(errors="replace").strip() if found else ""


def _duplicate(descriptor: int) -> int:
    try:
        return os.dup(descriptor)
    except OSError:  # closed, as a daemon's may be
        return os.open(os.devnull, os.O_WRONLY)


def _drain(source: int) -> bytes:
    with os.fdopen(source, "rb") as stream:
        return stream.read() or b""


def _eight_bits(img: np.ndarray) -> np.ndarray:
    """8 bits of 16, where white is at the top; a sensor's 10, 12 or 14 bits in 16 do not say where it is."""
    if img.dtype == np.uint8:
        return img
    highest = int(img.max())
    if img.dtype != np.uint16 or highest < _SIXTEEN:
        raise ImageError(
            f"has {img.dtype} values up to {highest}, and does not say how many bits mean white: convert it "
            "to 8 bits per channel"
        )
    return (img >> 8).astype(np.uint8)


def is_deep(image: Image.Image) -> bool:
    """Whether an image holds more than 8 bits a channel, or Pillow would fold it into them while loading."""
    tiles = getattr(image, "tile", ())
    return image.mode not in _EIGHT_BIT or any("16" in str(tile[3]) for tile in tiles)


def _by_pillow(data: bytes, factor: int) -> np.ndarray:
    """Formats other than JPEG and PNG; Pillow refuses those that are cut short."""
    try:
        with Image.open(io.BytesIO(data), formats=_BY_PILLOW) as image:
            if is_deep(image) or getattr(image, "n_frames", 1) != 1:
                raise ImageError(
                    f"is a {image.format} of mode {image.mode}, of several pictures or of more than 8 bits "
                    "per channel: convert it to a JPEG or PNG of 8 bits"
                )
            img: Any = np.asarray(image.convert("RGB"))[..., ::-1]
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"does not decode ({error}): copy it again") from error
    if factor > 1:
        return cv2.resize(
            np.ascontiguousarray(img), None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA
        )
    return np.ascontiguousarray(img)
