"""Plain charts: bars with intervals, grouped columns, and curves (numpy and OpenCV)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mapllava.visualization.style import GRID, INK, MUTED, PAGE, PAPER, Color, put_text, stroke, text_width

PALETTE: tuple[Color, ...] = ((196, 132, 66), (60, 130, 235), (90, 160, 60), (160, 80, 150))  # BGR
_UNSURE: Color = (190, 182, 176)
_WIDTH = 1100
_MARGIN, _HEAD = 36, 112
_TICK = 13.0


@dataclass(frozen=True)
class Bar:
    """One bar of a chart.

    Args:
        name: Written beside it.
        value: Its length.
        low: Lower end of an interval, or None.
        high: Upper end.
        remark: Written in grey below the name.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    remark: str = ""


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round numbers that enclose a range; for a range without width, one to the next."""
    span = high - low if high > low else 1.0
    high = low + span
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def draw_bars(bars: Sequence[Bar], title: str, subtitle: str = "", unit: str = "") -> np.ndarray:
    """Horizontal bars from zero, with their intervals as whiskers; grey where that includes zero.

    Args:
        bars: From top to bottom.
        title: First line.
        subtitle: Second line.
        unit: Written below the axis.

    Returns:
        ``(H, 1100, 3)`` uint8 BGR.

    Raises:
        ValueError: If there is no bar.
    """
    if not bars:
        raise ValueError("no bars to draw")
    row, foot = 58, 70
    ends = [end for bar in bars for end in (bar.value, bar.low, bar.high) if end is not None]
    ticks = nice_ticks(min(0.0, *ends), max(0.0, *ends))
    left = _MARGIN + max(
        max(text_width(bar.name, 16) for bar in bars), max(text_width(bar.remark, 12) for bar in bars)
    )
    left, right = left + 24, _WIDTH - 110
    picture = _page(_HEAD + row * len(bars) + foot, title, subtitle)
    floor = _HEAD + row * len(bars)
    scale = (right - left) / (ticks[-1] - ticks[0])

    def x_of(value: float) -> int:
        return round(left + (value - ticks[0]) * scale)

    cv2.rectangle(picture, (left, _HEAD - 8), (right, floor), PAPER, -1)
    for tick in ticks:
        cv2.line(picture, (x_of(tick), _HEAD - 8), (x_of(tick), floor), MUTED if tick == 0 else GRID, 1)
        put_text(picture, f"{tick:g}", (x_of(tick), floor + 22), MUTED, _TICK, "center")
    put_text(picture, unit, ((left + right) / 2, floor + 48), MUTED, 14, "center")
    for index, bar in enumerate(bars):
        y = _HEAD + row * index + row // 2
        put_text(picture, bar.name, (left - 14, y + (0 if bar.remark else 6)), INK, 16, "right")
        put_text(picture, bar.remark, (left - 14, y + 19), MUTED, 12, "right")
        start, end = sorted((x_of(0.0), x_of(bar.value)))
        color = PALETTE[0] if bar.low is None or bar.high is None or bar.low * bar.high > 0 else _UNSURE
        cv2.rectangle(picture, (start, y - 14), (max(end, start + 1), y + 14), color, -1)
        if bar.low is not None and bar.high is not None:
            low, high = x_of(bar.low), x_of(bar.high)
            cv2.line(picture, (low, y), (high, y), INK, 2, cv2.LINE_AA)
            for place in (low, high):
                cv2.line(picture, (place, y - 6), (place, y + 6), INK, 2, cv2.LINE_AA)
            end = max(end, high)
        put_text(picture, f"{round(bar.value, 1) + 0.0:.1f}", (end + 12, y + 6), INK, 16)
    return picture


def draw_columns(
    names: Sequence[str],
    series: Mapping[str, Sequence[float]],
    title: str,
    subtitle: str = "",
    unit: str = "",
) -> np.ndarray:
    """Groups of upright columns from zero, one of each series per group.

    Args:
        names: Of the groups.
        series: Name to one value per group, none negative.
        title: First line.
        subtitle: Second line.
        unit: Put behind every number.

    Returns:
        ``(560, 1100, 3)`` uint8 BGR.

    Raises:
        ValueError: If there is no group or no series.
    """
    if not len(names) or not series:
        raise ValueError("no columns to draw")
    picture = _page(580, title, subtitle)
    area = _Area(left=_MARGIN + 54, right=_WIDTH - _MARGIN, top=_HEAD + 24, floor=580 - 60)
    ticks = nice_ticks(0.0, max(max(values) for values in series.values()))
    area.frame(picture, ticks, [f"{tick:g}{unit}" for tick in ticks])
    _legend(picture, list(series), area)
    step = (area.right - area.left) / len(names)
    wide = 0.76 * step / len(series)
    for group, name in enumerate(names):
        begin = area.left + (group + 0.12) * step
        for index, values in enumerate(series.values()):
            x0, x1 = round(begin + index * wide + 1), round(begin + (index + 1) * wide - 1)
            top = area.y_of(values[group], ticks)
            cv2.rectangle(picture, (x0, min(top, area.floor - 1)), (x1, area.floor), PALETTE[index], -1)
            label = f"{values[group]:.3g}"
            put_text(picture, label, ((x0 + x1) / 2, top - 7), INK, 13, "center")
        put_text(picture, name, (area.left + (group + 0.5) * step, area.floor + 26), INK, 14, "center")
    return picture


def draw_curves(
    series: Mapping[str, Sequence[float]],
    title: str,
    subtitle: str = "",
    axis: str = "",
    decades: int = 0,
    first: int = 1,
) -> np.ndarray:
    """Curves over whole numbers.

    Args:
        series: Name to its values, none negative.
        title: First line.
        subtitle: Second line.
        axis: Written below the axis.
        decades: 0 for a linear axis from zero; otherwise a logarithmic one that reaches so many
            powers of ten below the largest value (smaller values lie on its floor).
        first: Number of the first value.

    Returns:
        ``(600, 1100, 3)`` uint8 BGR.

    Raises:
        ValueError: If there is nothing to draw.
    """
    longest = max((len(values) for values in series.values()), default=0)
    if not longest:
        raise ValueError("no curves to draw")
    picture = _page(620, title, subtitle)
    area = _Area(left=_MARGIN + 64, right=_WIDTH - _MARGIN, top=_HEAD + 24, floor=620 - 76)
    largest = max(max(values) for values in series.values() if len(values))
    if decades:
        above = math.ceil(math.log10(largest) - 1e-9) if largest > 0 else 0
        ticks = [float(power) for power in range(above - decades, above + 1)]
        labels = [f"{10.0**tick:g}" for tick in ticks]
    else:
        ticks = nice_ticks(0.0, largest if largest > 0 else 1.0)
        labels = [f"{tick:g}" for tick in ticks]
    area.frame(picture, ticks, labels)
    _legend(picture, list(series), area)
    room = area.right - area.left - 40
    every = max(1, math.ceil(longest / 20))

    def x_of(index: int) -> float:
        return area.left + 20 + room * (index / max(longest - 1, 1) if longest > 1 else 0.5)

    for index in range(0, longest, every):
        put_text(picture, f"{index + first}", (x_of(index), area.floor + 24), MUTED, _TICK, "center")
    put_text(picture, axis, ((area.left + area.right) / 2, area.floor + 52), MUTED, 14, "center")
    for number, values in enumerate(series.values()):
        lowest = ticks[0]
        heights = (
            [max(math.log10(value), lowest) if value > 0 else lowest for value in values]
            if decades
            else values
        )
        points = np.array([[x_of(index), area.y_of(value, ticks)] for index, value in enumerate(heights)])
        stroke(picture, points.reshape(-1, 2), PALETTE[number % len(PALETTE)], 3)
        for x, y in points.reshape(-1, 2) if longest <= 20 else ():
            place = (round(x * 16), round(y * 16))
            cv2.circle(picture, place, 5 * 16, PALETTE[number % len(PALETTE)], -1, cv2.LINE_AA, 4)
    return picture


@dataclass(frozen=True)
class _Area:
    """The part of a picture between the axes, in pixels."""

    left: int
    right: int
    top: int
    floor: int

    def y_of(self, value: float, ticks: Sequence[float]) -> int:
        share = (value - ticks[0]) / (ticks[-1] - ticks[0])
        return round(self.floor - share * (self.floor - self.top))

    def frame(self, picture: np.ndarray, ticks: Sequence[float], labels: Sequence[str]) -> None:
        cv2.rectangle(picture, (self.left, self.top), (self.right, self.floor), PAPER, -1)
        for tick, label in zip(ticks, labels, strict=True):
            y = self.y_of(tick, ticks)
            cv2.line(picture, (self.left, y), (self.right, y), MUTED if tick == ticks[0] else GRID, 1)
            put_text(picture, label, (self.left - 10, y + 5), MUTED, _TICK, "right")


def _page(height: int, title: str, subtitle: str) -> np.ndarray:
    picture = np.full((height, _WIDTH, 3), PAGE, dtype=np.uint8)
    put_text(picture, title, (_MARGIN, 42), INK, 22)
    put_text(picture, subtitle, (_MARGIN, 72), MUTED, 15)
    return picture


def _legend(picture: np.ndarray, names: Sequence[str], area: _Area) -> None:
    """Names and colours in one line above the area, smaller where they would not fit."""
    key, gap, room = 26, 28, area.right - area.left
    words = sum(text_width(name, 14) for name in names)
    size = 14 * min(1.0, (room - len(names) * (key + gap)) / max(words, 1))
    x, y = area.left, area.top - 14
    for index, name in enumerate(names):
        cv2.rectangle(picture, (x, y - 12), (x + 18, y + 1), PALETTE[index % len(PALETTE)], -1)
        put_text(picture, name, (x + key, y), INK, size)
        x += key + text_width(name, size) + gap
