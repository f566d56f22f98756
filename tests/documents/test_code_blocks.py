"""The code in documents does what they say; prediction's runs in tests/apis, that of extend.md apart."""

import numpy as np
import pytest

from mapllava import gt_cache
from mapllava.evaluation import MapResults, save_results
from mapllava.registry import MODELS, TRANSFORMS
from mapllava.structures import MapSpec
from mapllava.testing import check_loss
from tests.documents.blocks import ROOT, blocks

LANGUAGES = pytest.mark.parametrize("language", ["en", "zh_CN"])


def run(language, page, words, **changes):
    """Execute the page's block that has some words, some texts in it exchanged; returns its names."""
    (text,) = (b.text for b in blocks(ROOT / "docs" / language / page, "python") if words in b.text)
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    names: dict = {}
    exec(compile(text, page, "exec"), names)
    return names


@LANGUAGES
def test_a_cache_is_read(language, city_cache):
    path = "data/nuscenes/gt_cache/gt_cache_v1.0-mini_train.pkl"
    names = run(language, "data.md", "gt_cache.load", **{path: str(city_cache["train"])})
    assert {"frame", "roi", "classes"} <= set(names["cache"]["metainfo"])


@LANGUAGES
def test_a_results_file_is_scored(language, city_cache, tmp_path, capsys):
    cache = gt_cache.load(city_cache["val"], check_sources=False)
    nothing = {"points": np.zeros((0, 2, 2)), "labels": np.zeros(0, int), "scores": np.zeros(0)}
    maps = {entry["sample_token"]: nothing for entry in cache["data_list"]}
    path = save_results(tmp_path / "run.results.json", MapResults(MapSpec(), "val", maps, "v1.0-mini"))
    changes = {"run.results.json": str(path), "gt_cache_v1.0-trainval_val.pkl": str(city_cache["val"])}
    run(language, "metrics.md", "score_results", **changes)
    shown = capsys.readouterr().out
    assert "divider" in shown
    assert "mAP" in shown


@LANGUAGES
def test_a_transform_asks_for_what_the_config_says(language):
    try:
        cls = run(language, "configs.md", "class MyTargets")["MyTargets"]
        assert TRANSFORMS.build({"type": "MyTargets", "map_spec": MapSpec().to_config(), "num_points": 9})
        assert cls(MapSpec().to_config(), 9).map_spec == MapSpec()
    finally:
        TRANSFORMS.module_dict.pop("MyTargets", None)


@LANGUAGES
def test_a_loss_keeps_the_contract(language):
    try:
        names = run(language, "training.md", "class ExtentLoss")
        check_loss(names["ExtentLoss"](), MapSpec())
    finally:
        MODELS.module_dict.pop("ExtentLoss", None)
