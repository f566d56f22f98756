"""The score itself: numpy and shapely, no framework."""

from mapllava.evaluation.functional.bootstrap import bootstrap_ap, bootstrap_interval, draw_groups
from mapllava.evaluation.functional.breakdown import (
    found_lines,
    kept_predictions,
    line_lengths,
    nearest_distances,
    place_in,
    rates_by_distance,
    rates_by_group,
)
from mapllava.evaluation.functional.chamfer import chamfer_distance, chamfer_of_pairs
from mapllava.evaluation.functional.chamfer_ap import chamfer_average_precision, matched_chamfer, score_of
from mapllava.evaluation.functional.matches import Matches, join, match_maps
from mapllava.evaluation.functional.measures import (
    average_precision,
    best_f1,
    calibration_error,
    precision_recall,
)
from mapllava.evaluation.functional.protocols import PROTOCOLS, Protocol, get_protocol
from mapllava.evaluation.functional.raster_iou import raster_iou
from mapllava.evaluation.functional.sample_scores import SampleScores, best_and_worst, sample_scores

__all__ = [
    "PROTOCOLS",
    "Matches",
    "Protocol",
    "SampleScores",
    "average_precision",
    "best_and_worst",
    "best_f1",
    "bootstrap_ap",
    "bootstrap_interval",
    "calibration_error",
    "chamfer_average_precision",
    "chamfer_distance",
    "chamfer_of_pairs",
    "draw_groups",
    "found_lines",
    "get_protocol",
    "join",
    "kept_predictions",
    "line_lengths",
    "match_maps",
    "matched_chamfer",
    "nearest_distances",
    "place_in",
    "precision_recall",
    "raster_iou",
    "rates_by_distance",
    "rates_by_group",
    "sample_scores",
    "score_of",
]
