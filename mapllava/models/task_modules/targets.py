"""The ground truth of a batch as padded tensors.

Shapes: B batch, G elements (padded), O equivalent orders, P points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mapllava.errors import MapLLaVAError
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_data_sample import MapDataSample


@dataclass
class MapTargets:
    """Padded targets.

    Attributes:
        labels: (B, G) int64, 0 where padded.
        orders: (B, G, O, P, 2) float32, every equivalent order of each element, normalised to
            [0, 1] over the ROI.
        counts: number of elements of each sample.
    """

    labels: Tensor
    orders: Tensor
    counts: list[int]

    @classmethod
    def from_samples(
        cls, data_samples: Sequence[MapDataSample], map_spec: MapSpec, num_points: int, device: torch.device
    ) -> MapTargets:
        """Collect ``gt_instances`` of a batch.

        Raises:
            MapLLaVAError: if the samples were resampled to another number of points than the model predicts.
        """
        counts = [len(sample.gt_instances.labels) for sample in data_samples]
        num_orders = max(sample.gt_instances.orders.shape[1] for sample in data_samples)
        size = max([*counts, 1])
        labels = torch.zeros(len(counts), size, dtype=torch.long)
        orders = torch.zeros(len(counts), size, num_orders, num_points, 2)
        for index, (sample, count) in enumerate(zip(data_samples, counts, strict=True)):
            instances = sample.gt_instances
            if instances.orders.shape[-2] != num_points:
                raise MapLLaVAError(
                    f"sample {sample.sample_token} has {instances.orders.shape[-2]} points per element, the "
                    f"head predicts {num_points}: set ResamplePolylines' num_points to the head's"
                )
            if count:
                labels[index, :count] = instances.labels.cpu()
                orders[index, :count] = map_spec.roi.normalize(instances.orders.cpu().float())
        return cls(labels.to(device, non_blocking=True), orders.to(device, non_blocking=True), counts)
