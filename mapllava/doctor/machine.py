"""Python, commands, driver, disk and shared memory: what the standard library can tell."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mapllava.doctor.context import Context, run_space
from mapllava.doctor.packages import CHECKOUT, installed_version, python_versions, satisfies
from mapllava.finding import FAIL, OK, SKIP, WARN, Finding
from mapllava.resources import gigabytes

GB = 10**9
FULL, SCARCE = 2 * GB, 20 * GB  # a run's checkpoints take about 10 GB at full size
SMALLSHM, TINYSHM = 2 * GB, 10**8  # Docker gives 64 MB unless told otherwise
SHM = Path("/dev/shm")
_BUSY = 0.05  # of a GPU's memory in use before we start
_TOOLS = ("train.py", "test.py", "create_gt_cache.py", "dist_train.sh", "dist_test.sh", "slurm_train.sh")


def python(context: Context) -> Iterator[Finding]:
    """The version of Python, and whose environment it is."""
    version, tested = platform.python_version(), python_versions()
    conda = os.environ.get("CONDA_PREFIX", "")
    inside = sys.prefix != sys.base_prefix or (conda and sys.prefix.startswith(conda))
    place = f"environment {sys.prefix}" if inside else f"no virtual environment, {sys.prefix}"
    if satisfies(version, tested):
        yield Finding("python", OK, f"{version} ({tested}), {place}")
    else:
        remedy = "make venv BASE_PYTHON=/path/to/python3.12, and use its .venv/bin/python"
        yield Finding("python", FAIL, f"{version}, tested is {tested}; {place}", remedy)


def commands(context: Context) -> Iterator[Finding]:
    """The tools are there and executable, and the package is installed for them to import."""
    tools = CHECKOUT / "tools"
    installed = installed_version("mapllava")
    if not tools.is_dir():
        yield Finding("commands", SKIP, f"mapllava {installed} without a checkout: no tools/ to look at")
        return
    missing = [name for name in _TOOLS if not (tools / name).is_file()]
    closed = [name for name in _TOOLS if name.endswith(".sh") and not os.access(tools / name, os.X_OK)]
    if missing:
        remedy = f"restore them: git -C {CHECKOUT} checkout -- tools"
        yield Finding("commands", FAIL, f"tools/ lacks {', '.join(missing)}", remedy)
    elif installed is None and str(CHECKOUT) not in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        reason = "mapllava is not installed in this Python, so tools/train.py cannot import it"
        yield Finding("commands", FAIL, reason, f"pip install -e {CHECKOUT}")
    elif closed:
        remedy = f"chmod +x {' '.join(str(tools / name) for name in closed)}"
        yield Finding("commands", WARN, f"not executable: {', '.join(closed)}", remedy)
    else:
        yield Finding("commands", OK, f"tools/ of {CHECKOUT} is complete")


def driver(context: Context) -> Iterator[Finding]:
    """NVIDIA's driver, and who else uses the GPUs."""
    query = "index,name,driver_version,memory.used,memory.total"
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits"]
    if shutil.which(command[0]) is None:
        yield Finding("driver", SKIP, "no nvidia-smi: no NVIDIA driver on this machine")
        return
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except subprocess.TimeoutExpired:
        yield Finding("driver", FAIL, "nvidia-smi does not answer", "reset the GPU or restart the machine")
        return
    rows = [[word.strip() for word in line.split(",")] for line in done.stdout.splitlines() if "," in line]
    if done.returncode or not rows:
        reason = " ".join((done.stdout + done.stderr).split()) or f"status {done.returncode}"
        remedy = "load or reinstall the driver; in a container, start it with --gpus all"
        yield Finding("driver", FAIL, f"nvidia-smi: {reason}", remedy)
        return
    for index, name, version, used, total in rows:
        label = f"driver, GPU {index}"
        if not (used + total).isdigit():
            yield Finding(label, OK, f"{name}, driver {version}")
        elif int(used) > _BUSY * int(total):
            reason = f"{name}, driver {version}: {used} of {total} MiB are in use"
            remedy = "see by whom: nvidia-smi; wait, or take another with CUDA_VISIBLE_DEVICES"
            yield Finding(label, WARN, reason, remedy)
        else:
            yield Finding(label, OK, f"{name}, driver {version}, {total} MiB, free")


def gpu(context: Context) -> Iterator[Finding]:
    """One line per GPU that PyTorch sees, or why it sees none."""
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            yield _describe(torch, index)
        return
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    build = f"PyTorch {torch.__version__}"
    if shutil.which("nvidia-smi") is None:
        reason = f"no GPU ({build}): training runs on the CPU, which the synthetic configs are made for"
        yield Finding("gpu", WARN, reason, "nuScenes at full size needs a GPU machine")
    elif hidden is not None and hidden.strip() in ("", "-1"):
        reason = f"CUDA_VISIBLE_DEVICES={hidden!r} hides every GPU"
        yield Finding("gpu", FAIL, reason, "unset CUDA_VISIBLE_DEVICES")
    elif torch.version.cuda is None:
        remedy = "reinstall torch from its CUDA index: see 'Install' in docs/en/get_started.md"
        yield Finding("gpu", FAIL, f"{build} is a build without CUDA, though there is a driver", remedy)
    else:
        reason = f"{build} for CUDA {torch.version.cuda} finds no GPU that works with this driver"
        remedy = "update the driver, or install a PyTorch for an older CUDA: nvidia-smi shows the newest"
        yield Finding("gpu", FAIL, reason, remedy)


def _describe(torch: Any, index: int) -> Finding:
    properties = torch.cuda.get_device_properties(index)
    capability = f"sm_{properties.major}{properties.minor}"
    built = torch.cuda.get_arch_list()
    text = f"{properties.name}, {gigabytes(properties.total_memory)}, {capability}, CUDA {torch.version.cuda}"
    older = [arch for arch in built if arch.startswith("sm_") and _number(arch) <= _number(capability)]
    if built and not older:
        remedy = "install a PyTorch that was built for this card"
        return Finding(f"gpu {index}", FAIL, f"{text}: PyTorch was built for {', '.join(built)}", remedy)
    return Finding(f"gpu {index}", OK, text)


def _number(arch: str) -> int:
    digits = "".join(letter for letter in arch if letter.isdigit())
    return int(digits or 0)


def disk(context: Context) -> Iterator[Finding]:
    """Room for the run folder."""
    folder, free = run_space()
    reason = f"{gigabytes(free)} free where runs go ({folder})"
    remedy = "free some, or put runs elsewhere: --work-dir, or a link called outputs"
    if not os.access(folder, os.W_OK):
        yield Finding("disk", FAIL, f"{folder} cannot be written to", "choose another folder: --work-dir")
    elif free < FULL:
        yield Finding("disk", FAIL, reason, remedy)
    elif free < SCARCE:
        yield Finding("disk", WARN, f"{reason}; checkpoints of a full-size run take about 10 GB", remedy)
    else:
        yield Finding("disk", OK, reason)


def shared_memory(context: Context) -> Iterator[Finding]:
    """Room in ``/dev/shm``, through which loading processes hand over their batches."""
    if not SHM.is_dir():
        yield Finding("shm", SKIP, f"no {SHM} on this system")
        return
    usage = shutil.disk_usage(SHM)
    reason = f"{gigabytes(usage.free)} of {gigabytes(usage.total)} free in {SHM}"
    remedy = "start the container with --shm-size=8g or --ipc=host; or set num_workers=0"
    status = FAIL if usage.free < TINYSHM else WARN if usage.free < SMALLSHM else OK
    yield Finding("shm", status, reason, "" if status == OK else remedy)
