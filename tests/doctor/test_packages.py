"""Packages that import, fail in whatever way, or take the process down."""

import importlib.util
import sys

import pytest

from mapllava.doctor import FAIL, OK, SKIP, WARN, Context
from mapllava.doctor import packages as module
from mapllava.doctor.packages import (
    Requirement,
    packages,
    python_versions,
    runtime_requirements,
    satisfies,
    try_imports,
)

STUBS = {
    "good_one": "__version__ = '1.2'\nprint('chatter')",
    "lacks": "raise ImportError('libcudart.so.13: cannot open\\nshared object')",
    "linker": "raise OSError('libtorch_cpu.so: undefined symbol')",
    "leaves": "raise SystemExit(3)",
    "odd": "raise type('Odd', (BaseException,), {})('of no known class')",
    "aborts": "import os; os.abort()",
    "exits": "import os; os._exit(7)",
    "hangs": "import time; time.sleep(60)",
}


@pytest.fixture
def stubs(tmp_path, monkeypatch):
    for name, text in STUBS.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])


def requiring(monkeypatch, *requirements):
    monkeypatch.setattr(module, "runtime_requirements", lambda: [Requirement(*each) for each in requirements])


def test_an_import_may_fail_in_any_way_and_the_next_is_still_tried(stubs):
    names = ["lacks", "aborts", "linker", "leaves", "exits", "odd", "absent", "good_one"]
    assert try_imports(names) == {
        "lacks": ("error", "ImportError: libcudart.so.13: cannot open shared object"),
        "aborts": ("killed", "kills the process (SIGABRT)"),
        "linker": ("error", "OSError: libtorch_cpu.so: undefined symbol"),
        "leaves": ("error", "SystemExit: 3"),
        "exits": ("killed", "ends the process with status 7"),
        "odd": ("error", "Odd: of no known class"),
        "absent": ("error", "ModuleNotFoundError: No module named 'absent'"),
        "good_one": ("done", "1.2"),
    }


def test_an_import_that_hangs_is_given_up(stubs):
    found = try_imports(["hangs", "good_one"], timeout=1.0)
    assert found == {"hangs": ("killed", "does not return within 1 s"), "good_one": ("done", "1.2")}


def test_a_broken_foundation_or_a_killer_is_reason_to_look_no_further(stubs, monkeypatch):
    requiring(monkeypatch, ("aborts", ">=1"), ("lacks", ">=1"))
    context = Context()
    found = {each.name: each for each in packages(context)}
    assert context.unusable == ["aborts"]
    assert found["aborts"].status == FAIL
    assert found["aborts"].reason == "import aborts kills the process (SIGABRT)"
    assert found["lacks"].remedy == "pip install 'lacks>=1'"


def test_what_stops_at_the_same_error_is_not_blamed(stubs, tmp_path, monkeypatch):
    (tmp_path / "builds_on_it.py").write_text("import lacks")
    requiring(monkeypatch, ("lacks", ">=1"), ("builds_on_it", ">=1"), ("linker", ""))
    found = {each.name: each for each in packages(Context())}
    assert (found["lacks"].status, found["builds_on_it"].status) == (FAIL, SKIP)
    assert found["builds_on_it"].reason == "not looked at: its import stops where that of lacks does"
    assert found["linker"].status == FAIL


def test_versions_are_judged_by_what_is_tested(stubs, monkeypatch):
    requiring(monkeypatch, ("pytest", ">=8"), ("good_one", ">=1,<2"), ("rich", "<13"))
    found = {each.name: each for each in packages(Context())}
    assert found["pytest"].status == OK
    assert found["good_one"].status == OK
    assert "pip does not know it" in found["good_one"].reason
    assert found["rich"].status == WARN
    assert "tested is <13" in found["rich"].reason
    assert found["rich"].remedy == "pip install 'rich<13'"


def test_opencv_without_its_system_library_is_told_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    requiring(monkeypatch, ("opencv-python", ">=4.8"), ("opencv-python-headless", ">=4.8"))
    (found,) = packages(Context())
    assert found.status == FAIL
    assert "is installed, but import cv2: ImportError: libGL.so.1" in found.reason
    assert found.remedy.startswith("apt-get install libgl1 libglib2.0-0, or pip install --force-reinstall")
    assert found.remedy.endswith("opencv-python-headless")


@pytest.mark.parametrize(
    ("version", "versions", "holds"),
    [
        ("2.13.0+cu130", ">=2.6", True),
        ("2.5.1", ">=2.6", False),
        ("2.6", ">=2.6.0", True),
        ("1.26.4", ">=1.26,<2", True),
        ("2.0.0", ">=1.26,<2", False),
        ("0.10.7", "==0.10.7", True),
        ("0.10.10", "==0.10.7", False),
        ("3.13.0", ">=3.11,<3.13", False),
        ("5.23.0.dev0", ">=5.17,<6", True),
        ("anything", "", True),
    ],
)
def test_versions_compare_number_by_number(version, versions, holds):
    assert satisfies(version, versions) is holds


def test_what_is_needed_comes_from_the_requirements_file():
    needed = {each.name: each.versions for each in runtime_requirements()}
    assert needed["mmengine"] == "==0.10.7"
    assert needed["numpy"] == ">=1.26,<2"
    assert needed["torch"].startswith(">=")
    assert python_versions() == ">=3.11,<3.13"


def test_what_is_needed_is_imported_under_a_name_that_there_is(monkeypatch):
    tried = []

    def nothing(names, *_):
        tried.extend(names)
        return dict.fromkeys(names, ("done", "1"))

    monkeypatch.setattr(module, "try_imports", nothing)
    list(packages(Context()))
    missing = [name for name in tried if importlib.util.find_spec(name) is None]
    assert len(tried) > 15
    assert not missing, "how is it imported? packages._MODULES"


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({"mmengine": "0.10.7"}, [("mmengine", "ok")]),
        ({"onedl-mmengine": "0.10.12"}, [("onedl-mmengine", "ok")]),
        ({"onedl-mmengine": "0.9.0"}, [("mmengine", "warn")]),
        (
            {"mmengine": "0.10.7", "onedl-mmengine": "0.10.12"},
            [("mmengine", "ok"), ("onedl-mmengine", "warn")],
        ),
    ],
)
def test_one_mmengine_is_enough_and_its_fork_is_one(monkeypatch, installed, expected):
    requiring(monkeypatch, ("mmengine", "==0.10.7"))
    monkeypatch.setattr(module, "try_imports", lambda names: {"mmengine.runner": ("done", "")})
    monkeypatch.setattr(module, "installed_version", installed.get)
    found = list(packages(Context()))
    assert [(finding.name, finding.status) for finding in found] == expected
    if len(installed) == 2:
        assert "pip uninstall onedl-mmengine mmengine" in found[-1].remedy
