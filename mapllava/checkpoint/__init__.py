"""Weights: where pretrained ones come from and how they get in, and the file of a trained model."""

from mapllava.checkpoint.fit import check_fit
from mapllava.checkpoint.key_tables import (
    BLIP2_QFORMER,
    BLIP2_QUERY_TOKENS,
    BLIP2_VISION,
    CLIP_VISION,
    KeyTable,
    decoder_table,
)
from mapllava.checkpoint.loading import LoadReport, load_tensor, load_weights, parameters_on_meta
from mapllava.checkpoint.model_file import FORMAT_VERSION, ModelFile, read_model_file, write_model_file
from mapllava.checkpoint.source import WeightSource

__all__ = [
    "BLIP2_QFORMER",
    "BLIP2_QUERY_TOKENS",
    "BLIP2_VISION",
    "CLIP_VISION",
    "FORMAT_VERSION",
    "KeyTable",
    "LoadReport",
    "ModelFile",
    "WeightSource",
    "check_fit",
    "decoder_table",
    "load_tensor",
    "load_weights",
    "parameters_on_meta",
    "read_model_file",
    "write_model_file",
]
