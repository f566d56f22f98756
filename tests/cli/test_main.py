"""The command ``mapllava`` and the files of tools/ are doors to the same functions."""

import subprocess
import sys
from pathlib import Path

import pytest

from mapllava.__main__ import COMMANDS, main

ROOT = Path(__file__).parents[2]


def test_every_command_has_a_module_and_a_tool_and_the_other_way_round():
    named = {name.replace("-", "_") for name in COMMANDS}
    modules = (ROOT / "mapllava" / "cli").glob("*.py")
    assert named == {path.stem for path in modules if "\ndef run(" in path.read_text(encoding="utf-8")}
    assert named == {path.stem for path in (ROOT / "tools").glob("*.py")}


def test_the_tools_help_is_the_commands(capsys):
    with pytest.raises(SystemExit) as status:
        main(["eval-results", "--help"])
    assert status.value.code == 0
    command = [sys.executable, "tools/eval_results.py", "--help"]
    tool = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    shown = capsys.readouterr().out
    assert "mapllava eval-results run.results.json" in shown
    flat = [" ".join(text.split()) for text in (tool, shown.replace("mapllava eval-results", command[1]))]
    assert flat[0].replace("python tools", "tools") == flat[1]


def test_what_is_no_command_is_refused_with_the_list(capsys):
    for words in (["trian"], []):
        assert main(words) == 2
        assert set(COMMANDS) <= set(capsys.readouterr().err.split())
