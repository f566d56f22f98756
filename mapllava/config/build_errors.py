"""Mistakes in a config that show only when its components are built, in words."""

from __future__ import annotations

import difflib
import re
import traceback
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import build_functions

from mapllava import registry
from mapllava.config.components import arguments_of
from mapllava.config.moved import GONE, new_place
from mapllava.errors import MapLLaVAError

_UNREGISTERED = re.compile(r"(\S+) is not in the (.+?) registry")
_UNKNOWN_ARGUMENT = re.compile(r"got an unexpected keyword argument '(\w+)'")
_OF_VALUES = (ArithmeticError, RuntimeError, LookupError, TypeError)
_OF_NO_VALUES = (torch.OutOfMemoryError, NotImplementedError, RecursionError)
_MISSING_ARGUMENT = re.compile(r"missing \d+ required .*argument")


def explain_config(error: Exception) -> MapLLaVAError | None:
    """What a config has to be changed for, if building a component from it has raised an error.

    Args:
        error: With its traceback.

    Returns:
        The error to raise in its place; None where nothing was being built, or it is a defect.
    """
    built, innermost = _being_built(error)
    if built is None:
        return None
    text = str(error.args[0]) if error.args else ""
    not_there = _UNREGISTERED.search(text)
    if isinstance(error, KeyError) and not_there:
        return MapLLaVAError(unregistered(*not_there.groups()))
    name = built if isinstance(built, str) else getattr(built, "__name__", str(built))
    if isinstance(error, KeyError) and innermost and "type" in text:
        keys = ", ".join(map(str, built)) if isinstance(built, dict) else ""
        return MapLLaVAError(
            f"config: the component with the keys {keys or 'none'} has no 'type': name its class"
        )
    if isinstance(error, TypeError) and _UNKNOWN_ARGUMENT.search(text):
        return MapLLaVAError(_unknown_argument(name, built, text))
    if isinstance(error, TypeError) and (innermost or _MISSING_ARGUMENT.search(text)):
        return MapLLaVAError(f"config: {name} cannot be built: {text}; change its arguments")
    if isinstance(error, (ValueError, AssertionError)):
        return MapLLaVAError(
            f"config: {name} cannot be built: {text or type(error).__name__}; change its values"
        )
    from huggingface_hub.errors import StrictDataclassError  # what transformers' configs raise

    if isinstance(error, (StrictDataclassError, *_OF_VALUES)) and not isinstance(error, _OF_NO_VALUES):
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        return MapLLaVAError(
            f"config: {name} cannot be built: {type(error).__name__}: {error} ({where}); change its values"
        )
    return None


def _being_built(error: Exception) -> tuple[Any, bool]:
    """The type that MMEngine was building, and whether it was its own line that failed."""
    built, innermost, trace = None, False, error.__traceback__
    while trace is not None:
        innermost = trace.tb_frame.f_code.co_filename == build_functions.__file__
        if innermost:
            local = trace.tb_frame.f_locals
            built = local.get("obj_cls") or local.get("obj_type") or local.get("cfg") or built
        trace = trace.tb_next
    return built, innermost


def unregistered(name: str, where: str) -> str:
    """What to say of a type that no registry of a kind has, with the names that are close.

    Args:
        name: The type.
        where: Name of the registry, for instance ``hook`` or ``mapllava::hook``.
    """
    scope, _, kind = where.rpartition("::")
    kind = kind.rpartition(".")[2]
    registries = [value for value in vars(registry).values() if isinstance(value, registry.Registry)]
    found = [value for value in registries if value.name == kind]
    known: dict[str, str] = {}  # name to how that scope finds it
    for value in found:
        value.import_from_location()
        known |= {each: each for each in (value.parent.module_dict if value.parent else ())}
        prefix = "" if scope in ("", registry.SCOPE) else f"{registry.SCOPE}."
        known |= {each: f"{prefix}{each}" for each in value.module_dict}
    close = [known[each] for each in difflib.get_close_matches(name, known, 3)]
    hint = f"did you mean {' or '.join(close)}?" if close else "is its module among --plugins?"
    hint = GONE.get(name, hint)
    return f"config: type '{name}' is not registered as a {kind}: {hint}"


def _unknown_argument(name: str, built: Any, text: str) -> str:
    argument = _UNKNOWN_ARGUMENT.search(text)
    wrong = argument.group(1) if argument else ""
    known, _ = arguments_of(built)
    close = difflib.get_close_matches(wrong, known, 1)
    hint = f"did you mean '{close[0]}'?" if close else f"it takes {', '.join(known) or 'others'}"
    hint = new_place(name, wrong) or hint
    return f"config: {name} takes no argument '{wrong}': {hint}"
