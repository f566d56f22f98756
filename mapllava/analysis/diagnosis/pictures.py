"""A diagnosis as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.visualization import write_picture
from mapllava.visualization.charts import Bar, draw_bars, draw_columns, draw_curves

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
    folder = Path(folder)
    drawn = []
    for section, (name, draw) in _PICTURES.items():
        if section in found:
            path = folder / name
            write_picture(path, draw(found))
            drawn.append(path)
    return drawn


def _where(found: Mapping[str, Any]) -> str:
    return f"{found['split']}, {found['samples']} samples of {found['scenes']} scenes"


def _ablations(found: Mapping[str, Any]) -> np.ndarray:
    scores = found["ablations"]
    bars = []
    for row in scores["ablations"]:
        low, high = (100 * end for end in row["interval"]) if row["interval"] else (None, None)
        remark = f"mAP {100 * scores['mAP']:.1f} -> {100 * row['mAP']:.1f}"
        bars.append(Bar(row["name"], 100 * row["cost"], low, high, remark))
    return draw_bars(
        bars,
        f"What it costs: mAP {100 * scores['mAP']:.1f} as it is",
        f"{_where(found)}, protocol {scores['protocol']}; whiskers: 95 % over scenes",
        "points of mAP lost (grey: not told from 0, so nothing shows that the model uses it)",
    )


def _attention(found: Mapping[str, Any]) -> np.ndarray:
    seen = found["attention"]
    names = [name.removeprefix("CAM_").replace("_", " ").lower() for name in seen["cameras"]]
    share = "share of the neck's cross-attention"
    series = {share: [100 * value for value in seen["share"]]}
    series["if spread evenly over the patches in reach"] = [100 * value for value in seen["even"]]
    reach = f"a query reads {seen['patches_read']:.1f} of {seen['patches_in_reach']:.1f} patches in reach"
    if seen["one_by_one"]:
        reach += "; own queries per camera: equal by construction"
    return draw_columns(names, series, "Attention per camera", f"{_where(found)}; {reach}", " %")


def _spectrum(found: Mapping[str, Any]) -> np.ndarray:
    series = {}
    for row in found["rank"]:
        label = f"{row['name']}: rank {row['effective_rank']:.1f} of {row['largest_rank']}"
        series[label] = row["spectrum"][: row["largest_rank"]]
    title = "Spectrum and effective rank of scene tokens and map queries"
    axis = "singular value, counted from the largest (which is 1)"
    return draw_curves({k: v for k, v in series.items() if len(v)}, title, _where(found), axis, _DECADES)


def _gradient(found: Mapping[str, Any]) -> np.ndarray:
    depth = found["gradient"]
    series = {
        "on the decoded queries": depth["on_queries"],
        "on the drawing's own points": depth["on_points"],
    }
    if depth["growth"] is None:
        verdict = "one drawing: nothing to compare"
    else:
        verdict = f"on queries x {depth['growth']:.2f} per drawing" + (": grows" if depth["grows"] else "")
    axis = "drawing (0: the decoder's own, then one per refinement layer)"
    title = "Gradient norm of each drawing's loss"
    return draw_curves(series, title, f"{_where(found)}; {verdict}", axis, _DECADES, first=0)


_PICTURES = {
    "ablations": ("ablations.png", _ablations),
    "attention": ("attention.png", _attention),
    "rank": ("spectrum.png", _spectrum),
    "gradient": ("gradient.png", _gradient),
}
