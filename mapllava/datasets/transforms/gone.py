"""Transforms that older configs name, and where their work is done now."""

from __future__ import annotations

from typing import Any, NoReturn

from mapllava.errors import MapLLaVAError
from mapllava.registry import TRANSFORMS


@TRANSFORMS.register_module(name="TokenizePrompt")
def tokenize_prompt(**settings: Any) -> NoReturn:
    """The prompt belongs to the decoder that reads it.

    Raises:
        MapLLaVAError: always, with what to write instead.
    """
    raise MapLLaVAError(
        "the transform TokenizePrompt is gone, the decoder makes ids of its prompt: take it out of the "
        f"pipelines and write model.decoder.prompt={settings.get('prompt')!r}. A language model with "
        "'pretrained' brings its tokenizer, another needs model.decoder.tokenizer=dict(type='ByteTokenizer')"
    )
