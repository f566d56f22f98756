"""Processes that draw."""

import os
import subprocess
import sys
import time

SCRIPT = """
import os, signal
from mapllava.visualization.draw_files import Workers

if __name__ == "__main__":
    workers = Workers(1)
    workers.wait()
    print(*workers._pool._processes, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def is_there(pid):
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_no_process_that_draws_outlives_a_program_that_is_killed(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(SCRIPT)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as program:
        worker = int(program.stdout.readline())
    until = time.monotonic() + 20
    while is_there(worker) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_there(worker)
