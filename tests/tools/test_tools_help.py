"""Every command explains itself."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.mark.parametrize("tool", sorted(TOOLS.glob("*.py")), ids=lambda path: path.name)
def test_python_tools_have_help(tool, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(tool), "--help"])
    with pytest.raises(SystemExit) as status:
        runpy.run_path(str(tool), run_name="__main__")
    assert status.value.code == 0
    assert capsys.readouterr().out.startswith("usage:")


@pytest.mark.parametrize("tool", sorted(TOOLS.glob("*.sh")), ids=lambda path: path.name)
def test_shell_tools_have_help_and_are_executable(tool):
    done = subprocess.run([str(tool), "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("usage:")


@pytest.mark.parametrize("tool", ["dist_train.sh", "dist_test.sh"])
@pytest.mark.parametrize("arguments", [[], ["config.py"], ["config.py", "x", "none"]])
def test_launchers_refuse_incomplete_command_lines(tool, arguments):
    done = subprocess.run([str(TOOLS / tool), *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert "usage:" in done.stderr
