"""How many directions a set of tokens really uses, and how alike the tokens are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


def singular_values(tokens: Tensor) -> Tensor:
    """Singular values of tokens (..., S, D) about their mean token, descending, (..., min(S, D))."""
    tokens = tokens.double()
    return torch.linalg.svdvals(tokens - tokens.mean(dim=-2, keepdim=True))


def effective_rank(values: Tensor) -> Tensor:
    """Exponential of the entropy of singular values (..., K) as shares of their sum, (...).

    K equal values give K, one that is not zero gives 1, none gives 0.

    Source: Roy and Vetterli, The effective rank: a measure of effective dimensionality, 2007.
    """
    total = values.sum(dim=-1, keepdim=True)
    shares = values / torch.where(total > 0, total, torch.ones_like(total))
    entropy = -torch.special.xlogy(shares, shares).sum(dim=-1)
    return torch.where(total.squeeze(-1) > 0, entropy.exp(), torch.zeros_like(entropy))


def mean_cosine(tokens: Tensor) -> Tensor:
    """Mean cosine between all pairs of different tokens (..., S, D), (...); 1 for a single token."""
    unit = torch.nn.functional.normalize(tokens.double(), dim=-1)
    count = tokens.shape[-2]
    if count < 2:
        return torch.ones(tokens.shape[:-2], dtype=torch.float64)
    alike = unit.sum(dim=-2).square().sum(dim=-1) - unit.square().sum(dim=(-2, -1))
    return alike / (count * (count - 1))


@dataclass
class TokenSpectrum:
    """Gathers rank, diversity and dependence on the input of the same S tokens in many samples.

    Args:
        name: What the tokens are.
    """

    name: str

    def __post_init__(self) -> None:
        self._count = 0
        self._sums: list[Tensor] = []
        self._shape = (0, 0)

    def update(self, tokens: Tensor) -> None:
        """Take in tokens (B, S, D) of a batch."""
        tokens = tokens.detach().double().cpu()
        self._shape = (tokens.shape[1], tokens.shape[2])
        values = singular_values(tokens)
        largest = values[:, :1]
        parts = [
            effective_rank(values).sum(),
            mean_cosine(tokens).sum(),
            (values / torch.where(largest > 0, largest, torch.ones_like(largest))).sum(dim=0),
            tokens.sum(dim=0),
            tokens.square().sum(dim=0),
        ]
        self._sums = [a + b for a, b in zip(self._sums, parts, strict=True)] if self._count else parts
        self._count += len(tokens)

    def result(self) -> dict[str, Any]:
        """What was found, as means over the samples.

        Returns:
            ``name``; ``tokens`` S and ``channels`` D; ``effective_rank`` and the ``largest_rank``
            possible, min(S - 1, D); ``mean_cosine``; ``varies_with_input``, the share of the tokens' mean
            square that changes from sample to sample (0: the same tokens whatever the cameras see;
            None for a single sample); ``spectrum``, singular values over the largest.
        """
        rank, cosine, spectrum, total, squares = (part / self._count for part in self._sums)
        over_samples = (squares - total.square()).clamp(min=0).sum()
        known = self._count > 1 and bool(squares.sum() > 0)
        varies = float(over_samples / squares.sum()) if known else None
        tokens, channels = self._shape
        return {
            "name": self.name,
            "tokens": tokens,
            "channels": channels,
            "effective_rank": float(rank),
            "largest_rank": min(tokens - 1, channels),
            "mean_cosine": float(cosine),
            "varies_with_input": varies,
            "spectrum": [float(value) for value in spectrum],
        }
