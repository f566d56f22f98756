"""What configs of older versions have in another place: arguments of a component, and a step of pipelines."""

from __future__ import annotations

import inspect
from typing import Any

from mapllava.config.walk import ARCHITECTURE, DATALOADERS, at, dicts, walk
from mapllava.registry import MODELS, SCOPE, is_a, registered

# component -> argument -> its place below the component, and the type of a part made on the way there, if any
_MOVED: dict[str, dict[str, tuple[str, str | None]]] = {
    "BEVQFormerNeck": {"token_stride": ("tokens.stride", None)},
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
            target = node.get(part, {} if kind is None else {"type": kind})
            if argument in node and isinstance(target, dict) and name not in target:
                node[part] = {**target, name: node.pop(argument)}
    _move_prompt(config)
    return config


def reads_prompt(config: Any) -> bool:
    """Whether a config's decoder has a language model, which reads a prompt."""
    return is_a(MODELS, at(config, "model.decoder.type"), "LLMMapDecoder")


def _move_prompt(config: Any) -> None:
    """From the pipelines, where a step tokenized it, to the decoder if that has a language model.

    Where they differ it is the test pipeline's, the last's, which predictions were made with.
    """
    found = [step for name in DATALOADERS for _, step in dicts(at(config, name)) if _tokenizes(step)]
    for _, node in walk(config, leave_out=(ARCHITECTURE,)):
        if isinstance(node, list):
            node[:] = [each for each in node if not _tokenizes(each)]
    if found and reads_prompt(config):
        last = found[-1]
        tokenizer = last.get("tokenizer") or {"type": "ByteTokenizer"}
        at(config, "model.decoder").update(prompt=last.get("prompt"), tokenizer=tokenizer)


def _tokenizes(node: Any) -> bool:
    return isinstance(node, dict) and node.get("type") in ("TokenizePrompt", f"{SCOPE}.TokenizePrompt")


def _of(kind: Any) -> dict[str, tuple[str, str | None]]:
    """What moved of a component or a plug-in's subclass of it; not what the latter takes itself."""
    moved = next((places for name, places in _MOVED.items() if is_a(MODELS, kind, name)), {})
    found = registered(MODELS, kind) if moved else None
    own = inspect.signature(found).parameters if found is not None else {}
    return {argument: place for argument, place in moved.items() if argument not in own}
