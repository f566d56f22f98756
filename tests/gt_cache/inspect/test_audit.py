import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.gt_cache.inspect.audit import PlaceSet, audit, places_of_cache, places_of_split
from mapllava.sources.nuscenes.pose_tables import PoseTables


def places(name, *rows):
    scenes, locations, positions = zip(*rows, strict=True) if rows else ((), (), ())
    return PlaceSet(name, list(scenes), list(locations), np.array(positions, dtype=float).reshape(-1, 2))


def test_distances_by_hand():
    train = places("t", ("a", "boston", (0, 0)), ("a", "boston", (10, 0)), ("b", "onenorth", (3, 4)))
    val = places(
        "v", ("c", "boston", (0.5, 0)), ("c", "boston", (14, 3)), ("b", "onenorth", (0, 0)),
        ("d", "queenstown", (0, 0)),
    )  # fmt: skip
    found = audit(train, val)
    assert found.distances.tolist() == [0.5, 5.0, 5.0, np.inf]
    assert found.shared_scenes == ["b"]
    everywhere = found.figures(radii=(0.4, 1, 5, 60))
    assert everywhere["share_within_m"] == {"0.4": 0, "1": 0.25, "5": 0.75, "60": 0.75}
    boston = found.figures("boston", radii=(1,))
    assert boston == {"samples": 2, "median_m": 2.75, "share_within_m": {"1": 0.5}}
    report = found.to_json()
    assert report["locations"]["all"]["share_within_m"] == {"1": 0.25, "5": 0.75, "20": 0.75, "60": 0.75}
    assert report["locations"]["queenstown"]["median_m"] is None


def test_the_same_place_on_another_map_is_another_place():
    found = audit(places("t", ("a", "boston", (0, 0))), places("v", ("b", "onenorth", (0, 0))))
    assert found.distances.tolist() == [np.inf]


def test_an_empty_set_is_refused():
    with pytest.raises(MapLLaVAError, match="v has no samples"):
        audit(places("t", ("a", "boston", (0, 0))), places("v"))


def test_the_synthetic_city_keeps_training_and_validation_apart(city, city_cache):
    found = audit(places_of_cache(city_cache["train"]), places_of_cache(city_cache["val"]))
    assert (found.train, found.val) == (("v1.0-mini train", 12), ("v1.0-mini val", 8))
    assert found.figures()["share_within_m"]["60"] == 0
    assert found.shared_scenes == []


def test_tables_and_cache_say_the_same(city, city_cache):
    tables = places_of_split([PoseTables(city, "v1.0-mini")], "train")
    cache = places_of_cache(city_cache["train"])
    np.testing.assert_allclose(tables.positions, cache.positions, atol=1e-9)
    assert (tables.name, tables.scenes, tables.locations) == (cache.name, cache.scenes, cache.locations)
