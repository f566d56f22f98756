"""The score itself: numpy and shapely, no framework."""

from mapllava.evaluation.functional.average_precision import average_precision
from mapllava.evaluation.functional.chamfer import chamfer_distance, chamfer_of_pairs
from mapllava.evaluation.functional.chamfer_ap import chamfer_average_precision, score_of
from mapllava.evaluation.functional.matches import Matches, match_maps
from mapllava.evaluation.functional.protocols import PROTOCOLS, Protocol, get_protocol

__all__ = [
    "PROTOCOLS",
    "Matches",
    "Protocol",
    "average_precision",
    "chamfer_average_precision",
    "chamfer_distance",
    "chamfer_of_pairs",
    "get_protocol",
    "match_maps",
    "score_of",
]
