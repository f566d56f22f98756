import subprocess
import sys
from pathlib import Path

import pytest

from mapllava.errors import MapLLaVAError, exit_status

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (MapLLaVAError("file x: do y"), 2, "error: file x: do y\n"),
        (PermissionError(13, "Permission denied", "x"), 2, "error: [Errno 13] Permission denied: 'x'\n"),
        (KeyboardInterrupt(), 130, "interrupted: go on\n"),
    ],
)
def test_what_the_user_can_put_right_is_a_message_and_a_status(error, status, text, capsys):
    def run(args):
        raise error

    assert exit_status(run, None, interrupted="go on") == status
    assert capsys.readouterr().err == text


def test_results_pass_and_defects_keep_their_traceback(capsys):
    assert exit_status(lambda args: args, 1) == 1
    assert exit_status(lambda args: None, 1) == 0
    assert capsys.readouterr().err == ""
    with pytest.raises(ZeroDivisionError):
        exit_status(lambda args: 1 // args, 0)


def test_a_reader_that_leaves_is_no_error():
    program = (
        "from mapllava.errors import exit_status\n"
        "run = lambda count: [print('x' * 1000, flush=True) for _ in range(count)] and 0\n"
        "raise SystemExit(exit_status(run, 10_000))"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
