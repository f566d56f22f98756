"""Places as channels."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sine_position_embedding(points: Tensor, num_frequencies: int) -> Tensor:
    """Sines and cosines of points in [0, 1] at F octave frequencies, (..., 2) to (..., 4 * F), float32."""
    frequency = math.pi * 2.0 ** torch.arange(num_frequencies, device=points.device, dtype=torch.float32)
    phase = (points.float().unsqueeze(-1) * frequency).flatten(-2)
    return torch.cat([phase.sin(), phase.cos()], dim=-1)
