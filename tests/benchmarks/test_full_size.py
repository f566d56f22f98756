"""The benchmark of the full size, on the tiny model: every arm that a CPU can run, in one call."""

import importlib
import json
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
LEAF = """
_base_ = ["{root}/configs/stage2/synthetic.py"]
read_by_plugins = ["point_queries"]
point_queries = dict(
    type="PointMapQueries", num_instances=6, scene=dict(seed_points=5, octaves=5)
)
"""


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """The benchmark where neither devkit nor data are."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setitem(sys.modules, "nuscenes", None)
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "tiny.py"
    config.write_text(LEAF.format(root=ROOT))
    module = importlib.import_module("full_size")

    def run(*options):
        words = ["--config", str(config), "--device", "cpu", "--steps", "1", "--warmup", "0", "--plans", "1"]
        monkeypatch.setattr(sys, "argv", ["benchmarks/full_size.py", *words, "--out", "all.json", *options])
        module.main()
        return json.loads((tmp_path / "all.json").read_text())

    return run


def test_arms_are_measured_and_compared_with_their_plans(bench, capsys):
    arms = ["bf16, 50 queries", "bf16, 1,050 queries", "FlexAttention, 1,050 queries"]
    result = bench("--peak-tflops", "0.5", "--only", *arms)
    found = result["arms"]
    assert list(found) == arms
    assert [row["batch"] for row in found[arms[0]]["rows"]] == [1, 2, 4]
    for row in found[arms[0]]["rows"]:
        assert row["peak_bytes"] == pytest.approx(row["estimated_bytes"], rel=0.15)
        assert 0 < row["utilisation"] < 1
    few, many = (found[name]["rows"][0]["model_flops_per_sample"] for name in arms[:2])
    assert few != many  # other queries were measured
    assert "no backward pass on a CPU" in found[arms[2]]["failed"]
    shown = capsys.readouterr().out
    assert "outside the model" in shown
    assert "of 0.5 TFLOP/s" in shown


def test_what_comes_too_late_is_said(bench):
    result = bench("--only", "bf16, 50 queries", "--limit", "-1")
    assert result["arms"]["bf16, 50 queries"]["failed"] == "not measured: time was up"
    assert result["peak_tflops"] > 0
