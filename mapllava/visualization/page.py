"""A page that pictures are laid out on, in units from its upper left corner (Matplotlib).

Imported only where a picture is drawn: Matplotlib takes a while to load.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Affine2D, Bbox, TransformedBbox

from mapllava.visualization.style import INK, STYLE, Color

Box = tuple[float, float, float, float]
"""Left, top, width and height, in a page's units."""

UNITS_PER_INCH = 100.0
_POINTS = 72.0 / UNITS_PER_INCH
_WIDE_LETTERS = {
    "Noto Sans CJK SC": "NotoSansCJK",
    "Noto Sans CJK JP": "NotoSansCJK",
    "WenQuanYi Micro Hei": "wqy-microhei",
    "Microsoft YaHei": "msyh",
    "PingFang SC": "PingFang",
}
"""Fonts with Chinese letters, and how their files' names begin."""


@lru_cache(maxsize=1)
def _families() -> tuple[str, ...]:
    """Matplotlib's own font, and one for Chinese names where the machine has it."""
    known = set(font_manager.get_font_names())
    if not known & set(_WIDE_LETTERS):  # Matplotlib's list is kept between runs, and older than a new font
        for path in font_manager.findSystemFonts():
            if Path(path).name.startswith(tuple(_WIDE_LETTERS.values())):
                font_manager.fontManager.addfont(path)
        known = set(font_manager.get_font_names())
    return ("DejaVu Sans", *[name for name in _WIDE_LETTERS if name in known][:1])


def without_glyphs(text: str) -> str:
    """Letters of a text that no font of the pictures has, which would be boxes; each once."""
    fonts = [
        font_manager.get_font(font_manager.findfont(font_manager.FontProperties(family=[name])))
        for name in _families()
    ]
    return "".join(
        letter
        for letter in dict.fromkeys(text)
        if not letter.isspace() and not any(font.get_char_index(ord(letter)) for font in fonts)
    )


@contextmanager
def one_style() -> Iterator[None]:
    """Matplotlib's settings of every picture, left as they were afterwards."""
    settings: Any = {**STYLE, "font.family": list(_families())}
    with matplotlib.rc_context(settings):
        yield


@lru_cache(maxsize=4096)
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width of one line of text, and its font's ``size``, in a page's units."""
    font = font_manager.FontProperties(
        family=list(_families()), size=size, weight="bold" if bold else "normal"
    )
    return float(text_to_path.get_text_width_height_descent(text, font, False)[0])


def wrap(text: str, size: float, width: float, bold: bool = False) -> list[str]:
    """Lines of a text that are no wider than ``width``; a word that is too long is broken."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if text_width(longer, size, bold) <= width:
            lines[-1] = longer
            continue
        while text_width(word, size, bold) > width and len(word) > 1:
            fits = max(1, int(len(word) * width / text_width(word, size, bold)) - 1)
            lines.append(word[:fits])
            word = word[fits:]
        lines.append(word)
    return [line for line in lines if line] or [""]


def fitting(text: str, size: float, width: float, bold: bool = False) -> str:
    """A text cut to ``width`` with an ellipsis, whole where it fits."""
    if text_width(text, size, bold) <= width:
        return text
    while text and text_width(text + "…", size, bold) > width:
        text = text[: min(len(text) - 1, int(len(text) * 0.97))]
    return text + "…"


class Page:
    """A figure on which things are placed in units from the upper left corner.

    Args:
        width: Units; what is laid out does not depend on the picture's resolution.
        height: Units.
        pixels: Width of the picture in pixels, when it becomes one.
    """

    def __init__(self, width: float, height: float, pixels: int) -> None:
        self.scale = pixels / width
        # even, as video encoders want it; the hundredth keeps a whole number from being rounded down
        self.pixels = (pixels, 2 * round(height * self.scale / 2))
        self.width, self.height = width, self.pixels[1] / self.scale
        dpi = UNITS_PER_INCH * self.scale
        self.figure = Figure(figsize=((pixels + 0.01) / dpi, (self.pixels[1] + 0.01) / dpi), dpi=dpi)
        self._to_figure = Affine2D().scale(1 / self.width, -1 / self.height).translate(0, 1)
        self.transform = self._to_figure + self.figure.transFigure

    def text(
        self,
        text: str,
        place: tuple[float, float],
        size: float = 13.0,
        color: Color = INK,
        align: str = "left",
        bold: bool = False,
    ) -> Text:
        """One line of text; ``place`` is the left end, the middle or the right end of its baseline."""
        x, y = self._to_figure.transform(place)
        weight = "bold" if bold else "normal"
        return self.figure.text(
            x,
            y,
            text,
            size=size * _POINTS,
            color=color,
            ha=align,
            va="baseline",
            weight=weight,
            parse_math=False,  # a name may hold a $
        )

    def add(self, artist: Artist, clip: Box | None = None) -> Artist:
        """Add an artist whose coordinates are the page's, cut off at a box."""
        artist.set_figure(self.figure)
        artist.set_transform(self.transform)
        self.figure.add_artist(artist, clip=False)
        if clip is not None:
            left, top, width, height = clip
            box = Bbox([[left, top], [left + width, top + height]])
            artist.set_clip_box(TransformedBbox(box, self.transform))
        return artist

    def rectangle(self, box: Box, color: Color, alpha: float = 1.0, order: float = 1) -> None:
        """A filled box."""
        left, top, width, height = box
        self.add(
            Rectangle(
                (left, top), width, height, facecolor=color, edgecolor="none", alpha=alpha, zorder=order
            )
        )

    def axes(self, box: Box) -> Axes:
        """Axes in a box."""
        left, top, width, height = box
        return self.figure.add_axes(
            (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        )

    def photograph(self, image: np.ndarray, box: Box) -> Box:
        """A camera image ``(H, W, 3)`` uint8 BGR, brought to the picture's pixels; returns its exact box."""
        left, top = (round(value * self.scale) for value in box[:2])
        width, height = (max(1, round(value * self.scale)) for value in box[2:])
        if image.shape[:2] != (height, width):
            method = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_CUBIC
            image = cv2.resize(image, (width, height), interpolation=method)
        photograph = Photograph(image, (left, top + height), self)
        self.add(photograph)
        return tuple(value / self.scale for value in (left, top, width, height))  # type: ignore[return-value]


class Photograph(Artist):
    """Pixels that go onto a page as they are; Matplotlib's own images are sampled anew, which takes long.

    Args:
        image: ``(H, W, 3)`` uint8 BGR.
        corner: Column and row of the picture where its lower left corner comes to lie.
        page: The page.
    """

    def __init__(self, image: np.ndarray, corner: tuple[int, int], page: Page) -> None:
        super().__init__()
        self.set_zorder(0.5)
        rgba = cv2.cvtColor(image, cv2.COLOR_BGR2RGBA)
        self.image = np.ascontiguousarray(rgba[::-1])  # renderers want the lowest row first
        self.place = corner[0] / page.scale, corner[1] / page.scale

    def draw(self, renderer: Any) -> None:
        """Called by Matplotlib."""
        context = renderer.new_gc()
        x, y = self.get_transform().transform(self.place)
        raster = not renderer.option_scale_image()
        renderer.draw_image(context, round(x) if raster else x, round(y) if raster else y, self.image)
        context.restore()


def rows_of(boxes: Sequence[float], room: float, gap: float) -> list[float]:
    """Where things of given widths begin, side by side in the middle of ``room``."""
    start = (room - sum(boxes) - gap * (len(boxes) - 1)) / 2
    return [start + sum(boxes[:k]) + gap * k for k in range(len(boxes))]
