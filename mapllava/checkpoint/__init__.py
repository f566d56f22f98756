"""Weights: where pretrained ones come from and how they get in, and the file of a trained model."""

from mapllava.checkpoint.arithmetic import NO_BFLOAT16, computed_dtype, cpu_has_bfloat16, only_written
from mapllava.checkpoint.fit import check_fit
from mapllava.checkpoint.initial_weights import initialise, keep_built, start_weights
from mapllava.checkpoint.key_tables import (
    BLIP2_QFORMER,
    BLIP2_QUERY_TOKENS,
    BLIP2_VISION,
    CLIP_VISION,
    LLAVA_TOWER,
    KeyTable,
    causal_table,
    decoder_table,
)
from mapllava.checkpoint.loading import LoadReport, load_tensor, load_weights, parameters_on_meta
from mapllava.checkpoint.model_file import FORMAT_VERSION, ModelFile, read_model_file, write_model_file
from mapllava.checkpoint.packed import PackedLayer, count_parameters, packed_layers
from mapllava.checkpoint.shared_weights import share_weights
from mapllava.checkpoint.source import WeightSource
from mapllava.checkpoint.summary import weight_summary

__all__ = [
    "BLIP2_QFORMER",
    "BLIP2_QUERY_TOKENS",
    "BLIP2_VISION",
    "CLIP_VISION",
    "FORMAT_VERSION",
    "LLAVA_TOWER",
    "NO_BFLOAT16",
    "KeyTable",
    "LoadReport",
    "ModelFile",
    "PackedLayer",
    "WeightSource",
    "causal_table",
    "check_fit",
    "computed_dtype",
    "count_parameters",
    "cpu_has_bfloat16",
    "decoder_table",
    "initialise",
    "keep_built",
    "load_tensor",
    "load_weights",
    "only_written",
    "packed_layers",
    "parameters_on_meta",
    "read_model_file",
    "share_weights",
    "start_weights",
    "weight_summary",
    "write_model_file",
]
