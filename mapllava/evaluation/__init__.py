"""Scoring of vector maps: the score itself, MMEngine's adapter, and the results file."""

from mapllava.evaluation.functional import PROTOCOLS, chamfer_average_precision
from mapllava.evaluation.metrics import VectorMapMetric
from mapllava.evaluation.offline import score_results
from mapllava.evaluation.report import metric_values, score_table
from mapllava.evaluation.results_file import MapResults, load_results, save_results

__all__ = [
    "PROTOCOLS",
    "MapResults",
    "VectorMapMetric",
    "chamfer_average_precision",
    "load_results",
    "metric_values",
    "save_results",
    "score_results",
    "score_table",
]
