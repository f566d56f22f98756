"""mapllava: multimodal LLMs that draw vectorised HD maps.

Importing the package is cheap on purpose: components are imported by the registries
(:mod:`mapllava.registry`) when a config first names one, and ``mapllava.load_model`` when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mapllava.version import __version__

if TYPE_CHECKING:
    from mapllava.apis.inference import load_model
    from mapllava.apis.parsing import load_parser

__all__ = ["__version__", "load_model", "load_parser"]


def __getattr__(name: str) -> Any:
    if name == "load_model":
        from mapllava.apis.inference import load_model

        return load_model
    if name == "load_parser":
        from mapllava.apis.parsing import load_parser

        return load_parser
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
