"""A trained model's BEV maps and patch features, computed once; and a model that starts there."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from mapllava import load_model
from mapllava.config.resolve import leaf_datasets
from mapllava.files import atomic_write
from mapllava.models.camera import Cameras
from mapllava.models.map_llava import MapLLaVA
from mapllava.models.necks.base import NeckOutput
from mapllava.progress import progress_bar
from mapllava.registry import DATASETS, MODELS
from mapllava.structures.map_data_sample import MapDataSample

AUGMENTS = "RandomLateralFlip"
BEV_ENCODER = ("fuse", "place", "blocks", "segment")  # of the neck: what makes the map that is cached
SPLITS = ("train", "val")


@MODELS.register_module()
class CachedMapLLaVA(MapLLaVA):
    """A model whose vision and BEV encoder have done their work; they are kept and do not train."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.vision_encoder.requires_grad_(False)
        for name, parameter in self.neck.named_parameters():
            parameter.requires_grad_(name.partition(".")[0] not in BEV_ENCODER)

    def extract_features(self, inputs: dict[str, Any]) -> NeckOutput:
        """Scene tokens of ``patches`` (B, N, P, C) on their ``grid``, and the given ``bev`` (B, C, Y, X)."""
        self.neck.encode_bev = lambda *_: inputs["bev"]
        return self.neck(inputs["patches"], inputs["grid"], Cameras(inputs["lidar2img"], inputs["img_hw"]))


def cached(model: dict) -> dict:
    """The config of such a model: its patches are averaged already."""
    attention = dict(model["neck"]["attention"], pool=1)
    return dict(model, type="CachedMapLLaVA", neck=dict(model["neck"], attention=attention))


@dataclass
class Features:
    """What a frozen encoder makes of a split: half precision, K samples, N cameras, P averaged patches.

    Attributes:
        patches: (K, N, P, C).
        bev: (K, C_bev, Y, X).
        lidar2img: (K, N, 4, 4) float32.
        grid: Rows and columns of the patches.
        img_hw: Height and width of the images.
        samples: K, with their targets.
    """

    patches: Tensor
    bev: Tensor
    lidar2img: Tensor
    grid: tuple[int, int]
    img_hw: tuple[int, int]
    samples: list[MapDataSample]

    def batch(self, chosen: Sequence[int]) -> tuple[dict[str, Any], list[MapDataSample]]:
        """Inputs and samples of a batch in full precision."""
        rows = torch.as_tensor(chosen)
        inputs = {name: getattr(self, name)[rows].float() for name in ("patches", "bev", "lidar2img")}
        return {**inputs, "grid": self.grid, "img_hw": self.img_hw}, [self.samples[i] for i in rows.tolist()]


def cache_path(folder: Path, model: Path, cfg: Any) -> Path:
    """A file name that tells model, ground truth and pipeline apart."""
    digest = hashlib.sha256(model.read_bytes())
    for split in SPLITS:
        for _, dataset in leaf_datasets(cfg, f"{split}_dataloader"):
            digest.update(repr(dataset).encode())
    return folder / f"features_{digest.hexdigest()[:12]}.pt"


def read_features(path: Path) -> dict[str, Features]:
    """What :func:`write_features` wrote, mapped and not read. It is a pickle: one's own file only."""
    splits = torch.load(path, mmap=True, weights_only=False)
    return {split: Features(**values) for split, values in splits.items()}


def write_features(path: Path, model_file: Path, cfg: Any) -> None:
    """Run the encoders of a trained model over both splits, without augmentation.

    Args:
        path: The file to write.
        model_file: The trained model.
        cfg: A config, resolved: its data sets.
    """
    model = load_model(model_file, "cpu").model
    splits = {split: vars(_encode(model, split, cfg[f"{split}_dataloader"])) for split in SPLITS}
    with atomic_write(path) as partial:
        torch.save(splits, partial)


@torch.no_grad()
def _encode(model: nn.Module, split: str, loader: Any) -> Features:
    whole = copy.deepcopy(loader.dataset)
    whole["pipeline"] = [step for step in whole["pipeline"] if step["type"] != AUGMENTS]
    dataset = DATASETS.build(whole)
    parts: dict[str, list[Tensor]] = {"patches": [], "bev": [], "lidar2img": []}
    samples: list[MapDataSample] = []
    settings = dict(batch_size=loader.batch_size, num_workers=loader.num_workers)
    batches = DataLoader(dataset, collate_fn=pseudo_collate, **settings)
    with progress_bar(f"BEV maps of {split}", len(dataset), True) as advance:
        for data in batches:
            inputs = model.data_preprocessor(data)["inputs"]
            img_hw = tuple(inputs["img"].shape[-2:])
            grid = model.vision_encoder.grid_size(img_hw)
            feats = model.vision_encoder(inputs["img"])
            bev = model.neck.encode_bev(feats, grid, Cameras(inputs["lidar2img"], img_hw))
            patches, coarse = _average(feats, grid, model.neck.attention_pool)
            parts["patches"].append(patches.half())
            parts["bev"].append(bev.half().contiguous())
            parts["lidar2img"].append(inputs["lidar2img"])
            samples += data["data_samples"]
            advance(len(data["data_samples"]))
    return Features(**{key: torch.cat(rows) for key, rows in parts.items()}, grid=coarse, img_hw=img_hw,
                    samples=samples)  # fmt: skip


def _average(feats: Tensor, grid: tuple[int, int], pool: int) -> tuple[Tensor, tuple[int, int]]:
    """Patches (B, N, h*w, C) averaged over squares as the neck's attention would."""
    coarse = (-(-grid[0] // pool), -(-grid[1] // pool))
    image = feats.flatten(0, 1).transpose(1, 2).unflatten(-1, grid)
    averaged = F.adaptive_avg_pool2d(image, coarse).flatten(2).transpose(1, 2)
    return averaged.unflatten(0, feats.shape[:2]), coarse
