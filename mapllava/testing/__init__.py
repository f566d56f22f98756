"""For tests, ours and plug-in authors': checks of the interfaces, and tiny models."""

from mapllava.testing.contracts import check_decoder, check_map_queries, check_neck, check_vision_encoder
from mapllava.testing.data_contracts import (
    check_dataset,
    check_hook,
    check_metric,
    check_transform,
    painted_sample,
)
from mapllava.testing.head_contracts import check_head, check_loss
from mapllava.testing.tiny_hf import (
    write_tiny_backbone,
    write_tiny_blip2,
    write_tiny_clip,
    write_tiny_decoder,
    write_tiny_llama,
    write_tiny_llava,
)

__all__ = [
    "check_dataset",
    "check_decoder",
    "check_head",
    "check_hook",
    "check_loss",
    "check_map_queries",
    "check_metric",
    "check_neck",
    "check_transform",
    "check_vision_encoder",
    "painted_sample",
    "write_tiny_backbone",
    "write_tiny_blip2",
    "write_tiny_clip",
    "write_tiny_decoder",
    "write_tiny_llama",
    "write_tiny_llava",
]
