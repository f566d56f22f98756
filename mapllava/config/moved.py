"""What configs of older versions have in another place: arguments of a component, and a step of pipelines."""

from __future__ import annotations

from typing import Any

from mapllava.config.walk import ARCHITECTURE, at, dicts, walk
from mapllava.registry import SCOPE

# component -> argument -> its place below the component, and the type of a part made on the way there
_MOVED = {
    "VectorMapHead": {
        "assigner": ("criterion.assigner", "MapCriterion"),
        "losses": ("criterion.losses", "MapCriterion"),
    },
}

GONE = {
    "TokenizePrompt": "take it out; a decoder with a language model tokenizes its own model.decoder.prompt, "
    "with the tokenizer that lies in the folder model.decoder.pretrained",
}
"""Types of earlier versions, and what to write instead."""


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
    _move_prompt(config)
    return config


def _move_prompt(config: Any) -> None:
    """From the pipelines, where a step tokenized it, to the decoder if that has a language model."""
    steps = [step for _, step in dicts(config) if _name(step.get("type")) == "TokenizePrompt"]
    for _, node in walk(config, leave_out=(ARCHITECTURE,)):
        if isinstance(node, list):
            node[:] = [each for each in node if each not in steps]
    decoder = at(config, "model.decoder")
    if steps and isinstance(decoder, dict) and _name(decoder.get("type")) == "LLMMapDecoder":
        decoder.update(prompt=steps[0].get("prompt"), tokenizer=steps[0].get("tokenizer"))


def _of(kind: Any) -> dict[str, tuple[str, str]]:
    return _MOVED.get(_name(kind), {})


def _name(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind)).removeprefix(f"{SCOPE}.")
