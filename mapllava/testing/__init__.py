"""For tests, ours and plug-in authors': checks of the interfaces, tiny models, configs without weights."""

from mapllava.testing.configs import without_pretrained
from mapllava.testing.contracts import check_decoder, check_map_queries, check_neck, check_vision_encoder
from mapllava.testing.rig import surround_cameras
from mapllava.testing.tiny_hf import (
    write_tiny_blip2,
    write_tiny_clip,
    write_tiny_decoder,
    write_tiny_llama,
    write_tiny_llava,
)

__all__ = [
    "check_decoder",
    "check_map_queries",
    "check_neck",
    "check_vision_encoder",
    "surround_cameras",
    "without_pretrained",
    "write_tiny_blip2",
    "write_tiny_clip",
    "write_tiny_decoder",
    "write_tiny_llama",
    "write_tiny_llava",
]
