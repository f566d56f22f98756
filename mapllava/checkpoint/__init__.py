"""Pretrained weights: where they come from, what their keys are called, how they get in."""

from mapllava.checkpoint.key_tables import (
    BLIP2_QFORMER,
    BLIP2_QUERY_TOKENS,
    BLIP2_VISION,
    CLIP_VISION,
    LLAVA_TOWER,
    KeyTable,
    decoder_table,
)
from mapllava.checkpoint.loading import LoadReport, load_tensor, load_weights, parameters_on_meta
from mapllava.checkpoint.source import WeightSource
from mapllava.checkpoint.summary import weight_summary

__all__ = [
    "BLIP2_QFORMER",
    "BLIP2_QUERY_TOKENS",
    "BLIP2_VISION",
    "CLIP_VISION",
    "LLAVA_TOWER",
    "KeyTable",
    "LoadReport",
    "WeightSource",
    "decoder_table",
    "load_tensor",
    "load_weights",
    "parameters_on_meta",
    "weight_summary",
]
