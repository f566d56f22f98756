"""`mapllava predict`: from a folder of images to files, with nothing of a data set at hand."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from mapllava.__main__ import main
from mapllava.apis import demo_files
from mapllava.evaluation.results_file import load_results

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
        (["demo", str(SAMPLE), "--out", "o", "--score-thr", "3"], "a score lies in 0..1"),
        (["demo", str(SAMPLE), "--out", "o", "--camera-names", "a"], "--camera-names a: write NAME=VALUE"),
        (["gone.pth", str(SAMPLE), "--out", "o"], "model file 'gone.pth' is not there"),
    ],
)
def test_what_is_incomplete_is_refused_and_nothing_written(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["predict", *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_scene_is_predicted_with_all_ground_truth_gone(city, tmp_path):
    for name in ("v1.0-mini", "samples"):
        (tmp_path / name).symlink_to(city / name)
    scene = json.loads((city / "v1.0-mini" / "scene.json").read_text())[0]["name"]
    out = tmp_path / "out"
    assert (
        main(["predict", "demo", str(tmp_path), "--scene", scene, "--out", str(out), "--pictures", "none"])
        == 0
    )
    results = load_results(out / "predictions.results.json")
    assert len(results.results) == 4
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
