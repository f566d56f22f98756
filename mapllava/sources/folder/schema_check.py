"""JSON against a schema such as ``rig.schema.json``, with errors that name file, key and remedy."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from mapllava.errors import MapLLaVAError

SCHEMA = Path(__file__).with_name("rig.schema.json")
_SHOWN = 60
_LARGEST, _LATEST = 10**12, 2**63  # of metres, pixels and frames; of microseconds


def check_against_schema(value: Any, path: Path, part: str = "", schema: Path = SCHEMA) -> Any:
    """Refuse what the schema does not know.

    Args:
        value: What the JSON file holds.
        path: The file, for the message.
        part: Name in the schema's ``$defs``; empty for the whole.
        schema: The schema; of ``rig.json`` and what lies beside it by default.

    Returns:
        The value; a whole number written as 3.0, an integer in JSON, is an int in it.

    Raises:
        MapLLaVAError: Naming file, key and remedy.
    """
    from jsonschema.exceptions import best_match

    error = best_match(_validator(schema, part).iter_errors(value), key=_telling)
    if error is not None:
        where = _where(value, error.absolute_path)
        raise MapLLaVAError(f"'{path}'{where}: {_said(error)}")
    for keys, number in _numbers(value, ()):
        where = f"'{path}'{_where(value, keys)}"
        if isinstance(number, float) and not math.isfinite(number):
            raise MapLLaVAError(f"{where}: {number} is no finite number; give one")
        if abs(number) >= (_LATEST if keys and keys[-1] == "timestamp" else _LARGEST):
            raise MapLLaVAError(
                f"{where}: a number of {len(str(int(number)))} digits is none of a car's; check it"
            )
    return _whole(value)


def _telling(error: Any) -> tuple[int, bool]:
    """Near the root first; there, an unknown key (``widht``) tells more than the one missing for it."""
    return -len(error.absolute_path), error.validator == "additionalProperties"


@cache
def _validator(file: Path, part: str) -> Any:
    from jsonschema import Draft202012Validator

    schema = json.loads(file.read_text(encoding="utf-8"))
    if part:
        schema = {"$schema": schema["$schema"], "$defs": schema["$defs"], "$ref": f"#/$defs/{part}"}
    return Draft202012Validator(schema)


def _where(value: Any, keys: Iterable[Any]) -> str:
    """``, cameras[2] (front).width``: the way to a key, a camera's name with its number."""
    text, here = "", value
    for key in keys:
        here = here[key]
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
        if isinstance(key, int) and isinstance(here, Mapping) and isinstance(here.get("name"), str):
            text += f" ({here['name']})"
    return f", {text}" if text else ""


def _said(error: Any) -> str:
    """What a failed keyword means, and the remedy that the schema has for it."""
    schema, found = error.schema, error.instance
    remedy = schema.get("x-remedy", "")
    if error.validator == "additionalProperties":
        known = list(schema["properties"])
        unknown = next(key for key in found if key not in known)
        close = difflib.get_close_matches(unknown, known, 1)
        hint = f"did you mean {close[0]}?" if close else remedy
        return f"the key '{unknown}' is not known; {hint}"
    if error.validator == "oneOf" and "x-groups" in schema:
        return f"{_groups(schema['x-groups'], found)}; {remedy}"
    if error.validator == "not":
        both = " and ".join(error.validator_value["required"])
        return f"{both} are both there; leave one of them out"
    if error.validator in ("required", "dependentRequired"):
        return f"{error.message.replace(' is a required property', ' is missing')}" + _tail(remedy)
    text = error.message if len(str(found)) <= _SHOWN else f"{str(found)[:_SHOWN]}… is not what is meant here"
    return text + _tail(remedy or str(schema.get("description", "")))


def _groups(groups: Sequence[Sequence[str]], found: Mapping[str, Any]) -> str:
    there = [" and ".join(group) for group in groups if all(key in found for key in group)]
    return f"{' as well as '.join(there)} are given" if there else "none is given"


def _tail(remedy: str) -> str:
    return f"; {remedy}" if remedy else ""


def _numbers(value: Any, keys: tuple[Any, ...]) -> Iterable[tuple[tuple[Any, ...], int | float]]:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield keys, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, (*keys, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _numbers(inner, (*keys, index))


def _whole(value: Any) -> Any:
    """The value with whole floats as ints; elsewhere both are the same number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole(inner) for key, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list) else value
