"""Where each value of a config comes from: a line of a file, the command line, or filled in."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmengine.config.config import BASE_KEY
from mmengine.fileio import load

from mapllava.config.assignments import base_files, names_set
from mapllava.config.keys import MOVED
from mapllava.config.packaged import find_config
from mapllava.config.read import load_config
from mapllava.config.resolve import resolve
from mapllava.config.walk import at, children, walk

_NODES = (dict, list, tuple)
_Place = tuple[Path, int]
_Passed = tuple[tuple[Path, str], ...]  # files and variables on the way, which may be made of themselves


@dataclass(frozen=True)
class Value:
    """A value of a resolved config.

    Attributes:
        where: its dotted key.
        value: a single one, or a list of such.
        origin: ``FILE:LINE`` (``FILE`` of JSON and YAML), ``command line``, or ``filled in at build time``.
    """

    where: str
    value: Any
    origin: str


def values_of(
    path: str | Path, options: Mapping[str, Any] | None = None, plugins: Iterable[str] = ()
) -> list[Value]:
    """All values of a config as a run builds from it, in their order.

    Args:
        path: The config's file, or the name of one of mapllava's own.
        options: Dotted key to value of the command line.
        plugins: Modules or ``.py`` files to import first.

    Raises:
        MapLLaVAError: If it cannot be read or resolved, or something in it would come to nothing.
    """
    filled: dict[str, str] = {}
    options = options or {}
    path = find_config(path)
    cfg = resolve(load_config(path, options, plugins), filled)
    found: list[Value] = []
    for where, node in walk(cfg.to_dict()):
        inside = [child for _, child in children(node)]
        whole = bool(inside) if isinstance(node, dict) else any(isinstance(each, _NODES) for each in inside)
        if where and not whole and not (found and where.startswith(f"{found[-1].where}.")):
            origin = _filled_in(where, filled) or _given(where, node, options)
            found.append(Value(where, node, origin or _in_files(path, where)))
    return found


def _filled_in(where: str, filled: Mapping[str, str]) -> str:
    for key, source in filled.items():
        if f"{where}.".startswith(f"{key}."):
            return f"filled in at build time{f' from {source}' if source else ''}"
    return ""


def _given(where: str, value: Any, options: Mapping[str, Any]) -> str:
    given = [pair for key, whole in options.items() for pair in walk(whole, key)]
    if any(f"{where}.".startswith(f"{key}.") for key, node in given if not isinstance(node, Mapping)):
        return "command line"  # of a dict, which is merged, the parts alone
    moved = where.endswith(f".{MOVED}") and MOVED in options and options[MOVED] == value
    return f"command line: {MOVED}" if moved else ""


def _in_files(path: Path, where: str) -> str:
    """Of what a program made, such as a dict that a loop has filled, the line where its variable is set."""
    keys, file = where.split("."), path.resolve()
    found, line = _find(file, keys) or _find(file, keys[:1]) or (path, 0)
    shown = found.relative_to(Path.cwd()) if found.is_relative_to(Path.cwd()) else found
    return f"{shown}:{line}" if line else str(shown)


def _find(file: Path, keys: Sequence[str], passed: _Passed = ()) -> _Place | None:
    """The line of a file or its bases that a value was written in; the nearest to the config wins."""
    if file.suffix != ".py":
        if at(load(file), ".".join(keys)) is not None:
            return file, 0
    elif (file, keys[0]) not in passed and keys[0] in (statements := _statements(file)):
        place = _inside(file, statements[keys[0]], keys[1:], (*passed, (file, keys[0])))
        if place is not None:
            return place
    return _in_bases(file, keys, passed)


def _in_bases(file: Path, keys: Sequence[str], passed: _Passed) -> _Place | None:
    found = (_find(base, keys, passed) for base in _bases(file))
    return next((place for place in found if place is not None), None)


def _inside(file: Path, node: ast.AST, keys: Sequence[str], passed: _Passed) -> _Place | None:
    """The line of what an expression has at the keys; None if it is a dict without them."""
    here = (file, getattr(node, "lineno", 0))
    if not keys:
        return here
    if isinstance(node, ast.Dict) or _is_dict_call(node):
        for key, value in reversed(list(_pairs(node))):
            if key == keys[0]:
                return _inside(file, value, keys[1:], passed)
            if key is None and (place := _inside(file, value, keys, passed)) is not None:
                return place  # of **others
        return None
    if isinstance(node, (ast.List, ast.Tuple)) and keys[0].isdigit():
        before = node.elts[: int(keys[0]) + 1]
        known = len(before) > int(keys[0]) and not any(isinstance(each, ast.Starred) for each in before)
        return _inside(file, before[-1], keys[1:], passed) if known else here
    while isinstance(node, (ast.Attribute, ast.Subscript)):  # through a variable to what it was set to
        name = node.attr if isinstance(node, ast.Attribute) else ast.unparse(node.slice).strip("'")
        node, keys = node.value, [name, *keys]
    if isinstance(node, ast.Name):
        return _in_bases(file, keys, passed) if node.id == BASE_KEY else _find(file, [node.id, *keys], passed)
    return here


def _pairs(node: ast.AST) -> Iterator[tuple[str | None, ast.AST]]:
    """Key and expression of ``dict(…)`` and ``{…}``; None is the key of ``**others``."""
    if _is_dict_call(node):
        yield from ((each.arg, each.value) for each in node.keywords)  # type: ignore[attr-defined]
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            yield (None if key is None else str(getattr(key, "value", ""))), value


def _is_dict_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "dict" and not node.args


@lru_cache(maxsize=256)
def _statements(file: Path) -> dict[str, ast.AST]:
    """The expression that each variable of a config is set to, or the statement that first makes it."""
    found: dict[str, ast.AST] = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        plain = {each.id for each in targets if isinstance(each, ast.Name)}
        for name in names_set(node):
            if name in plain and isinstance(node, ast.Assign):
                found[name] = node.value
            else:
                found.setdefault(name, node)
    return found


@lru_cache(maxsize=256)
def _bases(file: Path) -> list[Path]:
    return base_files(file, file.read_text(encoding="utf-8"))
