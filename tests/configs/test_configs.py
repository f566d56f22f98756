"""Every shipped config is a test case: it builds on the meta device with the sizes it promises."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mapllava.engine import inject_map_spec
from mapllava.engine.map_spec_injection import leaf_datasets
from mapllava.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from mapllava.testing import without_pretrained

CONFIGS = Path(__file__).parents[2] / "configs"
LEAVES = sorted(path for path in CONFIGS.rglob("*.py") if "_base_" not in path.parts)

# (total, trainable) parameters in millions, rounded to what a reader would quote
EXPECTED_MILLIONS = {
    "stage2/mini.py": (7719.9, 126.6),
    "stage2/trainval.py": (7719.9, 126.6),
    "stage2/trainval_bev.py": (7723.7, 130.4),
    "stage2/synthetic.py": (3.0, 3.0),
    "stage2/synthetic_no_llm.py": (3.0, 3.0),
    "stage2/synthetic_overfit.py": (3.0, 3.0),
    "stage2/synthetic_points.py": (3.0, 3.0),
    "stage2/synthetic_qformer.py": (2.7, 2.7),
}


def counts(model: torch.nn.Module) -> tuple[int, int]:
    parameters = list(model.parameters())
    return sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)


def load(path: Path) -> Config:
    cfg = Config.fromfile(path)
    inject_map_spec(cfg)
    return cfg


@pytest.mark.parametrize("path", LEAVES, ids=lambda p: p.relative_to(CONFIGS).as_posix())
def test_builds_on_the_meta_device_with_the_promised_sizes(path):
    cfg = load(path)
    with torch.device("meta"):
        model = MODELS.build(without_pretrained(cfg.model))
    total, trainable = (round(count / 1e6, 1) for count in counts(model))
    assert (total, trainable) == EXPECTED_MILLIONS[path.relative_to(CONFIGS).as_posix()]


@pytest.mark.parametrize("path", LEAVES, ids=lambda p: p.relative_to(CONFIGS).as_posix())
def test_every_type_is_registered(path):
    cfg = load(path)
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        assert DATASETS.get(cfg[name].dataset.type) is not None
        for _, dataset in leaf_datasets(cfg, name):
            assert DATASETS.get(dataset.type) is not None
            for step in dataset.pipeline:
                assert TRANSFORMS.get(step.type) is not None, step.type
    assert METRICS.get(cfg.val_evaluator.type) is not None


@pytest.mark.parametrize("path", LEAVES, ids=lambda p: p.relative_to(CONFIGS).as_posix())
def test_one_map_spec_reaches_every_component(path):
    cfg = Config.fromfile(path)
    cfg.merge_from_dict({"map_spec.roi": [-10.0, -20.0, 10.0, 20.0]})
    inject_map_spec(cfg)
    loaders = ("train_dataloader", "val_dataloader")
    datasets = [dataset for name in loaders for _, dataset in leaf_datasets(cfg, name)]
    for part in (cfg.model, *datasets, cfg.val_evaluator):
        assert list(part.map_spec.roi) == [-10.0, -20.0, 10.0, 20.0]
