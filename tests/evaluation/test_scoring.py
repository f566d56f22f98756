import json
from dataclasses import replace

import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.evaluation import MapResults, score_results
from mapllava.evaluation.functional import get_protocol
from mapllava.evaluation.report import comparison_text, comparison_values, evaluation_text, evaluation_values
from mapllava.evaluation.scoring import (
    MEASURES,
    compare,
    evaluate_maps,
    pair_with_cache,
    prepare_ground_truth,
    read_scene_names,
)
from mapllava.language import Parsed
from mapllava.structures import ROI, MapSpec, Polyline


def line(x, low=0.0):
    return np.array([[x, low], [x, low + 20.0]])


def town(num_scenes=8, per_scene=5):
    """A cache: three dividers and a crossing a sample."""
    entries = []
    for k in range(num_scenes * per_scene):
        shapes = [(0, line(-4.0)), (0, line(0.0)), (0, line(4.0)), (1, line(9.0, -20.0))]
        polylines = [{"label": c, "points": p, "closed": False} for c, p in shapes]
        entries.append(
            {"sample_token": f"t{k}", "scene_name": f"scene-{k // per_scene}", "polylines": polylines}
        )
    return {
        "metainfo": {**MapSpec().to_config(), "split": "val", "version": "v1.0-mini"},
        "data_list": entries,
    }


CACHE = town()


def predicted(sigma, seed=0, cache=CACHE):
    rng = np.random.default_rng(seed)
    maps = {}
    for entry in cache["data_list"]:
        off = rng.normal(size=len(entry["polylines"])) * sigma
        maps[entry["sample_token"]] = {
            "points": [p["points"] + [d, 0] for p, d in zip(entry["polylines"], off, strict=True)],
            "labels": [p["label"] for p in entry["polylines"]],
            "scores": np.exp(-np.abs(off)) * rng.uniform(0.8, 1.0, len(off)),
        }
    return MapResults(MapSpec(), "val", maps, "v1.0-mini", "run.json")


def evaluated(results, name="run.json", scenes=None, **options):
    return evaluate_maps(pair_with_cache(results, CACHE, scenes=scenes), name, **options)


def test_the_score_is_the_plain_one_and_lies_in_its_interval():
    one = evaluated(predicted(0.8), num_draws=200)
    interval = one.interval()
    assert one.score["mAP"] == pytest.approx(np.mean(one.score["ap"]))
    assert interval["mAP"][0] < one.score["mAP"] < interval["mAP"][1]
    assert interval["ap"].shape == (2, 3, 3)
    assert (interval["ap"] >= 0).all()
    assert (interval["ap"] <= 1).all()
    assert evaluated(predicted(0.8)).interval() is None


def test_draws_default_to_a_thousand_and_to_none_for_a_single_scene():
    assert evaluated(predicted(0.8), num_draws=None).draws_ap.shape == (1000, 3, 3)
    assert evaluated(predicted(0.8), scenes=["scene-0"], num_draws=None).draws_ap is None


def test_a_clear_gain_is_called_better_and_either_way_round():
    good, bad = (
        evaluated(predicted(0.3), "new", num_draws=200),
        evaluated(predicted(1.0, 1), "old", num_draws=200),
    )
    gain = compare(bad, good)
    assert gain.ap == pytest.approx(good.score["ap"] - bad.score["ap"])
    assert gain.interval["mAP"][0] > 0
    assert gain.verdict.startswith("new is better: difference +")
    assert "excludes 0" in gain.verdict
    loss = compare(good, bad)
    assert loss.verdict.startswith("new is better: difference -")
    np.testing.assert_allclose(loss.interval["mAP"], -gain.interval["mAP"][::-1])


def test_chance_is_not_called_a_gain():
    one, two = (evaluated(predicted(0.8, seed), str(seed), num_draws=200) for seed in (3, 4))
    assert compare(one, two).verdict.startswith("no difference shown: ")
    assert "includes 0" in compare(one, two).verdict
    assert "nobody knows" in compare(evaluated(predicted(0.8)), evaluated(predicted(0.3))).verdict


def test_pairing_narrows_the_interval():
    # The second is the first, a little blurred: scenes that are hard are hard for both.
    first = predicted(0.8)
    rng = np.random.default_rng(5)
    blurred = {
        token: {**m, "points": [p + rng.normal(size=2) * 0.05 for p in m["points"]]}
        for token, m in first.results.items()
    }
    one = evaluated(first, num_draws=300)
    two = evaluated(MapResults(MapSpec(), "val", blurred), num_draws=300)
    paired = np.ptp(compare(one, two).interval["mAP"])
    assert paired < 0.7 * np.ptp(one.interval()["mAP"])


def test_a_map_that_a_prompt_has_cut_is_not_scored_against_whole_ones():
    part = replace(predicted(0.1), prompt=Parsed("ahead", (), 1.0, "draw: all; ahead"))
    with pytest.raises(MapLLaVAError, match="cut by the prompt 'draw: all; ahead', and would be scored"):
        evaluated(part)


def test_only_the_wanted_scenes_count():
    scenes = ["scene-1", "scene-3"]
    maps = pair_with_cache(predicted(0.5), CACHE, scenes=scenes)
    assert maps.scenes == scenes
    assert maps.groups.tolist() == [0] * 5 + [1] * 5
    assert [m["sample_token"] for m in maps.predictions] == [f"t{k}" for k in (*range(5, 10), *range(15, 20))]
    with pytest.raises(MapLLaVAError, match=r"scenes \['scene-99'\] are not in the GT cache.*scene-0"):
        pair_with_cache(predicted(0.5), CACHE, scenes=["scene-99"])


def test_scene_names_from_a_file(tmp_path):
    path = tmp_path / "scenes.json"
    path.write_text(json.dumps(["scene-1"]))
    assert read_scene_names([str(path)]) == ["scene-1"]
    assert read_scene_names(["a", "b"]) == ["a", "b"]
    assert read_scene_names(None) is None
    path.write_text("{}")
    with pytest.raises(MapLLaVAError, match=r"scenes\.json' must hold a JSON list"):
        read_scene_names([str(path)])
    with pytest.raises(MapLLaVAError, match=r"none\.json' cannot be read"):
        read_scene_names([str(tmp_path / "none.json")])


def test_all_measures_and_their_text():
    one = evaluated(predicted(0.4), measures=MEASURES, num_draws=50, cell=0.5, line_width=1.0)
    assert list(one.measures) == ["chamfer", "f1", "ece", "iou"]
    assert one.measures["f1"]["precision"].shape == (3, 3)
    assert 0.1 < one.measures["chamfer"]["mean"][1, 0] < 0.5
    assert 0.2 < one.measures["iou"]["iou"][0] < 1.0
    assert np.isnan(one.measures["iou"]["iou"][2])
    text = evaluation_text(one)
    for words in (
        "run.json: Chamfer AP in %: split val of v1.0-mini, protocol maptr (0.5 m, 1 m, 1.5 m), 40 samples",
        "bootstrap of 50 draws over 8 scenes",
        "Chamfer distance of matched pairs",
        "Best F1 in %",
        "Expected calibration error",
        "lines 1 m wide on cells of 0.5 m",
        "boundary (no ground truth: counts 0)",
    ):
        assert words in text
    assert "f1" not in evaluated(predicted(0.4), measures=["iou"], cell=1.0).measures


def test_values_are_json_and_hold_everything():
    one = evaluated(predicted(0.4), measures=["chamfer", "f1", "ece"], num_draws=50)
    values = json.loads(json.dumps(evaluation_values(one), allow_nan=False))
    assert values["mAP"] == one.score["mAP"]
    assert (values["split"], values["protocol"], values["num_draws"]) == ("val", "maptr", 50)
    assert values["measures"]["chamfer"]["mean"][0][2] is None
    both = json.loads(json.dumps(comparison_values(compare(one, one)), allow_nan=False))
    assert both["difference"]["mAP"] == 0
    assert both["verdict"].startswith("no difference shown")


def test_comparison_text():
    bad, good = evaluated(predicted(1.0), "old", num_draws=99), evaluated(predicted(0.3), "new", num_draws=99)
    text = comparison_text(compare(bad, good))
    assert text.startswith(
        "new minus old, Chamfer AP in %: split val of v1.0-mini, protocol maptr, 40 samples of 8 scenes"
    )
    assert text.splitlines()[-1] == compare(bad, good).verdict


def test_missing_predictions_are_told():
    results = predicted(0.4)
    del results.results["t0"], results.results["t1"]
    one = evaluated(results)
    assert one.maps.num_missing == 2
    assert "2 of 40 samples have no prediction: empty maps" in evaluation_text(one)


def test_what_does_not_go_is_refused():
    with pytest.raises(
        MapLLaVAError, match=r"unknown measures \['miou'\]: use some of chamfer, f1, ece, iou"
    ):
        evaluated(predicted(0.4), measures=["miou"])
    with pytest.raises(MapLLaVAError, match="there are 1: use more scenes, or --bootstrap 0"):
        evaluated(predicted(0.4), scenes=["scene-0"], num_draws=10)
    with pytest.raises(MapLLaVAError, match="-1 draws"):
        evaluated(predicted(0.4), num_draws=-1)
    logits = predicted(0.4)
    logits.results["t0"]["scores"][0] = 7.0
    with pytest.raises(MapLLaVAError, match=r"run\.json: scores run from .* to 7: .*leave ece out"):
        evaluated(logits, measures=["ece"])
    with pytest.raises(MapLLaVAError, match="raster IoU: line width"):
        evaluated(predicted(0.4), measures=["iou"], cell=0.0)
    one, two = evaluated(predicted(0.4)), evaluated(predicted(0.4), scenes=["scene-0"])
    with pytest.raises(MapLLaVAError, match="do not pair: compare them on one GT cache"):
        compare(one, two)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"split": "train"},
            r"file 'run\.json': it was predicted on split train, .* split val: use the cache",
        ),
        (
            {"version": "v1.0-trainval"},
            r"version v1\.0-trainval, the GT cache holds v1\.0-mini: use the cache",
        ),
        (
            {"map_spec": MapSpec(roi=ROI(-25, -50, 25, 50))},
            r"100x50 m, lidar .*60x30 m, lidar.*: use the cache",
        ),
        (
            {"map_spec": MapSpec(frame="ego", roi=ROI(-30, -15, 30, 15))},
            "60x30 m, ego frame.*: use the cache",
        ),
        ({"map_spec": MapSpec(classes=("boundary", "divider"))}, "boundary/divider.*: use the cache"),
        ({"results": {}}, r"file 'run\.json': it holds no sample at all: predict again"),
        ({"results": {"other": {}}}, r"file 'run\.json': 1 samples .*the first of them other: use the cache"),
    ],
)
def test_results_of_something_else_name_the_file(changes, message):
    results = predicted(0.4)
    for key, value in changes.items():
        setattr(results, key, value)
    with pytest.raises(MapLLaVAError, match=message):
        pair_with_cache(results, CACHE)


def test_a_file_without_split_is_taken_at_its_tokens():
    results = predicted(0.4)
    results.split, results.version = "unknown", None
    assert pair_with_cache(results, CACHE).num_missing == 0


def two_samples():
    lines = [{"label": 0, "points": line(0.0), "closed": False}]
    entries = [{"sample_token": token, "polylines": lines} for token in "ab"]
    return {"metainfo": {**MapSpec().to_config(), "split": "val"}, "data_list": entries}


def at(x, *tokens):
    entry = {"points": [line(x)], "labels": [0], "scores": [0.5]}
    return MapResults(MapSpec(), "val", dict.fromkeys(tokens, entry))


def test_samples_are_paired_by_token_and_a_missing_one_is_an_empty_map():
    assert score_results(at(0.0, "b", "a"), two_samples())["ap"][0, 0] == 1.0
    result = score_results(at(0.0, "b"), two_samples())
    assert result["ap"][0, 0] == 0.5
    assert result["num_samples"] == 2


def test_protocol_and_thresholds():
    results = at(0.3, "a", "b")
    assert score_results(results, two_samples(), "strict")["ap"][:, 0].tolist() == [0.0, 1.0, 1.0]
    assert score_results(results, two_samples(), thresholds=[0.25])["ap"][:, 0].tolist() == [0.0]


RING = np.array([[0, 0], [2, 0.05], [4, 0], [4, 4], [0, 4], [0, 0]], dtype=float)


def test_maptr_takes_lines_as_they_are():
    truth = prepare_ground_truth([Polyline(1, RING, closed=True)], get_protocol("maptr"), "a")
    np.testing.assert_array_equal(truth["points"][0], RING)
    assert truth["labels"].tolist() == [1]
    assert truth["sample_token"] == "a"


def test_streammapnet_drops_vertices_nearer_than_20_cm_and_keeps_rings_closed():
    lines = [{"label": 1, "points": RING, "closed": True}]
    (points,) = prepare_ground_truth(lines, get_protocol("streammapnet"), "a")["points"]
    assert points.tolist() == [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]


def test_an_empty_sample():
    truth = prepare_ground_truth([], get_protocol("streammapnet"), "a")
    assert truth["points"] == []
    assert truth["labels"].shape == (0,)


def test_a_broken_line_names_the_sample():
    with pytest.raises(ValueError, match="ground truth of sample abc"):
        prepare_ground_truth(
            [{"label": 0, "points": RING[:1], "closed": False}], get_protocol("maptr"), "abc"
        )
