import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from mapllava import gt_cache
from mapllava.__main__ import run_command
from mapllava.evaluation import MapResults, save_results
from mapllava.structures import MapSpec

browse = partial(run_command, "browse")


@pytest.fixture(scope="module")
def results(city_cache, tmp_path_factory):
    """Two results files: the ground truth as predicted, and the same with the first sample empty."""
    cache = gt_cache.load(city_cache["val"])
    paths = []
    for name, skipped in (("good", None), ("worse", 0)):
        entries = {
            entry["sample_token"]: {
                "points": [line["points"] for line in entry["polylines"] if k != skipped],
                "labels": [line["label"] for line in entry["polylines"] if k != skipped],
                "scores": [0.9 for _ in entry["polylines"] if k != skipped],
            }
            for k, entry in enumerate(cache["data_list"])
        }
        maps = MapResults(MapSpec(), "val", entries, cache["metainfo"]["version"])
        paths.append(save_results(tmp_path_factory.mktemp("results") / f"{name}.results.json", maps))
    return [str(path) for path in paths]


@pytest.mark.slow
def test_best_and_worst_and_several_files(results, city, city_cache, tmp_path, capsys):
    cache, root = str(city_cache["val"]), ["--dataroot", str(city)]
    first = gt_cache.load(cache)["data_list"][0]["sample_token"]
    words = ["--results", results[1], "--cache", cache, "--best", "1", "--worst", "1", *root]
    assert browse([*words, "--out", str(tmp_path / "ranked")]) == 0
    printed = [line.rsplit("/", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert printed[0].startswith("best_01_scene-")
    assert printed[1].startswith("worst_01_scene-")
    assert printed[1].endswith(f"_{first}.png")
    assert printed[2] == "contact_sheet.png"

    part = json.loads(Path(results[1]).read_text())
    del part["results"][first]  # is not drawn badly: it is not there
    (tmp_path / "part.json").write_text(json.dumps(part))
    words = ["--results", tmp_path / "part.json", "--cache", cache, "--worst", "9", *root]
    assert browse([*map(str, words), "--out", str(tmp_path / "absent")]) == 0
    said = capsys.readouterr()
    assert first not in said.out
    assert "1 of 8 samples have no prediction in results file" in said.err

    part["prompt"] = {"text": "kerbs", "request": "draw: boundary"}
    (tmp_path / "part.json").write_text(json.dumps(part))
    words = ["--results", tmp_path / "part.json", "--cache", cache, "--num", "1", *root]
    assert browse([*map(str, words), "--out", str(tmp_path / "cut")]) == 0
    assert "holds what the prompt 'draw: boundary' asked for alone" in capsys.readouterr().err

    words = ["--results", *results, "--cache", cache, "--tokens", first, *root]
    assert browse([*words, "--out", str(tmp_path / "side")]) == 0
    (path,) = (tmp_path / "side").iterdir()
    (alone,) = (tmp_path / "ranked").glob("worst_*.png")
    both, one = cv2.imread(str(path)), cv2.imread(str(alone))  # the same sample
    assert both.shape[1] == one.shape[1] == 1600
    assert np.abs(both[450:900].astype(int) - one[450:900]).mean() > 1  # other maps, not the header alone


def test_a_config_shows_the_visits_of_training(city, city_cache, tmp_path, capsys):
    options = [f"data_root={city}", f"train_dataloader.dataset.ann_file={city_cache['train']}"]
    words = ["configs/stage2/synthetic.py", "--num", "2", "--visits", "2", "--out", str(tmp_path)]
    assert browse([*words, "--cfg-options", *options]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3
    assert cv2.imread(printed[0]).shape[1] == cv2.imread(printed[1]).shape[1] > 1400
    assert cv2.imread(str(tmp_path / "contact_sheet.png")).shape[1] == 1600


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give a CONFIG, a GT CACHE, or --results FILE"),
        (["a.pkl", "--best", "1"], "--best and --worst need --results FILE and --cache CACHE"),
        (["--results", "a.json", "--cache", "b.pkl", "--best", "1", "--num", "2"], "give one of them"),
        (["a.pkl", "--cache", "b.pkl"], "--cache belongs to --results"),
        (["a.pkl", "--visits", "2"], "--visits is of a config's data"),
        (["a.py", "--dataroot", "x"], "--dataroot is not of a config"),
        (["a.py"], "config 'a.py' is not there"),
    ],
)
def test_options_that_would_come_to_nothing_are_refused(words, message, tmp_path, capsys):
    assert browse([*words, "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
