"""Checkpoint contents as tensors, numbers, strings, lists and dicts, and back.

``torch.load(weights_only=True)`` admits nothing else. MMEngine's message hub pickles its own
classes, so it is rewritten before saving and rebuilt after loading.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch.distributed.tensor import DTensor

from mapllava.errors import MapLLaVAError

HISTORY_LENGTH = 10_000
_HISTORY_KEYS = {"values", "counts"}


def to_plain(value: Any, where: str = "checkpoint") -> Any:
    """Turn a nested structure into one that loads with ``weights_only=True``.

    Args:
        value: Dicts, lists, tuples and sets of tensors, arrays, numbers, strings, paths and
            :class:`~mmengine.logging.HistoryBuffer`; sets become sorted lists, arrays tensors.
        where: The place of ``value``, for the error.

    Raises:
        MapLLaVAError: If something else or a sharded tensor is in it; names the place and the type.
    """
    if isinstance(value, DTensor):
        raise MapLLaVAError(
            f"{where} is one process's share of a sharded tensor: gather it before it is saved"
        )
    if value is None or isinstance(value, (bool, int, float, str, torch.Tensor)):
        return _plain_scalar(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype != object:
        return torch.from_numpy(np.array(value))
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, HistoryBuffer):
        return _plain_history(value)
    if isinstance(value, Mapping):
        return {_plain_scalar(key): to_plain(entry, f"{where}.{key}") for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        entries = [to_plain(entry, f"{where}.{index}") for index, entry in enumerate(value)]
        return tuple(entries) if isinstance(value, tuple) else entries
    if isinstance(value, (set, frozenset)):
        return sorted(to_plain(entry, where) for entry in value)
    raise MapLLaVAError(
        f"{where} is a {type(value).__module__}.{type(value).__qualname__}, which a checkpoint must not "
        "hold: store tensors, numbers, strings, lists and dicts"
    )


def plain_config(value: Any, where: str = "config") -> Any:
    """A config as plain values: classes by the name they are registered under, functions and dtypes as text.

    Args:
        value: A config as a dict, or a part of one.
        where: The place of ``value``, for the error.

    Raises:
        MapLLaVAError: If something else is in it; names the place and the type.
    """
    if isinstance(value, Mapping):
        return {str(key): plain_config(entry, f"{where}.{key}") for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        entries = [plain_config(entry, f"{where}.{index}") for index, entry in enumerate(value)]
        return tuple(entries) if isinstance(value, tuple) else entries
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    if inspect.isroutine(value):
        return f"{value.__module__}.{value.__qualname__}"
    return to_plain(value, where)


def make_plain(checkpoint: dict[str, Any]) -> None:
    """Turn all of a checkpoint's entries into plain ones, in place; see :func:`to_plain`.

    Raises:
        MapLLaVAError: If something in it cannot be; names the place and the type.
    """
    for key in list(checkpoint):
        checkpoint[key] = to_plain(checkpoint[key], key)


def restore_message_hub(checkpoint: dict[str, Any]) -> None:
    """Rebuild the histories of a checkpoint's message hub from :func:`to_plain`'s form, in place.

    Args:
        checkpoint: ``message_hub``, where it has one, holds ``log_scalars``, ``runtime_info`` and
            ``resumed_keys``.
    """
    if "message_hub" not in checkpoint:
        return
    hub = checkpoint["message_hub"]
    scalars = {
        key: _history(entry) if isinstance(entry, Mapping) and set(entry) == _HISTORY_KEYS else entry
        for key, entry in hub["log_scalars"].items()
    }
    checkpoint["message_hub"] = {**hub, "log_scalars": scalars}


def _plain_scalar(value: Any) -> Any:
    """Drop subclasses, which would be pickled by name."""
    if isinstance(value, torch.nn.Parameter):
        return value.detach()
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _plain_history(history: HistoryBuffer) -> dict[str, torch.Tensor]:
    values, counts = (np.asarray(data, dtype=np.float64)[-HISTORY_LENGTH:] for data in history.data)
    return {"values": torch.from_numpy(values.copy()), "counts": torch.from_numpy(counts.copy())}


def _history(entry: Mapping[str, torch.Tensor]) -> HistoryBuffer:
    return HistoryBuffer(entry["values"].cpu().numpy(), entry["counts"].cpu().numpy())
