"""A config of the same model that starts without anybody's weights."""

from __future__ import annotations

import copy
import math
from typing import Any

from mapllava.config.walk import walk

_CHARACTERS = 4  # of an English token under a vocabulary of 32,000


def without_pretrained(cfg: Any) -> Any:
    """A copy of a config in which every ``pretrained`` is None, however deep.

    The ``architecture`` beside it then decides, so a full-size model builds on the meta device
    without a download; a prompt whose tokenizer has files gets about as many ids as it would of that.

    Args:
        cfg: a config, a part of one, or a plain dict; it stays as it is.
    """
    copied = copy.deepcopy(cfg)
    for _, node in walk(copied):
        if not isinstance(node, dict):
            continue
        prompt = node.get("prompt")
        if isinstance(prompt, str) and (node.get("tokenizer") or node).get("pretrained"):
            ids = [0] * (1 + math.ceil(len(prompt) / _CHARACTERS))  # BOS among them
            node["tokenizer"] = {"type": "RecordedTokenizer", "ids": {prompt: ids}, "identity": {}}
        if "pretrained" in node:
            node["pretrained"] = None
    return copied
