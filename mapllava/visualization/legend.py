"""What a picture's colours, forms and numbers mean: only what is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mapllava.evaluation.near_duplicates import NEAR
from mapllava.structures import MapLines
from mapllava.structures.frames import MapSpec
from mapllava.visualization.asked import Asked
from mapllava.visualization.map_axes import end_dots, line_collection
from mapllava.visualization.style import (
    INK,
    MUTED,
    PREDICTION,
    REGION,
    REGION_FORM,
    REGION_ROLE,
    TRUTH,
    LineForm,
    Role,
    class_color,
    class_form,
)
from mapllava.visualization.thinning import ScoreCut

if TYPE_CHECKING:
    from mapllava.visualization.page import Page

TEXT, SMALL = 17.0, 15.0
_KEY = ((TRUTH, "ground truth: wide, pale"), (PREDICTION, "prediction: thin, dots at its ends"))
_ROW, _SMALL_ROW, _SWATCH = 29.0, 21.0, 44.0
_TABLE = 360.0
_LEAST = 11.0


@dataclass
class Shown:
    """What is drawn.

    Args:
        spec: Frame, region and classes.
        truth: None where it is not known.
        predictions: Name to the lines that are drawn, thinned; empty where there is none.
        cut: Which scores are drawn; None without predictions.
        left_out: Number of near-duplicates that are not drawn.
        asked: The question that the one prediction answers; None where nothing was asked.
    """

    spec: MapSpec
    truth: MapLines | None
    predictions: dict[str, MapLines] = field(default_factory=dict)
    cut: ScoreCut | None = None
    left_out: int = 0
    asked: Asked | None = None

    def panels(self) -> list[tuple[str, list[tuple[MapLines, Role]]]]:
        """Title and layers of each map from above."""
        truth = [] if self.truth is None else [(self.truth, TRUTH)]
        named = list(self.predictions.items())
        if self.asked is not None:
            return [("", [layer for _, lines in named for layer in self.asked.layers(lines)])]
        if not named:
            return [("ground truth", truth)]
        if not truth or len(named) > 1:
            several = len(named) > 1
            return [
                (f"{k}: {name}" if several else name, [*truth, (lines, PREDICTION)])
                for k, (name, lines) in enumerate(named, start=1)
            ]
        ((name, lines),) = named
        pred = (lines, PREDICTION)
        return [("ground truth", truth), (name, [pred]), (f"{name} over ground truth", [*truth, pred])]

    def on_photographs(self) -> list[tuple[MapLines, Role]]:
        """Layers on camera images: several predictions would hide each other."""
        if self.asked is not None:
            return self.panels()[0][1]
        layers = [] if self.truth is None else [(self.truth, TRUTH)]
        if len(self.predictions) == 1 or (self.predictions and not layers):
            layers.append((next(iter(self.predictions.values())), PREDICTION))
        return layers


Block = Callable[["Page", float, float, float], float]
"""Draws at (left, top) within a width, and returns how far down it came."""


def blocks_of(shown: Shown, meta: Mapping[str, object]) -> list[Block]:
    """The parts of the legend, in reading order."""
    key = [role_key(_KEY)] if shown.truth is not None and shown.predictions else []
    if shown.asked is not None:
        key = [role_key(shown.asked.key(), bool(shown.asked.regions))]
    return [class_table(shown), *key, notes(shown, meta)]


def class_table(shown: Shown) -> Block:
    """Classes, how each is drawn, and numbers of lines."""

    def draw(page: Page, left: float, top: float, width: float) -> float:
        from mapllava.visualization.page import fitting, text_width

        columns, width = _columns(shown), min(width, _TABLE)
        words = [name.replace("_", " ") for name in shown.spec.classes]
        shares = [text_width(heading, SMALL) + 16 for heading, _ in columns]
        rights = [left + width - sum(shares[k + 1 :]) for k in range(len(columns))]
        for (heading, _), right in zip(columns, rights, strict=True):
            page.text(heading, (right, top + SMALL), SMALL, MUTED, "right")
        room = width - sum(shares) - _SWATCH - 8
        widest = max(text_width(word, TEXT) for word in words)
        size = max(_LEAST, TEXT * min(1.0, room / widest))  # names stand whole, if need be in small letters
        for label in range(len(words)):
            base = top + SMALL + _ROW * (label + 1)
            form, color = class_form(shown.spec.classes, label), class_color(shown.spec.classes, label)
            roles = [TRUTH] * (shown.truth is not None) + [PREDICTION] * bool(shown.predictions)
            roles = roles if shown.asked is None else [role for role, _ in shown.asked.key()[:1]]
            for role in roles:
                _swatch(page, left, base - 5, color, form, role)
            page.text(fitting(words[label], size, room), (left + _SWATCH + 10, base), size)
            for (_, values), right in zip(columns, rights, strict=True):
                page.text(values[label], (right, base), TEXT, INK, "right")
        return top + SMALL + _ROW * len(shown.spec.classes) + 8

    return draw


def role_key(rows: Sequence[tuple[Role, str]], region: bool = False) -> Block:
    """What lines of each role are, and whether a region is outlined."""
    looks = [(role, INK, LineForm(), words) for role, words in rows]
    looks += [(REGION_ROLE, REGION, REGION_FORM, "region asked about")] * region

    def draw(page: Page, left: float, top: float, width: float) -> float:
        for number, (role, color, form, words) in enumerate(looks):
            base = top + TEXT + _ROW * number
            _swatch(page, left, base - 5, color, form, role)
            page.text(words, (left + _SWATCH + 12, base), SMALL)
        return top + TEXT + _ROW * (len(looks) - 1) + 8

    return draw


def notes(shown: Shown, meta: Mapping[str, object]) -> Block:
    """Where scores were cut and by whom, what was thinned, which region this is."""
    roi = shown.spec.roi
    length, width_ = roi.length_and_width(shown.spec.frame)
    texts = []
    if shown.cut is not None:
        scores = [f"{score:.2g}" for score in shown.cut.scores]
        each = [f"{name.replace('_', ' ')} ≥ {s}" for name, s in zip(shown.spec.classes, scores, strict=True)]
        lowest = f"score ≥ {scores[0]}" if len(set(scores)) == 1 else ", ".join(each)
        texts.append(f"drawn: {lowest}; {shown.cut.source}")
    if shown.left_out:
        one = "1 near-duplicate" if shown.left_out == 1 else f"{shown.left_out} near-duplicates"
        texts.append(f"{one} not drawn (within {NEAR:g} m of a better one)")
    texts.append(f"{length:g} m along, {width_:g} m across the car; {shown.spec.frame} frame")
    if meta.get("sample_token"):
        texts.append(f"sample {meta['sample_token']}")

    def draw(page: Page, left: float, top: float, width: float) -> float:
        from mapllava.visualization.page import wrap

        base = top + SMALL
        for text in texts:
            for line in wrap(text, SMALL, width):
                page.text(line, (left, base), SMALL, MUTED)
                base += _SMALL_ROW
            base += 4
        return base - _SMALL_ROW + 4

    return draw


def _columns(shown: Shown) -> list[tuple[str, list[str]]]:
    """Heading and one value per class of each column of the table.

    Of several predictions the headings are the numbers of their panels: files' names would leave no room for
    the classes'.
    """
    count = len(shown.spec.classes)
    maps = [("truth", shown.truth)] * (shown.truth is not None)
    drawn = list(shown.predictions.values())
    maps += [("drawn" if len(drawn) == 1 else f"{k}:", lines) for k, lines in enumerate(drawn, start=1)]
    if shown.asked is not None and shown.asked.cited is not None:
        maps = [("cited", shown.asked.layers(drawn[0])[-1][0]), *maps]
    columns = []
    for heading, lines in maps:
        if lines is not None:
            numbers = np.bincount(np.asarray(lines.labels, dtype=np.int64), minlength=count)
            columns.append((heading, [str(number) for number in numbers[:count]]))
    return columns


def _swatch(page: Page, left: float, middle: float, color: str, form: LineForm, role: Role) -> None:
    inset = 0.0 if form.dash and form.dash[0] > role.width else 3.0  # room for a round cap
    line = np.array([[left + inset, middle], [left + _SWATCH - inset, middle]])
    page.add(line_collection([line], color, form, role))
    if role.ends:
        page.add(end_dots(line, color, role))
