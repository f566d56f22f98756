"""The example package: installed, found by its entry point, trained with, and its own tests."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mapllava.errors import MapLLaVAError
from mapllava.gt_cache import load
from mapllava.plugins import GROUP, import_installed_plugins
from mapllava.structures.frames import MapSpec
from mapllava.testing import check_dataset

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "examples" / "plugin_package"


def run(*words, path=()):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, path), str(ROOT)])}
    return subprocess.run([sys.executable, *map(str, words)], env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the package as pip installs it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    left_out = shutil.ignore_patterns("configs", "tests", "__pycache__", "build", "*.egg-info")
    shutil.copytree(PACKAGE, source, ignore=left_out, dirs_exist_ok=True)
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--target", target]
    done = run("-m", "pip", "install", *options, source)
    assert done.returncode == 0, done.stderr
    return target


@pytest.mark.slow
def test_an_installed_package_is_found_by_its_entry_point_and_trains(installed, city, city_cache, tmp_path):
    options = [f"data_root={city}", "train_cfg.max_epochs=1", "train_dataloader.batch_size=4"]
    for loader in ("train", "val", "test"):
        options += [
            f"{loader}_dataloader.dataset.ann_file={city_cache['train' if loader == 'train' else 'val']}",
            f"{loader}_dataloader.num_workers=0",
            f"{loader}_dataloader.persistent_workers=False",
        ]
    config = PACKAGE / "configs" / "everything.py"
    words = [ROOT / "tools" / "train.py", config, "--work-dir", tmp_path / "run", "--cfg-options", *options]
    missing = run(*words)
    assert missing.returncode == 2
    assert "PatchMeanEncoder" in missing.stderr
    done = run(*words, path=[installed])
    assert done.returncode == 0, done.stderr[-3000:]
    assert "lines/count_error" in done.stdout + done.stderr, "the metric"
    assert "loss_length" in done.stdout + done.stderr, "the loss"
    opening = f"import mapllava; mapllava.load_model({str(tmp_path / 'run' / 'best_model.pth')!r}, 'cpu')"
    assert run("-c", opening, path=[installed]).returncode == 0
    refused = run("-c", opening)
    assert refused.returncode == 1, "the package is not there"
    assert "no registered component" in refused.stderr.splitlines()[-1]


@pytest.mark.slow
def test_its_own_tests_pass():
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", PACKAGE / "tests", path=[PACKAGE])
    assert done.returncode == 0, done.stdout[-3000:]


def test_its_data_set_keeps_the_contract(city, city_cache, monkeypatch):
    monkeypatch.syspath_prepend(str(PACKAGE))
    from mapllava_example import FirstScenesDataset

    def dataset(count):
        return FirstScenesDataset(
            ann_file=str(city_cache["train"]), data_root=str(city), map_spec=MapSpec(), num_scenes=count
        )

    check_dataset(dataset(2), MapSpec())
    whole = load(city_cache["train"], check_sources=False)["data_list"]
    scenes = dict.fromkeys(entry["scene_name"] for entry in whole)
    kept = {dataset(2).get_data_info(index)["scene_name"] for index in range(len(dataset(2)))}
    assert kept == set(list(scenes)[:2])
    with pytest.raises(MapLLaVAError, match="num_scenes is 9"):
        dataset(9)


def test_a_plug_in_that_cannot_be_imported_is_named(tmp_path, monkeypatch):
    info = tmp_path / "broken_thing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-thing\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nbroken = no_such_module_of_mine\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import_installed_plugins.cache_clear()
    with pytest.raises(MapLLaVAError, match=r"'broken' \(no_such_module_of_mine, of broken-thing\)"):
        import_installed_plugins()
    import_installed_plugins.cache_clear()
