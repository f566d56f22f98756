"""Checks of what one part of a model gives to the next; a part may be a plug-in's.

Types, shapes, dtypes and devices are compared, never values: that would wait for the GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from mapllava.errors import MapLLaVAError
from mapllava.models.necks.base import NeckOutput

Shape = tuple[int | str, ...]


def fail(part: nn.Module, gave: str, expected: str) -> MapLLaVAError:
    """The error that names a part, what it gave and what was expected."""
    return MapLLaVAError(f"{type(part).__name__} gave {gave}; expected {expected}")


def check_attributes(part: nn.Module, least: Mapping[str, int]) -> None:
    """Check the whole numbers that the next part needs.

    Args:
        part: the part.
        least: attribute to its smallest value.

    Raises:
        MapLLaVAError: if one is missing, no whole number, or smaller.
    """
    for name, smallest in least.items():
        value = getattr(part, name, None)
        if not _whole(value) or value < smallest:
            raise fail(
                part, f"{name} = {value!r}", f"a whole number from {smallest}, which the next part needs"
            )


def check_tensor(part: nn.Module, what: str, value: Any, shape: Shape, like: Tensor | None = None) -> Tensor:
    """Check a tensor that a part gives.

    Args:
        part: the part.
        what: its name in the message.
        value: what it gave, of any shape.
        shape: sizes; a word stands for any size from 1.
        like: a tensor on the same device, and of a dtype that it can be computed with; None for any.

    Returns:
        The tensor.

    Raises:
        MapLLaVAError: if it is no tensor, or one of another shape, kind of dtype or device.
    """
    expected = f"a floating-point tensor ({', '.join(map(str, shape))})"
    if not isinstance(value, Tensor):
        raise fail(part, f"a {type(value).__name__} as {what}", expected)
    fits = len(shape) == value.dim() and all(
        size == wanted if isinstance(wanted, int) else size > 0
        for size, wanted in zip(value.shape, shape, strict=True)
    )
    if not fits:
        raise fail(part, f"{what} of shape {tuple(value.shape)}", expected)
    if not value.is_floating_point():
        raise fail(part, f"{what} of dtype {value.dtype}", expected)
    if like is None:
        return value
    if value.device != like.device:
        raise fail(part, f"{what} on {value.device}", f"the device of its input, {like.device}")
    if value.dtype != like.dtype and not _mixed_precision(value, like):
        raise fail(part, f"{what} of dtype {value.dtype}", f"{like.dtype}, that of its input")
    return value


def check_grid(encoder: nn.Module, grid: Any) -> tuple[int, int]:
    """Check the rows and columns of patches that a vision encoder announces.

    Raises:
        MapLLaVAError: if they are not two whole numbers from 1.
    """
    found = list(grid) if isinstance(grid, (list, tuple)) else []
    if len(found) != 2 or not all(_whole(size) and size > 0 for size in found):
        raise fail(encoder, f"grid_size {grid!r}", "rows and columns of patches, whole numbers from 1")
    return found[0], found[1]


def check_neck_output(neck: nn.Module, out: Any, batch: int, like: Tensor) -> NeckOutput:
    """Check the scene tokens, and the BEV map where the neck announces one.

    Args:
        neck: the neck, with ``embed_dims`` and ``bev_dims``.
        out: what it gave.
        batch: B.
        like: its input (B, N, P, C).

    Returns:
        The same, with scene tokens (B, S, D) and, where announced, a map (B, C_bev, Y, X).

    Raises:
        MapLLaVAError: if one of the two is not as announced.
    """
    if not isinstance(out, NeckOutput):
        raise fail(neck, f"a {type(out).__name__}", "a NeckOutput(scene_tokens, bev, extras)")
    dims: Any = neck
    check_tensor(neck, "scene_tokens", out.scene_tokens, (batch, "S", dims.embed_dims), like)
    if dims.bev_dims:
        check_tensor(neck, "bev", out.bev, (batch, dims.bev_dims, "Y", "X"), like)
    elif out.bev is not None:
        raise fail(neck, "a BEV map", "none, as its bev_dims is 0: set bev_dims to the map's channels")
    return out


def check_map_queries(queries: Any, dims: int) -> None:
    """Check query tokens and mask; once is enough, they are the same for every batch.

    Args:
        queries: the layout.
        dims: D, channels of the decoder.

    Raises:
        MapLLaVAError: if tokens or mask do not fit ``num_tokens`` and ``dims``.
    """
    check_attributes(queries, {"num_instances": 1, "num_tokens": 1})
    count = queries.num_tokens
    with torch.no_grad():
        tokens = check_tensor(queries, "query tokens", queries(1), (1, count, dims))
        mask = queries.attention_mask(0, tokens.device)
    if mask.dtype != torch.bool or tuple(mask.shape) != (count, count):
        gave = f"an attention mask {tuple(mask.shape)} of {mask.dtype}"
        raise fail(queries, gave, f"({count}, {count}) of torch.bool")


def check_split(queries: Any, split: Any, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
    """Check decoded queries (B, Q, D), taken apart: instances (B, I, D), and points (B, I, P, D) or None.

    Raises:
        MapLLaVAError: if they are something else.
    """
    instances, points = _two(queries, split, "instances and points (or None)")
    shape = (len(hidden), queries.num_instances, hidden.shape[-1])
    check_tensor(queries, "instances", instances, shape, hidden)
    if points is not None:
        check_tensor(queries, "points", points, (*shape[:2], "P", shape[2]), hidden)
    return instances, points


def check_layers(head: Any, out: Any, instances: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Check class logits (L, B, I, n_classes) and points (L, B, I, P, 2) of a head.

    Raises:
        MapLLaVAError: if they are something else.
    """
    logits, points = _two(head, out, "class logits and points")
    check_tensor(head, "logits", logits, ("L", *instances.shape[:2], num_classes))
    check_tensor(head, "points", points, (*logits.shape[:3], "P", 2))
    return logits, points


def check_losses(losses: Mapping[nn.Module, Any]) -> list[dict[str, Any]]:
    """Check the losses of head and neck; MMEngine adds up those with ``loss`` in their name, logs the rest.

    Args:
        losses: part to what its ``loss`` gave.

    Returns:
        Those dicts.

    Raises:
        MapLLaVAError: if one is no dict of tensors, a name comes twice, or a loss would not train.
    """
    seen: dict[str, nn.Module] = {}
    trains = not torch.is_grad_enabled()
    for part, found in losses.items():
        if not isinstance(found, Mapping):
            raise fail(part, f"a {type(found).__name__} as losses", "a dict of name to tensor")
        for name, value in found.items():
            if name in seen:
                raise fail(part, f"'{name}'", f"another name, as {type(seen[name]).__name__} has one of it")
            seen[name] = part
            learns = _has_gradient(part, name, value)
            if learns and "loss" not in name:
                expected = "'loss' in its name, as MMEngine adds up no other; or no gradient"
                raise fail(part, f"'{name}', which has a gradient", expected)
            trains |= learns
    if not trains:
        names = " and ".join(type(part).__name__ for part in losses)
        raise MapLLaVAError(
            f"{names} gave {', '.join(seen) or 'no loss at all'}, none with a gradient: nothing would train; "
            "is a result detached, or all of the model frozen?"
        )
    return [dict(found) for found in losses.values()]


def _has_gradient(part: nn.Module, name: Any, value: Any) -> bool:
    tensors = value if isinstance(value, (list, tuple)) else [value]
    if not isinstance(name, str) or not all(isinstance(t, Tensor) and t.is_floating_point() for t in tensors):
        raise fail(part, f"a {type(value).__name__} as '{name}'", "floating-point tensors by name")
    return any(each.requires_grad for each in tensors)


def _two(part: nn.Module, value: Any, expected: str) -> tuple[Any, Any]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise fail(part, f"a {type(value).__name__}", f"two: {expected}")
    return value[0], value[1]


def check_instances(head: nn.Module, found: Any, count: int) -> list[Any]:
    """Check the predictions of a head, one ``InstanceData`` per sample.

    Raises:
        MapLLaVAError: if there are not as many, or one lacks points (K, P, 2), scores or labels (K,).
    """
    if not isinstance(found, (list, tuple)) or len(found) != count:
        gave = (
            f"{len(found)} predictions" if isinstance(found, (list, tuple)) else f"a {type(found).__name__}"
        )
        raise fail(head, gave, f"a list of {count} InstanceData, one per sample")
    for instances in found:
        fields = {name: getattr(instances, name, None) for name in ("points", "scores", "labels")}
        shapes = {name: tuple(value.shape) for name, value in fields.items() if isinstance(value, Tensor)}
        number = shapes.get("scores", (0,))[:1]
        if len(shapes) < len(fields) or not (
            shapes["scores"] == shapes["labels"] == number
            and shapes["points"][:1] == number
            and len(shapes["points"]) == 3
            and shapes["points"][2] == 2
        ):
            raise fail(head, f"predictions with {shapes}", "points (K, P, 2), scores (K,) and labels (K,)")
    return list(found)


def _mixed_precision(value: Tensor, like: Tensor) -> bool:
    """Whether autocast brings two dtypes together; nothing is computed on the meta device."""
    if like.is_meta:
        return True
    return torch.is_autocast_enabled(like.device.type) and torch.float64 not in (value.dtype, like.dtype)


def _whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
