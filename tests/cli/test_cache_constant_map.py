from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mapllava import gt_cache
from mapllava.__main__ import run_command
from mapllava.evaluation import load_results
from mapllava.structures import ROI, MapSpec

main = partial(run_command, "cache constant-map")


@pytest.fixture
def caches(monkeypatch):
    """Two caches in memory: a divider and two boundaries, jittered by 10 cm."""
    stored = {}

    def load(path, expected=None, **_):
        cache = stored[Path(path).name]
        assert (
            expected is None
            or MapSpec.from_config({key: cache["metainfo"][key] for key in ("frame", "roi", "classes")})
            == expected
        )
        return cache

    rng = np.random.default_rng(0)
    for split, count in (("train", 40), ("val", 10)):
        entries = []
        for k in range(count):
            rows = [(0, 0.0), (2, -6.0), (2, 6.0)]
            lines = [
                {
                    "label": c,
                    "points": np.array([[x, -30.0], [x, 30.0]]) + rng.normal() * 0.1,
                    "closed": False,
                }
                for c, x in rows
            ]
            entries.append({"sample_token": f"{split}{k}", "polylines": lines})
        meta = {
            **MapSpec(roi=ROI(-15, -30, 15, 30)).to_config(),
            "split": f"mini_{split}",
            "version": "v1.0-mini",
        }
        stored[f"{split}.pkl"] = {"metainfo": meta, "data_list": entries}
    monkeypatch.setattr(gt_cache, "load", load)


def test_prints_the_table_and_writes_the_maps(caches, tmp_path, capsys):
    out = tmp_path / "constant.json"
    assert main(["--train", "train.pkl", "--val", "val.pkl", "--max-lines", "3", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "Constant map of 3 lines from mini_train" in text
    assert "split mini_val of v1.0-mini, protocol maptr (0.5 m, 1 m, 1.5 m), 10 samples" in text
    assert "66.7" in text
    results = load_results(out)
    assert results.split == "mini_val"
    assert len(results.results) == 10


def test_unknown_protocol_is_status_2(caches, capsys):
    assert main(["--train", "train.pkl", "--val", "val.pkl", "--protocol", "x"]) == 2
    assert "error: unknown score protocol 'x'" in capsys.readouterr().err
