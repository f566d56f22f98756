"""Which names a config file and its bases set, and which of these come to nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.config.config import BASE_KEY
from mmengine.fileio import load

from mapllava.config.base_files import base_file
from mapllava.config.packaged import PREFIX

_TEMPLATE = re.compile(r"\{\{\s*_base_\.(\w+)")


@dataclass(frozen=True)
class Assignment:
    """A name that a file sets though nothing that is read comes of it.

    Attributes:
        name: the variable.
        path: the file.
        overrides: whether a base of the file sets it too, to another value.
        old: that value.
        own: whether the file is the config itself, none of its bases.
        inherits: whether it has bases; one without may be the outcome of others, with their variables left.
    """

    name: str
    path: Path
    overrides: bool
    old: Any
    own: bool
    inherits: bool


def idle_assignments(path: Path, read: Collection[str]) -> list[Assignment]:
    """Names set in a config or its bases that no key is made of.

    What a base made of a variable stays as it was when a child sets the variable anew: only the child's own
    lines, and its children's ``_base_.name``, see the new value.

    Args:
        path: the config.
        read: names of the top-level keys that somebody reads.

    Returns:
        Assignments, those of the config itself first.
    """
    return list(_idle(path, set(read), set(), own=True))


def _idle(path: Path, read: set[str], wanted: set[str], own: bool) -> Iterator[Assignment]:
    text = path.read_text(encoding="utf-8")
    statements = _statements(text) if path.suffix == ".py" else [({key}, set()) for key in load(path)]
    bases = base_files(path, text)
    live = _live(statements, read | wanted)
    names = dict.fromkeys(name for sets, _ in statements for name in sets)
    idle = [name for name in names if name not in live and not name.startswith("__") and name != BASE_KEY]
    inherited = {key: value for base in bases for key, value in _values(base).items()} if idle else {}
    values = _values(path) if idle else {}
    for name in idle:
        if name in inherited and inherited[name] == values.get(name):
            continue
        yield Assignment(name, path, name in inherited, inherited.get(name), own, bool(bases))
    for base in bases:
        yield from _idle(base, read, wanted | _base_references(path, text), own=False)


def _values(path: Path) -> dict[str, Any]:
    return Config.fromfile(path).to_dict()


def base_files(path: Path, text: str) -> list[Path]:
    """The files that a config inherits from, those of other packages left out."""
    if not Config._is_lazy_import(str(path)):  # read as MMEngine reads them
        found = Config._get_base_files(str(path))  # read as MMEngine reads them
        listed = [found] if isinstance(found, str) else list(found)
        ours = [name for name in listed if "::" not in name or name.startswith(PREFIX)]
        return [base_file(name, path).resolve() for name in ours]
    inside = [node for each in ast.parse(text).body if isinstance(each, ast.With) for node in each.body]
    imports = [node for node in inside if isinstance(node, ast.ImportFrom) and node.level]
    places = [(each.level - 1, str(each.module).replace(".", "/")) for each in imports]
    return [path.resolve().parents[up] / f"{place}.py" for up, place in places]


def _live(statements: list[tuple[set[str], set[str]]], live: set[str]) -> set[str]:
    """Names that a statement needs which sets a live name, or which sets none, again and again."""
    live = set(live)
    while True:
        more = {name for sets, needs in statements if not sets or sets & live for name in needs} - live
        if not more:
            return live
        live |= more


def _statements(text: str) -> list[tuple[set[str], set[str]]]:
    """Names that each statement of a Python config sets, and those it needs."""
    found = []
    for node in ast.parse(text).body:
        names = [each for each in ast.walk(node) if isinstance(each, ast.Name)]
        found.append((names_set(node), {each.id for each in names if isinstance(each.ctx, ast.Load)}))
    return found


def names_set(statement: ast.stmt) -> set[str]:
    """Variables that a statement sets or changes."""
    nodes = list(ast.walk(statement))
    defined = {statement.name} if isinstance(statement, (ast.FunctionDef, ast.ClassDef)) else set()
    sets = {each.id for each in nodes if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)}
    return defined | sets | {_root(each) for each in nodes if not isinstance(each, ast.Name)} - {""}


def _root(node: ast.AST) -> str:
    """The variable that ``a.b = …``, ``a[0] = …`` or ``a.append(…)`` changes, or nothing."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        node = node.func
    elif not (isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load)):
        return ""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _base_references(path: Path, text: str) -> set[str]:
    """Names of a base's variables that a file uses."""
    found = set(_TEMPLATE.findall(text))
    if path.suffix != ".py":
        return found
    tree = ast.parse(text)
    if Config._is_lazy_import(str(path)):  # where they need no prefix
        found |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Attribute, ast.Subscript)) and ast.unparse(node.value) == BASE_KEY:
            found.add(node.attr if isinstance(node, ast.Attribute) else ast.unparse(node.slice).strip("'"))
    return found
