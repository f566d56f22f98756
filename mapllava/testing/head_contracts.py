"""What every head and every loss must do; raise an AssertionError that says what it does not.

Shapes: L layers, B batch, I instances, D decoder channels, P points, M matched pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mapllava.analysis.cost import SampleShape, example_batch
from mapllava.models.heads.criterion import ON_OFFER, LossInputs, taken_inputs
from mapllava.models.interface_checks import check_instances, check_layers
from mapllava.models.task_modules.hungarian_assigner import Assignment
from mapllava.models.task_modules.targets import MapTargets
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_data_sample import MapDataSample
from mapllava.testing.contracts import require, require_no_idle

BATCH, LAYERS, INSTANCES = 2, 2, 5
IMAGE = (64, 96)  # (H, W) of samples whose images nobody looks at


def _samples(map_spec: MapSpec, num_points: int, num_elements: int) -> list[MapDataSample]:
    shape = SampleShape(map_spec, IMAGE, 6, num_points, None, num_elements)
    return example_batch(shape, BATCH)["data_samples"]


def check_head(
    head: nn.Module, in_channels: int, map_spec: MapSpec, num_points: int, bev_dims: int = 0
) -> None:
    """Decoded queries to predictions, losses and maps, also of samples without any element.

    Args:
        head: the head, built for ``INSTANCES`` (5) instances.
        in_channels: D.
        map_spec: frame, ROI and classes.
        num_points: P.
        bev_dims: channels of the BEV map that it was built for, 0 for none.

    Raises:
        AssertionError: naming what is wrong.
        MapLLaVAError: if what it gives has another shape than the detector expects.
    """
    name = type(head).__name__
    queries = torch.randn(BATCH, INSTANCES, in_channels, requires_grad=True)
    bev = torch.randn(BATCH, bev_dims, 8, 4) if bev_dims else None
    head.train()
    drawn = check_layers(head, head(queries, None, bev), queries, len(map_spec.classes))
    for count in (3, 0):
        head.zero_grad(set_to_none=True)
        samples = _samples(map_spec, num_points, count)
        losses = head.loss(*drawn, samples, bev)  # type: ignore[operator]
        require(bool(losses), f"{name}: has no losses for {count} elements per sample")
        for key, value in losses.items():
            require(
                bool(torch.isfinite(value).all()), f"{name}: {key} is {value} for {count} elements per sample"
            )
        sum(losses.values()).backward(retain_graph=True)
        require_no_idle(head)
    require(queries.grad is not None and bool(queries.grad.any()), f"{name}: no gradient reaches the queries")
    found = check_instances(head, head.predict(*(part.detach() for part in drawn)), BATCH)  # type: ignore[operator]
    for instances in found:
        low, high = torch.tensor(map_spec.roi.to_list()).view(2, 2)
        inside = ((instances.points >= low - 1e-3) & (instances.points <= high + 1e-3)).all()
        require(bool(inside), f"{name}: predicts points outside of the ROI: are they in metres?")


def check_loss(loss: nn.Module, map_spec: MapSpec, num_points: int = 20) -> None:
    """A loss of the criterion: a value per pair or layer, finite, with a gradient; also of no pair at all.

    Args:
        loss: the loss.
        map_spec: frame, ROI and classes.
        num_points: P.

    Raises:
        AssertionError: naming what is wrong.
        MapLLaVAError: if its ``forward`` asks for what a criterion does not have.
    """
    name = type(loss).__name__
    for pairs in (3, 0):
        inputs = _loss_inputs(map_spec, num_points, pairs)
        value = loss(**{key: getattr(inputs, key) for key in taken_inputs("contract", loss, ON_OFFER)})
        per_layer = getattr(loss, "per_layer", False)
        expected = (LAYERS,) if per_layer else (len(inputs.pairs.layer),)
        require(
            isinstance(value, Tensor) and tuple(value.shape) == expected,
            f"{name}: gives {tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__}, "
            f"expected {expected}: a value per {'layer' if per_layer else 'matched pair'}",
        )
        require(value.dtype == torch.float32, f"{name}: gives {value.dtype}, expected torch.float32")
        require(bool(torch.isfinite(value).all()), f"{name}: {value} with {pairs} elements per sample")
        require(value.requires_grad or not pairs, f"{name}: its value has no gradient: is it detached?")
        if pairs:
            value.sum().backward()
            reached = [part.grad for part in (inputs.logits, inputs.points) if part.grad is not None]
            require(bool(reached), f"{name}: no gradient reaches logits or points")
            require(
                all(bool(torch.isfinite(g).all()) for g in reached), f"{name}: its gradient is not finite"
            )


def _loss_inputs(map_spec: MapSpec, num_points: int, elements: int) -> LossInputs:
    """Random predictions (L, B, I, …), the first of which are matched to the elements in order."""
    shape: Sequence[int] = (LAYERS, BATCH, INSTANCES)
    logits = torch.randn(*shape, len(map_spec.classes), requires_grad=True)
    points = torch.rand(*shape, num_points, 2).requires_grad_()
    samples = _samples(map_spec, num_points, elements)
    targets = MapTargets.from_samples(samples, map_spec, num_points, logits.device)
    triples = [
        (layer, sample, element, element)
        for layer in range(LAYERS)
        for sample in range(BATCH)
        for element in range(elements)
    ]
    index = torch.tensor(triples, dtype=torch.long).view(-1, 4)
    bev = torch.randn(BATCH, 4, 8, 4)
    return LossInputs(logits, points, bev, targets, Assignment(*index.unbind(1)), map_spec)
