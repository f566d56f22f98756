import json

import numpy as np
import pytest

from mapllava import gt_cache
from mapllava.__main__ import main
from mapllava.evaluation import MapResults, save_results
from mapllava.geometry.georeference import crs_of_location, from_wgs84
from mapllava.gt_cache.schema import spec_of


@pytest.fixture(scope="module")
def results(city_cache, tmp_path_factory):
    """The ground truth of the city as predictions, half of them unsure."""
    cache = gt_cache.load(city_cache["val"])
    maps = {}
    for entry in cache["data_list"]:
        lines = entry["polylines"]
        scores = [0.9, 0.1] * len(lines)
        maps[entry["sample_token"]] = {
            "points": [line["points"] for line in lines],
            "labels": [line["label"] for line in lines],
            "scores": scores[: len(lines)],
        }
    meta = cache["metainfo"]
    path = tmp_path_factory.mktemp("geojson") / "run.results.json"
    return save_results(path, MapResults(spec_of(meta), meta["split"], maps, meta["version"]))


def test_results_without_a_place_need_the_cache(results, tmp_path, capsys):
    assert main(["convert", "geojson", str(results), "--out", str(tmp_path / "x.geojson")]) == 2
    assert "--cache" in capsys.readouterr().err


def test_the_synthetic_city_becomes_local_metres_beside_its_truth(results, city_cache, tmp_path, capsys):
    out = tmp_path / "x.local.geojson"
    words = [str(results), "--cache", str(city_cache["val"]), "--ground-truth", "--out", str(out)]
    assert main(["convert", "geojson", *words]) == 0
    said = capsys.readouterr().out
    assert "not known" in said
    assert "boundary 0.30" in said
    features = json.loads(out.read_text())["features"]
    kinds = [feature["properties"]["kind"] for feature in features]
    truth = [f for f in features if f["properties"]["kind"] == "ground_truth"]
    assert 0 < kinds.count("prediction") < len(truth)
    cache = gt_cache.load(city_cache["val"])
    assert len(truth) == sum(len(entry["polylines"]) for entry in cache["data_list"])
    predicted = next(f for f in features if f["properties"]["kind"] == "prediction")
    keys = ("sample", "class", "index")
    same = next(f for f in truth if all(f["properties"][k] == predicted["properties"][k] for k in keys))
    assert same["properties"]["score"] is None
    points = [np.array(f["geometry"]["coordinates"]).reshape(-1, 2) for f in (same, predicted)]
    np.testing.assert_allclose(*points, atol=3e-4)  # rounded twice


def test_real_scenes_of_a_cache_lie_on_earth(results, city_cache, tmp_path):
    """As the city's cache would read if its scenes were nuScenes' own."""
    from mapllava.evaluation import load_results
    from mapllava.evaluation.formats.save_geojson import save_geojson

    cache = gt_cache.load(city_cache["val"])
    for entry in cache["data_list"]:
        entry["scene_token"] = "cc8c0bf57f984915a77078b10eb33198"
    saved = save_geojson(tmp_path / "x.geojson", load_results(results), cache)
    feature = json.loads(saved.path.read_text())["features"][0]
    about = feature["properties"]
    entry = next(e for e in cache["data_list"] if e["sample_token"] == about["sample"])
    line = np.array(feature["geometry"]["coordinates"]).reshape(-1, 2)
    back = from_wgs84(line, crs_of_location(about["location"]))
    assert np.linalg.norm(back - entry["ego2global"][:2, 3], axis=1).max() < 40
