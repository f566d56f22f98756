"""`mapllava predict`: from a folder of images to files, with nothing of a data set at hand."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from mapllava.__main__ import main
from mapllava.apis import demo_files
from mapllava.errors import MapLLaVAError
from mapllava.evaluation.results_file import load_results

ROOT = Path(__file__).parents[2]
SAMPLE = demo_files.FOLDER / demo_files.SAMPLE


def rig_of(folder):
    return json.loads((folder / "rig.json").read_text())


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """Three moments of a car with four of the demo's cameras, under other names and one at twice the size."""
    folder = tmp_path_factory.mktemp("drive")
    rig = rig_of(SAMPLE)
    rig["cameras"] = [rig["cameras"][k] for k in (3, 0, 1, 2)]
    for moment in "abc":
        (folder / moment).mkdir()
    for number, camera in enumerate(rig["cameras"]):
        image = cv2.imread(str(SAMPLE / f"{camera['name']}.jpg"))
        camera["name"] = f"own_{number}"
        if number == 2:
            image = cv2.resize(image, None, fx=2, fy=2)
            camera["width"], camera["height"] = 2 * camera["width"], 2 * camera["height"]
            k = camera["camera_matrix"]
            for row in (0, 1):
                k[row] = [2 * k[row][0], 2 * k[row][1], 2 * k[row][2] + 0.5]
        for moment in "abc":
            cv2.imwrite(str(folder / moment / f"own_{number}.jpg"), image)
    (folder / "rig.json").write_text(json.dumps(rig))
    return folder


@pytest.fixture(scope="module")
def predicted(drive, tmp_path_factory):
    out = tmp_path_factory.mktemp("maps") / "out"
    assert (
        main(["predict", "demo", str(drive), "--out", str(out), "--pictures", "png", "--workers", "1"]) == 0
    )
    return out


def test_a_drive_becomes_results_geojson_and_pictures(predicted, drive):
    results = load_results(predicted / "predictions.results.json")
    assert list(results.results) == ["a", "b", "c"]
    assert results.display.source.startswith("best F1 at 1 m on val of the synthetic city")
    assert [len(entry["scores"]) for entry in results.results.values()] == [50, 50, 50]
    record = results.samples["b"]
    assert record.images[0].resolve() == (drive / "b" / "own_0.jpg").resolve()
    assert record.lidar2ego is not None
    features = json.loads((predicted / "map.local.geojson").read_text())["features"]
    assert len(features) >= 6
    pictures = sorted((predicted / "pictures").iterdir())
    assert [path.name for path in pictures] == ["a.png", "b.png", "c.png"]
    assert cv2.imread(str(pictures[0])).shape[1] == 1600
    assert not [path for path in predicted.rglob("*") if path.suffix == ".tmp"]


def test_a_folder_with_something_in_it_is_left_alone_unless_forced(predicted, drive, capsys):
    before = (predicted / "predictions.results.json").read_bytes()
    words = ["predict", "demo", str(drive / "a" / ".."), "--out", str(predicted), "--pictures", "none"]
    assert main(words) == 2
    assert "is not empty: name another folder, or add --force" in capsys.readouterr().err
    assert (predicted / "predictions.results.json").read_bytes() == before
    assert main([*words, "--force", "--stride", "2", "--score-thr", "0.5"]) == 0
    results = load_results(predicted / "predictions.results.json")
    assert list(results.results) == ["a", "c"]
    assert set(results.display.thresholds.values()) == {0.5}


def test_a_prompt_draws_its_part_alone_and_is_named_in_the_files(drive, tmp_path, capsys):
    words = [
        "predict",
        "demo",
        str(drive / "a"),
        "--rig",
        str(drive / "rig.json"),
        "--out",
        str(tmp_path / "o"),
    ]
    prompt = "draw: boundary; ahead; within 20 m"
    assert main([*words, "--pictures", "png", "--prompt", prompt]) == 0
    results = load_results(tmp_path / "o" / "predictions.results.json")
    assert (results.prompt.text, results.prompt.canonical) == (prompt, prompt)
    (lines,) = (results.lines(token) for token in results.results)
    assert set(lines.labels) == {2}
    assert min(float(line[:, 1].min()) for line in lines.points) >= 0
    body = json.loads((tmp_path / "o" / "map.local.geojson").read_text())
    assert body["mapllava"]["prompt"] == {"text": prompt, "request": prompt}
    assert len(body["features"]) == len(lines.points)
    assert len(list((tmp_path / "o" / "pictures").iterdir())) == 1
    assert main([*words[:-1], str(tmp_path / "asked"), "--prompt", "count: boundary"]) == 2
    assert "is a question, which draws no map" in capsys.readouterr().err
    assert not (tmp_path / "asked").exists()  # refused before anything is predicted


def broken(drive, folder):
    shutil.copytree(drive, folder)
    path = folder / "b" / "own_1.jpg"
    path.write_bytes(path.read_bytes()[:-3000])
    return folder


def test_what_is_done_before_a_bad_sample_is_written(drive, tmp_path, capsys):
    words = ["predict", "demo", str(broken(drive, tmp_path / "d")), "--pictures", "none"]
    assert main([*words, "--out", str(tmp_path / "stopped")]) == 2
    said = capsys.readouterr()
    assert "1 of 3 samples in" in said.out
    assert "sample b: image" in said.err
    assert "own_1.jpg" in said.err
    assert list(load_results(tmp_path / "stopped" / "predictions.results.json").results) == ["a"]
    assert main([*words, "--out", str(tmp_path / "went_on"), "--skip-bad", "--batch-size", "2"]) == 1
    assert "1 sample could not be read:\n  sample b: image" in capsys.readouterr().out
    assert list(load_results(tmp_path / "went_on" / "predictions.results.json").results) == ["a", "c"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["demo"], "name MODEL and INPUT"),
        (["demo", "gone", "--out", "o"], "INPUT 'gone' is not there"),
        (["--demo", "demo"], "leave MODEL and INPUT out"),
        (["demo", str(SAMPLE)], "name the folder to write: --out DIR"),
        (["demo", str(SAMPLE), "--out", "o", "--pictures", "none", "png"], "none excludes"),
        (["demo", "d", "--sample", "x", "--rig", "r", "--out", "o"], "--rig is for folders"),
        (["demo", str(SAMPLE), "--version", "v", "--out", "o"], "--version is of a nuScenes root"),
        (["demo", str(SAMPLE), "--out", "o", "--camera-names", "a=X", "a=Y"], "--camera-names names a twice"),
        (["demo", str(SAMPLE), "--out", "o", "--pretrained", "d=X", "d=Y"], "--pretrained names d twice"),
        (["demo", str(SAMPLE), "--out", "o", "--camera-names", "a"], "--camera-names a: write NAME=VALUE"),
        (["gone.pth", str(SAMPLE), "--out", "o"], "model file 'gone.pth' is not there"),
    ],
)
def test_what_is_incomplete_is_refused_and_nothing_written(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["predict", *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "demo", "in", "--out", "o", "--score-thr"],
        ["convert", "geojson", "r.json", "--out", "o.geojson", "--score-thr"],
        ["browse", "c.pkl", "--out", "o", "--score-thr"],
        ["video", "c.pkl", "--out", "o.mp4", "--score-thr"],
        ["report", "r.json", "--min-score"],
    ],
    ids=lambda words: words[0],
)
def test_what_is_no_score_is_refused(words, capsys):
    for text in ("nan", "40", "-0.1", "high"):
        with pytest.raises(SystemExit) as status:
            main([*words, text])
        assert status.value.code == 2
        assert f"'{text}' is no score: a number in 0..1" in capsys.readouterr().err


def test_an_earlier_prediction_stays_until_the_new_one_has_something(drive, tmp_path):
    out = tmp_path / "out"
    alone = ["predict", "demo", str(SAMPLE), "--out", str(out)]
    assert main([*alone, "--pictures", "png", "svg"]) == 0
    (out / "map.geojson").write_text("of an earlier run, elsewhere")
    files = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    damaged = shutil.copytree(SAMPLE, tmp_path / "damaged")
    image = next(damaged.glob("*.jpg"))
    image.write_bytes(image.read_bytes()[:-3000])
    for option in ([], ["--skip-bad"]):
        assert main(["predict", "demo", str(damaged), "--out", str(out), "--force", *option]) == 2
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == files
    (out / "pictures" / ".a.png.0123abcd.tmp").write_bytes(b"of a run that was killed")
    words = ["predict", "demo", str(drive / "a"), "--rig", str(drive / "rig.json"), "--out", str(out)]
    assert main([*words, "--force", "--pictures", "png"]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "map.local.geojson", "pictures", "predictions.results.json",
    ]  # fmt: skip
    assert [path.name for path in (out / "pictures").iterdir()] == ["a.png"]
    assert main(["predict", "demo", str(out / "pictures"), "--out", str(out), "--force"]) == 2


def test_an_input_that_breaks_off_is_told_and_what_was_there_is_written(drive, tmp_path, monkeypatch, capsys):
    from mapllava.sources import folder

    opened = folder.open_input(drive)

    def read():
        yield from list(opened)[:2]
        raise MapLLaVAError("video 'front.mp4' breaks off")

    monkeypatch.setattr(folder, "open_input", lambda *a, **k: replace(opened, read=read))
    words = ["predict", "demo", str(drive), "--pictures", "none", "--batch-size", "4", "--out"]
    assert main([*words, str(tmp_path / "went_on"), "--skip-bad"]) == 1
    said = capsys.readouterr().out
    assert "the input ended early, behind sample 2: video 'front.mp4' breaks off" in said
    assert re.search(r"loading \d+\.\d s, 2 of 3 samples in \d+\.\d s, \d+\.\d s of it in the model", said)
    assert main([*words, str(tmp_path / "stopped")]) == 2
    for name in ("went_on", "stopped"):
        assert list(load_results(tmp_path / name / "predictions.results.json").results) == ["a", "b"]


def moments(tmp_path, language):
    """The list of moments that the page on own cameras shows, with images and a rig for it."""
    page = (ROOT / "docs" / language / "own_cameras.md").read_text(encoding="utf-8")
    (text,) = [block for block in re.findall(r"```json\n(.*?)```", page, re.S) if '"images"' in block]
    folder = tmp_path / language
    rig, names = rig_of(SAMPLE), {"CAM_FRONT": "front", "CAM_BACK": "back"}
    rig["cameras"] = [camera for camera in rig["cameras"] if camera["name"] in names]
    for camera in rig["cameras"]:
        old = camera["name"]
        camera["name"] = names[old]
        for entry in json.loads(text):
            path = folder / entry["images"][names[old]]
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(SAMPLE / f"{old}.jpg", path)
    rig["origin"] = {"latitude": 48.137, "longitude": 11.575}
    (folder / "rig.json").write_text(json.dumps(rig))
    (folder / "frames.json").write_text(text)
    return folder


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_the_list_of_moments_in_the_documents_is_predicted(language, tmp_path, capsys):
    folder = moments(tmp_path, language)
    words = ["predict", "demo", str(folder), "--pictures", "none", "--score-thr", "0.01", "--out"]
    assert main([*words, str(tmp_path / "out")]) == 0
    features = json.loads((tmp_path / "out" / "map.geojson").read_text())["features"]
    assert {feature["properties"]["sample"] for feature in features} == {"0001", "0002"}
    if language == "en":
        return
    # a moment without a place: left out of the GeoJSON, told, and nothing stops
    rig, entries = rig_of(folder), json.loads((folder / "frames.json").read_text())
    del rig["origin"], entries[1]["vehicle_to_world"]
    (folder / "rig.json").write_text(json.dumps(rig))
    (folder / "frames.json").write_text(json.dumps(entries))
    capsys.readouterr()
    assert main([*words, str(tmp_path / "lost")]) == 0
    assert "1 sample left out of the GeoJSON (the results hold all), the first: sample 0002" in (
        capsys.readouterr().out
    )
    assert len(load_results(tmp_path / "lost" / "predictions.results.json").results) == 2
    features = json.loads((tmp_path / "lost" / "map.local.geojson").read_text())["features"]
    assert {feature["properties"]["sample"] for feature in features} == {"0001"}


def test_a_scene_is_predicted_with_all_ground_truth_gone(city, tmp_path):
    for name in ("v1.0-mini", "samples"):
        (tmp_path / name).symlink_to(city / name)
    scene = json.loads((city / "v1.0-mini" / "scene.json").read_text())[0]["name"]
    out = tmp_path / "out"
    words = ["predict", "demo", str(tmp_path), "--scene", scene, "--stride", "2", "--out", str(out)]
    assert main([*words, "--pictures", "none"]) == 0
    results = load_results(out / "predictions.results.json")
    assert len(results.results) == 2
    assert all(record.location for record in results.samples.values())
    assert {record.scene for record in results.samples.values()} == {scene}
    assert (out / "map.local.geojson").is_file()  # the city is nowhere on earth


def test_a_rig_that_cannot_be_is_refused_unless_told_otherwise(tmp_path, capsys):
    folder = tmp_path / "rig"
    shutil.copytree(SAMPLE, folder)
    rig = rig_of(folder)
    for camera in rig["cameras"]:  # millimetres
        for row in camera["camera_to_vehicle"][:3]:
            row[3] *= 1000
    (folder / "rig.json").write_text(json.dumps(rig))
    words = ["predict", "demo", str(folder), "--out", str(tmp_path / "out"), "--pictures", "none"]
    assert main(words) == 2
    assert "millimetres" in capsys.readouterr().err
    assert main([*words, "--no-check"]) == 0


def test_the_demo_draws_its_sample_from_any_folder(tmp_path):
    words = [sys.executable, "-m", "mapllava", "predict", "--demo"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "next: look at the picture" in done.stdout
    out = tmp_path / "mapllava_demo"
    assert "mapllava_demo/pictures/sample.png" in done.stdout
    assert {path.name for path in (out / "pictures").iterdir()} == {"sample.png", "sample.svg"}
    assert Path(out / "predictions.results.json").is_file()
