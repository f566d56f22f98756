import ast
import math
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.geometry.georeference import (
    ARGOVERSE2_ORIGINS,
    NUSCENES_ORIGINS,
    accuracy_at,
    check_crs,
    check_ground_scale,
    crs_of_location,
    from_wgs84,
    local_crs,
    to_wgs84,
)

pyproj = pytest.importorskip("pyproj")
POINTS = np.array([[411.3, 1180.89], [0.0, 0.0], [1500.0, 20.0], [-300.0, 2000.0]])


def devkit_formula(location, x, y):
    """export_poses.py's way: along a great circle of a sphere, by bearing and distance."""
    latitude, longitude = map(math.radians, NUSCENES_ORIGINS[location])
    bearing, angle = math.atan2(x, y), math.hypot(x, y) / 6.378137e6
    to = math.asin(
        math.sin(latitude) * math.cos(angle) + math.cos(latitude) * math.sin(angle) * math.cos(bearing)
    )
    east = math.atan2(
        math.sin(bearing) * math.sin(angle) * math.cos(latitude),
        math.cos(angle) - math.sin(latitude) * math.sin(to),
    )
    return math.degrees(longitude + east), math.degrees(to)


@pytest.mark.parametrize("location", NUSCENES_ORIGINS)
def test_nuscenes_maps_lie_where_the_devkit_puts_them(location):
    found = to_wgs84(POINTS, crs_of_location(location))
    expected = [devkit_formula(location, x, y) for x, y in POINTS]
    np.testing.assert_allclose(found, expected, atol=1e-10)  # 0.01 mm


def test_the_origins_are_the_devkits_own():
    folder = Path(find_spec("nuscenes").origin).parent  # read, not imported: that takes five seconds
    source = (folder / "scripts" / "export_poses.py").read_text(encoding="utf-8")
    (found,) = re.findall(r"^REFERENCE_COORDINATES = (\{.*?^\})", source, re.MULTILINE | re.DOTALL)
    assert {k: list(v) for k, v in NUSCENES_ORIGINS.items()} == ast.literal_eval(found)


def test_a_pose_of_one_north_lies_in_one_north():
    (longitude, latitude), *_ = to_wgs84(POINTS, crs_of_location("singapore-onenorth"))
    assert (longitude, latitude) == (pytest.approx(103.788448, abs=1e-6), pytest.approx(1.298818, abs=1e-6))


@pytest.mark.parametrize(
    ("city", "point", "expected"),
    [  # latitude and longitude as in av2's own tests of its geometry/utm.py
        ("ATX", (1745.37, -1421.37), (30.261642967615092, -97.72246957081633)),
        ("ATX", (1731.53, -1410.81), (30.261739638233472, -97.72261222631731)),
        ("WDC", (2139.70, 4606.14), (38.931286945069985, -77.0120195048271)),
    ],
)
def test_argoverse_points_lie_where_av2_puts_them(city, point, expected):
    found = to_wgs84([point], crs_of_location(city))[0, ::-1]
    np.testing.assert_allclose(found, expected, atol=2e-8)  # 2 mm


@pytest.mark.parametrize("city", ARGOVERSE2_ORIGINS)
def test_argoverse_cities_are_utm_shifted_to_their_origin(city):
    zone, latitude, longitude = ARGOVERSE2_ORIGINS[city]
    utm = pyproj.Proj(proj="utm", zone=zone, ellps="WGS84")
    east, north = utm(longitude, latitude)
    expected = np.stack(utm(east + POINTS[:, 0], north + POINTS[:, 1], inverse=True), axis=1)
    np.testing.assert_allclose(to_wgs84(POINTS, crs_of_location(city)), expected, atol=1e-10)


@pytest.mark.parametrize("crs", [*map(crs_of_location, ("boston-seaport", "PIT")), local_crs(48.1, 11.6)])
def test_there_and_back(crs):
    np.testing.assert_allclose(from_wgs84(to_wgs84(POINTS, crs), crs), POINTS, atol=1e-6)
    assert to_wgs84(np.zeros((0, 2)), crs).shape == (0, 2)


def test_a_plane_around_a_place_keeps_distance_and_bearing_on_wgs84():
    (longitude, latitude), *_ = to_wgs84([[300.0, 400.0]], local_crs(-33.86, 151.21))
    azimuth, _, length = pyproj.Geod(ellps="WGS84").inv(151.21, -33.86, longitude, latitude)
    assert (length, azimuth) == (pytest.approx(500.0, abs=1e-6), pytest.approx(36.869898, abs=1e-5))


def test_a_projected_crs_of_ones_own():
    northing_first = "EPSG:2193"  # New Zealand's axes are north, east; ours stay x east, y north
    wellington = to_wgs84([[1748735.0, 5427916.0]], northing_first)[0]
    assert wellington == pytest.approx([174.776, -41.2865], abs=0.001)
    assert accuracy_at([1748735.0, 5427916.0], northing_first) > 0
    assert accuracy_at([0.0, 0.0], local_crs(48.1, 11.6)) == 0
    assert accuracy_at([0.0, 0.0], crs_of_location("boston-seaport")) is None


def test_no_place_is_not_a_place():
    assert crs_of_location("nowhere") is None
    assert crs_of_location("") is None


@pytest.mark.parametrize(
    ("crs", "message"),
    [
        ("EPSG:4326", "is no plane, it counts in degree"),
        ("EPSG:4978", "is no plane"),
        ("EPSG:2263", "in US survey foot, not metres"),
        ("EPSG:2053", "axes to west and south"),
        ("Munich", "none that pyproj reads"),
        ("", "none that pyproj reads"),
    ],
)
def test_a_crs_that_is_no_plane_in_metres_is_refused(crs, message):
    with pytest.raises(MapLLaVAError, match=message):
        check_crs(crs)


def test_heights_of_a_compound_crs_do_not_matter():
    assert check_crs("EPSG:7415") == "EPSG:7415"


def test_metres_that_are_not_the_grounds_are_refused():
    mercator = from_wgs84([[11.6, 48.1]], "EPSG:3857")[0]
    with pytest.raises(MapLLaVAError, match=r"a metre of it is 0\.66. m of ground"):
        check_ground_scale(mercator, "EPSG:3857")
    check_ground_scale(from_wgs84([[11.6, 48.1]], "EPSG:32632")[0], "EPSG:32632")
    check_ground_scale([411.3, 1180.89], crs_of_location("singapore-onenorth"))


@pytest.mark.parametrize("place", [(91.0, 0.0), (0.0, 181.0), (math.nan, 0.0), ("48.1", 11.6), (True, 0)])
def test_a_place_off_the_globe_is_refused(place):
    with pytest.raises(MapLLaVAError, match="is not a number of degrees"):
        local_crs(*place)


def test_points_outside_of_the_crs_are_refused():
    with pytest.raises(MapLLaVAError, match="not defined at"):
        to_wgs84([[1e9, 1e9]], "EPSG:32632")
