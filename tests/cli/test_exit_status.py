import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mapllava.cli.exit_status import STATUSES, exit_status
from mapllava.errors import MapLLaVAError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (MapLLaVAError("file x: do y"), 2, "error: file x: do y\n"),
        (PermissionError(13, "Permission denied", "x"), 2, "error: [Errno 13] Permission denied: 'x'\n"),
        (KeyboardInterrupt(), 130, "interrupted: go on\n"),
    ],
)
def test_what_the_user_can_put_right_is_a_message_and_a_status(error, status, text, capsys):
    def run():
        raise error

    assert exit_status(run, interrupted="go on") == status
    assert re.search(rf"\b{status} ", STATUSES), "the help says what it means"
    assert capsys.readouterr().err == text


def test_results_pass_and_defects_keep_their_traceback(capsys):
    assert exit_status(lambda: 1) == 1
    assert exit_status(lambda: None) == 0
    assert capsys.readouterr().err == ""
    with pytest.raises(ZeroDivisionError):
        exit_status(lambda: 1 // 0)


def test_a_reader_that_leaves_is_no_error():
    program = (
        "from mapllava.cli.exit_status import exit_status\n"
        "run = lambda: [print('x' * 1000, flush=True) for _ in range(10_000)] and 0\n"
        "raise SystemExit(exit_status(run))"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_another_pipe_that_breaks_is_an_error(capfd):
    def run():
        raise BrokenPipeError(32, "Broken pipe")

    assert exit_status(run) == 2
    assert "Broken pipe" in capfd.readouterr().err


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_whoever_noticed_it_the_readers_leaving_is_seen(unbuffered):
    """An unbuffered stream has nothing left that a flush could fail to write."""
    program = (
        "import os, sys\nfrom mapllava.cli.exit_status import exit_status\n"
        "def run():\n    sys.stdin.read()\n    os.write(1, b'x')\n"
        "raise SystemExit(exit_status(run))"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen([sys.executable, "-c", program], **pipes, cwd=ROOT, env=env) as process:
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
