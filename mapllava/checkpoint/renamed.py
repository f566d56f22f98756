"""Weights that files of older versions have under other names."""

from __future__ import annotations

import re
from typing import Any

_STATES = ("state_dict", "ema_state_dict")
_OF_OLD_HEAD = re.compile(r"(^|\.)head\.classify\.0\.\d+\.weight$")  # of VectorMapHead, beside its references
_NAMES = (
    (re.compile(r"(^|\.)head\.classify\."), r"\1head.class_embed."),
    (re.compile(r"(^|\.)head\.place\."), r"\1head.point_branch."),
    (re.compile(r"(^|\.)head\.layers\.(\d+)\.move\."), r"\1head.layers.\2.point_branch."),
    (re.compile(r"(^|\.)head\.layers\.(\d+)\.encode\."), r"\1head.layers.\2.position_embed."),
)


def rename_older(content: Any) -> Any:
    """Give the weights in a checkpoint the names that the model has today, in place and in their order.

    Args:
        content: what a file holds; anything but a checkpoint of an older ``VectorMapHead`` stays as it is.

    Returns:
        The same object.
    """
    whole = isinstance(content, dict)
    for state in (content, *(content.get(key) for key in _STATES)) if whole else ():
        names = [name for name in state if isinstance(name, str)] if isinstance(state, dict) else []
        beside = any(name.endswith("head.references") for name in names)
        if not beside or not any(_OF_OLD_HEAD.search(name) for name in names):
            continue
        renamed = {_today(name): value for name, value in state.items()}
        state.clear()
        state.update(renamed)  # in place: the optimiser's state goes by the order
    return content


def _today(name: Any) -> Any:
    for pattern, today in _NAMES if isinstance(name, str) else ():
        name = pattern.sub(today, name)
    return name
