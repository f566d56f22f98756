"""Where on earth a world frame lies: between its metres and WGS84's degrees, through pyproj.

A world frame is a plane with x to the east and y to the north, in metres. What ties it to the earth is a
text that pyproj reads (a CRS): ``EPSG:32632`` or ``+proj=aeqd …``. :func:`crs_of_location` knows it for
nuScenes' and Argoverse 2's maps, :func:`local_crs` makes it for a plane around any place.

Shapes: n points.
"""

from __future__ import annotations

import math
from functools import cache
from reprlib import repr as short
from typing import TYPE_CHECKING, Any

import numpy as np

from mapllava.errors import MapLLaVAError

if TYPE_CHECKING:
    import pyproj

WGS84 = "EPSG:4326"

NUSCENES_ORIGINS: dict[str, tuple[float, float]] = {
    "boston-seaport": (42.336849169438615, -71.05785369873047),
    "singapore-onenorth": (1.2882100868743724, 103.78475189208984),
    "singapore-hollandvillage": (1.2993652317780957, 103.78217697143555),
    "singapore-queenstown": (1.2782562240223188, 103.76741409301758),
}
"""Latitude and longitude of the maps' south-western corners, where x and y are 0.

Source: nuscenes-devkit, ``nuscenes/scripts/export_poses.py`` (REFERENCE_COORDINATES), the same in
``map_expansion/map_api.py``.
"""

_NUSCENES_RADIUS = 6378137.0
"""Metres: export_poses.py takes the earth for a sphere, distance and bearing from the origin kept."""

ARGOVERSE2_ORIGINS: dict[str, tuple[int, float, float]] = {
    "ATX": (14, 30.27464237939507, -97.7404457407424),
    "DTW": (17, 42.29993066912924, -83.17555750783717),
    "MIA": (17, 25.77452579915163, -80.19656914449405),
    "PAO": (10, 37.416065, -122.13571963362166),
    "PIT": (17, 40.44177902989321, -80.01294377242584),
    "WDC": (18, 38.889377, -77.0355047439081),
}
"""UTM zone (northern), latitude and longitude of the cities' origins; the axes are the zone's.

Source: av2, ``av2/geometry/utm.py`` (UTM_ZONE_MAP, CITY_ORIGIN_LATLONG_DICT).
"""

_STEP = 10.0
"""Metres over which the ground is measured."""


@cache
def crs_of_location(location: str) -> str | None:
    """The CRS of a data set's world frame.

    nuScenes: an azimuthal equidistant plane on a sphere, which is export_poses.py's formula. Singapore's maps
    then lie on OpenStreetMap's streets; Boston's is known to be off by tens of metres, whatever the
    formula (nuscenes-devkit issues 960, 966). A length along a meridian reads up to 0.7 % shorter on WGS84's
    ellipsoid. Argoverse 2: UTM, shifted to the city's origin.

    The synthetic city bears nuScenes' names and lies nowhere on earth: do not ask for its CRS here, see
    :func:`mapllava.gt_cache.location.crs_of_entry`.

    Args:
        location: nuScenes' name of a map, or Argoverse 2's of a city (``PIT``).

    Returns:
        A text for pyproj; None for any other location.
    """
    if location in NUSCENES_ORIGINS:
        latitude, longitude = NUSCENES_ORIGINS[location]
        return _plane_around(latitude, longitude, f"+R={_NUSCENES_RADIUS:.0f}")
    if location in ARGOVERSE2_ORIGINS:
        zone, latitude, longitude = ARGOVERSE2_ORIGINS[location]
        east, north = from_wgs84(np.array([[longitude, latitude]]), f"EPSG:{32600 + zone}")[0]
        return (
            f"+proj=tmerc +lat_0=0 +lon_0={6 * zone - 183} +k=0.9996 +x_0={500000 - east:.6f} "
            f"+y_0={-north:.6f} +datum=WGS84 +units=m +no_defs +type=crs"
        )
    return None


def local_crs(latitude: float, longitude: float) -> str:
    """The CRS of a plane around a place: metres to the east and to the north of it, on WGS84.

    Distance and bearing from the place are exact (azimuthal equidistant); within 10 km of it no length
    is off by more than a millimetre in a kilometre.

    Args:
        latitude: Degrees, north positive.
        longitude: Degrees, east positive.

    Raises:
        MapLLaVAError: If one is no number, or out of range.
    """
    for name, value, limit in (("latitude", latitude, 90), ("longitude", longitude, 180)):
        number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or abs(value) > limit:
            swapped = "; latitude comes first" if name == "latitude" and number else ""
            raise MapLLaVAError(
                f"{name} {short(value)} is not a number of degrees in {-limit}..{limit}{swapped}"
            )
    return _plane_around(latitude, longitude, "+datum=WGS84")


def _plane_around(latitude: float, longitude: float, earth: str) -> str:
    place = f"+lat_0={float(latitude)!r} +lon_0={float(longitude)!r}"
    return f"+proj=aeqd {place} {earth} +units=m +no_defs +type=crs"


@cache
def check_crs(crs: str) -> str:
    """Return ``crs`` if it is a plane in metres, one axis to the east and one to the north.

    Args:
        crs: Anything that pyproj reads: ``EPSG:32632``, a PROJ string, WKT.

    Raises:
        MapLLaVAError: If pyproj cannot read it; or it is in degrees, in feet, or has other axes.
    """
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        found = CRS.from_user_input(crs)
    except CRSError as error:
        raise MapLLaVAError(
            f"crs {short(crs)} is none that pyproj reads ({error}): give e.g. 'EPSG:32632', or leave it out"
        ) from error
    remedy = "give a projected one in metres, e.g. the UTM zone of the place ('EPSG:32632')"
    if not found.is_projected:
        unit = found.axis_info[0].unit_name if found.axis_info else "no unit"
        raise MapLLaVAError(f"crs {short(crs)} ({found.name}) is no plane, it counts in {unit}: {remedy}")
    axes = _plane_of(found).axis_info[:2]
    if {axis.direction for axis in axes} != {"east", "north"}:
        directions = " and ".join(axis.direction for axis in axes)
        raise MapLLaVAError(
            f"crs {short(crs)} ({found.name}) has axes to {directions}, not to east and north: {remedy}"
        )
    if any(axis.unit_conversion_factor != 1.0 for axis in axes):
        raise MapLLaVAError(
            f"crs {short(crs)} ({found.name}) is in {axes[0].unit_name}, not metres: {remedy}"
        )
    return crs


def _plane_of(crs: pyproj.CRS) -> pyproj.CRS:
    """What lies in the plane: without the heights of a compound one, without a bound datum shift."""
    if crs.is_bound and crs.source_crs is not None:
        return _plane_of(crs.source_crs)
    return _plane_of(crs.sub_crs_list[0]) if crs.is_compound else crs


def to_wgs84(points: Any, crs: str) -> np.ndarray:
    """World metres to WGS84.

    Args:
        points: ``(n, 2)``: x to the east, y to the north, metres.
        crs: What the world is, see :func:`check_crs`.

    Returns:
        ``(n, 2)`` float64: longitude, latitude in degrees, in GeoJSON's order.

    Raises:
        MapLLaVAError: If the CRS does not fit, or a point lies where it is not defined.
        ValueError: If the points are not ``(n, 2)``.
    """
    return _transform(points, crs, back=False)


def from_wgs84(points: Any, crs: str) -> np.ndarray:
    """Inverse of :func:`to_wgs84`, same errors: longitude and latitude ``(n, 2)`` to metres ``(n, 2)``."""
    return _transform(points, crs, back=True)


def accuracy_at(point: Any, crs: str) -> float | None:
    """How well PROJ knows the way from a CRS to WGS84 at a place.

    Another datum than WGS84 needs a shift; without PROJ's grid files (none come with pyproj) some shifts
    are good to metres only.

    Args:
        point: ``(2,)`` metres, in the CRS.
        crs: See :func:`check_crs`.

    Returns:
        Metres; None where PROJ does not say, as for a sphere. Zero where the datum is WGS84 itself.
    """
    transformer = _transformer(crs)
    transformer.transform(float(point[0]), float(point[1]))
    accuracy = transformer.get_last_used_operation().accuracy
    return None if accuracy < 0 else float(accuracy)


def check_ground_scale(point: Any, crs: str) -> None:
    """Check that a metre of the plane is a metre of ground at a place, to a hundredth.

    It is not in Web Mercator, nor far outside of a UTM zone: what a car measures in metres would be
    drawn larger or smaller there.

    Args:
        point: ``(2,)`` metres, in the CRS.
        crs: See :func:`check_crs`.

    Raises:
        MapLLaVAError: If it is not, to the east or to the north.
    """
    from pyproj import Geod

    here = np.asarray(point, dtype=np.float64)
    longitude, latitude = to_wgs84(here + np.array([[0, 0], [_STEP, 0], [0, _STEP]]), crs).T
    _, _, ground = Geod(ellps="WGS84").inv(longitude[[0, 0]], latitude[[0, 0]], longitude[1:], latitude[1:])
    worst = max(np.asarray(ground) / _STEP, key=lambda scale: abs(scale - 1))
    if abs(worst - 1) > 0.01:
        raise MapLLaVAError(
            f"crs {short(crs)}: at ({here[0]:.1f}, {here[1]:.1f}) a metre of it is {worst:.3f} m of ground, "
            "so lines in metres would not fit: give poses in a plane whose metres are the ground's, e.g. the "
            "UTM zone of the place"
        )


def _transform(points: Any, crs: str, back: bool) -> np.ndarray:
    from pyproj.enums import TransformDirection

    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points have shape {points.shape}, not (n, 2)")
    # as lists: of arrays with one element pyproj makes numbers in a way that NumPy is giving up
    given_x, given_y = points.T.tolist()
    direction = TransformDirection.INVERSE if back else TransformDirection.FORWARD
    x, y = _transformer(crs).transform(given_x, given_y, direction=direction)
    found = np.stack([x, y], axis=1)
    lost = ~np.isfinite(found).all(axis=1)
    if lost.any():
        a, b = points[int(np.argmax(lost))]
        raise MapLLaVAError(
            f"crs {short(crs)} is not defined at ({a:g}, {b:g}): do x and y lie in it? See crs and ego2global"
        )
    return found


@cache
def _transformer(crs: str) -> pyproj.Transformer:
    from pyproj import Transformer

    return Transformer.from_crs(check_crs(crs), WGS84, always_xy=True)
