"""The model in the package is the one that its card describes, and draws its sample well."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from trained import same

from mapllava import gt_cache
from mapllava.apis import MapInferencer, demo_files
from mapllava.apis.demo_model import MAX_BYTES, cache_samples, write_demo
from mapllava.errors import MapLLaVAError
from mapllava.evaluation.functional import match_maps, sample_scores
from mapllava.sources.folder import open_input

FOLDER = demo_files.FOLDER
CARD = json.loads((FOLDER / demo_files.CARD).read_text())


@pytest.fixture(scope="module")
def demo():
    return MapInferencer(demo_files.model_file(), "cpu")


def test_the_card_is_that_of_the_file():
    data = demo_files.model_file().read_bytes()
    assert hashlib.sha256(data).hexdigest() == CARD["file"]["sha256"]
    assert len(data) == CARD["file"]["bytes"]
    assert {"config", "command", "commit", "licence", "score", "parameters"} <= set(CARD)
    score = CARD["score"]
    assert score["interval_95"][0] < score["value"] < score["interval_95"][1]
    assert "split val" in score["data"]
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < MAX_BYTES
    assert sorted(path.suffix for path in demo_files.sample_folder().iterdir()) == [".jpg"] * 6 + [".json"]


def test_its_lines_lie_where_the_samples_true_lines_do(demo):
    (found,) = demo.stream(open_input(demo_files.sample_folder()))
    assert demo.notes == []
    truth = json.loads((FOLDER / demo_files.TRUTH).read_text())
    true = {key: [line[key] for line in truth["polylines"]] for key in ("points", "label")}
    lines = {key: getattr(found.lines, key) for key in ("points", "labels", "scores")}
    classes = demo.map_spec.classes
    gt = {"points": [np.array(points) for points in true["points"]], "labels": np.array(true["label"])}
    cuts = [demo.predictor.meta["display"]["thresholds"][name] for name in classes]
    assert sample_scores(match_maps([lines], [gt], classes), cuts).score[0] > 0.9


def test_a_caches_samples_are_predicted_as_its_data_set_gives_them(trained, predictor, city, city_cache):
    cache = gt_cache.load(city_cache["val"], check_sources=False)
    samples = list(cache_samples(cache, city))
    assert [sample.token for sample in samples] == [entry["sample_token"] for entry in cache["data_list"]]
    info = trained.runner.val_dataloader.dataset.get_data_info(0)
    before = predictor.predict(info["img_paths"], info["cam2img"], info["lidar2cam"])
    found = MapInferencer(predictor)(samples[0]).lines
    assert np.allclose(np.stack(found.points), np.stack(before.points), atol=1e-4)


@pytest.mark.slow
def test_a_runs_model_becomes_a_demo(trained, city_cache, city, tmp_path):
    made_by = {"config": "c", "command": "make demo", "commit": "0"}
    demo = tmp_path / "demo"
    card = json.loads(write_demo(demo, trained.best, city_cache["val"], made_by, city, 10**8).read_text())
    assert card["score"]["samples"] == 8
    with pytest.raises(MapLLaVAError, match="8,000,000 may be in the wheel"):
        write_demo(demo, trained.best, city_cache["val"], made_by, city)
    assert card["score"]["protocol"] == "maptr"
    inferencer = MapInferencer(demo / "model.pth", "cpu")
    assert inferencer.predictor.meta["display"] == card["display"]
    (found,) = inferencer.stream(open_input(demo / "sample"))
    assert found.sample.token == "sample"
    same(found.lines, inferencer(found.sample).lines)


def test_what_is_made_of_the_packages_model_goes_into_the_working_folder_and_not_into_the_package(tmp_path):
    assert demo_files.folder_beside(demo_files.model_file(), "test") == Path("outputs/demo_test")
    assert demo_files.folder_beside(tmp_path / "best_model.pth", "test") == tmp_path / "test"
