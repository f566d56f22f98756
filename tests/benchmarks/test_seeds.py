"""Configs and ablations over seeds: what is run, and how the table reads."""

import argparse
import importlib
import json
from pathlib import Path

import pytest

from mapllava.errors import MapLLaVAError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def seeds(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("seeds")


def arguments(tmp_path, **changed):
    given = {
        "configs": [Path("a/full.py")],
        "arm": [["no skip", "model.skip=False"], ["no probe", "model.probe=0"]],
        "seeds": 1,
        "epochs": 3,
        "jobs": 1,
        "threads": 1,
        "work_dir": tmp_path / "runs",
        "cfg_options": ["data_root=x"],
        "out": None,
    }
    return argparse.Namespace(**{**given, **changed})


def test_an_arm_is_the_first_config_with_its_options_after_the_common_ones(seeds, tmp_path, monkeypatch):
    commands = []

    def run(command, stdout, **_):
        commands.append(command)
        folder = Path(command[command.index("--work-dir") + 1])
        (folder / "final_model.pth").touch()
        score = [0.6, 0.5, 0.4][len(commands) - 1]
        (folder / "metrics.json").write_text(json.dumps([{"stage": "val", "metrics": {"maptr/mAP": score}}]))
        return argparse.Namespace(returncode=0)

    args, written = arguments(tmp_path), []
    monkeypatch.setattr(seeds, "parse_args", lambda: args)
    monkeypatch.setattr(seeds.subprocess, "run", run)
    monkeypatch.setattr(seeds, "finish", lambda out, result, *_: written.append(result))
    seeds.main()
    assert [command[2] for command in commands] == ["a/full.py"] * 3
    assert [command[-1] for command in commands] == ["data_root=x", "model.skip=False", "model.probe=0"]
    found = written[0]["configs"]
    assert {name: row["difference_to_first"] for name, row in found.items()} == {
        "full": 0.0,
        "no skip": -10.0,
        "no probe": -20.0,
    }
    assert found["full"]["half_width_95"] is None  # of one seed there is no interval
    seeds.main()
    assert len(commands) == 3  # finished runs are read
    args.cfg_options = ["data_root=other"]
    with pytest.raises(IndexError):  # another data root is another run: the stand-in has no score for it
        seeds.main()


@pytest.mark.parametrize(
    ("arm", "said"),
    [
        (["bare"], r"--arm 'bare' has no KEY=VALUE: it would be a/full\.py again"),
        (["full", "model.skip=False"], "'full' names two rows"),
        (["again", "model.skip=False"], "trains what another row trains"),
    ],
)
def test_an_arm_that_would_be_another_row_is_refused(seeds, tmp_path, arm, said):
    with pytest.raises(MapLLaVAError, match=said):
        seeds.arms_of(arguments(tmp_path, arm=[["no skip", "model.skip=False"], arm]))
