"""Whether packages import, in the versions that are tested; with the standard library alone.

Imports are tried in a process of its own, which a broken library may take down.
"""

from __future__ import annotations

import json
import operator
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import mapllava
from mapllava.doctor.context import Context
from mapllava.finding import FAIL, OK, SKIP, WARN, Finding

CHECKOUT = Path(mapllava.__file__).parents[1]
_LINE = re.compile(r"([A-Za-z0-9._-]+)\s*\(?([<>=!~][^;)]*)?")
_BOUND = re.compile(r"(>=|<=|==|!=|<|>)\s*([0-9.]+)")
_SIGNS = {">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne, "<": operator.lt}
_SIGNS[">"] = operator.gt
_TIMEOUT = 180.0  # seconds for all imports together, from a cold network disk too
_MODULES = {  # what shows that a distribution works, where it is not its own name
    "mmengine": "mmengine.runner",
    "mmcv-lite": "mmcv.transforms",
    "nuscenes-devkit": "nuscenes.nuscenes",
    "opencv-python": "cv2",
    "pillow": "PIL.Image",
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


@dataclass(frozen=True)
class Requirement:
    """A distribution and the versions of it that are tested, e.g. ``torch`` and ``>=2.6``."""

    name: str
    versions: str

    def __str__(self) -> str:
        return f"{self.name}{self.versions}"


_INSTEAD = {"mmengine": (Requirement("onedl-mmengine", "==0.10.12"),)}  # its fork, tested as well


def runtime_requirements() -> list[Requirement]:
    """What the package needs: from the checkout, or else from the installed package's description.

    Raises:
        FileNotFoundError: If neither says it.
    """
    path = CHECKOUT / "requirements" / "runtime.txt"
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
    else:
        lines = [line for line in _described("Requires-Dist") if "extra ==" not in line]
    found = []
    for line in lines:
        match = _LINE.match(line.strip())
        if match and not line.lstrip().startswith("#"):
            found.append(Requirement(match.group(1), (match.group(2) or "").replace(" ", "")))
    if not found:
        raise FileNotFoundError(f"neither {path} nor the installed package says what mapllava needs")
    return found


def python_versions() -> str:
    """The versions of Python that are tested, e.g. ``>=3.11,<3.13``; empty if nothing says it."""
    path = CHECKOUT / "setup.py"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    match = re.search(r'python_requires="([^"]+)"', text)
    return match.group(1) if match else ",".join(_described("Requires-Python"))


def satisfies(version: str, versions: str) -> bool:
    """Whether a version lies within comma-separated bounds; build suffixes (``+cu130``) do not count.

    By hand, as the doctor must say what is missing where not even ``packaging`` is installed.
    """
    return all(_SIGNS[sign](_numbers(version), _numbers(bound)) for sign, bound in _BOUND.findall(versions))


def installed_version(name: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _described(key: str) -> list[str]:
    try:
        return metadata.metadata("mapllava").get_all(key) or []
    except metadata.PackageNotFoundError:
        return []


def _numbers(version: str) -> list[int]:
    """Of the release, without zeros at its end: 2.6 is 2.6.0."""
    match = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in match.group().split(".")] if match else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers


def packages(context: Context) -> Iterator[Finding]:
    """Every requirement: it imports, and in a version that is tested."""
    wanted: dict[str, list[Requirement]] = {}
    for requirement in runtime_requirements():
        same = wanted.setdefault(_MODULES.get(requirement.name, requirement.name), [])
        same += [requirement, *_INSTEAD.get(requirement.name, ())]
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
    for kept, other in (("mmcv-lite", "mmcv"), ("mmengine", "onedl-mmengine")):
        if installed_version(kept) and installed_version(other):
            reason = f"{other} and {kept} are both installed, into the same folder"
            yield Finding(other, WARN, reason, f"pip uninstall {other} {kept}, then pip install one of them")


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
