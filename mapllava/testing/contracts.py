"""What every component of a kind must do; raise an AssertionError that says what it does not.

Call them from the tests of a plug-in, with a component small enough for a CPU::

    from mapllava.testing import check_neck

    def test_my_neck_keeps_the_contract():
        check_neck(MyNeck(in_channels=8, map_spec=spec), in_channels=8)

Shapes: B batch, N cameras, P = h*w patches, S scene tokens, Q map-query tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mapllava.models.map_queries import BaseMapQueries, InstanceMapQueries, PointMapQueries
from mapllava.models.necks.base import MapNeck, NeckOutput
from mapllava.models.surround_rig import surround_cameras

BATCH = 2


def require(condition: bool, message: str) -> None:
    """Raise an AssertionError with a message unless a condition holds."""
    if not condition:
        raise AssertionError(message)


def require_no_idle(module: nn.Module) -> None:
    """Every trainable parameter has a gradient after a backward pass; else the error names those without."""
    idle = [key for key, p in module.named_parameters() if p.requires_grad and p.grad is None]
    name = type(module).__name__
    require(not idle, f"{name}: trainable parameters without a gradient (DDP would hang): {', '.join(idle)}")


def _check_repeatable(module: nn.Module, run: Callable[[], Tensor]) -> Tensor:
    """The output in evaluation mode, which must not change from call to call."""
    name = type(module).__name__
    was_training = module.training
    module.eval()
    with torch.no_grad():
        first, second = run(), run()
    module.train(was_training)
    require(torch.equal(first, second), f"{name}: two calls in evaluation mode differ")
    require(bool(torch.isfinite(first).all()), f"{name}: the output has values that are not finite")
    return first


def _check_gradients(module: nn.Module, run: Callable[[], Tensor], inputs: dict[str, Tensor]) -> None:
    """Every trainable parameter and every given input must get a gradient."""
    name = type(module).__name__
    module.zero_grad(set_to_none=True)
    output = run()
    (output.float() * torch.randn_like(output.float())).sum().backward()
    require_no_idle(module)
    for key, value in inputs.items():
        reached = value.grad is not None and bool(value.grad.any())
        require(reached, f"{name}: no gradient reaches {key}")
    module.zero_grad(set_to_none=True)


def check_vision_encoder(
    encoder: nn.Module, img_hw: tuple[int, int] = (56, 84), num_cameras: int = 2
) -> None:
    """Images (B, N, 3, H, W) to (B, N, P, C): shapes, repeatability, gradients, patch order.

    Args:
        encoder: the vision encoder.
        img_hw: a size that it accepts.
        num_cameras: N.

    Raises:
        AssertionError: naming what is wrong.
    """
    name = type(encoder).__name__
    img = torch.randn(BATCH, num_cameras, 3, *img_hw)
    rows, cols = encoder.grid_size(img_hw)  # type: ignore[operator]
    out = _check_repeatable(encoder, lambda: encoder(img))
    expected = (BATCH, num_cameras, rows * cols, encoder.embed_dims)
    require(tuple(out.shape) == expected, f"{name}: features {tuple(out.shape)}, expected {expected}")
    swapped = _check_repeatable(encoder, lambda: encoder(img.flip(1)))
    require(
        torch.allclose(swapped, out.flip(1), atol=1e-4),
        f"{name}: a camera's features depend on its place in line",
    )
    if any(p.requires_grad for p in encoder.parameters()):
        _check_gradients(encoder, lambda: encoder(img), {})


def check_neck(
    neck: MapNeck,
    in_channels: int,
    num_cameras: int = 6,
    grid: tuple[int, int] = (4, 6),
    img_hw: tuple[int, int] = (64, 96),
) -> None:
    """Patch features to scene tokens: shapes, repeatability, gradients, and geometry that matters.

    A shuffled patch, shuffled cameras or a turned rig must change the scene tokens.

    Args:
        neck: the neck.
        in_channels: channels of the patch features that it was built for.
        num_cameras: N.
        grid: patch grid (h, w).
        img_hw: (H, W) in pixels.

    Raises:
        AssertionError: naming what is wrong.
    """
    name = type(neck).__name__
    feats = torch.randn(BATCH, num_cameras, grid[0] * grid[1], in_channels)
    cameras = surround_cameras(img_hw, BATCH, num_cameras)

    def tokens(values: Tensor = feats, yaw: float = 0.0) -> Tensor:
        rig = surround_cameras(img_hw, BATCH, num_cameras, yaw) if yaw else cameras
        return neck(values, grid, rig).scene_tokens

    out = neck(feats, grid, cameras)
    require(isinstance(out, NeckOutput), f"{name}: returns {type(out).__name__}, not a NeckOutput")
    shape = tuple(out.scene_tokens.shape)
    require(
        len(shape) == 3 and shape[0] == BATCH and shape[2] == neck.embed_dims,
        f"{name}: scene_tokens {shape}, expected ({BATCH}, S, {neck.embed_dims})",
    )
    if neck.bev_dims:
        require(
            out.bev is not None and out.bev.dim() == 4 and tuple(out.bev.shape[:2]) == (BATCH, neck.bev_dims),
            f"{name}: bev_dims is {neck.bev_dims}, so bev must be ({BATCH}, {neck.bev_dims}, Y, X)",
        )
    else:
        require(out.bev is None, f"{name}: gives a BEV map, but bev_dims is 0")
    right = _check_repeatable(neck, tokens)
    changed = {
        "shuffled patches": lambda: tokens(feats.flip(2)),
        "shuffled cameras": lambda: tokens(feats.flip(1)),
        "a turned rig": lambda: tokens(yaw=0.5),
    }
    for what, run in changed.items():
        difference = float((_check_repeatable(neck, run) - right).abs().max())
        require(difference > 1e-6, f"{name}: {what} do not change the scene tokens: where is the geometry?")
    leaf = feats.clone().requires_grad_()

    def everything() -> Tensor:
        result = neck(leaf, grid, cameras)
        extra = [result.bev] if result.bev is not None else []
        return torch.cat([part.flatten() for part in (result.scene_tokens, *extra, *result.extras.values())])

    _check_gradients(neck, everything, {"the patch features": leaf})


def check_decoder(
    decoder: nn.Module,
    in_channels: int,
    num_scene_tokens: int = 7,
    prompts: Sequence[str] = ("Draw.", "Draw the map."),
) -> None:
    """Scene tokens and map queries to decoded queries, for both layouts.

    Shapes, repeatability, gradients to scene tokens and queries, and leaks: what a query must not
    see cannot change it by a bit, and a sample does not depend on the prompt of another.

    Args:
        decoder: the decoder, with ``embed_dims``.
        in_channels: channels of the scene tokens that it was built for.
        num_scene_tokens: S.
        prompts: two texts of different lengths that the decoder can be given; one without a language
            ignores them.

    Raises:
        AssertionError: naming what is wrong.
    """
    name = type(decoder).__name__
    dims: int = decoder.embed_dims  # type: ignore[assignment]
    for queries in (PointMapQueries(dims, 4, 3), InstanceMapQueries(dims, 4)):
        scene = torch.randn(BATCH, num_scene_tokens, in_channels, requires_grad=True)

        def run(layout: BaseMapQueries = queries, tokens: Tensor = scene) -> Tensor:
            return decoder(tokens, layout)

        out = _check_repeatable(decoder, run)
        expected = (BATCH, queries.num_tokens, dims)
        require(tuple(out.shape) == expected, f"{name}: decoded {tuple(out.shape)}, expected {expected}")
        _check_gradients(nn.ModuleList([decoder, queries]), run, {"the scene tokens": scene})
        _check_leaks(decoder, run, queries)
        _check_prompts(decoder, scene.detach(), queries, prompts)


class _IsolatedQueries(nn.Module):
    """Map queries whose instances see nothing of each other, the first instance's tokens pushed."""

    def __init__(self, queries: BaseMapQueries, push: float) -> None:
        super().__init__()
        self.queries, self.push = queries, push
        self.group = 1 + queries.num_point_tokens

    def forward(self, batch_size: int) -> Tensor:
        tokens = self.queries(batch_size).clone()
        tokens[:, : self.group] += self.push * torch.linspace(-1, 1, tokens.shape[-1])
        return tokens

    def attention_mask(self, prefix_len: int, device: torch.device) -> Tensor:
        mask = self.queries.attention_mask(prefix_len, device).clone()
        owner = torch.arange(self.queries.num_tokens, device=device) // self.group
        mask[prefix_len:, prefix_len:] &= owner[:, None] == owner
        return mask


def _check_leaks(decoder: nn.Module, run: Callable[..., Tensor], queries: BaseMapQueries) -> None:
    """With instances isolated by the mask, pushing the first must leave the others bit for bit."""
    name = type(decoder).__name__
    before = _check_repeatable(decoder, lambda: run(_IsolatedQueries(queries, 0.0)))
    after = _check_repeatable(decoder, lambda: run(_IsolatedQueries(queries, 1.0)))
    moved = (before != after).any(-1).any(0)
    group = 1 + queries.num_point_tokens
    require(bool(moved[:group].all()), f"{name}: a changed map query is decoded to the same")
    require(not bool(moved[group:].any()), f"{name}: queries see what their attention mask hides")


def _check_prompts(
    decoder: nn.Module, scene: Tensor, queries: BaseMapQueries, prompts: Sequence[str]
) -> None:
    """A batch of two prompts gives what each sample gives by itself."""
    name = type(decoder).__name__
    together = _check_repeatable(decoder, lambda: decoder(scene, queries, prompts))
    for index, prompt in enumerate(prompts):

        def run(tokens: Tensor = scene[index : index + 1], text: str = prompt) -> Tensor:
            return decoder(tokens, queries, [text])

        alone = _check_repeatable(decoder, run)
        close = torch.allclose(together[index], alone[0], rtol=1e-4, atol=1e-5)
        require(close, f"{name}: a sample depends on the length of another's prompt")


def check_map_queries(queries: BaseMapQueries, prefix_len: int = 5) -> None:
    """Tokens, split and mask of a layout, by the rules of the interface.

    Args:
        queries: the layout.
        prefix_len: tokens before the first query.

    Raises:
        AssertionError: naming what is wrong.
    """
    name = type(queries).__name__
    tokens = queries(BATCH)
    require(
        tokens.dim() == 3 and tokens.shape[2] == queries.embed_dims, f"{name}: tokens {tuple(tokens.shape)}"
    )
    instances, points = queries.split(tokens)
    expected = (BATCH, queries.num_instances, queries.embed_dims)
    require(
        tuple(instances.shape) == expected, f"{name}: instances {tuple(instances.shape)}, expected {expected}"
    )
    if points is not None:
        require(tuple(points.shape[:2]) == expected[:2], f"{name}: points {tuple(points.shape)}")
    mask = queries.attention_mask(prefix_len)
    length = prefix_len + tokens.shape[1]
    require(mask.dtype == torch.bool and tuple(mask.shape) == (length, length), f"{name}: mask {mask.shape}")
    prefix = torch.ones(prefix_len, prefix_len, dtype=torch.bool).tril()
    require(torch.equal(mask[:prefix_len, :prefix_len], prefix), f"{name}: the prefix is not causal")
    require(not bool(mask[:prefix_len, prefix_len:].any()), f"{name}: the prefix sees queries")
    require(bool(mask[prefix_len:, :prefix_len].all()), f"{name}: a query does not see all of the prefix")
    require(bool(mask.diagonal().all()), f"{name}: a token does not see itself")
