"""Bash completes commands, options, files and configs."""

import shutil
import subprocess

import pytest

from mapllava.__main__ import main

TRY = """
source ./script
f=$(complete -p mapllava | sed 's/.*-F \\([^ ]*\\).*/\\1/')
COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); $f
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    import contextlib
    import io

    folder, text = tmp_path_factory.mktemp("completion"), io.StringIO()
    with contextlib.redirect_stdout(text):
        assert main(["--print-completion", "bash"]) == 0
    (folder / "script").write_text(text.getvalue())
    for name in ("mine.py", "mine.txt"):
        (folder / name).write_text("")
    (folder / "minute").mkdir()

    def found(*words):
        command = ["bash", "-c", TRY, "bash", "mapllava", *words]
        return set(
            subprocess.run(command, capture_output=True, text=True, cwd=folder, check=True).stdout.split()
        )

    return found


def test_words_of_a_command_line(complete):
    assert "train" in complete("tr")
    assert {"show", "verify", "constant-map"} <= complete("cache", "")
    assert "--work-dir" in complete("train", "--w")
    assert complete("eval", "r.json", "--from", "map") == {"maptr", "maptracker", "mapllava"}
    assert complete("train", "stage2/synthetic_p") == {"stage2/synthetic_points"}
    assert complete("train", "mi") == {"mine.py", "minute"}
    assert complete("eval", "mi") == {"mine.py", "mine.txt", "minute"}
    assert complete("cache", "show", "--out-dir", "mi") == {"minute"}


def test_another_shell_is_refused(capsys):
    assert main(["--print-completion", "cmd"]) == 2
    assert "name one of bash, zsh" in capsys.readouterr().err
