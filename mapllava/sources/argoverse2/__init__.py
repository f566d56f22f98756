"""Argoverse 2: logs, vector maps and splits. The only place that imports ``av2``, and only when used."""

from mapllava.sources.argoverse2.elements import map_elements

__all__ = ["map_elements"]
