"""Adapters of the score to MMEngine."""

from mapllava.evaluation.metrics.map_qa_metric import MapQAMetric
from mapllava.evaluation.metrics.request_metric import RequestMetric
from mapllava.evaluation.metrics.vector_map_metric import VectorMapMetric

__all__ = ["MapQAMetric", "RequestMetric", "VectorMapMetric"]
