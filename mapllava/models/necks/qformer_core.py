"""BLIP-2's Q-Former as one module, for every neck that condenses patches with it.

Shapes: B batch, Q query tokens, S encoder states, C their channels, D token channels.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor

from mapllava.checkpoint import BLIP2_QFORMER, BLIP2_QUERY_TOKENS, load_tensor
from mapllava.models.backbones.hf_backbone import HFBackbone, keep_frozen, takes_backbone
from mapllava.models.backbones.hf_config import RANDOM_STD, configure, part_config
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
        frozen: keep the Q-Former's weights; gradients still reach queries and patches.
        **backbone: the Q-Former, see :class:`~mapllava.models.backbones.hf_backbone.HFBackbone`;
            ``pretrained`` is a BLIP-2 or InstructBLIP: what only text goes through is left out, and the
            log says so. Unless ``architecture`` (of ``Blip2QFormerConfig``) names ``initializer_range``,
            narrower models start with proportionally larger weights: at 0.02 and few channels next to
            nothing of the patches would get through.

    Raises:
        ValueError: as :class:`HFBackbone`; if the pretrained Q-Former reads features of other channels.
        MapLLaVAError: as :class:`HFBackbone`.
    """

    @takes_backbone
    def __init__(self, encoder_dims: int, frozen: bool = False, **backbone: Any) -> None:
        super().__init__()
        from transformers import Blip2QFormerModel

        hf = HFBackbone("QFormerCore", frozen=frozen, **backbone)
        config = _config(hf, encoder_dims)
        self.backbone = hf.build(Blip2QFormerModel, config, BLIP2_QFORMER)
        self.base_weights = hf.describe()
        self.frozen, self.dtype, self._source = frozen, hf.dtype, hf.source
        self.embed_dims: int = config.hidden_size

    def train(self, mode: bool = True) -> QFormerCore:
        """Set the mode; a frozen Q-Former stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            keep_frozen(self.backbone, mode)
        return self

    def forward(self, queries: Tensor, states: Tensor, mask: Tensor | None = None) -> Tensor:
        """Let the queries attend to the encoder states.

        Args:
            queries: (B, Q, D).
            states: (B, S, C).
            mask: (B, Q, S) or (B, S) bool, True = may read; every query must have something to
                read. None for everything.

        Returns:
            (B, Q, D).
        """
        if mask is not None:
            # To (B, 1, Q, S) or (B, 1, 1, S), bool: the same for all heads
            mask = mask[:, None] if mask.dim() == 3 else mask[:, None, None]
        given = queries.dtype
        if self.dtype != torch.float32:
            queries, states = queries.to(self.dtype), states.to(self.dtype)
        output = self.backbone(
            query_embeds=queries, encoder_hidden_states=states, encoder_attention_mask=mask
        ).last_hidden_state
        return output if self.dtype == torch.float32 else output.to(given)

    def initial_queries(self, count: int) -> Tensor:
        """First values of learned query tokens, (count, D).

        With pretrained weights BLIP-2's own (32) tokens, repeated as often as needed, with a tenth
        of their spread as noise so that copies can become different; otherwise small random values.
        """
        queries = torch.randn(count, self.embed_dims)
        if self._source is None:
            return queries * RANDOM_STD
        tokens = load_tensor(self._source, BLIP2_QUERY_TOKENS).float().flatten(0, -2).to(queries.device)
        print_log(f"query tokens: {len(tokens)} of {self._source.name} tiled to {count}", logger="current")
        repeats = -(-count // len(tokens))
        return tokens.repeat(repeats, 1)[:count] + queries * (_SEED_NOISE * tokens.std())


def _config(hf: HFBackbone, encoder_dims: int) -> Any:
    """The Q-Former's config, which reads features of ``encoder_dims`` channels and no text."""
    from transformers import Blip2QFormerConfig

    if hf.source is not None:
        config = part_config(hf.source, "qformer_config", Blip2QFormerConfig, hf.component, _ALIKE)
        if config.encoder_hidden_size != encoder_dims:
            raise ValueError(
                f"the Q-Former of {hf.source.name} reads features of {config.encoder_hidden_size} channels, "
                f"the vision encoder gives {encoder_dims}: use BLIP-2's own encoder, or pretrained=None"
            )
    else:
        values = {**hf.architecture, "encoder_hidden_size": encoder_dims}
        config = configure(Blip2QFormerConfig, values, hf.component)
        if "initializer_range" not in values:
            config.initializer_range = RANDOM_STD * math.sqrt(_BERT_DIMS / config.hidden_size)
    config.use_qformer_text_input = False
    return config
