"""The classes that nuScenes maps offer: which layers each is made of, and how.

The one place that says so, and whether a class's lines are directed. ``divider``, ``ped_crossing`` and
``boundary`` have MapTR's semantics, ``centerline`` MapTRv2's; every other name is a raw layer of the map
expansion.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mapllava.errors import MapLLaVAError


@dataclass(frozen=True)
class MapClass:
    """How the lines of a class come about.

    Args:
        kind: ``lines`` (every record and piece a line), ``outlines`` (of the union of the areas, cut
            just inside the ROI), ``crossings`` (the same, rings stay closed along the ROI's edge) or
            ``routes`` (ways along lanes).
        layers: Layers of the map expansion, in this order.
        directed: Whether the order of the points is part of what a line means.
    """

    kind: str
    layers: tuple[str, ...]
    directed: bool = False


RAW_LINE_LAYERS = ("road_divider", "lane_divider", "traffic_light")
RAW_POLYGON_LAYERS = (
    "drivable_area", "road_segment", "road_block", "lane", "lane_connector", "walkway", "stop_line",
    "carpark_area",
)  # fmt: skip
MAP_CLASSES: dict[str, MapClass] = {
    "divider": MapClass("lines", ("road_divider", "lane_divider")),
    "ped_crossing": MapClass("crossings", ("ped_crossing",)),
    "boundary": MapClass("outlines", ("road_segment", "lane")),
    "centerline": MapClass("routes", ("lane", "lane_connector"), directed=True),
    **{name: MapClass("lines", (name,)) for name in RAW_LINE_LAYERS},
    **{name: MapClass("outlines", (name,)) for name in RAW_POLYGON_LAYERS},
}


def check_classes(names: Iterable[str]) -> None:
    """Check that nuScenes maps offer every class.

    Raises:
        MapLLaVAError: Naming those they do not offer, and all that exist.
    """
    unknown = [name for name in names if name not in MAP_CLASSES]
    if unknown:
        raise MapLLaVAError(f"map_spec.classes {unknown}: nuScenes maps offer {', '.join(MAP_CLASSES)}")
