"""A head of one's own: one prediction, without refinement."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mapllava.registry import MODELS
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_data_sample import MapDataSample


@MODELS.register_module()
class OneShotHead(BaseModule):
    """Class logits and points of every instance by one linear layer each.

    What the detector needs of a head: ``forward``, ``loss``, ``predict``, and ``avg_factor`` where its losses
    are means over something else than samples. Matching and losses are those of ``MapCriterion``.

    Args:
        in_channels: D of the decoder (given by the detector).
        bev_dims: channels of the neck's BEV map (given by the detector; unused here).
        num_instances: I (given by the detector).
        map_spec: frame, ROI and classes (given by the detector).
        num_points: P, points of an element.
        criterion: config of matching and losses.
    """

    def __init__(
        self,
        in_channels: int,
        bev_dims: int,
        num_instances: int,
        map_spec: MapSpec,
        num_points: int,
        criterion: dict,
    ) -> None:
        super().__init__()
        self.map_spec, self.num_points = map_spec, num_points
        self.classify = nn.Linear(in_channels, len(map_spec.classes))
        self.place = nn.Linear(in_channels, 2 * num_points)
        given = dict(map_spec=map_spec, num_points=num_points, num_instances=num_instances, bev_dims=bev_dims)
        self.criterion = MODELS.build(dict(criterion, **given))

    def forward(self, instances: Tensor, points: Tensor | None, bev: Tensor | None) -> tuple[Tensor, Tensor]:
        """Decoded instances (B, I, D) to logits (1, B, I, n_classes) and points (1, B, I, P, 2) in [0, 1]."""
        places = self.place(instances).float().sigmoid().unflatten(-1, (self.num_points, 2))
        return self.classify(instances).float()[None], places[None]

    def loss(
        self, logits: Tensor, points: Tensor, data_samples: Sequence[MapDataSample], bev: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The criterion's losses."""
        return self.criterion(logits, points, data_samples, bev)

    def avg_factor(self, data_samples: Sequence[MapDataSample]) -> float:
        """What the criterion's losses of a batch are averaged over."""
        return self.criterion.avg_factor(data_samples)

    def predict(self, logits: Tensor, points: Tensor) -> list[InstanceData]:
        """Every instance with its best class: points (I, P, 2) in metres, scores (I,) and labels (I,)."""
        scores, labels = logits[-1].sigmoid().max(-1)
        metres = self.map_spec.roi.denormalize(points[-1])
        return [
            InstanceData(points=place, scores=score, labels=label)
            for place, score, label in zip(metres, scores, labels, strict=True)
        ]
