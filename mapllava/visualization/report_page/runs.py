"""What a page is made from: one or two results files, and the truth where it is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mapllava.evaluation import MapResults
from mapllava.evaluation.breakdown import Breakdown
from mapllava.evaluation.display import best_f1_display, told_of
from mapllava.evaluation.functional import SampleScores
from mapllava.evaluation.functional.lines import Lines, gather_lines
from mapllava.evaluation.sample_record import FALLBACK_SCORE, SampleRecord
from mapllava.evaluation.scoring import Evaluation
from mapllava.structures.frames import MapSpec


@dataclass
class Run:
    """One results file.

    Args:
        name: The file, as tables call it.
        results: Its maps.
        min_scores: (C,) scores from which its lines are drawn; nan draws none of a class.
        chosen_by: What chose them, for the reader.
        evaluation: Its score; None without ground truth.
        breakdowns: What :func:`break_down` gives; empty without ground truth.
        sample_scores: How good each sample is, in the evaluation's order; None without ground truth.
    """

    name: str
    results: MapResults
    min_scores: np.ndarray
    chosen_by: str
    evaluation: Evaluation | None = None
    breakdowns: dict[str, Breakdown] = field(default_factory=dict)
    sample_scores: SampleScores | None = None


@dataclass(frozen=True)
class PageSample:
    """One sample that the page can show.

    Args:
        token: Its name.
        scene: Name of its scene, or empty.
        location: The city's part, or empty.
        timestamp: Microseconds, 0 if not known.
        number: Its place in the evaluation's order.
    """

    token: str
    scene: str
    location: str
    timestamp: int
    number: int


def list_samples(runs: Sequence[Run], entries: Sequence[Mapping[str, Any]] | None) -> list[PageSample]:
    """The samples, scene by scene and in the order of time within each.

    Args:
        runs: The results.
        entries: The evaluation's entries of the GT cache; None takes the samples that the results hold.
    """
    if entries is None:
        samples = _listed_samples(runs)
    else:
        samples = [
            PageSample(
                entry["sample_token"],
                str(entry.get("scene_name") or ""),
                str(entry.get("location") or ""),
                int(entry.get("timestamp") or 0),
                number,
            )
            for number, entry in enumerate(entries)
        ]
    scenes = {name: k for k, name in enumerate(dict.fromkeys(sample.scene for sample in samples))}
    return sorted(samples, key=lambda sample: (scenes[sample.scene], sample.timestamp, sample.number))


def _listed_samples(runs: Sequence[Run]) -> list[PageSample]:
    """The samples of results files, with what these say of them."""
    records = {token: record for run in runs for token, record in run.results.samples.items()}
    out = []
    for number, token in enumerate(dict.fromkeys(token for run in runs for token in run.results.results)):
        record = records.get(token, SampleRecord())
        out.append(PageSample(token, record.scene, record.location, record.timestamp or 0, number))
    return out


def lines_of(run: Run, samples: Sequence[PageSample], spec: MapSpec) -> tuple[Lines, np.ndarray]:
    """A run's predicted lines in the evaluation's order, and each one's metres to the nearest truth.

    Returns:
        P lines; (P,) Chamfer distances, inf where no line of the class is near or no truth is known.
    """
    if run.evaluation is not None:
        lines = gather_lines(run.evaluation.maps.predictions, spec.num_classes, "prediction", scored=True)
        return lines, run.evaluation.matches.distance
    empty: dict[str, Any] = {"points": [], "labels": [], "scores": []}
    ordered = sorted(samples, key=lambda sample: sample.number)
    maps = [{"sample_token": s.token, **run.results.results.get(s.token, empty)} for s in ordered]
    lines = gather_lines(maps, spec.num_classes, "prediction", scored=True)
    return lines, np.full(len(lines.labels), np.inf)


def choose_cuts(
    results: MapResults, evaluation: Evaluation | None = None, row: int = 0
) -> tuple[np.ndarray, str]:
    """(C,) scores from which lines are drawn, and what chose them.

    The thresholds that travel with the results come first; then those of the best F1 on these samples, at
    a threshold of the protocol; then :data:`~mapllava.evaluation.sample_record.FALLBACK_SCORE`.
    """
    classes = results.map_spec.classes
    display = results.display
    if display is None and evaluation is not None:
        found = best_f1_display(evaluation, evaluation.score["thresholds"][row])
        display = told_of(found, evaluation.maps.data)
    if display is None:
        return np.full(len(classes), FALLBACK_SCORE), f"{FALLBACK_SCORE:g} for want of better"
    return np.array([display.thresholds[name] for name in classes], dtype=np.float64), display.source
