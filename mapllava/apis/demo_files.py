"""Where the package keeps its own small model, one sample for it, and a request parser."""

from __future__ import annotations

from pathlib import Path

from mapllava.errors import MapLLaVAError

FOLDER = Path(__file__).parents[1] / "demo"
MODEL, CARD, SAMPLE, TRUTH = "model.pth", "card.json", "sample", "truth.json"
"""The model file, what is known of it, a folder of images with ``rig.json``, and that sample's true map."""

PARSER = "parser.pth"
"""An adapter that reads requests in words; its language model is one of :mod:`mapllava.published`."""


def model_file() -> Path:
    """The package's own model.

    Raises:
        MapLLaVAError: If this installation has none.
    """
    return _there(FOLDER / MODEL)


def parser_file() -> Path:
    """The package's own request parser; raises as :func:`model_file`."""
    return _there(FOLDER / PARSER)


def sample_folder() -> Path:
    """Its sample: six images and their ``rig.json``; raises as :func:`model_file`."""
    return _there(FOLDER / SAMPLE)


def folder_beside(model: Path, name: str) -> Path:
    """Where what is made of a model goes: beside its file, and of the package's own below ``outputs``."""
    own = model.resolve().parent == FOLDER.resolve()
    return Path("outputs") / f"demo_{name}" if own else model.parent / name


def _there(path: Path) -> Path:
    if not path.exists():
        raise MapLLaVAError(f"'{path}' is not there: this installation lacks a part; install the wheel again")
    return path
