import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
QUICK = {
    "metric.py": ["--samples", "4", "--naive-samples", "1", "--val-samples", "5", "--rounds", "1"],
    "matching.py": ["--batch", "1", "--layers", "1", "--queries", "6", "--elements", "3", "--rounds", "1"],
}
NAMES = ["gt_cache.py", "language_model.py", "matching.py", "metric.py", "model.py", "pipeline.py"]
NAMES += ["cache_scale.py", "seeds.py"]


def run(name, *options, cwd):
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / name), *options],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def check_same(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("gt_cache").check_same


def test_the_benchmark_checks_the_score_and_writes_what_it_measured(tmp_path):
    out = tmp_path / "new" / "metric.json"
    shown = run("metric.py", *QUICK["metric.py"], "--out", str(out), cwd=tmp_path)
    assert "chamfer_average_precision" in shown
    result = json.loads(out.read_text())
    assert result["largest_difference_of_ap"] < 1e-6
    assert result["val_sized"]["samples"] == 5
    assert {"machine", "commit", "command", "date", "versions", "ms_per_sample", "ratio_to_naive"} <= set(
        result
    )
    assert {"python", "numpy", "shapely"} <= set(result["versions"])
    assert {len(sizes) for sizes in result["peak_mib"].values()} == {2}


@pytest.mark.slow
def test_nothing_is_written_unless_a_file_is_named(tmp_path):
    shown = run("matching.py", *QUICK["matching.py"], cwd=tmp_path)
    assert "same 3 pairs" in shown
    assert "written" not in shown
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_help_has_examples_and_the_result_file(name, tmp_path):
    shown = run(name, "--help", cwd=tmp_path)
    assert f"python benchmarks/{name}" in shown
    assert "--out OUT" in shown


def test_lines_are_matched_one_to_one(check_same):
    one, other = np.array([[0.0, 0.0], [0.0, 9.0]]), np.array([[5.0, 0.0], [5.0, 9.0]])
    near = one + np.array([0.05, 0.0])
    assert check_same([("a", one), ("a", other)], [("a", other), ("a", near)]) == pytest.approx(0.05)
    with pytest.raises(RuntimeError, match=r"differs by 5\.000 m"):
        check_same([("a", one), ("a", one)], [("a", one), ("a", other)])  # each of ours has a near one there
    with pytest.raises(RuntimeError, match=r"differs by 5\.000 m"):
        check_same([("a", one), ("a", other)], [("a", one), ("a", one)])
    with pytest.raises(RuntimeError, match="b: 0 lines here, 1 by the plain way"):
        check_same([("a", one)], [("a", one), ("b", other)])
