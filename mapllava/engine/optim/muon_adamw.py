"""Muon for weight matrices and AdamW for everything else, as one optimiser.

Shapes: M matrices of one shape, R rows, C columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from mapllava.checkpoint import computed_dtype
from mapllava.config.mistake import check_names
from mapllava.errors import MapLLaVAError
from mapllava.registry import OPTIMIZERS

MATRICES = "matrices"  # the key that marks a group of matrices
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_EPS = 1e-7


def orthogonalize(matrices: Tensor, steps: int) -> Tensor:
    """Bring all singular values of matrices near one by Newton-Schulz iteration.

    Source: K. Jordan, "Muon: an optimizer for hidden layers in neural networks", 2024 (quintic
    iteration and coefficients); after five steps singular values lie between about 0.7 and 1.2.

    Args:
        matrices: (M, R, C).
        steps: iterations; three to six.

    Returns:
        (M, R, C) float32.
    """
    a, b, c = _COEFFICIENTS
    # The polynomial works on X X^T, so the short side is made the rows: (M, R, R) with R <= C
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = (matrices.mT if tall else matrices).to(computed_dtype(torch.bfloat16, matrices.device))
    x = x / (torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True, dtype=torch.float32) + _EPS).to(x.dtype)
    # x <- a x + (b G + c G G) x with G = x x^T: singular values s become a s + b s^3 + c s^5, vectors stay
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).float()


@OPTIMIZERS.register_module()
class MuonAdamW(torch.optim.Optimizer):
    """Steps every weight matrix in an orthogonal direction, and the rest by AdamW.

    A group with ``matrices=True`` (see ``paramwise_cfg.matrices`` of
    :class:`~mapllava.engine.MapOptimWrapperConstructor`) holds the weights of linear layers and of
    convolutions, a kernel counting as the matrix (out, in x height x width). Their momentum is
    orthogonalised, so that all directions of a matrix learn at one speed; ``torch.optim.Muon``
    does this for linear layers only, and one at a time where matrices of one shape go together here.

    Every rank must hold whole gradients (one process or DDP, not sharded parameters).

    Args:
        params: Parameter groups, at least one with ``matrices=True``.
        lr: AdamW's learning rate.
        weight_decay: Decoupled weight decay of both.
        muon: ``dict(lr=…, momentum=…, steps=…)``: the matrices' learning rate (for a square matrix
            the spectral norm of one step; a taller one's grows with the root of rows over columns),
            Nesterov momentum and iterations. A group whose ``lr`` is a multiple of ``lr`` keeps it.
        **adamw: Further arguments of :class:`torch.optim.AdamW`.

    Raises:
        MapLLaVAError: If ``lr`` is not positive, no group is marked, a marked one holds a parameter of
            fewer than two dimensions, or parameters are sharded.
    """

    def __init__(
        self, params: Iterable[dict[str, Any]], lr: float, weight_decay: float, muon: dict, **adamw: Any
    ) -> None:
        if not lr > 0:
            raise MapLLaVAError(
                f"MuonAdamW: optimizer.lr is {lr}: it must be positive, the matrices' rate is told from it; "
                "to hold parameters still, set their group's lr_mult to 0"
            )
        self._adamw: torch.optim.AdamW | None = None
        self._arguments = {"lr": lr, "weight_decay": weight_decay, **adamw}
        check_names("MuonAdamW.muon", muon, ("lr", "momentum", "steps"))
        self._momentum_share, self._iterations = float(muon["momentum"]), int(muon["steps"])
        self._matrix_rate = float(muon["lr"]) / lr
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, MATRICES: False})
        if not any(group[MATRICES] for group in self.param_groups):
            raise MapLLaVAError(
                "MuonAdamW found no matrices: set optim_wrapper.paramwise_cfg.matrices=dict(min_size=…)"
            )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take one more group, as the constructor takes its own; it is stepped from then on.

        Raises:
            MapLLaVAError: If it is marked and holds a parameter of fewer than two dimensions, or
                parameters are sharded.
        """
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        if problem := _problem(group):
            del self.param_groups[-1]
            raise MapLLaVAError(problem)
        if group[MATRICES]:
            group["lr"] *= self._matrix_rate
        elif self._adamw is None:
            self._adamw = torch.optim.AdamW([group], **self._arguments)
        else:
            self._adamw.add_param_group(group)
        self._share()

    def _share(self) -> None:
        """One state and one list of groups for both parts, so that saving and schedules see all."""
        if self._adamw is not None:
            self._adamw.param_groups = [group for group in self.param_groups if not group[MATRICES]]
            self._adamw.state = self.state

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle holds; AdamW's part shares its state and groups with this one."""
        own = ("_adamw", "_arguments", "_momentum_share", "_iterations", "_matrix_rate")
        return {**super().__getstate__(), **{name: getattr(self, name) for name in own}}  # type: ignore[misc]

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The reverse of ``__getstate__``; loading a state dict ends here too."""
        super().__setstate__(state)
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of both; a parameter without a gradient stays."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self._adamw is not None:
            self._adamw.step()
        for group in self.param_groups:
            if group[MATRICES]:
                self._step_matrices(group)
        return loss

    def _step_matrices(self, group: dict[str, Any]) -> None:
        ahead: dict[Tensor, Tensor] = {}
        by_shape: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            momentum = self._momentum(parameter).lerp_(parameter.grad, 1 - self._momentum_share)
            ahead[parameter] = parameter.grad.lerp(momentum, self._momentum_share).flatten(1)
            rows, cols = ahead[parameter].shape
            by_shape[rows, cols].append(parameter)
        # Matrices of one shape go through the iteration as one batch: few large products, not many small ones
        for (rows, cols), parameters in by_shape.items():
            directions = orthogonalize(torch.stack([ahead[p] for p in parameters]), self._iterations)
            step = group["lr"] * max(1.0, rows / cols) ** 0.5
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(direction.view_as(parameter), alpha=-step)

    def _momentum(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        return state["momentum"]


def _problem(group: dict[str, Any]) -> str:
    """Why a group cannot be stepped; empty if it can."""
    if any(isinstance(parameter, DTensor) for parameter in group["params"]):
        return (
            "MuonAdamW needs whole gradients, but model_wrapper_cfg shards them: use AdamW, or leave "
            "model_wrapper_cfg out (DistributedDataParallel)"
        )
    flat = [tuple(parameter.shape) for parameter in group["params"] if parameter.ndim < 2]
    if group[MATRICES] and flat:
        return f"MuonAdamW: a group of matrices holds parameters of shape {flat}"
    return ""
