"""Importing the package is cheap; what a command does not need it does not load."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "nuscenes", "mmcv", "mmengine", "matplotlib", "shapely", "cv2")


def loaded_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*(name for name in sys.modules if name.count('.') < 2))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import mapllava", HEAVY),
        ("import mapllava.__main__", (*HEAVY, "numpy", "rich", "yaml", "packaging")),
        ("import mapllava.structures.frames, mapllava.structures.map_elements, mapllava.geometry",
         ("torch", "mmengine", "transformers", "nuscenes")),
        ("import mapllava.gt_cache", ("transformers", "nuscenes", "matplotlib")),
        ("import mapllava.visualization, mapllava.evaluation", ("torch", "mmengine", "matplotlib")),
        ("import mapllava.models",
         ("nuscenes", "mmcv", "matplotlib", "shapely", "mapllava.datasets", "mapllava.sources")),
        ("import mapllava.apis.inference\nfrom mapllava.config.trusted import _PARTS\n"
         "for registry in _PARTS: registry.import_from_location()",
         ("mapllava.engine", "nuscenes", "matplotlib")),
        ("import mapllava.engine", ("nuscenes", "mmcv", "mapllava.models", "mapllava.sources")),
    ],
)  # fmt: skip
def test_import_loads_no_more_than_it_needs(statement, forbidden):
    assert not loaded_after(statement) & set(forbidden)
