"""Whether a language model can decode map queries: it must be decoder-only and obey a mask."""

from __future__ import annotations

import inspect
from typing import Any

from mapllava.errors import MapLLaVAError

_INPUTS = ("inputs_embeds", "attention_mask", "position_ids")  # what the decoder calls a backbone with


def decoder_only(config: Any, whole: Any, name: str, component: str) -> Any:
    """The config of a decoder-only language model, which others are not.

    Encoder-decoders want two inputs; encoders have learned to read in both directions; state-space and
    linear-attention models pass a state from token to token and ignore the mask of the map queries.

    Args:
        config: transformers config of the language model.
        whole: config of the model it is a part of, or the same.
        name: where it comes from, for the message.
        component: which part wants it, for the message.

    Returns:
        ``config``.

    Raises:
        MapLLaVAError: naming what the model is.
    """
    what = _what_else(config, whole)
    if what is not None:
        raise MapLLaVAError(
            f"{component}: {name} holds a {config.model_type}, {what}: a decoder-only language model is "
            "needed, such as Vicuna, LLaMA, Qwen or OPT"
        )
    return config


def _what_else(config: Any, whole: Any) -> str | None:
    from transformers import (
        MODEL_FOR_MASKED_LM_MAPPING,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
        MODEL_MAPPING,
    )

    kind = type(config)
    pairs = MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
    if any(getattr(each, "is_encoder_decoder", False) or type(each) in pairs for each in (config, whole)):
        return "an encoder-decoder"
    if kind in MODEL_FOR_MASKED_LM_MAPPING:
        return "an encoder"
    if kind not in MODEL_MAPPING:
        return "which is no language model"
    model_class: Any = MODEL_MAPPING[kind]
    known = inspect.signature(model_class.forward).parameters
    lacking = [name for name in _INPUTS if name not in known]
    if lacking:
        return f"which takes no {' and no '.join(lacking)}"
    others = [each for each in getattr(config, "layer_types", None) or () if not each.endswith("attention")]
    if model_class._is_stateful or others:  # transformers says so nowhere else
        return "not all of whose layers obey an attention mask"
    if not model_class._supports_sdpa:  # transformers says so nowhere else
        return "which has no SDPA attention"
    return None
