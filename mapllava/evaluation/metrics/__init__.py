"""Adapters of the score to MMEngine."""

from mapllava.evaluation.metrics.request_metric import RequestMetric
from mapllava.evaluation.metrics.vector_map_metric import VectorMapMetric

__all__ = ["RequestMetric", "VectorMapMetric"]
