"""Where on earth the samples of a GT cache lie."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from mapllava.geometry.georeference import crs_of_location


def crs_of_entry(entry: Mapping[str, Any]) -> str | None:
    """The CRS of the world that a sample's ``ego2global`` leads to.

    A city of one's own says where it lies (``crs``). The synthetic city bears nuScenes' names of locations
    and scenes, for its readers to be tested with. Its scenes are told from nuScenes' by their
    tokens, which follow from their names.

    Args:
        entry: Of ``data_list``, see :func:`mapllava.gt_cache.schema.check_content`.

    Returns:
        A text for pyproj; None where nobody knows, and for the synthetic city, which lies nowhere.
    """
    if "crs" in entry:
        return str(entry["crs"])
    if entry["scene_token"] == synthetic_scene_token(entry["scene_name"]):
        return None
    return crs_of_location(entry["location"])


def synthetic_scene_token(scene_name: str) -> str:
    """The token that the synthetic city gives to a scene."""
    return hashlib.md5(f"{scene_name}/scene".encode(), usedforsecurity=False).hexdigest()
