"""The head's criterion: predictions matched to elements, and every registered loss at every layer.

Shapes: L layers (the decoder's own prediction and one per refinement layer), B batch, I instances, P points,
G elements (padded), O equivalent orders, M matched pairs of all layers and samples, Y x X BEV cells.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mapllava.errors import MapLLaVAError
from mapllava.models.interface_checks import check_tensor
from mapllava.models.precision import full_precision
from mapllava.models.task_modules.hungarian_assigner import Assignment
from mapllava.models.task_modules.targets import MapTargets
from mapllava.registry import MODELS, TASK_UTILS
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_data_sample import MapDataSample


@dataclass
class LossInputs:
    """What a loss may take: its ``forward`` names the attributes that it wants.

    Attributes:
        logits: (L, B, I, n_classes).
        points: (L, B, I, P, 2) in [0, 1] over the ROI.
        bev: (B, C, Y, X) map of the neck; only where it gives one.
        targets: the elements of the batch, padded.
        pairs: what was matched to what, four index tensors (M,).
        map_spec: frame, ROI and classes.
    """

    logits: Tensor
    points: Tensor
    bev: Tensor | None
    targets: MapTargets
    pairs: Assignment
    map_spec: MapSpec

    @cached_property
    def class_targets(self) -> Tensor:
        """One-hot classes (L, B, I, n_classes), all 0 where nothing was matched."""
        one_hot = torch.zeros_like(self.logits)
        one_hot[self.pairs.layer, self.pairs.sample, self.pairs.prediction, self.target_labels] = 1.0
        return one_hot

    @cached_property
    def target_labels(self) -> Tensor:
        """Classes (M,) int64 of the elements of the pairs."""
        return self.targets.labels[self.pairs.sample, self.pairs.element]

    @cached_property
    def matched_logits(self) -> Tensor:
        """Class logits (M, n_classes) of the predictions of the pairs."""
        return self.logits[self.pairs.layer, self.pairs.sample, self.pairs.prediction]

    @cached_property
    def matched_points(self) -> Tensor:
        """Points (M, P, 2) in [0, 1] of the predictions of the pairs."""
        return self.points[self.pairs.layer, self.pairs.sample, self.pairs.prediction]

    @cached_property
    def target_points(self) -> Tensor:
        """Points (M, P, 2) in [0, 1] of the elements, in the equivalent order nearest to the prediction."""
        orders = self.targets.orders[self.pairs.sample, self.pairs.element]  # (M, O, P, 2)
        nearest = (orders - self.matched_points.detach().unsqueeze(1)).abs().sum((2, 3)).argmin(1)
        return orders[torch.arange(len(nearest), device=nearest.device), nearest]

    @cached_property
    def matched_metres(self) -> Tensor:
        """``matched_points`` (M, P, 2) in metres."""
        return self.map_spec.roi.denormalize(self.matched_points)

    @cached_property
    def target_metres(self) -> Tensor:
        """``target_points`` (M, P, 2) in metres."""
        return self.map_spec.roi.denormalize(self.target_points)


ON_OFFER = (
    *LossInputs.__dataclass_fields__,
    *(name for name, value in vars(LossInputs).items() if isinstance(value, cached_property)),
)


@MODELS.register_module()
class MapCriterion(BaseModule):
    """Hungarian matching of every layer, and all losses of the config on what it found.

    A loss is a registered module. The arguments of its ``forward`` are names of :class:`LossInputs`, one with
    a default may be missing there. It gives one value per matched pair (M,), or, with a class attribute
    ``per_layer = True``, one per layer (L,): sums, which are divided here by the number of positives.

    Args:
        map_spec: frame, ROI and classes (given by the head).
        num_points: P (given by the head).
        num_instances: I (given by the head).
        bev_dims: channels of the neck's BEV map, 0 for none (given by the head).
        assigner: config of the matcher.
        losses: name in the log to config of the loss; None leaves out one that is inherited.

    Raises:
        MapLLaVAError: if there is no loss, or one asks for what there is not.
    """

    def __init__(
        self,
        map_spec: MapSpec,
        num_points: int,
        num_instances: int,
        bev_dims: int,
        assigner: dict,
        losses: dict[str, dict | None],
    ) -> None:
        super().__init__()
        self.map_spec, self.num_points, self.num_instances = map_spec, num_points, num_instances
        self.assigner = TASK_UTILS.build(assigner)
        if not isinstance(losses, Mapping):
            raise MapLLaVAError(f"model.head.criterion.losses is {losses!r}: write dict(NAME=dict(type=…))")
        wanted = {name: loss for name, loss in losses.items() if loss is not None}
        if not wanted:
            raise MapLLaVAError("model.head.criterion.losses is empty: nothing would be trained")
        self.losses = nn.ModuleDict({name: MODELS.build(loss) for name, loss in wanted.items()})
        offered = [name for name in ON_OFFER if name != "bev" or bev_dims]
        self._taken = {name: taken_inputs(name, loss, offered) for name, loss in self.losses.items()}

    def forward(
        self, logits: Tensor, points: Tensor, data_samples: Sequence[MapDataSample], bev: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Losses per positive of all layers; the last's carry no prefix, others ``d0.``, ``d1.`` ….

        Args:
            logits: (L, B, I, n_classes).
            points: (L, B, I, P, 2) in [0, 1].
            data_samples: B, with ``gt_instances``.
            bev: (B, C, Y, X) of the neck, or None.

        Returns:
            ``d0.loss_NAME`` … ``loss_NAME`` to scalars, float32.

        Raises:
            MapLLaVAError: if a loss gives another shape than it should, or nothing that trains.
        """
        with full_precision(logits):
            targets = MapTargets.from_samples(data_samples, self.map_spec, self.num_points, logits.device)
            pairs: Assignment = self.assigner(logits, points, targets)
            inputs = LossInputs(logits, points, bev, targets, pairs, self.map_spec)
            positives = torch.tensor(max(self.avg_factor(data_samples), 1.0), device=logits.device)
            layers = {name: self._per_layer(name, inputs) / positives for name in self.losses}
        prefixes = [f"d{index}." for index in range(len(logits) - 1)] + [""]
        return {
            f"{prefix}loss_{name}": value[index].clone()
            for index, prefix in enumerate(prefixes)
            for name, value in layers.items()
        }

    def avg_factor(self, data_samples: Sequence[MapDataSample]) -> float:
        """What the losses of a batch are averaged over: elements, of a sample no more than queries."""
        return float(sum(min(len(sample.gt_instances.labels), self.num_instances) for sample in data_samples))

    def _per_layer(self, name: str, inputs: LossInputs) -> Tensor:
        """A loss as sums (L,); NaN where predictions or elements are, matched or not."""
        loss, layers, pairs = self.losses[name], len(inputs.logits), inputs.pairs
        value = loss(**{key: getattr(inputs, key) for key in self._taken[name]})
        per_layer = getattr(loss, "per_layer", False)
        what, size = ("layer", layers) if per_layer else ("matched pair", len(pairs.layer))
        said = f"loss '{name}', one value per {what} (per_layer = {per_layer}),"
        check_tensor(loss, said, value, (size,), like=inputs.points)
        trains = self.training and inputs.logits.requires_grad and inputs.points.requires_grad
        if trains and len(pairs.layer) and not value.requires_grad:
            raise MapLLaVAError(
                f"model.head.criterion.losses.{name}: {type(loss).__name__} gave values without a gradient, "
                "nothing would be trained by it: is its result detached?"
            )
        if per_layer:
            return value
        # Zero, but NaN where something unmatched is not finite: pairs alone would hide it
        nothing = (0 * inputs.points).sum((1, 2, 3, 4)) + (0 * inputs.targets.orders).sum()  # (L,)
        return nothing.index_add(0, pairs.layer, value)


def taken_inputs(name: str, loss: nn.Module, offered: Sequence[str]) -> list[str]:
    """Which of the inputs on offer a loss takes.

    Args:
        name: the loss's name in the config.
        loss: the loss, whose ``forward`` names them.
        offered: names of :class:`LossInputs`.

    Raises:
        MapLLaVAError: if it needs one that is not offered.
    """
    parameters: Mapping[str, inspect.Parameter] = inspect.signature(loss.forward).parameters
    for key, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise MapLLaVAError(
                f"model.head.criterion.losses.{name}: {type(loss).__name__}.forward takes '{key}' by "
                "position only; the criterion gives a loss its inputs by name: take the '/' out"
            )
        if key not in offered and parameter.default is parameter.empty:
            why = "but the neck has none (bev_dims is 0)" if key == "bev" else "which is not there"
            raise MapLLaVAError(
                f"model.head.criterion.losses.{name}: {type(loss).__name__}.forward takes '{key}', {why}; a "
                f"loss may take {', '.join(offered)}"
            )
    return [key for key in parameters if key in offered]
