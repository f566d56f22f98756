"""``mapllava configs list`` and ``copy``; ``show`` has a file of its own."""

import pytest

from mapllava.__main__ import main
from mapllava.config.packaged import config_names
from mapllava.config.read import load_config


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_list_says_of_each_what_it_is(capsys):
    assert main(["configs", "list"]) == 0
    shown = capsys.readouterr().out
    for name in config_names():
        (line,) = [line for line in shown.splitlines() if line.startswith(f"{name} ")]
        assert len(line.removeprefix(name).split()) > 4, "a config begins with a comment of what it is"


@pytest.mark.parametrize("options", [[], ["--full"]])
def test_a_copy_is_the_same_config(options, tmp_path, capsys):
    assert main(["configs", "copy", "stage2/synthetic", "sub/mine.py", *options]) == 0
    assert "mapllava train sub/mine.py" in capsys.readouterr().out
    ours = load_config("stage2/synthetic").to_dict()
    assert load_config("sub/mine.py").to_dict() == ours
    assert ("mapllava::" in (tmp_path / "sub" / "mine.py").read_text().split("\n", 2)[2]) == (not options)


def test_a_file_that_is_there_is_kept(tmp_path, capsys):
    assert main(["configs", "copy", "stage2/synthetic"]) == 0
    copied = tmp_path / "synthetic.py"
    copied.write_text(f"{copied.read_text()}train_cfg = dict(max_epochs=9)\n")
    before = copied.read_text()
    assert main(["configs", "copy", "stage2/synthetic", "."]) == 2
    assert "'synthetic.py' is there already: name another file, or add --force" in capsys.readouterr().err
    assert copied.read_text() == before
    assert main(["configs", "copy", "synthetic.py", "of_mine.py"]) == 0  # one of one's own, too
    assert load_config("of_mine.py").train_cfg.max_epochs == 9
    assert main(["configs", "copy", "synthetic.py", "synthetic.py", "--force"]) == 2
    assert main(["configs", "copy", "stage2/synthetic", "--force"]) == 0
    assert copied.read_text() != before
    assert main(["configs", "copy", "stage2/synthetic", "mine.txt"]) == 2


def test_one_of_ones_own_before_mapllavas_is_said(tmp_path, capsys):
    (tmp_path / "stage2").mkdir()
    assert main(["configs", "copy", "stage2/synthetic", "stage2"]) == 0
    capsys.readouterr()
    assert main(["configs", "show", "stage2/synthetic", "--only", "train_cfg.max_epochs"]) == 0
    captured = capsys.readouterr()
    assert f"config: {tmp_path / 'stage2' / 'synthetic.py'}, not mapllava's own of that name" in captured.err
    assert captured.out.count("\n") == 1
    assert main(["configs", "show", "configs/stage2/synthetic", "--only", "train_cfg.max_epochs"]) == 0
    assert "not mapllava's own" not in capsys.readouterr().err
