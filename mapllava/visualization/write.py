"""From a figure to pixels and files: PNG, JPEG, SVG, PDF."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_JPEG_QUALITY, _PNG_EFFORT = 88, 2  # of 9; 6 takes three times as long for 10 % less
_PNG_IN_SVG = re.compile(r"data:image/png;base64,\s*([A-Za-z0-9+/=\s]+)")


def render(figure: Figure) -> np.ndarray:
    """The pixels of a figure, as :func:`sample_figure` and its like give it.

    Returns:
        ``(H, W, 3)`` uint8 BGR.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from mapllava.visualization.page import one_style

    with one_style():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return cv2.cvtColor(np.asarray(canvas.buffer_rgba()), cv2.COLOR_RGBA2BGR).astype(np.uint8, copy=False)


def write_picture(path: str | Path, picture: np.ndarray | Figure) -> Path:
    """Write a picture in the form that the path's suffix names, whole or not at all; makes the folder.

    Args:
        path: Ends in .png or .jpg; for a figure also in .svg or .pdf, whose lines and text are vectors.
        picture: A figure, or ``(H, W, 3)`` uint8 BGR.

    Returns:
        The path.

    Raises:
        MapLLaVAError: If the suffix is another, or the file cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    pixels, vectors = ("png", "jpg", "jpeg"), ("svg", "pdf")
    if kind in pixels:
        content = encode(picture if isinstance(picture, np.ndarray) else render(picture), kind)
    elif kind in vectors and not isinstance(picture, np.ndarray):
        content = _as_vectors(picture, kind)
    else:
        known = pixels if isinstance(picture, np.ndarray) else (*pixels, *vectors)
        raise MapLLaVAError(f"'{path}': this picture can be written as .{', .'.join(known)}")
    with atomic_write(path) as partial:
        partial.write_bytes(content)
    return path


def encode(picture: np.ndarray, kind: str) -> bytes:
    """The bytes of a picture ``(H, W, 3)`` uint8 BGR as ``png`` or ``jpg``; none where OpenCV cannot."""
    flags = (
        [cv2.IMWRITE_PNG_COMPRESSION, _PNG_EFFORT]
        if kind == "png"
        else [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    done, data = cv2.imencode(f".{kind}", picture, flags)
    return data.tobytes() if done else b""


def _as_vectors(figure: Figure, kind: str) -> bytes:
    import matplotlib

    from mapllava.visualization.page import one_style

    buffer = io.BytesIO()
    undated = {"Date": None} if kind == "svg" else {"CreationDate": None}
    with one_style(), matplotlib.rc_context({"svg.hashsalt": "mapllava"}):
        figure.savefig(buffer, format=kind, dpi=figure.dpi, metadata=undated)
    if kind == "pdf":
        return buffer.getvalue()
    text = buffer.getvalue().decode("utf-8")
    return _PNG_IN_SVG.sub(lambda found: _as_jpeg(found.group(1)), text).encode("utf-8")


def _as_jpeg(png: str) -> str:
    """A photograph in an SVG file, a tenth as large as Matplotlib's PNG."""
    image = cv2.imdecode(np.frombuffer(base64.b64decode(png), dtype=np.uint8), cv2.IMREAD_COLOR)
    return "data:image/jpeg;base64," + base64.b64encode(encode(image, "jpg")).decode("ascii")
