"""The vector map head: decoded queries in, scored polylines in metres out.

Shapes: L layers (the decoder's own prediction and one per refinement layer), B batch, I instances,
P points, D decoder channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mapllava.config.mistake import check_sizes
from mapllava.models.heads.refinement_layer import mlp, point_branch
from mapllava.models.losses.reduction import avg_factor
from mapllava.registry import MODELS
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_data_sample import MapDataSample

PRIOR_PROBABILITY = 0.01  # of a class at the start, as usual with the focal loss


def inverse_sigmoid(x: Tensor, eps: float = 1e-4) -> Tensor:
    """Logit of x in [0, 1], of any shape, kept finite."""
    x = x.clamp(eps, 1 - eps)
    return torch.log(x / (1 - x))


def _class_embed(dims: int, num_classes: int) -> nn.Sequential:
    """Instance content to class logits, starting from the prior probability."""
    last = nn.Linear(dims, num_classes)
    nn.init.constant_(last.bias, -math.log((1 - PRIOR_PROBABILITY) / PRIOR_PROBABILITY))
    return nn.Sequential(nn.LayerNorm(dims), nn.Linear(dims, dims), nn.ReLU(), last)


@MODELS.register_module()
class VectorMapHead(BaseModule):
    """Class scores and points by iterative refinement, with losses at every layer.

    The first prediction is the decoder's own: what it made of the queries moves their learned
    references, so that the refinement layers look where it believes the elements to be.

    Args:
        in_channels: D of the decoder (given by the detector).
        bev_dims: channels of the neck's BEV map, 0 for none (given by the detector).
        num_instances: I (given by the detector).
        map_spec: frame, ROI and classes (given by the detector).
        num_points: P, points of an element.
        num_layers: refinement layers, L - 1.
        layer: config of one refinement layer, with its ``embed_dims`` and ``point_dims``.
        criterion: config of matching and losses.
        max_predictions: elements kept per sample, the best of all (instance, class) scores.
        direct: let the first prediction move all points of an instance at once, by a small network on the
            instance; without, each point moves by its own content, which no point of the scene has reached
            yet.
    """

    def __init__(
        self,
        in_channels: int,
        bev_dims: int,
        num_instances: int,
        map_spec: MapSpec,
        num_points: int,
        num_layers: int,
        layer: dict,
        criterion: dict,
        max_predictions: int,
        direct: bool = False,
    ) -> None:
        super().__init__()
        check_sizes("VectorMapHead", num_points=num_points, max_predictions=max_predictions)
        check_sizes("VectorMapHead", 0, num_layers=num_layers)  # without: the decoder's own prediction
        self.map_spec, self.num_points, self.max_predictions = map_spec, num_points, max_predictions
        dims, point_dims = layer["embed_dims"], layer["point_dims"]
        num_classes = len(map_spec.classes)
        self.reduce = nn.Sequential(nn.LayerNorm(in_channels), nn.Linear(in_channels, dims))
        if num_layers or not direct:  # else nothing would read the points' content
            self.reduce_points = nn.Sequential(nn.LayerNorm(in_channels), nn.Linear(in_channels, point_dims))
            self.expand = nn.Parameter(torch.empty(num_points, point_dims))
            nn.init.normal_(self.expand, std=0.1)
        self.references = nn.Parameter(self._first_references(num_instances))
        if direct:
            self.direct = mlp(dims, dims, 2 * num_points, still=True)
        else:
            self.point_branch = point_branch(point_dims)
        shared = dict(layer, bev_dims=bev_dims, num_points=num_points)
        self.layers = nn.ModuleList(MODELS.build(shared) for _ in range(num_layers))
        self.class_embed = nn.ModuleList(_class_embed(dims, num_classes) for _ in range(1 + num_layers))
        given = dict(map_spec=map_spec, num_points=num_points, num_instances=num_instances, bev_dims=bev_dims)
        self.criterion = MODELS.build(dict(criterion, **given))

    def _first_references(self, num_instances: int) -> Tensor:
        """First references (I, P, 2) in inverse-sigmoid space, spread over the ROI.

        The centres lie on a grid, and each query starts as a short line along the car. Queries that all
        started from one place would all be pulled to the same element.
        """
        length, width = self.map_spec.roi.length_and_width(self.map_spec.frame)
        lanes = max(1, round(math.sqrt(num_instances / (length / width))))
        ranks = math.ceil(num_instances / lanes)
        index = torch.arange(num_instances)
        across = ((index % lanes).float() + 0.5) / lanes
        ahead = (torch.div(index, lanes, rounding_mode="floor").float() + 0.5) / ranks
        line = torch.linspace(-0.5, 0.5, self.num_points, device=index.device) * (1.5 / ranks)
        points = torch.stack([across[:, None].expand(-1, self.num_points), ahead[:, None] + line], dim=-1)
        if self.map_spec.forward_axis == 0:
            points = points.flip(-1)
        return inverse_sigmoid(points.clamp(0.02, 0.98))

    def forward(self, instances: Tensor, points: Tensor | None, bev: Tensor | None) -> tuple[Tensor, Tensor]:
        """Predict classes and points at every layer.

        Args:
            instances: (B, I, D) decoded instance queries.
            points: (B, I, P, D) decoded point queries, or None where points are expanded here.
            bev: (B, bev_dims, Y, X) of the neck, or None.

        Returns:
            logits (L, B, I, n_classes) and points (L, B, I, P, 2) in [0, 1], float32.
        """
        state = self.reduce(instances)
        content = self._point_content(instances, points) if hasattr(self, "expand") else None
        if hasattr(self, "direct"):
            move = self.direct(state).unflatten(-1, (self.num_points, 2))
        else:
            move = self.point_branch(content)
        moved = self.references.float() + move.float()
        all_points = [moved.sigmoid()]
        all_logits = [self.class_embed[0](state).float()]
        for layer, class_embed in zip(self.layers, self.class_embed[1:], strict=True):
            # Detached: a layer's loss trains its own move, and no gradient grows from layer to layer
            references = moved.detach().sigmoid()  # (B, I, P, 2)
            state, content, move = layer(state, content, references, bev)
            moved = inverse_sigmoid(references) + move
            all_points.append(moved.sigmoid())
            all_logits.append(class_embed(state).float())
        return torch.stack(all_logits), torch.stack(all_points)

    def _point_content(self, instances: Tensor, points: Tensor | None) -> Tensor:
        """Content of the points (B, I, P, E): of their own queries, or else of their instance's."""
        given = self.reduce_points(instances).unsqueeze(2) if points is None else self.reduce_points(points)
        return self.expand + given

    def loss(
        self, logits: Tensor, points: Tensor, data_samples: Sequence[MapDataSample], bev: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Losses of all layers, see :class:`~mapllava.models.heads.criterion.MapCriterion`.

        Args:
            logits: (L, B, I, n_classes).
            points: (L, B, I, P, 2) in [0, 1].
            data_samples: B, with ``gt_instances``.
            bev: (B, bev_dims, Y, X) of the neck, or None.
        """
        return self.criterion(logits, points, data_samples, bev)

    def avg_factor(self, data_samples: Sequence[MapDataSample]) -> float:
        """What the criterion's losses of a batch are averaged over."""
        return avg_factor(self.criterion, data_samples)

    def predict(self, logits: Tensor, points: Tensor) -> list[InstanceData]:
        """The last layer's best elements of each sample.

        Args:
            logits: (L, B, I, n_classes).
            points: (L, B, I, P, 2) in [0, 1].

        Returns:
            One InstanceData per sample, best first: ``points`` (K, P, 2) metres, ``scores`` (K,),
            ``labels`` (K,), ``bboxes`` (K, 4) as x_min, y_min, x_max, y_max of the points.
        """
        # The best (instance, class) pairs: index // n_classes is the instance, index % n_classes the class
        scores = logits[-1].float().sigmoid().flatten(1)  # (B, I * n_classes)
        keep, index = scores.topk(min(self.max_predictions, scores.shape[1]), dim=1)
        num_classes = logits.shape[-1]
        metres = self.map_spec.roi.denormalize(points[-1].float())
        results = []
        for sample in range(len(scores)):
            chosen = metres[sample, torch.div(index[sample], num_classes, rounding_mode="floor")]
            boxes = torch.cat([chosen.amin(1), chosen.amax(1)], dim=-1)
            labels = index[sample] % num_classes
            results.append(InstanceData(points=chosen, scores=keep[sample], labels=labels, bboxes=boxes))
        return results
