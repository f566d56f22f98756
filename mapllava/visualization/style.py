"""Colours, line forms and text settings that all pictures and charts share.

A class is told by its colour and by its line form, truth from prediction by width, tint and end points:
never by colour alone. Colours are hex names, as Matplotlib, CSS and Plotly read them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Color = str

INK: Color = "#24282d"
MUTED: Color = "#666d76"
GRID: Color = "#e3e6ea"
PAPER: Color = "#ffffff"
PAGE: Color = "#f6f7f9"
CAR: Color = "#3a4048"

_CLASS_COLORS: dict[str, Color] = {"divider": "#e07b00", "ped_crossing": "#2a74e4", "boundary": "#400a1a"}
_MORE_COLORS: tuple[Color, ...] = ("#4fa3a0", "#d14674", "#a21700", "#00a3e0", "#002e8b")
PALETTE: tuple[Color, ...] = (
    _CLASS_COLORS["ped_crossing"],
    _CLASS_COLORS["divider"],
    *_MORE_COLORS,
    _CLASS_COLORS["boundary"],
)
"""What curves and bars take in turn; what is nearest to ink comes last."""
UNSURE: Color = "#b0b6be"
"""Colour of what chance may have made."""


@dataclass(frozen=True)
class LineForm:
    """What tells a class apart where colours do not.

    Args:
        dash: Lengths of dashes and gaps in turn, points; none for a solid line.
        weight: Width relative to other classes.
        fill: Opacity inside closed lines of an area class, 0 to 1.
        hatch: Matplotlib's pattern inside them.
    """

    dash: tuple[float, ...] = ()
    weight: float = 1.0
    fill: float = 0.0
    hatch: str = ""


_CLASS_FORMS: dict[str, LineForm] = {
    "divider": LineForm(dash=(9.0, 3.5), weight=0.85),
    "ped_crossing": LineForm(dash=(2.2, 1.6), weight=0.75, fill=0.10, hatch="/////"),
    "boundary": LineForm(weight=1.1),
}
_MORE_FORMS = (
    LineForm(dash=(9.0, 2.5, 2.0, 2.5)),
    LineForm(dash=(4.5, 2.5)),
    LineForm(weight=0.7),
    LineForm(dash=(9.0, 2.5, 2.0, 2.5, 2.0, 2.5)),
    LineForm(dash=(14.0, 4.0)),
)


@dataclass(frozen=True)
class Role:
    """What tells truth from prediction.

    Args:
        name: In the legend.
        width: Points.
        tint: Share of white in the class's colour, 0 to 1.
        ends: Diameter of the dots at the ends of open lines and at the first vertex of closed ones,
            points; 0 for none.
        order: Later ones lie above.
        fill: Whether areas are tinted or hatched.
        outline: What lifts lines off a photograph: its colour and the points on every side; None for nothing.
    """

    name: str
    width: float
    tint: float = 0.0
    ends: float = 0.0
    order: int = 2
    fill: bool = True
    outline: tuple[Color, float] | None = (PAPER, 0.8)


TRUTH = Role("ground truth", width=5.4, tint=0.55, order=2, outline=(INK, 0.6))
PREDICTION = Role("prediction", width=1.7, ends=4.6, order=4)
CITED = Role("cited", width=3.4, ends=6.4, order=4)
"""Lines that an answer rests on."""
FADED = Role("not cited", width=1.2, tint=0.68, order=3, fill=False, outline=None)
"""The others beside them."""
REGION: Color = "#7a4fb5"
REGION_ROLE, REGION_FORM = Role("region", width=1.6, order=3, outline=None), LineForm(dash=(5.0, 3.0))
"""Outline of the region that is asked about."""


def class_color(classes: tuple[str, ...], label: int) -> Color:
    """The colour of a class: its own if it has one, else the next of a small palette."""
    name = classes[label]
    return _CLASS_COLORS.get(name, _MORE_COLORS[label % len(_MORE_COLORS)])


def class_form(classes: tuple[str, ...], label: int) -> LineForm:
    """The line form of a class: its own if it has one, else the next of a few."""
    return _CLASS_FORMS.get(classes[label], _MORE_FORMS[label % len(_MORE_FORMS)])


def pale(color: Color, share: float = TRUTH.tint) -> Color:
    """A colour with a share of white mixed in, 0 to 1."""
    return "#" + "".join(f"{round(255 * share + (1 - share) * value):02x}" for value in _rgb(color))


def bgr(color: Color) -> tuple[int, int, int]:
    """A colour as OpenCV takes it."""
    red, green, blue = _rgb(color)
    return blue, green, red


def _rgb(color: Color) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


STYLE: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "text.hinting": "none",  # letters keep their widths at every resolution, so that lines fit
    "svg.fonttype": "path",
    "hatch.linewidth": 0.6,
    "figure.facecolor": PAGE,
    "savefig.facecolor": PAGE,
    "text.color": INK,
    "axes.facecolor": PAPER,
    "axes.prop_cycle": f"cycler('color', {list(PALETTE)})",
    "axes.titlelocation": "left",
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlepad": 8,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9.5,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.spines.bottom": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "legend.borderpad": 0.2,
    "legend.borderaxespad": 0.2,
    "legend.handlelength": 1.8,
    "legend.columnspacing": 1.1,
    "legend.fontsize": 9,
}
"""Matplotlib's settings of every picture and chart."""
