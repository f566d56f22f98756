"""What the vision transformers of transformers have in common here.

Shapes: B batch, N cameras, P = h*w patches (row-major), C channels.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mapllava.checkpoint import KeyTable, WeightSource
from mapllava.models.hf_backbone import (
    RANDOM_STD,
    build_backbone,
    configure,
    keep_frozen,
    open_source,
    resolve_dtype,
    settle,
    without_dropout,
)
from mapllava.models.trainability import check_trainability


class HFVisionEncoder(BaseModule):
    """A vision transformer's patch features, without its class token.

    Images of any size that is a multiple of the patch: position embeddings are interpolated
    (bicubic) from the square they were trained on.

    Args:
        pretrained: folder or hub id; its ``config.json`` decides the architecture.
        architecture: values of the config for a random start; ignored with ``pretrained``.
        frozen: keep the encoder's weights; without ``lora`` it then keeps no activations.
        gradient_checkpointing: recompute activations in the backward pass.
        dtype: the backbone's dtype, ``float32`` if None; features come out as float32.
        lora: adapters that train on the frozen weights, ``dict(rank, alpha, targets, dropout)``.
        quantization: hold the frozen weights of linear layers packed, ``dict(bits=4)`` (NF4, optionally
            ``compute_dtype``) or ``dict(bits=8)``.

    Attributes:
        embed_dims: C.

    Raises:
        ValueError: if neither ``pretrained`` nor ``architecture`` is given, or one is wrong.
        MapLLaVAError: if the weights do not fit, or ``frozen``, ``lora`` and ``quantization`` contradict
            each other.
    """

    config_name: ClassVar[str]
    model_name: ClassVar[str]
    table: ClassVar[KeyTable]

    def __init__(
        self,
        pretrained: str | None = None,
        architecture: dict | None = None,
        frozen: bool = True,
        gradient_checkpointing: bool = False,
        dtype: str | None = None,
        lora: dict | None = None,
        quantization: dict | None = None,
    ) -> None:
        super().__init__()
        check_trainability(type(self).__name__, frozen, lora, quantization)
        source = open_source(pretrained, architecture, type(self).__name__)
        config = self._config(source, architecture)
        if frozen:
            without_dropout(config)
        torch_dtype = resolve_dtype(dtype)

        def construct() -> nn.Module:
            import transformers

            model_class = getattr(transformers, self.model_name)
            return model_class._from_config(config, dtype=torch_dtype, attn_implementation="sdpa")

        self.backbone = build_backbone(construct, source, self.table, quantization)
        self.base_weights = None if source is None else source.describe()
        self.frozen = frozen
        self.learns = not frozen or lora is not None
        settle(self.backbone, frozen, gradient_checkpointing, lora)
        self.embed_dims: int = config.hidden_size
        self.patch_size = int(config.patch_size)

    def _config(self, source: WeightSource | None, architecture: dict | None) -> Any:
        """The vision tower's config, from a folder of the tower alone or of the whole model."""
        import transformers

        config_class = getattr(transformers, self.config_name)
        name = type(self).__name__
        if source is None:
            return configure(config_class, {"initializer_range": RANDOM_STD, **(architecture or {})}, name)
        config = transformers.AutoConfig.from_pretrained(source.folder)
        config = getattr(config, "vision_config", config)
        if not isinstance(config, config_class):
            raise ValueError(
                f"{name}: {source.name} holds a {config.model_type}, expected a {config_class.model_type}"
            )
        return config

    def train(self, mode: bool = True) -> HFVisionEncoder:
        """Set the mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            keep_frozen(self.backbone, mode)
        return self

    def grid_size(self, img_hw: tuple[int, int]) -> tuple[int, int]:
        """Patch grid (h, w) of images of (H, W) pixels.

        Raises:
            ValueError: if a side is no multiple of the patch: a cut-off rim would shift what the
                patches see against where their rays look.
        """
        patch = self.patch_size
        if img_hw[0] % patch or img_hw[1] % patch:
            fits = " x ".join(f"{max(1, round(side / patch)) * patch}" for side in img_hw)
            raise ValueError(
                f"images of {img_hw[0]} x {img_hw[1]} (H x W) are no multiple of the {patch}-pixel patch: "
                f"resize or crop them to {fits} in the data pipeline"
            )
        return img_hw[0] // patch, img_hw[1] // patch

    def forward(self, img: Tensor) -> Tensor:
        """Encode images (B, N, 3, H, W), normalised, into patch features (B, N, P, C) float32."""
        batch, views = img.shape[:2]
        self.grid_size((img.shape[-2], img.shape[-1]))
        with torch.set_grad_enabled(torch.is_grad_enabled() and (self.learns or img.requires_grad)):
            output = self.backbone(pixel_values=img.flatten(0, 1), interpolate_pos_encoding=True)
        patches = output.last_hidden_state[:, 1:].float()
        return patches.unflatten(0, (batch, views))
