"""Fill the page's template. All that came from files goes through Jinja's escaping or JSON: it is data."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined

from mapllava.evaluation.functional import best_and_worst
from mapllava.evaluation.scoring import Comparison
from mapllava.files import atomic_write
from mapllava.geometry.lidar_frame import LIDAR_AHEAD
from mapllava.progress import progress_bar
from mapllava.structures.frames import AREA_CLASSES, MapSpec
from mapllava.version import __version__
from mapllava.visualization.report_page import tables
from mapllava.visualization.report_page.maps import LINE_BYTES, as_drawn, pack, pack_maps
from mapllava.visualization.report_page.numbers import chart_numbers, plain, sample_index
from mapllava.visualization.report_page.runs import PageSample, Run, list_samples
from mapllava.visualization.report_page.thumbnails import front_picture, map_paths, view_box
from mapllava.visualization.style import (
    CAR,
    GRID,
    INK,
    MUTED,
    PAGE,
    PALETTE,
    PAPER,
    PREDICTION,
    TRUTH,
    UNSURE,
    class_color,
    class_form,
    pale,
)

LETTERS = ("A", "B")
_PIXELS = 4 / 3
"""CSS pixels of a point."""
_LIGHT = f":root {{ --page: {PAGE}; --paper: {PAPER}; --ink: {INK}; --muted: {MUTED}; --rule: {UNSURE}; }}"
"""The page's light colours, those of every picture; the style sheet has the dark ones."""
FEW_SCENES = 10
"""With fewer the page warns of its intervals."""
SHOWN_SCENES = 400
"""Scenes in the table; the chart has them all."""


@dataclass
class Page:
    """What a page shows.

    Args:
        spec: Frame, region and classes of all maps.
        runs: One or two.
        entries: The evaluation's entries of the GT cache; None where no truth is known.
        comparison: The second less the first run.
        facts: Name and value of what the page says about its making.
        floor: Predictions below this score do not travel with the page; it is made higher where the
            file would grow beyond ``room``, though never so high that lines that are drawn at first miss.
        count: Best and worst samples that are listed.
        dataroot: Where the cameras' images lie; None shows none.
        room: Megabytes that the maps may take.
    """

    spec: MapSpec
    runs: Sequence[Run]
    entries: Sequence[Mapping[str, Any]] | None = None
    comparison: Comparison | None = None
    facts: Sequence[tuple[str, str]] = ()
    floor: float = 0.05
    count: int = 6
    dataroot: Path | None = None
    room: float = 24.0
    samples: list[PageSample] = field(init=False)

    def __post_init__(self) -> None:
        self.samples = list_samples(self.runs, self.entries)
        cuts = np.concatenate([run.min_scores for run in self.runs])
        # What is drawn at first must be there
        self.floor = float(min([max(self.floor, self._fitting()), *cuts[np.isfinite(cuts)]]))

    def _fitting(self) -> float:
        """The lowest score whose lines, with the true ones, take no more than the room."""
        scores = [entry["scores"] for run in self.runs for entry in run.results.results.values()]
        ranked = np.sort(np.concatenate([np.zeros(0), *scores]))[::-1]
        most = int(1e6 * self.room / LINE_BYTES) - sum(
            len(entry["polylines"]) for entry in self.entries or ()
        )
        return -np.inf if len(ranked) <= most else float(ranked[max(0, most - 1)])

    @property
    def row(self) -> int:
        """The threshold that tables show: the middle one."""
        evaluation = self.runs[0].evaluation
        return 0 if evaluation is None else len(evaluation.score["thresholds"]) // 2


def write_report(path: str | Path, page: Page, progress: bool = False) -> Path:
    """Write the page, whole or not at all.

    Args:
        path: File to write; its folder is made.
        page: What it shows.
        progress: Show a bar on the terminal.

    Returns:
        The path.

    Raises:
        MapLLaVAError: If the file cannot be written.
    """
    with progress_bar("packing maps", len(page.samples), progress) as advance:
        chunks = pack_maps(page.samples, page.runs, page.entries, page.spec, page.floor, advance)
    text = render(page, chunks)
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
    return Path(path)


def render(page: Page, chunks: Sequence[str]) -> str:
    """The page as HTML, from the maps that :func:`pack_maps` gives."""
    plotly = _plotly()
    script = "\n".join(_asset(name) for name in ("maps.js", "charts.js", "page.js"))
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # A file of its own is given as it is; everything else is escaped
    return environment.from_string(_asset("template.html")).render(
        css=f"{_LIGHT}\n{_asset('style.css')}",
        script=script,
        plotly=pack(plotly.encode()),
        hashes=[_hash(f"\n{script}\n"), _hash(plotly)],
        chunks=chunks,
        data=page_data(page),
        **_words(page),
    )


def page_data(page: Page) -> dict[str, Any]:
    """What the page's script reads, as builtins."""
    roi, spec = page.spec.roi, page.spec
    corners = as_drawn(np.array([[roi.x_min, roi.y_min], [roi.x_max, roi.y_max]]), spec)
    evaluation = page.runs[0].evaluation
    return {
        "classes": class_styles(page.spec),
        "style": {"ink": INK, "muted": MUTED, "grid": GRID, "paper": PAPER, "car": CAR, "runs": PALETTE[3:5]},
        "region": [corners.min(axis=0).tolist(), corners.max(axis=0).tolist()],
        "ahead": LIDAR_AHEAD if spec.frame == "lidar" else 0.0,
        "thresholds": [] if evaluation is None else list(evaluation.score["thresholds"]),
        "threshold": page.row,
        "truth": page.entries is not None,
        "floor": page.floor,
        "scores": _score_range(page),
        "runs": [
            {
                "letter": letter,
                "name": run.name,
                # Exactly: a cut is often a line's own score
                "cuts": plain(run.min_scores, 17),
                "chosenBy": run.chosen_by,
                **chart_numbers(run),
            }
            for letter, run in zip(LETTERS[: len(page.runs)], page.runs, strict=True)
        ],
        "samples": sample_index(page.samples, page.runs),
    }


def class_styles(spec: MapSpec) -> list[dict[str, Any]]:
    """How each class is drawn; widths and dashes in pixels."""
    out = []
    for label, name in enumerate(spec.classes):
        color, form = class_color(spec.classes, label), class_form(spec.classes, label)
        out.append(
            {
                "name": name,
                "color": color,
                "pale": pale(color),
                "dash": [round(_PIXELS * length, 1) for length in form.dash],
                "width": _PIXELS * PREDICTION.width * form.weight,
                "band": _PIXELS * TRUTH.width,
                "ends": _PIXELS * PREDICTION.ends,
                "area": name in AREA_CLASSES,
            }
        )
    return out


def _score_range(page: Page) -> list[float]:
    scores = [entry["scores"] for run in page.runs for entry in run.results.results.values()]
    top = max((float(np.max(values)) for values in scores if len(values)), default=1.0)
    return [page.floor, max(1.0, top)] if page.floor >= 0 else [page.floor, top]


def _words(page: Page) -> dict[str, Any]:
    """What the template writes by itself, before any script has run."""
    return {
        "title": " and ".join(Path(run.name).name for run in page.runs),
        "runs": [_run_words(page, *pair) for pair in zip(LETTERS[: len(page.runs)], page.runs, strict=True)],
        "classes": page.spec.classes,
        "styles": class_styles(page.spec),
        "view_box": view_box(page.spec),
        "facts": page.facts,
        "version": __version__,
        "truth": page.entries is not None,
        "thresholds": page_data_thresholds(page),
        "row": page.row,
        "sample_score": next((run.sample_scores.name for run in page.runs if run.sample_scores), ""),
        "comparison": _comparison_words(page),
        "breakdowns": _breakdown_words(page),
        "floor": page.floor,
        "left_out": sum(
            int((np.asarray(entry["scores"]) < page.floor).sum())
            for run in page.runs
            for entry in run.results.results.values()
        ),
        "num_samples": len(page.samples),
        "few_scenes": FEW_SCENES,
        "region": page.spec.roi.describe(page.spec.frame),
        "frame": page.spec.frame,
    }


def page_data_thresholds(page: Page) -> list[str]:
    """Names of the thresholds: ``0.5 m``."""
    evaluation = page.runs[0].evaluation
    return [] if evaluation is None else [f"{t:g} m" for t in evaluation.score["thresholds"]]


def _run_words(page: Page, letter: str, run: Run) -> dict[str, Any]:
    words: dict[str, Any] = {
        "letter": letter,
        "name": run.name,
        "chosen_by": run.chosen_by,
        "cuts": tables.cut_text(run, page.spec.classes),
        "num_lines": sum(len(entry["labels"]) for entry in run.results.results.values()),
        "num_drawn": sum(
            int((np.asarray(entry["scores"]) >= run.min_scores[np.asarray(entry["labels"], dtype=int)]).sum())
            for entry in run.results.results.values()
        ),
        "num_samples": len(run.results.results),
        "score": None,
    }
    if run.evaluation is None:
        return words
    interval, maps = run.evaluation.interval(), run.evaluation.maps
    caption = f"AP in %: split {maps.data}, protocol {maps.protocol.title}"
    words.update(
        score=tables.score_rows(run.evaluation, caption),
        mean=tables.percent(run.evaluation.score["mAP"]),
        interval=None if interval is None else tables.interval_text(interval["mAP"]),
        num_draws=0 if run.evaluation.draws_ap is None else len(run.evaluation.draws_ap),
        num_scenes=len(maps.scenes),
        num_missing=maps.num_missing,
        reliable=_reliable(run, page.row),
        **_listed(page, run),
        **tables.summary(run, page.row),
    )
    return words


def _reliable(run: Run, row: int) -> str | None:
    values = run.evaluation.measures.get("ece") if run.evaluation is not None else None
    return None if values is None else tables.percent(values["all"][row])


def _listed(page: Page, run: Run) -> dict[str, list[dict[str, Any]]]:
    """Best and worst samples: place on the page, name and score."""
    if run.sample_scores is None:
        return {"best": [], "worst": []}
    place = {sample.number: k for k, sample in enumerate(page.samples)}
    best, worst = best_and_worst(run.sample_scores, page.count, page.count)

    def words(number: int) -> dict[str, Any]:
        sample = page.samples[place[number]]
        score = tables.percent(run.sample_scores.score[number], 0) if run.sample_scores else ""
        name = sample.scene or sample.token
        drawn = run.evaluation.maps.predictions[number] if run.evaluation else {}
        entry = page.entries[number] if page.entries is not None else {}
        return {
            "place": place[number],
            "scene": name,
            "token": sample.token,
            "score": score,
            "paths": map_paths(page.spec, entry["polylines"], drawn, run.min_scores),
            "picture": None if page.dataroot is None else front_picture(entry, page.dataroot),
        }

    return {"best": [words(k) for k in best], "worst": [words(k) for k in worst]}


def _comparison_words(page: Page) -> dict[str, Any] | None:
    if page.comparison is None:
        return None
    return {
        "verdict": page.comparison.verdict,
        "table": tables.difference_rows(page.comparison, LETTERS),
    }


def _breakdown_words(page: Page) -> list[dict[str, Any]]:
    """Each breakdown's name and its tables, one per run."""
    if page.entries is None:
        return []
    threshold = page_data_thresholds(page)[page.row]
    out = []
    for key, first in BREAKDOWNS.items():
        made = []
        for letter, run in zip(LETTERS[: len(page.runs)], page.runs, strict=True):
            caption = f"{letter}: {run.name}, within {threshold}"
            table = tables.rate_rows(run, key, page.row, first, caption)
            table.rows = table.rows[:SHOWN_SCENES]
            made.append(table)
        out.append({"key": key, "first": first, "tables": made, "many": len(made[0].rows)})
    return out


BREAKDOWNS = {
    "class": "class",
    "distance": "distance from the car",
    "length": "length of line",
    "location": "location",
    "scene": "scene",
}
"""Breakdowns of the page in their order, and the heading of their first column."""


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath("assets", name).read_text(encoding="utf-8").strip()


def _plotly() -> str:
    """Plotly's script, from the Python package."""
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


def _hash(script: str) -> str:
    """What the content security policy lets run: this script and no other."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
