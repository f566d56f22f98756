"""A diagnosis as charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.visualization.charts import open_chart, place_legend
from mapllava.visualization.style import INK, UNSURE

_DECADES = 4


def draw_diagnosis(found: Mapping[str, Any], folder: str | Path) -> list[Path]:
    """Draw what :meth:`Diagnosis.run` found, one picture per section that has one.

    Args:
        found: The diagnosis.
        folder: Where ``ablations.png``, ``attention.png``, ``spectrum.png`` and ``gradient.png`` go.

    Returns:
        Paths of the pictures that were drawn; a section that is missing has none.

    Raises:
        MapLLaVAError: If one cannot be written.
    """
    drawn = []
    for section, (name, draw) in _PICTURES.items():
        if section in found:
            drawn.append(Path(folder) / name)
            draw(found, drawn[-1])
    return drawn


def _where(found: Mapping[str, Any]) -> str:
    return f"{found['split']}, {found['samples']} samples of {found['scenes']} scenes"


def _ablations(found: Mapping[str, Any], path: Path) -> None:
    """Bars of the cost, grey where its interval includes zero."""
    scores = found["ablations"]
    title = f"What it costs: mAP {100 * scores['mAP']:.1f} as it is"
    subtitle = f"{_where(found)}, protocol {scores['protocol']}; whiskers: 95 % over scenes"
    rows = scores["ablations"]
    with open_chart(path, title, subtitle, (1100, 182 + 58 * len(rows))) as (_, axes):
        axis = axes[0, 0]
        for place, row in enumerate(rows):
            cost, ends = 100 * row["cost"], [100 * end for end in row["interval"] or ()]
            sure = not ends or ends[0] * ends[1] > 0
            axis.barh(place, cost, 0.5, color="C0" if sure else UNSURE)
            if ends:
                # around its own middle: a basic bootstrap's interval need not hold the estimate
                low, high = ends
                axis.errorbar((low + high) / 2, place, xerr=(high - low) / 2, color=INK, capsize=4)
            text = f"{round(cost, 1) + 0.0:.1f}"
            axis.annotate(text, (max(0, cost, *ends), place), (8, 0), textcoords="offset points", va="center")
        remarks = [f"{row['name']}\nmAP {100 * scores['mAP']:.1f} → {100 * row['mAP']:.1f}" for row in rows]
        axis.set_yticks(range(len(rows)), remarks, color=INK)
        axis.invert_yaxis()
        axis.grid(False, axis="y")
        axis.margins(x=0.1)
        axis.set_xlabel("points of mAP lost (grey: not told from 0, so nothing shows that the model uses it)")


def _attention(found: Mapping[str, Any], path: Path) -> None:
    seen = found["attention"]
    names = [name.removeprefix("CAM_").replace("_", " ").lower() for name in seen["cameras"]]
    reach = f"a query reads {seen['patches_read']:.1f} of {seen['patches_in_reach']:.1f} patches in reach"
    if seen["one_by_one"]:
        reach += "; own queries per camera: equal by construction"
    with open_chart(path, "Attention per camera", f"{_where(found)}; {reach}") as (_, axes):
        axis, places = axes[0, 0], np.arange(len(names))
        for shift, key, label in (
            (-0.2, "share", "share of the neck's cross-attention"),
            (0.2, "even", "if spread evenly over the patches in reach"),
        ):
            bars = axis.bar(places + shift, [100 * value for value in seen[key]], 0.38, label=label)
            axis.bar_label(bars, fmt="%.3g", padding=2, fontsize=9)
        axis.set_xticks(places, names, color=INK)
        axis.grid(False, axis="x")
        axis.margins(y=0.1)
        axis.yaxis.set_major_formatter("{x:g} %")
        place_legend(axis)


def _spectrum(found: Mapping[str, Any], path: Path) -> None:
    series = {}
    for row in found["rank"]:
        label = f"{row['name']}: rank {row['effective_rank']:.1f} of {row['largest_rank']}"
        series[label] = row["spectrum"][: row["largest_rank"]]
    title = "Spectrum and effective rank of scene tokens and map queries"
    axis = "singular value, counted from the largest (which is 1)"
    _curves(path, title, _where(found), axis, series, 1)


def _gradient(found: Mapping[str, Any], path: Path) -> None:
    depth = found["gradient"]
    series = {
        "on the decoded queries": depth["on_queries"],
        "on the layer's own points": depth["on_points"],
    }
    if depth["growth"] is None:
        verdict = "one layer: nothing to compare"
    else:
        verdict = f"on queries x {depth['growth']:.2f} per layer" + (": grows" if depth["grows"] else "")
    axis = "layer (0: the decoder's own, then one per refinement layer)"
    _curves(
        path, "Gradient norm of each layer's loss", f"{_where(found)}; {verdict}", axis, series, 0, decades=12
    )


def _curves(
    path: Path,
    title: str,
    subtitle: str,
    label: str,
    series: Mapping[str, Sequence[float]],
    first: int,
    decades: int = _DECADES,
) -> None:
    """Curves over whole numbers from ``first``, some decades deep; what is smaller lies on the floor."""
    largest = max((max(values) for values in series.values() if len(values)), default=0.0)
    top = 10.0 ** math.ceil(math.log10(largest) - 1e-9) if largest > 0 else 1.0
    smallest = min((value for values in series.values() for value in values if value > 0), default=top / 10)
    floor = max(10.0 ** math.floor(math.log10(smallest)), top / 10.0**decades)
    with open_chart(path, title, subtitle, (1100, 620)) as (_, axes):
        axis = axes[0, 0]
        for name, values in series.items():
            marker = "o" if len(values) <= 20 else ""
            numbers = np.arange(len(values)) + first
            axis.plot(numbers, np.maximum(values, floor), lw=2.2, marker=marker, label=name, clip_on=False)
        axis.set_yscale("log")
        axis.set_ylim(floor, top)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_xlabel(label)
        place_legend(axis, columns=2)


_PICTURES = {
    "ablations": ("ablations.png", _ablations),
    "attention": ("attention.png", _attention),
    "rank": ("spectrum.png", _spectrum),
    "gradient": ("gradient.png", _gradient),
}
