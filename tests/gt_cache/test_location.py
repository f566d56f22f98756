from mapllava import gt_cache
from mapllava.geometry.georeference import crs_of_location
from mapllava.gt_cache.location import crs_of_entry


def test_the_synthetic_city_lies_nowhere_on_earth(city_cache):
    for entry in gt_cache.load(city_cache["val"])["data_list"]:
        assert crs_of_location(entry["location"]) is not None  # its names are nuScenes'
        assert crs_of_entry(entry) is None


def test_a_scene_with_another_token_lies_where_its_location_is(city_cache):
    entry = gt_cache.load(city_cache["val"])["data_list"][0]
    real = {**entry, "scene_token": "cc8c0bf57f984915a77078b10eb33198"}
    assert crs_of_entry(real) == crs_of_location(entry["location"])
    assert crs_of_entry({**real, "location": "elsewhere"}) is None
