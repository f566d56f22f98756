"""mapllava: multimodal LLMs that draw vectorised HD maps.

Importing the package is cheap on purpose: components are imported by the registries
(:mod:`mapllava.registry`) when a config first names one.
"""

from mapllava.version import __version__

__all__ = ["__version__"]
