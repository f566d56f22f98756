"""What MMEngine loads goes through one reader that runs nothing."""

import os
from pathlib import Path

import pytest
import torch
from toy import toy_config

from mapllava.engine import build_runner
from mapllava.errors import MapLLaVAError


class Payload:
    """Runs a command when it is unpickled in full."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.fixture
def content(tmp_path):
    runner = build_runner(toy_config(tmp_path / "run", epochs=1))
    runner.train()
    return torch.load(tmp_path / "run" / "checkpoint_epoch_1.pth", weights_only=True)


@pytest.mark.parametrize("kind", ["MapRunner", "Runner"])
def test_resuming_evaluates_no_text_of_the_file(tmp_path, content, kind):
    mark, path = tmp_path / "mark", tmp_path / "sent.pth"
    content["meta"]["config"] = f"marked = __import__('os').system('touch {mark}')\n"
    torch.save(content, path)
    cfg = toy_config(tmp_path / "run", epochs=2, resume=True, load_from=str(path), runner_type=kind)
    runner = build_runner(cfg)
    runner.train()
    assert runner.epoch == 2
    assert not mark.exists()


def test_a_pickle_stays_closed_though_the_environment_asks_torch_to_open_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    mark, path = tmp_path / "mark", tmp_path / "sent.pth"
    torch.save({"meta": {}, "state_dict": {}, "x": Payload(mark)}, path)
    runner = build_runner(toy_config(tmp_path / "run"))
    with pytest.raises(MapLLaVAError, match=r"sent\.pth.*nothing in it was run"):
        runner.load_checkpoint(str(path))
    assert not mark.exists()


@pytest.mark.parametrize("content", [[1], {"meta": [], "state_dict": {}}, {"state_dict": {"head.weight": 1}}])
def test_what_is_no_checkpoint_is_named(tmp_path, content):
    torch.save(content, tmp_path / "sent.pth")
    runner = build_runner(toy_config(tmp_path / "run"))
    with pytest.raises(MapLLaVAError, match=r"sent\.pth.*(no checkpoint|state_dict)"):
        runner.load_checkpoint(str(tmp_path / "sent.pth"))


@pytest.mark.parametrize("where", ["http://127.0.0.1:9/a.pth", "torchvision://resnet18", "s3://bucket/a.pth"])
def test_what_is_not_on_this_disk_is_refused(tmp_path, where):
    runner = build_runner(toy_config(tmp_path / "run"))
    with pytest.raises(MapLLaVAError, match="is not a file: download it"):
        runner.load_checkpoint(where)
