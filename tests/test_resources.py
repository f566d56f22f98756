"""What has run out, in words that say what to do."""

import errno
import logging
import multiprocessing
import os
import resource
import subprocess
import sys
from pathlib import Path
from pickle import UnpicklingError

import pytest
from toy import ToyNoise, toy_config

from mapllava.cli.exit_status import exit_status
from mapllava.engine import build_runner
from mapllava.engine.runner.failures import explain
from mapllava.engine.runner.log_file import LogFile
from mapllava.registry import TRANSFORMS
from mapllava.resources import explain_resources, is_worker_lost

ROOT = Path(__file__).parents[1]
FORK = multiprocessing.get_context("fork")


def os_error(number, filename=None):
    return OSError(number, os.strerror(number), filename)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (os_error(errno.EMFILE), ["too many open files", "ulimit -n"]),
        (RuntimeError("received 0 items of ancdata"), ["too many open files", "num_workers"]),
        (OSError("Caught OSError in DataLoader worker process 0.\nOSError: [Errno 24] Too many open files"),
         ["ulimit -n"]),
        (RuntimeError("unable to open shared memory object </torch_1_2>: Read-only file system (30)"),
         ["/dev/shm", "--shm-size", "num_workers=0", "Read-only file system (30)"]),
        (RuntimeError("unable to write to file </torch_42_7>: No space left on device (28)"), ["/dev/shm"]),
        (os_error(errno.EADDRINUSE), ["port", "MASTER_PORT=29501"]),
        (RuntimeError("The server socket failed. port: 29500, EADDRINUSE"), ["29500", "MASTER_PORT"]),
        (os_error(errno.ENOSPC, "/data/a.pkl"), ["'/data/a.pkl' cannot be written: No space", "make room"]),
        (os_error(errno.ENOSPC), ["'runs/one' cannot be written: No space", "make room"]),
        (RuntimeError("failed: No space left on device"), ["'runs/one' cannot be written"]),
        (os_error(errno.EROFS, "/ro/log"), ["'/ro/log' cannot be written: Read-only file system; it"]),
    ],
)  # fmt: skip
def test_each_has_its_message(error, words):
    message = explain_resources(error, "runs/one")
    assert message is not None
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    "error", [ValueError("x"), FileNotFoundError(2, "No such file", "a"), RuntimeError("shape")]
)
def test_a_defect_is_not_explained_away(error):
    assert explain_resources(error, "runs/one") is None
    assert not is_worker_lost(error)


def thrown(error, *files):
    """The error as it comes out of functions of these files, outermost first."""
    code = "def call(inner, error):\n    if inner:\n        inner[0](inner[1:], error)\n    raise error\n"
    functions = []
    for file in files:
        space = {}
        exec(compile(code, file, "exec"), space)
        functions.append(space["call"])
    try:
        functions[0](functions[1:], error)
    except Exception as raised:
        return raised


@pytest.mark.parametrize("kind", [ConnectionResetError, EOFError, BrokenPipeError, UnpicklingError])
def test_a_worker_that_dies_while_it_hands_over_a_batch_is_known(kind):
    loader, pipe = "/lib/torch/utils/data/dataloader.py", "/lib/python3/multiprocessing/connection.py"
    lost = thrown(kind("pickle data was truncated"), loader, pipe)
    assert is_worker_lost(lost)
    assert "process that reads the data died" in str(explain(lost, None))
    assert not is_worker_lost(thrown(kind(), loader, "/home/user/my_dataset.py")), (
        "a data set's own connection"
    )


@TRANSFORMS.register_module()
class Defect(ToyNoise):
    def __call__(self, results):
        raise RuntimeError("shapes do not fit")


def test_a_defect_in_a_worker_keeps_its_own_message(tmp_path):
    cfg = toy_config(tmp_path, workers=1)
    cfg.train_dataloader.dataset.pipeline = [{"type": "Defect"}]
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        build_runner(cfg).train()


def train_with_few_files(folder):
    sys.stderr = (folder / "said").open("w", buffering=1)
    taken = len(os.listdir("/proc/self/fd"))
    runner = build_runner(toy_config(folder / "run", workers=2))
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken + 6, taken + 6))
    os._exit(exit_status(lambda: runner.train() and 0))


def test_a_low_limit_of_open_files_is_named(tmp_path):
    process = FORK.Process(target=train_with_few_files, args=(tmp_path,))
    process.start()
    process.join(120)
    process.kill()
    text = (tmp_path / "said").read_text()
    assert process.exitcode == 2, text
    assert "error: too many open files: this process may have " in text
    assert "ulimit -n" in text


SHM = """
import sys
from pathlib import Path
sys.path[:0] = [{root!r}, {engine!r}]
from toy import toy_config
from mapllava.engine import build_runner
from mapllava.cli.exit_status import exit_status
raise SystemExit(exit_status(lambda: build_runner(toy_config(Path({run!r}), workers=1)).train() and 0))
"""


@pytest.mark.slow
def test_shared_memory_that_cannot_be_written_is_named(tmp_path):
    script = SHM.format(root=str(ROOT), engine=str(ROOT / "tests" / "engine"), run=str(tmp_path / "run"))
    mount = 'mount -t tmpfs -o ro tmpfs /dev/shm || exit 77; exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", mount, "sh", sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode == 77 or "unshare" in done.stderr[:20]:
        pytest.skip("no right to mount here")
    assert done.returncode == 2, done.stderr
    assert "error: shared memory /dev/shm is " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_log_on_a_full_disk_says_so_once_and_the_run_goes_on(capsys):
    """/dev/full is a disk without room."""
    handler = LogFile("/dev/full", "a")
    for _ in range(3):
        handler.handle(logging.LogRecord("a", logging.INFO, "", 0, "a line", None, None))
    text = capsys.readouterr().err
    assert text.count("'/dev/full' cannot be written: No space left on device; make room") == 1
    assert "Traceback" not in text


def test_a_runs_log_is_such_a_file(tmp_path):
    runner = build_runner(toy_config(tmp_path, log_level="INFO"))
    (handler,) = (handler for handler in runner.logger.handlers if isinstance(handler, logging.FileHandler))
    assert isinstance(handler, LogFile)
    assert "OpenMP" in Path(handler.baseFilename).read_text()
