import json
from dataclasses import replace

import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.evaluation import MapResults, load_results, save_results, score_results
from mapllava.evaluation.formats import KINDS, arrange, read_results, write_results
from mapllava.evaluation.formats.convert import FORWARD, between
from mapllava.geometry.frame_change import change_lines
from mapllava.structures import ROI, MapSpec

FOREIGN = ("maptr", "streammapnet", "maptracker")


def pose(yaw, x, y, roll=0.0, z=0.0):
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    lean = np.array([[1, 0, 0], [0, np.cos(roll), -np.sin(roll)], [0, np.sin(roll), np.cos(roll)]])
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = turn @ lean, (x, y, z)
    return out


def entry(token, timestamp, yaw, *lines):
    return {
        "sample_token": token,
        "timestamp": timestamp,
        "scene_name": "scene-1",
        "lidar2ego": pose(-np.pi / 2, 0.94, 0.0, z=1.84),
        "ego2global": pose(yaw, 400.0, 1100.0),
        "polylines": [{"label": k, "points": p, "closed": False} for k, p in lines],
    }


AHEAD = np.array([[2.0, 10.0], [2.0, 20.0]])
CACHE = {
    "metainfo": {**MapSpec().to_config(), "split": "val", "version": "v1.0-mini"},
    "data_list": [
        entry("late", 30, 0.4, (0, AHEAD), (1, AHEAD - [6, 5])),
        entry("early", 10, -2.0, (2, AHEAD - [9, 30])),
        entry("none", 20, 1.0),
    ],
}


def cache_of(spec):
    return {**CACHE, "metainfo": {**CACHE["metainfo"], **spec.to_config()}}


def results(cache=CACHE):
    maps = {
        e["sample_token"]: {
            "points": [line["points"] + 0.01 * k for k, line in enumerate(e["polylines"])],
            "labels": np.array([line["label"] for line in e["polylines"]], dtype=np.int64),
            "scores": np.linspace(0.9123456789, 0.5, len(e["polylines"])),
        }
        for e in cache["data_list"][:2]
    }
    return MapResults(MapSpec(), "val", maps, "v1.0-mini")


def write(tmp_path, body):
    path = tmp_path / "foreign.json"
    path.write_text(body if isinstance(body, str) else json.dumps(body))
    return path


def vector(**changes):
    base = {"pts": AHEAD.tolist(), "pts_num": 2, "cls_name": "divider", "type": 0, "confidence_level": 0.5}
    return {**base, **changes}


def maptr(*vectors, token="late"):
    return {"meta": {}, "results": [{"sample_token": token, "vectors": list(vectors)}]}


def submission(vectors, labels, scores=None, token="late", **extra):
    case = {"vectors": vectors, "labels": labels, "scores": scores or [0.5] * len(vectors), **extra}
    return {"meta": {"output_format": "vector"}, "results": {token: case}}


@pytest.mark.parametrize("kind", FOREIGN)
def test_round_trip(tmp_path, kind):
    back = read_results(write_results(tmp_path / "x.json", results(), kind, CACHE), CACHE)
    assert back.map_spec == MapSpec()
    for token, wanted in results().results.items():
        np.testing.assert_allclose(
            np.stack(back.results[token]["points"]), np.stack(wanted["points"]), atol=2e-6
        )
        assert back.results[token]["labels"].tolist() == wanted["labels"].tolist()
        assert back.results[token]["scores"].tolist() == wanted["scores"].tolist()
    assert score_results(back, CACHE)["ap"].tolist() == score_results(results(), CACHE)["ap"].tolist()


@pytest.mark.parametrize("kind", FOREIGN)
def test_through_every_kind_and_back_to_ours(tmp_path, kind):
    foreign = read_results(write_results(tmp_path / "x.json", results(), kind, CACHE), CACHE)
    ours = load_results(write_results(tmp_path / "y.json", foreign, "mapllava", CACHE), MapSpec())
    assert (ours.split, ours.version) == ("val", "v1.0-mini")
    np.testing.assert_allclose(ours.results["early"]["points"][0], AHEAD - [9, 30], atol=1e-4)


def test_maptr_by_hand(tmp_path):
    body = json.loads(write_results(tmp_path / "x.json", results(), "maptr", CACHE).read_text())
    assert [sample["sample_token"] for sample in body["results"]] == ["early", "none", "late"]
    assert body["results"][1]["vectors"] == []
    assert body["results"][2]["vectors"][0] == {
        "pts": AHEAD.tolist(),
        "pts_num": 2,
        "cls_name": "divider",
        "type": 0,
        "confidence_level": 0.9123456789,
    }


def test_maptr_type_is_theirs_whatever_our_order(tmp_path):
    spec = MapSpec(classes=("boundary", "divider"))
    ours = MapResults(spec, "val", {"late": {"points": [AHEAD], "labels": [0], "scores": [0.5]}})
    body = json.loads(write_results(tmp_path / "x.json", ours, "maptr", cache_of(spec)).read_text())
    assert (body["results"][2]["vectors"][0]["cls_name"], body["results"][2]["vectors"][0]["type"]) == (
        "boundary",
        2,
    )


@pytest.mark.parametrize(
    ("kind", "ahead", "key"), [("streammapnet", 10.94, "prop"), ("maptracker", 10.0, "props")]
)
def test_submission_by_hand(tmp_path, kind, ahead, key):
    body = json.loads(write_results(tmp_path / "x.json", results(), kind, CACHE).read_text())
    assert body["meta"]["output_format"] == "vector"
    assert sorted(body["results"]) == ["early", "late"]
    late = body["results"]["late"]
    assert late["labels"] == [1, 0]
    assert body["results"]["early"]["labels"] == [2]
    assert late["vectors"][0] == [pytest.approx([ahead, -2.0]), pytest.approx([ahead + 10, -2.0])]
    assert late[key] == [False, False]


def test_submission_that_could_be_either_must_be_named(tmp_path):
    path = write(tmp_path, submission([[[10.94, -2.0], [20.94, -2.0]]], [1]))
    with pytest.raises(MapLLaVAError, match=r"foreign\.json.*--from streammapnet or --from maptracker"):
        read_results(path, CACHE)
    read = read_results(path, CACHE, "streammapnet")
    np.testing.assert_allclose(read.results["late"]["points"][0], AHEAD, atol=1e-9)
    other = read_results(path, CACHE, "maptracker")
    np.testing.assert_allclose(other.results["late"]["points"][0], AHEAD + np.array([0, 0.94]), atol=1e-9)


@pytest.mark.parametrize(("kind", "other"), [FOREIGN[1:], FOREIGN[:0:-1]])
def test_origins_are_not_mixed_up(tmp_path, kind, other):
    path = write_results(tmp_path / "x.json", results(), kind, CACHE)
    with pytest.raises(MapLLaVAError, match=rf"x\.json' is {kind}'s by .*, not {other}'s.*leave --from out"):
        read_results(path, CACHE, other)
    assert read_results(path, CACHE, kind).results.keys() == results().results.keys()


def test_cache_in_the_ego_frame(tmp_path):
    ego = {**CACHE, "metainfo": {**CACHE["metainfo"], "frame": "ego", "roi": [-30.0, -15.0, 30.0, 15.0]}}
    read = read_results(write(tmp_path, maptr(vector())), ego)
    assert read.map_spec.frame == "ego"
    np.testing.assert_allclose(read.results["late"]["points"][0], [[10.94, -2.0], [20.94, -2.0]], atol=1e-9)
    path = write_results(tmp_path / "x.json", read, "maptr", ego)
    np.testing.assert_allclose(
        json.loads(path.read_text())["results"][2]["vectors"][0]["pts"], AHEAD, atol=1e-6
    )


def test_our_own_file_is_told_by_its_content(tmp_path):
    path = save_results(tmp_path / "own.json", results())
    assert read_results(path, CACHE).split == "val"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (maptr(vector(cls_name="stop_line")), r"\[0\], sample late: vectors\[0\].cls_name 'stop_l.*use a"),
        (maptr({"pts": []}), r"vectors\[0\] lacks \['cls_name', 'confidence_level'\]"),
        (maptr(vector(pts_num=3)), r"sample late: vectors\[0\].pts_num is 3, but there are 2"),
        (maptr(vector(pts=[[0, float("nan")], [1, 1]])), r"late: vectors\[0\].pts .*not finite; write the f"),
        (maptr(vector(pts=[[0, float("inf")], [1, 1]])), r"late: vectors\[0\].pts .*not finite"),
        (maptr(vector(pts=5)), r"sample late: vectors\[0\].pts is 5, not a list .*; write the file again"),
        (maptr(vector(pts=[[0, 0, 0], [1, 1, 1]])), r"shape \(2, 3\)"),
        (maptr(vector(confidence_level=None)), r"late: vectors\[0\].confidence_level is None, not"),
        (maptr(vector(confidence_level=float("nan"))), r"vectors\[0\].confidence_level is nan, not a finite"),
        (maptr(vector(), token=5), r"results\[0\]: sample_token is 5, not a text; write"),
        (maptr(vector(), token="x"), "sample x is not in the GT cache .split val.: use the cache"),
        (maptr(vector(pts=[[0, 0], [1, 49.0]])), r"\(1.0, 49.0\) m, outside .* x -15..15, y -30..30"),
        (maptr(vector(pts=[[0, 0], [28, 0]])), "of another frame than maptr's"),
        ({"results": [{"vectors": []}]}, r"results\[0\] lacks \['sample_token'\]"),
        ({"results": [{"sample_token": "late", "vectors": 3}]}, "sample late: 'vectors' is 3, not a list"),
        ({"results": 4}, "no results file of mapllava, maptr"),
        ({"pred": []}, "it has no 'results'"),
        (submission([[[1, 1], [2, 2]]], [3], prop=[0]), r"late: labels\[0\] is 3, not one of 0, 1, 2 .*"),
        (submission([], 3, [1], prop=[0]), "sample late: 'labels' is 3, not a list; write the file again"),
        (submission([[[0, float("nan")], [1, 1]]], [1], prop=[0]), r"sample late: vectors\[0\] .*not finite"),
        (submission([[[1, 1], [2, 2]]], [1], [float("inf")], prop=[0]), r"late: scores\[0\] is inf, not a f"),
        (submission([], [], token="x", prop=[]), "sample x is not in the GT cache"),
        (submission([[[1, 1], [2, 2]]], [0, 1], [1, 1], prop=[0]), "1 lines, 2 labels, 2 scores"),
        ({"results": {"late": {"vectors": [], "labels": [], "prop": []}}}, r"sample late lacks \['scores'\]"),
        ({"meta": {"output_format": "raster"}, "results": {"late": {"prop": []}}}, "format is 'raster'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(tmp_path, body, message):
    with pytest.raises(MapLLaVAError, match=rf"foreign\.json'?.*({message})"):
        read_results(write(tmp_path, body), CACHE)


def test_two_maps_for_one_sample_are_refused(tmp_path):
    twice = maptr(vector())
    twice["results"] *= 2
    with pytest.raises(
        MapLLaVAError, match=r"foreign\.json.*results\[1\], sample late: the sample comes a second time"
    ):
        read_results(write(tmp_path, twice), CACHE)
    case = '{"vectors": [], "labels": [], "scores": [], "prop": []}'
    with pytest.raises(MapLLaVAError, match=r"foreign\.json.*key 'late' twice.*write the file again"):
        read_results(write(tmp_path, f'{{"results": {{"late": {case}, "late": {case}}}}}'), CACHE)


def test_classes_that_the_cache_or_the_format_lacks(tmp_path):
    two = {**CACHE, "metainfo": {**CACHE["metainfo"], "classes": ["divider", "boundary"]}}
    path = write(tmp_path, submission([[[1, 1], [2, 2]]], [0], prop=[0]))
    with pytest.raises(MapLLaVAError, match=r"labels\[0\] is 0, a ped_crossing, which is not among"):
        read_results(path, two)
    spec = MapSpec(classes=("divider", "centerline"))
    ours = MapResults(spec, "val", {"late": {"points": [AHEAD], "labels": [1], "scores": [0.5]}})
    with pytest.raises(MapLLaVAError, match=r"sample late holds lines of \['centerline'\]"):
        write_results(tmp_path / "x.json", ours, "streammapnet", cache_of(spec))
    assert write_results(tmp_path / "x.json", ours, "maptr", cache_of(spec)).is_file()


def test_kind_and_file_must_agree(tmp_path):
    path = write(tmp_path, maptr(vector()))
    with pytest.raises(MapLLaVAError, match="unknown kind of results file 'mapqr'"):
        read_results(path, CACHE, "mapqr")
    with pytest.raises(MapLLaVAError, match="no results file of streammapnet"):
        read_results(path, CACHE, "streammapnet")
    with pytest.raises(
        MapLLaVAError, match=r"1 samples \(split val\) are not in the GT cache .*first of them x"
    ):
        write_results(tmp_path / "y.json", MapResults(MapSpec(), "val", {"x": {}}), "maptr", CACHE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "train"}, "predicted on split train, the GT cache holds split val: use the cache"),
        (
            {"version": "v1.0-trainval"},
            "predicted on version v1.0-trainval, the GT cache holds v1.0-mini: use",
        ),
        ({"map_spec": MapSpec(roi=ROI(-25, -50, 25, 50))}, "it holds maps of 100x50 .* holds 60x30 .*use"),
        ({"results": {}}, "it holds no sample at all: predict again"),
    ],
)
def test_what_is_of_another_cache_is_not_written(tmp_path, kind, changes, message):
    ours = replace(results(), source="own.json", **changes)
    with pytest.raises(MapLLaVAError, match=f"results file 'own.json': .*{message}"):
        write_results(tmp_path / "x.json", ours, kind, CACHE)
    assert not list(tmp_path.iterdir())


def test_arrange_gives_the_samples_that_the_file_holds():
    assert list(arrange(results(), "maptr", CACHE).results) == ["early", "none", "late"]
    assert list(arrange(results(), "maptracker", CACHE).results) == ["late", "early"]
    unknown = replace(results(), split="unknown", version=None)
    arranged = arrange(unknown, "mapllava", CACHE)
    assert (arranged.split, arranged.version) == ("val", "v1.0-mini")


def test_larger_regions_are_read_with_their_cache(tmp_path):
    large = {**CACHE, "metainfo": {**CACHE["metainfo"], "roi": ROI(-25, -50, 25, 50).to_list()}}
    read = read_results(write(tmp_path, maptr(vector(pts=[[0, 0], [0, 49.0]]))), large)
    assert read.map_spec.roi == ROI(-25, -50, 25, 50)


# nuScenes' mounting: LIDAR_TOP 0.94 m ahead of the rear axle, its x axis to the car's right.
LEVEL = {"ego2global": pose(0.7, 400.0, 1100.0), "lidar2ego": pose(-np.pi / 2, 0.94, 0.0, z=1.84)}
LEANING = {
    "ego2global": pose(0.7, 400.0, 1100.0, roll=0.05),
    "lidar2ego": pose(-1.59, 0.94, 0.01, roll=0.02, z=1.84),
}


def moved(source, target, entry, points):
    return change_lines(np.array(points, dtype=float), between(source, target, entry))


def test_lidar_to_ego_by_hand():
    # A point 10 m ahead and 2 m right of the lidar lies 10.94 m ahead of the axle, 2 m to its right.
    assert moved("lidar", "ego", LEVEL, [[2, 10]])[0] == pytest.approx([10.94, -2.0])
    assert moved("ego", "lidar", LEVEL, [[10.94, -2]])[0] == pytest.approx([2.0, 10.0])


def test_maptracker_turns_the_lidar_frame():
    assert moved("lidar", FORWARD, LEANING, [[2, 10]])[0] == pytest.approx([10.0, -2.0])
    # ahead and to the left of the lidar, in the car's frame
    assert moved(FORWARD, "ego", LEVEL, [[10, 2]])[0] == pytest.approx([10.94, 2.0])


@pytest.mark.parametrize("source", ["lidar", "ego", FORWARD])
@pytest.mark.parametrize("target", ["lidar", "ego", FORWARD])
def test_there_and_back(source, target):
    points = np.random.default_rng(1).uniform(-50, 50, (20, 2))
    there = between(source, target, LEANING)
    np.testing.assert_allclose(moved(target, source, LEANING, change_lines(points, there)), points, atol=1e-9)
    np.testing.assert_allclose(there[:2, :2] @ there[:2, :2].T, np.eye(2), atol=1e-12)
    assert np.linalg.det(there[:2, :2]) == pytest.approx(1.0)
