"""Pieces shared by the components around transformers."""

import ast
import inspect
from pathlib import Path

import pytest
import torch

import mapllava
from mapllava.models.backbones.hf_backbone import HFBackbone, resolve_dtype, takes_backbone


def test_transformers_is_imported_only_inside_functions():
    """Importing the package for its plain components must not cost transformers."""
    guilty = []
    for path in Path(mapllava.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            heavy = {"transformers", "huggingface_hub"} & {name.split(".")[0] for name in names}
            guilty += [f"{path.name}: {name}" for name in heavy]
    assert guilty == []


@pytest.mark.parametrize(("name", "dtype"), [(None, torch.float32), ("bfloat16", torch.bfloat16)])
def test_dtypes_by_name(name, dtype):
    assert resolve_dtype(name) is dtype


@pytest.mark.parametrize("name", ["bf16", "int8", "nn"])
def test_other_names_are_no_dtypes(name):
    with pytest.raises(ValueError, match=f"dtype '{name}'"):
        resolve_dtype(name)


def test_a_random_start_needs_an_architecture():
    assert HFBackbone("X", architecture={}).source is None
    with pytest.raises(ValueError, match="X needs 'pretrained'"):
        HFBackbone("X")


def test_signatures_name_what_a_backbone_takes():
    @takes_backbone
    def constructor(self, first, frozen=False, **backbone):
        return backbone

    parameters = inspect.signature(constructor).parameters
    assert list(parameters)[:3] == ["self", "first", "frozen"]
    assert parameters["frozen"].default is False
    assert set(parameters) - {"self", "first"} == set(inspect.signature(HFBackbone).parameters) - {
        "component"
    }
    assert constructor(None, 1, dtype="float16") == {"dtype": "float16"}
