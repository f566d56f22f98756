"""Whether packages import: tried in a process of its own, which a broken library may take down."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

from mapllava.doctor.context import Context
from mapllava.doctor.requirements import Requirement, installed_version, runtime_requirements, satisfies
from mapllava.finding import FAIL, OK, SKIP, WARN, Finding

_TIMEOUT = 180.0  # seconds for all imports together, from a cold network disk too
_MODULES = {  # what shows that a distribution works, where it is not its own name
    "mmengine": "mmengine.runner",
    "mmcv-lite": "mmcv.transforms",
    "nuscenes-devkit": "nuscenes.nuscenes",
    "opencv-python": "cv2",
    "protobuf": "google.protobuf",
    "opencv-python-headless": "cv2",
    "scikit-learn": "sklearn.linear_model",
    "scipy": "scipy.optimize",
    "setuptools": "pkg_resources",
}
_FOUNDATION = ("torch", "mmengine.runner")  # without these no config can be read
_PROGRAM = """
import importlib, json, os, sys
sys.path[:] = json.loads(sys.argv[1])
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
def say(*words):
    answers.write(json.dumps(words) + "\\n")
    answers.flush()
for name in sys.argv[2:]:
    say(name, "begun", "")
    try:
        module = importlib.import_module(name)
        say(name, "done", str(getattr(module, "__version__", "")))
    except BaseException as error:
        say(name, "error", type(error).__name__ + ": " + " ".join(str(error).split()))
answers.close()
os._exit(0)
"""


def packages(context: Context) -> Iterator[Finding]:
    """Every requirement: it imports, and in a version that is tested."""
    wanted: dict[str, list[Requirement]] = {}
    for requirement in runtime_requirements():
        wanted.setdefault(_MODULES.get(requirement.name, requirement.name), []).append(requirement)
    stopped: dict[str, str] = {}  # what was raised, and the first package to stop there
    for module, (state, text) in try_imports(list(wanted)).items():
        name = wanted[module][0].name
        if state == "done":
            yield _working(wanted[module], text)
            continue
        if text in stopped:
            yield Finding(name, SKIP, f"not looked at: its import stops where that of {stopped[text]} does")
        else:
            yield _broken(wanted[module], state, text)
        if stopped.setdefault(text, name) == name and (module in _FOUNDATION or state == "killed"):
            context.unusable.append(name)
    if installed_version("mmcv") and installed_version("mmcv-lite"):
        yield Finding(
            "mmcv",
            WARN,
            "mmcv and mmcv-lite are both installed, into the same folder",
            "pip uninstall mmcv mmcv-lite, then pip install mmcv-lite",
        )


def try_imports(modules: Sequence[str], timeout: float = _TIMEOUT) -> dict[str, tuple[str, str]]:
    """Import modules in another process, and those behind one that kills it in a third.

    Args:
        modules: dotted names, in this order.
        timeout: seconds after which an import counts as hanging.

    Returns:
        name to ``("done", version)``, ``("error", what was raised)`` or ``("killed", how)``.
    """
    results: dict[str, tuple[str, str]] = {}
    while rest := [name for name in modules if name not in results]:
        command = [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), *rest]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
            answers, end = done.stdout, _end(done.returncode)
        except subprocess.TimeoutExpired as error:
            answers, end = _text(error.stdout), f"does not return within {timeout:.0f} s"
        begun = rest[0]
        for name, state, text in map(json.loads, answers.splitlines()):
            begun = name
            if state != "begun":
                results[name] = (state, text)
        if begun not in results:
            results[begun] = ("killed", end)
    return results


def _text(output: str | bytes | None) -> str:
    return output.decode() if isinstance(output, bytes) else output or ""


def _end(status: int) -> str:
    if status >= 0:
        return f"ends the process with status {status}"
    return f"kills the process ({signal.Signals(-status).name})"


def _working(requirements: Sequence[Requirement], told: str) -> Finding:
    """Of distributions that bring the same module one is enough."""
    name = requirements[0].name
    versions = {each.name: installed_version(each.name) for each in requirements}
    there = [each for each in requirements if versions[each.name]]
    if not there:
        text = f"{told or 'some version'} imports, but pip does not know it (tested: {requirements[0]})"
        return Finding(name, OK if told and satisfies(told, requirements[0].versions) else WARN, text)
    other = [each for each in there if not satisfies(str(versions[each.name]), each.versions)]
    if other:
        reason = ", ".join(f"{each.name} {versions[each.name]}, tested is {each.versions}" for each in other)
        return Finding(name, WARN, reason, "pip install " + " ".join(f"'{each}'" for each in other))
    return Finding(there[0].name, OK, f"{versions[there[0].name]} ({there[0].versions or 'any'})")


def _broken(requirements: Sequence[Requirement], state: str, text: str) -> Finding:
    first = requirements[0]
    there = [each for each in requirements if installed_version(each.name)]
    module = _MODULES.get(first.name, first.name)
    reason = f"import {module}: {text}" if state == "error" else f"import {module} {text}"
    if there:
        reason = f"{there[0].name} {installed_version(there[0].name)} is installed, but {reason}"
    again = "--force-reinstall " if there else ""
    if module == "cv2" and "libGL" in text:
        remedy = "apt-get install libgl1 libglib2.0-0, or pip install --force-reinstall --no-deps "
        remedy += requirements[-1].name
    elif first.name == "torch":
        remedy = f"pip install {again}torch, the build of this machine: 'Install' in docs/en/get_started.md"
    else:
        remedy = f"pip install {again}'{first}'"
    return Finding(first.name, FAIL, reason, remedy)
