import json

import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.evaluation import MapResults, load_results, save_results
from mapllava.structures import ROI, MapSpec

ENTRY = {
    "points": np.array([[[0.123456789, -1.0], [2.0, 30.0]], [[1.0, 1.0], [2.0, 2.0]]], dtype=np.float32),
    "labels": np.array([2, 0]),
    "scores": np.array([0.123456789012, 0.123456789013]),
}


@pytest.fixture
def path(tmp_path):
    empty = {"points": [], "labels": [], "scores": []}
    results = MapResults(MapSpec(), "mini_val", {"a": ENTRY, "b": empty}, version="v1.0-mini")
    return save_results(tmp_path / "new" / "folder" / "x.results.json", results)


def test_round_trip(path):
    back = load_results(path, MapSpec())
    assert (back.map_spec, back.split, back.version, list(back.results)) == (
        MapSpec(),
        "mini_val",
        "v1.0-mini",
        ["a", "b"],
    )
    np.testing.assert_allclose(np.stack(back.results["a"]["points"]), ENTRY["points"], atol=1e-4)
    assert back.results["a"]["labels"].tolist() == [2, 0]
    assert back.results["a"]["scores"].tolist() == ENTRY["scores"].tolist()
    assert back.results["b"]["points"] == []


def test_the_file_is_plain_json_that_names_its_frame(path):
    body = json.loads(path.read_text())
    assert (body["format_version"], body["frame"], body["roi"]) == (1, "lidar", [-15.0, -30.0, 15.0, 30.0])
    assert body["results"]["a"]["points"][0][1] == [2.0, 30.0]
    assert [p.name for p in path.parent.iterdir()] == ["x.results.json"]


def test_failure_while_writing_leaves_the_old_file(path):
    before = path.read_bytes()
    bad = {**ENTRY, "points": [np.array([[np.nan, 0.0], [1.0, 1.0]])] * 2}
    with pytest.raises(ValueError, match="sample z"):
        save_results(path, MapResults(MapSpec(), "val", {"z": bad}))
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1


def test_an_interrupted_write_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_results(path, MapResults(MapSpec(), "val", {"z": ENTRY}))
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1


def change(path, **values):
    body = json.loads(path.read_text())
    for key, value in values.items():
        body.pop(key) if value is None else body.update({key: value})
    path.write_text(json.dumps(body))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frame": None}, r"x.results.json' lacks \['frame'\]"),
        ({"format_version": 9}, "format version 9"),
        ({"frame": "world"}, "unknown frame 'world'"),
        ({"roi": [0, 0, 0, 0]}, "is empty"),
        ({"results": []}, r"'results' is \[\], not a dict: predict again"),
        ({"split": 5}, "x.results.json': 'split' is 5, not a str"),
        ({"version": 5}, "x.results.json': 'version' is 5, not a str"),
        ({"classes": 5}, "x.results.json': map_spec.classes 5 must be a list of names; predict again"),
        ({"classes": {"a": 1}}, "must be a list of names"),
        ({"roi": [0, 0, 10**400, 1]}, "must be four numbers"),
        ({"results": {"t": {"points": [], "labels": []}}}, r"sample t: its map lacks \['scores'\]"),
        (
            {"results": {"t": {"points": [[[0, 0], [1, 1]]], "labels": [3], "scores": [1]}}},
            r"sample t: labels\[0\] is 3, not an integer in 0\.\.2; predict again, or repair",
        ),
        (
            {"results": {"t": {"points": [[[0, 0], [1, 1]]], "labels": [0.5], "scores": [1]}}},
            r"labels\[0\] is 0\.5",
        ),
        (
            {"results": {"t": {"points": [[0, 0]], "labels": [0], "scores": [1]}}},
            r"points\[0\] has shape \(2,\)",
        ),
        (
            {"results": {"t": {"points": 5, "labels": [0], "scores": [1]}}},
            "sample t: 'points' is 5, not a list",
        ),
        (
            {"results": {"t": {"points": [[["0", "1"]] * 2], "labels": [0], "scores": [1]}}},
            r"points\[0\] is .*, not a list of \[x, y\] in numbers",
        ),
        (
            {"results": {"t": {"points": [[[0, 0], [1, 1]]], "labels": [0], "scores": [[1]]}}},
            r"scores\[0\] is \[1\], not a finite number",
        ),
        (
            {"results": {"t": {"points": [[[0, 0], [1, 1]]], "labels": [0], "scores": [float("nan")]}}},
            r"scores\[0\] is nan, not a finite number",
        ),
        ({"results": {"t": {"points": [], "labels": [0], "scores": [1]}}}, "0 lines, 1 labels, 1 scores"),
        (
            {"results": {"t": {"points": [[[0, float("nan")], [1, 1]]], "labels": [0], "scores": [1]}}},
            "not finite",
        ),
        ({"results": {"t": 7}}, "sample t"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(path, values, message):
    change(path, **values)
    with pytest.raises(MapLLaVAError, match=message):
        load_results(path)


def test_another_region_is_refused(path):
    with pytest.raises(MapLLaVAError, match=r"60x30 m.*100x50 m.*is wanted"):
        load_results(path, MapSpec(roi=ROI(-25, -50, 25, 50)))


def test_missing_or_foreign_files_name_the_path(tmp_path):
    with pytest.raises(MapLLaVAError, match=r"none\.json' cannot be read"):
        load_results(tmp_path / "none.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(MapLLaVAError, match="is not JSON"):
        load_results(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(MapLLaVAError, match="not a list"):
        load_results(tmp_path / "a.json")


def test_a_key_that_comes_twice_is_refused(path):
    body = path.read_text().replace('"b":{', '"a":{')
    path.write_text(body)
    with pytest.raises(
        MapLLaVAError, match=r"x\.results\.json' holds the key 'a' twice.*write the file again"
    ):
        load_results(path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MapLLaVAError, match=r"file/x\.json' cannot be written"):
        save_results(tmp_path / "file" / "x.json", MapResults(MapSpec(), "val"))


def test_errors_name_the_file_the_results_came_from(path):
    assert load_results(path).name == f"results file '{path}'"
    assert MapResults(MapSpec(), "val").name == "the results"
