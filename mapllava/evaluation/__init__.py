"""Scoring of vector maps: the score itself, MMEngine's adapter, results files and what they tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mapllava.evaluation.formats import read_results, write_results
from mapllava.evaluation.functional import PROTOCOLS, chamfer_average_precision
from mapllava.evaluation.report import metric_values, score_table
from mapllava.evaluation.results_file import MapResults, load_results
from mapllava.evaluation.results_writer import save_results, write_results_stream
from mapllava.evaluation.sample_record import Display, SampleRecord
from mapllava.evaluation.scoring import (
    Comparison,
    Evaluation,
    compare,
    evaluate_maps,
    pair_with_cache,
    score_results,
)

if TYPE_CHECKING:
    from mapllava.evaluation.metrics import VectorMapMetric

__all__ = [
    "PROTOCOLS",
    "Comparison",
    "Display",
    "Evaluation",
    "MapResults",
    "SampleRecord",
    "VectorMapMetric",
    "chamfer_average_precision",
    "compare",
    "evaluate_maps",
    "load_results",
    "metric_values",
    "pair_with_cache",
    "read_results",
    "save_results",
    "score_results",
    "score_table",
    "write_results",
    "write_results_stream",
]


def __getattr__(name: str) -> Any:
    if name == "VectorMapMetric":  # MMEngine's adapter; everything else here needs neither it nor torch
        from mapllava.evaluation.metrics import VectorMapMetric

        return VectorMapMetric
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
