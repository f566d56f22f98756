"""Modules of other people that register components."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from mapllava.errors import MapLLaVAError

GROUP = "mapllava.plugins"
"""Entry-point group whose modules are imported wherever a config is read or a model file is opened."""


@cache
def import_installed_plugins() -> None:
    """Import the modules that installed packages name in the entry-point group ``mapllava.plugins``, once.

    Raises:
        MapLLaVAError: If one cannot be imported; names it, its package and why.
    """
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        try:
            point.load()
        except Exception as error:
            owner = point.dist.name if point.dist else "an installed package"
            raise MapLLaVAError(
                f"plug-in '{point.name}' ({point.value}, of {owner}) cannot be imported "
                f"({type(error).__name__}: {error}): mend it, or pip uninstall {owner}"
            ) from error


def import_plugins(plugins: Iterable[str]) -> None:
    """Import the installed ones, then modules by dotted name or ``.py`` path; registering is their own doing.

    Raises:
        MapLLaVAError: If one cannot be imported; names it and why.
    """
    import_installed_plugins()
    for plugin in plugins:
        try:
            if plugin.endswith(".py"):
                _import_file(Path(plugin))
            else:
                importlib.import_module(plugin)
        except Exception as error:
            missing = isinstance(error, (FileNotFoundError, ModuleNotFoundError))
            remedy = "give a .py file, or a module that PYTHONPATH reaches" if missing else "mend it"
            raise MapLLaVAError(
                f"plug-in '{plugin}' cannot be imported ({type(error).__name__}: {error}): {remedy}"
            ) from error


def _import_file(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
