"""The command that shows a config and where its values come from."""

import json
from functools import partial
from pathlib import Path

import pytest

from mapllava.__main__ import run_command

main = partial(run_command, "configs show")

CONFIG = "configs/stage2/synthetic.py"


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])


def test_values_with_their_origins_on_the_screen_and_in_a_file(tmp_path, capsys):
    out = tmp_path / "new" / "config.json"
    keys = ["model.neck.cell", "train_cfg", "train_dataloader.dataset.pipeline.4"]
    options = ["--cfg-options", "train_cfg.max_epochs=5", "--json", str(out)]
    assert main([CONFIG, "--only", *keys, *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("model.neck.cell = 1.0  # configs/_base_/models/tiny.py:") for line in lines)
    assert "train_cfg.max_epochs = 5  # command line" in lines
    assert any(line.endswith("# filled in at build time from model.neck.cell") for line in lines)
    found = json.loads(out.read_text())
    assert len(found) == len(lines)
    assert found["train_cfg.max_epochs"] == {"value": 5, "from": "command line"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["configs/none.py"], "config 'configs/none.py' is not there"),
        ([CONFIG, "--only", "model.nek"], "--only model.nek: the config has no such key; did you mean"),
        ([CONFIG, "--cfg-options", "train_cfg.max_epoch=3"], "did you mean 'max_epochs'?"),
    ],
)
def test_bad_input_ends_with_status_2_and_a_remedy(words, message, capsys):
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_a_plug_ins_component_is_known_and_given_what_it_asks_for(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(
        "from mapllava.registry import TRANSFORMS\n\n\n"
        "@TRANSFORMS.register_module(force=True)\nclass MyTargets:\n"
        "    def __init__(self, num_points, cell, map_spec):\n        pass\n"
    )
    place = "val_dataloader.dataset.pipeline"
    options = ["--cfg-options", f"{place}=[dict(type=MyTargets)]", "--plugins", str(tmp_path / "mine.py")]
    assert main([CONFIG, "--only", place, *options]) == 0
    shown = capsys.readouterr().out
    for key, source in (("num_points", "model.head.num_points"), ("cell", "model.neck.cell")):
        assert f"{place}.0.{key} = " in shown
        assert f"# filled in at build time from {source}" in shown
    assert f"{place}.0.type = 'MyTargets'  # command line" in shown
