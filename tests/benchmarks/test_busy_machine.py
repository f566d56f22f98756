"""The benchmark of waiting threads: its settings reach the process, its neighbours are busy and end."""

import importlib
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("busy_machine")


def test_every_setting_is_measured_quiet_and_busy(bench, monkeypatch, tmp_path, capsys):
    started, seen = [], []

    def fake(config, batch, steps, setting, out):
        seen.append((tuple(setting), len([process for process in started if process.poll() is None])))
        return 2.0 if seen[-1][1] else 0.5

    popen = bench.subprocess.Popen
    monkeypatch.setattr(
        bench.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1]
    )
    monkeypatch.setattr(bench, "seconds_per_step", fake)
    out = tmp_path / "busy.json"
    monkeypatch.setattr(sys, "argv", ["busy_machine.py", "--repeats", "2", "--out", str(out)])
    bench.main()
    assert len(seen) == 2 * 2 * len(bench.SETTINGS)
    assert {busy for _, busy in seen} == {0, 1}
    assert all(process.poll() is not None for process in started), "no neighbour is left"
    rows = json.loads(out.read_text())["rows"]
    assert [(row["median_quiet"], row["median_busy"], row["busy_over_quiet"]) for row in rows] == [
        (0.5, 2.0, 4.0)
    ] * len(bench.SETTINGS)
    assert "busy / quiet" in capsys.readouterr().out


def test_a_setting_is_the_only_one_that_the_process_sees(bench, monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setattr(bench, "MODEL", tmp_path / "model.py")
    bench.MODEL.write_text(
        "import json, os, sys\n"
        "kept = {key: value for key, value in os.environ.items() if key.startswith(('OMP', 'GOMP'))}\n"
        "assert kept == {'GOMP_SPINCOUNT': '0'}, kept\n"
        "open(sys.argv[-1], 'w').write(json.dumps({'rows': [{'seconds_per_step': 0.25}]}))\n"
    )
    setting = {"GOMP_SPINCOUNT": "0"}
    assert bench.seconds_per_step("config.py", 8, 1, setting, tmp_path / "one.json") == 0.25
