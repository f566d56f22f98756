"""Map decoders: prompt, scene tokens and map queries in, decoded queries out."""

from mapllava.models.decoders.llm_map_decoder import LLMMapDecoder
from mapllava.models.decoders.transformer_map_decoder import TransformerMapDecoder

__all__ = ["LLMMapDecoder", "TransformerMapDecoder"]
