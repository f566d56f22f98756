"""``--cfg-options KEY=VALUE``: how a value is read, and how it reaches the config."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from mapllava.errors import MapLLaVAError

_CLOSING = {"[": "]", "(": ")", "{": "}"}
_WORDS = {"true": True, "false": False, "none": None, "null": None}
_WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][+-]?[0-9]+)?|[+-]?(inf|nan)")
"""Numbers; 007 and 20260102_1200 are names, which Python would read as numbers too."""
_FORMS = "KEY=3, KEY=text, KEY=[1,2], KEY=\"{'bits': 4}\", KEY='dict(bits=4)', KEY='{bits: 4}'"


class OptionsAction(argparse.Action):
    """Collects ``KEY=VALUE`` words into a dict of dotted key to value; see :func:`read_value`."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Add the words to those of an earlier use of the option.

        Raises:
            argparse.ArgumentError: If one has no ``=``, or a value that cannot be read.
        """
        try:
            options = read_options([values] if isinstance(values, str) else values or ())
        except ValueError as error:
            raise argparse.ArgumentError(self, str(error)) from error
        setattr(namespace, self.dest, {**(getattr(namespace, self.dest, None) or {}), **options})


def read_options(words: Iterable[str]) -> dict[str, Any]:
    """Dotted key to value of ``KEY=VALUE`` words; see :func:`read_value`.

    Raises:
        ValueError: If one has no ``=``, a value that cannot be read, or a key for the second time.
    """
    options: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"'{word}' is no KEY=VALUE: write {_FORMS}")
        if key in options:
            raise ValueError(
                f"{key} is given twice: keep one; a shell takes {{a,b}} apart, so put KEY={{…}} in quotes"
            )
        try:
            options[key] = read_value(text)
        except ValueError as error:
            raise ValueError(f"{key}: {error}: write {_FORMS}") from error
    return options


def read_value(text: str) -> Any:
    """The value of a text as a shell hands it on.

    Numbers, ``True``, ``False``, ``None`` and their JSON spellings; lists in ``[]`` or by commas without
    blanks, tuples in ``()``, dicts in ``{}`` or ``dict(…)``, as Python or JSON writes them or with bare words
    for texts; anything in quotes is a text, and so is what is none of these.

    Raises:
        ValueError: If it begins like a list, a dict or a quoted text and is none.
    """
    text = text.strip()
    if text[:1] in ("'", '"'):
        return _quoted(text)
    if text[:1] in _CLOSING:
        return _bracketed(text)
    if re.match(r"dict\s*\(", text):
        inside = _inside(text[4:].lstrip())
        return _dict((_name(key), value) for key, value in _pairs(inside, "="))
    if "," in text and not re.search(r"\s", text):
        return [read_value(part) for part in _parts(text)]
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def apply_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Write the options into a config; modules that ``custom_imports`` then names are imported.

    Args:
        cfg: Changed in place.
        options: Dotted key to value.

    Raises:
        MapLLaVAError: If a key leads through a value that holds none, or a plain value would take the place
            of a dict or list; if a module cannot be imported.
    """
    fitting = {key: _fitting(cfg, key, value) for key, value in options.items()}
    try:
        cfg.merge_from_dict(fitting)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise MapLLaVAError(f"--cfg-options do not fit the config: {error}") from error
    if any(key.partition(".")[0] == "custom_imports" for key in options) and cfg.get("custom_imports"):
        try:
            import_modules_from_strings(**cfg.custom_imports)
        except (ImportError, TypeError) as error:
            raise MapLLaVAError(
                f"--cfg-options custom_imports={dict(cfg.custom_imports)}: {error}; write "
                "custom_imports.imports=[MODULE], or --plugins MODULE"
            ) from error


def _fitting(cfg: Config, key: str, value: Any) -> Any:
    """The value as it can be merged into what the config has at a key."""
    old = _old_value(cfg, key, isinstance(value, Mapping))
    if isinstance(value, Mapping):  # which MMEngine merges into dicts, and lists by place, only
        places = isinstance(old, (list, tuple)) and all(str(each).isdigit() for each in value)
        return (
            dict(value) if isinstance(old, Mapping) or places or old is None else {**value, "_delete_": True}
        )
    wanted = ""
    if isinstance(old, Mapping) and value is not None and not isinstance(value, (list, tuple)):
        wanted = f"the config has a dict there: write '{key}=dict(…)', or the key of one of its values"
    elif isinstance(old, (list, tuple)) and isinstance(value, str):
        wanted = f"the config has a list there: write '{key}=[…]', or the place of one of its values"
    elif isinstance(old, str) and isinstance(value, (list, tuple)):
        wanted = f"the config has the text '{old}' there: put one with commas in quotes, {key}='\"…\"'"
    elif isinstance(old, (bool, int, float)) and isinstance(value, str):
        kind = "True or False" if isinstance(old, bool) else "a number"
        wanted = f"the config has {old} there, and '{value}' is a text: write {kind}"
    if wanted:
        raise MapLLaVAError(f"--cfg-options {key}={value}: {wanted}")
    return value


def _old_value(cfg: Config, key: str, opened: bool) -> Any:
    """What a config has at a dotted key; None there that a dict must replace is taken out."""
    node: Any = cfg
    above: Any
    parts = key.split(".")
    for depth, part in enumerate(parts, start=1):
        if isinstance(node, (list, tuple)):
            if not (part.isdigit() and int(part) < len(node)):
                raise MapLLaVAError(
                    f"--cfg-options {key}: '{part}' is no place in a list of {len(node)}: count from 0"
                )
            node = node[int(part)]
        elif isinstance(node, Mapping) or node is cfg:
            above, node = node, node.get(part)
            if node is None and (opened or depth < len(parts)):
                above.pop(part, None)
        elif node is not None:
            raise MapLLaVAError(
                f"--cfg-options {key}: above '{part}' the config has {node!r}, which has no parts: give it "
                "as a whole, KEY='dict(…)'"
            )
    return node


def _quoted(text: str) -> str:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise ValueError(f"{text} is no quoted text") from error
    if not isinstance(value, str):
        raise ValueError(f"{text} is no quoted text; a list needs its brackets")
    return value


def _bracketed(text: str) -> Any:
    inside = _inside(text)
    if text[0] == "{":
        return _dict((_key(key), value) for key, value in _pairs(inside, ":"))
    values = [read_value(part) for part in _parts(inside)]
    return tuple(values) if text[0] == "(" else values


def _dict(pairs: Iterable[tuple[Any, str]]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key} is given twice")
        found[key] = read_value(value)
    return found


def _inside(text: str) -> str:
    """What a bracket holds that closes with the text's end."""
    for place, depth in _depths(text):
        if depth == 0 and place < len(text) - 1:
            raise ValueError(f"{text} goes on after its bracket has closed")
    return text[1:-1]


def _pairs(text: str, between: str) -> Iterator[tuple[str, str]]:
    for part in _parts(text):
        place = next((at for at, depth in _depths(part) if depth == 0 and part[at] == between), None)
        if place is None:
            raise ValueError(f"'{part}' has no '{between}'")
        yield part[:place].strip(), part[place + 1 :]


def _parts(text: str) -> list[str]:
    """Pieces between the commas that stand in no bracket or quotes; the last comma may be the end."""
    cuts = [place for place, depth in _depths(text) if depth == 0 and text[place] == ","]
    begins = [0, *(cut + 1 for cut in cuts)]
    pieces = [text[a:b].strip() for a, b in zip(begins, [*cuts, len(text)], strict=True)]
    if pieces and not pieces[-1]:
        pieces.pop()
    if not all(pieces):
        raise ValueError(f"'{text}' has nothing between two commas")
    return pieces


def _depths(text: str) -> Iterator[tuple[int, int]]:
    """Places outside of quotes, each with the number of brackets open after it.

    Raises:
        ValueError: If a bracket or quote does not close, or closes another.
    """
    open_, quote = [], ""
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote and text[place - 1] != "\\" else quote
            continue
        if letter in "'\"":
            quote = letter
        elif letter in _CLOSING:
            open_.append(_CLOSING[letter])
        elif letter in _CLOSING.values() and (not open_ or open_.pop() != letter):
            raise ValueError(f"{text} closes a '{letter}' that is not open")
        if not quote:
            yield place, len(open_)
    if open_ or quote:
        raise ValueError(f"{text} lacks its closing {quote or open_[-1]}")


def _name(text: str) -> str:
    if not text.isidentifier():
        raise ValueError(f"'{text}' is no name: write dict(name=value)")
    return text


def _key(text: str) -> Any:
    key = read_value(text)
    if not isinstance(key, (str, int)):
        raise ValueError(f"{text} is no key")
    return key
