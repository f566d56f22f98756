"""A config of the same model that starts without anybody's weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_CHARACTERS = 4  # of an English token under a vocabulary of 32,000


def without_pretrained(cfg: Any) -> Any:
    """A copy of a config in which every ``pretrained`` is None, however deep.

    The ``architecture`` beside it then decides, so a full-size model builds on the meta device
    without a download; a prompt whose tokenizer has files gets about as many ids as it would of that.

    Args:
        cfg: a config, a part of one, or a plain dict; it stays as it is.
    """
    if isinstance(cfg, Mapping):
        copied = {
            key: None if key == "pretrained" else without_pretrained(value) for key, value in cfg.items()
        }
        tokenizer, prompt = cfg.get("tokenizer") or cfg, cfg.get("prompt")
        if isinstance(prompt, str) and tokenizer.get("pretrained"):
            ids = [0] * (1 + math.ceil(len(prompt) / _CHARACTERS))  # BOS among them
            copied["tokenizer"] = {"type": "RecordedTokenizer", "ids": {prompt: ids}, "identity": {}}
        return type(cfg)(copied)  # type: ignore[call-arg]
    if isinstance(cfg, (list, tuple)):
        return type(cfg)(without_pretrained(value) for value in cfg)
    return cfg
