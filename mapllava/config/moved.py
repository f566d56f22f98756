"""Arguments that a component once took and that stand elsewhere in it now."""

from __future__ import annotations

from typing import Any

from mapllava.config.walk import dicts
from mapllava.registry import SCOPE

# component -> argument -> its place below the component, and the type of a part made on the way there
_MOVED = {
    "VectorMapHead": {
        "assigner": ("criterion.assigner", "MapCriterion"),
        "losses": ("criterion.losses", "MapCriterion"),
    },
}


def new_place(kind: Any, argument: str) -> str:
    """What to say of an argument that stands elsewhere now; nothing of another.

    Args:
        kind: the component, a class or its name.
        argument: what a config gives it.
    """
    moved = _of(kind).get(argument)
    return f"it stands in its {moved[0]} now: write {argument} there" if moved else ""


def bring_up_to_date(config: Any) -> Any:
    """Move, in place, what an older version wrote into a file; a user's config is told of it instead.

    Args:
        config: dicts, lists and plain values.

    Returns:
        The same object.
    """
    for _, node in dicts(config):
        for argument, (place, kind) in _of(node.get("type")).items():
            part, _, name = place.partition(".")
            if argument in node:
                node.setdefault(part, {"type": kind})[name] = node.pop(argument)
    return config


def _of(kind: Any) -> dict[str, tuple[str, str]]:
    return _MOVED.get(str(getattr(kind, "__name__", kind)).removeprefix(f"{SCOPE}."), {})
