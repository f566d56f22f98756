"""Queries under the mask that a language model knows, to compare with transformers' own."""

import torch
from torch import nn


class CausalQueries(nn.Module):
    """Q learned tokens of D channels that see what stands before them, nothing else."""

    def __init__(self, count, dims):
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(count, dims) * 0.02)

    def forward(self, batch_size):
        return self.tokens.expand(batch_size, -1, -1)

    def attention_mask(self, prefix_len, device):
        length = prefix_len + len(self.tokens)
        return torch.ones(length, length, dtype=torch.bool, device=device).tril()
