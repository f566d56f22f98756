"""mapllava's own configs, named from any folder."""

import json
from pathlib import Path

import pytest

from mapllava.config.assignments import base_files
from mapllava.config.packaged import config_names, configs_folder, find_config
from mapllava.config.read import load_config
from mapllava.errors import MapLLaVAError

OURS = Path(__file__).parents[2] / "configs" / "stage2" / "synthetic.py"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "stage2/synthetic",
        "stage2/synthetic.py",
        "configs/stage2/synthetic.py",
        "mapllava::stage2/synthetic.py",
        "mapllava::stage2/synthetic",
    ],
)
def test_a_config_is_named_from_any_folder(name):
    assert find_config(name).samefile(OURS)


def test_a_file_of_ones_own_goes_first(tmp_path):
    own = tmp_path / "stage2" / "synthetic.py"
    own.parent.mkdir()
    own.write_text("")
    for name in ("stage2/synthetic", "stage2/synthetic.py"):
        assert find_config(name).samefile(own)
    assert find_config("configs/stage2/synthetic").samefile(OURS)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("stage2/sinthetic", "did you mean 'stage2/synthetic'?"),
        ("synthetic", "did you mean 'stage2/synthetic'?"),
        ("configs/trainval_4bit.py", "did you mean 'stage2/trainval_4bit'?"),
        ("../configs/stage2/synthetic", "mapllava has language/ask_smollm2,"),
        ("/etc/none.py", "mapllava has language/ask_smollm2,"),
        ("stage2", "mapllava has"),
        ("", "mapllava has"),
    ],
)
def test_a_name_that_is_none_is_refused_with_what_there_is(name, meant):
    with pytest.raises(MapLLaVAError, match="is not there") as error:
        find_config(name)
    assert meant in str(error.value)


def test_names_are_those_of_leaves():
    assert "stage2/synthetic" in config_names()
    assert not [
        name for name in config_names() if "_base_" in name or not (configs_folder() / f"{name}.py").is_file()
    ]


@pytest.mark.parametrize(
    "base", ['"mapllava::stage2/synthetic.py"', '["mapllava::stage2/synthetic"]', '["middle.py"]']
)
def test_a_config_inherits_by_name_from_any_folder(base, tmp_path):
    (tmp_path / "middle.py").write_text('_base_ = ["mapllava::stage2/synthetic.py"]\n')
    own = tmp_path / "mine.py"
    own.write_text(f"_base_ = {base}\ntrain_cfg = dict(max_epochs=7)\n")
    cfg, theirs = load_config(own).to_dict(), load_config(OURS).to_dict()
    assert cfg["train_cfg"].pop("max_epochs") == 7
    theirs["train_cfg"].pop("max_epochs")
    assert cfg == theirs


def test_several_bases_and_json(tmp_path):
    parts = ["mapllava::_base_/default_runtime.py", "mapllava::_base_/schedules/synthetic.py"]
    own = tmp_path / "mine.json"
    own.write_text(json.dumps({"_base_": parts}))
    assert [path.name for path in base_files(own, own.read_text())] == ["default_runtime.py", "synthetic.py"]


@pytest.mark.parametrize(
    ("base", "message"),
    [
        (
            "mapllava::stage2/sinthetic.py",
            r"mine.py': _base_ 'mapllava::\S+ is none of .* mean 'stage2/synthetic'",
        ),
        ("configs/stage2/synthetic.py", '_base_ = "mapllava::stage2/synthetic.py"'),
        ("mmdet::yolo/none.py", "mmdet is not installed"),
        ("nowhere.py", "nowhere.py"),
    ],
)
def test_a_base_that_is_not_there_is_named_with_a_remedy(base, message, tmp_path):
    (tmp_path / "mine.py").write_text(f'_base_ = ["{base}"]\n')
    with pytest.raises(MapLLaVAError, match=message):
        load_config("mine.py")
