"""A tiny model, data set and config that MMEngine runs in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import nn

from mapllava.registry import DATASETS, METRICS, MODELS, TRANSFORMS


@TRANSFORMS.register_module(force=True)
class ToyNoise:
    """Augments by NumPy's global generator, like a transform would."""

    def __call__(self, results: dict) -> dict:
        noise = np.random.rand(4).astype(np.float32)  # noqa: NPY002
        x = torch.from_numpy(results["x"] + noise + torch.rand(1).numpy())
        sample = BaseDataElement(metainfo={"sample_token": f"s{results['sample_idx']}"}, x=x)
        return {"inputs": x, "data_samples": sample}


@DATASETS.register_module(force=True)
class ToyDataset(BaseDataset):
    METAINFO = {"version": "toy", "split": "val"}

    def load_data_list(self) -> list[dict]:
        return [{"x": np.full(4, i, dtype=np.float32)} for i in range(8)]


@MODELS.register_module(force=True)
class ToyModel(BaseModel):
    def __init__(
        self, map_spec: dict | None = None, frozen: bool = False, data_preprocessor: dict | None = None
    ):
        super().__init__(data_preprocessor)
        self.base = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)
        self.head = nn.Linear(8, 1)
        self.base.requires_grad_(not frozen)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        x = torch.stack(list(inputs)) if not torch.is_tensor(inputs) else inputs
        y = self.head(nn.functional.dropout(self.norm(self.base(x)), 0.2, self.training))
        if mode == "loss":
            return {"loss_toy": (y - x.mean(1, keepdim=True)).square().mean()}
        return [{"y": float(value), "dtype": str(y.dtype)} for value in y]


@METRICS.register_module(force=True)
class ToyMetric(BaseMetric):
    model_display = None

    def process(self, data_batch, data_samples) -> None:
        self.results += [sample["y"] for sample in data_samples]

    def compute_metrics(self, results) -> dict:
        return {"mAP": -abs(float(np.mean(results)))}


def toy_config(
    work_dir: Path, epochs: int = 2, workers: int = 0, persistent: bool = False, **changes
) -> Config:
    loader = {
        "batch_size": 2,
        "num_workers": workers,
        "persistent_workers": persistent,
        "dataset": {"type": "ToyDataset", "pipeline": [{"type": "ToyNoise"}]},
    }
    cfg = {
        "default_scope": "mapllava",
        "work_dir": str(work_dir),
        "map_spec": {"frame": "lidar", "roi": [-15.0, -30.0, 15.0, 30.0], "classes": ["divider"]},
        "model": {"type": "ToyModel"},
        "train_dataloader": {**loader, "sampler": {"type": "DefaultSampler", "shuffle": True}},
        "val_dataloader": {
            **loader,
            "num_workers": 0,
            "persistent_workers": False,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
        },
        "train_cfg": {"by_epoch": True, "max_epochs": epochs, "val_interval": 1},
        "val_cfg": {},
        "val_evaluator": {"type": "ToyMetric"},
        "optim_wrapper": {"type": "AutocastOptimWrapper", "optimizer": {"type": "AdamW", "lr": 0.01}},
        "param_scheduler": [{"type": "CosineAnnealingLR", "by_epoch": False, "begin": 0}],
        "default_hooks": {
            "checkpoint": {"type": "RunCheckpointHook"},
            "logger": {"type": "LoggerHook", "interval": 1},
        },
        "custom_hooks": [
            {"type": "SafeCheckpointHook"},
            {"type": "WarmupEMAHook"},
            {"type": "ReproducibleEpochsHook"},
            {"type": "NonFiniteLossHook"},
            {"type": "RunFolderHook"},
            {"type": "RunSummaryHook"},
        ],
        "log_level": "ERROR",
    }
    cfg = Config({**cfg, **changes})
    cfg.test_dataloader, cfg.test_evaluator, cfg.test_cfg = cfg.val_dataloader, cfg.val_evaluator, {}
    return cfg
