"""Whole tasks in one call."""

from mapllava.apis.cache_pictures import draw_samples
from mapllava.apis.inference import MapPredictor, load_model

__all__ = ["MapPredictor", "draw_samples", "load_model"]
