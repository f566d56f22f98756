from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest


def _load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def _tiny_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _load(Path(__file__).with_name("tiny_nuscenes.py")).write(
        tmp_path_factory.mktemp("source") / "tiny"
    )


@pytest.fixture
def tiny(_tiny_source: Path, tmp_path: Path) -> Path:
    """A fresh copy of the tiny data set, free to be damaged."""
    return Path(shutil.copytree(_tiny_source, tmp_path / "data"))
