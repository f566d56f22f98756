"""Whole tasks in one call."""

from mapllava.apis.cache_pictures import draw_samples
from mapllava.apis.inference import MapPredictor, load_model
from mapllava.apis.map_inferencer import MapInferencer, RigPrediction

__all__ = ["MapInferencer", "MapPredictor", "RigPrediction", "draw_samples", "load_model"]
