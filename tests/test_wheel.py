"""What ``pip install`` gives: a wheel made from the sdist, outside of the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("mapllava", "configs", "requirements", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md")  # fmt: skip  # noqa: E501
SESSION = """
import sys
from mapllava.__main__ import main
import mapllava
print(mapllava.__file__)
for line in sys.argv[1:]:
    sys.stdout.write(f"$ {line}\\n")
    sys.stdout.flush()
    status = main(line.split())
    sys.stdout.write(f"status {status}\\n")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of an installed wheel; the checkout is not touched."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for part in filter(lambda part: (ROOT / part).exists(), PARTS):
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / part, source / part)
    build = [sys.executable, "-m", "build", "--no-isolation", "-o", str(folder / "dist"), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (wheel,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:  # as an installer does with a wheel of pure Python
        archive.extractall(folder / "installed")
    return folder / "installed"


def test_data_of_the_package_are_in_the_wheel(installed):
    def files(folder, pattern):
        found = (path.relative_to(folder).as_posix() for path in folder.rglob(pattern) if path.is_file())
        return {path for path in found if "__pycache__" not in path}

    assert files(installed / "mapllava" / "configs", "*") == files(ROOT / "configs", "*")
    for pattern in ("*.py", "*.json", "*.html", "*.css", "*.js"):
        ours = {path for path in files(installed / "mapllava", pattern) if not path.startswith("configs/")}
        assert ours == files(ROOT / "mapllava", pattern)
    if (ROOT / "mapllava" / "demo").is_dir():
        assert files(installed / "mapllava" / "demo", "*") == files(ROOT / "mapllava" / "demo", "*")
    metadata = next(installed.glob("*.dist-info"))
    assert "mapllava = mapllava.__main__:main" in (metadata / "entry_points.txt").read_text()


def test_the_commands_run_where_no_checkout_is(installed, tmp_path):
    (tmp_path / "mine.py").write_text(
        '_base_ = "mapllava::stage2/synthetic.py"\ntrain_cfg = dict(max_epochs=2)\n'
    )
    lines = [
        "--version",
        "configs list",
        "configs show mine.py --only train_cfg.max_epochs data_root",
        "configs copy stage2/synthetic copied.py",
        "train stage2/synthetic",
        "train copied.py",
    ]
    env = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", SESSION, *lines],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=env,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    place, *said = done.stdout.split("$ ")
    assert place.startswith(str(installed))
    statuses = [int(text.rsplit("status ", 1)[1]) for text in said]
    assert statuses == [0, 0, 0, 0, 2, 2], done.stderr
    assert "stage2/trainval_lora" in said[1]
    assert "train_cfg.max_epochs = 2  # mine.py:2" in said[2]
    assert f"data_root = 'data/synthetic'  # {installed}/mapllava/configs/_base_/" in said[2]
    assert done.stderr.count(f"error: no synthetic city at {tmp_path}/data/synthetic") == 2
    assert "mapllava city data/synthetic" in done.stderr
