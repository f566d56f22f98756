"""Adapters of the score to MMEngine."""

from mapllava.evaluation.metrics.vector_map_metric import VectorMapMetric

__all__ = ["VectorMapMetric"]
