"""The one walk over a config, for all that look into one or fill something in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from mmengine.config import Config

DATALOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
ARCHITECTURE = "architecture"  # of a Hugging Face config, which has 'type' keys of its own


def children(node: Any) -> Iterable[tuple[Any, Any]]:
    """Key and value of what a config, dict, list or tuple holds; anything else holds nothing."""
    if isinstance(node, (Mapping, Config)):
        return list(node.items())
    return enumerate(node) if isinstance(node, (list, tuple)) else ()


def walk(node: Any, where: str = "", leave_out: Collection[str] = ()) -> Iterator[tuple[str, Any]]:
    """A config and everything in it, the whole before its parts.

    The parts are looked up after the whole has been given out: what is changed in it then is seen.

    Args:
        node: a config, or a part of one.
        where: its dotted place.
        leave_out: keys that are not looked at.

    Yields:
        Dotted place and what stands there: components, dicts, lists and values.
    """
    yield where, node
    for key, value in children(node):
        if key not in leave_out:
            yield from walk(value, f"{where}.{key}" if where else str(key), leave_out)


def dicts(node: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted place and dict, of every dict in a config; Hugging Face's ``architecture`` is left out."""
    for place, each in walk(node, where, (ARCHITECTURE,)):
        if isinstance(each, Mapping):
            yield place, each


def at(config: Any, where: str) -> Any:
    """What a config has at a dotted place; None if there is none."""
    for part in where.split("."):
        config = {str(key): value for key, value in children(config)}.get(part)
    return config
