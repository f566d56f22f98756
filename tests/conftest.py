"""Fixtures shared by all tests: a tiny synthetic city and its ground-truth caches."""

from __future__ import annotations

import gc
import os
import tarfile
from pathlib import Path

import mmengine.config  # noqa: F401 - first by one process: yapf writes a file, which several at once spoil
import pytest
from filelock import FileLock

CITY_OPTIONS = {
    "version": "v1.0-mini",
    "num_train_scenes": 3,
    "num_val_scenes": 2,
    "samples_per_scene": 4,
    "image_size": (320, 180),
}


def pytest_collection_finish() -> None:
    """What is imported by now stays: MMEngine collects garbage for every data set and need not look there."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """This CPU counts as one that computes in bfloat16: slow where it does not, and the same code."""
    from mapllava.checkpoint import arithmetic

    monkeypatch.setattr(arithmetic, "cpu_has_bfloat16", lambda: True)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the whole session, the same in every pytest-xdist worker."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def city(shared_folder: Path) -> Path:
    """Data root of a tiny v1.0-mini: 3 training and 2 validation scenes of 4 samples, 320 x 180 images.

    Read it only; copy what a test wants to damage.
    """
    from mapllava.synthetic import create_city

    root = shared_folder / "city"
    with FileLock(f"{root}.lock"):
        create_city(root, **CITY_OPTIONS, workers=1, progress=False)
    return root


@pytest.fixture(scope="session")
def city_cache(city: Path, shared_folder: Path) -> dict[str, Path]:
    """Paths of the city's ground-truth caches, by split: 'train' (12 samples) and 'val' (8)."""
    from mapllava import gt_cache

    folder = shared_folder / "city_cache"
    with FileLock(f"{folder}.lock"):
        return {
            split: gt_cache.build(city, CITY_OPTIONS["version"], split, folder) for split in ("train", "val")
        }


@pytest.fixture(scope="session")
def golden_dataset(shared_folder: Path) -> Path:
    """Data root of the synthetic v1.0-mini of tests/data/golden/gt, maps without images. Read it only."""
    folder = shared_folder / "golden"
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            with tarfile.open(Path(__file__).parent / "data" / "golden" / "gt" / "dataset.tar.xz") as archive:
                archive.extractall(folder, filter="data")
    return folder / "dataset"


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """Folder of the real SmolLM2: MAPLLAVA_SMOLLM2, or weights/smollm2 of the checkout. Read it only.

    Without either the test is skipped; a folder that is named must be there.
    """
    named = os.environ.get("MAPLLAVA_SMOLLM2")
    folder = Path(named or Path(__file__).parents[1] / "weights" / "smollm2")
    if not (folder / "source.json").is_file():
        command = f"python tools/get_language_model.py smollm2 --out {folder}"
        if named:
            pytest.fail(f"MAPLLAVA_SMOLLM2 names {folder}, which is not finished: {command}")
        pytest.skip(f"needs the real SmolLM2: {command}")
    return folder
