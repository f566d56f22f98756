"""BLIP-2's Q-Former as one module, for every neck that condenses patches with it.

Shapes: B batch, Q query tokens, S encoder states, C their channels, D token channels.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from mapllava.checkpoint import BLIP2_QFORMER, BLIP2_QUERY_TOKENS, WeightSource, load_tensor
from mapllava.models.backbones.hf_backbone import (
    RANDOM_STD,
    build_backbone,
    configure,
    keep_frozen,
    open_source,
    part_config,
    resolve_dtype,
    settle,
    without_dropout,
)
from mapllava.models.backbones.trainability import check_trainability
from mapllava.registry import MODELS

_BERT_DIMS = 768  # the width that a standard deviation of 0.02 is meant for
_ALIKE = ("instructblip_qformer", "instructblipvideo_qformer")  # without text, the same model
_SEED_NOISE = 0.1  # of the pretrained tokens' own spread


@MODELS.register_module()
class QFormerCore(BaseModule):
    """Queries attend to each other and, in every ``cross_attention_frequency``-th layer, to patches.

    Source: BLIP-2, arXiv:2301.12597, section 3.1, in transformers' implementation, without its
    text branch.

    Args:
        encoder_dims: C (given by the neck).
        pretrained: folder or hub id of a BLIP-2 or InstructBLIP; its ``config.json`` decides the
            architecture. What only text goes through is left out, and the log says so.
        architecture: values of ``Blip2QFormerConfig`` for a random start; ignored with ``pretrained``.
            Unless it names ``initializer_range``, narrower models start with proportionally larger
            weights: at 0.02 and few channels next to nothing of the patches would get through.
        gradient_checkpointing: recompute activations in the backward pass.
        frozen: keep the Q-Former's weights; gradients still reach queries and patches.
        dtype: the backbone's dtype, ``float32`` if None; ``bfloat16`` only for a frozen one.
        lora: adapters that train on the frozen weights, ``dict(rank, alpha, targets, dropout)``.
        quantization: hold the frozen weights of linear layers packed, ``dict(bits=4)`` (NF4, optionally
            ``compute_dtype``) or ``dict(bits=8)``.

    Raises:
        ValueError: if the pretrained Q-Former reads features of other channels than C.
        MapLLaVAError: if the weights do not fit, or ``frozen``, ``lora`` and ``quantization`` contradict
            each other.
    """

    def __init__(
        self,
        encoder_dims: int,
        pretrained: str | None = None,
        architecture: dict | None = None,
        gradient_checkpointing: bool = False,
        frozen: bool = False,
        dtype: str | None = None,
        lora: dict | None = None,
        quantization: dict | None = None,
    ) -> None:
        super().__init__()
        check_trainability("QFormerCore", frozen, lora, quantization)
        from transformers import Blip2QFormerConfig, Blip2QFormerModel

        self._source: WeightSource | None = open_source(pretrained, architecture, "QFormerCore")
        if self._source is not None:
            config: Any = part_config(
                self._source, "qformer_config", Blip2QFormerConfig, "QFormerCore", _ALIKE
            )
            if config.encoder_hidden_size != encoder_dims:
                raise ValueError(
                    f"the Q-Former of {pretrained} reads features of {config.encoder_hidden_size} channels, "
                    f"the vision encoder gives {encoder_dims}: use BLIP-2's own encoder, or pretrained=None"
                )
        else:
            values = {**(architecture or {}), "encoder_hidden_size": encoder_dims}
            config = configure(Blip2QFormerConfig, values, "QFormerCore")
            if "initializer_range" not in values:
                config.initializer_range = RANDOM_STD * math.sqrt(_BERT_DIMS / config.hidden_size)
        config.use_qformer_text_input = False
        if frozen:
            without_dropout(config)
        self.dtype = resolve_dtype(dtype)

        def construct() -> nn.Module:
            return Blip2QFormerModel._from_config(config, dtype=self.dtype, attn_implementation="sdpa")

        self.backbone = build_backbone(construct, self._source, BLIP2_QFORMER, quantization)
        self.base_weights = None if self._source is None else self._source.describe()
        self.frozen = frozen
        settle(self.backbone, frozen, gradient_checkpointing, lora)
        self.embed_dims: int = config.hidden_size

    def train(self, mode: bool = True) -> QFormerCore:
        """Set the mode; a frozen Q-Former stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            keep_frozen(self.backbone, mode)
        return self

    def forward(self, queries: Tensor, states: Tensor, mask: Tensor | None = None) -> Tensor:
        """Let the queries read.

        Args:
            queries: (B, Q, D).
            states: (B, S, C).
            mask: (B, Q, S) or (B, S) bool, True = may read; every query must have something to
                read. None for everything.

        Returns:
            (B, Q, D).
        """
        if mask is not None:
            mask = mask[:, None] if mask.dim() == 3 else mask[:, None, None]
        given = queries.dtype
        if self.dtype != torch.float32:
            queries, states = queries.to(self.dtype), states.to(self.dtype)
        output = self.backbone(
            query_embeds=queries, encoder_hidden_states=states, encoder_attention_mask=mask
        ).last_hidden_state
        return output if self.dtype == torch.float32 else output.to(given)

    def initial_queries(self, count: int) -> Tensor:
        """Where learned query tokens start, (count, D).

        With pretrained weights BLIP-2's own (32) tokens, repeated as often as needed, with a tenth
        of their spread as noise so that copies can part; otherwise small random values.
        """
        queries = torch.randn(count, self.embed_dims)
        if self._source is None:
            return queries * RANDOM_STD
        tokens = load_tensor(self._source, BLIP2_QUERY_TOKENS).float().flatten(0, -2).to(queries.device)
        print_log(f"query tokens: {len(tokens)} of {self._source.name} tiled to {count}", logger="current")
        repeats = -(-count // len(tokens))
        return tokens.repeat(repeats, 1)[:count] + queries * (_SEED_NOISE * tokens.std())
