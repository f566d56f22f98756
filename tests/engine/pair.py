"""Two gloo processes on this machine, and a tiny map model and data set for them to train."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.structures import InstanceData, PixelData
from torch import multiprocessing

from mapllava.engine import build_runner
from mapllava.geometry.permutations import equivalent_orders
from mapllava.registry import DATASETS, HOOKS
from mapllava.structures.map_data_sample import MapDataSample

SPEC = {"frame": "lidar", "roi": [-8.0, -16.0, 8.0, 16.0], "classes": ["divider", "ped_crossing", "boundary"]}
POINTS = 6


def run_pair(worker: Callable[..., None], *args: Any, timeout: float = 900.0) -> None:
    """Call ``worker(*args)`` in two processes whose environment is torchrun's; never hangs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.start_processes(
        _enter, (port, worker, args), nprocs=2, join=False, start_method="spawn"
    )
    ends = time.monotonic() + timeout
    try:
        while not context.join(timeout=1.0):
            assert time.monotonic() < ends, f"{worker.__name__}: no end after {timeout} s"
    finally:
        for process in context.processes:
            process.kill()


def _enter(rank: int, port: int, worker: Callable[..., None], args: tuple) -> None:
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    worker(*args)


def rank() -> int:
    return int(os.environ.get("RANK", 0))


@DATASETS.register_module(force=True)
class PairDataset(BaseDataset):
    """Two cameras of noise; samples have from ``least`` elements to three more, in turn."""

    METAINFO = {"version": "pair", "split": "made up"}

    def __init__(self, count: int, least: int = 1, **kwargs: Any) -> None:
        self.count, self.least = count, least
        kwargs.pop("map_spec", None)
        super().__init__(serialize_data=False, **kwargs)

    def load_data_list(self) -> list[dict]:
        return [{"index": index} for index in range(self.count)]

    def prepare_data(self, idx: int) -> dict:
        index = self.get_data_info(idx)["index"]
        random = np.random.default_rng(index)
        labels = np.arange(self.least + index % 4) % 3
        x = random.uniform(-7, 7, (len(labels), 1))
        points = np.stack([x.repeat(POINTS, 1), np.linspace(-12, 12, POINTS)[None].repeat(len(x), 0)], -1)
        points = torch.from_numpy(points.astype(np.float32))
        lines = [
            {"label": int(label), "points": line.numpy(), "closed": False}
            for label, line in zip(labels, points, strict=True)
        ]
        sample = MapDataSample(
            metainfo={
                "sample_token": f"sample {index}",
                "map_spec": SPEC,
                "polylines": lines,
                "lidar2img": _projections(),
            }
        )
        sample.gt_instances = InstanceData(
            labels=torch.from_numpy(labels),
            points=points,
            orders=points[:, torch.from_numpy(equivalent_orders(POINTS, False))],
        )
        sample.gt_bev = PixelData(data=torch.from_numpy(random.integers(0, 2, (3, 16, 8)).astype(np.uint8)))
        img = torch.from_numpy(random.integers(0, 255, (2, 3, 28, 56)).astype(np.uint8))
        return {"inputs": {"img": img}, "data_samples": sample}


def _projections() -> np.ndarray:
    """(2, 4, 4): a camera that looks along +y and one along -y."""
    k = np.diag([20.0, 20.0, 1.0, 1.0])
    k[0, 2], k[1, 2] = 27.5, 13.5
    front = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    back = np.array([[-1.0, 0, 0, 0], [0, 0, -1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    return np.stack([k @ front, k @ back]).astype(np.float32)


@HOOKS.register_module(force=True)
class KeepSteps(Hook):
    """Writes each step's losses, gradient norm and learning rate, one file a rank."""

    priority = "LOWEST"

    def __init__(self, file: str) -> None:
        self.file, self.steps = file, []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        scalars = runner.message_hub.log_scalars
        norm = float(scalars["train/grad_norm"].current()) if "train/grad_norm" in scalars else None
        rate = runner.optim_wrapper.optimizer.param_groups[0]["lr"]
        groups = {key: float(scalars[key].current()) for key in scalars if key.startswith("train/grad_norm/")}
        loss = float(outputs["loss"].detach())
        self.steps.append({"loss": loss, "norm": norm, "lr": rate, "groups": groups})

    def after_val_epoch(self, runner, metrics=None) -> None:
        self.steps[-1]["mAP"] = float(metrics["mAP"])

    def after_train(self, runner) -> None:
        torch.save(self.steps, f"{self.file}.{rank()}")


def pair_model(blip2: Path, dilations: tuple[int, ...] = ()) -> dict:
    """Vision tower frozen in bfloat16, Q-Former and language model trained with checkpointing."""
    layer = dict(
        type="RefinementLayer", embed_dims=16, point_dims=8, num_heads=2, ffn_dims=32, num_samples=2,
        num_frequencies=3,
    )  # fmt: skip
    llama = dict(
        model_type="llama", vocab_size=259, hidden_size=24, intermediate_size=33, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=256,
    )  # fmt: skip
    return dict(
        type="MapLLaVA",
        data_preprocessor=dict(type="MapDataPreprocessor"),
        vision_encoder=dict(
            type="Blip2VisionEncoder", pretrained=str(blip2), frozen=True, dtype="bfloat16"
        ),
        neck=dict(
            type="BEVQFormerNeck",
            bev_dims=12,
            cell=2.0,
            heights=[-1.8],
            tokens=dict(stride=4),
            dilations=list(dilations),  # BEV convolutions, each with a BatchNorm
            attention=dict(radius=6.0, pool=1),
            loss_bev=dict(bce=1.0, dice=1.0),
            qformer=dict(type="QFormerCore", gradient_checkpointing=True, architecture=dict(
                hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
                cross_attention_frequency=1, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
            )),
        ),
        map_queries=dict(type="InstanceMapQueries", num_instances=6),
        decoder=dict(
            type="LLMMapDecoder", prompt="Map.", frozen=False, gradient_checkpointing=True,
            architecture=llama,
        ),
        head=dict(
            type="VectorMapHead",
            num_points=POINTS,
            num_layers=1,
            layer=layer,
            criterion=dict(
                type="MapCriterion",
                assigner=dict(
                    type="HungarianMapAssigner",
                    costs=[dict(type="FocalClassCost"), dict(type="OrderedPointsL1Cost")],
                ),
                losses=dict(
                    cls=dict(type="FocalClassLoss"),
                    pts=dict(type="PointsL1Loss"),
                    dir=dict(type="DirectionCosineLoss"),
                ),
            ),
            max_predictions=6,
        ),
    )  # fmt: skip


def pair_config(work_dir: Path, blip2: Path, batch: int, **changes: Any) -> Config:
    """Two epochs of eight samples, validation on five; ``changes`` are merged in."""
    loader = dict(batch_size=batch, num_workers=0)
    val = dict(
        **loader,
        dataset=dict(type="PairDataset", count=5),
        sampler=dict(type="DefaultSampler", shuffle=False),
    )
    cfg = dict(
        default_scope="mapllava",
        work_dir=str(work_dir),
        map_spec=SPEC,
        model=pair_model(blip2),
        train_dataloader=dict(
            **loader,
            dataset=dict(type="PairDataset", count=8),
            sampler=dict(type="DefaultSampler", shuffle=True),
        ),
        val_dataloader=val,
        train_cfg=dict(by_epoch=True, max_epochs=2, val_interval=1),
        val_cfg={},
        val_evaluator=dict(type="VectorMapMetric"),
        optim_wrapper=dict(
            type="AutocastOptimWrapper",
            # eps well above rounding: otherwise AdamW turns noise in zero gradients into full steps
            optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.01, eps=1e-5),
            clip_grad=dict(max_norm=1.0),
            constructor="MapOptimWrapperConstructor",
            paramwise_cfg=dict(groups=dict(llm=dict(prefix="decoder.backbone", lr_mult=0.5))),
        ),
        param_scheduler=[dict(type="CosineAnnealingLR", by_epoch=False, begin=0, T_max=4)],
        default_hooks=dict(checkpoint=dict(type="RunCheckpointHook")),
        custom_hooks=[
            dict(type="SafeCheckpointHook"),
            dict(type="WarmupEMAHook"),
            dict(type="ReproducibleEpochsHook"),
            dict(type="SharedBuffersHook"),
            dict(type="NonFiniteLossHook"),
            dict(type="GradientNormHook"),
            dict(type="KeepSteps", file=str(work_dir) + ".steps"),
        ],
        log_level="ERROR",
    )
    cfg = Config(cfg)
    cfg.merge_from_dict(changes)
    cfg.test_dataloader, cfg.test_evaluator, cfg.test_cfg = cfg.val_dataloader, cfg.val_evaluator, {}
    return cfg


def train(cfg: Config) -> Any:
    """Train and return the runner."""
    runner = build_runner(cfg)
    runner.train()
    return runner
