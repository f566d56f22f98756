"""Modules of other people that register components."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from mapllava.errors import MapLLaVAError


def import_plugins(plugins: Iterable[str]) -> None:
    """Import modules by dotted name or ``.py`` path; registering is their own doing.

    Raises:
        MapLLaVAError: If one cannot be imported; names it and why.
    """
    for plugin in plugins:
        try:
            if plugin.endswith(".py"):
                _import_file(Path(plugin))
            else:
                importlib.import_module(plugin)
        except Exception as error:
            raise MapLLaVAError(
                f"plug-in '{plugin}' cannot be imported ({type(error).__name__}: {error}): "
                "give a .py file, or a module that PYTHONPATH reaches"
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
