"""What happens before a program's first heavy import."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mapllava import startup

ROOT = Path(__file__).parents[1]
SAY = """
import os
from mapllava.startup import begin, wait_policy
begin()
print(os.environ.get("GOMP_SPINCOUNT"), wait_policy(), sep="|")
"""


def say(**env):
    clean = {key: value for key, value in os.environ.items() if key not in startup._VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", SAY], env={**clean, **env}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip().split("|")


def test_the_programs_choice_is_set_and_said():
    value, words = say()
    assert value == startup.SPINS
    assert words.startswith(f"GOMP_SPINCOUNT={value}, set by this program: ")


@pytest.mark.parametrize("own", [{"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "5"}])
def test_the_users_own_setting_wins(own):
    ((key, value),) = own.items()
    spins, words = say(**own)
    assert spins == own.get("GOMP_SPINCOUNT", "None")
    assert words == f"{key}={value} from the environment"


def test_that_beginning_is_light():
    code = "import sys, mapllava.startup; print(sorted({'torch', 'numpy', 'mmengine'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_ctrl_c_while_importing_is_one_line(tmp_path):
    """The import that is interrupted makes something else of the exception, as compiled modules do."""
    (tmp_path / "torch.py").write_text(
        "import os, signal, time\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(10)\n"
        "except BaseException:\n"
        "    raise ImportError('half initialised')\n"
    )
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "train.py", "config.py"], env=env, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_ctrl_c_at_any_moment_of_a_start_is_one_line():
    """A real one, with all its imports."""
    process = subprocess.Popen(
        [sys.executable, ROOT / "tools" / "train.py", "configs/stage2/none.py"],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=600)
    if process.returncode == -signal.SIGINT:
        pytest.skip("so busy a machine that Python itself had not started")
    ours = [line for line in text.splitlines() if "kernels-community" not in line]  # bitsandbytes, on import
    assert process.returncode == 2 or (process.returncode, ours) == (130, ["interrupted"]), text
    assert "Traceback" not in text
