"""Weights that files of older versions have under other names."""

from __future__ import annotations

import re
from typing import Any

from mapllava.config.walk import at
from mapllava.registry import MODELS, is_a

_STATES = ("state_dict", "ema_state_dict")
# What an older VectorMapHead has all of
_OF_OLD_HEAD = [
    re.compile(rf"(^|\.)head\.{name}")
    for name in (r"references$", r"expand$", r"place\.", r"classify\.0\.\d+\.weight$")
]
_NAMES = (
    (re.compile(r"(^|\.)head\.classify\."), r"\1head.class_embed."),
    (re.compile(r"(^|\.)head\.place\."), r"\1head.point_branch."),
    (re.compile(r"(^|\.)head\.layers\.(\d+)\.move\."), r"\1head.layers.\2.point_branch."),
    (re.compile(r"(^|\.)head\.layers\.(\d+)\.encode\."), r"\1head.layers.\2.position_embed."),
)


def rename_older(content: Any) -> Any:
    """Give the weights in a checkpoint the names that the model has today, in place and in their order.

    Args:
        content: what a file holds; anything but a checkpoint of an older ``VectorMapHead``, or of a
            registered subclass of it, stays as it is. Where no config says what wrote it, the names decide.

    Returns:
        The same object.
    """
    whole = isinstance(content, dict)
    head = at(content, "meta.full_config.model.head.type")
    if head is not None and not is_a(MODELS, head, "VectorMapHead"):
        return content
    for state in (content, *(content.get(key) for key in _STATES)) if whole else ():
        names = [name for name in state if isinstance(name, str)] if isinstance(state, dict) else []
        if all(any(pattern.search(name) for name in names) for pattern in _OF_OLD_HEAD):
            renamed = {_today(name): value for name, value in state.items()}
            state.clear()
            state.update(renamed)  # in place: the optimiser's state goes by the order
    return content


def _today(name: Any) -> Any:
    for pattern, today in _NAMES if isinstance(name, str) else ():
        name = pattern.sub(today, name)
    return name
