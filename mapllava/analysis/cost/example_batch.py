"""A made-up training batch of a config's real shapes.

Shapes: N cameras, H x W pixels, G elements, O orders, P points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from mmengine.structures import InstanceData, PixelData

from mapllava.config.walk import dicts
from mapllava.errors import MapLLaVAError
from mapllava.geometry import order_table
from mapllava.models.surround_rig import surround_cameras
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_data_sample import MapDataSample

_CAMERA_HW = (900, 1600)  # nuScenes' images, where a pipeline names a scale instead of a size


@dataclass(frozen=True)
class SampleShape:
    """Sizes of one training sample.

    Attributes:
        map_spec: frame, ROI and classes.
        img_hw: (H, W) of the network's input.
        num_cameras: N.
        num_points: P.
        bev_hw: cells (Y, X) of the auxiliary segmentation, or None.
        num_elements: G.
    """

    map_spec: MapSpec
    img_hw: tuple[int, int]
    num_cameras: int
    num_points: int
    bev_hw: tuple[int, int] | None
    num_elements: int = 20

    @classmethod
    def from_config(cls, cfg: Any, num_elements: int = 20) -> SampleShape:
        """Sizes from a full config: its training pipeline, neck and head.

        Raises:
            MapLLaVAError: if the model draws no map, or the training pipeline names no image size.
        """
        model = cfg["model"]
        if "neck" not in model or "head" not in model:
            raise MapLLaVAError(
                f"a plan is of a model that draws maps; {model.get('type')} has no neck and head: train it "
                "with the config's batch size, and lower train_dataloader.batch_size where memory ends"
            )
        spec = MapSpec.from_config(dict(cfg["map_spec"]))
        found = dicts(cfg.get("train_dataloader"))
        steps: list[dict] = next((node["pipeline"] for _, node in found if node.get("pipeline")), [])
        neck, head = cfg["model"]["neck"], cfg["model"]["head"]
        cell = neck.get("cell") if neck.get("loss_bev") else None
        return cls(
            map_spec=spec,
            img_hw=_img_hw(steps),
            num_cameras=int(neck.get("num_cameras", 6)),
            num_points=int(head["num_points"]),
            bev_hw=None if cell is None else spec.roi.grid_shape(float(cell)),
            num_elements=num_elements,
        )


def example_batch(shape: SampleShape, batch_size: int, seed: int = 0) -> dict[str, Any]:
    """A batch as the data loader gives it: ``inputs`` (lists of tensors) and ``data_samples``."""
    generator = torch.Generator().manual_seed(seed)
    size = (shape.num_cameras, 3, *shape.img_hw)
    images = [torch.randint(0, 256, size, dtype=torch.uint8, generator=generator) for _ in range(batch_size)]
    samples = [_sample(shape, index, generator) for index in range(batch_size)]
    return {"inputs": {"img": images}, "data_samples": samples}


def _sample(shape: SampleShape, index: int, generator: torch.Generator) -> MapDataSample:
    """Lines through the ROI, every other one closed, and the rig around the car."""
    count, roi = shape.num_elements, shape.map_spec.roi
    lower, extent = torch.tensor([roi.x_min, roi.y_min]), torch.tensor([roi.width, roi.height])
    ends = torch.rand(count, 2, 1, 2, generator=generator)
    along = torch.linspace(0, 1, shape.num_points)[:, None]
    points = lower + extent * (ends[:, 0] * (1 - along) + ends[:, 1] * along)
    closed = torch.arange(count) % 2 == 1
    points[closed, -1] = points[closed, 0]
    table = torch.from_numpy(order_table(shape.num_points).copy())
    line = torch.arange(count)[:, None, None]
    orders = points[line, table[closed.long()]]  # (G, O, P, 2)
    labels = torch.randint(0, len(shape.map_spec.classes), (count,), generator=generator)
    sample = MapDataSample(metainfo={"sample_token": f"example {index}"})
    sample.set_metainfo(
        {"lidar2img": surround_cameras(shape.img_hw, 1, shape.num_cameras).lidar2img[0].numpy()}
    )
    sample.gt_instances = InstanceData(labels=labels, points=points, orders=orders, closed=closed)
    if shape.bev_hw is not None:
        drawn = torch.rand(len(shape.map_spec.classes), *shape.bev_hw, generator=generator) < 0.1
        sample.gt_bev = PixelData(data=drawn.to(torch.uint8))
    return sample


def _img_hw(steps: list[dict]) -> tuple[int, int]:
    height, width = _CAMERA_HW
    known = False
    for step in steps:
        if step.get("type") in ("LoadMultiViewImages", "ResizeMultiView"):
            known = True
            if step.get("size") is not None:
                width, height = (int(side) for side in step["size"])
            elif step.get("scale") is not None:
                height, width = (round(side * float(step["scale"])) for side in (height, width))
        elif step.get("type") == "CropMultiView":
            height -= int(step.get("top", 0)) + int(step.get("bottom", 0))
            width -= int(step.get("left", 0)) + int(step.get("right", 0))
    if not known:
        raise MapLLaVAError(
            "the training pipeline loads no images: train_dataloader.dataset.pipeline needs "
            "LoadMultiViewImages(size=(width, height)), from which the image size is read"
        )
    return height, width
