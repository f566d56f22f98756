import pytest

from mapllava.errors import MapLLaVAError, exit_status


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
