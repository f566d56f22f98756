"""Packaging: requirements come from requirements/*.txt, the version from mapllava/version.py."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


def read_requirements(name: str) -> list[str]:
    """The lines of requirements/<name>.txt without comments."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def read_version() -> str:
    """``__version__`` without importing the package."""
    match = re.search(r'__version__ = "(.+)"', (ROOT / "mapllava" / "version.py").read_text(encoding="utf-8"))
    if match is None:
        raise RuntimeError("mapllava/version.py states no __version__")
    return match.group(1)


class BuildWithConfigs(build_py):
    """Puts configs/ into the package of a wheel; an editable installation reads the checkout's own."""

    def run(self) -> None:
        """Build anew, then copy."""
        package = Path(self.build_lib) / "mapllava"
        if not self.editable_mode:
            shutil.rmtree(package, ignore_errors=True)  # an earlier build's, with modules that are gone
        super().run()
        if not self.editable_mode:
            left_out = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / "configs", package / "configs", ignore=left_out)


# timm is not in "all": it brings a torchvision, which must be the one for the torch installed
EXTRAS = ("dev", "docs", "tensorboard", "wandb", "lora", "quant", "gpu", "smollm2", "av2", "timm")

setup(
    name="mapllava",
    version=read_version(),
    description="Multimodal LLMs that draw vectorised HD maps from surround cameras",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.13",
    packages=find_packages(include=["mapllava", "mapllava.*"]),
    package_data={
        "mapllava": ["**/*.json", "**/*.txt", "**/*.html", "**/*.css", "**/*.js", "demo/*", "demo/**/*"]
    },
    cmdclass={"build_py": BuildWithConfigs},
    entry_points={"console_scripts": ["mapllava = mapllava.__main__:main"]},
    install_requires=read_requirements("runtime"),
    extras_require={
        **{name: read_requirements(name) for name in EXTRAS},
        "all": sorted({line for name in EXTRAS if name != "timm" for line in read_requirements(name)}),
    },
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
    ],
)
