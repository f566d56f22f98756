import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.evaluation import MapResults, score_results
from mapllava.structures import ROI, MapSpec


def line(x):
    return np.array([[x, 0.0], [x, 10.0]])


def entry(token, *lines):
    polylines = [{"label": 0, "points": line(x), "closed": False} for x in lines]
    return {"sample_token": token, "polylines": polylines}


def predicted(*lines):
    return {"points": [line(x) for x in lines], "labels": [0] * len(lines), "scores": [0.5] * len(lines)}


CACHE = {
    "metainfo": {**MapSpec().to_config(), "split": "val"},
    "data_list": [entry("a", 0.0), entry("b", 0.0)],
}


def test_samples_are_paired_by_token_and_a_missing_one_is_an_empty_map():
    both = MapResults(MapSpec(), "val", {"b": predicted(0.0), "a": predicted(0.0)})
    one = MapResults(MapSpec(), "val", {"b": predicted(0.0)})
    assert score_results(both, CACHE)["ap"][0, 0] == 1.0
    result = score_results(one, CACHE)
    assert result["ap"][0, 0] == 0.5
    assert result["num_samples"] == 2


def test_results_of_another_split_are_refused():
    with pytest.raises(MapLLaVAError, match=r"split train, .*split val: use the cache of the same split"):
        score_results(MapResults(MapSpec(), "train", {"a": predicted(0.0)}), CACHE)
    with pytest.raises(MapLLaVAError, match=r"1 samples .split val. are not in .*the first of them x: use"):
        score_results(MapResults(MapSpec(), "val", {"x": predicted(0.0)}), CACHE)


def test_results_of_another_map_are_refused():
    results = MapResults(MapSpec(roi=ROI(-25, -50, 25, 50)), "val", {})
    with pytest.raises(MapLLaVAError, match="100x50"):
        score_results(results, CACHE)


def test_protocol_and_thresholds():
    results = MapResults(MapSpec(), "val", {"a": predicted(0.3), "b": predicted(0.3)})
    assert score_results(results, CACHE, "strict")["ap"][:, 0].tolist() == [0.0, 1.0, 1.0]
    assert score_results(results, CACHE, thresholds=[0.25])["ap"][:, 0].tolist() == [0.0]
