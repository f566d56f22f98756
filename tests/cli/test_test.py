"""The testing command."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
TOY = ROOT / "tests" / "engine" / "toy.py"

from toy import toy_config  # noqa: E402

from mapllava.__main__ import run_command  # noqa: E402
from mapllava.datasets.transforms.corruption import CorruptMultiView  # noqa: E402
from mapllava.engine import build_runner  # noqa: E402
from mapllava.errors import MapLLaVAError  # noqa: E402


@pytest.fixture
def tool(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["test.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as status:
            runpy.run_path(str(ROOT / "tools" / "test.py"), run_name="__main__")
        return status.value.code, capsys.readouterr().err

    return run


@pytest.fixture
def trained(tmp_path):
    cfg = toy_config(tmp_path / "run", epochs=1)
    cfg.dump(tmp_path / "toy_config.py")
    build_runner(cfg).train()
    return tmp_path / "toy_config.py", tmp_path / "run" / "best_model.pth"


def test_scores_a_checkpoint_and_leaves_the_run_folder_alone(tool, trained):
    config, checkpoint = trained
    before = {path: path.stat().st_mtime_ns for path in checkpoint.parent.iterdir() if path.is_file()}
    assert tool(config, checkpoint, "--plugins", TOY)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    (entry,) = json.loads((checkpoint.parent / "test" / "metrics.json").read_text())
    assert entry["checkpoint"] == str(checkpoint)
    assert entry["split"] == "toy val"
    assert "mAP" in entry["metrics"]


def test_the_metric_learns_from_which_scores_on_the_model_shows_lines(trained, tmp_path):
    body = torch.load(trained[1], weights_only=True)
    body["meta"]["display"] = {"thresholds": {"divider": 0.2}, "source": "held out"}
    torch.save(body, tmp_path / "model.pth")
    cfg = toy_config(tmp_path / "test", epochs=1)
    cfg.load_from = str(tmp_path / "model.pth")
    runner = build_runner(cfg)
    runner.test()
    assert runner.test_evaluator.metrics[0].model_display == body["meta"]["display"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "CHECKPOINT is missing"),
        (["none.pth"], "checkpoint 'none.pth' is not there"),
    ],
)
def test_mistakes_give_one_message_and_status_2(tool, trained, arguments, message):
    status, text = tool(trained[0], "--plugins", TOY, "--work-dir", trained[1].parent, *arguments)
    assert status == 2
    assert message in text
    assert "Traceback" not in text


def test_unknown_ablation_is_refused(tool, trained):
    status, text = tool(*trained, "--ablate", "dark")
    assert status == 2
    assert "other-sample" in text


def test_what_spoilt_images_cost(city, city_cache, tmp_path, capsys):
    model = ROOT / "mapllava" / "demo" / "model.pth"
    data = [f"data_root={city}", f"test_dataloader.dataset.ann_file={city_cache['val']}"]
    words = ["stage2/synthetic", str(model), "--corrupt", "missing:3", "dark", "--work-dir", str(tmp_path)]
    loading = ["test_dataloader.num_workers=0", "test_dataloader.persistent_workers=False"]
    assert run_command("test", [*words, "--cfg-options", *data, *loading]) == 0
    found = json.loads((tmp_path / "corruptions.json").read_text())
    assert set(found["corrupted"]) == {"missing:3", "dark:2"}
    assert found["mean"] == pytest.approx(sum(found["corrupted"].values()) / 2)
    assert max(found["corrupted"].values()) < found["clean"]
    entries = json.loads((tmp_path / "metrics.json").read_text())
    assert [entry["corruption"] for entry in entries] == [None, "missing:3", "dark:2"]
    assert [100 * entry["metrics"]["mAP"] for entry in entries] == pytest.approx(
        [found["clean"], *found["corrupted"].values()]
    )
    text = capsys.readouterr().out
    assert re.search(
        rf"missing +│ 3 +│ 3 \(cameras that are black\) +│ +{found['corrupted']['missing:3']:.1f}", text
    )


def test_no_rig_loses_all_of_its_cameras():
    CorruptMultiView("dark").check_cameras(1)
    CorruptMultiView("missing", 3).check_cameras(4)
    with pytest.raises(MapLLaVAError, match=r"missing:3: a rig of 3 cameras.*--corrupt blur dark rain"):
        CorruptMultiView("missing", 3).check_cameras(3)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["fog"], "use one of missing, "),
        (["dark:4"], "a level is 1, 2 or 3"),
        (["dark", "--ablate", "blank"], "--corrupt and --ablate: one at a time"),
        (["dark"], "pipeline has no LoadMultiViewImages"),
    ],
)
def test_corruptions_that_cannot_be(tool, trained, asked, message):
    status, text = tool(*trained, "--plugins", TOY, "--corrupt", *asked)
    assert status == 2
    assert message in text
    assert "Traceback" not in text
