"""Pieces shared by the components around transformers."""

import ast
from pathlib import Path

import pytest
import torch
from torch import nn

import mapllava
from mapllava.models.backbones.hf_backbone import open_source, resolve_dtype, settle


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
    assert open_source(None, {}, "X") is None
    with pytest.raises(ValueError, match="X needs 'pretrained'"):
        open_source(None, None, "X")


def test_settle_freezes_parameters_and_mode():
    backbone = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    settle(backbone, frozen=True, gradient_checkpointing=False)
    assert not backbone[1].training
    assert not any(p.requires_grad for p in backbone.parameters())
