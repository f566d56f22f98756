"""A config of the same model that starts without anybody's weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def without_pretrained(cfg: Any) -> Any:
    """A copy of a config in which every ``pretrained`` is None, however deep.

    The ``architecture`` beside it then decides, so a full-size model builds on the meta device
    without a download; a tokenizer that has files is exchanged for one that estimates how many tokens
    its prompt has.

    Args:
        cfg: a config, a part of one, or a plain dict; it stays as it is.
    """
    if isinstance(cfg, Mapping):
        copied = {
            key: None if key == "pretrained" else without_pretrained(value) for key, value in cfg.items()
        }
        tokenizer = cfg.get("tokenizer") or cfg
        if "prompt" in cfg and tokenizer.get("pretrained"):
            copied["tokenizer"] = {"type": "EstimatedTokenizer"}
        return type(cfg)(copied)  # type: ignore[call-arg]
    if isinstance(cfg, (list, tuple)):
        return type(cfg)(without_pretrained(value) for value in cfg)
    return cfg
